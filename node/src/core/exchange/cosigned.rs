//! What witnesses say of logs (C2SP `tlog-cosignature`): made here by hubs and the root, gathered by everybody, and what it
//! settles.
//!
//! ```text
//!  replica, verified, durable ─ once a second ─▶ cosign its head ─▶ durable ─▶ every link that may know the log
//!  a cosigned checkpoint comes in ─▶ originator's signature, own history, each witness's line ─▶ durable ─▶ other links
//!  settled: the largest checkpoint that a quorum of witnesses, by the trust bundle, has seen this history up to
//! ```
//!
//! A witness's word for more entries holds for fewer of the same history, so who holds the log counts it for both. Off the
//! path of chunks: one signature a log and second, however fast the log grows.
//!
//! INVARIANT: a witness never cosigns fewer entries of a log than before, nor another history. Its replica only grows, what
//! it said is durable before anybody hears it, and what others show of its own words counts as said.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use icomm_pki::{DirectoryEntry, MemberId, MemberPublicKey, Quorum, SigningError, VerifiedBundle};
use icomm_proto::log::{Checkpoint, Hash, InvalidNote, NotSigned, SignedNote, cosigner_key_id, key_id};
use icomm_proto::proof::witness_name;
use icomm_proto::{Origin, v1};

use super::{Exchange, Head, Link, lock};
use crate::core::replica::{ChunkFault, History};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Testimony};
use crate::store::{Batch, Store, StoreError};

const WORDS_PREFIX: &str = "cosigned/";
const SETTLED_PREFIX: &str = "settled/";

/// What is known of all logs.
pub(super) struct Cosigned(Mutex<BTreeMap<Origin, Words>>);

/// Of one log.
#[derive(Clone, Default)]
struct Words {
    /// The latest of each witness, durable, and all of the history that is held here.
    said: BTreeMap<MemberId, Word>,
    /// Those of more entries than are held.
    ahead: BTreeMap<MemberId, Word>,
    /// The largest checkpoint with the lines of a quorum on it, for those who hold nothing else of the log.
    settled: Option<(u64, Bytes)>,
}

/// A witness's verified statement.
#[derive(Clone)]
struct Word {
    size: u64,
    root: Hash,
    time: u64,
    /// The witness's.
    key: MemberPublicKey,
    /// The originator's line and the witness's.
    note: SignedNote,
}

/// A witness's latest word on a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Who.
    pub witness: MemberId,
    /// Up to how many entries.
    pub size: u64,
    /// When, by its clock, in seconds since 1970.
    pub time: u64,
}

/// What witnesses say of a log, as far as it is the history held here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// How many must have said it.
    pub quorum: Quorum,
    /// So many entries are settled.
    pub settled: u64,
    /// The latest word of each witness.
    pub cosignatures: Vec<Cosignature>,
    /// The largest checkpoint that bears the lines of a quorum by itself; it may be of fewer entries than are settled.
    pub note: Option<Bytes>,
}

impl Cosigned {
    /// As the store holds it. What does not verify under this bundle any more is left out.
    pub(super) fn open(store: &dyn Store, bundle: &VerifiedBundle) -> Result<Self, StoreError> {
        let mut all: BTreeMap<Origin, Words> = BTreeMap::new();
        for (key, note) in store.scan_state(WORDS_PREFIX)? {
            let named = key.strip_prefix(WORDS_PREFIX).and_then(|key| key.rsplit_once('/'));
            let read = named.and_then(|(origin, witness)| {
                let origin: Origin = origin.parse().ok()?;
                let witness = bundle.member(&witness.parse().ok()?)?;
                let note = SignedNote::parse(&note).ok()?;
                let word = Word::of(&note, &origin, witness, bundle).ok()??;
                Some((origin, witness.id.clone(), word))
            });
            if let Some((origin, witness, word)) = read {
                all.entry(origin).or_default().said.insert(witness, word);
            }
        }
        for (key, note) in store.scan_state(SETTLED_PREFIX)? {
            let origin = key.strip_prefix(SETTLED_PREFIX).and_then(|origin| origin.parse().ok());
            let parsed = SignedNote::parse(&note)
                .ok()
                .and_then(|note| Checkpoint::parse(note.text()).ok());
            if let (Some(origin), Some(signed)) = (origin, parsed) {
                all.entry(origin).or_default().settled = Some((signed.size, note));
            }
        }
        Ok(Self(Mutex::new(all)))
    }

