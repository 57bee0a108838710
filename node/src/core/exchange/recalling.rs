//! Recalls as they are taken and passed on, and the answers on their way back.
//!
//! Everything here is rare beside the records: it waits for the disk where it stands, and reads the notes of disclosures
//! from the first to the last.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::MemberId;
use icomm_proto::log::{Hash, Item};
use icomm_proto::{EntryHead, Origin, RecordId, SectionSet, View, v1};
use prost::Message;
use thiserror::Error;

use super::held::settle_store;
use super::{Exchange, lock};
use crate::core::delivery::facts;
use crate::core::recall::{
    ERASURES_BYTES_ENOUGH, ERASURES_MAX, Erasure, InvalidErasure, InvalidOrder, Kept, Order, RECALLS_MAX,
    RECALLS_PREFIX, RecallKey, Void, answer_state, answers, has_file, holders, parse_recall_state, recall_state,
};
use crate::core::replica::ChunkFault;
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, NoteLog, Place, Remains, Store, StoreError};

/// Items of one batch after which another begins; a recall adds few.
const BATCH_ITEMS_ENOUGH: usize = 512;

/// Why a recall was not taken. It is not answered, so it stays owed.
#[derive(Debug, Error)]
pub(super) enum RecallFault {
    /// It does not prove itself.
    #[error(transparent)]
    Order(#[from] InvalidOrder),
    /// It shows a log that can't be: a fork, or one of nobody.
    #[error(transparent)]
    Log(#[from] ChunkFault),
    /// Nobody but this node recalls what this member issued.
    #[error("another node orders the recall of a record of this member")]
    Own,
    /// The record is known, and it is another member's.
    #[error("`{origin}` recalls a record of another member")]
    Foreign {
        /// The log that the recall stands in.
        origin: Origin,
    },
    /// Another entry stands at its place in what is held of the log.
    #[error("entry {index} of `{origin}` is another one here")]
    Misplaced {
        /// The log.
        origin: Origin,
        /// The index.
        index: u64,
    },
}

impl RecallFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Order(order) => order.code(),
            Self::Log(fault) => fault.code(),
            Self::Own => "own-record",
            Self::Foreign { .. } => "foreign-record",
            Self::Misplaced { .. } => "forked-log",
        }
    }
}

impl From<StoreError> for RecallFault {
    fn from(error: StoreError) -> Self {
        Self::Log(error.into())
    }
}

impl Exchange {
    /// In which generation a log is read now, which every recall changes; none while entries of it are being erased, or it is
    /// the own log and is being recovered.
    pub fn generation(&self, origin: &Origin) -> Option<u64> {
        self.voids.reading(origin).filter(|_| !self.own.withholds(origin))
    }

    /// The logs by which a record is recalled or corrected.
    pub fn recalling(&self, record: &RecordId) -> Vec<Origin> {
        self.voids.logs_of(record)
    }

    /// How far a record is void here.
    pub fn void(&self, origin: &Origin, record: &RecordId) -> Option<Void> {
        self.voids.of(origin)?.get(record)
    }

    /// Remembers the recalls that the store holds, and finishes what a crash or the key interrupted: which these were.
    pub(super) fn remember_recalls(&self) -> Result<Vec<RecallKey>, StoreError> {
        let mut untraced = Vec::new();
        for (key, bytes) in self.store.scan_state(RECALLS_PREFIX)? {
            let Some((key, kept)) = parse_recall_state(&key).zip(Kept::decode(&bytes)) else {
                tracing::error!(key, "a stored recall can't be read");
                continue;
            };
            self.voids.remember(&key, kept.void());
            if kept.traced {
                self.owe(&key, &kept)?;
            } else {
                untraced.push(key);
            }
        }
        self.trace(&untraced)?;
        Ok(untraced)
    }

