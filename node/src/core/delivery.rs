//! What goes to a peer: a stretch of a log is read, the policy makes of each entry what this peer may have of it, and the
//! note of that is made with it.
//!
//! There is no other way from the store to a link, and everything on it passes through an [`icomm_policy::Disclosed`] or,
//! towards the global node, through an [`icomm_policy::Upstream`], which has no place for a section other than the open
//! one. Only `policy` makes either.

use bytes::Bytes;
use icomm_policy::agreement::Retention;
use icomm_policy::{Permit, SessionPolicy, Way};
use icomm_proto::log::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, ChunkBuilder, Hash, InvalidChunkBody, ItemRef};
use icomm_proto::{InvalidView, NotDenominalised, Origin, RecordId, SectionSet, ViewRef, v1};
use rustc_hash::FxHashMap;
use thiserror::Error;

use super::disclosure::{Note, Terms};
use super::feed::Prepared;
use super::retention;
use super::session::Peer;
use crate::store::{ReadLimit, Store, StoreError, Stretch};

pub mod refill;

/// How much is read at once: little enough to be still in the processor's cache when it is disclosed.
pub const READ_LIMIT: ReadLimit = ReadLimit {
    entries_max: 1024,
    bytes_max: 1 << 20,
};

/// A chunk that is so long gets no more: signatures, syncs and notes are cheap per entry then, and it is little enough for
/// a slow link.
pub const CHUNK_BYTES_ENOUGH: usize = 768 << 10;

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
    let Ok(revision) = policy.revision(&origin.member, now).map(ToString::to_string) else {
        return Ok(None);
    };
    let note = Note::new(now, peer.member.as_str(), peer.node.as_str(), origin, from);
    match gather(store, policy, origin, note.clone(), u64::MAX) {
        // What comes before it can go; when its turn comes, it is told.
        Err(Stuck { at, .. }) if at > from => gather(store, policy, origin, note, at),
        gathered => gathered,
    }
    .map(|made| made.map(|made| made.under(revision)))
    .map_err(|stuck| stuck.error)
}

/// Where a chunk could not be made further.
struct Stuck {
    at: u64,
    error: DeliveryError,
}

/// A chunk from where the note begins: stretch after stretch while there is room, none of them from index `until` on.
fn gather(
    store: &dyn Store,
    policy: &mut SessionPolicy,
    origin: &Origin,
    note: Note,
    until: u64,
) -> Result<Option<Made>, Stuck> {
    let (from, now) = (note.from, note.time);
    let mut making = Making::new(note);
    let (mut next, mut checkpoint) = (from, None);
    while next < until && !making.is_enough() {
        let stuck = |error| Stuck { at: next, error };
        let Some(stretch) = store
            .read(origin, next, READ_LIMIT)
            .map_err(|error| stuck(error.into()))?
        else {
            break;
        };
        match checkpoint {
            None => making.begin(&stretch),
            Some(_) if making.has_room(&stretch) => {}
            Some(_) => break,
        }
        making.add(policy, origin, &stretch, now).map_err(stuck)?;
        next = stretch.end.size();
        checkpoint = Some(stretch.end.checkpoint);
    }
    let Some(checkpoint) = checkpoint else { return Ok(None) };
    making
        .finish(origin, checkpoint)
        .map(Some)
        .map_err(|error| Stuck { at: from, error })
}

/// A chunk and the note of it.
struct Made {
    chunk: v1::Chunk,
    note: Bytes,
}

impl Made {
    fn under(self, revision: String) -> Prepared {
        let Self { chunk, note } = self;
        Prepared {
            chunk,
            note,
            revision,
            as_of: 0,
        }
    }
}

/// A chunk in the making, and the note of it.
struct Making {
    note: Note,
    body: ChunkBuilder,
    /// Permits by their number, each with which of the note's terms are its.
    used: FxHashMap<usize, (Permit, usize)>,
}

impl Making {
    fn new(note: Note) -> Self {
        Self {
            note,
            body: ChunkBuilder::default(),
            used: FxHashMap::default(),
        }
    }

    /// Makes room for as much as the first stretch lets expect.
    fn begin(&mut self, first: &Stretch) {
        let bytes = stored_bytes(first);
        self.body = ChunkBuilder::with_capacity(match bytes < READ_LIMIT.bytes_max / 4 {
            true => bytes,
            false => CHUNK_BYTES_ENOUGH + READ_LIMIT.bytes_max / 2,
        });
    }

