//! Calls to give something up as they are made, taken and answered.
//!
//! Like recalls they are rare beside the records: what is done here waits for the disk where it stands.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::{MemberId, SigningError};
use icomm_policy::Receiver;
use icomm_proto::log::Item;
use icomm_proto::{Origin, SectionSet, View, v1};
use prost::Message;
use thiserror::Error;

use super::held::settle_store;
use super::{Exchange, lock};
use crate::core::callback::{
    Answer, CALLBACKS_PREFIX, Call, InvalidAnswer, InvalidCall, Made, Stretches, made_state, owed_to, taken_state,
};
use crate::core::recall::{has_file, holders};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, Place, Remains, ShutAway, StoreError};

/// Items of one batch after which another begins.
const BATCH_ITEMS_ENOUGH: usize = 512;

/// Which calls are not settled, by whom they are made to: the keys under which they are kept, and whether there is an answer that
/// names others who have yet to answer.
pub(super) type OwedCalls = BTreeMap<MemberId, BTreeMap<String, bool>>;

/// Why a call, or an answer to one, does not count.
#[derive(Debug, Error)]
pub(super) enum CallFault {
    #[error(transparent)]
    Call(#[from] InvalidCall),
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
    /// Nobody takes back what this member issued.
    #[error("it calls back what this member issued itself")]
    Own,
    #[error("it is signed by nobody in the trust bundle, or by another than who sent it")]
    UnknownMember,
    #[error("this was not called back")]
    Unasked,
    /// It is answered when the key is back.
    #[error(transparent)]
    Key(#[from] SigningError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Call(_) => "invalid-call",
            Self::Answer(_) => "invalid-answer",
            Self::Own => "own-record",
            Self::UnknownMember => "unknown-member",
            Self::Unasked => "unasked",
            Self::Key(error) => error.code(),
            Self::Store(_) => "store",
        }
    }
}

impl Exchange {
    /// Remembers which calls are not answered.
    pub(super) fn remember_calls(&self) -> Result<(), StoreError> {
        let mut owed = OwedCalls::new();
        for made in Made::all(&*self.store, CALLBACKS_PREFIX)? {
            if !made.is_settled() {
                owed.entry(made.to.clone())
                    .or_default()
                    .insert(made.key(), made.answer.is_some());
            }
        }
        *lock(&self.owed_calls) = owed;
        Ok(())
    }

    /// How many calls wait for an answer, by whom they are made to.
    pub fn owed_calls(&self) -> BTreeMap<MemberId, usize> {
        let owed = lock(&self.owed_calls);
        owed.iter().map(|(member, keys)| (member.clone(), keys.len())).collect()
    }

    /// Whether a member has yet to give up something of a log: until then nothing more of it goes there. So what it gives up is
    /// never what later terms gave it again.
    pub(super) fn is_called(&self, to: &MemberId, origin: &Origin) -> bool {
        let owed = lock(&self.owed_calls);
        let Some(keys) = owed.get(to) else { return false };
        let of_log = owed_to(to, Some(origin));
        keys.iter().any(|(key, answered)| !answered && key.starts_with(&of_log))
    }

    /// The calls that this node made, of which a record's entry is one.
    pub fn calls_about(&self, place: &Place) -> Result<Vec<Made>, StoreError> {
        let mut made = Made::all(&*self.store, CALLBACKS_PREFIX)?;
        let spoken_of = |call: &Call| call.origin == place.origin && call.stretches.of(place.index) != SectionSet::ALL;
        made.retain(|made| spoken_of(&made.call));
        Ok(made)
    }

    /// What was called back of a log from a member.
    pub(super) fn called_back_from(&self, to: &MemberId, origin: &Origin) -> Result<Stretches, StoreError> {
        let mut called_back = Stretches::default();
        for made in Made::all(&*self.store, &owed_to(to, Some(origin)))? {
            made.call
                .stretches
                .iter()
                .for_each(|(index, sections)| called_back.keep(index, sections));
        }
        Ok(called_back)
    }

