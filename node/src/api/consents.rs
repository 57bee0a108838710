//! The calls of `icomm.v1.Consents`.

use icomm_pki::MemberId;
use icomm_policy::agreement::Purpose;
use icomm_policy::consent::Reason;
use icomm_policy::{Subject, Verdict};
use icomm_proto::v1::{self, consents_server};
use icomm_proto::{SectionKind, SectionSet};
use tonic::{Request, Response, Status};

use super::{
    meter::observed,
    refusal::unreadable,
    service::{blocking, record_id},
};
use crate::core::consents::Kept;
use crate::node::{About, Decided, Node, Question};

/// The service over one node.
pub(super) struct Service {
    node: Node,
}

impl Service {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl consents_server::Consents for Service {
    async fn ask(&self, request: Request<v1::AskConsentRequest>) -> Result<Response<v1::ConsentStatus>, Status> {
        observed("AskConsent", async {
            let request = request.into_inner();
            blocking(&self.node, move |node| {
                let kept = node.ask_consent(question(node, request)?)?;
                Ok(status(node, &kept))
            })
            .await
        })
        .await
    }

    async fn list(&self, request: Request<v1::ListConsentsRequest>) -> Result<Response<v1::ListConsentsReply>, Status> {
        observed("ListConsents", async {
            let v1::ListConsentsRequest { open, id } = request.into_inner();
            let consents = self.node.consents();
            let mut consents: Vec<_> = consents.iter().map(|kept| status(&self.node, kept)).collect();
            consents.retain(|status| (!open || status.state == "pending") && status.id.starts_with(&id));
            Ok(v1::ListConsentsReply { consents })
        })
        .await
    }

    async fn answer(&self, request: Request<v1::AnswerConsentRequest>) -> Result<Response<v1::ConsentStatus>, Status> {
        observed("AnswerConsent", async {
            let request = request.into_inner();
            blocking(&self.node, move |node| {
                let id = request.id.clone();
                let kept = node.answer_consent(&id, decided(request)?)?;
                Ok(status(node, &kept))
            })
            .await
        })
        .await
    }
}

fn question(node: &Node, request: v1::AskConsentRequest) -> Result<Question, Status> {
    let v1::AskConsentRequest {
        record_id: record,
        operation,
        owner,
        to,
        sections,
        purpose,
        agreement,
        reason,
    } = request;
    let about = match (record.as_str(), operation.as_str()) {
        (record, "") if !record.is_empty() => About::Record(record_id(record)?),
        ("", operation) if !operation.is_empty() => {
            let owner = match owner.as_str() {
                "" => node.own_origin().member.clone(),
                name => member(name)?,
            };
            About::Operation(owner, operation.parse().map_err(|error| unreadable(&error))?)
        }
        _ => return Err(Status::invalid_argument("name a record or an operation, one of them")),
    };
    Ok(Question {
        about,
        to: member(&to)?,
        sections: section_set(&sections)?.unwrap_or_else(SectionSet::open),
        purpose: purpose.parse::<Purpose>().map_err(|error| unreadable(&error))?,
        agreement: match agreement.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|error| unreadable(&error))?),
        },
        reason: words(reason)?,
    })
}

fn decided(request: v1::AnswerConsentRequest) -> Result<Decided, Status> {
    let v1::AnswerConsentRequest {
        id: _,
        verdict,
        officer,
        reason,
        sections,
        until,
    } = request;
    let known = [Verdict::Approved, Verdict::Refused, Verdict::Revoked];
    let verdict = known.into_iter().find(|known| known.as_str() == verdict);
    Ok(Decided {
        verdict: verdict.ok_or_else(|| Status::invalid_argument("a verdict is approved, refused or revoked"))?,
        sections: section_set(&sections)?,
        until,
        officer: officer.parse().map_err(|error| unreadable(&error))?,
        reason: words(reason)?,
    })
}

fn member(text: &str) -> Result<MemberId, Status> {
    text.parse().map_err(|error: icomm_pki::InvalidName| unreadable(&error))
}

fn words(text: String) -> Result<Reason, Status> {
    Reason::try_from(text).map_err(|error| unreadable(&error))
}

fn section_set(names: &[String]) -> Result<Option<SectionSet>, Status> {
    let kinds = names.iter().map(|name| name.parse::<SectionKind>());
    let set: SectionSet = kinds.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    Ok((!names.is_empty()).then_some(set))
}

/// A thread as this member sees it now.
fn status(node: &Node, kept: &Kept) -> v1::ConsentStatus {
    let (own, now) = (&node.own_origin().member, node.now());
    let mut status = v1::ConsentStatus {
        id: kept.id().map(|digest| digest.to_string()).unwrap_or_default(),
        state: state(kept, own, now).to_owned(),
        seen: kept.seen,
        declined: kept.declined.clone(),
        ..v1::ConsentStatus::default()
    };
    if let Some(consent) = &kept.consent {
        let says = consent.says();
        about(&mut status, &says.subject);
        status.sections = names(says.sections);
        status.holder = says.holder.to_string();
        status.to = says.to.to_string();
        status.purpose = says.purpose.to_string();
        status.agreement = says.agreement.to_string();
        status.consent = consent.digest.to_string();
        status.answer = says.version;
        status.verdict = says.verdict.as_str().to_owned();
        status.approved_sections = match says.verdict {
            Verdict::Approved => names(says.sections),
            Verdict::Refused | Verdict::Revoked => Vec::new(),
        };
        status.until = says.until;
        status.officer = says.officer.to_string();
        status.answered = says.at;
        status.answered_because = says.reason.as_str().to_owned();
        status.consent_document = String::from_utf8_lossy(&consent.bytes).into_owned();
    }
    if let Some(request) = &kept.request {
        let says = request.says();
        about(&mut status, &says.subject);
        status.sections = names(says.sections);
        status.holder = says.by.to_string();
        status.to = says.to.to_string();
        status.purpose = says.purpose.to_string();
        status.agreement = says.agreement.to_string();
        status.asked = says.at;
        status.asked_because = says.reason.as_str().to_owned();
        status.request_document = String::from_utf8_lossy(&request.bytes).into_owned();
    }
    status.side = match (status.owner == own.as_str(), status.holder == own.as_str()) {
        (true, true) => "own",
        (true, false) => "asks",
        (false, _) => "asked",
    }
    .to_owned();
    status
}

fn state(kept: &Kept, own: &MemberId, now: u64) -> &'static str {
    let ours = kept.thread_owner().as_ref() == Some(own);
    let waits = if ours { kept.pending() } else { kept.open() };
    match (waits, &kept.consent) {
        (Some(_), _) if !kept.declined.is_empty() => "declined",
        (Some(_), _) | (None, None) => "pending",
        (None, Some(consent)) => match consent.says().verdict {
            Verdict::Approved if consent.says().counts(now) => "approved",
            Verdict::Approved => "expired",
            other => other.as_str(),
        },
    }
}

fn about(status: &mut v1::ConsentStatus, subject: &Subject) {
    status.owner = subject.owner().to_string();
    match subject {
        Subject::Record {
            origin,
            record,
            version,
            ..
        } => {
            status.origin = origin.to_string();
            status.record_id = record.to_string();
            status.version = *version;
        }
        Subject::Operation { operation, .. } => operation.as_str().clone_into(&mut status.operation),
    }
}

fn names(sections: SectionSet) -> Vec<String> {
    sections.iter().map(|section| section.name().to_owned()).collect()
}
