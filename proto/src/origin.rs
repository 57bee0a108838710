//! The name of a log: whose it is and which of its logs.
//!
//! ```text
//! Display        KE/main
//! origin line    demo.icomm.example/KE/main      first line of a checkpoint, and the name of the key that signs it
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use icomm_pki::{InvalidName, MemberId, TrustDomain};
use thiserror::Error;

use crate::text::serde_as_text;

/// Which of a member's logs: `main`, or another one with an audience of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

/// A member's log. Ordered and hashed by member, then name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Whose log it is; its key signs the checkpoints.
    pub member: MemberId,
    /// Which of the member's logs.
    pub log: LogName,
}

/// A text that names no log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidOrigin {
    /// Not a log's name.
    #[error("`{0}` is no name of a log; it is a letter and up to 31 more of a-z, 0-9 and `-`, such as `main`")]
    Log(String),
    /// The member's part.
    #[error("no member before the log's name")]
    Member(#[from] InvalidName),
    /// No slash between member and log.
    #[error("`{0}` is no origin; one looks like `KE/main`")]
    Form(String),
    /// The origin line of another network.
    #[error("origin line `{0}` is not of the trust domain `{1}`")]
    TrustDomain(String, TrustDomain),
}

impl LogName {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// The log that every member has.
    #[must_use]
    pub fn main() -> Self {
        Self("main".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Origin {
    /// The log `log` of `member`.
    #[must_use]
    pub const fn new(member: MemberId, log: LogName) -> Self {
        Self { member, log }
    }

    /// The member's main log.
    #[must_use]
    pub fn main(member: MemberId) -> Self {
        Self::new(member, LogName::main())
    }

    /// The origin line of its checkpoints (C2SP tlog-checkpoint), without a newline.
    #[must_use]
    pub fn line(&self, domain: &TrustDomain) -> String {
        format!("{domain}/{self}")
    }

    /// The log that an origin line of `domain` names.
    pub fn from_line(line: &str, domain: &TrustDomain) -> Result<Self, InvalidOrigin> {
        line.strip_prefix(domain.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| InvalidOrigin::TrustDomain(shortened(line), domain.clone()))?
            .parse()
    }
}

impl FromStr for LogName {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if first && rest && text.len() <= Self::BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(InvalidOrigin::Log(shortened(text)))
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (member, log) = text
            .split_once('/')
            .ok_or_else(|| InvalidOrigin::Form(shortened(text)))?;
        Ok(Self {
            member: member.parse()?,
            log: log.parse()?,
        })
    }
}

/// What an error quotes of a text that a peer may have made endless or unprintable.
fn shortened(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogName({self})")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() {
            return f.pad(&format!("{}/{}", self.member, self.log));
        }
        write!(f, "{}/{}", self.member, self.log)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

serde_as_text!(LogName, Origin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_line_round_trip() {
        let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
        for text in ["KE/main", "RILO-ESA/special-2"] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), text);
            assert_eq!(origin.line(&domain), format!("demo.icomm.example/{text}"));
            assert_eq!(Origin::from_line(&origin.line(&domain), &domain), Ok(origin));
        }
    }

    #[test]
    fn a_line_of_another_network_is_refused() {
        let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
        for line in ["other.example/KE/main", "demo.icomm.exampleKE/main", "KE/main", ""] {
            assert!(
                matches!(Origin::from_line(line, &domain), Err(InvalidOrigin::TrustDomain(..))),
                "{line}"
            );
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for text in [
            "KE",
            "KE/",
            "KE/Main",
            "KE/1",
            "/main",
            "ke/main",
            "KE/main/x",
            "KE/ma in",
            "KE/main\n",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        assert!(format!("KE/{}", "a".repeat(33)).parse::<Origin>().is_err());
    }
}
