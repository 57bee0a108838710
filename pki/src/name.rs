//! The names that identities are made of: members, their nodes, the trust domain they meet in, and roles.
//!
//! Every name is checked once, when it is parsed, and is then safe to put into a DNS name, a SPIFFE URI, a file name
//! or a log line: nothing but ASCII letters, digits, hyphens and (in a trust domain) dots gets through.

use thiserror::Error;

mod member;
mod node;
pub(crate) mod peer;
mod role;
mod trust_domain;

pub use member::MemberId;
pub use node::NodeName;
pub use role::Role;
pub use trust_domain::TrustDomain;

/// What is wrong with a text that should have been a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Not `[A-Z][A-Z0-9-]{1,31}`, or a hyphen at its end.
    #[error("`{0}` is not a member id: 2 to 32 capital letters, digits and hyphens, first a letter, last no hyphen")]
    Member(String),
    /// Not a DNS label in lower case.
    #[error("`{0}` is not a node name: 1 to 63 small letters, digits and hyphens, no hyphen first or last")]
    Node(String),
    /// Not a DNS name of at least two labels in lower case, short enough to leave room for member and node.
    #[error("`{0}` is not a trust domain: a DNS name in small letters with two labels or more, up to 64 characters")]
    TrustDomain(String),
    /// None of the four roles.
    #[error("`{0}` is not a role: national, regional, global or partner")]
    Role(String),
}

/// Gives a checked newtype over `Arc<str>` its text traits; parsing always goes through the type's `FromStr`.
macro_rules! text_traits {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::name::InvalidName;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_traits;

/// Whether `label` is a DNS label in its one spelling: small letters, digits, inner hyphens, 1 to 63 of them.
fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

/// What an error message quotes of a refused text: a peer may have sent megabytes, or control characters.
fn shortened(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 64;
    let mut quoted: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests;
