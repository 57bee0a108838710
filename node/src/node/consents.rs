//! Consent, as an operator sees and handles it: what this member asks others for, and what it answers.

use std::sync::Arc;

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::Purpose;
use icomm_policy::consent::{ConsentFormat, ConsentRequestFormat, InvalidConsentWord, Officer, OperationId, Reason};
use icomm_policy::{AgreementId, Consent, ConsentRequest, Forbidden, Subject, Verdict};
use icomm_proto::{RecordId, SectionSet, View};
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::consents::Kept;
use crate::core::law::AdoptError;

/// The fewest characters by which a request can be named.
pub const ID_CHARS_MIN: usize = 6;

/// What somebody at this node wants to ask an originator.
#[derive(Debug, Clone)]
pub struct Question {
    /// About what.
    pub about: About,
    /// Who should get it.
    pub to: MemberId,
    /// Which sections.
    pub sections: SectionSet,
    /// For which purpose.
    pub purpose: Purpose,
    /// Under which agreement; none: the only one that asks for consent.
    pub agreement: Option<AgreementId>,
    /// Why.
    pub reason: Reason,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum About {
    /// The latest version of a record, as it is held here.
    Record(RecordId),
    /// A member's data of an operation.
    Operation(MemberId, OperationId),
}

/// What an officer decides.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What.
    pub verdict: Verdict,
    /// Of an approval: these sections only.
    pub sections: Option<SectionSet>,
    /// Of an approval: when it ends, in seconds since 1970.
    pub until: u64,
    /// Who.
    pub officer: Officer,
    /// Why.
    pub reason: Reason,
}

