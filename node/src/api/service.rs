//! The calls of `icomm.v1.Node`, each a short way into the node and back.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use icomm_pki::MemberId;
use icomm_proto::{Origin, RecordId, SectionKind, SectionSet, v1, v1::node_server};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert,
    meter::observed,
    preview,
    refusal::{unknown, unreadable},
    watch,
};
use crate::{
    core::recall::UnknownReason,
    node::{Node, ProofRequest, Submission},
    store::IntakeKey,
};

/// Batches of one import that are under way at once.
const IMPORT_BATCHES_MAX: usize = 4;
/// Entries in a page of a list where the caller names no number.
const LIST_ENTRIES: u32 = 100;
/// Entries in a page of a list.
const LIST_ENTRIES_MAX: u32 = 1000;

/// The service over one node.
pub(super) struct Service {
    node: Node,
    stop: CancellationToken,
}

impl Service {
    pub(super) fn new(node: Node, stop: CancellationToken) -> Self {
        Self { node, stop }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        blocking(&self.node, work).await
    }

    /// The log that a caller names; nothing stands for the own one.
    fn origin(&self, name: &str) -> Result<Origin, Status> {
        if name.is_empty() {
            Ok(self.node.own_origin().clone())
        } else {
            origin(name)
        }
    }
}

/// Runs what may wait for the disk where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    node: &Node,
    work: impl FnOnce(&Node) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let node = node.clone();
    let done = tokio::task::spawn_blocking(move || work(&node)).await;
    done.map_err(|_| Status::internal("the call broke down; this is a fault of icomm"))?
}

pub(super) fn origin(name: &str) -> Result<Origin, Status> {
    name.parse()
        .map_err(|error: icomm_proto::InvalidOrigin| unreadable(&error))
}

pub(super) fn record_id(text: &str) -> Result<RecordId, Status> {
    text.parse()
        .map_err(|error: icomm_proto::InvalidRecordId| unreadable(&error))
}

fn member(text: &str) -> Result<MemberId, Status> {
    text.parse().map_err(|error: icomm_pki::InvalidName| unreadable(&error))
}

fn sections(names: &[String]) -> Result<SectionSet, Status> {
    let kinds = names.iter().map(|name| name.parse::<SectionKind>());
    kinds.collect::<Result<_, _>>().map_err(|error| unreadable(&error))
}

fn submission(key: &Bytes, draft: Option<Bytes>) -> Result<Submission, Status> {
    let draft = draft.ok_or_else(|| Status::invalid_argument("a row without a draft"))?;
    let key = match key.len() {
        0 => None,
        _ => {
            let key: [u8; 16] = key
                .as_ref()
                .try_into()
                .map_err(|_| Status::invalid_argument(format!("a key of {} bytes; a key has 16", key.len())))?;
            Some(IntakeKey::from(key))
        }
    };
    Ok(Submission { key, draft })
}

async fn import_batch(node: Node, request: v1::ImportRequest) -> Result<v1::ImportReply, Status> {
    let v1::ImportRequest { rows, dry_run } = request;
    let batch = rows
        .into_iter()
        .map(|row| submission(&row.key, row.draft))
        .collect::<Result<Vec<_>, _>>()?;
    let outcomes = node.submit(batch, dry_run).await?;
    Ok(v1::ImportReply {
        outcomes: outcomes.into_iter().map(convert::outcome).collect(),
    })
}

