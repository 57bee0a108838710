//! `Who`: who was given a record, and who has erased it.

use icomm_proto::v1;
use tonic::Status;

use crate::api::{convert, refusal::unknown, service::record_id};
use crate::node::Node;

pub(super) async fn reply(node: Node, request: v1::WhoRequest) -> Result<v1::WhoReply, Status> {
    let name = request.record_id;
    let id = record_id(&name)?;
    // Reads all notes of disclosures.
    let who = tokio::task::spawn_blocking(move || node.who(&id)).await;
    let who = who.map_err(|_| Status::internal("the call broke down; this is a fault of icomm"))??;
    who.map(convert::who).ok_or_else(|| unknown("record", &name))
}
