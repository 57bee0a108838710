//! Another member's log as it arrives here: verified against the originator's signature, merged by index, or refused.
//!
//! ```text
//!            0 ─────────────── held ───────────────▶ size
//!  chunk          [ overlap ──────────────┊── extension ]
//!                  same leaf hashes as      pushed on the frontier: the root must be
//!                  those held; wider        the one that the chunk's checkpoint signs
//!                  views become overlays
//! ```
//!
//! A chunk that was delivered before is an overlap that widens nothing: a no-op. INVARIANT: nothing of a chunk is
//! stored unless all of it verified.

use std::sync::Arc;

use bytes::Bytes;
use icomm_pki::{MemberId, MemberKeys};
use icomm_proto::log::{
    CHUNK_ENTRIES_MAX, ChunkBody, ChunkBuilder, Frontier, Hash, InvalidCheckpoint, InvalidChunk, InvalidChunkBody,
    ItemRef, VerifiedCheckpoint, verify_chunk_with, verify_overlay,
};
use icomm_proto::photo::cleared;
use icomm_proto::{ForeignField, InvalidView, Origin, SectionKind, SectionSet, ViewRef, v1};
use thiserror::Error;

use super::recall::Voided;
use super::retention::Expired;
use crate::store::{Boundary, Store, StoreError, StoredChunk, Widths};

/// What is held already, as far as a chunk overlaps it.
pub trait Held {
    /// Leaf hash and disclosed sections of the entries `from..to`, all of which are held, if only by their hash; with what
    /// was accepted before.
    fn held(&self, origin: &Origin, from: u64, to: u64) -> Result<Vec<(Hash, Option<SectionSet>)>, HeldError>;

    /// The log as it is held up to `size`; `None` if less is.
    fn history(&self, origin: &Origin, size: u64) -> Result<Option<History>, HeldError>;

    /// Which entries of the log are void, so that nothing of them may be stored; none if nothing was recalled.
    fn voided(&self) -> Option<&Voided> {
        None
    }

    /// Which sections of the log's entries may not be stored any more, since the time for them is over; none if nothing
    /// expired.
    fn expired(&self) -> Option<&Expired> {
        None
    }
}

/// What a log was at a size that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The root over its entries up to there.
    pub root: Hash,
    /// The checkpoint of just that size, or else the latest, which covers it.
    pub checkpoint: Bytes,
}

impl History {
    /// Reads it, at any size: where there is no checkpoint the root follows from the leaf hashes.
    pub fn of(store: &dyn Store, origin: &Origin, size: u64) -> Result<Option<Self>, StoreError> {
        let Some(head) = store.head(origin)?.filter(|head| head.size() >= size) else {
            return Ok(None);
        };
        let below = store.boundary(origin, size)?;
        if let Some(exact) = below.as_ref().filter(|below| below.size() == size) {
            return Ok(Some(Self {
                root: exact.frontier.root(),
                checkpoint: exact.checkpoint.clone(),
            }));
        }
        let mut frontier = below.map_or_else(Frontier::new, |below| below.frontier);
        store.leaf_hashes(origin, frontier.size()..size, &mut |leaf| frontier.push(leaf))?;
        Ok(Some(Self {
            root: frontier.root(),
            checkpoint: head.checkpoint,
        }))
    }

    /// Refuses a checkpoint of the same size that signs another root.
    pub fn agrees(self, signed: &VerifiedCheckpoint) -> Result<(), ChunkFault> {
        if self.root == *signed.root() {
            return Ok(());
        }
        Err(ChunkFault::Fork {
            size: signed.size(),
            ours: self.checkpoint,
            theirs: signed.note().clone(),
        })
    }
}

/// Why it can't be said what is held. Ours.
#[derive(Debug, Error)]
pub enum HeldError {
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it read is not a view.
    #[error("a stored view can't be read: {0}")]
    View(#[from] InvalidView),
}

/// Which views may come in at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Any section: the originator's policy decided what to send.
    AnySection,
    /// The open section only: this is a global node.
    OpenOnly,
}

