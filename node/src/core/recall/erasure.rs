//! A member's signature that it holds nothing of what a recall voids. Verifiable end to end: whoever passes it on can change
//! nothing of it.
//!
//! ```text
//! signed bytes (domain `erasure`), texts as length u16 BE and UTF-8:
//!   origin | record id 16 | leaf of the recall 32 | its index u64 BE | by | node | time u64 BE | entries u32 BE
//!   | holders u32 BE × (member | node | index u64 BE | time u64 BE | sections | bases u16 BE × text)
//! ```

use bytes::{BufMut, Bytes};
use icomm_pki::{Domain, MemberId, MemberKey, MemberKeys, NodeName, Signature, SigningError};
use icomm_proto::log::Hash;
use icomm_proto::{Origin, RecordId, v1};
use thiserror::Error;

use super::HOLDERS_MAX;

/// What a member says it erased.
#[derive(Debug, Clone, PartialEq)]
pub struct Erasure {
    /// The log.
    pub origin: Origin,
    /// The record.
    pub record: RecordId,
    /// The leaf of the entry that recalls it.
    pub leaf: Hash,
    /// Where that stands.
    pub index: u64,
    /// Who erased.
    pub by: MemberId,
    /// Its node.
    pub node: NodeName,
    /// When, in seconds since 1970, by its clock.
    pub time: u64,
    /// Versions of which there was something to erase; none if nothing had arrived.
    pub entries: u32,
    /// To whom it had given any of it.
    pub passed_on: Vec<v1::Holder>,
}

/// Why a receipt for an erasure was not accepted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidErasure {
    /// The origin is not a member and a log name.
    #[error("the receipt names `{0}`, which is not a log")]
    Origin(String),
    /// Not a record's id.
    #[error("the receipt names no record")]
    Record,
    /// The leaf is not 32 bytes.
    #[error("the receipt's leaf is {0} bytes long instead of 32")]
    Leaf(usize),
    /// Not the name of a member and of a node.
    #[error("the receipt names nobody who could have signed it")]
    By,
    /// More holders than anybody has.
    #[error("the receipt names {0} holders; at most {HOLDERS_MAX} are read")]
    Holders(usize),
    /// The signature is not 64 bytes or not that of the member it names.
    #[error("the receipt's signature is not that of the member it names")]
    Signature,
}

