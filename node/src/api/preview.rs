//! `PreviewAgreement`: a long look over every log, on a thread of its own, with word of how far it has come.

use futures::Stream;
use icomm_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::refusal::unreadable;
use crate::node::{Counted, Node, Preview, PreviewedChange, Supposed};

/// Replies that wait for a slow caller.
const QUEUE_REPLIES_MAX: usize = 4;
/// Entries between two words of progress.
const PROGRESS_ENTRIES: u64 = 16_384;

/// Progress, then the preview; until the caller hangs up or the node stops.
pub(super) fn replies(
    node: Node,
    request: v1::PreviewAgreementRequest,
    stop: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::PreviewAgreementReply, Status>>, Status> {
    let v1::PreviewAgreementRequest { document, without } = request;
    let supposed = match (document.is_empty(), without.is_empty()) {
        (false, true) => Supposed::Agreement(document.into()),
        (true, false) => {
            let id = without.parse();
            Supposed::Without(id.map_err(|error: icomm_policy::agreement::InvalidWord| unreadable(&error))?)
        }
        _ => {
            return Err(Status::invalid_argument(
                "name either a document or an agreement to do without",
            ));
        }
    };
    let (sender, receiver) = mpsc::channel(QUEUE_REPLIES_MAX);
    tokio::task::spawn_blocking(move || look(&node, &supposed, &sender, &stop));
    Ok(ReceiverStream::new(receiver))
}

fn look(
    node: &Node,
    supposed: &Supposed,
    sender: &mpsc::Sender<Result<v1::PreviewAgreementReply, Status>>,
    stop: &CancellationToken,
) {
    let mut told = 0;
    let mut progress = |looked_at: u64, entries: u64| {
        if looked_at.saturating_sub(told) >= PROGRESS_ENTRIES {
            told = looked_at;
            // Nobody waits for the word of a caller that does not listen.
            let _ = sender.try_send(Ok(v1::PreviewAgreementReply {
                looked_at,
                entries,
                preview: None,
            }));
        }
        !stop.is_cancelled() && !sender.is_closed()
    };
    let preview = node.preview(supposed, &mut progress);
    let reply = preview.map_err(Status::from).map(|preview| v1::PreviewAgreementReply {
        looked_at: 0,
        entries: 0,
        preview: Some(message(preview)),
    });
    let _ = sender.blocking_send(reply);
}

fn message(preview: Preview) -> v1::AgreementPreview {
    let Preview {
        id,
        version,
        from,
        changes,
    } = preview;
    v1::AgreementPreview {
        id: id.to_string(),
        version,
        from,
        changes: changes.into_iter().map(change).collect(),
    }
}

fn change(change: PreviewedChange) -> v1::PreviewedChange {
    let PreviewedChange {
        partner,
        origin,
        served: (served_now, served_then),
        widened,
        narrowed,
        held_there,
    } = change;
    v1::PreviewedChange {
        partner: partner.to_string(),
        origin: origin.to_string(),
        served_now,
        served_then,
        widened: widened.entries,
        widened_sections: sections(widened),
        narrowed: narrowed.entries,
        narrowed_sections: sections(narrowed),
        held_there,
    }
}

fn sections(counted: Counted) -> Vec<v1::SectionCount> {
    let sections = counted.sections.into_iter();
    let count = |(section, records): (icomm_proto::SectionKind, u64)| v1::SectionCount {
        section: section.name().to_owned(),
        records,
    };
    sections.map(count).collect()
}
