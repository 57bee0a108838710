//! What a node holds: records, logs, and whether they verify.

use std::collections::BTreeSet;

use icomm_pki::MemberId;
use icomm_proto::fork::ForkProof;
use icomm_proto::log::{Hash, Item};
use icomm_proto::{EntryKind, InvalidView, Origin, RecordId, View};
use thiserror::Error;

use super::Node;
use crate::core::delivery::READ_LIMIT;
use crate::core::exchange::Witnessed;
use crate::core::tally::Tally;
use crate::store::{Place, StoreError, Widths};

/// An entry as this node may see it.
#[derive(Debug, Clone)]
pub struct HeldEntry {
    /// The log.
    pub origin: Origin,
    /// The index in it.
    pub index: u64,
    /// Its leaf.
    pub leaf_hash: Hash,
    /// What is disclosed here; none when the entry is known by its hash alone.
    pub view: Option<View>,
    /// Whether every disclosed section hashes to what the entry commits to.
    pub verified: bool,
    /// Whether it still counts.
    pub state: State,
}

/// Whether an entry still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is known by its hash alone, so nobody here can tell.
    Unknown,
    /// It does.
    Current,
    /// A later version stands in its place; nothing of it is left.
    Superseded,
    /// The record is recalled; nothing of it is left.
    Recalled,
}

impl State {
    /// Its name; none where nobody can tell.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Current => "current",
            Self::Superseded => "superseded",
            Self::Recalled => "recalled",
        }
    }
}

/// Why something held can't be shown.
#[derive(Debug, Error)]
pub enum HoldingsError {
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it read is not a view.
    #[error("a stored view can't be read: {0}")]
    View(#[from] InvalidView),
    /// Something that should be there is not.
    #[error("entry {} of `{}` is not here", .0.index, .0.origin)]
    Missing(Place),
    /// No log of this name is held.
    #[error("no log `{0}` is held here")]
    UnknownLog(Origin),
}

/// What is held of a log.
#[derive(Debug, Clone)]
pub struct LogStatus {
    /// The log.
    pub origin: Origin,
    /// Whether it is this node's own.
    pub own: bool,
    /// Entries, durable and counted.
    pub entries: u64,
    /// Views with more than the open section.
    pub disclosed: u64,
    /// Views with the open section only.
    pub denominalised: u64,
    /// Known by hash alone.
    pub withheld: u64,
    /// Whether all of it verified against the originator's signature: when it was stored, and nothing of the store is known
    /// to be damaged; or just now, if it was read anew.
    pub verified: bool,
    /// The signed root.
    pub root: Hash,
    /// The signed checkpoint.
    pub checkpoint: bytes::Bytes,
    /// The agreements with the originator or with the hubs that carry its records here: `id@version`.
    pub agreements: Vec<String>,
    /// Whether its originator signed two histories of it, so that nothing more of it is served or taken.
    pub forked: bool,
    /// Who has to be heard before anything of it is passed on, since this node was away.
    pub waits_for: BTreeSet<MemberId>,
    /// What witnesses say of it.
    pub witnessed: Witnessed,
}

/// A log of which the originator signed two histories.
#[derive(Debug, Clone)]
pub struct Forked {
    /// The log.
    pub origin: Origin,
    /// What proves it to anybody: see [`ForkProof`].
    pub proof: bytes::Bytes,
    /// The two checkpoints as signed notes, that of fewer entries first.
    pub notes: [String; 2],
}

impl Node {
    /// The latest entry of a record in every log that has one.
    ///
    /// # Errors
    /// The store can't read one of them.
    pub fn latest(&self, id: &RecordId) -> Result<Vec<HeldEntry>, HoldingsError> {
        let mut entries = self.find(id)?;
        // What clears a photo is no version.
        entries.retain(|entry| {
            entry
                .view
                .as_ref()
                .is_none_or(|view| view.head().kind != EntryKind::Clear)
        });
        entries.reverse();
        entries.dedup_by(|later, earlier| later.origin == earlier.origin);
        Ok(entries)
    }

    /// Every entry held of a record, ordered by log and index.
    ///
    /// # Errors
    /// The store can't read one of them.
    pub fn find(&self, id: &RecordId) -> Result<Vec<HeldEntry>, HoldingsError> {
        let places = self.0.store.find(id)?;
        places.iter().map(|place| self.held(place)).collect()
    }

    /// Entries of a log from an index on, at most `limit`.
    ///
    /// # Errors
    /// The store can't read one of them.
    pub fn list(&self, origin: &Origin, from: u64, limit: usize) -> Result<Vec<HeldEntry>, HoldingsError> {
        let mut entries = Vec::new();
        let mut next = from;
        while entries.len() < limit {
            let Some(stretch) = self.0.store.read(origin, next, READ_LIMIT)? else {
                break;
            };
            for (index, item) in (stretch.from..).zip(stretch.shared_items()).take(limit - entries.len()) {
                entries.push(self.entry(origin, index, item)?);
            }
            next = stretch.end.size();
        }
        Ok(entries)
    }

    /// All logs held. Nothing is read for it, however long they are.
    ///
    /// # Errors
    /// The store fails.
    pub fn logs(&self) -> Result<Vec<LogStatus>, HoldingsError> {
        let origins: Vec<Origin> = self.0.exchange.heads().into_keys().collect();
        let whole = self.0.store.health().damaged.is_empty();
        origins.iter().map(|origin| self.held_of(origin, whole)).collect()
    }