    /// Adds what the peer may have of each entry.
    fn add(
        &mut self,
        policy: &mut SessionPolicy,
        origin: &Origin,
        stretch: &Stretch,
        now: u64,
    ) -> Result<(), DeliveryError> {
        stretch
            .items()
            .try_for_each(|item| self.add_item(policy, origin, item, now))
    }

    fn add_item(
        &mut self,
        policy: &mut SessionPolicy,
        origin: &Origin,
        item: ItemRef<'_>,
        now: u64,
    ) -> Result<(), DeliveryError> {
        let Self { note, body, used } = self;
        let bytes = match item {
            ItemRef::Disclosed(bytes) => bytes,
            ItemRef::Withheld(leaf) => {
                body.withhold(&leaf);
                note.push(None);
                return Ok(());
            }
        };
        let view = ViewRef::parse(bytes)?;
        let permit = match policy {
            SessionPolicy::Peer(session) => {
                let disclosed = session.disclose(&origin.member, &view, now);
                disclosed.write(body);
                if disclosed.permit().is_none() && !disclosed.is_withheld() {
                    let which = note.which(Terms::returned());
                    note.push(Some(which));
                    return Ok(());
                }
                disclosed.permit()
            }
            SessionPolicy::Upstream(session) => {
                let upstream = session.disclose(&origin.member, &view, now)?;
                upstream.write(body);
                upstream.permit()
            }
        };
        let which = permit.map(|permit| {
            let known = used.entry(permit.number());
            let known = known.or_insert_with(|| (permit.clone(), note.which(Terms::of(permit))));
            known.1
        });
        note.push(which);
        Ok(())
    }

    /// Adds the hash of an entry alone.
    fn withhold(&mut self, item: ItemRef<'_>) -> Result<(), DeliveryError> {
        let (leaf, _) = facts(item)?;
        self.body.withhold(&leaf);
        self.note.push(None);
        Ok(())
    }

    fn finish(self, origin: &Origin, checkpoint: Bytes) -> Result<Made, DeliveryError> {
        let Self { note, body, used } = self;
        let body = body.finish()?;
        // The receiver has a grant of its own from who sends its own records, but not from those whose are passed on.
        let passed_on = used
            .values()
            .filter(|(permit, _)| permit.bases().iter().any(|basis| basis.way != Way::Direct));
        let told = passed_on
            .filter_map(|(permit, _)| permit.strictest_retention())
            .reduce(Retention::bound_by);
        let chunk = v1::Chunk {
            origin: origin.to_string(),
            from: note.from,
            count: body.count(),
            checkpoint,
            body: body.bytes().clone(),
            keep: told.map(retention::keep),
        };
        Ok(Made {
            chunk,
            note: note.encode()?,
        })
    }

    /// Whether all of a stretch is sure to fit.
    fn has_room(&self, stretch: &Stretch) -> bool {
        u64::from(self.body.count()) + stretch.count() <= u64::from(CHUNK_ENTRIES_MAX)
            && self.body.len() + stored_bytes(stretch) <= CHUNK_BYTES_MAX / 2
    }

    /// Whether it is not worth while to read on.
    fn is_enough(&self) -> bool {
        self.body.len() >= CHUNK_BYTES_ENOUGH || self.body.count() + READ_LIMIT.entries_max > CHUNK_ENTRIES_MAX
    }
}

fn stored_bytes(stretch: &Stretch) -> usize {
    stretch.bodies.iter().map(|body| body.bytes().len()).sum()
}

/// The record of a stored item, the sections that are held of it and those that it has; `None` if only its hash is held.
pub fn recovered(item: ItemRef<'_>) -> Option<(RecordId, SectionSet, SectionSet)> {
    let ItemRef::Disclosed(bytes) = item else { return None };
    let view = ViewRef::parse(bytes).ok()?;
    let entry = view.entry();
    Some((entry.head().record_id, view.sections(), entry.sections()))
}

/// The leaf hash and the disclosed sections of a stored item; `None` if only its hash is held.
pub fn facts(item: ItemRef<'_>) -> Result<(Hash, Option<SectionSet>), InvalidView> {
    match item {
        ItemRef::Withheld(hash) => Ok((hash, None)),
        ItemRef::Disclosed(bytes) => ViewRef::parse(bytes).map(|view| (view.leaf_hash(), Some(view.sections()))),
    }
}