#[tonic::async_trait]
impl node_server::Node for Service {
    type ImportStream = BoxStream<'static, Result<v1::ImportReply, Status>>;
    type PreviewAgreementStream = BoxStream<'static, Result<v1::PreviewAgreementReply, Status>>;
    type WatchStream = BoxStream<'static, Result<v1::Entry, Status>>;

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        observed("Status", async {
            let (links, listening) = (self.node.links().await, self.node.listening().await);
            let listening = listening.iter().map(ToString::to_string).collect();
            self.blocking(move |node| Ok(convert::status(node.status(), node.logs()?, links, listening)))
                .await
        })
        .await
    }

    async fn doctor(&self, _: Request<v1::DoctorRequest>) -> Result<Response<v1::DoctorReply>, Status> {
        observed("Doctor", async {
            let checks = self.node.checks().await.into_iter().map(convert::check).collect();
            Ok(v1::DoctorReply { checks })
        })
        .await
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        observed("Submit", async {
            let v1::SubmitRequest { draft, key } = request.into_inner();
            let outcomes = self.node.submit(vec![submission(&key, draft)?], false).await?;
            let outcome = outcomes.into_iter().next().map(convert::outcome);
            Ok(v1::SubmitReply { outcome })
        })
        .await
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        observed("Import", async {
            let node = self.node.clone();
            let replies = request
                .into_inner()
                .map_ok(move |request| import_batch(node.clone(), request))
                .try_buffered(IMPORT_BATCHES_MAX)
                .boxed();
            Ok(replies)
        })
        .await
    }

    async fn amend(&self, request: Request<v1::AmendRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        observed("Amend", async {
            let v1::AmendRequest { record_id: id, draft } = request.into_inner();
            let draft = draft.ok_or_else(|| Status::invalid_argument("a correction without a draft"))?;
            let outcome = self.node.amend(record_id(&id)?, draft.encode_to_vec().into()).await?;
            Ok(v1::SubmitReply {
                outcome: Some(convert::outcome(outcome)),
            })
        })
        .await
    }

    async fn recall(&self, request: Request<v1::RecallRequest>) -> Result<Response<v1::RecallReply>, Status> {
        observed("Recall", async {
            let v1::RecallRequest { record_id: id, reason } = request.into_inner();
            let reason = reason.parse().map_err(|error: UnknownReason| unreadable(&error))?;
            Ok(convert::recalled(self.node.recall(record_id(&id)?, reason).await?))
        })
        .await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetReply>, Status> {
        observed("Get", async {
            let v1::GetRequest {
                record_id: name,
                history,
            } = request.into_inner();
            let id = record_id(&name)?;
            let found = move |node: &Node| {
                let held = if history { node.find(&id)? } else { node.latest(&id)? };
                Ok((held, node.recalls_of(&id)?))
            };
            let (held, recalls) = self.blocking(found).await?;
            if held.is_empty() && recalls.is_empty() {
                return Err(unknown("record", &name));
            }
            Ok(v1::GetReply {
                entries: held.into_iter().map(|entry| convert::entry(entry, true)).collect(),
                recalls: recalls
                    .iter()
                    .map(|(origin, kept)| convert::recall(origin, kept))
                    .collect(),
            })
        })
        .await
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListReply>, Status> {
        observed("List", async {
            let v1::ListRequest {
                origin,
                from,
                limit,
                with_views,
            } = request.into_inner();
            let origin = self.origin(&origin)?;
            let limit = match limit {
                0 => LIST_ENTRIES,
                some if some > LIST_ENTRIES_MAX => {
                    let message = format!("`limit` is {some}; at most {LIST_ENTRIES_MAX} entries go in one page");
                    return Err(Status::invalid_argument(message));
                }
                some => some,
            };
            // One more than asked for tells whether there is more.
            let wanted = limit as usize;
            let mut held = self
                .blocking(move |node| Ok(node.list(&origin, from, wanted + 1)?))
                .await?;
            let end = held.len() <= wanted;
            held.truncate(wanted);
            let next = held.last().map_or(from, |entry| entry.index.saturating_add(1));
            let entries = held
                .into_iter()
                .map(|entry| convert::entry(entry, with_views))
                .collect();
            Ok(v1::ListReply { entries, next, end })
        })
        .await
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        observed("Watch", async {
            let v1::WatchRequest { origin: name, from } = request.into_inner();
            let scope = match (name.is_empty(), from) {
                (true, Some(_)) => {
                    return Err(Status::invalid_argument(
                        "`from` needs an `origin`: each log has its own count",
                    ));
                }
                (true, None) => watch::Scope::Everything,
                (false, from) => watch::Scope::One {
                    origin: origin(&name)?,
                    from,
                },
            };
            Ok(watch::entries(self.node.clone(), scope, self.stop.clone())
                .await?
                .boxed())
        })
        .await
    }

    async fn verify_log(&self, request: Request<v1::VerifyLogRequest>) -> Result<Response<v1::LogStatus>, Status> {
        observed("VerifyLog", async {
            let origin = self.origin(&request.into_inner().origin)?;
            self.blocking(move |node| Ok(convert::log(node.verify_log(&origin)?)))
                .await
        })
        .await
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Result<Response<v1::ProveReply>, Status> {
        observed("Prove", async {
            let v1::ProveRequest {
                record_id: id,
                version,
                sections: names,
                recipient,
            } = request.into_inner();
            let request = ProofRequest {
                record: record_id(&id)?,
                version: (version > 0).then_some(version),
                sections: if names.is_empty() {
                    SectionSet::open()
                } else {
                    sections(&names)?
                },
                recipient,
            };
            self.blocking(move |node| Ok(convert::proof(node.prove(&request)?)))
                .await
        })
        .await
    }

    async fn list_agreements(
        &self,
        _: Request<v1::ListAgreementsRequest>,
    ) -> Result<Response<v1::ListAgreementsReply>, Status> {
        observed("ListAgreements", async {
            let agreements = self.node.agreements().into_iter().map(convert::agreement).collect();
            let refused = self
                .node
                .refused_documents()?
                .into_iter()
                .map(convert::refused)
                .collect();
            Ok(v1::ListAgreementsReply { agreements, refused })
        })
        .await
    }

    async fn accept_agreement(
        &self,
        request: Request<v1::AcceptAgreementRequest>,
    ) -> Result<Response<v1::Agreement>, Status> {
        observed("AcceptAgreement", async {
            let document = request.into_inner().document;
            self.blocking(move |node| Ok(convert::agreement(node.accept_agreement(&document)?)))
                .await
        })
        .await
    }

    async fn sign_agreement(
        &self,
        request: Request<v1::SignAgreementRequest>,
    ) -> Result<Response<v1::SignAgreementReply>, Status> {
        observed("SignAgreement", async {
            let document = self.node.sign_agreement(&request.into_inner().document)?.into();
            Ok(v1::SignAgreementReply { document })
        })
        .await
    }

    async fn suspend_agreement(
        &self,
        request: Request<v1::SuspendAgreementRequest>,
    ) -> Result<Response<v1::Agreement>, Status> {
        observed("SuspendAgreement", async {
            let v1::SuspendAgreementRequest { id, reason } = request.into_inner();
            self.blocking(move |node| Ok(convert::agreement(node.suspend_agreement(&id, &reason)?)))
                .await
        })
        .await
    }

    async fn preview_agreement(
        &self,
        request: Request<v1::PreviewAgreementRequest>,
    ) -> Result<Response<Self::PreviewAgreementStream>, Status> {
        observed("PreviewAgreement", async {
            Ok(preview::replies(self.node.clone(), request.into_inner(), self.stop.clone())?.boxed())
        })
        .await
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainReply>, Status> {
        observed("Explain", async {
            let v1::ExplainRequest { record_id: id, peer } = request.into_inner();
            let (id, peer) = (record_id(&id)?, member(&peer)?);
            self.blocking(move |node| Ok(convert::explanation(&node.explain(&id, &peer)?)))
                .await
        })
        .await
    }

    async fn list_links(&self, _: Request<v1::ListLinksRequest>) -> Result<Response<v1::ListLinksReply>, Status> {
        observed("ListLinks", async {
            let links = self.node.links().await.into_iter().map(convert::link).collect();
            Ok(v1::ListLinksReply { links })
        })
        .await
    }

    async fn test_link(&self, request: Request<v1::TestLinkRequest>) -> Result<Response<v1::TestLinkReply>, Status> {
        observed("TestLink", async {
            let peer = member(&request.into_inner().peer)?;
            let report = self.node.test_link(&peer).await;
            report
                .map(convert::report)
                .ok_or_else(|| Status::unavailable("the node is stopping"))
        })
        .await
    }

    async fn update_bundle(
        &self,
        request: Request<v1::UpdateBundleRequest>,
    ) -> Result<Response<v1::UpdateBundleReply>, Status> {
        observed("UpdateBundle", async {
            let bundle = request.into_inner().bundle;
            self.blocking(move |node| {
                node.update_bundle(&bundle)?;
                let adopted = node.bundle();
                Ok(v1::UpdateBundleReply {
                    version: adopted.version(),
                    expires: convert::moment(adopted.expires()),
                })
            })
            .await
        })
        .await
    }
}
