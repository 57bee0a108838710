//! How often what occurs, after the counts of real cross-border seizures: rounded, put into our own codes, and with what
//! real files leave blank left blank.

/// A drug with its HS code, how often it is seized, its usual unit, and the bell of its amounts as powers of ten (middle,
/// width). Other goods alike.
pub(super) struct Drug {
    pub(super) kind: &'static str,
    pub(super) hs_code: &'static str,
    pub(super) weight: u32,
    pub(super) unit: &'static str,
    pub(super) magnitude: (f64, f64),
}

const fn drug(
    kind: &'static str,
    hs_code: &'static str,
    weight: u32,
    unit: &'static str,
    middle: f64,
    width: f64,
) -> Drug {
    Drug {
        kind,
        hs_code,
        weight,
        unit,
        magnitude: (middle, width),
    }
}

pub(super) const DRUGS: &[Drug] = &[
    drug("cocaine", "293972", 5791, "GRM", 3.1, 0.9),
    drug("heroin", "293911", 1515, "KGM", 0.2, 0.9),
    drug("amphetamine", "292146", 158, "GRM", 2.4, 1.0),
    drug("methamphetamine", "293945", 140, "KGM", 0.1, 0.8),
    drug("mdma", "293299", 108, "U2", 2.6, 0.9),
    drug("cocaine-hydrochloride", "293972", 96, "KGM", 0.8, 0.9),
    drug("synthetic-cannabinoid", "293399", 73, "GRM", 2.1, 0.8),
    drug("khat", "121190", 66, "KGM", 1.6, 0.6),
    drug("jwh-018", "293399", 54, "GRM", 1.9, 0.8),
    drug("methcathinone", "293979", 51, "GRM", 1.5, 0.8),
    drug("mdpv", "293499", 50, "GRM", 1.6, 0.8),
    drug("diazepam", "293391", 44, "U2", 2.3, 0.7),
    drug("lsd", "293969", 44, "X-BLOTTER", 2.0, 0.7),
    drug("opium", "130211", 42, "KGM", 0.9, 0.8),
    drug("ketamine", "292239", 33, "KGM", 0.3, 0.8),
    drug("mephedrone", "292239", 28, "GRM", 2.3, 0.8),
    drug("cannabis-resin", "130190", 25, "KGM", 1.2, 0.9),
    drug("cannabis-herb", "121190", 25, "KGM", 1.0, 0.9),
    drug("fentanyl", "293333", 14, "GRM", 1.0, 0.7),
    drug("tramadol", "292250", 12, "U2", 3.0, 0.8),
    drug("coca-leaf", "121130", 11, "KGM", 0.7, 0.5),
    drug("psilocybin-mushroom", "071239", 8, "GRM", 1.9, 0.6),
    drug("clonazepam", "293391", 7, "U2", 2.1, 0.6),
    drug("ghb", "291819", 6, "LTR", 0.0, 0.4),
];

/// Goods other than drugs: category, kind, unit, weight, bell.
pub(super) const OTHER_GOODS: &[(&str, Drug)] = &[
    ("tobacco", drug("cigarettes", "240220", 40, "H87", 4.6, 0.8)),
    ("tobacco", drug("hand-rolling-tobacco", "240319", 9, "KGM", 1.6, 0.6)),
    ("ipr-health", drug("medicines", "300490", 14, "H87", 2.8, 0.9)),
    ("ipr-health", drug("clothing", "610910", 10, "H87", 2.2, 0.7)),
    ("currency", drug("banknotes", "490700", 12, "H87", 2.4, 0.6)),
    ("weapons", drug("ammunition", "930630", 6, "H87", 1.9, 0.6)),
    ("cites", drug("ivory", "050710", 4, "KGM", 0.9, 0.6)),
    ("alcohol", drug("spirits", "220830", 9, "LTR", 1.9, 0.7)),
];

