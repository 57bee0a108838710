//! How much of a log's entries is held: counted as they are kept, so that nobody has to read the log for it.
//!
//! ```text
//! disclosed i64 | de-nominalised i64 | withheld i64
//! ```

use std::ops::AddAssign;

use icomm_proto::{
    SectionKind, SectionSet,
    log::{ChunkBody, ItemRef},
};

/// Entries by how much of them is held. What wider views of held entries change is told likewise: so many more of one
/// width, so many fewer of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Widths {
    /// With more than the open section.
    pub disclosed: i64,
    /// With the open section only.
    pub denominalised: i64,
    /// Without any section: by their hash alone, or by an entry whose sections were erased or never were.
    pub withheld: i64,
}

impl Widths {
    pub(crate) const LEN: usize = 24;

    /// Of the entries of a chunk.
    pub(crate) fn of(body: &ChunkBody) -> Self {
        let mut widths = Self::default();
        for item in body.item_refs() {
            widths += Self::of_item(item);
        }
        widths
    }

    /// Of an entry of a chunk.
    pub(crate) fn of_item(item: ItemRef<'_>) -> Self {
        let mut widths = Self::default();
        match item {
            ItemRef::Withheld(_) => widths.withheld = 1,
            ItemRef::Disclosed(view) => return width_of(view),
        }
        widths
    }

    /// Of one entry; `None` if only its hash is held.
    #[must_use]
    pub fn of_sections(sections: Option<SectionSet>) -> Self {
        let mut widths = Self::default();
        match sections {
            None | Some(SectionSet::EMPTY) => widths.withheld = 1,
            Some(sections) if sections.is_subset(SectionSet::open()) => widths.denominalised = 1,
            Some(_) => widths.disclosed = 1,
        }
        widths
    }

    /// What changes when these become others.
    #[must_use]
    pub fn becoming(self, others: Self) -> Self {
        Self {
            disclosed: others.disclosed - self.disclosed,
            denominalised: others.denominalised - self.denominalised,
            withheld: others.withheld - self.withheld,
        }
    }

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let Self {
            disclosed,
            denominalised,
            withheld,
        } = self;
        for number in [disclosed, denominalised, withheld] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |at: usize| numbers.get(at).map_or(0, |number| i64::from_be_bytes(*number));
        Self {
            disclosed: number(0),
            denominalised: number(1),
            withheld: number(2),
        }
    }
}

impl AddAssign for Widths {
    fn add_assign(&mut self, more: Self) {
        let Self {
            disclosed,
            denominalised,
            withheld,
        } = more;
        self.disclosed += disclosed;
        self.denominalised += denominalised;
        self.withheld += withheld;
    }
}

/// Of a view: its sections stand after the entry, ascending, the open one first.
fn width_of(view: &[u8]) -> Widths {
    let sections = view.split_first_chunk::<2>().and_then(|(len, rest)| {
        let after = rest.get(usize::from(u16::from_be_bytes(*len))..)?;
        after.split_first()
    });
    let mut widths = Widths::default();
    match sections {
        Some((0, _)) => widths.withheld = 1,
        Some((1, [kind, ..])) if *kind == SectionKind::Case.number() => widths.denominalised = 1,
        _ => widths.disclosed = 1,
    }
    widths
}

#[cfg(test)]
mod tests {
    use icomm_proto::{
        EntryHead, EntryKind, RecordId, RecordKind, SectionKind, SectionSet, log::ChunkBuilder, seal::seal,
    };
    use rand::{SeedableRng, rngs::SmallRng};

    use super::Widths;

    #[test]
    fn entries_are_counted_by_what_of_them_is_held() {
        let head = EntryHead {
            kind: EntryKind::Issue,
            record_kind: RecordKind::Seizure,
            record_id: RecordId::new(1, [7; 10]),
            version: 1,
        };
        let sections: [(SectionKind, &[u8]); 3] = [
            (SectionKind::Case, b"case"),
            (SectionKind::Exact, b"exact"),
            (SectionKind::Persons, b"somebody"),
        ];
        let view = seal(&head, &sections, &mut SmallRng::seed_from_u64(1)).unwrap();
        assert_eq!(SectionSet::open(), SectionSet::EMPTY.with(SectionKind::Case));
        let mut body = ChunkBuilder::default();
        let mut expected = Widths::default();
        body.withhold(&view.leaf_hash());
        expected += Widths::of_sections(None);
        for set in ["none", "case", "exact", "case+exact", "case+exact+persons"] {
            let redacted = view.redact(set.parse().unwrap());
            body.disclose(redacted.bytes());
            expected += Widths::of_sections(Some(redacted.sections()));
        }
        let widths = Widths::of(&body.finish().unwrap());
        assert_eq!(widths, expected);
        assert_eq!((widths.disclosed, widths.denominalised, widths.withheld), (3, 1, 2));

        let mut bytes = Vec::new();
        widths.write(&mut bytes);
        assert_eq!(Widths::from_bytes(bytes.try_into().unwrap()), widths);
        let mut all = Widths::default();
        all += Widths::default().becoming(widths);
        assert_eq!(all, widths);
    }
}
