//! The durable note of what was disclosed: one for every chunk that leaves, written before it leaves.
//!
//! ```text
//! stored note:   salt 16 | JSON
//! ```
//!
//! The salt is random: hashes of notes are shown to others (`ledger`), who could guess what is in a note. `terms` lists the
//! permits that were used in the chunk, `runs` says for each stretch of consecutive entries which of them applied; `null`
//! means that the hash alone went. A note with a `photo` is of that one photo of the entry, and of no section.
//!
//! ```json
//! {"time":1795428000,"to":"PT","node":"n1","origin":"ES/main","from":512,"count":512,
//!  "terms":[{"bases":["`ES-PT` version 1, grant 0"],"sections":"case+exact"}],
//!  "runs":[[500,0],[12,null]]}
//! ```

use std::ops::Range;

use bytes::Bytes;
use icomm_policy::{AgreementId, Permit};
use icomm_proto::{Origin, SectionSet};
use serde::{Deserialize, Serialize};

use crate::environment::Entropy;

/// The length of the random bytes before a note.
const SALT_BYTES: usize = 16;

/// Stands where the grants would.
const LOST: &str = "not known: its note was lost when this node was put back to an older state";

/// The terms of the permit under which entries went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The grants that allow it: agreement, version and grant of each.
    pub bases: Vec<String>,
    /// The sections that went: `case+exact`.
    pub sections: String,
}

impl Terms {
    /// The terms of a permit.
    pub fn of(permit: &Permit) -> Self {
        let bases = permit.bases().iter().map(ToString::to_string).collect();
        Self {
            bases,
            sections: permit.sections().to_string(),
        }
    }

    /// The terms of which the note was lost, with the store that this node had: whatever the receiver holds may have gone, under
    /// any agreement.
    pub fn lost() -> Self {
        Self {
            bases: vec![LOST.to_owned()],
            sections: "not known".to_owned(),
        }
    }

    /// The terms under which a member gets its own records back.
    pub fn returned() -> Self {
        Self {
            bases: vec!["returned to its originator".to_owned()],
            sections: "all that is held".to_owned(),
        }
    }
}

impl Terms {
    /// Whether one of the bases is a grant of this agreement, or may be.
    pub fn is_under(&self, agreement: &AgreementId) -> bool {
        if self.bases.iter().any(|basis| basis == LOST) {
            return true;
        }
        // A basis names agreements between backticks, which no id has.
        let named = format!("`{agreement}`");
        self.bases.iter().any(|basis| basis.contains(&named))
    }

    /// Whether one of the bases cites a consent.
    pub fn is_by_consent(&self) -> bool {
        // Between backticks stand ids, which have no blanks.
        self.bases.iter().any(|basis| basis.contains(", by consent "))
    }

    /// The sections that went; if that can't be read, any may have.
    pub fn section_set(&self) -> SectionSet {
        self.sections.parse().unwrap_or(SectionSet::ALL)
    }
}

/// What went to whom, when and under which terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Seconds since 1970.
    pub time: u64,
    /// The receiving member; for a proof that was handed out, who has it, in words.
    pub to: String,
    /// Its node; empty for a proof that was handed out as a file.
    pub node: String,
    /// The log.
    pub origin: String,
    /// First index.
    pub from: u64,
    /// Entries.
    pub count: u32,
    /// The permits used.
    pub terms: Vec<Terms>,
    /// Stretches of entries: how many, and which of `terms` (`None`: hash alone).
    pub runs: Vec<(u32, Option<usize>)>,
    /// What went is not sections of the entry but this one of the photos that it names, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<u32>,
}

impl Note {
    /// A note of what goes to a member's node from index `from` of a log on; no entries yet.
    pub fn new(time: u64, to: &str, node: &str, origin: &Origin, from: u64) -> Self {
        Self {
            time,
            to: to.to_owned(),
            node: node.to_owned(),
            origin: origin.to_string(),
            from,
            count: 0,
            terms: Vec::new(),
            runs: Vec::new(),
            photo: None,
        }
    }