    /// Recalls from a peer: each is verified, what it voids is erased, durably, and then answered. Those that don't count are
    /// not answered.
    pub(super) fn recalled(&self, link: LinkId, peer: &Peer, recalls: v1::Recalls) {
        let v1::Recalls { recalls, more } = recalls;
        let mut fresh: BTreeMap<Origin, Vec<(Order, v1::Recall)>> = BTreeMap::new();
        let mut known = Vec::new();
        for recall in recalls {
            match self.judge_recall(peer, &recall) {
                Ok((order, true)) => fresh.entry(order.origin().clone()).or_default().push((order, recall)),
                Ok((order, false)) => known.push((order.origin().clone(), order.head().record_id)),
                Err(fault) => {
                    let code = fault.code();
                    tracing::warn!(peer = %peer.member, code, %fault, "recall refused");
                    metrics::counter!("icomm_refused_recalls_total", "peer" => peer.member.to_string(), "code" => code)
                        .increment(1);
                }
            }
        }
        let taken = || -> Result<(), StoreError> {
            for (origin, orders) in fresh {
                let keys: Vec<RecallKey> = orders
                    .iter()
                    .map(|(order, _)| (origin.clone(), order.head().record_id))
                    .collect();
                self.take_recalls(&origin, orders, Some(&peer.member))?;
                self.trace(&keys)?;
                known.extend(keys);
            }
            self.answer_recalls(link, &known)
        };
        let result = taken();
        if let Err(error) = &result {
            tracing::error!(peer = %peer.member, %error, "recalls could not be taken; they stay owed");
            self.mailbox.post(link, Event::cant_store());
        }
        if !more && self.voids.arrived(link) {
            if result.is_ok() {
                self.caught_up(peer);
            }
            self.mailbox.changed();
        }
    }

    /// Verifies a recall. False if all that it voids was voided before.
    fn judge_recall(&self, peer: &Peer, recall: &v1::Recall) -> Result<(Order, bool), RecallFault> {
        let unnamed = || InvalidOrder::Origin(recall.origin.clone());
        let origin: Origin = recall.origin.parse().map_err(|_| unnamed())?;
        if origin.member == self.local.member {
            return Err(RecallFault::Own);
        }
        let keys = self.law.member_keys(&origin.member);
        let keys = keys.ok_or_else(|| ChunkFault::UnknownMember(origin.member.clone()))?;
        let order = Order::verify(recall, &origin.line(&self.law.trust_domain()), &keys)?;
        match self.witness(&peer.member, &origin, order.checkpoint().note().clone()) {
            // Of a forked log nothing more is taken, but what is held of it is erased as before.
            Ok(()) | Err(ChunkFault::Frozen) => {}
            Err(fault) => {
                self.found(&peer.member, &origin, &fault);
                return Err(fault.into());
            }
        }
        let (record, index) = (order.head().record_id, order.index());
        if let Some(item) = self.store.entry(&origin, index)?
            && leaf_of(&item) != Some(*order.leaf())
        {
            return Err(RecallFault::Misplaced { origin, index });
        }
        let places = self.store.find(&record)?;
        if !places.is_empty() && places.iter().all(|place| place.origin != origin) {
            return Err(RecallFault::Foreign { origin });
        }
        let key = (origin, record);
        let Some(mut kept) = Kept::of(&*self.store, &key)? else {
            return Ok((order, true));
        };
        if !kept.void().includes(&order.void()) {
            return Ok((order, true));
        }
        let caller = peer.member.to_string();
        if !kept.callers.contains(&caller) {
            kept.callers.push(caller);
            let bytes = kept.encode();
            self.store.append(Batch::new().set(recall_state(&key), bytes))?;
        }
        Ok((order, false))
    }

    /// Erases what verified orders void in one log. Durable when it returns.
    pub(super) fn take_recalls(
        &self,
        origin: &Origin,
        orders: Vec<(Order, v1::Recall)>,
        caller: Option<&MemberId>,
    ) -> Result<(), StoreError> {
        // Nothing of the log is accepted meanwhile: what was, is durable below, and what comes knows what is void.
        let replica = self.replica(origin).ok();
        let machine = replica.as_ref().map(|replica| lock(&replica.machine));
        settle_store(&*self.store)?;
        let voids = orders.iter().map(|(order, _)| (order.head().record_id, order.void()));
        self.voids.begin(origin, voids);
        let erased = self.erase_recalled(origin, orders, caller);
        self.voids.end(origin);
        drop(machine);
        self.mailbox.changed();
        erased
    }

