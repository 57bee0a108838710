//! A member's signature that its time for some entries is over. Verifiable end to end: whoever passes it on can change nothing
//! of it. The node that gives it keeps it in the batch that erases.
//!
//! ```text
//! signed bytes (domain `expiry`), texts as length u16 BE and UTF-8:
//!   origin | by | node | time u64 BE
//!   | spans u32 BE × (from u64 BE | count u32 BE | sections | restricted u8) | bases u32 BE × text
//! ```

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{BufMut, Bytes};
use icomm_pki::{Domain, MemberId, MemberKey, MemberKeys, NodeName, Signature, SigningError};
use icomm_proto::{Origin, SectionSet, v1};
use thiserror::Error;

use crate::core::recall::put_text;

/// Stretches that one expiry names at most.
pub const SPANS_MAX: usize = 512;
/// Bases that it names at most.
const BASES_MAX: usize = 512;
/// The longest text in it.
const TEXT_BYTES_MAX: usize = 1024;

/// Whose time for what is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The log.
    pub origin: Origin,
    /// Who had it.
    pub by: MemberId,
    /// Its node.
    pub node: NodeName,
    /// Since when it is over, in seconds since 1970, by its clock.
    pub time: u64,
    /// Of which entries, ascending.
    pub spans: Vec<Span>,
    /// By which grants.
    pub bases: BTreeSet<String>,
}

/// Entries of which the same sections expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: u64,
    /// How many.
    pub count: u32,
    /// Which sections.
    pub sections: SectionSet,
    /// Whether they are shut away instead of erased.
    pub restricted: bool,
}

impl Span {
    /// The indices.
    pub fn range(&self) -> Range<u64> {
        self.from..self.from.saturating_add(u64::from(self.count))
    }
}

/// Why the word of an expiry was not accepted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidExpiry {
    /// The origin is not a member and a log name.
    #[error("the expiry names `{0}`, which is not a log")]
    Origin(String),
    /// Not the name of a member and of a node.
    #[error("the expiry names nobody who could have signed it")]
    By,
    /// None, too many, not ascending, or without a section.
    #[error(
        "the expiry does not list entries: 1 to {SPANS_MAX} stretches, ascending, of sections other than the open one"
    )]
    Spans,
    /// More or longer texts than anybody has.
    #[error("the expiry names more grants, or longer ones, than there can be")]
    Bases,
    /// The signature is not 64 bytes or not that of the member it names.
    #[error("the expiry's signature is not that of the member it names")]
    Signature,
}

impl Expiry {
    /// Signs for the member whose time is over.
    ///
    /// # Errors
    /// The key does not sign now.
    pub fn sign(&self, key: &MemberKey) -> Result<v1::Expiry, SigningError> {
        let signature = key.sign(Domain::Expiry, &self.message())?;
        Ok(v1::Expiry {
            signature: signature.as_bytes().to_vec().into(),
            ..self.unsigned()
        })
    }

    /// The word as it is kept until a key signs it; nobody takes it so.
    pub fn unsigned(&self) -> v1::Expiry {
        let Self {
            origin,
            by,
            node,
            time,
            spans,
            bases,
        } = self;
        let span = |span: &Span| v1::ExpirySpan {
            from: span.from,
            count: span.count,
            sections: span.sections.to_string(),
            restricted: span.restricted,
        };
        v1::Expiry {
            origin: origin.to_string(),
            by: by.to_string(),
            node: node.to_string(),
            time: *time,
            spans: spans.iter().map(span).collect(),
            bases: bases.iter().cloned().collect(),
            signature: Bytes::new(),
        }
    }

    /// Who it says signed it; nothing is verified.
    pub fn signer(message: &v1::Expiry) -> Result<MemberId, InvalidExpiry> {
        message.by.parse().map_err(|_| InvalidExpiry::By)
    }

    /// Checks the signature with the keys of [`Expiry::signer`].
    pub fn verify(message: &v1::Expiry, signer: &MemberKeys) -> Result<Self, InvalidExpiry> {
        let expiry = Self::read(message)?;
        let signature = Signature::try_from(message.signature.as_ref()).map_err(|_| InvalidExpiry::Signature)?;
        signer
            .verify(Domain::Expiry, &expiry.message(), &signature)
            .map_err(|_| InvalidExpiry::Signature)?;
        Ok(expiry)
    }

    /// Reads one that was verified before it was kept.
    pub fn read(message: &v1::Expiry) -> Result<Self, InvalidExpiry> {
        let v1::Expiry {
            origin,
            by,
            node,
            time,
            spans,
            bases,
            signature: _,
        } = message;
        if spans.is_empty() || spans.len() > SPANS_MAX {
            return Err(InvalidExpiry::Spans);
        }
        if bases.len() > BASES_MAX || bases.iter().any(|basis| basis.len() > TEXT_BYTES_MAX) {
            return Err(InvalidExpiry::Bases);
        }
        let mut read = Vec::with_capacity(spans.len());
        let mut last = 0;
        for v1::ExpirySpan {
            from,
            count,
            sections,
            restricted,
        } in spans
        {
            let sections: SectionSet = sections.parse().map_err(|_| InvalidExpiry::Spans)?;
            let ends = from.checked_add(u64::from(*count)).is_some();
            let open = !sections.intersection(SectionSet::open()).is_empty();
            if *from < last || *count == 0 || !ends || sections.is_empty() || open {
                return Err(InvalidExpiry::Spans);
            }
            // The sections of one entry may end in both ways, so the same one may come twice.
            last = *from;
            read.push(Span {
                from: *from,
                count: *count,
                sections,
                restricted: *restricted,
            });
        }
        Ok(Self {
            origin: origin.parse().map_err(|_| InvalidExpiry::Origin(origin.clone()))?,
            by: by.parse().map_err(|_| InvalidExpiry::By)?,
            node: node.parse().map_err(|_| InvalidExpiry::By)?,
            time: *time,
            spans: read,
            bases: bases.iter().cloned().collect(),
        })
    }