/// What is found beside [`OTHER_GOODS`] in one consignment.
pub(super) const FURTHER_GOODS: &[(&str, Drug)] = &[
    ("tobacco", drug("cigarettes", "240220", 30, "H87", 3.9, 0.8)),
    ("tobacco", drug("cigars", "240210", 12, "H87", 2.4, 0.7)),
    ("tobacco", drug("water-pipe-tobacco", "240311", 20, "KGM", 1.4, 0.6)),
    ("ipr-health", drug("footwear", "640399", 14, "H87", 2.0, 0.6)),
    ("ipr-health", drug("watches", "910211", 9, "H87", 1.7, 0.6)),
    ("ipr-health", drug("cosmetics", "330300", 9, "H87", 2.2, 0.7)),
    ("currency", drug("banknotes", "490700", 12, "H87", 2.1, 0.6)),
    ("currency", drug("coins", "711890", 4, "H87", 1.8, 0.6)),
    ("currency", drug("precious-metal", "710812", 3, "GRM", 2.3, 0.6)),
    ("weapons", drug("pistol", "930200", 4, "H87", 0.4, 0.3)),
    ("weapons", drug("ammunition", "930630", 6, "H87", 1.9, 0.6)),
    ("cites", drug("rhino-horn", "050710", 2, "KGM", 0.5, 0.4)),
    ("cites", drug("pangolin-scales", "050790", 5, "KGM", 1.1, 0.6)),
    ("alcohol", drug("beer", "220300", 6, "LTR", 1.9, 0.6)),
    ("alcohol", drug("wine", "220421", 8, "LTR", 1.6, 0.6)),
];

/// What there is to know of goods of that category and kind.
pub(super) fn goods(category: &str, kind: &str) -> Option<&'static Drug> {
    let others = OTHER_GOODS.iter().chain(FURTHER_GOODS);
    let others = others.filter(|(of, _)| *of == category).map(|(_, goods)| goods);
    let drugs = DRUGS.iter().filter(|_| category == "drugs");
    drugs.chain(others).find(|goods| goods.kind == kind)
}

/// How goods of a category are packed.
pub(super) fn packages(category: &str) -> &'static [(&'static str, u32)] {
    match category {
        "drugs" => &[("PK", 50), ("BG", 32), ("BX", 10), ("SA", 6), ("JR", 2)],
        "tobacco" => &[("CT", 70), ("BX", 20), ("SA", 10)],
        "alcohol" => &[("BO", 60), ("CS", 40)],
        _ => &[("BX", 40), ("PK", 30), ("CT", 20), ("EN", 10)],
    }
}

/// Where goods of a category are made.
pub(super) fn producers(category: &str) -> &'static [(&'static str, u32)] {
    match category {
        "drugs" => &[
            ("CO", 40),
            ("PE", 20),
            ("BO", 12),
            ("AF", 14),
            ("CN", 6),
            ("NL", 5),
            ("MX", 3),
        ],
        "cites" => &[("KE", 4), ("TZ", 4), ("ZA", 3), ("NG", 3), ("ID", 2)],
        _ => &[
            ("CN", 40),
            ("TR", 20),
            ("AE", 12),
            ("UA", 8),
            ("VN", 8),
            ("IN", 7),
            ("PL", 5),
        ],
    }
}

/// Where consignments change hands on the way.
pub(super) const TRANSIT: &[(&str, u32)] = &[
    ("NL", 20),
    ("BE", 16),
    ("PA", 14),
    ("AE", 12),
    ("TR", 10),
    ("FR", 9),
    ("DE", 8),
    ("MA", 6),
    ("SG", 5),
];

/// Where conveyances are registered.
pub(super) const FLAG: &[(&str, u32)] = &[
    ("PA", 30),
    ("LR", 20),
    ("MH", 18),
    ("MT", 12),
    ("ES", 10),
    ("PT", 6),
    ("DE", 4),
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

pub(super) const SOURCE: &[(&str, u32)] = &[("A", 50), ("B", 34), ("C", 10), ("X", 6)];

pub(super) const INFORMATION: &[(&str, u32)] = &[("1", 46), ("2", 30), ("3", 16), ("4", 8)];

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