impl Admission {
    /// In a global node views of more than the open section have no place, but for the one photo that an entry clears, nor have fields of it that this version does
    /// not know.
    fn admit(self, index: u64, view: &ViewRef<'_>) -> Result<(), ChunkFault> {
        if self == Self::AnySection {
            return Ok(());
        }
        let sections = view.sections();
        if !sections.is_subset(SectionSet::open()) && cleared(view).is_none() {
            return Err(ChunkFault::NotDenominalised { index, sections });
        }
        view.check_fields()
            .map_err(|source| ChunkFault::ForeignField { index, source })
    }
}

/// Why a chunk was refused. Nothing of it was stored.
#[derive(Debug, Error)]
pub enum ChunkFault {
    /// More or fewer entries than a chunk may have.
    #[error("a chunk of {0} entries; it holds 1 to {CHUNK_ENTRIES_MAX}")]
    Count(u32),
    /// The body is not a sequence of items.
    #[error("the chunk's body is malformed: {0}")]
    Body(#[from] InvalidChunkBody),
    /// The checkpoint is malformed or not signed by the originator.
    #[error("the chunk's checkpoint does not count: {0}")]
    Checkpoint(#[from] InvalidCheckpoint),
    /// The checkpoint covers another size than the end of the chunk.
    #[error("the chunk ends at {end}, its checkpoint covers {signed} entries")]
    Size {
        /// Where the chunk ends.
        end: u64,
        /// What the checkpoint signs.
        signed: u64,
    },
    /// Entries are missing between what is held and the chunk.
    #[error("the chunk begins at {from}, only {held} entries are held")]
    Gap {
        /// First index of the chunk.
        from: u64,
        /// Size held.
        held: u64,
    },
    /// The entries are not those that the originator signed, or not those already verified.
    #[error("{0}")]
    Entries(#[from] InvalidChunk),
    /// A global node was sent more than the open section.
    #[error("entry {index} discloses `{sections}` to a global node")]
    NotDenominalised {
        /// Its index in the log.
        index: u64,
        /// What it disclosed.
        sections: SectionSet,
    },
    /// A global node was sent a field of the open section that nobody here knows, so nobody can say what it tells.
    #[error("entry {index} can't be taken by a global node: {source}")]
    ForeignField {
        /// Its index in the log.
        index: u64,
        /// Which field.
        source: ForeignField,
    },
    /// The originator signed two roots for one size. Both checkpoints are kept as evidence.
    #[error("the originator signed two different logs of {size} entries")]
    Fork {
        /// The size signed twice.
        size: u64,
        /// The checkpoint verified first.
        ours: Bytes,
        /// The one that contradicts it.
        theirs: Bytes,
    },
    /// A refill that contradicts itself.
    #[error("the refill can't be taken: {0}")]
    Refill(&'static str),
    /// Nobody of that name is in the trust bundle, so nobody's signature could be checked.
    #[error("`{0}` is not a member in the trust bundle")]
    UnknownMember(MemberId),
    /// More logs than a node holds.
    #[error("no more logs can be held here")]
    TooManyLogs,
    /// The log was frozen after a fork.
    #[error("the log is frozen: its originator signed two histories of it")]
    Frozen,
    /// It could not be said what is held. Ours, not the peer's.
    #[error("what is held of the log can't be read: {0}")]
    Held(#[from] HeldError),
}

impl From<StoreError> for ChunkFault {
    fn from(error: StoreError) -> Self {
        Self::Held(error.into())
    }
}

impl ChunkFault {
    /// The stable code under which the peer is told and the refusal is counted.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Count(_) => "chunk-size",
            Self::Body(_) | Self::Entries(InvalidChunk::View { .. }) => "malformed-chunk",
            Self::Checkpoint(InvalidCheckpoint::RetiredKey { .. }) => "retired-key",
            Self::Checkpoint(_) | Self::Size { .. } => "invalid-checkpoint",
            Self::Gap { .. } => "gap",
            Self::Entries(_) => "tampered-chunk",
            Self::NotDenominalised { .. } | Self::ForeignField { .. } => "not-denominalised",
            Self::Fork { .. } | Self::Frozen => "forked-log",
            Self::Refill(_) => "malformed-refill",
            Self::UnknownMember(_) => "unknown-member",
            Self::TooManyLogs => "too-many-logs",
            Self::Held(_) => "store",
        }
    }
}

/// A verified chunk: what to store of it, and the state of the log once that is durable.
#[derive(Debug)]
pub struct Accepted {
    /// The new entries and the wider views of entries already held; empty for a duplicate.
    pub chunks: Vec<StoredChunk>,
    /// The entries already held that it shows more of, ascending, with the sections that are new.
    pub widened: Vec<(u64, SectionSet)>,
    /// The entries that it shows the photos of, ascending.
    pub pictured: Vec<u64>,
    /// Size of the log with the chunk.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
}

/// The verified state of one member's log.
#[derive(Debug)]
pub struct Replica {
    origin: Origin,
    line: String,
    keys: Arc<MemberKeys>,
    frontier: Frontier,
    checkpoint: Option<Bytes>,
    frozen: bool,
}

impl Replica {
    /// A log of which nothing is held yet. `line` is the origin line of its checkpoints, `keys` its member's.
    pub fn new(origin: Origin, line: String, keys: Arc<MemberKeys>) -> Self {
        Self {
            origin,
            line,
            keys,
            frontier: Frontier::new(),
            checkpoint: None,
            frozen: false,
        }
    }

    /// Takes the store's word for what is held: at start, and after something could not be stored.
    pub fn resume(&mut self, held: Option<Boundary>) {
        (self.frontier, self.checkpoint) =
            held.map_or((Frontier::new(), None), |held| (held.frontier, Some(held.checkpoint)));
    }

    /// Entries verified so far, those on their way to the disk included.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root at [`Replica::size`].
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The origin line of the log's checkpoints.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Goes by these keys of the log's member from now on.
    pub fn trust(&mut self, keys: Arc<MemberKeys>) {
        self.keys = keys;
    }

    /// Accepts nothing more: the originator was found to have signed two histories.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Accepts again: a thief signed one of the two.
    pub fn thaw(&mut self) {
        self.frozen = false;
    }

    /// Verifies a chunk and moves the log's state on. The caller stores what is returned, or falls back to what the
    /// store holds with [`Replica::resume`].
    pub fn accept(&mut self, chunk: v1::Chunk, admission: Admission, held: &dyn Held) -> Result<Accepted, ChunkFault> {
        let v1::Chunk {
            origin: _,
            from,
            count,
            checkpoint,
            body,
            keep: _,
        } = chunk;
        if self.frozen {
            return Err(ChunkFault::Frozen);
        }
        if count == 0 || count > CHUNK_ENTRIES_MAX || from.checked_add(u64::from(count)).is_none() {
            return Err(ChunkFault::Count(count));
        }
        let size = self.frontier.size();
        if from > size {
            return Err(ChunkFault::Gap { from, held: size });
        }
        let end = from + u64::from(count);
        let signed = VerifiedCheckpoint::verify_by(checkpoint, &self.line, &self.keys)?;
        if signed.size() != end {
            return Err(ChunkFault::Size {
                end,
                signed: signed.size(),
            });
        }
        self.same_history(&signed, held)?;
        let body = ChunkBody::parse(body, count)?;
        // At most `count`, which is 32 bits wide.
        let overlap = u32::try_from(size.min(end) - from).unwrap_or(count);
        let (known, new) = body.split(overlap);
        let voided = held.voided();

        let mut chunks = Vec::with_capacity(2);
        let (mut widened, mut pictured) = (Vec::new(), Vec::new());
        // What is void widens nothing.
        let known = match (known, voided) {
            (Some(known), Some(voided)) => Some(without(&known, from, voided)?),
            (known, _) => known,
        };
        // Nor does what expired. New entries can't have.
        let expired = held
            .expired()
            .filter(|expired| expired.concerns(&(from..size.min(end))));
        let known = match (known, expired) {
            (Some(known), Some(expired)) => Some(expired.strip(&known, from)?),
            (known, _) => known,
        };
        if let Some(known) = known
            && let Some(widens) = self.widens(from, &known, admission, held, &mut widened)?
        {
            let shown = (from..).zip(known.item_refs().map(sections));
            let shows =
                |sections: Option<SectionSet>| sections.is_some_and(|shown| shown.contains(SectionKind::Images));
            pictured.extend(shown.filter(|(_, sections)| shows(*sections)).map(|(index, _)| index));
            chunks.push(StoredChunk::overlay(self.origin.clone(), from, known, widens));
        }
        if let Some(new) = new {
            let mut is_void = false;
            let admit = |index, view: &ViewRef<'_>| {
                if let Some(voided) = voided {
                    is_void |= voided.covers(&view.entry().head().record_id, index);
                }
                if view.sections().contains(SectionKind::Images) {
                    pictured.push(index);
                }
                admission.admit(index, view)
            };
            let (mut new, frontier, signed) = verify_chunk_with(&self.frontier, signed, new, admit)?.into_parts();
            if let Some(voided) = voided.filter(|_| is_void) {
                new = without(&new, size, voided)?;
            }
            self.frontier = frontier.clone();
            self.checkpoint = Some(signed.note().clone());
            chunks.push(StoredChunk::extending(
                self.origin.clone(),
                size,
                new,
                frontier,
                signed.note().clone(),
            ));
        }
        Ok(Accepted {
            chunks,
            widened,
            pictured,
            size: self.frontier.size(),
            root: self.frontier.root(),
        })
    }

    /// What changes if entries that are held come with sections that are not, and which entries; `None` if they don't.
    /// Refuses what is not the same entries.
    fn widens(
        &self,
        from: u64,
        body: &ChunkBody,
        admission: Admission,
        held: &dyn Held,
        widened: &mut Vec<(u64, SectionSet)>,
    ) -> Result<Option<Widths>, ChunkFault> {
        let ours = held.held(&self.origin, from, from + u64::from(body.count()))?;
        let hashes: Vec<Hash> = ours.iter().map(|(hash, _)| *hash).collect();
        verify_overlay(from, &hashes, body, |index, view| admission.admit(index, view))?;
        let mut widens = Widths::default();
        for ((item, (_, held)), index) in body.item_refs().zip(&ours).zip(from..) {
            let shown = sections(item);
            let before = held.unwrap_or(SectionSet::EMPTY);
            let added = shown.unwrap_or(SectionSet::EMPTY).difference(before);
            if !added.is_empty() {
                widened.push((index, added));
            }
            let joined = match (*held, shown) {
                (Some(held), Some(shown)) => Some(held.union(shown)),
                (held, shown) => held.or(shown),
            };
            widens += Widths::of_sections(*held).becoming(Widths::of_sections(joined));
        }
        Ok((!widened.is_empty()).then_some(widens))
    }

    /// A checkpoint of a size that is held must sign the root there.
    fn same_history(&self, signed: &VerifiedCheckpoint, held: &dyn Held) -> Result<(), ChunkFault> {
        let size = self.frontier.size();
        let ours = match &self.checkpoint {
            Some(checkpoint) if signed.size() == size => Some(History {
                root: self.frontier.root(),
                checkpoint: checkpoint.clone(),
            }),
            Some(_) if signed.size() < size => held.history(&self.origin, signed.size())?,
            _ => None,
        };
        ours.map_or(Ok(()), |ours| ours.agrees(signed))
    }
}

/// The same entries with no section of those that are void: it came late, or from somebody who does not know.
fn without(body: &ChunkBody, from: u64, voided: &Voided) -> Result<ChunkBody, InvalidChunkBody> {
    let mut rest = ChunkBuilder::with_capacity(body.bytes().len());
    for (item, index) in body.item_refs().zip(from..) {
        match item {
            ItemRef::Withheld(leaf) => rest.withhold(&leaf),
            ItemRef::Disclosed(bytes) => match ViewRef::parse(bytes) {
                Ok(view) if voided.covers(&view.entry().head().record_id, index) => {
                    rest.disclose_with(|out| view.write_redacted(SectionSet::EMPTY, out))
                }
                // What is no view is refused by verification.
                Ok(_) | Err(_) => rest.disclose(bytes),
            },
        };
    }
    rest.finish()
}

/// The sections that an item discloses, if it is more than a hash; what is not a view is refused by verification.
fn sections(item: ItemRef<'_>) -> Option<SectionSet> {
    match item {
        ItemRef::Withheld(_) => None,
        ItemRef::Disclosed(bytes) => ViewRef::parse(bytes).ok().map(|view| view.sections()),
    }
}

#[cfg(test)]
mod tests;
