//! `VerifyDisclosures`: whether the disclosure log is what was signed.

use bytes::Bytes;
use icomm_proto::v1;

use crate::{
    causes::chain,
    core::{
        exchange::{Conflict, Holder},
        ledger::LedgerHead,
    },
    node::LedgerStatus,
};

pub(super) fn message(status: LedgerStatus) -> v1::DisclosuresStatus {
    let LedgerStatus {
        line,
        notes,
        head,
        fault,
        holders,
        conflicts,
    } = status;
    let LedgerHead { size, root, checkpoint } = head;
    v1::DisclosuresStatus {
        origin: line,
        notes,
        signed: size,
        root: Bytes::copy_from_slice(root.as_bytes()),
        // A signed note is text.
        checkpoint: String::from_utf8_lossy(&checkpoint.unwrap_or_default()).into_owned(),
        verified: fault.is_none(),
        finding: fault.as_ref().map(|fault| chain(fault)).unwrap_or_default(),
        holders: holders.into_iter().map(holder).collect(),
        conflicts: conflicts.into_iter().map(conflict).collect(),
    }
}

fn holder(holder: Holder) -> v1::LedgerHolder {
    let Holder { name, size } = holder;
    v1::LedgerHolder { name, notes: size }
}

fn conflict(conflict: Conflict) -> v1::LedgerConflict {
    let Conflict { name, checkpoints } = conflict;
    v1::LedgerConflict { name, checkpoints }
}