    /// What was said of a log: a message for each checkpoint.
    pub(super) fn of(&self, origin: &Origin) -> Vec<v1::Cosigned> {
        let all = lock(&self.0);
        let notes = all.get(origin).map(Words::notes).unwrap_or_default();
        notes.values().map(|note| message(origin, note)).collect()
    }

    /// The word of this witness for the most entries, whether so many are held or not.
    fn said_by(&self, origin: &Origin, witness: &MemberId) -> Option<Word> {
        let all = lock(&self.0);
        let words = all.get(origin)?;
        let said = words.said.get(witness).into_iter().chain(words.ahead.get(witness));
        said.max_by_key(|word| word.size).cloned()
    }
}

impl Word {
    /// What a witness says on a note that the originator signed; `None` if nothing.
    fn of(
        note: &SignedNote,
        origin: &Origin,
        witness: &DirectoryEntry,
        bundle: &VerifiedBundle,
    ) -> Result<Option<Self>, InvalidNote> {
        let (domain, originator) = (bundle.trust_domain(), bundle.member(&origin.member));
        let (line, name) = (origin.line(domain), witness_name(&witness.id, domain));
        let Ok(signed) = Checkpoint::parse(note.text()) else {
            return Ok(None);
        };
        // A cosignature speaks of the present: it counts while the witness may sign with its key.
        for key in witness.keys.signing() {
            let Some(time) = note.cosigned(&name, &key)? else {
                continue;
            };
            let originators = originator.iter().flat_map(|originator| originator.keys.all());
            let mut lines: Vec<_> = originators
                .map(|key| (line.as_str(), key_id(&line, key.as_bytes())))
                .collect();
            lines.push((name.as_str(), cosigner_key_id(&name, key.as_bytes())));
            let note = note.filtered(|by| lines.contains(&(by.name(), by.key_id())));
            return Ok(note.map(|note| Self {
                size: signed.size,
                root: signed.root,
                time,
                key,
                note,
            }));
        }
        Ok(None)
    }
}

impl Word {
    /// Of more entries; or of as many, with another key than before.
    fn says_more_than(&self, known: &Self) -> bool {
        known.size < self.size || (known.size == self.size && known.key != self.key)
    }
}

impl Words {
    /// A note for each size that witnesses signed, with all their lines on it.
    fn notes(&self) -> BTreeMap<u64, SignedNote> {
        let mut notes: BTreeMap<u64, SignedNote> = BTreeMap::new();
        for word in self.said.values() {
            match notes.get_mut(&word.size) {
                // The same history, so another text could differ in lines only that nobody here understands.
                Some(note) => drop(note.merge(word.note.clone())),
                None => drop(notes.insert(word.size, word.note.clone())),
            }
        }
        notes
    }

    fn witnesses_of(&self, counts: impl Fn(u64) -> bool) -> impl Iterator<Item = &MemberId> {
        self.said
            .iter()
            .filter(move |(_, word)| counts(word.size))
            .map(|(witness, _)| witness)
    }

    /// The largest size that enough witnesses have said, or more.
    fn settled(&self, origin: &Origin, bundle: &VerifiedBundle) -> u64 {
        let mut sizes: Vec<u64> = self.said.values().map(|word| word.size).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let enough = |size: &u64| reached(bundle, origin, self.witnesses_of(|said| said >= *size));
        sizes.into_iter().find(enough).unwrap_or(0)
    }