    /// Logs of which the originators signed two histories. A proof that can't be read any more is left out; its log stays
    /// frozen all the same.
    pub fn forks(&self) -> Vec<Forked> {
        let forks = self.0.exchange.forks().into_iter();
        forks
            .filter_map(|(origin, proof)| {
                let notes = ForkProof::parse(&proof).ok()?.notes().map(ToString::to_string);
                Some(Forked { origin, proof, notes })
            })
            .collect()
    }

    /// What is held of one log. Everything of it was verified before it was stored; nothing is read again.
    ///
    /// # Errors
    /// Nothing of it is held.
    pub fn log_status(&self, origin: &Origin) -> Result<LogStatus, HoldingsError> {
        self.held_of(origin, self.0.store.health().damaged.is_empty())
    }

    /// Reads and verifies a whole log anew.
    ///
    /// # Errors
    /// The store can't read it, or nothing of it is held.
    pub fn verify_log(&self, origin: &Origin) -> Result<LogStatus, HoldingsError> {
        let inner = &self.0;
        let law = inner.exchange.law();
        let held = self.held_of(origin, true)?;
        let mut tally = Tally::default();
        let keys = law.member_keys(&origin.member);
        if let Some(keys) = &keys {
            tally.advance(&*inner.store, origin, &origin.line(&law.trust_domain()), keys)?;
        }
        Ok(LogStatus {
            entries: tally.entries(),
            disclosed: tally.disclosed,
            denominalised: tally.denominalised,
            withheld: tally.withheld,
            verified: keys.is_some() && tally.verified && tally.entries() >= held.entries,
            root: tally.root(),
            ..held
        })
    }

    fn held_of(&self, origin: &Origin, verified: bool) -> Result<LogStatus, HoldingsError> {
        let inner = &self.0;
        let head = inner
            .exchange
            .head(origin)
            .ok_or_else(|| HoldingsError::UnknownLog(origin.clone()))?;
        let Widths {
            disclosed,
            denominalised,
            withheld,
        } = inner.store.widths(origin)?;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let (disclosed, denominalised, withheld) = (count(disclosed), count(denominalised), count(withheld));
        let own = origin == self.own_origin();
        Ok(LogStatus {
            origin: origin.clone(),
            own,
            entries: disclosed + denominalised + withheld,
            disclosed,
            denominalised,
            withheld,
            verified: verified && inner.exchange.law().member_key(&origin.member).is_some(),
            root: head.root,
            checkpoint: head.checkpoint,
            agreements: if own { Vec::new() } else { self.bases_of(origin) },
            forked: inner.exchange.is_forked(origin),
            waits_for: inner.exchange.waits_for(origin),
            witnessed: inner.exchange.witnessed(origin),
        })
    }

    pub(super) fn view_at(&self, place: &Place) -> Result<Option<View>, HoldingsError> {
        match self.0.store.entry(&place.origin, place.index)? {
            Some(Item::Disclosed(bytes)) => Ok(Some(View::parse(bytes)?)),
            Some(Item::Withheld(_)) | None => Ok(None),
        }
    }

    fn held(&self, place: &Place) -> Result<HeldEntry, HoldingsError> {
        let item = self.0.store.entry(&place.origin, place.index)?;
        self.entry(
            &place.origin,
            place.index,
            item.ok_or_else(|| HoldingsError::Missing(place.clone()))?,
        )
    }

    /// The agreements by which a log comes here: with its member, else with the offices of its member's regions.
    fn bases_of(&self, origin: &Origin) -> Vec<String> {
        let law = self.0.exchange.law();
        let book = law.policy().book();
        let with = |member: &MemberId| {
            let agreements = book.latest_with(member).map(|ratified| {
                let agreement = ratified.agreement();
                format!("{}@{}", agreement.id(), agreement.version())
            });
            agreements.collect::<Vec<_>>()
        };
        let direct = with(&origin.member);
        if !direct.is_empty() {
            return direct;
        }
        let bundle = law.bundle();
        let regions = bundle
            .member(&origin.member)
            .map(|entry| entry.regions.clone())
            .unwrap_or_default();
        regions.iter().flat_map(with).collect()
    }

    pub(super) fn entry(&self, origin: &Origin, index: u64, item: Item) -> Result<HeldEntry, HoldingsError> {
        let (leaf_hash, view, verified) = match item {
            Item::Withheld(leaf) => (leaf, None, true),
            Item::Disclosed(bytes) => {
                let view = View::parse(bytes)?;
                let verified = view.clone().verify().is_ok();
                (view.leaf_hash(), Some(view), verified)
            }
        };
        let state = match &view {
            None => State::Unknown,
            Some(view) => match self.0.exchange.void(origin, &view.head().record_id) {
                Some(void) if void.kind == EntryKind::Recall => State::Recalled,
                Some(void) if void.covers(index) => State::Superseded,
                Some(_) | None => State::Current,
            },
        };
        Ok(HeldEntry {
            origin: origin.clone(),
            index,
            leaf_hash,
            view,
            verified,
            state,
        })
    }
}
