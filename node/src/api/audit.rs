//! The calls of `icomm.v1.Audit`: a file a call.

use futures::{StreamExt, stream::BoxStream};
use icomm_proto::v1::{self, audit_server};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{convert, meter::observed, service::blocking};
use crate::node::Node;

mod disclosures;
pub(super) mod ledger;
mod who;

/// The service over one node.
pub(super) struct Service {
    node: Node,
    stop: CancellationToken,
}

impl Service {
    pub(super) fn new(node: Node, stop: CancellationToken) -> Self {
        Self { node, stop }
    }
}

#[tonic::async_trait]
impl audit_server::Audit for Service {
    type DisclosuresStream = BoxStream<'static, Result<v1::DisclosuresPage, Status>>;

    async fn disclosures(
        &self,
        request: Request<v1::DisclosuresRequest>,
    ) -> Result<Response<Self::DisclosuresStream>, Status> {
        observed("Disclosures", async {
            let pages = disclosures::pages(self.node.clone(), request.into_inner(), self.stop.clone());
            Ok(pages.await?.boxed())
        })
        .await
    }

    async fn verify_disclosures(
        &self,
        _: Request<v1::VerifyDisclosuresRequest>,
    ) -> Result<Response<v1::DisclosuresStatus>, Status> {
        observed("VerifyDisclosures", async {
            blocking(&self.node, |node| Ok(ledger::message(node.verify_ledger()?))).await
        })
        .await
    }

    async fn forks(&self, _: Request<v1::ForksRequest>) -> Result<Response<v1::ForksReply>, Status> {
        observed("Forks", async {
            let forks = self.node.forks().into_iter().map(convert::fork).collect();
            Ok(v1::ForksReply { forks })
        })
        .await
    }

    async fn who(&self, request: Request<v1::WhoRequest>) -> Result<Response<v1::WhoReply>, Status> {
        observed("Who", async {
            who::reply(self.node.clone(), request.into_inner()).await
        })
        .await
    }
}