    /// What is over of an entry: erased sections, and those shut away.
    pub fn of(&self, index: u64) -> (SectionSet, SectionSet) {
        let those = self.spans.iter().filter(|span| span.range().contains(&index));
        those.fold(
            Default::default(),
            |(erased, restricted): (SectionSet, SectionSet), span| match span.restricted {
                true => (erased, restricted.union(span.sections)),
                false => (erased.union(span.sections), restricted),
            },
        )
    }

    /// The index after the last that it names.
    pub fn end(&self) -> u64 {
        self.spans.iter().map(|span| span.range().end).max().unwrap_or(0)
    }

    fn message(&self) -> Vec<u8> {
        let Self {
            origin,
            by,
            node,
            time,
            spans,
            bases,
        } = self;
        let mut out = Vec::with_capacity(128 + 32 * spans.len());
        put_text(&mut out, &origin.to_string());
        put_text(&mut out, by.as_str());
        put_text(&mut out, node.as_str());
        out.put_u64(*time);
        out.put_u32(u32::try_from(spans.len()).unwrap_or(u32::MAX));
        for span in spans {
            out.put_u64(span.from);
            out.put_u32(span.count);
            put_text(&mut out, &span.sections.to_string());
            out.put_u8(u8::from(span.restricted));
        }
        out.put_u32(u32::try_from(bases.len()).unwrap_or(u32::MAX));
        bases.iter().for_each(|basis| put_text(&mut out, basis));
        out
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::SectionKind;

    use super::*;

    fn span(from: u64, count: u32, section: SectionKind, restricted: bool) -> Span {
        Span {
            from,
            count,
            sections: section.into(),
            restricted,
        }
    }

    fn expiry() -> Expiry {
        Expiry {
            origin: "KE/main".parse().unwrap(),
            by: "UG".parse().unwrap(),
            node: "n1".parse().unwrap(),
            time: 1_795_428_000,
            spans: vec![
                span(3, 2, SectionKind::Persons, false),
                span(3, 1, SectionKind::Exact, true),
                span(9, 1, SectionKind::Persons, false),
            ],
            bases: ["`ke-ug` version 1, grant 0".to_owned()].into(),
        }
    }

    #[test]
    fn an_expiry_verifies_for_its_signer_only_and_says_what_of_which_entry() {
        let (key, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let message = expiry().sign(&key).unwrap();
        assert_eq!(Expiry::signer(&message).unwrap().as_str(), "UG");
        assert_eq!(Expiry::verify(&message, &key.public().into()), Ok(expiry()));
        assert_eq!(
            Expiry::verify(&message, &other.public().into()),
            Err(InvalidExpiry::Signature)
        );
        let (persons, exact) = (SectionKind::Persons.into(), SectionKind::Exact.into());
        assert_eq!(expiry().of(3), (persons, exact));
        assert_eq!(expiry().of(4), (persons, SectionSet::EMPTY));
        assert_eq!(expiry().of(5), Default::default());
        assert_eq!(expiry().end(), 10);
    }

    #[test]
    fn an_expiry_changed_in_any_field_is_refused() {
        let key = MemberKey::from_seed(&[1; 32]);
        let message = expiry().sign(&key).unwrap();
        let change = |change: &dyn Fn(&mut v1::Expiry)| {
            let mut changed = message.clone();
            change(&mut changed);
            Expiry::verify(&changed, &key.public().into()).unwrap_err()
        };
        let unsigned: [&dyn Fn(&mut v1::Expiry); 10] = [
            &|it| it.origin = "UG/main".into(),
            &|it| it.by = "KE".into(),
            &|it| it.node = "n2".into(),
            &|it| it.time += 1,
            &|it| it.spans[0].count += 1,
            &|it| it.spans[2].from += 1,
            &|it| it.spans[2].sections = "companies".into(),
            &|it| it.spans[2].restricted = true,
            &|it| it.bases.clear(),
            &|it| it.signature = vec![0; 3].into(),
        ];
        for changed in unsigned {
            assert_eq!(change(changed), InvalidExpiry::Signature);
        }
        let bad_spans: [&dyn Fn(&mut v1::Expiry); 7] = [
            &|it| it.spans.clear(),
            &|it| it.spans.reverse(),
            &|it| it.spans[0].count = 0,
            &|it| it.spans[2].from = u64::MAX,
            &|it| it.spans[0].sections = "none".into(),
            &|it| it.spans[0].sections = "case+persons".into(),
            &|it| it.spans = vec![it.spans[2].clone(); SPANS_MAX + 1],
        ];
        for changed in bad_spans {
            assert_eq!(change(changed), InvalidExpiry::Spans);
        }
        assert_eq!(
            change(&|it| it.origin = "no log".into()),
            InvalidExpiry::Origin("no log".into())
        );
        assert_eq!(change(&|it| it.by = "nobody here".into()), InvalidExpiry::By);
        assert_eq!(change(&|it| it.bases = vec!["x".repeat(2000)]), InvalidExpiry::Bases);
    }
}
