//! The mappings and tables that the program brings, embedded.

/// Name and text of each mapping.
pub(super) const MAPPINGS: &[(&str, &str)] = &[
    ("unodc-ids", include_str!("../../../mappings/unodc-ids.toml")),
    ("icomm-template", include_str!("../../../mappings/icomm-template.toml")),
];

/// Name and text of each table that any mapping may use or extend.
pub(super) const TABLES: &[(&str, &str)] = &[("countries", include_str!("../../../mappings/countries.toml"))];
