//! What is signed: the question, the answer, and that the answer has arrived.

use serde::{Deserialize, Serialize};

use icomm_pki::{Domain, MemberId};
use icomm_proto::SectionSet;

use super::words::{Officer, Reason, Subject, Thread, as_text};
use crate::agreement::{AgreementId, Digest, Purpose, Signed, Statement, section_list};

/// A holder asks an originator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRequest {
    /// The layout.
    pub format: ConsentRequestFormat,
    /// What should go.
    pub subject: Subject,
    /// Which sections of it.
    #[serde(with = "section_list")]
    pub sections: SectionSet,
    /// To whom.
    pub to: MemberId,
    /// For which purpose.
    pub purpose: Purpose,
    /// The agreement whose grant to the holder asks for consent.
    pub agreement: AgreementId,
    /// The version of the last answer that the holder has in this thread; 0: none.
    pub after: u32,
    /// Who asks: who would send it.
    pub by: MemberId,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
    /// Why, in words that name nobody.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub reason: Reason,
}

/// The layout of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentRequestFormat {
    /// The layout of this file.
    #[serde(rename = "icomm-consent-request/v1")]
    V1,
}

/// What an originator says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may go.
    Approved,
    /// It may not.
    Refused,
    /// It may no longer.
    Revoked,
}

impl Verdict {
    /// Its name, as it is signed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
        }
    }
}

/// The originator's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The layout.
    pub format: ConsentFormat,
    /// SHA-256 of the signed request that it answers.
    #[serde(with = "as_text")]
    pub request: Digest,
    /// What it is about.
    pub subject: Subject,
    /// The sections that may go; of a refusal or revocation those that were asked for or approved.
    #[serde(with = "section_list")]
    pub sections: SectionSet,
    /// Who may send them.
    pub holder: MemberId,
    /// To whom.
    pub to: MemberId,
    /// For which purpose.
    pub purpose: Purpose,
    /// The agreement whose grant asks for consent.
    pub agreement: AgreementId,
    /// 1, 2, 3 … in its thread.
    pub version: u32,
    /// What the originator says.
    pub verdict: Verdict,
    /// The first second, since 1970, in which an approval no longer counts; 0 where nothing was approved.
    pub until: u64,
    /// Who decided.
    pub officer: Officer,
    /// The originator.
    pub by: MemberId,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
    /// Why, in words that name nobody.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub reason: Reason,
}

/// The layout of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentFormat {
    /// The layout of this file.
    #[serde(rename = "icomm-consent/v1")]
    V1,
}

/// Who asked has the answer, and acts on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentSeen {
    /// The layout.
    pub format: ConsentSeenFormat,
    /// SHA-256 of the signed answer.
    #[serde(with = "as_text")]
    pub consent: Digest,
    /// What the answer is about.
    pub subject: Subject,
    /// To whom it would go.
    pub to: MemberId,
    /// Who asked.
    pub by: MemberId,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
}

/// The layout of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentSeenFormat {
    /// The layout of this file.
    #[serde(rename = "icomm-consent-seen/v1")]
    V1,
}

fn is_empty(reason: &Reason) -> bool {
    reason.as_str().is_empty()
}

impl ConsentRequest {
    /// The thread that it belongs to.
    #[must_use]
    pub fn thread(&self) -> Thread {
        Thread::new(&self.subject, &self.by, &self.to)
    }
}

impl Consent {
    /// The thread that it belongs to.
    #[must_use]
    pub fn thread(&self) -> Thread {
        Thread::new(&self.subject, &self.holder, &self.to)
    }

    /// Whether it lets anything go at `now` (seconds since 1970).
    #[must_use]
    pub fn counts(&self, now: u64) -> bool {
        self.verdict == Verdict::Approved && now < self.until
    }
}

impl ConsentSeen {
    /// `by` has `consent`, at `at` seconds since 1970.
    #[must_use]
    pub fn new(consent: &Signed<Consent>, digest: Digest, at: u64) -> Self {
        let Consent {
            subject, to, holder, ..
        } = consent.statement().clone();
        Self {
            format: ConsentSeenFormat::V1,
            consent: digest,
            subject,
            to,
            by: holder,
            at,
        }
    }

    /// The thread that it belongs to.
    #[must_use]
    pub fn thread(&self) -> Thread {
        Thread::new(&self.subject, &self.by, &self.to)
    }
}

impl Statement for ConsentRequest {
    const DOMAIN: Domain = Domain::ConsentRequest;

    fn by(&self) -> &MemberId {
        &self.by
    }
}

impl Statement for Consent {
    const DOMAIN: Domain = Domain::Consent;

    fn by(&self) -> &MemberId {
        &self.by
    }
}

impl Statement for ConsentSeen {
    const DOMAIN: Domain = Domain::ConsentSeen;

    fn by(&self) -> &MemberId {
        &self.by
    }
}