impl Erasure {
    /// Signs for the member that erased.
    ///
    /// # Errors
    /// The key does not sign now.
    pub fn sign(&self, key: &MemberKey) -> Result<v1::Erased, SigningError> {
        let signature = key.sign(Domain::Erasure, &self.message())?;
        let Self {
            origin,
            record,
            leaf,
            index,
            by,
            node,
            time,
            entries,
            passed_on,
        } = self;
        Ok(v1::Erased {
            origin: origin.to_string(),
            record_id: Bytes::copy_from_slice(record.as_bytes()),
            leaf: Bytes::copy_from_slice(leaf.as_bytes()),
            index: *index,
            by: by.to_string(),
            node: node.to_string(),
            time: *time,
            entries: *entries,
            passed_on: passed_on.clone(),
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Who a receipt says signed it; nothing is verified.
    pub fn signer(message: &v1::Erased) -> Result<MemberId, InvalidErasure> {
        message.by.parse().map_err(|_| InvalidErasure::By)
    }

    /// Checks the signature with the keys of [`Erasure::signer`].
    pub fn verify(message: &v1::Erased, signer: &MemberKeys) -> Result<Self, InvalidErasure> {
        let v1::Erased {
            origin,
            record_id,
            leaf,
            index,
            by,
            node,
            time,
            entries,
            passed_on,
            signature,
        } = message;
        if passed_on.len() > HOLDERS_MAX {
            return Err(InvalidErasure::Holders(passed_on.len()));
        }
        let record: [u8; 16] = record_id.as_ref().try_into().map_err(|_| InvalidErasure::Record)?;
        let erasure = Self {
            origin: origin.parse().map_err(|_| InvalidErasure::Origin(origin.clone()))?,
            record: RecordId::try_from(record).map_err(|_| InvalidErasure::Record)?,
            leaf: Hash::try_from(leaf.as_ref()).map_err(|_| InvalidErasure::Leaf(leaf.len()))?,
            index: *index,
            by: by.parse().map_err(|_| InvalidErasure::By)?,
            node: node.parse().map_err(|_| InvalidErasure::By)?,
            time: *time,
            entries: *entries,
            passed_on: passed_on.clone(),
        };
        let signature = Signature::try_from(signature.as_ref()).map_err(|_| InvalidErasure::Signature)?;
        signer
            .verify(Domain::Erasure, &erasure.message(), &signature)
            .map_err(|_| InvalidErasure::Signature)?;
        Ok(erasure)
    }

    fn message(&self) -> Vec<u8> {
        let Self {
            origin,
            record,
            leaf,
            index,
            by,
            node,
            time,
            entries,
            passed_on,
        } = self;
        let mut out = Vec::with_capacity(192 + 128 * passed_on.len());
        put_text(&mut out, &origin.to_string());
        out.put_slice(record.as_bytes());
        out.put_slice(leaf.as_bytes());
        out.put_u64(*index);
        put_text(&mut out, by.as_str());
        put_text(&mut out, node.as_str());
        out.put_u64(*time);
        out.put_u32(*entries);
        out.put_u32(u32::try_from(passed_on.len()).unwrap_or(u32::MAX));
        for v1::Holder {
            member,
            node,
            index,
            time,
            sections,
            bases,
        } in passed_on
        {
            put_text(&mut out, member);
            put_text(&mut out, node);
            out.put_u64(*index);
            out.put_u64(*time);
            put_text(&mut out, sections);
            out.put_u16(u16::try_from(bases.len()).unwrap_or(u16::MAX));
            bases.iter().for_each(|basis| put_text(&mut out, basis));
        }
        out
    }
}

/// A text as signed bytes have it: length u16 BE, then UTF-8.
///
/// A text of 64 KiB or more gives bytes that nobody signs, since its holder's frame would be refused.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure() -> Erasure {
        let holder = v1::Holder {
            member: "UG".into(),
            node: "n1".into(),
            index: 3,
            time: 1_795_428_000,
            sections: "case+exact".into(),
            bases: vec!["`rilo-ug` version 1, grant 0".into()],
        };
        Erasure {
            origin: "KE/main".parse().unwrap(),
            record: RecordId::new(1_795_428_000_000, [1; 10]),
            leaf: Hash::from([3; 32]),
            index: 7,
            by: "RILO-ESA".parse().unwrap(),
            node: "n1".parse().unwrap(),
            time: 1_795_428_001,
            entries: 2,
            passed_on: vec![holder],
        }
    }

    #[test]
    fn a_receipt_verifies_for_its_signer_only() {
        let (key, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let message = erasure().sign(&key).unwrap();
        assert_eq!(Erasure::signer(&message).unwrap().as_str(), "RILO-ESA");
        assert_eq!(Erasure::verify(&message, &key.public().into()), Ok(erasure()));
        assert_eq!(
            Erasure::verify(&message, &other.public().into()),
            Err(InvalidErasure::Signature)
        );
    }

    #[test]
    fn a_receipt_changed_in_any_field_is_refused() {
        let key = MemberKey::from_seed(&[1; 32]);
        let message = erasure().sign(&key).unwrap();
        let change = |change: &dyn Fn(&mut v1::Erased)| {
            let mut changed = message.clone();
            change(&mut changed);
            Erasure::verify(&changed, &key.public().into())
        };
        let changes: [&dyn Fn(&mut v1::Erased); 13] = [
            &|it| it.origin = "UG/main".into(),
            &|it| it.record_id = RecordId::new(1, [2; 10]).as_bytes().to_vec().into(),
            &|it| it.leaf = vec![4; 32].into(),
            &|it| it.index = 8,
            &|it| it.by = "UG".into(),
            &|it| it.node = "n2".into(),
            &|it| it.time = 0,
            &|it| it.entries = 0,
            &|it| it.passed_on.clear(),
            &|it| it.passed_on[0].member = "TZ".into(),
            &|it| it.passed_on[0].index = 4,
            &|it| it.passed_on[0].bases.clear(),
            &|it| it.signature = vec![0; 3].into(),
        ];
        for changed in changes {
            assert_eq!(change(changed), Err(InvalidErasure::Signature));
        }
        assert_eq!(
            change(&|it| it.leaf = vec![4; 31].into()),
            Err(InvalidErasure::Leaf(31))
        );
        assert_eq!(
            change(&|it| it.record_id = vec![4; 16].into()),
            Err(InvalidErasure::Record)
        );
        assert_eq!(change(&|it| it.by = "nobody here".into()), Err(InvalidErasure::By));
        let many = vec![v1::Holder::default(); HOLDERS_MAX + 1];
        assert_eq!(
            change(&|it| it.passed_on = many.clone()),
            Err(InvalidErasure::Holders(HOLDERS_MAX + 1))
        );
    }
}
