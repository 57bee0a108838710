//! What a member tells its authority when it signs with a new key: up to where the one before counts.
//!
//! ```text
//! {"format":"icomm-handover/v1","member":"KE","former":"…base64…","handover":{…}}     one line: the statement
//! {"key":"…base64…","signature":"…base64…"}                                           one line: the new key, and its signature
//! ```
//!
//! The new key signs, which the authority certified: of a key that was stolen the old one's word is worth nothing, and of
//! one that was not, its successor's says as much.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Domain, Fingerprint, Handover, MemberId, MemberKey, MemberPublicKey, Signature, SigningError};

const FORMAT: &str = "icomm-handover/v1";
/// The largest statement that is read, in bytes.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Up to where a member's former key counts, signed with the one that follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct HandoverStatement {
    statement: Statement,
    key: MemberPublicKey,
    signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    format: String,
    member: MemberId,
    former: MemberPublicKey,
    handover: Handover,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedBy {
    key: MemberPublicKey,
    signature: Signature,
}

/// Why a statement is refused.
#[derive(Debug, Error)]
pub enum InvalidHandover {
    /// Not two lines of JSON in their one spelling, or too large.
    #[error("not a readable hand-over in its canonical spelling; `icomm key handover` writes one")]
    Encoding(#[source] Option<serde_json::Error>),
    /// Another format than ours.
    #[error("the hand-over has the format `{0}`, this program reads `{FORMAT}`; is it out of date?")]
    Format(String),
    /// The former key is the one that signs.
    #[error("the hand-over is from a key to itself")]
    SameKey,
    /// The signature does not fit.
    #[error("the hand-over's signature is wrong: it was changed, or somebody else signed it")]
    Signature,
    /// The new key does not sign now.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl HandoverStatement {
    /// States it in the name of `member`, with its new key.
    ///
    /// # Errors
    /// The new key is the former one, or does not sign now.
    pub fn sign(
        member: MemberId,
        former: MemberPublicKey,
        handover: Handover,
        key: &MemberKey,
    ) -> Result<Self, InvalidHandover> {
        let statement = Statement {
            format: FORMAT.to_owned(),
            member,
            former,
            handover,
        };
        let message = serde_json::to_vec(&statement).map_err(|error| InvalidHandover::Encoding(Some(error)))?;
        if former == key.public() {
            return Err(InvalidHandover::SameKey);
        }
        Ok(Self {
            signature: key.sign(Domain::Handover, &message)?,
            statement,
            key: key.public(),
        })
    }

    /// Reads a statement and checks its signature. Whether the key that signed is the member's is for the caller to know.
    ///
    /// # Errors
    /// It is none, or was changed.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidHandover> {
        let encoding = |error| InvalidHandover::Encoding(Some(error));
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(InvalidHandover::Encoding(None));
        }
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let (Some(message), Some(line), Some(b""), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(InvalidHandover::Encoding(None));
        };
        let statement: Statement = serde_json::from_slice(message).map_err(encoding)?;
        if statement.format != FORMAT {
            return Err(InvalidHandover::Format(statement.format.chars().take(32).collect()));
        }
        let SignedBy { key, signature } = serde_json::from_slice(line).map_err(encoding)?;
        if statement.former == key {
            return Err(InvalidHandover::SameKey);
        }
        let parsed = Self {
            statement,
            key,
            signature,
        };
        if parsed.to_bytes() != bytes {
            return Err(InvalidHandover::Encoding(None));
        }
        key.verify(Domain::Handover, message, &signature)
            .map_err(|_| InvalidHandover::Signature)?;
        Ok(parsed)
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (key, signature) = (self.key, self.signature);
        // Neither line can fail to be written; if one did, the empty bytes would be refused.
        let line = |line: Result<Vec<u8>, serde_json::Error>| line.unwrap_or_default();
        let statement = line(serde_json::to_vec(&self.statement));
        let signed = line(serde_json::to_vec(&SignedBy { key, signature }));
        [&statement[..], b"\n", &signed, b"\n"].concat()
    }

    /// Whose keys.
    pub fn member(&self) -> &MemberId {
        &self.statement.member
    }

    /// The key that was signed with before.
    pub fn former(&self) -> MemberPublicKey {
        self.statement.former
    }

    /// The key that follows it.
    pub fn key(&self) -> MemberPublicKey {
        self.key
    }

    /// Up to where the former key counts.
    pub fn handover(&self) -> &Handover {
        &self.statement.handover
    }

    /// What member and authority compare, over another channel than the file came by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Digest32, LogEnd};

    fn keys() -> (MemberKey, MemberKey) {
        (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]))
    }

    fn statement(handover: Handover) -> HandoverStatement {
        let (former, key) = keys();
        HandoverStatement::sign("KE".parse().unwrap(), former.public(), handover, &key).unwrap()
    }

    proptest! {
        #[test]
        fn a_statement_comes_back_as_it_was(
            stolen: bool,
            ends in proptest::collection::btree_map("[a-z0-9/-]{1,20}", (any::<u64>(), any::<[u8; 32]>()), 0..4),
            documents in proptest::collection::btree_set(any::<[u8; 32]>(), 0..4),
        ) {
            let ends = ends.into_iter().map(|(log, (size, root))| (log, LogEnd { size, root: Digest32::from(root) }));
            let documents = documents.into_iter().map(Digest32::from).collect();
            let statement = statement(Handover { stolen, ends: ends.collect(), documents });
            prop_assert_eq!(HandoverStatement::parse(&statement.to_bytes()).unwrap(), statement);
        }

        #[test]
        fn no_byte_of_it_can_be_changed(at: prop::sample::Index, with: u8) {
            let mut bytes = statement(Handover::default()).to_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != with);
            bytes[at] = with;
            prop_assert!(HandoverStatement::parse(&bytes).is_err());
        }
    }

    #[test]
    fn what_is_no_hand_over_is_refused() {
        let bytes = statement(Handover::default()).to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        for wrong in [
            &text[..text.len() - 1],
            "",
            "\n\n",
            &format!("{text}\n"),
            &text.replace("\":", "\": "),
        ] {
            assert!(
                matches!(
                    HandoverStatement::parse(wrong.as_bytes()),
                    Err(InvalidHandover::Encoding(_))
                ),
                "{wrong}"
            );
        }
        let newer = text.replace("handover/v1", "handover/v2");
        assert!(matches!(
            HandoverStatement::parse(newer.as_bytes()),
            Err(InvalidHandover::Format(_))
        ));
        let (former, _) = keys();
        let same = HandoverStatement::sign("KE".parse().unwrap(), former.public(), Handover::default(), &former);
        assert!(matches!(same, Err(InvalidHandover::SameKey)));
        assert!(HandoverStatement::parse(&vec![b' '; STATEMENT_BYTES_MAX + 1]).is_err());
    }
}
