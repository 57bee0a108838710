//! What part a member plays in the network.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// The role of a member and so of its nodes. It stands in the certificate and in the directory; both must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A customs administration.
    National,
    /// A regional intelligence liaison office: a hub for the administrations of its region.
    Regional,
    /// The root of the network, which holds de-nominalised records only.
    Global,
    /// An organisation beside the customs hierarchy, such as INTERPOL.
    Partner,
}

impl Role {
    /// Every role, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::National, Self::Regional, Self::Global, Self::Partner];

    /// The role as text: `national`, `regional`, `global` or `partner`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::National => "national",
            Self::Regional => "regional",
            Self::Global => "global",
            Self::Partner => "partner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| InvalidName::Role(super::shortened(text)))
    }
}
