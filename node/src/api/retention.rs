//! The calls of `icomm.v1.Retention`.

use icomm_policy::agreement::Expiry as Then;
use icomm_proto::v1::{self, retention_server};
use tonic::{Request, Response, Status};

use super::{
    convert,
    meter::observed,
    service::{blocking, record_id},
};
use crate::{
    core::{
        exchange::{Swept, Term, Unknown},
        retention::DAY_S,
    },
    node::Node,
};

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
impl retention_server::Retention for Service {
    async fn terms(
        &self,
        request: Request<v1::RetentionTermsRequest>,
    ) -> Result<Response<v1::RetentionTermsReply>, Status> {
        observed("Terms", async {
            let v1::RetentionTermsRequest {
                as_of,
                notice_days,
                default_notice,
            } = request.into_inner();
            let as_of = (as_of > 0).then_some(as_of);
            let notice_days = (!default_notice).then_some(notice_days);
            blocking(&self.node, move |node| {
                let now = as_of.unwrap_or_else(|| node.now());
                Ok(reply(node.retention_terms(Some(now), notice_days)?, now))
            })
            .await
        })
        .await
    }

    async fn apply(&self, _: Request<v1::RetentionApplyRequest>) -> Result<Response<v1::RetentionTermsReply>, Status> {
        observed("Apply", async {
            blocking(&self.node, |node| {
                let now = node.now();
                Ok(reply(node.apply_retention()?, now))
            })
            .await
        })
        .await
    }

    async fn open(
        &self,
        request: Request<v1::RetentionOpenRequest>,
    ) -> Result<Response<v1::RetentionOpenReply>, Status> {
        observed("Open", async {
            let v1::RetentionOpenRequest { record_id: id, reader } = request.into_inner();
            let id = record_id(&id)?;
            blocking(&self.node, move |node| {
                let opened = node.open_restricted(&id, &reader)?.into_iter();
                let entries = opened.map(|entry| convert::entry(entry, true)).collect();
                Ok(v1::RetentionOpenReply { entries })
            })
            .await
        })
        .await
    }
}

fn reply(swept: Swept, as_of: u64) -> v1::RetentionTermsReply {
    let Swept { terms, unknown } = swept;
    v1::RetentionTermsReply {
        terms: terms.into_iter().map(term).collect(),
        unknown: unknown.into_iter().map(of_unknown).collect(),
        as_of,
    }
}

fn term(term: Term) -> v1::RetentionTerm {
    let Term {
        origin,
        via,
        basis,
        sections,
        then,
        over,
        entries,
        done,
    } = term;
    v1::RetentionTerm {
        origin: origin.to_string(),
        via: via.to_string(),
        basis,
        sections: sections.to_string(),
        then: match then {
            Then::Erase => "erase".to_owned(),
            Then::Restrict => "restrict".to_owned(),
        },
        over: over.saturating_mul(DAY_S),
        entries,
        done,
    }
}

fn of_unknown(unknown: Unknown) -> v1::RetentionUnknown {
    let Unknown { origin, via, entries } = unknown;
    v1::RetentionUnknown {
        origin: origin.to_string(),
        via: via.to_string(),
        entries,
    }
}