    fn erase_recalled(
        &self,
        origin: &Origin,
        orders: Vec<(Order, v1::Recall)>,
        caller: Option<&MemberId>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (order, recall) in orders {
            let record = order.head().record_id;
            let key = (origin.clone(), record);
            let before = Kept::of(&*self.store, &key)?;
            let held = self.voided_places(origin, &record, order.void())?;
            let kept = self.fresh_recall(before, recall, caller, held.len());
            tracing::info!(%origin, %record, index = order.index(), reason = %order.reason(), from = caller.map(tracing::field::display),
                entries = held.len(), "record recalled; erased here");
            batch = batch.set(recall_state(&key), kept.encode_to_vec());
            for place in held {
                batch = batch.erase(place.origin, place.index, Remains::Sections(SectionSet::EMPTY));
            }
            if batch.items().len() >= BATCH_ITEMS_ENOUGH {
                self.store.append(std::mem::take(&mut batch))?;
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.store.append(batch),
        }
    }

    /// A recall that is new here, not yet traced. Who had to hear of an earlier correction has to hear of this one.
    fn fresh_recall(
        &self,
        before: Option<Kept>,
        order: v1::Recall,
        caller: Option<&MemberId>,
        entries: usize,
    ) -> v1::KeptRecall {
        v1::KeptRecall {
            recall: Some(order),
            time: self.now(),
            callers: caller.iter().map(ToString::to_string).collect(),
            entries: u32::try_from(entries).unwrap_or(u32::MAX),
            traced: false,
            holders: before.map(|before| before.holders).unwrap_or_default(),
        }
    }

    /// Where sections are held that are void.
    fn voided_places(&self, origin: &Origin, record: &RecordId, void: Void) -> Result<Vec<Place>, StoreError> {
        let mut places = self.store.find(record)?;
        places.retain(|place| place.origin == *origin && place.index != void.index && void.covers(place.index));
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            if has_sections(&*self.store, &place)? {
                held.push(place);
            }
        }
        Ok(held)
    }

    /// Begins a correction or recall of this member's own: what goes into one batch with its entry. Ends with
    /// [`Exchange::voided`].
    pub fn voiding(&self, origin: &Origin, view: &View, order: v1::Recall) -> Result<Batch, StoreError> {
        let EntryHead { kind, record_id, .. } = view.head();
        let void = Void {
            index: order.index,
            kind,
        };
        let key = (origin.clone(), record_id);
        let held = self.voided_places(origin, &record_id, void)?;
        let before = Kept::of(&*self.store, &key)?;
        let kept = self.fresh_recall(before, order, None, held.len());
        let mut batch = Batch::new().set(recall_state(&key), kept.encode_to_vec());
        for place in held {
            batch = batch.erase(place.origin, place.index, Remains::Sections(SectionSet::EMPTY));
        }
        self.voids.begin(origin, [(record_id, void)]);
        Ok(batch)
    }

    /// The batch of [`Exchange::voiding`] is durable, or will never be.
    pub fn voided(&self, origin: &Origin) {
        self.voids.end(origin);
        self.mailbox.changed();
    }

    /// Finds out who was given what is void now, signs for what was erased here, and tells the holders that are linked. While
    /// the key does not sign, [`Exchange::sign_owed`] finishes it.
    ///
    /// # Errors
    /// The store fails; a restart finishes it.
    pub fn trace(&self, keys: &[RecallKey]) -> Result<(), StoreError> {
        let mut recalls = Vec::with_capacity(keys.len());
        let mut places = BTreeSet::new();
        for key in keys {
            let Some(kept) = Kept::of(&*self.store, key)? else {
                continue;
            };
            let void = kept.void();
            let mut of_record = self.store.find(&key.1)?;
            of_record.retain(|place| place.origin == key.0 && place.index != void.index && void.covers(place.index));
            places.extend(of_record.iter().cloned());
            recalls.push((key.clone(), kept, of_record));
        }
        let found = holders(&*self.store, &places)?;
        for (key, kept, of_record) in recalls {
            self.trace_one(
                &key,
                kept,
                of_record.iter().filter_map(|place| found.get(place)).flatten(),
            )?;
        }
        Ok(())
    }

