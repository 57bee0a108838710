//! Agreements: the legal basis of every exchange, as documents that a lawyer reads and the parties sign.
//!
//! ```text
//!   TOML or JSON, as people write it ──▶ Agreement ──▶ canonical bytes ──▶ SignedAgreement ──▶ Ratified
//!   (`Agreement::read`)                  checked        what is signed      some signatures      all parties', verified
//! ```
//!
//! Canonical bytes are the compact JSON of [`Terms`] with keys in the order of their declaration and sets sorted. Bytes that
//! don't re-encode to themselves are refused, so there is one text per agreement and version, and no key that one side's
//! program reads and the other's does not.

mod check;
mod signed;
mod standing;
mod template;
mod terms;
mod words;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use icomm_pki::MemberId;
use icomm_pki::{Digest32, Domain};
use icomm_proto::codes::{CodeLists, List};

pub(crate) use check::passable;
pub use check::{
    ARTICLES_MAX, Fault, Faults, GRANTS_MAX, LIST_MAX, PARTIES_MAX, Problem, RETENTION_DAYS_MAX, TEXT_CHARS_MAX,
};
pub use signed::{InvalidSignatures, NotSigned, Ratified, SignedAgreement};
pub use standing::{
    Acknowledgement, AcknowledgementFormat, InvalidStatement, STATEMENT_BYTES_MAX, Signed, Statement, Suspension,
    SuspensionFormat, Verified,
};
pub use template::{bilateral, contribution, regional};
pub use terms::{
    Expiry, Format, Grant, Instrument, InstrumentKind, Onward, OnwardRule, Party, Retention, Terms, UseInCourt,
};
pub use words::{AgreementId, Categories, Day, HandlingCode, InvalidWord, Purpose, Side};
pub(crate) use words::{section_list, shortened};

/// The most bytes of an agreement, as a document or signed.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;

/// The SHA-256 of the canonical bytes: which text of an agreement this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of any bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a digest is written as 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidDigest)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Why a document is not an agreement.
#[derive(Debug, Error)]
pub enum InvalidAgreement {
    /// More than [`DOCUMENT_BYTES_MAX`].
    #[error("the agreement has {0} bytes, more than the {DOCUMENT_BYTES_MAX} allowed")]
    TooLong(usize),
    /// Not TOML, or keys that agreements don't have, or words they don't know.
    #[error("the agreement can't be read: {0}")]
    Toml(#[source] Box<toml::de::Error>),
    /// Not JSON, or keys that agreements don't have, or words they don't know.
    #[error("the agreement can't be read: {0}")]
    Json(#[source] serde_json::Error),
    /// Readable, but not in the one form in which agreements are signed.
    #[error("the agreement is not in canonical form, so it can't be what its parties signed")]
    NotCanonical,
    /// The terms contradict themselves or lack something.
    #[error("the agreement can't be signed as it is: {0}")]
    Faults(#[source] Faults),
}

/// An agreement whose terms were checked. Whether anybody signed it is another matter: [`SignedAgreement`], [`Ratified`].
#[derive(Clone, PartialEq, Eq)]
pub struct Agreement(Arc<Checked>);

#[derive(PartialEq, Eq)]
struct Checked {
    terms: Terms,
    canonical: Vec<u8>,
    digest: Digest,
}

impl Agreement {
    /// Checks terms made by a program.
    ///
    /// # Errors
    /// All faults of the terms, not only the first.
    pub fn new(terms: Terms) -> Result<Self, InvalidAgreement> {
        let faults = check::faults(&terms);
        if !faults.is_empty() {
            return Err(InvalidAgreement::Faults(Faults(faults)));
        }
        let canonical = serde_json::to_vec(&terms).map_err(InvalidAgreement::Json)?;
        if canonical.len() > DOCUMENT_BYTES_MAX {
            return Err(InvalidAgreement::TooLong(canonical.len()));
        }
        let digest = Digest(Sha256::digest(&canonical).into());
        Ok(Self(Arc::new(Checked {
            terms,
            canonical,
            digest,
        })))
    }

    /// Reads a document as people write it: TOML, or JSON in any layout when it starts with `{`.
    ///
    /// ```
    /// # use icomm_policy::agreement::{Agreement, bilateral};
    /// let text = bilateral(&"ke-ug".parse()?, &"KE".parse()?, &"UG".parse()?, "2026-12-01".parse()?);
    /// let agreement = Agreement::read(&text)?;
    /// assert_eq!(agreement.id().as_str(), "ke-ug");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// With line and column when it can't be read; with every fault when the terms are wrong.
    pub fn read(text: &str) -> Result<Self, InvalidAgreement> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(InvalidAgreement::TooLong(text.len()));
        }
        let terms = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(InvalidAgreement::Json)?
        } else {
            toml::from_str(text).map_err(|error| InvalidAgreement::Toml(Box::new(error)))?
        };
        Self::new(terms)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// When they are not canonical or the terms have faults.
    pub fn parse(canonical: &[u8]) -> Result<Self, InvalidAgreement> {
        if canonical.len() > DOCUMENT_BYTES_MAX {
            return Err(InvalidAgreement::TooLong(canonical.len()));
        }
        let agreement = Self::new(serde_json::from_slice(canonical).map_err(InvalidAgreement::Json)?)?;
        (agreement.canonical() == canonical)
            .then_some(agreement)
            .ok_or(InvalidAgreement::NotCanonical)
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &AgreementId {
        &self.0.terms.id
    }

    /// Its version, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.0.terms.version
    }

    /// The bytes that the parties sign.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.0.canonical
    }

