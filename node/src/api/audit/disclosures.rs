//! `Disclosures`: the notes there are when the call begins, filtered here, a page at a time.

use futures::Stream;
use icomm_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    api::{
        refusal::{unknown, unreadable},
        service::{blocking, origin, record_id},
    },
    core::{
        disclosure::{Note, Terms},
        ledger::epoch::Epoch,
    },
    node::{Disclosed, DisclosuresPage, Node, RecordEntry, Wanted},
};

/// Pages that wait for a slow caller.
const QUEUE_PAGES_MAX: usize = 2;

/// All pages, until the caller hangs up or the node stops.
pub(super) async fn pages(
    node: Node,
    request: v1::DisclosuresRequest,
    stop: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::DisclosuresPage, Status>>, Status> {
    let (wanted, notes) = blocking(&node, |node| Ok((wanted(node, request)?, node.disclosures_len()?))).await?;
    // Whoever reads the disclosure log leaves a trace.
    tracing::info!(?wanted, notes, "disclosures are read");
    let (sender, receiver) = mpsc::channel(QUEUE_PAGES_MAX);
    tokio::spawn(async move { stop.run_until_cancelled(send(&node, wanted, notes, &sender)).await });
    Ok(ReceiverStream::new(receiver))
}

async fn send(node: &Node, wanted: Wanted, notes: u64, sender: &mpsc::Sender<Result<v1::DisclosuresPage, Status>>) {
    let mut from = 0;
    // An empty log has an empty page, too.
    loop {
        let wanted = wanted.clone();
        let page = blocking(node, move |node| Ok(node.disclosures(&wanted, from, notes)?)).await;
        // Who reads what left must hear that something may be missing.
        let epochs = match from {
            0 => node.ledger_epochs().begun,
            _ => Vec::new(),
        };
        let message = page.map(|page| {
            from = page.next;
            message(page, notes, epochs)
        });
        let failed = message.is_err();
        if sender.send(message).await.is_err() || failed || from >= notes {
            return;
        }
    }
}

fn wanted(node: &Node, request: v1::DisclosuresRequest) -> Result<Wanted, Status> {
    let v1::DisclosuresRequest {
        to,
        origin: log,
        agreement,
        since,
        until,
        record_id: name,
    } = request;
    let until = if until == 0 { u64::MAX } else { until };
    if since >= until {
        return Err(Status::invalid_argument("the period ends before it begins"));
    }
    let entries = match name.is_empty() {
        true => None,
        false => Some(node.entries_of(&record_id(&name)?)?),
    };
    if entries.as_ref().is_some_and(Vec::is_empty) {
        return Err(unknown("record", &name));
    }
    Ok(Wanted {
        to: some(to),
        origin: some(log).as_deref().map(origin).transpose()?,
        agreement: some(agreement)
            .map(|id| id.parse())
            .transpose()
            .map_err(|error: icomm_policy::agreement::InvalidWord| unreadable(&error))?,
        period: since..until,
        entries,
    })
}

/// A condition that is set.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn message(page: DisclosuresPage, notes: u64, epochs: Vec<Epoch>) -> v1::DisclosuresPage {
    let DisclosuresPage { disclosures, next } = page;
    v1::DisclosuresPage {
        disclosures: disclosures.into_iter().map(disclosure).collect(),
        looked_at: next,
        notes,
        epochs: epochs.into_iter().map(super::ledger::epoch).collect(),
    }
}

fn disclosure(disclosed: Disclosed) -> v1::Disclosure {
    let Disclosed { number, note, entry } = disclosed;
    let (disclosed, counted) = (note.disclosed(), |terms| note.entries_of(terms));
    let entries: Vec<u32> = (0..note.terms.len()).map(counted).collect();
    let Note {
        time,
        to,
        node,
        origin,
        from,
        count,
        terms,
        runs: _,
        // Its terms name section `images` alone.
        photo: _,
    } = note;
    let only = entry.as_ref().map(|(_, terms)| *terms);
    let terms = terms.into_iter().zip(entries).enumerate();
    v1::Disclosure {
        number,
        time,
        to,
        node,
        origin,
        from,
        count,
        disclosed,
        terms: terms
            .filter(|(which, _)| only.is_none_or(|only| only == *which))
            .map(|(_, (Terms { bases, sections }, entries))| v1::DisclosureTerms {
                bases,
                sections,
                entries,
            })
            .collect(),
        entry: entry.map(|(entry, _)| entry_message(&entry)),
    }
}

fn entry_message(entry: &RecordEntry) -> v1::DisclosedEntry {
    let RecordEntry { origin: _, index, head } = entry;
    v1::DisclosedEntry {
        record_id: head.record_id.to_string(),
        version: head.version,
        kind: head.kind.to_string(),
        index: *index,
    }
}
