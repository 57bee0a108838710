//! What is called back: entries, and what may stay of each.
//!
//! ```text
//! digest: SHA-256 over, texts as length u16 BE and UTF-8:
//!   origin | agreement | version u32 BE | time u64 BE | stretches u32 BE × (from u64 BE | count u32 BE | sections)
//! ```

use std::collections::BTreeMap;

use bytes::BufMut;
use icomm_policy::AgreementId;
use icomm_proto::{Origin, SectionSet, v1};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::CALL_ENTRIES_MAX;
use crate::core::recall::put_text;

/// Entries in ascending order and, of each, the sections that may stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stretches(BTreeMap<u64, SectionSet>);

impl Stretches {
    /// Of this entry no more than these sections may stay; of what was said of it before, what both leave.
    pub fn keep(&mut self, index: u64, sections: SectionSet) {
        let kept = self.0.entry(index).or_insert(SectionSet::ALL);
        *kept = kept.intersection(sections);
    }

    /// What may stay of an entry; everything, if it is not spoken of.
    pub fn of(&self, index: u64) -> SectionSet {
        self.0.get(&index).copied().unwrap_or(SectionSet::ALL)
    }

    /// Without the entries of which `other` leaves no more than this does.
    pub fn beyond(&mut self, other: &Self) {
        self.0
            .retain(|index, sections| !other.0.get(index).is_some_and(|kept| kept.is_subset(*sections)));
    }

    /// Every entry, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, SectionSet)> {
        self.0.iter().map(|(index, sections)| (*index, *sections))
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same in pieces, each small enough for one call.
    pub fn pieces(mut self) -> Vec<Self> {
        let mut pieces = Vec::new();
        while !self.0.is_empty() {
            let end = self
                .0
                .keys()
                .nth(usize::try_from(CALL_ENTRIES_MAX).unwrap_or(usize::MAX));
            let rest = end.copied().map(|end| self.0.split_off(&end));
            pieces.push(std::mem::replace(&mut self, Self(rest.unwrap_or_default())));
        }
        pieces
    }

    fn encode(&self) -> Vec<v1::KeptStretch> {
        let mut stretches: Vec<v1::KeptStretch> = Vec::new();
        let mut last = SectionSet::ALL;
        for (index, sections) in self.iter() {
            match stretches.last_mut() {
                Some(stretch) if last == sections && stretch.from + u64::from(stretch.count) == index => {
                    stretch.count += 1;
                }
                _ => stretches.push(v1::KeptStretch {
                    from: index,
                    count: 1,
                    sections: sections.to_string(),
                }),
            }
            last = sections;
        }
        stretches
    }
}

/// A call to give something up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The log.
    pub origin: Origin,
    /// The agreement whose terms became narrower.
    pub agreement: AgreementId,
    /// By which version.
    pub version: u32,
    /// When it was found out, in seconds since 1970.
    pub time: u64,
    /// What may stay.
    pub stretches: Stretches,
}

/// Why a call can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidCall {
    /// The origin is not a member and a log name.
    #[error("the call names `{0}`, which is not a log")]
    Origin(String),
    /// Not the name of an agreement.
    #[error("the call names `{0}`, which is not an agreement")]
    Agreement(String),
    /// Unknown sections.
    #[error("the call names sections that nobody knows: `{0}`")]
    Sections(String),
    /// Stretches that are empty, overlap, or stand in another order.
    #[error("the call's stretches are empty or not in order")]
    Order,
    /// More entries than one call may speak of.
    #[error("the call speaks of more than {CALL_ENTRIES_MAX} entries")]
    Entries,
}

impl Call {
    /// Whether both follow from the same narrower version, found out by the same member at the same time.
    pub fn has_cause_of(&self, other: &Self) -> bool {
        (&self.origin, &self.agreement, self.version, self.time)
            == (&other.origin, &other.agreement, other.version, other.time)
    }

