//! How often what occurs, after the counts of real cross-border seizures: rounded, put into our own codes, and with what
//! real files leave blank left blank.

/// A drug with how often it is seized, its usual unit, and the bell of its amounts as powers of ten (middle, width).
pub(super) struct Drug {
    pub(super) kind: &'static str,
    pub(super) weight: u32,
    pub(super) unit: &'static str,
    pub(super) magnitude: (f64, f64),
}

const fn drug(kind: &'static str, weight: u32, unit: &'static str, middle: f64, width: f64) -> Drug {
    Drug {
        kind,
        weight,
        unit,
        magnitude: (middle, width),
    }
}

pub(super) const DRUGS: &[Drug] = &[
    drug("cocaine", 5791, "GRM", 3.1, 0.9),
    drug("heroin", 1515, "KGM", 0.2, 0.9),
    drug("amphetamine", 158, "GRM", 2.4, 1.0),
    drug("methamphetamine", 140, "KGM", 0.1, 0.8),
    drug("mdma", 108, "U2", 2.6, 0.9),
    drug("cocaine-hydrochloride", 96, "KGM", 0.8, 0.9),
    drug("synthetic-cannabinoid", 73, "GRM", 2.1, 0.8),
    drug("khat", 66, "KGM", 1.6, 0.6),
    drug("jwh-018", 54, "GRM", 1.9, 0.8),
    drug("methcathinone", 51, "GRM", 1.5, 0.8),
    drug("mdpv", 50, "GRM", 1.6, 0.8),
    drug("diazepam", 44, "U2", 2.3, 0.7),
    drug("lsd", 44, "X-BLOTTER", 2.0, 0.7),
    drug("opium", 42, "KGM", 0.9, 0.8),
    drug("ketamine", 33, "KGM", 0.3, 0.8),
    drug("mephedrone", 28, "GRM", 2.3, 0.8),
    drug("cannabis-resin", 25, "KGM", 1.2, 0.9),
    drug("cannabis-herb", 25, "KGM", 1.0, 0.9),
    drug("fentanyl", 14, "GRM", 1.0, 0.7),
    drug("tramadol", 12, "U2", 3.0, 0.8),
    drug("coca-leaf", 11, "KGM", 0.7, 0.5),
    drug("psilocybin-mushroom", 8, "GRM", 1.9, 0.6),
    drug("clonazepam", 7, "U2", 2.1, 0.6),
    drug("ghb", 6, "LTR", 0.0, 0.4),
];

/// Goods other than drugs: category, kind, unit, weight, bell.
pub(super) const OTHER_GOODS: &[(&str, Drug)] = &[
    ("tobacco", drug("cigarettes", 40, "H87", 4.6, 0.8)),
    ("tobacco", drug("hand-rolling-tobacco", 9, "KGM", 1.6, 0.6)),
    ("ipr-health", drug("medicines", 14, "H87", 2.8, 0.9)),
    ("ipr-health", drug("clothing", 10, "H87", 2.2, 0.7)),
    ("currency", drug("banknotes", 12, "H87", 2.4, 0.6)),
    ("weapons", drug("ammunition", 6, "H87", 1.9, 0.6)),
    ("cites", drug("ivory", 4, "KGM", 0.9, 0.6)),
    ("alcohol", drug("spirits", 9, "LTR", 1.9, 0.7)),
];

pub(super) const CONCEALMENT: &[(&str, u32)] = &[
    ("baggage", 2389),
    ("postal", 1865),
    ("swallowed", 1324),
    ("outerwear", 505),
    ("on-body", 324),
    ("other", 260),
    ("transport-vehicle", 152),
    ("inserted", 93),
    ("handbag", 75),
    ("residence", 68),
    ("freight", 52),
    ("package", 45),
    ("furniture", 30),
    ("food", 22),
    ("shoes", 18),
    ("cosmetics", 9),
    ("toy", 4),
];

pub(super) const LOCATION: &[(&str, u32)] = &[
    ("airport", 5135),
    ("post-office", 754),
    ("seaport", 233),
    ("other", 322),
    ("road", 140),
];

pub(super) const CONVEYANCE: &[(&str, u32)] = &[
    ("commercial-air", 6053),
    ("other", 556),
    ("private-road", 357),
    ("commercial-sea", 274),
    ("commercial-road", 228),
    ("rail", 51),
    ("private-air", 47),
    ("mail", 20),
    ("pedestrian", 10),
    ("private-sea", 6),
    ("river", 2),
];

pub(super) const DIRECTION: &[(&str, u32)] = &[
    ("import", 1233),
    ("export", 742),
    ("internal", 733),
    ("transit", 166),
    ("other", 5),
    ("international-waters", 3),
];

pub(super) const DETECTION: &[(&str, u32)] = &[
    ("risk-profile", 40),
    ("routine", 22),
    ("x-ray", 14),
    ("intelligence", 11),
    ("dog", 9),
    ("random", 4),
    ("other", 2),
];

pub(super) const OUTCOME: &[(&str, u32)] = &[
    ("", 55),
    ("seized", 35),
    ("prosecuted", 6),
    ("destroyed", 3),
    ("pending", 3),
];

pub(super) const HANDLING: &[(&str, u32)] = &[("H0", 70), ("H1", 18), ("H2", 12)];

/// Where consignments set out.
pub(super) const DEPARTURE: &[(&str, u32)] = &[
    ("BR", 1414),
    ("PK", 1069),
    ("CO", 748),
    ("DO", 642),
    ("PE", 488),
    ("AR", 456),
    ("CN", 381),
    ("CR", 333),
    ("EC", 276),
    ("ES", 253),
    ("NL", 237),
    ("BO", 232),
    ("VE", 201),
    ("PY", 159),
    ("TJ", 120),
    ("PA", 110),
    ("CL", 95),
    ("DE", 80),
    ("IN", 75),
    ("TR", 70),
    ("NG", 60),
    ("KE", 45),
    ("ZA", 40),
    ("TH", 35),
    ("MX", 30),
    ("UY", 25),
    ("GH", 20),
    ("ET", 15),
];

/// Where they were bound, when not for the country that seized them.
pub(super) const DESTINATION: &[(&str, u32)] = &[
    ("ES", 900),
    ("GB", 332),
    ("IT", 433),
    ("NL", 166),
    ("BE", 150),
    ("SA", 143),
    ("AT", 120),
    ("AE", 104),
    ("RO", 101),
    ("SE", 94),
    ("FR", 94),
    ("DE", 90),
    ("CN", 70),
    ("MY", 60),
    ("ZA", 50),
    ("US", 45),
    ("AU", 40),
    ("NG", 25),
    ("JP", 15),
];

pub(super) const PERSON_ROLE: &[(&str, u32)] = &[
    ("courier", 60),
    ("passenger", 14),
    ("driver", 10),
    ("consignee", 9),
    ("consignor", 4),
    ("owner", 3),
];

pub(super) const COMPANY_ROLE: &[(&str, u32)] = &[
    ("consignee", 40),
    ("consignor", 35),
    ("freight-forwarder", 15),
    ("carrier", 10),
];

/// Of a thousand rows, how many leave the cell blank.
pub(super) const BLANK_CONCEALMENT: u64 = 60;