    /// A note of entries of a log, from index `from` on, that are handed out as a file; no entries yet.
    pub fn of_file(time: u64, recipient: &str, origin: &Origin, from: u64) -> Self {
        // No node has an empty name.
        Self::new(time, recipient, "", origin, from)
    }

    /// Which of the note's terms these are; they are added when they are new.
    pub fn which(&mut self, terms: Terms) -> usize {
        let known = self.terms.iter().position(|known| *known == terms);
        known.unwrap_or_else(|| {
            self.terms.push(terms);
            self.terms.len() - 1
        })
    }

    /// Adds entries at the end of which the terms are not known.
    pub fn push_lost(&mut self, count: u32) {
        let which = self.which(Terms::lost());
        self.count = self.count.saturating_add(count);
        self.runs.push((count, Some(which)));
    }

    /// Adds one entry at the end, which went under those of `terms` or as its hash alone.
    pub fn push(&mut self, which: Option<usize>) {
        self.count += 1;
        match self.runs.last_mut() {
            Some((length, same)) if *same == which => *length += 1,
            _ => self.runs.push((1, which)),
        }
    }

    /// The stretches of entries of which sections went, each with its terms.
    pub fn disclosed_runs(&self) -> impl Iterator<Item = (Range<u64>, &Terms)> {
        let mut end = self.from;
        self.runs.iter().filter_map(move |(length, which)| {
            let from = end;
            end = from.saturating_add(u64::from(*length));
            Some((from..end, self.terms.get((*which)?)?))
        })
    }

    /// Of how many entries sections went; of the others the hash alone.
    pub fn disclosed(&self) -> u32 {
        self.entries_under(|which| which.is_some())
    }

    /// How many entries went under those of the note's terms.
    pub fn entries_of(&self, terms: usize) -> u32 {
        self.entries_under(|which| which == Some(terms))
    }

    /// Which of the note's terms an entry went under: `None` where it is not among them or its hash alone went.
    pub fn terms_at(&self, index: u64) -> Option<usize> {
        let mut left = index.checked_sub(self.from)?;
        for (length, which) in &self.runs {
            match left.checked_sub(u64::from(*length)) {
                Some(beyond) => left = beyond,
                None => return *which,
            }
        }
        None
    }

    fn entries_under(&self, terms: impl Fn(Option<usize>) -> bool) -> u32 {
        let runs = self.runs.iter().filter(|(_, which)| terms(*which));
        runs.map(|(length, _)| length).sum()
    }

    /// The note as JSON, to be [sealed](seal) when it is stored.
    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    /// Reads the stored form.
    pub fn decode(stored: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(stored.get(SALT_BYTES..).unwrap_or_default())
    }
}

/// The stored form of an encoded note.
pub fn seal(note: &[u8], entropy: &dyn Entropy) -> Bytes {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    [&salt, note].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn entries_under_the_same_terms_make_one_run() {
        let terms = |grant| Terms {
            bases: vec![format!("grant {grant}")],
            sections: "case".into(),
        };
        let mut note = Note::new(1, "PT", "n1", &"ES/main".parse().unwrap(), 7);
        for grant in [Some(0), Some(0), None, Some(1), Some(0)] {
            let which = grant.map(|grant| note.which(terms(grant)));
            note.push(which);
        }
        assert_eq!(note.count, 5);
        assert_eq!(note.runs, vec![(2, Some(0)), (1, None), (1, Some(1)), (1, Some(0))]);
        assert_eq!(note.terms.len(), 2);
        let at: Vec<_> = (6..13).map(|index| note.terms_at(index)).collect();
        assert_eq!(at, [None, Some(0), Some(0), None, Some(1), Some(0), None]);
        assert_eq!((note.disclosed(), note.entries_of(0), note.entries_of(1)), (4, 3, 1));
        let stored = |byte| seal(&note.encode().unwrap(), &Always(byte));
        assert_eq!(Note::decode(&stored(1)).unwrap(), note);
        assert_ne!(stored(1), stored(2));
        assert!(Note::decode(&stored(1)[..7]).is_err());
    }
}
