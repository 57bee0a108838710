//! Calls as a node keeps them: those that it makes, until they are answered and after; and those that it was made to.

use data_encoding::HEXLOWER;
use icomm_pki::MemberId;
use icomm_proto::{Origin, v1};
use prost::Message;

use super::Call;
use crate::store::{Store, StoreError};

/// The beginning of all keys of [`made_state`].
pub const CALLBACKS_PREFIX: &str = "callback/";

/// Under which a call to a member is kept.
pub fn made_state(to: &MemberId, origin: &Origin, digest: &[u8; 32]) -> String {
    format!("{}{}", owed_to(to, Some(origin)), HEXLOWER.encode(digest))
}

/// The beginning of the keys of all calls to a member, or of those that speak of one log.
pub fn owed_to(to: &MemberId, origin: Option<&Origin>) -> String {
    let log = origin.map(|origin| format!("{origin}/")).unwrap_or_default();
    format!("{CALLBACKS_PREFIX}{to}/{log}")
}

/// Under which a call by a member is kept.
pub fn taken_state(by: &MemberId, origin: &Origin, digest: &[u8]) -> String {
    format!("called-by/{by}/{origin}/{}", HEXLOWER.encode(digest))
}

/// A call that this node makes.
#[derive(Debug, Clone)]
pub struct Made {
    /// To whom.
    pub to: MemberId,
    /// What.
    pub call: Call,
    /// What it answered.
    pub answer: Option<v1::CalledBack>,
    /// On whose call this one follows, and its digest; none: on this node's own terms.
    pub cause: Option<(MemberId, Vec<u8>)>,
}

impl Made {
    /// Reads what is kept under a key.
    pub fn decode(key: &str, bytes: &[u8]) -> Option<Self> {
        let (to, _) = key.strip_prefix(CALLBACKS_PREFIX)?.split_once('/')?;
        let v1::KeptCallBack {
            call,
            answer,
            caller,
            cause,
        } = v1::KeptCallBack::decode(bytes).ok()?;
        let cause = match caller.is_empty() {
            true => None,
            false => Some((caller.parse().ok()?, cause.to_vec())),
        };
        Some(Self {
            to: to.parse().ok()?,
            call: Call::parse(&call?).ok()?,
            answer,
            cause,
        })
    }

    /// Those that are kept under keys that begin so.
    pub fn all(store: &dyn Store, prefix: &str) -> Result<Vec<Self>, StoreError> {
        let kept = store.scan_state(prefix)?.into_iter();
        Ok(kept
            .filter_map(|(key, bytes)| {
                let made = Self::decode(&key, &bytes);
                if made.is_none() {
                    tracing::error!(key, "a stored call can't be read");
                }
                made
            })
            .collect())
    }

    /// Its key.
    pub fn key(&self) -> String {
        made_state(&self.to, &self.call.origin, &self.call.digest())
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let (caller, cause) = self
            .cause
            .clone()
            .map_or_else(Default::default, |(caller, cause)| (caller.to_string(), cause));
        v1::KeptCallBack {
            call: Some(self.call.encode()),
            answer: self.answer.clone(),
            caller,
            cause: cause.into(),
        }
        .encode_to_vec()
    }

    /// Whether nobody need be asked any more.
    pub fn is_settled(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.waiting.is_empty())
    }
}
