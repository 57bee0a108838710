//! `VerifyDisclosures`: whether the disclosure log is what was signed.

use bytes::Bytes;
use icomm_proto::v1;

use crate::{
    causes::chain,
    core::{
        exchange::{Conflict, Former, Holder},
        ledger::{
            EpochId, LedgerHead,
            epoch::{Epoch, Lost},
        },
    },
    node::LedgerStatus,
};

pub(in crate::api) fn message(status: LedgerStatus) -> v1::DisclosuresStatus {
    let LedgerStatus {
        line,
        notes,
        head,
        fault,
        epochs,
        holders,
        conflicts,
        began_anew,
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
        epochs: epochs.begun.into_iter().map(epoch).collect(),
        lost: epochs.lost.into_iter().map(lost).collect(),
        restarts: began_anew.into_iter().flat_map(restarts).collect(),
    }
}

pub(super) fn epoch(epoch: Epoch) -> v1::LedgerEpoch {
    let Epoch {
        id,
        since,
        notes,
        reason,
        former,
    } = epoch;
    v1::LedgerEpoch {
        epoch: id.to_string(),
        since,
        reason,
        notes,
        signed: former.size,
    }
}

fn lost((epoch, lost): (EpochId, Lost)) -> v1::LostDisclosures {
    let Lost {
        holder,
        end,
        checkpoint,
    } = lost;
    v1::LostDisclosures {
        epoch: epoch.to_string(),
        holder,
        signed: end.size,
        checkpoint,
    }
}

fn restarts((name, former): (String, Vec<Former>)) -> impl Iterator<Item = v1::LedgerRestart> {
    former.into_iter().map(move |former| v1::LedgerRestart {
        name: name.clone(),
        epoch: former.epoch.to_string(),
        since: former.since,
        signed: former.signed,
        unchanged: former.unchanged,
        checkpoint: former.checkpoint,
    })
}

fn holder(holder: Holder) -> v1::LedgerHolder {
    let Holder { name, size } = holder;
    v1::LedgerHolder { name, notes: size }
}

fn conflict(conflict: Conflict) -> v1::LedgerConflict {
    let Conflict { name, checkpoints } = conflict;
    v1::LedgerConflict { name, checkpoints }
}