    /// Takes in words; of each witness that for the most entries stays.
    fn hear(&mut self, news: Vec<(MemberId, Word)>) {
        for (witness, word) in news {
            if self.said.get(&witness).is_none_or(|known| word.says_more_than(known)) {
                self.said.insert(witness, word);
            }
        }
    }

    /// Keeps the largest note that bears a quorum's lines itself.
    fn settle(&mut self, origin: &Origin, bundle: &VerifiedBundle) {
        let known = self.settled.as_ref().map_or(0, |(size, _)| *size);
        let quorum = |size: u64| reached(bundle, origin, self.witnesses_of(|said| said == size));
        let mut larger = self.notes().into_iter().rev().filter(|(size, _)| *size > known);
        if let Some((size, note)) = larger.find(|(size, _)| quorum(*size)) {
            self.settled = Some((size, note.to_bytes().into()));
        }
    }
}

/// Whether these witnesses are a quorum for the log.
fn reached<'a>(bundle: &VerifiedBundle, origin: &Origin, witnesses: impl Iterator<Item = &'a MemberId>) -> bool {
    let roles = witnesses
        .filter(|witness| **witness != origin.member)
        .filter_map(|witness| Some(bundle.member(witness)?.role))
        .filter(|role| role.is_witness());
    bundle.quorum_for(&origin.member).is_reached_by(roles)
}

fn message(origin: &Origin, note: &SignedNote) -> v1::Cosigned {
    v1::Cosigned {
        origin: origin.to_string(),
        checkpoint: note.to_bytes().into(),
    }
}

impl Exchange {
    /// What witnesses say of a log.
    pub fn witnessed(&self, origin: &Origin) -> Witnessed {
        let bundle = self.law.bundle();
        let all = lock(&self.cosigned.0);
        let words = all.get(origin);
        let said = words.into_iter().flat_map(|words| &words.said);
        Witnessed {
            quorum: bundle.quorum_for(&origin.member),
            settled: words.map_or(0, |words| words.settled(origin, &bundle)),
            cosignatures: said
                .map(|(witness, word)| Cosignature {
                    witness: witness.clone(),
                    size: word.size,
                    time: word.time,
                })
                .collect(),
            note: words.and_then(|words| Some(words.settled.as_ref()?.1.clone())),
        }
    }

    /// The checkpoint that covers the entry `index` and bears the most witnesses' lines, of several the largest.
    pub fn cosigned_over(&self, origin: &Origin, index: u64) -> Option<SignedNote> {
        let all = lock(&self.cosigned.0);
        let words = all.get(origin)?;
        let settled = words.settled.as_ref();
        let settled = settled.and_then(|(size, note)| Some((*size, SignedNote::parse(note).ok()?)));
        let notes = words.notes().into_iter().chain(settled);
        notes
            .filter(|(size, _)| *size > index)
            .max_by_key(|(size, note)| (note.signatures().len(), *size))
            .map(|(_, note)| note)
    }

    /// A peer says what witnesses say. What they did not sign costs it its session.
    pub(super) fn heard(&self, link: &Link, said: &v1::Cosigned) {
        let peer = &link.peer.member;
        let Ok(origin) = said.origin.parse::<Origin>() else {
            return self.unheard(link, &format!("`{}` is not a log", said.origin));
        };
        let known = lock(&self.replicas).contains_key(&origin) || self.heads.size(&origin).is_some();
        if !known || self.forks.has(&origin) {
            return;
        }
        match self.witness(peer, &origin, said.checkpoint.clone()) {
            Ok(()) => {}
            Err(fault @ ChunkFault::Checkpoint(_)) => return self.unheard(link, &fault.to_string()),
            Err(fault) => return self.found(peer, &origin, &fault),
        }
        match self.news(&origin, &said.checkpoint) {
            Ok(words) if words.is_empty() => {}
            Ok(words) => self.take(&origin, words, Some(link.id)),
            Err(invalid) => self.unheard(link, &invalid.to_string()),
        }
    }

