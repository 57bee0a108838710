//! Signatures and what keeps them apart.
//!
//! ```text
//! signed bytes   "icomm-signature/v1 " | name of the domain | 0x00 | message
//! ```
//!
//! Three kinds of bytes are signed with a member key, and none can pass as another: these (a NUL ends their first line),
//! C2SP notes (text without control characters other than newlines) and PKCS#10 requests (DER: 0x30, and control
//! characters among the next bytes).

use std::fmt;

use data_encoding::BASE64;

use super::InvalidKey;

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; Self::LENGTH]);

impl Signature {
    /// How many bytes a signature has.
    pub const LENGTH: usize = 64;

    /// A signature from its bytes. Whether it is anybody's shows when it is verified.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The signature's bytes.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Reads standard base64 with padding.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        decode_base64(text).map(Self)
    }

    /// Writes standard base64 with padding.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = InvalidKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidKey> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| InvalidKey::Base64 { expected: Self::LENGTH })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64())
    }
}

impl serde::Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> serde::Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(serde::de::Error::custom)
    }
}

/// What a signature is about. Signed bytes start with the domain's name, so that a signature over an agreement can
/// never be shown as one over a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The canonical bytes of an agreement, by a party.
    Agreement,
    /// The suspension of an agreement, by one party.
    Suspension,
    /// The other party's acknowledgement of a suspension.
    Acknowledgement,
    /// The state of a log that a receiver has durably stored.
    Receipt,
    /// A trust bundle, by the root member.
    Bundle,
    /// An enrolment request, by the member key and by the node's libp2p key.
    Enrolment,
    /// A recall or a correction of a record, by its originator.
    Recall,
    /// That nothing is left of what was recalled, by who erased it.
    Erasure,
    /// That no more is left of entries than narrower terms cover, by who erased the rest.
    CalledBack,
    /// A parcel of frames for a link without a network, by the sending node's libp2p key.
    Parcel,
    /// A backup of a node, by that node's libp2p key.
    Backup,
    /// Up to where a member's former key counts, by the key that follows it.
    Handover,
    /// That the time for which entries were given is over, by who had them.
    Expiry,
    /// A question to an originator whether a record may go onward, by who asks.
    ConsentRequest,
    /// An originator's answer to such a question.
    Consent,
    /// That such an answer has arrived, by who asked.
    ConsentSeen,
    /// A test of whether a key signs; it says nothing.
    Test,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 17] = [
        Self::Agreement,
        Self::Suspension,
        Self::Acknowledgement,
        Self::Receipt,
        Self::Bundle,
        Self::Enrolment,
        Self::Recall,
        Self::Erasure,
        Self::CalledBack,
        Self::Parcel,
        Self::Backup,
        Self::Handover,
        Self::Expiry,
        Self::ConsentRequest,
        Self::Consent,
        Self::ConsentSeen,
        Self::Test,
    ];

    /// The domain's name in the signed bytes. Names never change and are never used again for something else.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Suspension => "suspension",
            Self::Acknowledgement => "acknowledgement",
            Self::Receipt => "receipt",
            Self::Bundle => "bundle",
            Self::Enrolment => "enrolment",
            Self::Recall => "recall",
            Self::Erasure => "erasure",
            Self::CalledBack => "called-back",
            Self::Parcel => "parcel",
            Self::Backup => "backup",
            Self::Handover => "handover",
            Self::Expiry => "expiry",
            Self::ConsentRequest => "consent-request",
            Self::Consent => "consent",
            Self::ConsentSeen => "consent-seen",
            Self::Test => "test",
        }
    }

    /// The bytes that are really signed for `message`.
    pub(crate) fn frame(self, message: &[u8]) -> Vec<u8> {
        [b"icomm-signature/v1 ", self.name().as_bytes(), &[0], message].concat()
    }
}

/// Exactly `N` bytes of standard base64 with padding, in its one spelling.
pub(crate) fn decode_base64<const N: usize>(text: &str) -> Result<[u8; N], InvalidKey> {
    // The length is checked first, so that a peer's megabytes are not decoded only to be refused.
    if text.len() != N.div_ceil(3) * 4 {
        return Err(InvalidKey::Base64 { expected: N });
    }
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|_| InvalidKey::Base64 { expected: N })?;
    bytes.try_into().map_err(|_| InvalidKey::Base64 { expected: N })
}