    /// Reads a call.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(message: &v1::CallBack) -> Result<Self, InvalidCall> {
        let v1::CallBack {
            origin,
            agreement,
            version,
            time,
            stretches,
        } = message;
        let entries: u64 = stretches.iter().map(|stretch| u64::from(stretch.count)).sum();
        if entries > CALL_ENTRIES_MAX {
            return Err(InvalidCall::Entries);
        }
        let mut kept = BTreeMap::new();
        let mut next = 0;
        for v1::KeptStretch { from, count, sections } in stretches {
            let end = from.checked_add(u64::from(*count)).ok_or(InvalidCall::Order)?;
            if *from < next || *count == 0 {
                return Err(InvalidCall::Order);
            }
            let sections: SectionSet = sections.parse().map_err(|_| InvalidCall::Sections(sections.clone()))?;
            kept.extend((*from..end).map(|index| (index, sections)));
            next = end;
        }
        if kept.is_empty() {
            return Err(InvalidCall::Order);
        }
        Ok(Self {
            origin: origin.parse().map_err(|_| InvalidCall::Origin(origin.clone()))?,
            agreement: agreement
                .parse()
                .map_err(|_| InvalidCall::Agreement(agreement.clone()))?,
            version: *version,
            time: *time,
            stretches: Stretches(kept),
        })
    }

    /// As it is sent and kept.
    pub fn encode(&self) -> v1::CallBack {
        v1::CallBack {
            origin: self.origin.to_string(),
            agreement: self.agreement.to_string(),
            version: self.version,
            time: self.time,
            stretches: self.stretches.encode(),
        }
    }

    /// Names the call.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = Vec::new();
        put_text(&mut out, &self.origin.to_string());
        put_text(&mut out, &self.agreement.to_string());
        out.put_u32(self.version);
        out.put_u64(self.time);
        let stretches = self.stretches.encode();
        out.put_u32(u32::try_from(stretches.len()).unwrap_or(u32::MAX));
        for stretch in stretches {
            out.put_u64(stretch.from);
            out.put_u32(stretch.count);
            put_text(&mut out, &stretch.sections);
        }
        Sha256::digest(out).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(stretches: Stretches) -> Call {
        Call {
            origin: "KE/main".parse().unwrap(),
            agreement: "ke-ug".parse().unwrap(),
            version: 2,
            time: 1_795_428_000,
            stretches,
        }
    }

    fn sections(bits: u8) -> SectionSet {
        SectionSet::ALL
            .iter()
            .filter(|kind| bits & (1 << (kind.number() % 8)) != 0)
            .collect()
    }

    proptest! {
        #[test]
        fn a_call_reads_back_as_it_was_made(entries in prop::collection::btree_map(0u64..500, any::<u8>(), 1..80)) {
            let mut stretches = Stretches::default();
            entries.iter().for_each(|(index, bits)| stretches.keep(*index, sections(*bits)));
            let call = call(stretches);
            let message = call.encode();
            prop_assert_eq!(Call::parse(&message).unwrap().digest(), call.digest());
            prop_assert_eq!(Call::parse(&message).unwrap(), call);
        }
    }

    #[test]
    fn what_is_said_twice_leaves_what_both_leave() {
        let mut stretches = Stretches::default();
        stretches.keep(7, "case+exact".parse().unwrap());
        stretches.keep(7, "case+persons".parse().unwrap());
        assert_eq!(stretches.of(7), "case".parse().unwrap());
        assert_eq!(stretches.of(8), SectionSet::ALL);
    }

    #[test]
    fn more_than_fits_goes_in_pieces() {
        let mut stretches = Stretches::default();
        (0..CALL_ENTRIES_MAX + 3).for_each(|index| stretches.keep(index * 2, SectionSet::EMPTY));
        let pieces = stretches.clone().pieces();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[1].len(), 3);
        let again = pieces.iter().flat_map(|piece| piece.iter());
        assert!(again.eq(stretches.iter()));
        assert!(
            pieces
                .into_iter()
                .all(|piece| Call::parse(&call(piece).encode()).is_ok())
        );
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let mut stretches = Stretches::default();
        stretches.keep(3, SectionSet::open());
        let good = call(stretches).encode();
        assert!(Call::parse(&good).is_ok());
        let with = |change: &dyn Fn(&mut v1::CallBack)| {
            let mut bad = good.clone();
            change(&mut bad);
            Call::parse(&bad).unwrap_err()
        };
        let stretch = |from, count| v1::KeptStretch {
            from,
            count,
            sections: "none".into(),
        };
        assert_eq!(with(&|bad| bad.origin = "KE".into()), InvalidCall::Origin("KE".into()));
        assert_eq!(
            with(&|bad| bad.agreement = "KE UG".into()),
            InvalidCall::Agreement("KE UG".into())
        );
        assert_eq!(
            with(&|bad| bad.stretches[0].sections = "cases".into()),
            InvalidCall::Sections("cases".into())
        );
        assert_eq!(with(&|bad| bad.stretches.clear()), InvalidCall::Order);
        assert_eq!(with(&|bad| bad.stretches[0].count = 0), InvalidCall::Order);
        assert_eq!(with(&|bad| bad.stretches.push(stretch(3, 1))), InvalidCall::Order);
        assert_eq!(
            with(&|bad| bad.stretches.push(stretch(u64::MAX, 1))),
            InvalidCall::Order
        );
        assert_eq!(
            with(&|bad| bad.stretches.push(stretch(9, u32::MAX))),
            InvalidCall::Entries
        );
    }
}
