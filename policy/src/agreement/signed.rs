//! Signatures under agreements.
//!
//! ```text
//!   {"agreement":{"format":"icomm-agreement/v1",…},"signatures":[{"member":"KE","signature":"base64"},…]}
//! ```
//! Compact JSON, signatures in the order of the members' ids, at most one a member. A signature is over the canonical
//! bytes of the agreement alone, in the domain `agreement`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use icomm_pki::{Domain, MemberId, MemberKey, Role, Signature, SigningError};
use icomm_proto::SectionSet;

use super::words::Side;
use super::{Agreement, DOCUMENT_BYTES_MAX, InvalidAgreement, PARTIES_MAX, Terms};
use crate::cedar::grant::{CompiledGrant, InvalidGrant};
use crate::directory::KeyDirectory;

/// An agreement with the signatures collected so far. Nothing says that they are right: see [`Ratified::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAgreement {
    agreement: Agreement,
    signatures: BTreeMap<MemberId, Signature>,
}

#[derive(Serialize)]
struct EnvelopeRef<'a> {
    agreement: &'a Terms,
    signatures: Vec<Signed<'a>>,
}

#[derive(Serialize)]
struct Signed<'a> {
    member: &'a MemberId,
    signature: &'a Signature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    agreement: Terms,
    signatures: Vec<SignedBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedBy {
    member: MemberId,
    signature: Signature,
}

impl SignedAgreement {
    /// The agreement, signed by nobody yet.
    #[must_use]
    pub fn unsigned(agreement: Agreement) -> Self {
        Self {
            agreement,
            signatures: BTreeMap::new(),
        }
    }

    /// Adds the signature of `member`, in place of an earlier one.
    ///
    /// # Errors
    /// When `member` is not a party, or its key does not sign now.
    pub fn sign(&mut self, member: &MemberId, key: &MemberKey) -> Result<(), NotSigned> {
        if !self.agreement.has_party(member) {
            return Err(InvalidSignatures::Stranger { member: member.clone() }.into());
        }
        let signature = key.sign(Domain::Agreement, self.agreement.canonical())?;
        self.signatures.insert(member.clone(), signature);
        Ok(())
    }

    /// Takes over the signatures of another copy of the same text.
    ///
    /// # Errors
    /// When the other is another text.
    pub fn merge(&mut self, other: Self) -> Result<(), InvalidSignatures> {
        if self.agreement != other.agreement {
            return Err(InvalidSignatures::OtherText);
        }
        self.signatures.extend(other.signatures);
        Ok(())
    }

    /// Reads the stored and sent form.
    ///
    /// # Errors
    /// When it is no agreement, or not in the one form it can have.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidAgreement> {
        if bytes.len() > DOCUMENT_BYTES_MAX + PARTIES_MAX * 256 {
            return Err(InvalidAgreement::TooLong(bytes.len()));
        }
        let Envelope { agreement, signatures } = serde_json::from_slice(bytes).map_err(InvalidAgreement::Json)?;
        let agreement = Agreement::new(agreement)?;
        let signatures = signatures
            .into_iter()
            .map(|SignedBy { member, signature }| (member, signature))
            .collect();
        let parsed = Self { agreement, signatures };
        // One form only: two signatures of one member, other order or spaces don't come back as they were.
        (parsed.to_bytes() == bytes)
            .then_some(parsed)
            .ok_or(InvalidAgreement::NotCanonical)
    }

    /// The stored and sent form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures = self
            .signatures
            .iter()
            .map(|(member, signature)| Signed { member, signature })
            .collect();
        // Checked terms were encoded once already, so this can't fail; if it did, the empty bytes would be refused.
        serde_json::to_vec(&EnvelopeRef {
            agreement: self.agreement.terms(),
            signatures,
        })
        .unwrap_or_default()
    }

    /// The agreement.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Who signed, rightly or not.
    pub fn signers(&self) -> impl Iterator<Item = &MemberId> {
        self.signatures.keys()
    }

    /// The parties that have not signed.
    pub fn missing(&self) -> impl Iterator<Item = &MemberId> {
        self.agreement
            .parties()
            .filter(|party| !self.signatures.contains_key(*party))
    }
}

