//! The report of a document that does not count: an older version, one side's signature only, another text under a version.
//!
//! Kept as small state under `refused/<peer>/<direction><hash>`, JSON, once for each document however often it comes, and at
//! most so many for a peer. A newer version that every party signed settles what was reported of the agreement before.

use std::collections::BTreeMap;

use bytes::Bytes;
use icomm_pki::MemberId;
use icomm_policy::{AgreementId, SignedAgreement};
use icomm_proto::v1::{self, document::Kind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{Batch, Store, StoreError};

/// Reports kept for one peer; what comes beyond them is counted only.
pub const REPORTS_PER_PEER_MAX: usize = 64;
/// The most characters of a reason.
const REASON_CHARS_MAX: usize = 512;
/// The most characters of a peer's code.
const CODE_CHARS_MAX: usize = 64;
const PREFIX: &str = "refused/";

/// A document that was refused: by this node, or by a partner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedDocument {
    /// When it was first, in seconds since 1970.
    pub time: u64,
    /// The partner.
    pub peer: String,
    /// Whether the partner refused a document of this node's; else this node refused one of the partner's.
    pub by_peer: bool,
    /// `agreement`, `suspension`, `acknowledgement`, `bundle`, `fork`, `consent-request`, `consent`, `consent-seen`.
    pub kind: String,
    /// Which agreement, where it could be read.
    pub agreement: Option<String>,
    /// Its version.
    pub version: Option<u32>,
    /// Stable code: `older-version`, `one-sided`, `other-text` …
    pub code: String,
    /// In words; of a partner's refusal only the code is known.
    pub reason: String,
    /// SHA-256 of the document, in hex.
    pub sha256: String,
}

/// The SHA-256 of a document, by which it is named.
pub fn digest(document: &[u8]) -> [u8; 32] {
    Sha256::digest(document).into()
}

impl RefusedDocument {
    /// This node refused what `peer` sent.
    pub fn here(peer: &MemberId, document: &v1::Document, code: &str, reason: &str, now: u64) -> Self {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        Self {
            reason,
            ..Self::of(peer, document, code, now)
        }
    }

    /// `peer` refused what this node sent.
    pub fn there(peer: &MemberId, document: &v1::Document, code: &str, now: u64) -> Self {
        Self {
            by_peer: true,
            ..Self::of(peer, document, code, now)
        }
    }

    fn of(peer: &MemberId, document: &v1::Document, code: &str, now: u64) -> Self {
        let read = match document.kind() {
            Kind::Agreement => SignedAgreement::parse(&document.document).ok(),
            _ => None,
        };
        let kind = match document.kind() {
            Kind::Unspecified => "unknown",
            Kind::Bundle => "bundle",
            Kind::Agreement => "agreement",
            Kind::Suspension => "suspension",
            Kind::Acknowledgement => "acknowledgement",
            Kind::Fork => "fork",
            Kind::ConsentRequest => "consent-request",
            Kind::Consent => "consent",
            Kind::ConsentSeen => "consent-seen",
        };
        let plain = |letter: &char| letter.is_ascii_lowercase() || *letter == '-';
        Self {
            time: now,
            peer: peer.to_string(),
            by_peer: false,
            kind: kind.to_owned(),
            agreement: read.as_ref().map(|signed| signed.agreement().id().to_string()),
            version: read.as_ref().map(|signed| signed.agreement().version()),
            code: code.chars().filter(plain).take(CODE_CHARS_MAX).collect(),
            reason: String::new(),
            sha256: data_encoding::HEXLOWER.encode(&digest(&document.document)),
        }
    }

    fn key(&self) -> String {
        let direction = if self.by_peer { "there" } else { "here" };
        format!("{PREFIX}{}/{direction}-{}", self.peer, self.sha256)
    }

    /// Makes it durable, unless the same is reported already, or as much of the peer as is kept.
    ///
    /// # Errors
    /// The store fails.
    pub fn keep(&self, store: &dyn Store) -> Result<(), StoreError> {
        let key = self.key();
        if store.state(&key)?.is_some() {
            return Ok(());
        }
        // Whoever sends documents without end is known by then, and makes the disk do no more.
        if store.scan_state(&format!("{PREFIX}{}/", self.peer))?.len() >= REPORTS_PER_PEER_MAX {
            return Ok(());
        }
        // A report can be written; were it not, it would be no report.
        let value = serde_json::to_vec(self).unwrap_or_default();
        store.append(Batch::new().set(key, Bytes::from(value)))
    }

    /// Forgets the report of a document of `peer` that this node did take in the end.
    pub(crate) fn taken(peer: &MemberId, document: &v1::Document, batch: Batch) -> Batch {
        batch.forget(Self::here(peer, document, "", "", 0).key())
    }

    /// Every report, the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn all(store: &dyn Store) -> Result<Vec<Self>, StoreError> {
        let mut all: Vec<Self> = kept(store, PREFIX)?.into_values().collect();
        all.sort_by_key(|report| std::cmp::Reverse(report.time));
        Ok(all)
    }

    /// Forgets what a newer version of an agreement has settled.
    pub(crate) fn settle(store: &dyn Store, id: &AgreementId, version: u32, batch: Batch) -> Result<Batch, StoreError> {
        let settled = |report: &Self| {
            report.agreement.as_deref() == Some(id.as_str()) && report.version.is_some_and(|refused| refused < version)
        };
        let reports = kept(store, PREFIX)?.into_iter().filter(|(_, report)| settled(report));
        Ok(reports.fold(batch, |batch, (key, _)| batch.forget(key)))
    }
}

fn kept(store: &dyn Store, prefix: &str) -> Result<BTreeMap<String, RefusedDocument>, StoreError> {
    let kept = store.scan_state(prefix)?.into_iter();
    Ok(kept
        .filter_map(|(key, bytes)| Some((key, serde_json::from_slice(&bytes).ok()?)))
        .collect())
}
