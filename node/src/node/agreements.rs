//! Agreements, as an operator sees and handles them.

use icomm_pki::{MemberId, NodeCredentials};
use icomm_policy::book::SuspensionStatus;
use icomm_policy::{
    Agreement, AgreementId, Explanation, InvalidAgreement, NotSigned, Receiver, Request, SignedAgreement, Standing,
};
use icomm_proto::{CodeLists, RecordId, v1};
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::law::AdoptError;
use crate::core::refused::RefusedDocument;

/// How a signed document begins, and no draft.
const SIGNED_PREFIX: &[u8] = b"{\"agreement\":";

/// An agreement and how it stands.
#[derive(Debug, Clone)]
pub struct AgreementStatus {
    /// The agreement.
    pub agreement: Agreement,
    /// Who signed it.
    pub signed_by: Vec<MemberId>,
    /// Whether it decides now, and if not, why.
    pub standing: Standing,
    /// Who suspended it, and who has acknowledged that.
    pub suspensions: Vec<SuspensionState>,
    /// The signed document.
    pub document: Vec<u8>,
}

/// A suspension and how far it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspensionState {
    /// Who suspended the agreement.
    pub by: MemberId,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why, in words.
    pub reason: String,
    /// Who has acknowledged it, and when.
    pub acknowledged: Vec<(MemberId, u64)>,
}

/// Why something could not be done with an agreement.
#[derive(Debug, Error)]
pub enum AgreementError {
    /// It is no agreement.
    #[error(transparent)]
    Invalid(#[from] InvalidAgreement),
    /// It can't be signed here.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// It was not adopted.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// No agreement of this name.
    #[error("there is no agreement `{0}` here")]
    Unknown(String),
    /// No such member.
    #[error("`{0}` is not a member in the trust bundle")]
    UnknownMember(MemberId),
    /// No such record, or only its hash.
    #[error("nothing of the record `{0}` is held here")]
    UnknownRecord(RecordId),
    /// The record can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

/// Adds a member's signature to a draft (TOML or JSON) or to a partly signed agreement; whoever holds the member's key may.
///
/// The categories are those of the signer's own code lists: one that they don't have would be signed and cover nothing.
///
/// # Errors
/// It is no agreement, it names a commodity category that the code lists don't have, or the member is no party to it.
pub fn sign(document: &[u8], credentials: &NodeCredentials, codes: &CodeLists) -> Result<Vec<u8>, AgreementError> {
    let mut signed = match SignedAgreement::parse(document) {
        Ok(signed) => signed,
        // A signed document of which something is wrong: read as a draft it would only be full of unknown keys.
        Err(invalid) if document.starts_with(SIGNED_PREFIX) => return Err(invalid.into()),
        Err(_) => SignedAgreement::unsigned(Agreement::read(&String::from_utf8_lossy(document))?),
    };
    signed.agreement().check_categories(codes)?;
    signed.sign(credentials.member(), credentials.member_key())?;
    Ok(signed.to_bytes())
}

fn suspension_state(status: &SuspensionStatus) -> SuspensionState {
    let suspension = status.suspension();
    SuspensionState {
        by: suspension.by.clone(),
        at: suspension.at,
        reason: suspension.reason.clone(),
        acknowledged: status
            .acknowledgements()
            .map(|seen| (seen.by.clone(), seen.at))
            .collect(),
    }
}

impl Node {
    /// Every version of every agreement.
    pub fn agreements(&self) -> Vec<AgreementStatus> {
        let book = self.0.exchange.law().policy().book();
        let now = self.0.environment.unix_now();
        let status = |ratified: &icomm_policy::Ratified| {
            let agreement = ratified.agreement().clone();
            let standing = book.standing(agreement.id(), agreement.version(), now)?;
            let signed_by = ratified.signed().signers().cloned().collect();
            let counting = book.suspensions(agreement.id());
            let counting = counting.filter(|status| status.suspension().version >= agreement.version());
            let suspensions = counting.map(suspension_state).collect();
            Some(AgreementStatus {
                agreement,
                signed_by,
                standing,
                suspensions,
                document: ratified.signed().to_bytes(),
            })
        };
        book.agreements().filter_map(status).collect()
    }

    /// The documents that did not count, here or at a partner's, the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn refused_documents(&self) -> Result<Vec<RefusedDocument>, HoldingsError> {
        Ok(RefusedDocument::all(&*self.0.store)?)
    }

    /// Adopts an agreement that every party signed and hands it to the other parties.
    ///
    /// # Errors
    /// It does not count: unsigned by somebody, older than what is here, another text under the same version …
    pub fn accept_agreement(&self, document: &[u8]) -> Result<AgreementStatus, AgreementError> {
        let signed = SignedAgreement::parse(document)?;
        let (id, version) = (signed.agreement().id().clone(), signed.agreement().version());
        let document = v1::Document {
            kind: v1::document::Kind::Agreement.into(),
            document: document.to_vec().into(),
        };
        self.adopt(&document)?;
        self.agreement(&id, Some(version))
    }

    /// Adds this member's signature to a draft (TOML or JSON) or to a partly signed agreement. Adopts nothing.
    ///
    /// # Errors
    /// It is no agreement, it names a commodity category that the code lists don't have, or this member is no party to it.
    pub fn sign_agreement(&self, document: &[u8]) -> Result<Vec<u8>, AgreementError> {
        sign(document, &self.credentials(), &self.0.codes)
    }

    /// Suspends an agreement at once, in this member's name.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn suspend_agreement(&self, id: &str, reason: &str) -> Result<AgreementStatus, AgreementError> {
        let id: AgreementId = id.parse().map_err(|_| AgreementError::Unknown(id.to_owned()))?;
        let exchange = &self.0.exchange;
        let adopted = exchange.law().suspend(&id, reason, self.0.environment.unix_now())?;
        exchange.publish(&adopted.documents, None);
        self.agreement(&id, None)
    }

