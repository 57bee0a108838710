//! Which code lists there are.

use std::fmt;

/// Declares the lists, each with its name in `record.proto`, in error messages and in files.
macro_rules! lists {
    ($($(#[doc = $doc:literal])+ $list:ident = $name:literal,)+) => {
        /// A code list. Coded fields of a record take the codes of one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum List {
            $($(#[doc = $doc])+ $list,)+
        }

        impl List {
            /// Every list.
            pub const ALL: &[Self] = &[$(Self::$list),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$list => $name,)+
                }
            }
        }
    };
}

lists! {
    /// Bands of a person's age.
    AgeBand = "age-band",
    /// CITES appendices.
    CitesAppendix = "cites-appendix",
    /// The thirteen groups of goods.
    CommodityCategory = "commodity-category",
    /// What a company has to do with the case.
    CompanyRole = "company-role",
    /// Where goods were hidden.
    Concealment = "concealment",
    /// How goods or persons travelled.
    ConveyanceType = "conveyance-type",
    /// ISO 3166-1 alpha-2.
    Country = "country",
    /// ISO 4217.
    Currency = "currency",
    /// How the goods were found.
    DetectionMethod = "detection-method",
    /// Which way the goods went.
    Direction = "direction",
    /// Kinds of drugs and precursors.
    Drug = "drug",
    /// Europol's handling codes.
    HandlingCode = "handling-code",
    /// HS 2022. Built in is its structure only; the full list is one that an operator installs.
    Hs = "hs",
    /// Kinds of identity papers.
    IdentityPaper = "identity-paper",
    /// Kinds of pictures.
    ImageKind = "image-kind",
    /// How far the information can be trusted.
    InformationEvaluation = "information-evaluation",
    /// Kinds of alcohol.
    KindAlcohol = "kind-alcohol",
    /// Kinds of protected species.
    KindCites = "kind-cites",
    /// Kinds of cultural goods.
    KindCulturalGoods = "kind-cultural-goods",
    /// Kinds of currency.
    KindCurrency = "kind-currency",
    /// Kinds of environmental goods.
    KindEnvironment = "kind-environment",
    /// Kinds of goods that infringe rights or endanger health.
    KindIprHealth = "kind-ipr-health",
    /// Kinds of nuclear and hazardous materials.
    KindNuclearHazardous = "kind-nuclear-hazardous",
    /// Kinds of all other goods.
    KindOther = "kind-other",
    /// Kinds of tax and duty fraud.
    KindTaxDuty = "kind-tax-duty",
    /// Kinds of tobacco.
    KindTobacco = "kind-tobacco",
    /// Kinds of weapons and explosives.
    KindWeapons = "kind-weapons",
    /// What a leg is of a route.
    LegRole = "leg-role",
    /// Where the goods were found.
    LocationType = "location-type",
    /// Formats of pictures and documents.
    MediaType = "media-type",
    /// What became of the case.
    Outcome = "outcome",
    /// UN/ECE Rec 21.
    PackageType = "package-type",
    /// What a person has to do with the case.
    PersonRole = "person-role",
    /// Bands of quantity, in the normalised unit.
    QuantityBand = "quantity-band",
    /// What a record reports.
    ReportType = "report-type",
    /// Sex.
    Sex = "sex",
    /// How far the source can be trusted.
    SourceEvaluation = "source-evaluation",
    /// What to do when a person is met.
    SuggestedAction = "suggested-action",
    /// UN/ECE Rec 20, and our own codes beginning with `X-` for what it lacks.
    Unit = "unit",
    /// UN/LOCODE. Built in is its form only; the full list is one that an operator installs.
    Unlocode = "unlocode",
    /// How far the originator has checked the record.
    ValidationStatus = "validation-status",
    /// Bands of value, in the currency of the goods.
    ValueBand = "value-band",
    /// Warnings about a person.
    Warning = "warning",
}

impl List {
    /// The list of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|list| list.name() == name)
    }

    /// The list that `goods[].kind` takes its codes from, by commodity category; None if there is no such category.
    /// Drugs and precursors share one, since many substances are either.
    #[must_use]
    pub fn of_kinds(category: &str) -> Option<Self> {
        Some(match category {
            "drugs" | "precursors" => Self::Drug,
            "tobacco" => Self::KindTobacco,
            "alcohol" => Self::KindAlcohol,
            "weapons" => Self::KindWeapons,
            "ipr-health" => Self::KindIprHealth,
            "cites" => Self::KindCites,
            "environment" => Self::KindEnvironment,
            "cultural-goods" => Self::KindCulturalGoods,
            "currency" => Self::KindCurrency,
            "nuclear-hazardous" => Self::KindNuclearHazardous,
            "tax-duty" => Self::KindTaxDuty,
            "other" => Self::KindOther,
            _ => return None,
        })
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
