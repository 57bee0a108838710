//! To whom this node has given entries, as the notes of its disclosures tell.

use std::collections::{BTreeMap, BTreeSet};

use icomm_proto::v1;

use crate::core::disclosure::Note;
use crate::store::{NoteLog, Place, Store, StoreError};

/// Notes read at a time.
const PAGE_NOTES: usize = 256;

/// Whether somebody outside has it as a file: nobody can be asked to erase that.
pub fn has_file(holder: &v1::Holder) -> bool {
    holder.node.is_empty()
}

/// Everybody who was given any section of one of `places`, by place: each member's node once for every entry and basis, with
/// the first time. Reads the whole list of notes.
pub fn holders(store: &dyn Store, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, Vec<v1::Holder>>, StoreError> {
    let mut wanted: BTreeMap<String, BTreeMap<u64, Place>> = BTreeMap::new();
    for place in places {
        let log = wanted.entry(place.origin.to_string()).or_default();
        log.insert(place.index, place.clone());
    }
    let mut found: BTreeMap<Place, Vec<v1::Holder>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    each_note(store, &mut |note| collect(note, &wanted, &mut found))?;
    Ok(found)
}

/// Every note of a disclosure, from the first to the last.
pub fn each_note(store: &dyn Store, each: &mut dyn FnMut(&Note)) -> Result<(), StoreError> {
    let (list, mut next) = (NoteLog::disclosures(), 0);
    loop {
        let page = store.notes(&list, next, PAGE_NOTES)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        next = last.saturating_add(1);
        for (number, bytes) in page {
            match Note::decode(&bytes) {
                Ok(note) => each(&note),
                // It was whole when it was written, and the store checks what it reads.
                Err(error) => tracing::error!(number, %error, "a note of a disclosure can't be read"),
            }
        }
    }
}

fn collect(note: &Note, wanted: &BTreeMap<String, BTreeMap<u64, Place>>, found: &mut BTreeMap<Place, Vec<v1::Holder>>) {
    let Some(log) = wanted.get(&note.origin) else { return };
    let mut from = note.from;
    for (length, which) in &note.runs {
        let end = from.saturating_add(u64::from(*length));
        if let Some(terms) = which.and_then(|which| note.terms.get(which)) {
            for (index, place) in log.range(from..end) {
                let holder = v1::Holder {
                    member: note.to.clone(),
                    node: note.node.clone(),
                    index: *index,
                    time: note.time,
                    sections: terms.sections.clone(),
                    bases: terms.bases.clone(),
                };
                add(found.entry(place.clone()).or_default(), holder);
            }
        }
        from = end;
    }
}

/// The same again, sent anew after a break, tells nothing new.
fn add(holders: &mut Vec<v1::Holder>, holder: v1::Holder) {
    let same = |known: &&mut v1::Holder| {
        let time = holder.time;
        v1::Holder {
            time,
            ..(**known).clone()
        } == holder
    };
    match holders.iter_mut().find(same) {
        Some(known) => known.time = known.time.min(holder.time),
        None => holders.push(holder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::disclosure::{Terms, seal};
    use crate::core::fixture::Still;
    use crate::store::{Batch, MemoryStore};

    #[test]
    fn holders_are_those_who_were_given_a_section_each_once() {
        let store = MemoryStore::new();
        let origin = "ES/main".parse().unwrap();
        let note = |time, to: &str, from, runs: &[(u32, bool)]| {
            let mut note = Note::new(time, to, "n1", &origin, from);
            for (count, given) in runs {
                let terms = Terms {
                    bases: vec!["grant 0".into()],
                    sections: "case".into(),
                };
                let which = given.then(|| note.which(terms));
                (0..*count).for_each(|_| note.push(which));
            }
            let note = seal(&note.encode().unwrap(), &Still);
            let batch = Batch::new().note(NoteLog::disclosures(), note);
            store.append(batch).unwrap();
        };
        note(5, "PT", 0, &[(3, true), (2, false), (1, true)]);
        note(6, "PT", 2, &[(1, true)]);
        note(7, "FR", 0, &[(2, true), (4, false)]);
        let place = |index| Place {
            origin: origin.clone(),
            index,
        };
        let asked = [1, 2, 3, 5, 9].map(place).into();
        let found = holders(&store, &asked).unwrap();
        let names = |index| -> Vec<(String, u64)> {
            let of = found.get(&place(index)).into_iter().flatten();
            of.map(|holder| (holder.member.clone(), holder.time)).collect()
        };
        assert_eq!(names(1), [("PT".to_owned(), 5), ("FR".to_owned(), 7)]);
        assert_eq!(names(2), [("PT".to_owned(), 5)], "sent again after a break");
        assert_eq!(names(3), [], "by its hash alone");
        assert_eq!(names(5), [("PT".to_owned(), 5)]);
        assert_eq!(names(9), []);
    }
}
