//! What left this node, as its own notes tell it.

use std::ops::Range;

use icomm_policy::AgreementId;
use icomm_proto::{EntryHead, Origin, RecordId};
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::disclosure::{Note, Terms};
use crate::store::{NoteLog, StoreError};

/// Notes read at a time. A note is some hundred bytes, in the worst case some ten thousand.
const PAGE_NOTES: usize = 256;

/// Which disclosures: all that meet every condition.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// To this member; of a file: to whom it was handed out, in the same words.
    pub to: Option<String>,
    /// Of this log.
    pub origin: Option<Origin>,
    /// Under this agreement, whichever version.
    pub agreement: Option<AgreementId>,
    /// Within this time, in seconds since 1970.
    pub period: Range<u64>,
    /// Only where sections of one of these entries went, each by itself.
    pub entries: Option<Vec<RecordEntry>>,
}

/// An entry about a record.
#[derive(Debug, Clone)]
pub struct RecordEntry {
    /// The log.
    pub origin: Origin,
    /// The index in it.
    pub index: u64,
    /// What it says of which version of which record.
    pub head: EntryHead,
}

/// One note with its number in the list.
#[derive(Debug, Clone)]
pub struct Disclosed {
    /// From 0.
    pub number: u64,
    /// What it says.
    pub note: Note,
    /// The entry that was asked for, and which of the note's terms it went under.
    pub entry: Option<(RecordEntry, usize)>,
}

/// Some consecutive notes, those that were not wanted left out.
#[derive(Debug, Clone)]
pub struct DisclosuresPage {
    /// Those that are wanted.
    pub disclosures: Vec<Disclosed>,
    /// Where the next page begins.
    pub next: u64,
}

/// Why disclosures can't be told.
#[derive(Debug, Error)]
pub enum DisclosuresError {
    /// The store can't read a note.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it read is no note.
    #[error("note {number} of the disclosure log can't be read")]
    Unreadable {
        /// Which.
        number: u64,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

impl Node {
    /// How many notes of disclosures there are.
    ///
    /// # Errors
    /// The store fails.
    pub fn disclosures_len(&self) -> Result<u64, DisclosuresError> {
        Ok(self.0.store.notes_len(&NoteLog::disclosures())?)
    }

    /// The entries about a record that are held, to ask by.
    ///
    /// # Errors
    /// The store can't read one of them.
    pub fn entries_of(&self, record: &RecordId) -> Result<Vec<RecordEntry>, HoldingsError> {
        let held = self.find(record)?.into_iter();
        let entries = held.filter_map(|entry| {
            Some(RecordEntry {
                origin: entry.origin,
                index: entry.index,
                head: entry.view?.head(),
            })
        });
        Ok(entries.collect())
    }

    /// The next page of disclosures from number `from` on; it ends before `end`.
    ///
    /// # Errors
    /// A note can't be read.
    pub fn disclosures(&self, wanted: &Wanted, from: u64, end: u64) -> Result<DisclosuresPage, DisclosuresError> {
        let len = end.saturating_sub(from).min(PAGE_NOTES as u64);
        let notes = self.0.store.notes(&NoteLog::disclosures(), from, len as usize)?;
        let mut page = DisclosuresPage {
            disclosures: Vec::new(),
            next: notes.last().map_or(end, |(number, _)| number.saturating_add(1)),
        };
        for (number, bytes) in notes {
            let note = Note::decode(&bytes).map_err(|source| DisclosuresError::Unreadable { number, source })?;
            wanted.add(number, note, &mut page.disclosures);
        }
        Ok(page)
    }
}

impl Wanted {
    fn add(&self, number: u64, note: Note, found: &mut Vec<Disclosed>) {
        if !self.includes(&note) {
            return;
        }
        let Some(entries) = &self.entries else {
            let entry = None;
            return found.push(Disclosed { number, note, entry });
        };
        for entry in entries.iter().filter(|entry| entry.origin.to_string() == note.origin) {
            if let Some(terms) = note.terms_at(entry.index)
                && self.agrees(note.terms.get(terms))
            {
                let (note, entry) = (note.clone(), Some((entry.clone(), terms)));
                found.push(Disclosed { number, note, entry });
            }
        }
    }

    fn includes(&self, note: &Note) -> bool {
        let Self {
            to,
            origin,
            agreement,
            period,
            entries: _,
        } = self;
        period.contains(&note.time)
            && to.as_ref().is_none_or(|to| *to == note.to)
            && origin.as_ref().is_none_or(|origin| note.origin == origin.to_string())
            && (agreement.is_none() || note.terms.iter().any(|terms| self.agrees(Some(terms))))
    }

    /// Whether these terms are under the agreement, if one is asked for.
    fn agrees(&self, terms: Option<&Terms>) -> bool {
        let agreement = self.agreement.as_ref();
        agreement.is_none_or(|agreement| terms.is_some_and(|terms| terms.is_under(agreement)))
    }
}
