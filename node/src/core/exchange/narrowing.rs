//! Finds what went under terms that a later version made narrower, and who is to give it up: see [`crate::core::callback`].
//!
//! Once for every version, when it has begun: which versions were dealt with is kept. It reads all notes of disclosures, and of
//! the logs what the notes under that agreement speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use icomm_pki::MemberId;
use icomm_policy::{AgreementId, Covered, Receiver};
use icomm_proto::log::ItemRef;
use icomm_proto::{Origin, SectionSet, ViewRef};

use super::Exchange;
use crate::core::callback::{Call, Made, Stretches};
use crate::core::delivery::READ_LIMIT;
use crate::core::disclosure::Note;
use crate::core::recall::each_note;
use crate::store::{Batch, StoreError};

fn state_key(id: &AgreementId) -> String {
    format!("narrowed/{id}")
}

/// Which sections of which entries of a log went to a member by consent. No more than consents were given.
type Consented = BTreeMap<(String, String), BTreeMap<u64, SectionSet>>;

/// What one member is to give up of one log, as far as it is found.
struct Search {
    covered: Covered,
    consented: BTreeMap<u64, SectionSet>,
    narrowed: Stretches,
}

impl Exchange {
    /// Looks whether a version of an agreement has begun that may cover less than the one before, and calls back what is covered
    /// no more. For the shell to call about once a second, where it holds up nothing: it reads much when there is something
    /// to do, and next to nothing otherwise.
    ///
    /// # Errors
    /// The store fails; the next call begins anew.
    pub fn call_back_narrowed(&self) -> Result<(), StoreError> {
        let now = self.now();
        for (id, version) in self.law.policy().superseding(now) {
            let dealt_with = self.store.state(&state_key(&id))?;
            let dealt_with = dealt_with.and_then(|bytes| bytes.as_ref().try_into().ok());
            if dealt_with.map_or(0, u32::from_be_bytes) < version {
                self.narrow(&id, version, now)?;
            }
        }
        Ok(())
    }

    fn narrow(&self, id: &AgreementId, version: u32, now: u64) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let mut links = BTreeSet::new();
        for ((origin, to), narrowed) in self.narrowed(id, now)? {
            tracing::info!(%origin, agreement = %id, version, to = %to, entries = narrowed.len(), "called back");
            for stretches in narrowed.pieces() {
                let made = Made {
                    to: to.clone(),
                    call: Call {
                        origin: origin.clone(),
                        agreement: id.clone(),
                        version,
                        time: now,
                        stretches,
                    },
                    answer: None,
                    cause: None,
                };
                batch = batch.set(made.key(), made.encode());
                links.insert(to.clone());
            }
        }
        self.store
            .append(batch.set(state_key(id), version.to_be_bytes().to_vec()))?;
        // Whoever looks for what is wider sees from now on what was taken back.
        self.withhold_all();
        self.call_in(&links)
    }

    /// Of no log anything goes that was read before.
    fn withhold_all(&self) {
        for origin in self.heads.origins() {
            self.voids.withhold(&origin);
        }
        self.mailbox.changed();
    }

    /// What went under any version of an agreement and is covered no more, by log and receiver.
    fn narrowed(&self, id: &AgreementId, now: u64) -> Result<BTreeMap<(Origin, MemberId), Stretches>, StoreError> {
        self.withhold_all();
        let mut consented = Consented::new();
        each_note(&*self.store, &mut |note| add_consented(note, &mut consented))?;
        let mut searches: BTreeMap<(Origin, MemberId), Search> = BTreeMap::new();
        let mut failed = Ok(());
        each_note(&*self.store, &mut |note| {
            if failed.is_ok() && note.terms.iter().any(|terms| terms.is_under(id)) {
                failed = self.search(note, id, now, &mut consented, &mut searches);
            }
        })?;
        failed?;
        let found = searches.into_iter().map(|(key, search)| (key, search.narrowed));
        Ok(found.filter(|(_, narrowed)| !narrowed.is_empty()).collect())
    }

    fn search(
        &self,
        note: &Note,
        id: &AgreementId,
        now: u64,
        consented: &mut Consented,
        searches: &mut BTreeMap<(Origin, MemberId), Search>,
    ) -> Result<(), StoreError> {
        // A photo goes with the section that names it, of which there is another note.
        if note.photo.is_some() {
            return Ok(());
        }
        // What was handed out as a file can't be called back.
        let to = note.to.parse::<MemberId>().ok().filter(|_| !note.node.is_empty());
        let origin = note.origin.parse::<Origin>().ok();
        let Some((origin, to)) = origin.zip(to) else {
            return Ok(());
        };
        let bundle = self.law.bundle();
        // Nothing is known of the terms with who has left.
        let (Some(entry), Some(_)) = (bundle.member(&to), bundle.member(&origin.member)) else {
            return Ok(());
        };
        let search = searches
            .entry((origin.clone(), to))
            .or_insert_with_key(|(origin, to)| Search {
                covered: self.law.policy().covered(
                    &origin.member,
                    &Receiver {
                        member: to.clone(),
                        role: entry.role,
                    },
                    now,
                ),
                consented: consented
                    .remove(&(note.to.clone(), note.origin.clone()))
                    .unwrap_or_default(),
                narrowed: Stretches::default(),
            });
        for (run, terms) in note.disclosed_runs().filter(|(_, terms)| terms.is_under(id)) {
            self.compare_run(&origin, run, terms.section_set(), search)?;
        }
        Ok(())
    }

    /// Compares what went of some entries in a row with what may stay.
    fn compare_run(
        &self,
        origin: &Origin,
        run: Range<u64>,
        went: SectionSet,
        search: &mut Search,
    ) -> Result<(), StoreError> {
        let Range { start: mut next, end } = run;
        while next < end {
            let Some(stretch) = self.store.read(origin, next, READ_LIMIT)? else {
                break;
            };
            for (item, index) in stretch.items().zip(next..end) {
                // Of what is not held here any more somebody else has spoken: a recall, or a call that was passed on.
                let ItemRef::Disclosed(bytes) = item else { continue };
                let Ok(view) = ViewRef::parse(bytes) else { continue };
                if view.class_bytes().is_none() {
                    continue;
                }
                // The note names what might go of a record of that class; this one may have less to it.
                let entry = view.entry();
                let has: SectionSet = went.iter().filter(|kind| entry.section_hash(*kind).is_some()).collect();
                // All that may stay, not of this disclosure alone: the rest may have come since.
                let consented = search.consented.get(&index).copied();
                let stays = search.covered.sections(&view, consented.unwrap_or(SectionSet::EMPTY));
                if !has.is_subset(stays) {
                    search.narrowed.keep(index, stays);
                }
            }
            next = stretch.end.size();
        }
        Ok(())
    }
}

fn add_consented(note: &Note, consented: &mut Consented) {
    for (run, terms) in note.disclosed_runs().filter(|(_, terms)| terms.is_by_consent()) {
        let log = consented.entry((note.to.clone(), note.origin.clone())).or_default();
        for index in run {
            let went = log.entry(index).or_insert(SectionSet::EMPTY);
            *went = went.union(terms.section_set());
        }
    }
}