    /// What a hand-over of a party's key calls its signature under this text.
    #[must_use]
    pub fn signed_digest(&self) -> Digest32 {
        Digest32::of_signed(Domain::Agreement, self.canonical())
    }

    /// The SHA-256 of [`Self::canonical`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The parties, in the order of the document.
    pub fn parties(&self) -> impl Iterator<Item = &MemberId> {
        self.0.terms.parties.iter().map(|party| &party.member)
    }

    /// Whether `member` is a party.
    #[must_use]
    pub fn has_party(&self, member: &MemberId) -> bool {
        self.parties().any(|party| party == member)
    }

    /// The first second in force, since 1970.
    #[must_use]
    pub fn begins(&self) -> u64 {
        self.0.terms.in_force_from.begins()
    }

    /// The first second no longer in force, since 1970; `u64::MAX` without an end.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.0.terms.in_force_until.map_or(u64::MAX, Day::ends)
    }

    /// Checks the commodity categories against the code lists in use. For drafts, before they are signed: an agreement that was
    /// signed stays one whatever the lists say later, and a code that no record has covers nothing.
    ///
    /// # Errors
    /// Every code that the list does not have, with its place and the code that may have been meant.
    pub fn check_categories(&self, lists: &CodeLists) -> Result<(), InvalidAgreement> {
        let list = lists.list(List::CommodityCategory);
        let unknown = |(place, code): (String, &str)| {
            let meant = list
                .suggestion(code)
                .map(|meant| format!("; did you mean `{meant}`?"))
                .unwrap_or_default();
            let hint = format!(" in its version {}{meant}", list.version());
            Fault {
                place,
                problem: Problem::UnknownCategory {
                    code: shortened(code),
                    hint,
                },
            }
        };
        let faults: Vec<Fault> = self
            .categories()
            .filter(|(_, code)| !list.contains(code))
            .map(unknown)
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(InvalidAgreement::Faults(Faults(faults)))
        }
    }

    fn categories(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.terms.grants.iter().enumerate().flat_map(|(i, grant)| {
            let codes = match &grant.categories {
                Categories::All => None,
                Categories::Only(codes) => Some(codes),
            };
            codes
                .into_iter()
                .flatten()
                .map(move |code| (format!("grants[{i}].categories"), code.as_str()))
        })
    }

    /// The agreement as TOML, for people.
    ///
    /// # Errors
    /// None in practice: checked terms can be written.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self.terms())
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.id(), self.version())
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agreement({self}, {})", self.digest())
    }
}

#[cfg(test)]
mod tests;
