//! The running node as an import's sink: batches go out by its API, outcomes come back.

use bytes::Bytes;
use icomm_proto::v1;
use tonic::Status;

use super::client::Client;
use crate::intake::{Outcome, RecordFault, Sink, Submission};

/// Hands batches to a node.
#[derive(Debug, Clone)]
pub struct NodeSink {
    client: Client,
    dry_run: bool,
}

impl NodeSink {
    /// Issues what is handed in; in a dry run the node only validates it.
    pub fn new(client: Client, dry_run: bool) -> Self {
        Self { client, dry_run }
    }
}

impl Sink for NodeSink {
    type Error = Status;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, Status> {
        // All keys share one piece of memory, as the drafts do.
        let keys: Vec<u8> = batch.iter().flat_map(|row| *row.key.as_bytes()).collect();
        let mut keys = Bytes::from(keys);
        let rows = batch.into_iter().map(|Submission { key, draft }| v1::ImportRow {
            key: keys.split_to(key.as_bytes().len()),
            draft: Some(draft),
        });
        let request = v1::ImportRequest {
            rows: rows.collect(),
            dry_run: self.dry_run,
        };
        let mut client = self.client.clone();
        let mut replies = client.import(tokio_stream::once(request)).await?.into_inner();
        let mut outcomes = Vec::new();
        while let Some(reply) = replies.message().await? {
            for outcome in reply.outcomes {
                outcomes.push(outcome_of(outcome)?);
            }
        }
        Ok(outcomes)
    }
}

fn outcome_of(outcome: v1::Outcome) -> Result<Outcome, Status> {
    let result = outcome.result();
    let v1::Outcome {
        result: _,
        record_id: record,
        origin: _,
        index: _,
        errors,
    } = outcome;
    Ok(match result {
        v1::outcome::Result::Issued => Outcome::Issued { record },
        v1::outcome::Result::Duplicate => Outcome::Duplicate { record },
        v1::outcome::Result::Valid => Outcome::Valid,
        v1::outcome::Result::Rejected => Outcome::Rejected(errors.into_iter().map(fault_of).collect()),
        v1::outcome::Result::Unspecified => return Err(Status::internal("the node gave an outcome that is none")),
    })
}

fn fault_of(error: v1::FieldError) -> RecordFault {
    let v1::FieldError {
        field,
        value,
        reason,
        list,
    } = error;
    RecordFault {
        field,
        value,
        reason,
        list,
    }
}
