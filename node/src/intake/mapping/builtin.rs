//! The mappings that the program brings, embedded.

/// Name and text of each mapping.
pub(super) const MAPPINGS: &[(&str, &str)] = &[
    ("unodc-ids", include_str!("../../../mappings/unodc-ids.toml")),
    ("icomm-template", include_str!("../../../mappings/icomm-template.toml")),
];
