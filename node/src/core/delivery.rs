//! What goes to a peer: a stretch of a log is read, the policy makes of each entry what this peer may have of it, and the
//! note of that is made with it.
//!
//! There is no other way from the store to a link, and everything on it passes through an [`icomm_policy::Disclosed`] or,
//! towards the global node, through an [`icomm_policy::Upstream`], which has no place for a section other than the open
//! one. Only `policy` makes either.

use icomm_policy::{Permit, SessionPolicy};
use icomm_proto::log::{ChunkBuilder, Hash, InvalidChunkBody, Item};
use icomm_proto::{InvalidView, NotDenominalised, Origin, SectionSet, View, v1};
use thiserror::Error;

use super::disclosure::{Note, Terms};
use super::feed::Prepared;
use super::own::ITEM_HEAD_BYTES;
use super::session::Peer;
use crate::store::{ReadLimit, Store, StoreError};

/// How much is gathered into one chunk: enough to make signatures, syncs and notes cheap per entry, little enough for a
/// slow link.
pub const READ_LIMIT: ReadLimit = ReadLimit {
    entries_max: 1024,
    bytes_max: 1 << 20,
};

/// Why a chunk could not be made. Ours: nothing was sent.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The store can't read the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored view is not one, which the store's checksums should have told.
    #[error("a stored view can't be read: {0}")]
    View(#[from] InvalidView),
    /// A stored view's open section is not what its originator committed to.
    #[error("a stored view can't go upstream: {0}")]
    Upstream(#[from] NotDenominalised),
    /// The stretch does not fit into a chunk.
    #[error("the entries can't be sent as one chunk: {0}")]
    Body(#[from] InvalidChunkBody),
    /// The note can't be written down.
    #[error("the note of the disclosure can't be encoded: {0}")]
    Note(#[from] serde_json::Error),
}

/// Makes the next chunk of `origin` from index `from` on for `peer`; `None` when nothing is left or nothing may go.
pub fn prepare(
    store: &dyn Store,
    policy: &mut SessionPolicy,
    peer: &Peer,
    origin: &Origin,
    from: u64,
    now: u64,
) -> Result<Option<Prepared>, DeliveryError> {
    if policy.basis(&origin.member, now).is_err() {
        return Ok(None);
    }
    let Some(stretch) = store.read(origin, from, READ_LIMIT)? else {
        return Ok(None);
    };
    let mut note = Note {
        time: now,
        to: peer.member.to_string(),
        node: peer.node.to_string(),
        origin: origin.to_string(),
        from: stretch.from,
        count: 0,
        terms: Vec::new(),
        runs: Vec::new(),
    };
    let mut used = Used::default();
    let mut body = ChunkBuilder::with_capacity(stretch.items.iter().map(sent_len_max).sum());
    for item in &stretch.items {
        let bytes = match item {
            Item::Disclosed(bytes) => bytes,
            Item::Withheld(leaf) => {
                body.withhold(leaf);
                note.push(None);
                continue;
            }
        };
        let view = View::parse(bytes.clone())?;
        match policy {
            SessionPolicy::Peer(session) => {
                let disclosed = session.disclose(&origin.member, &view, now);
                disclosed.write(&mut body);
                note.push(disclosed.permit().map(|permit| used.terms(permit)));
            }
            SessionPolicy::Upstream(session) => {
                let upstream = session.disclose(&origin.member, &view, now)?;
                upstream.write(&mut body);
                note.push(upstream.permit().map(|permit| used.terms(permit)));
            }
        }
    }
    let body = body.finish()?;
    let chunk = v1::Chunk {
        origin: origin.to_string(),
        from: stretch.from,
        count: body.count(),
        checkpoint: stretch.end.checkpoint,
        body: body.bytes().clone(),
    };
    Ok(Some(Prepared {
        chunk,
        note: note.encode()?,
    }))
}

/// How many bytes of a chunk an item takes at most: all of it goes, or its hash.
fn sent_len_max(item: &Item) -> usize {
    match item {
        Item::Disclosed(view) => ITEM_HEAD_BYTES + view.len(),
        Item::Withheld(leaf) => ITEM_HEAD_BYTES + leaf.as_bytes().len(),
    }
}

/// The terms of the permit before: neighbours in a log usually go under the same one.
#[derive(Default)]
struct Used(Option<(Permit, Terms)>);

impl Used {
    fn terms(&mut self, permit: &Permit) -> &Terms {
        let same = self.0.as_ref().is_some_and(|(before, _)| before == permit);
        if !same {
            self.0 = None;
        }
        let (_, terms) = self.0.get_or_insert_with(|| (permit.clone(), Terms::of(permit)));
        terms
    }
}

/// The leaf hash and the disclosed sections of a stored item; `None` if only its hash is held.
pub fn facts(item: Item) -> Result<(Hash, Option<SectionSet>), InvalidView> {
    match item {
        Item::Withheld(hash) => Ok((hash, None)),
        Item::Disclosed(bytes) => View::parse(bytes).map(|view| (view.leaf_hash(), Some(view.sections()))),
    }
}
