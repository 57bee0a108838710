//! What the checkpoints of a ledger are called, and its epochs.

use std::fmt;

use bytes::Bytes;
use icomm_pki::{MemberId, MemberKeys, MemberPublicKey, NodeName, TrustDomain};
use icomm_proto::log::{Checkpoint, InvalidCheckpoint, SignedNote, VerifiedCheckpoint};
use serde::{Deserialize, Serialize};

/// The longest name of an epoch: a number of up to three digits and eight hexadecimal ones.
const EPOCH_BYTES_MAX: usize = 12;

/// The name of a node's ledger in its first epoch: `demo.icomm.example/KE/gw1/disclosures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(String);

/// Which run of a ledger: nothing for the first, `2-1f2e3d4c` for the second. The random part keeps two epochs apart that began
/// from one backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochId(String);

impl EpochId {
    pub(super) fn new(number: usize, random: [u8; 4]) -> Self {
        Self(format!("{number}-{:08x}", u32::from_be_bytes(random)))
    }

    /// Whether nothing was lost before it.
    pub fn is_first(&self) -> bool {
        self.0.is_empty()
    }

    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=EPOCH_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-'));
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_first() { "1" } else { &self.0 })
    }
}

impl Line {
    /// Of a node.
    pub fn new(domain: &TrustDomain, member: &MemberId, node: &NodeName) -> Self {
        Self(format!("{domain}/{member}/{node}/disclosures"))
    }

    /// The name that checkpoints of an epoch carry.
    pub fn of(&self, epoch: &EpochId) -> String {
        match epoch.is_first() {
            true => self.0.clone(),
            false => format!("{}/{}", self.0, epoch.0),
        }
    }

    /// The same without trust domain and member, as a hand-over names logs.
    pub fn log_of(&self, epoch: &EpochId) -> String {
        let name = self.of(epoch);
        name.splitn(3, '/').nth(2).unwrap_or_default().to_owned()
    }

    /// The epoch of which a signed note says that it is; the first where it says nothing of this ledger.
    pub fn epoch_of(&self, note: &Bytes) -> EpochId {
        let origin = || {
            let note = SignedNote::parse(note).ok()?;
            let origin = Checkpoint::parse(note.text()).ok()?.origin;
            EpochId::parse(origin.strip_prefix(&self.0)?.strip_prefix('/')?)
        };
        origin().unwrap_or_default()
    }

    /// A checkpoint of this ledger, signed with one of a member's keys, and its epoch.
    ///
    /// # Errors
    /// It is another log's, or none of them signed.
    pub fn verify(&self, note: Bytes, keys: &MemberKeys) -> Result<(EpochId, VerifiedCheckpoint), InvalidCheckpoint> {
        let epoch = self.epoch_of(&note);
        let checkpoint = VerifiedCheckpoint::verify_by(note, &self.of(&epoch), keys)?;
        Ok((epoch, checkpoint))
    }

    /// The same, signed with this key.
    ///
    /// # Errors
    /// It is another log's, or not signed with it.
    pub fn verify_with(
        &self,
        note: Bytes,
        key: &MemberPublicKey,
    ) -> Result<(EpochId, VerifiedCheckpoint), InvalidCheckpoint> {
        let epoch = self.epoch_of(&note);
        let checkpoint = VerifiedCheckpoint::verify(note, &self.of(&epoch), key)?;
        Ok((epoch, checkpoint))
    }
}