    fn unheard(&self, link: &Link, message: &str) {
        let peer = &link.peer.member;
        tracing::warn!(%peer, message, "a cosigned checkpoint was refused");
        metrics::counter!("icomm_refused_cosignatures_total", "peer" => peer.to_string()).increment(1);
        let (code, message) = ("invalid-cosignature", message.to_owned());
        self.mailbox.post(link.id, Event::Stop { code, message });
    }

    /// The words on a note that say more than was known. Lines of keys that no witness of the bundle has are left out.
    fn news(&self, origin: &Origin, checkpoint: &[u8]) -> Result<Vec<(MemberId, Word)>, InvalidNote> {
        let note = SignedNote::parse(checkpoint)?;
        let Ok(Checkpoint { size, .. }) = Checkpoint::parse(note.text()) else {
            return Ok(Vec::new());
        };
        let bundle = self.law.bundle();
        let mut news = Vec::new();
        for witness in bundle.witnesses().filter(|witness| witness.id != origin.member) {
            let known = self.cosigned.said_by(origin, &witness.id);
            // As much with the key that was certified last can't be said better; with one before it, it can.
            let is_known = |known: &Word| known.size > size || (known.size == size && known.key == witness.key);
            if known.as_ref().is_some_and(is_known) {
                continue;
            }
            let word = Word::of(&note, origin, witness, &bundle)?;
            let word = word.filter(|word| known.is_none_or(|known| word.says_more_than(&known)));
            news.extend(word.map(|word| (witness.id.clone(), word)));
        }
        Ok(news)
    }

    /// Keeps words for what is held; once they are durable they count, and are told to others. The rest waits until so much
    /// is held.
    fn take(&self, origin: &Origin, news: Vec<(MemberId, Word)>, from: Option<LinkId>) {
        let held = self.heads.size(origin).unwrap_or(0);
        let (news, ahead): (Vec<_>, Vec<_>) = news.into_iter().partition(|(_, word)| word.size <= held);
        let mut words = {
            let mut all = lock(&self.cosigned.0);
            let words = all.entry(origin.clone()).or_default();
            words.ahead.extend(ahead);
            words.clone()
        };
        if news.is_empty() {
            return;
        }
        let bundle = self.law.bundle();
        let (mut batch, mut told) = (Batch::new(), Vec::new());
        // Before one of the words of which it is made is replaced.
        words.settle(origin, &bundle);
        for (witness, word) in &news {
            batch = batch.set(format!("{WORDS_PREFIX}{origin}/{witness}"), word.note.to_bytes());
            told.push(message(origin, &word.note));
        }
        words.hear(news.clone());
        words.settle(origin, &bundle);
        if let Some((_, note)) = &words.settled {
            batch = batch.set(format!("{SETTLED_PREFIX}{origin}"), note.clone());
        }
        let links: Vec<LinkId> = lock(&self.links)
            .keys()
            .copied()
            .filter(|link| Some(*link) != from)
            .collect();
        let (mailbox, cosigned, origin) = (self.mailbox.clone(), self.cosigned.clone(), origin.clone());
        let done = move |result: Result<(), StoreError>| match result {
            Ok(()) => {
                if let Some(words) = lock(&cosigned.0).get_mut(&origin) {
                    words.hear(news);
                    words.settle(&origin, &bundle);
                    let settled = metrics::gauge!("icomm_settled_entries", "origin" => origin.to_string());
                    settled.set(words.settled(&origin, &bundle) as f64);
                }
                for (link, said) in links.iter().flat_map(|link| told.iter().map(move |said| (link, said))) {
                    mailbox.post(*link, Event::Testify(Testimony::Cosigned(said.clone())));
                }
            }
            Err(error) => tracing::error!(%error, "cosignatures could not be kept, and are not told"),
        };
        self.store.submit(batch, Box::new(done));
    }

