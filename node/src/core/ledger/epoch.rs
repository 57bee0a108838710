//! Where a ledger began anew, because its node was put back to an older state.
//!
//! ```text
//!  epoch 1      checkpoints over notes 0‥300          kept elsewhere: over 0‥500, of which the last 200 are lost
//!  epoch 2-…    checkpoints over notes 0‥300‥420      other names, so they contradict none of those
//! ```
//!
//! An epoch hides nothing: the notes that are still there are signed again, whoever kept the head of the epoch before goes on
//! keeping it, and both sides say from when on which notes are missing.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::LogEnd;
use icomm_proto::log::{Hash, VerifiedCheckpoint};
use serde::{Deserialize, Serialize};

use super::line::EpochId;

/// The most epochs of a ledger. A hand-over of the member key names the end of each.
pub const EPOCHS_MAX: usize = 32;

/// An epoch of a ledger after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its name.
    pub id: EpochId,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// Notes that were there then.
    pub notes: u64,
    /// Why it was begun.
    pub reason: String,
    /// How far the one before was signed, as far as was known here.
    pub former: LogEnd,
}

/// What somebody holds of an epoch that is over, beyond what was there when the next began: signed disclosures of which the
/// notes are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Who showed it.
    pub holder: String,
    /// So many notes, and the root over them.
    pub end: LogEnd,
    /// The signed note.
    pub checkpoint: String,
}

/// All epochs of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// Those after the first, in order.
    pub begun: Vec<Epoch>,
    /// What is lost, by the epoch of which it was.
    pub lost: BTreeMap<EpochId, Lost>,
    /// Who has kept something of the last epoch.
    heard: BTreeSet<String>,
}

/// What to make of a checkpoint of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is what is signed now.
    Current,
    /// It is over. Of so many notes it was signed here.
    Former(u64),
    /// Nobody here knows of it, and it may be one that was lost when this one began.
    Forgotten,
    /// The same, but who shows it has kept something of this one already: since then the store was put back.
    Later,
}

impl Epochs {
    /// The one in which is signed.
    pub fn current(&self) -> EpochId {
        self.begun.last().map(|epoch| epoch.id.clone()).unwrap_or_default()
    }

    pub(super) fn is_known(&self, epoch: &EpochId) -> bool {
        epoch.is_first() || self.begun.iter().any(|begun| begun.id == *epoch)
    }

    /// As it is kept.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Strings and numbers.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn standing(&self, epoch: &EpochId, holder: &str) -> Standing {
        // An epoch's end is told by the one that follows.
        let ids = std::iter::once(EpochId::default()).chain(self.begun.iter().map(|epoch| epoch.id.clone()));
        let mut ends = ids.zip(self.begun.iter().map(|next| next.former.size));
        if *epoch == self.current() {
            Standing::Current
        } else if let Some((_, end)) = ends.find(|(id, _)| id == epoch) {
            Standing::Former(end)
        } else if self.begun.is_empty() || self.heard.contains(holder) {
            Standing::Later
        } else {
            Standing::Forgotten
        }
    }

    pub(super) fn begin(&mut self, epoch: Epoch) {
        self.begun.push(epoch);
        self.heard.clear();
    }

    /// Notes who keeps something of this epoch; whether that was not known.
    pub(super) fn hear(&mut self, holder: &str) -> bool {
        !self.begun.is_empty() && self.heard.insert(holder.to_owned())
    }

    pub(super) fn is_lost(&self, epoch: &EpochId, size: u64) -> bool {
        self.lost.get(epoch).is_some_and(|lost| lost.end.size >= size)
    }

    /// Notes what is lost of an epoch; whether that was not known.
    pub(super) fn lose(&mut self, epoch: EpochId, holder: &str, shown: &VerifiedCheckpoint) -> bool {
        let size = shown.size();
        let full = self.lost.len() > EPOCHS_MAX && !self.lost.contains_key(&epoch);
        if full || self.is_lost(&epoch, size) {
            return false;
        }
        let lost = Lost {
            holder: holder.to_owned(),
            end: end(size, shown.root()),
            checkpoint: String::from_utf8_lossy(shown.note()).into_owned(),
        };
        self.lost.insert(epoch, lost);
        true
    }

    /// How far each epoch was signed for sure, the one that goes on left out.
    pub(super) fn former_ends(&self) -> BTreeMap<EpochId, LogEnd> {
        let mut ends = BTreeMap::new();
        let mut id = EpochId::default();
        for next in &self.begun {
            ends.insert(std::mem::replace(&mut id, next.id.clone()), next.former);
        }
        for (id, lost) in &self.lost {
            let known = ends.entry(id.clone()).or_insert(lost.end);
            if known.size < lost.end.size {
                *known = lost.end;
            }
        }
        ends
    }
}

/// A state of a log, as a hand-over has it.
pub fn end(size: u64, root: &Hash) -> LogEnd {
    LogEnd {
        size,
        root: (*root.as_bytes()).into(),
    }
}
