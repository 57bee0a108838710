//! A member's signature that it holds no more of what was called back than it may.
//!
//! ```text
//! signed bytes (domain `called-back`), texts as length u16 BE and UTF-8:
//!   origin | digest of the call 32 | by | node | time u64 BE | entries u64 BE
//!   | passed on u32 BE × text | waiting u32 BE × text
//! ```

use bytes::{BufMut, Bytes};
use icomm_pki::{Domain, MemberId, MemberKey, MemberKeys, NodeName, Signature, SigningError};
use icomm_proto::{Origin, v1};
use thiserror::Error;

use super::PASSED_ON_MAX;
use crate::core::recall::put_text;

/// What a member says to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The log.
    pub origin: Origin,
    /// Of the call.
    pub digest: [u8; 32],
    /// Who erased.
    pub by: MemberId,
    /// Its node.
    pub node: NodeName,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Of how many entries there was something to erase.
    pub entries: u64,
    /// Who had any of it from this member.
    pub passed_on: Vec<String>,
    /// Those of them that have not answered.
    pub waiting: Vec<String>,
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidAnswer {
    /// The origin is not a member and a log name.
    #[error("the answer names `{0}`, which is not a log")]
    Origin(String),
    /// The digest is not 32 bytes.
    #[error("the answer's digest is {0} bytes long instead of 32")]
    Digest(usize),
    /// Not the name of a member and of a node.
    #[error("the answer names nobody who could have signed it")]
    By,
    /// More members than there are.
    #[error("the answer names {0} members; at most {PASSED_ON_MAX} are read")]
    PassedOn(usize),
    /// The signature is not 64 bytes or not that of the member it names.
    #[error("the answer's signature is not that of the member it names")]
    Signature,
}

impl Answer {
    /// Signs for the member that erased.
    ///
    /// # Errors
    /// The key does not sign now.
    pub fn sign(self, key: &MemberKey) -> Result<v1::CalledBack, SigningError> {
        let signature = key.sign(Domain::CalledBack, &self.message())?;
        Ok(v1::CalledBack {
            origin: self.origin.to_string(),
            digest: Bytes::copy_from_slice(&self.digest),
            by: self.by.to_string(),
            node: self.node.to_string(),
            time: self.time,
            entries: self.entries,
            passed_on: self.passed_on,
            waiting: self.waiting,
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Checks the signature, with the keys of the member that is to have signed.
    ///
    /// # Errors
    /// It does not count.
    pub fn verify(message: &v1::CalledBack, signer: &MemberKeys) -> Result<Self, InvalidAnswer> {
        let named = message.passed_on.len().max(message.waiting.len());
        if named > PASSED_ON_MAX {
            return Err(InvalidAnswer::PassedOn(named));
        }
        let digest = message.digest.as_ref();
        let answer = Self {
            origin: message
                .origin
                .parse()
                .map_err(|_| InvalidAnswer::Origin(message.origin.clone()))?,
            digest: digest.try_into().map_err(|_| InvalidAnswer::Digest(digest.len()))?,
            by: message.by.parse().map_err(|_| InvalidAnswer::By)?,
            node: message.node.parse().map_err(|_| InvalidAnswer::By)?,
            time: message.time,
            entries: message.entries,
            passed_on: message.passed_on.clone(),
            waiting: message.waiting.clone(),
        };
        let signature = Signature::try_from(message.signature.as_ref()).map_err(|_| InvalidAnswer::Signature)?;
        signer
            .verify(Domain::CalledBack, &answer.message(), &signature)
            .map_err(|_| InvalidAnswer::Signature)?;
        Ok(answer)
    }

    fn message(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        put_text(&mut out, &self.origin.to_string());
        out.put_slice(&self.digest);
        put_text(&mut out, self.by.as_str());
        put_text(&mut out, self.node.as_str());
        out.put_u64(self.time);
        out.put_u64(self.entries);
        for members in [&self.passed_on, &self.waiting] {
            out.put_u32(u32::try_from(members.len()).unwrap_or(u32::MAX));
            members.iter().for_each(|member| put_text(&mut out, member));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            origin: "KE/main".parse().unwrap(),
            digest: [7; 32],
            by: "UG".parse().unwrap(),
            node: "n1".parse().unwrap(),
            time: 1_795_428_000,
            entries: 12,
            passed_on: vec!["TZ".into(), "RW".into()],
            waiting: vec!["RW".into()],
        }
    }

    #[test]
    fn an_answer_verifies_for_its_signer_and_as_it_was_signed() {
        let (key, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let (keys, others) = (MemberKeys::from(key.public()), MemberKeys::from(other.public()));
        let message = answer().sign(&key).unwrap();
        assert_eq!(Answer::verify(&message, &keys), Ok(answer()));
        assert_eq!(Answer::verify(&message, &others), Err(InvalidAnswer::Signature));
        let changes: [&dyn Fn(&mut v1::CalledBack); 7] = [
            &|bad| bad.origin = "KE/other".into(),
            &|bad| bad.digest = vec![8; 32].into(),
            &|bad| bad.by = "TZ".into(),
            &|bad| bad.time += 1,
            &|bad| bad.entries = 0,
            &|bad| bad.waiting.clear(),
            &|bad| bad.signature = vec![0; 63].into(),
        ];
        for change in changes {
            let mut bad = message.clone();
            change(&mut bad);
            assert_eq!(Answer::verify(&bad, &keys), Err(InvalidAnswer::Signature));
        }
        let mut bad = message;
        bad.digest = vec![0; 31].into();
        assert_eq!(Answer::verify(&bad, &keys), Err(InvalidAnswer::Digest(31)));
        bad.passed_on = vec![String::new(); PASSED_ON_MAX + 1];
        assert_eq!(
            Answer::verify(&bad, &keys),
            Err(InvalidAnswer::PassedOn(PASSED_ON_MAX + 1))
        );
    }
}