    fn trace_one<'a>(
        &self,
        key: &RecallKey,
        mut kept: Kept,
        found: impl Iterator<Item = &'a v1::Holder>,
    ) -> Result<(), StoreError> {
        let (origin, record) = key;
        for holder in found {
            if !kept.holders.contains(holder) {
                kept.holders.push(holder.clone());
            }
        }
        kept.traced = true;
        let mut batch = Batch::new().set(recall_state(key), kept.encode());
        let own = if origin.member == self.local.member {
            None
        } else {
            let erasure = Erasure {
                origin: origin.clone(),
                record: *record,
                leaf: kept.leaf,
                index: kept.order.index,
                by: self.local.member.clone(),
                node: self.local.node.clone(),
                time: self.now(),
                entries: kept.entries,
                passed_on: kept.holders.clone(),
            };
            match erasure.sign(&self.local.key.key()) {
                Ok(erased) => Some(erased.encode_to_vec()),
                Err(error) => {
                    tracing::error!(%origin, %record, %error, "a recall is carried out and not answered yet");
                    self.unsigned.owe_erasures();
                    return Ok(());
                }
            }
        };
        if let Some(erased) = own {
            let state = answer_state(key, &self.local.member);
            batch = batch.set(state, erased.clone()).note(NoteLog::erasures(), erased);
        }
        self.store.append(batch)?;
        self.owe(key, &kept)?;
        let owed: BTreeSet<&str> = kept.holders.iter().map(|holder| holder.member.as_str()).collect();
        for (&link, peer) in &*lock(&self.links) {
            if owed.contains(peer.member.as_str()) && self.voids.owes(&peer.member, key) {
                self.mailbox.post(link, Event::Recall(vec![kept.order.clone()]));
            }
        }
        Ok(())
    }

    /// Remembers whom a recall is owed to: those who were given something that it voids and have not signed, or had passed it
    /// on to somebody who has not.
    fn owe(&self, key: &RecallKey, kept: &Kept) -> Result<(), StoreError> {
        let signed = self.receipts_for(key, kept)?;
        for member in direct(kept) {
            match self.is_settled(&member, &signed, &key.0, &mut BTreeSet::new()) {
                true => self.voids.settle(&member, key),
                false => self.voids.owe(&member, key.clone()),
            }
        }
        Ok(())
    }

    /// The answers to just this recall, by who gave them.
    fn receipts_for(&self, key: &RecallKey, kept: &Kept) -> Result<BTreeMap<String, v1::Erased>, StoreError> {
        let mut answers = answers(&*self.store, key)?;
        answers.retain(|erased| erased.index == kept.order.index);
        Ok(answers.into_iter().map(|erased| (erased.by.clone(), erased)).collect())
    }

    fn is_settled(
        &self,
        member: &MemberId,
        signed: &BTreeMap<String, v1::Erased>,
        origin: &Origin,
        seen: &mut BTreeSet<MemberId>,
    ) -> bool {
        if *member == self.local.member || *member == origin.member || !seen.insert(member.clone()) {
            return true;
        }
        signed.get(member.as_str()).is_some_and(|erased| {
            let mut passed_on = erased.passed_on.iter().filter(|holder| !has_file(holder));
            passed_on.all(|holder| {
                let member = holder.member.parse();
                member.is_ok_and(|member| self.is_settled(&member, signed, origin, seen))
            })
        })
    }

    /// The recalls that a peer has not answered, a frame's worth, after the one named.
    pub(super) fn recalls_for(&self, peer: &Peer, after: Option<&RecallKey>) -> (v1::Recalls, Option<RecallKey>) {
        let mut keys = self.voids.owed(&peer.member, after, RECALLS_MAX + 1);
        let more = keys.len() > RECALLS_MAX;
        keys.truncate(RECALLS_MAX);
        let recalls = keys.iter().filter_map(|key| match Kept::of(&*self.store, key) {
            Ok(kept) => kept.map(|kept| kept.order.clone()),
            Err(error) => {
                tracing::error!(%error, "a recall can't be read; it stays owed");
                None
            }
        });
        let recalls = recalls.collect();
        (v1::Recalls { recalls, more }, keys.pop())
    }

    /// Sends what is known about these recalls: that this node erased, and who else did that had it from here.
    fn answer_recalls(&self, link: LinkId, keys: &[RecallKey]) -> Result<(), StoreError> {
        let (mut erased, mut bytes) = (Vec::new(), 0);
        for key in keys {
            for answer in answers(&*self.store, key)? {
                bytes += answer.encoded_len();
                erased.push(answer);
                if erased.len() >= ERASURES_MAX || bytes >= ERASURES_BYTES_ENOUGH {
                    bytes = 0;
                    self.post_erasures(link, std::mem::take(&mut erased), false);
                }
            }
        }
        self.post_erasures(link, erased, true);
        Ok(())
    }

    fn post_erasures(&self, link: LinkId, erased: Vec<v1::Erased>, answered: bool) {
        self.mailbox
            .post(link, Event::Answer(v1::Erasures { erased, answered }));
    }

    /// Answers to recalls: kept, and passed on to whoever told this node of the recall.
    pub(super) fn erasures(&self, link: LinkId, peer: &Peer, erasures: v1::Erasures) {
        for message in erasures.erased {
            match self.take_erasure(&message) {
                Ok(Some(callers)) => self.forward_erasure(&message, &callers),
                Ok(None) => {}
                Err(ErasureFault::Store(error)) => {
                    tracing::error!(peer = %peer.member, %error, "a receipt for an erasure could not be kept");
                    return self.mailbox.post(link, Event::cant_store());
                }
                Err(fault) => {
                    tracing::warn!(peer = %peer.member, %fault, "receipt for an erasure refused");
                    metrics::counter!("icomm_refused_erasures_total", "peer" => peer.member.to_string()).increment(1);
                }
            }
        }
    }

    /// Keeps an answer; gives whom to pass it on to if it is new.
    fn take_erasure(&self, message: &v1::Erased) -> Result<Option<Vec<String>>, ErasureFault> {
        let signer = Erasure::signer(message)?;
        let keys = self.law.member_keys(&signer).ok_or(ErasureFault::UnknownMember)?;
        let erasure = Erasure::verify(message, &keys)?;
        let recall = (erasure.origin, erasure.record);
        let kept = Kept::of(&*self.store, &recall)?.ok_or(ErasureFault::Unasked)?;
        if erasure.index != kept.order.index {
            // For an earlier correction: the later one is answered in turn.
            return Ok(None);
        }
        if erasure.leaf != kept.leaf {
            return Err(ErasureFault::Unasked);
        }
        let bytes = message.encode_to_vec();
        let state = answer_state(&recall, &signer);
        if signer == self.local.member || self.store.state(&state)?.is_some_and(|known| *known == *bytes) {
            return Ok(None);
        }
        let batch = Batch::new().set(state, bytes.clone());
        self.store.append(batch.note(NoteLog::erasures(), bytes))?;
        self.owe(&recall, &kept)?;
        Ok(Some(kept.callers))
    }

    pub(super) fn forward_erasure(&self, message: &v1::Erased, callers: &[String]) {
        for (&link, peer) in &*lock(&self.links) {
            if callers.iter().any(|caller| caller == peer.member.as_str()) {
                self.post_erasures(link, vec![message.clone()], false);
            }
        }
    }
}

/// Why an answer to a recall was not kept.
#[derive(Debug, Error)]
enum ErasureFault {
    #[error(transparent)]
    Invalid(#[from] InvalidErasure),
    #[error("it is signed by nobody in the trust bundle")]
    UnknownMember,
    #[error("this was not recalled")]
    Unasked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The members to whom this node gave something that is void now; whoever has a file can't be told.
fn direct(kept: &Kept) -> BTreeSet<MemberId> {
    let members = kept.holders.iter().filter(|holder| !has_file(holder));
    members.filter_map(|holder| holder.member.parse().ok()).collect()
}

fn leaf_of(item: &Item) -> Option<Hash> {
    facts(item.as_item_ref()).ok().map(|(leaf, _)| leaf)
}

fn has_sections(store: &dyn Store, place: &Place) -> Result<bool, StoreError> {
    let item = store.entry(&place.origin, place.index)?;
    let held = item.and_then(|item| facts(item.as_item_ref()).ok()?.1);
    Ok(held.is_some_and(|sections| !sections.is_empty()))
}