/// Why something could not be done about consent.
#[derive(Debug, Error)]
pub enum ConsentError {
    /// A word that can't be used.
    #[error(transparent)]
    Word(#[from] InvalidConsentWord),
    /// Nothing of the record is here but perhaps its hash.
    #[error("nothing of the record `{0}` is held here, so it can't be passed on")]
    UnknownRecord(RecordId),
    /// No such member.
    #[error("`{0}` is not a member in the trust bundle")]
    UnknownMember(MemberId),
    /// Nobody's consent is needed.
    #[error("`{0}` is this member's own record: nobody's consent is needed, its agreements decide")]
    OwnRecord(RecordId),
    /// An operation's data is asked for by somebody else than the global node.
    #[error("`{0}` is not a global node: data of an operation is approved for one; for others ask record by record")]
    NotGlobal(MemberId),
    /// Sections that are not here.
    #[error("`{0}` of the record is not held here, so it can't be passed on")]
    NotHeld(SectionSet),
    /// No consent would help.
    #[error("it could not go even with consent: {0}")]
    Forbidden(#[from] Forbidden),
    /// Not all of it would go.
    #[error("with consent `{gives}` could go, and not all of `{wanted}`: the grants in force give no more")]
    TooMuch {
        /// What would go.
        gives: SectionSet,
        /// What was asked for.
        wanted: SectionSet,
    },
    /// More than one agreement asks for consent.
    #[error("more than one agreement asks for consent, name one with --agreement: {}", names(.0))]
    WhichAgreement(Vec<AgreementId>),
    /// This one does not.
    #[error("`{agreement}` does not ask for this consent; {} does", names(grounds))]
    OtherAgreement {
        /// The one that was named.
        agreement: AgreementId,
        /// Those that do.
        grounds: Vec<AgreementId>,
    },
    /// No request of this name.
    #[error("there is no request for consent `{0}` here; see `icomm consent list`")]
    Unknown(String),
    /// More than one.
    #[error("more than one request begins with `{0}`; write more of it, at least {ID_CHARS_MIN} characters")]
    Ambiguous(String),
    /// It is another member's to answer.
    #[error("only `{0}` can answer this: the records are its own")]
    NotOurs(MemberId),
    /// It was answered before.
    #[error("this was answered before: {0}; to take an approval back, revoke it")]
    Answered(&'static str),
    /// There is nothing to revoke.
    #[error("nothing is approved here, so there is nothing to revoke; a request that waits can be refused")]
    NotApproved,
    /// More than was asked for.
    #[error("`{0}` was not asked for; an approval can give less than that, not more")]
    Unasked(SectionSet),
    /// It was not taken, or could not be kept.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// The record can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

fn names(ids: &[AgreementId]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

impl Node {
    /// Every request and what became of it, the latest first.
    pub fn consents(&self) -> Vec<Arc<Kept>> {
        let mut all = self.0.exchange.consents();
        all.sort_by_key(|kept| {
            let asked = kept.request.as_ref().map(|request| request.says().at);
            std::cmp::Reverse(asked.max(kept.consent.as_ref().map(|consent| consent.says().at)))
        });
        all
    }

    /// Asks an originator whether something may go onward, in this member's name.
    ///
    /// # Errors
    /// It is not here, or no consent would let it go.
    pub fn ask_consent(&self, question: Question) -> Result<Arc<Kept>, ConsentError> {
        let Question {
            about,
            to,
            sections,
            purpose,
            agreement,
            reason,
        } = question;
        let (exchange, now) = (&self.0.exchange, self.0.environment.unix_now());
        let (own, policy) = (&exchange.local().member, exchange.law().policy());
        let role = exchange.law().bundle().member(&to).map(|entry| entry.role);
        let role = role.ok_or_else(|| ConsentError::UnknownMember(to.clone()))?;
        let (subject, view) = match about {
            About::Record(id) => {
                let (subject, view) = self.subject_of(&id)?;
                if subject.owner() == own && role != Role::Global {
                    return Err(ConsentError::OwnRecord(id));
                }
                (subject, Some(view))
            }
            About::Operation(..) if role != Role::Global => return Err(ConsentError::NotGlobal(to)),
            About::Operation(owner, operation) => (Subject::Operation { owner, operation }, None),
        };
        let grounds = policy.consent_grounds(subject.owner(), own, &to, now)?;
        let request = ConsentRequest {
            format: ConsentRequestFormat::V1,
            agreement: ground(agreement, grounds)?,
            subject,
            sections,
            to,
            purpose,
            after: 0,
            by: own.clone(),
            at: now,
            reason,
        };
        if let Some(view) = view {
            let missing = sections.difference(view.sections());
            if !missing.is_empty() {
                return Err(ConsentError::NotHeld(missing));
            }
            let gives = policy.with_consent(&request, view.class_bytes().unwrap_or_default(), now)?;
            if !sections.is_subset(gives) {
                let wanted = sections;
                return Err(ConsentError::TooMuch { gives, wanted });
            }
        }
        Ok(exchange.ask_consent(request)?)
    }

    /// The latest version of a record of which this node holds sections.
    fn subject_of(&self, id: &RecordId) -> Result<(Subject, View), ConsentError> {
        let held = self.find(id)?.into_iter().rev();
        let held = held.filter_map(|entry| Some((entry.origin, entry.view?)));
        let latest = held.max_by_key(|(_, view)| view.head().version);
        let (origin, view) = latest.ok_or(ConsentError::UnknownRecord(*id))?;
        let subject = Subject::Record {
            origin,
            record: *id,
            version: view.head().version,
            leaf: view.leaf_hash(),
        };
        Ok((subject, view))
    }

    /// Answers what this member was asked, in its name.
    ///
    /// # Errors
    /// It is not this member's to answer, or answered already, or there is nothing to revoke.
    pub fn answer_consent(&self, id: &str, decided: Decided) -> Result<Arc<Kept>, ConsentError> {
        let Decided {
            verdict,
            sections,
            until,
            officer,
            reason,
        } = decided;
        let (exchange, now) = (&self.0.exchange, self.0.environment.unix_now());
        let kept = self.consent(id)?;
        let owner = kept
            .thread_owner()
            .ok_or_else(|| ConsentError::Unknown(id.to_owned()))?;
        if owner != exchange.local().member {
            return Err(ConsentError::NotOurs(owner));
        }
        let before = kept.consent.as_ref().map(|consent| consent.says().clone());
        let version = before.as_ref().map_or(0, |before| before.version);
        let consent = match verdict {
            Verdict::Revoked => {
                let approval = before.filter(|_| kept.is_approved()).ok_or(ConsentError::NotApproved)?;
                Consent {
                    verdict,
                    until: 0,
                    version: version.saturating_add(1),
                    officer,
                    reason,
                    at: now,
                    ..approval
                }
            }
            Verdict::Approved | Verdict::Refused => {
                let answered = before
                    .as_ref()
                    .map_or("nothing waits", |before| before.verdict.as_str());
                let pending = kept.pending().ok_or(ConsentError::Answered(answered))?;
                let asked = pending.says().clone();
                let given = sections.unwrap_or(asked.sections);
                let unasked = given.difference(asked.sections);
                if !unasked.is_empty() {
                    return Err(ConsentError::Unasked(unasked));
                }
                Consent {
                    format: ConsentFormat::V1,
                    request: pending.digest,
                    by: owner,
                    subject: asked.subject,
                    sections: given,
                    holder: asked.by,
                    to: asked.to,
                    purpose: asked.purpose,
                    agreement: asked.agreement,
                    // Also if this node forgot what it had answered: who asks remembers.
                    version: version.max(asked.after).saturating_add(1),
                    verdict,
                    until: if verdict == Verdict::Approved { until } else { 0 },
                    officer,
                    at: now,
                    reason,
                }
            }
        };
        Ok(exchange.answer_consent(consent)?)
    }

    /// The thread whose request's id begins so.
    fn consent(&self, id: &str) -> Result<Arc<Kept>, ConsentError> {
        if id.len() < ID_CHARS_MIN {
            return Err(ConsentError::Ambiguous(id.to_owned()));
        }
        let mut named = self.consents();
        named.retain(|kept| kept.id().is_some_and(|digest| digest.to_string().starts_with(id)));
        match (named.pop(), named.is_empty()) {
            (Some(kept), true) => Ok(kept),
            (Some(_), false) => Err(ConsentError::Ambiguous(id.to_owned())),
            (None, _) => Err(ConsentError::Unknown(id.to_owned())),
        }
    }
}

fn ground(named: Option<AgreementId>, grounds: Vec<AgreementId>) -> Result<AgreementId, ConsentError> {
    match (named, grounds.as_slice()) {
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ConsentError::WhichAgreement(grounds)),
        (Some(named), _) if grounds.contains(&named) => Ok(named),
        (Some(agreement), _) => Err(ConsentError::OtherAgreement { agreement, grounds }),
    }
}
