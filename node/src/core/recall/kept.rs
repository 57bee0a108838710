//! A recall as a node keeps it, its own or another member's, and the answers to it.

use icomm_pki::MemberId;
use icomm_proto::log::Hash;
use icomm_proto::{Entry, EntryHead, v1};
use prost::Message;

use super::{Reason, RecallKey, Void};
use crate::store::{Store, StoreError};

/// The beginning of all keys of [`recall_state`].
pub const RECALLS_PREFIX: &str = "recall/";

/// Under which a recall is kept.
pub fn recall_state((origin, record): &RecallKey) -> String {
    format!("{RECALLS_PREFIX}{origin}/{record}")
}

/// The recall that is kept under this key.
pub fn parse_recall_state(key: &str) -> Option<RecallKey> {
    let (origin, record) = key.strip_prefix(RECALLS_PREFIX)?.rsplit_once('/')?;
    Some((origin.parse().ok()?, record.parse().ok()?))
}

/// Under which a member's answer to a recall is kept.
pub fn answer_state(key: &RecallKey, by: &MemberId) -> String {
    format!("{}{by}", answers_prefix(key))
}

/// Under which answers to recalls are kept.
pub const ANSWERS_PREFIX: &str = "erased/";

fn answers_prefix((origin, record): &RecallKey) -> String {
    format!("{ANSWERS_PREFIX}{origin}/{record}/")
}

/// A recall that was verified before it was kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The originator's order, as it came.
    pub order: v1::Recall,
    /// What its entry says.
    pub head: EntryHead,
    /// The entry's leaf.
    pub leaf: Hash,
    /// Why.
    pub reason: Reason,
    /// When it was taken here, in seconds since 1970.
    pub time: u64,
    /// The members that told of it.
    pub callers: Vec<String>,
    /// Versions of which there was something to erase here.
    pub entries: u32,
    /// Whether `holders` is all.
    pub traced: bool,
    /// To whom this node had given any of it.
    pub holders: Vec<v1::Holder>,
}

impl Kept {
    /// The recall of a record, if there is one.
    pub fn of(store: &dyn Store, key: &RecallKey) -> Result<Option<Self>, StoreError> {
        Ok(store.state(&recall_state(key))?.and_then(|bytes| Self::decode(&bytes)))
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let v1::KeptRecall {
            recall,
            time,
            callers,
            entries,
            traced,
            holders,
        } = v1::KeptRecall::decode(bytes).ok()?;
        let order = recall?;
        let entry = Entry::parse(&order.entry).ok()?;
        Some(Self {
            head: entry.head(),
            leaf: entry.leaf_hash(),
            reason: Reason::of_code(order.reason())?,
            order,
            time,
            callers,
            entries,
            traced,
            holders,
        })
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        v1::KeptRecall {
            recall: Some(self.order.clone()),
            time: self.time,
            callers: self.callers.clone(),
            entries: self.entries,
            traced: self.traced,
            holders: self.holders.clone(),
        }
        .encode_to_vec()
    }

    /// What it voids.
    pub fn void(&self) -> Void {
        Void {
            index: self.order.index,
            kind: self.head.kind,
        }
    }
}

/// The answers to the recall of a record so far, as they came.
pub fn answers(store: &dyn Store, key: &RecallKey) -> Result<Vec<v1::Erased>, StoreError> {
    let answers = store.scan_state(&answers_prefix(key))?;
    Ok(answers
        .into_iter()
        .filter_map(|(_, bytes)| v1::Erased::decode(bytes).ok())
        .collect())
}