    /// Calls that are durable are owed from now on, and made where there is a link.
    pub(super) fn call_in(&self, members: &BTreeSet<MemberId>) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        self.remember_calls()?;
        for (&link, peer) in &*lock(&self.links) {
            if members.contains(&peer.member)
                && let Some(call) = self.owed_call(&peer.member, None)
            {
                self.mailbox.post(link, Event::CallBack(call));
            }
        }
        Ok(())
    }

    /// A call that waits for a member's answer, the first after the one whose key is named.
    pub(super) fn owed_call(&self, to: &MemberId, after: Option<&str>) -> Option<v1::CallBack> {
        let key = {
            let owed = lock(&self.owed_calls);
            let mut keys = owed.get(to)?.keys();
            keys.find(|key| after.is_none_or(|after| key.as_str() > after))?.clone()
        };
        let kept = self.store.state(&key).unwrap_or_else(|error| {
            tracing::error!(key, %error, "a call can't be read; it stays owed");
            None
        })?;
        v1::KeptCallBack::decode(kept).ok()?.call
    }

    /// A peer calls something back: what is no longer covered is erased, durably, and then answered.
    pub(super) fn call_back(&self, link: LinkId, peer: &Peer, message: &v1::CallBack) {
        match self.take_call(peer, message) {
            Ok(answer) => self.mailbox.post(link, Event::CalledBack(answer)),
            Err(fault) => self.refuse_call(link, peer, &fault),
        }
    }

    fn refuse_call(&self, link: LinkId, peer: &Peer, fault: &CallFault) {
        let code = fault.code();
        if let CallFault::Store(error) = fault {
            tracing::error!(peer = %peer.member, %error, "what was called back could not be dealt with; it stays owed");
            let message = "can't store now; try again later".into();
            return self.mailbox.post(link, Event::Stop { code, message });
        }
        if let CallFault::Key(error) = fault {
            return tracing::error!(peer = %peer.member, %error, "what was called back is erased and not answered yet");
        }
        tracing::warn!(peer = %peer.member, code, %fault, "call refused");
        metrics::counter!("icomm_refused_calls_total", "peer" => peer.member.to_string(), "code" => code).increment(1);
    }

    fn take_call(&self, peer: &Peer, message: &v1::CallBack) -> Result<v1::CalledBack, CallFault> {
        let call = Call::parse(message)?;
        if call.origin.member == self.local.member {
            return Err(CallFault::Own);
        }
        let state = taken_state(&peer.member, &call.origin, &call.digest());
        let known = self
            .store
            .state(&state)?
            .and_then(|kept| v1::TakenCallBack::decode(kept).ok());
        let taken = match known {
            Some(taken) => taken,
            None => self.give_up(peer, &call, state)?,
        };
        self.answer_to(&peer.member, &call, taken)
    }

    /// Erases what a call takes, and calls it back from those who had it from here.
    fn give_up(&self, peer: &Peer, call: &Call, state: String) -> Result<v1::TakenCallBack, StoreError> {
        let origin = &call.origin;
        // Nothing of the log is accepted or read meanwhile.
        let replica = self.replica(origin).ok();
        let machine = replica.as_ref().map(|replica| lock(&replica.machine));
        settle_store(&*self.store)?;
        self.voids.begin(origin, []);
        let given_up = self.erase_called(peer, call, state);
        self.voids.end(origin);
        drop(machine);
        self.mailbox.changed();
        let (taken, asked) = given_up?;
        self.call_in(&asked)?;
        Ok(taken)
    }

    fn erase_called(
        &self,
        peer: &Peer,
        call: &Call,
        state: String,
    ) -> Result<(v1::TakenCallBack, BTreeSet<MemberId>), StoreError> {
        let origin = &call.origin;
        let (kept, entries) = self.erase_beyond(&peer.member, call)?;
        let mut batch = Batch::new();
        let (mut passed_on, mut asked) = (Vec::new(), BTreeSet::new());
        for (to, mut stretches) in self.had_from_here(origin, &peer.member, &kept)? {
            // Members that pass on to each other would else wait for each other for ever.
            stretches.beyond(&self.called_alike(&to, call)?);
            for stretches in stretches.pieces() {
                let made = Made {
                    to: to.clone(),
                    call: Call {
                        stretches,
                        ..call.clone()
                    },
                    answer: None,
                    cause: Some((peer.member.clone(), call.digest().to_vec())),
                };
                batch = batch.set(made.key(), made.encode());
                asked.insert(to.clone());
            }
            passed_on.push(to.to_string());
        }
        tracing::info!(%origin, from = %peer.member, agreement = %call.agreement, version = call.version, entries,
            passed_on = passed_on.len(), "called back; erased here");
        let taken = v1::TakenCallBack {
            call: Some(call.encode()),
            time: self.now(),
            entries,
            passed_on,
        };
        self.store.append(batch.set(state, taken.encode_to_vec()))?;
        Ok((taken, asked))
    }

    /// Erases what is held beyond what may stay; gives what may, and of how many entries there was something to erase.
    fn erase_beyond(&self, caller: &MemberId, call: &Call) -> Result<(Stretches, u64), StoreError> {
        let origin = &call.origin;
        // What the originator itself gives this member is not for others to take.
        let own = Receiver {
            member: self.local.member.clone(),
            role: self.local.role,
        };
        let mut covered =
            (*caller != origin.member).then(|| self.law.policy().given_to(&origin.member, &own, self.now()));
        let (mut kept, mut entries, mut batch) = (Stretches::default(), 0, Batch::new());
        // Only what came from the caller is its to take; and what it noted may never have come.
        let sent = self.stored_cursor(origin, caller);
        // What is shut away is held, though nobody reads it.
        let shut = ShutAway::of_log(&*self.store, origin)?;
        for (index, sections) in call.stretches.iter().take_while(|(index, _)| *index < sent) {
            let mut stays = sections;
            if let Some(Item::Disclosed(bytes)) = self.store.entry(origin, index)?
                && let Ok(view) = View::parse(bytes)
            {
                if let Some(covered) = &mut covered {
                    stays = stays.union(covered.sections(&view.borrowed(), SectionSet::EMPTY));
                }
                let has = view.sections().union(shut.of(index));
                if !has.is_subset(stays) {
                    entries += 1;
                    let remains = match has.intersection(stays).is_empty() {
                        true => Remains::Hash,
                        false => Remains::Sections(stays),
                    };
                    batch = batch.erase(origin.clone(), index, remains);
                }
            }
            kept.keep(index, stays);
            if batch.items().len() >= BATCH_ITEMS_ENOUGH {
                self.store.append(std::mem::take(&mut batch))?;
            }
        }
        if !batch.is_empty() {
            self.store.append(batch)?;
        }
        Ok((kept, entries))
    }

    /// Who was given more of these entries by this node than may stay.
    fn had_from_here(
        &self,
        origin: &Origin,
        caller: &MemberId,
        kept: &Stretches,
    ) -> Result<BTreeMap<MemberId, Stretches>, StoreError> {
        let place = |index| Place {
            origin: origin.clone(),
            index,
        };
        let places = kept.iter().map(|(index, _)| place(index)).collect();
        let mut had: BTreeMap<MemberId, Stretches> = BTreeMap::new();
        for holder in holders(&*self.store, &places)?.into_values().flatten() {
            let Ok(member) = holder.member.parse::<MemberId>() else {
                continue;
            };
            let stays = kept.of(holder.index);
            let went = holder.sections.parse().unwrap_or(SectionSet::ALL);
            let is_asked = !has_file(&holder) && member != origin.member && member != *caller;
            if is_asked && !went.is_subset(stays) {
                had.entry(member).or_default().keep(holder.index, stays);
            }
        }
        Ok(had)
    }

    /// What was called back from a member on the same cause already.
    fn called_alike(&self, to: &MemberId, call: &Call) -> Result<Stretches, StoreError> {
        let mut called = Stretches::default();
        for made in Made::all(&*self.store, &owed_to(to, Some(&call.origin)))? {
            if made.call.has_cause_of(call) {
                made.call
                    .stretches
                    .iter()
                    .for_each(|(index, sections)| called.keep(index, sections));
            }
        }
        Ok(called)
    }

    /// Signs what there is to say to a call by now.
    fn answer_to(&self, caller: &MemberId, call: &Call, taken: v1::TakenCallBack) -> Result<v1::CalledBack, CallFault> {
        let digest = call.digest();
        let mut waiting = BTreeSet::new();
        for member in &taken.passed_on {
            let Ok(to) = member.parse() else { continue };
            let open = Made::all(&*self.store, &owed_to(&to, Some(&call.origin)))?;
            let follows = |made: &Made| {
                made.cause
                    .as_ref()
                    .is_some_and(|(by, cause)| by == caller && *cause == digest)
            };
            if open.iter().any(|made| follows(made) && !made.is_settled()) {
                waiting.insert(member.clone());
            }
        }
        let answer = Answer {
            origin: call.origin.clone(),
            digest,
            by: self.local.member.clone(),
            node: self.local.node.clone(),
            time: taken.time,
            entries: taken.entries,
            passed_on: taken.passed_on,
            waiting: waiting.into_iter().collect(),
        };
        let (origin, digest) = (answer.origin.clone(), answer.digest);
        let signed = answer.sign(&self.local.key.key());
        Ok(signed.inspect_err(|_| self.unsigned.owe_call(caller, origin, digest))?)
    }

    /// A peer answers: what it says is kept, and told to whoever waits for it in turn.
    pub(super) fn called_back(&self, link: LinkId, peer: &Peer, message: &v1::CalledBack) {
        let key = match self.take_called_back(peer, message) {
            Ok(key) => key,
            Err(fault) => return self.refuse_call(link, peer, &fault),
        };
        // One at a time, so that nobody is asked for more at once than it can store.
        if let Some(call) = self.owed_call(&peer.member, Some(&key)) {
            self.mailbox.post(link, Event::CallBack(call));
        }
    }

    fn take_called_back(&self, peer: &Peer, message: &v1::CalledBack) -> Result<String, CallFault> {
        let keys = self.law.member_keys(&peer.member).ok_or(CallFault::UnknownMember)?;
        let answer = Answer::verify(message, &keys)?;
        if answer.by != peer.member {
            return Err(CallFault::UnknownMember);
        }
        let key = made_state(&peer.member, &answer.origin, &answer.digest);
        let kept = self.store.state(&key)?.ok_or(CallFault::Unasked)?;
        let mut made = Made::decode(&key, &kept).ok_or(CallFault::Unasked)?;
        if made.is_settled() || made.answer.as_ref() == Some(message) {
            return Ok(key);
        }
        made.answer = Some(message.clone());
        self.store.append(Batch::new().set(key.clone(), made.encode()))?;
        tracing::info!(origin = %answer.origin, by = %peer.member, entries = answer.entries, "called back: erased there");
        self.call_answered(&peer.member, &key, made.is_settled());
        if let Some((caller, cause)) = &made.cause {
            self.answer_again(&made.call.origin, caller, cause)?;
        }
        Ok(key)
    }

    /// What waited for the answer goes on.
    fn call_answered(&self, by: &MemberId, key: &str, settled: bool) {
        let mut owed = lock(&self.owed_calls);
        if let Some(keys) = owed.get_mut(by) {
            match settled {
                true => drop(keys.remove(key)),
                false => drop(keys.insert(key.to_owned(), true)),
            }
            if keys.is_empty() {
                owed.remove(by);
            }
        }
        drop(owed);
        self.mailbox.changed();
    }

    /// Somebody who had it from here has answered: whoever called it back from here hears of that, if it is linked; otherwise it
    /// asks again.
    pub(super) fn answer_again(&self, origin: &Origin, caller: &MemberId, cause: &[u8]) -> Result<(), CallFault> {
        let kept = self.store.state(&taken_state(caller, origin, cause))?;
        let taken = kept.and_then(|kept| v1::TakenCallBack::decode(kept).ok());
        let call = taken.as_ref().and_then(|taken| taken.call.as_ref());
        let Some((call, taken)) = call.and_then(|call| Call::parse(call).ok()).zip(taken) else {
            return Ok(());
        };
        let answer = self.answer_to(caller, &call, taken)?;
        for (&link, peer) in &*lock(&self.links) {
            if peer.member == *caller {
                self.mailbox.post(link, Event::CalledBack(answer.clone()));
            }
        }
        Ok(())
    }
}