    /// Which sections of a record a member would get from this node, under which grant, or which rule stops it. Sends
    /// nothing.
    ///
    /// # Errors
    /// The record is not here, or the member is unknown.
    pub fn explain(&self, id: &RecordId, member: &MemberId) -> Result<Explanation, AgreementError> {
        let law = self.0.exchange.law();
        let role = law.bundle().member(member).map(|entry| entry.role);
        let role = role.ok_or_else(|| AgreementError::UnknownMember(member.clone()))?;
        let held = self
            .find(id)?
            .into_iter()
            .rev()
            .find_map(|entry| Some((entry.origin, entry.view?)));
        let (origin, view) = held.ok_or(AgreementError::UnknownRecord(*id))?;
        let receiver = Receiver {
            member: member.clone(),
            role,
        };
        let request = Request {
            origin: &origin.member,
            holder: &self.0.exchange.local().member,
            receiver: &receiver,
            purpose: None,
            class: view.class_bytes(),
            entry: Some((*id, view.leaf_hash())),
            now: self.0.environment.unix_now(),
        };
        Ok(law.policy().explain(&request, view.sections()))
    }

    /// Adopts a newer trust bundle.
    ///
    /// # Errors
    /// It does not count.
    pub fn update_bundle(&self, bundle: &[u8]) -> Result<(), AdoptError> {
        self.adopt(&v1::Document {
            kind: v1::document::Kind::Bundle.into(),
            document: bundle.to_vec().into(),
        })
    }

    fn adopt(&self, document: &v1::Document) -> Result<(), AdoptError> {
        let exchange = &self.0.exchange;
        let adopted = exchange.law().adopt(document, self.0.environment.unix_now())?;
        exchange.publish(&adopted.documents, None);
        Ok(())
    }

    fn agreement(&self, id: &AgreementId, version: Option<u32>) -> Result<AgreementStatus, AgreementError> {
        let all = self
            .agreements()
            .into_iter()
            .filter(|status| status.agreement.id() == id);
        let wanted = all.filter(|status| version.is_none_or(|version| status.agreement.version() == version));
        wanted.last().ok_or_else(|| AgreementError::Unknown(id.to_string()))
    }
}