/// Why a member's signature was not made.
#[derive(Debug, Error)]
pub enum NotSigned {
    /// It would not count.
    #[error(transparent)]
    Stranger(#[from] InvalidSignatures),
    /// The statement can't be written: our fault.
    #[error("the statement can't be written: {0}")]
    Encoding(#[from] serde_json::Error),
    /// The key does not sign now.
    #[error(transparent)]
    Key(#[from] SigningError),
}

/// Why the signatures under an agreement don't make it binding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidSignatures {
    /// Nobody signed.
    #[error("nobody has signed the agreement")]
    Unsigned,
    /// Somebody has not signed.
    #[error(
        "the agreement is not signed by {}; it binds nobody until every party signed",
        quoted(missing)
    )]
    OneSided {
        /// Who is missing.
        missing: Vec<MemberId>,
    },
    /// Somebody signed who is not a party.
    #[error("`{member}` is not a party to the agreement and can't sign it")]
    Stranger {
        /// Who signed.
        member: MemberId,
    },
    /// A party that the trust bundle does not know.
    #[error("the trust bundle does not know the party `{member}`, so its signature can't be checked")]
    UnknownParty {
        /// The party.
        member: MemberId,
    },
    /// A signature that is not the member's over this text.
    #[error("the signature of `{member}` is not over this text, or not with its key")]
    BadSignature {
        /// Whose it says it is.
        member: MemberId,
    },
    /// Two different texts were to be put together.
    #[error("the two documents are not the same text, so their signatures can't be put together")]
    OtherText,
    /// More than the open section is given to the global node.
    #[error(
        "grant {grant} gives `{sections}` to `{member}`, which is global: it may hold `case` only, so name the other receivers one by one"
    )]
    BeyondOpen {
        /// The grant's place in the document, from 0.
        grant: usize,
        /// What it gives too much.
        sections: SectionSet,
        /// The global member.
        member: MemberId,
    },
    /// A grant that this program can't turn into a policy.
    #[error("grant {grant} can't be decided on by this node: {invalid}")]
    Grant {
        /// The grant's place in the document, from 0.
        grant: usize,
        /// Why.
        #[source]
        invalid: InvalidGrant,
    },
}

fn quoted(members: &[MemberId]) -> String {
    members
        .iter()
        .map(|member| format!("`{member}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// An agreement that every party signed, with its grants ready to be decided on.
#[derive(Clone)]
pub struct Ratified(Arc<Verified>);

struct Verified {
    signed: SignedAgreement,
    grants: Vec<CompiledGrant>,
}

impl Ratified {
    /// Checks every signature, and that the global node is given nothing but the open section.
    ///
    /// # Errors
    /// The first rule that is broken, with the member's name.
    pub fn verify(signed: SignedAgreement, directory: &dyn KeyDirectory) -> Result<Self, InvalidSignatures> {
        let agreement = &signed.agreement;
        if signed.signatures.is_empty() {
            return Err(InvalidSignatures::Unsigned);
        }
        if let Some(member) = signed.signers().find(|signer| !agreement.has_party(signer)) {
            return Err(InvalidSignatures::Stranger { member: member.clone() });
        }
        let missing: Vec<MemberId> = signed.missing().cloned().collect();
        if !missing.is_empty() {
            return Err(InvalidSignatures::OneSided { missing });
        }
        for (member, signature) in &signed.signatures {
            directory
                .verify(member, Domain::Agreement, agreement.canonical(), signature)
                .ok_or_else(|| InvalidSignatures::UnknownParty { member: member.clone() })?
                .map_err(|_| InvalidSignatures::BadSignature { member: member.clone() })?;
        }
        let grants = compiled(agreement, directory)?;
        Ok(Self(Arc::new(Verified { signed, grants })))
    }

    /// As if all parties had signed: for [`crate::Prospect`], which makes no permit.
    pub(crate) fn supposed(agreement: Agreement, directory: &dyn KeyDirectory) -> Result<Self, InvalidSignatures> {
        let grants = compiled(&agreement, directory)?;
        let signed = SignedAgreement::unsigned(agreement);
        Ok(Self(Arc::new(Verified { signed, grants })))
    }

    /// The agreement.
    #[must_use]
    pub fn agreement(&self) -> &Agreement {
        &self.0.signed.agreement
    }

    /// The document with its signatures, to store and to send.
    #[must_use]
    pub fn signed(&self) -> &SignedAgreement {
        &self.0.signed
    }

    pub(crate) fn grants(&self) -> &[CompiledGrant] {
        &self.0.grants
    }
}

/// The grants, ready to be decided on; nothing but the open section for the global node.
fn compiled(agreement: &Agreement, directory: &dyn KeyDirectory) -> Result<Vec<CompiledGrant>, InvalidSignatures> {
    check_global(agreement, directory)?;
    let compile = |(grant, terms)| {
        CompiledGrant::compile(agreement, grant, terms).map_err(|invalid| InvalidSignatures::Grant { grant, invalid })
    };
    let grants = agreement.terms().grants.iter().enumerate();
    grants.map(compile).collect()
}

impl fmt::Debug for Ratified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ratified({})", self.agreement())
    }
}

/// The global node holds the open section only; a document that says otherwise is refused rather than quietly narrowed.
fn check_global(agreement: &Agreement, directory: &dyn KeyDirectory) -> Result<(), InvalidSignatures> {
    for (grant, terms) in agreement.terms().grants.iter().enumerate() {
        let sections = terms.sections.difference(SectionSet::open());
        if sections.is_empty() {
            continue;
        }
        let receives = |member: &&MemberId| match &terms.to {
            Side::Parties => true,
            Side::Member(to) => to == *member,
        };
        let global = |member: &&MemberId| directory.role(member) == Some(Role::Global);
        if let Some(member) = agreement.parties().filter(receives).find(global) {
            return Err(InvalidSignatures::BeyondOpen {
                grant,
                sections,
                member: member.clone(),
            });
        }
    }
    Ok(())
}