    /// Takes in what witnesses said of more than was held, now that it is.
    pub(super) fn compare_cosigned(&self) {
        let mut due = Vec::new();
        for (origin, words) in &mut *lock(&self.cosigned.0) {
            let held = self.heads.size(origin).unwrap_or(0);
            let ready = words.ahead.extract_if(.., |_, word| word.size <= held);
            due.extend(ready.map(|(witness, word)| (origin.clone(), witness, word)));
        }
        for (origin, witness, word) in due {
            match self.witness(&witness, &origin, word.note.to_bytes().into()) {
                Ok(()) => self.take(&origin, vec![(witness, word)], None),
                Err(fault) => self.found(&witness, &origin, &fault),
            }
        }
    }

    /// What was said with a key that does not sign any more counts no more; its witness says it again with its new one. Its
    /// own words a witness keeps, to compare with what it says next.
    pub(super) fn reconsider_cosigned(&self) {
        let bundle = self.law.bundle();
        let signs = |witness: &MemberId, word: &Word| {
            *witness == self.local.member
                || bundle
                    .member(witness)
                    .is_some_and(|entry| entry.keys.signing().any(|key| key == word.key))
        };
        for words in lock(&self.cosigned.0).values_mut() {
            words.said.retain(|witness, word| signs(witness, word));
            words.ahead.retain(|witness, word| signs(witness, word));
        }
    }

    /// Cosigns every log that has grown, if this node is a witness; with a new key, all of them again. Blocks on the
    /// key; one that does not sign is not asked again for every log.
    pub(super) fn cosign(&self) -> Result<(), SigningError> {
        if !self.local.role.is_witness() {
            return Ok(());
        }
        let others = |origin: &Origin| origin.member != self.local.member && !self.forks.has(origin);
        for (origin, head) in self.heads().into_iter().filter(|(origin, _)| others(origin)) {
            let last = self.cosigned.said_by(&origin, &self.local.member);
            let key = self.local.key.key().public();
            if last
                .as_ref()
                .is_some_and(|last| last.size >= head.size && last.key == key)
            {
                continue;
            }
            match self.cosigned_head(&origin, &head, last.as_ref()) {
                Ok(word) => self.take(&origin, vec![(self.local.member.clone(), word)], None),
                Err(Uncosigned::Key(NotSigned::Key(error))) => return Err(error),
                Err(error) => tracing::error!(%origin, %error, "this log is not cosigned"),
            }
        }
        Ok(())
    }

    fn cosigned_head(&self, origin: &Origin, head: &Head, last: Option<&Word>) -> Result<Word, Uncosigned> {
        let mut time = self.now();
        if let Some(last) = last {
            let history = History::of(&*self.store, origin, last.size)?;
            if history.is_none_or(|history| history.root != last.root) {
                return Err(Uncosigned::OtherHistory(last.size));
            }
            time = time.max(last.time);
        }
        let domain = self.law.trust_domain();
        let (line, keys) = (origin.line(&domain), self.law.member_keys(&origin.member));
        let keys = keys.ok_or(Uncosigned::UnknownMember)?;
        let ids: Vec<_> = keys.all().map(|key| key_id(&line, key.as_bytes())).collect();
        let note = SignedNote::parse(&head.checkpoint)?;
        let note = note.filtered(|by| by.name() == line && ids.contains(&by.key_id()));
        let mut note = note.ok_or(Uncosigned::UnknownMember)?;
        let key = self.local.key.key();
        note.cosign(&witness_name(&self.local.member, &domain), &key, time)?;
        Ok(Word {
            size: head.size,
            root: head.root,
            time,
            key: key.public(),
            note,
        })
    }
}

/// Why a log is not cosigned. Ours, or the directory's.
#[derive(Debug, thiserror::Error)]
enum Uncosigned {
    /// What was cosigned is not what is held.
    #[error("what was cosigned before, of {0} entries, is not what is held now")]
    OtherHistory(u64),
    /// Its key is not known (any more).
    #[error("the key that signed it is no member's in the trust bundle")]
    UnknownMember,
    /// The note can't be read.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// The note can't be cosigned.
    #[error(transparent)]
    Key(#[from] NotSigned),
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
