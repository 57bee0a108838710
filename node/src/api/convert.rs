//! The node's types as messages of the API.

use bytes::Bytes;
use icomm_policy::{Explanation, Standing};
use icomm_proto::{FieldError, Origin, SectionSet, v1};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    backup::Manifest,
    core::{
        exchange::{Cosignature, Witnessed},
        recall::Kept,
        refused::RefusedDocument,
    },
    link::{DialState, Outcome as ProbeOutcome, Probe, Report},
    node::{
        AgreementStatus, CalledBack, Check, Forked, Handover, HeldEntry, Holder, Level, LinkStatus, LogStatus, Outcome,
        ProofFile, Recalled, Status, SuspensionState, Who,
    },
};

pub(super) fn status(
    status: Status,
    logs: Vec<LogStatus>,
    links: Vec<LinkStatus>,
    listening: Vec<String>,
) -> v1::StatusReply {
    let Status {
        member,
        node,
        role,
        version,
        health,
        bundle_version,
        bundle_expires,
        certificate_expires,
    } = status;
    v1::StatusReply {
        member,
        node,
        role,
        version,
        serving: health.serving,
        reasons: health.reasons,
        logs: logs.into_iter().map(log).collect(),
        links: links.into_iter().map(link).collect(),
        bundle_version,
        bundle_expires: moment(bundle_expires),
        certificate_expires: moment(certificate_expires),
        listening,
    }
}

pub(super) fn log(status: LogStatus) -> v1::LogStatus {
    let LogStatus {
        origin,
        own,
        entries,
        disclosed,
        denominalised,
        withheld,
        verified,
        root,
        checkpoint,
        agreements,
        forked,
        waits_for,
        witnessed,
    } = status;
    let Witnessed {
        quorum,
        settled,
        cosignatures,
        note,
    } = witnessed;
    v1::LogStatus {
        origin: origin.to_string(),
        own,
        entries,
        disclosed,
        denominalised,
        withheld,
        verified,
        root: Bytes::copy_from_slice(root.as_bytes()),
        // A signed note is text.
        checkpoint: String::from_utf8_lossy(&checkpoint).into_owned(),
        agreements,
        forked,
        waits_for: waits_for.iter().map(ToString::to_string).collect(),
        settled,
        cosignatures: cosignatures
            .into_iter()
            .map(|Cosignature { witness, size, time }| v1::Cosignature {
                witness: witness.to_string(),
                size,
                time,
            })
            .collect(),
        quorum: quorum.to_string(),
        settled_checkpoint: String::from_utf8_lossy(&note.unwrap_or_default()).into_owned(),
    }
}

pub(super) fn fork(forked: Forked) -> v1::Fork {
    let Forked { origin, proof, notes } = forked;
    let [smaller, larger] = notes;
    v1::Fork {
        origin: origin.to_string(),
        smaller,
        larger,
        proof,
    }
}

pub(super) fn proof(file: ProofFile) -> v1::ProveReply {
    let ProofFile {
        bytes,
        origin,
        index,
        version,
        size,
        sections,
        witnesses,
    } = file;
    v1::ProveReply {
        proof: bytes.into(),
        origin: origin.to_string(),
        index,
        version,
        size,
        sections: names(sections),
        witnesses: witnesses.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn link(status: LinkStatus) -> v1::Link {
    let LinkStatus {
        member,
        session,
        dialling,
    } = status;
    let (state, last_error) = match (&session, dialling) {
        (Some(_), _) | (None, Some(DialState::Linked { .. })) => ("connected", String::new()),
        (None, Some(DialState::Dialling { .. })) => ("connecting", String::new()),
        (None, Some(DialState::Waiting { error, .. })) => ("waiting", error),
        (None, None) => ("", String::new()),
    };
    let blank = v1::Link {
        member,
        state: state.to_owned(),
        last_error,
        ..v1::Link::default()
    };
    match session {
        None => blank,
        Some(session) => v1::Link {
            node: session.node,
            carrier: session.carrier.as_str().to_owned(),
            dialled: session.dialled,
            since: session.since,
            sent_entries: session.sent_entries,
            received_entries: session.received_entries,
            ..blank
        },
    }
}

pub(super) fn check(check: Check) -> v1::Check {
    let Check {
        name,
        level,
        finding,
        advice,
    } = check;
    v1::Check {
        name,
        level: level.as_str().to_owned(),
        finding,
        advice,
    }
}

pub(super) fn report(report: Report) -> v1::TestLinkReply {
    let reachable = report.is_reachable();
    let Report {
        member: _,
        probes,
        error,
    } = report;
    let mut steps: Vec<v1::Check> = probes.into_iter().map(probe).collect();
    steps.extend(error.map(|error| {
        step(
            "addresses",
            Level::Error,
            error,
            "name one in `[[links.peer]]`, or ask the authority to list one",
        )
    }));
    v1::TestLinkReply { reachable, steps }
}

fn probe(probe: Probe) -> v1::Check {
    let Probe { node, address, outcome } = probe;
    let name = format!("{node} at {address}");
    match outcome {
        ProbeOutcome::Reached {
            carrier,
            setup_us,
            round_trip_us,
        } => {
            let finding = format!(
                "reached over {carrier}: {} ms to connect, {} ms a round trip",
                millis(setup_us),
                millis(round_trip_us)
            );
            step(&name, Level::Ok, finding, "")
        }
        ProbeOutcome::Failed { reason, error } => step(
            &name,
            Level::Error,
            format!("{reason}: {error}"),
            "another address may still do; if none does, call the partner",
        ),
    }
}

fn millis(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}

fn step(name: &str, level: Level, finding: String, advice: &str) -> v1::Check {
    v1::Check {
        name: name.to_owned(),
        level: level.as_str().to_owned(),
        finding,
        advice: advice.to_owned(),
    }
}

pub(super) fn outcome(outcome: Outcome) -> v1::Outcome {
    let placed = |result: v1::outcome::Result, id: icomm_proto::RecordId, place: crate::store::Place| v1::Outcome {
        result: result.into(),
        record_id: id.to_string(),
        origin: place.origin.to_string(),
        index: place.index,
        errors: Vec::new(),
    };
    match outcome {
        Outcome::Issued { id, place } => placed(v1::outcome::Result::Issued, id, place),
        Outcome::Duplicate { id, place } => placed(v1::outcome::Result::Duplicate, id, place),
        Outcome::Rejected(errors) => v1::Outcome {
            result: v1::outcome::Result::Rejected.into(),
            errors: errors.into_iter().map(field_error).collect(),
            ..v1::Outcome::default()
        },
        Outcome::Valid => v1::Outcome {
            result: v1::outcome::Result::Valid.into(),
            ..v1::Outcome::default()
        },
    }
}

fn field_error(error: FieldError) -> v1::FieldError {
    let FieldError {
        field,
        value,
        reason,
        list,
    } = error;
    let list = list
        .map(|(name, version)| format!("{name} {version}"))
        .unwrap_or_default();
    v1::FieldError {
        field,
        value,
        reason: reason.to_string(),
        list,
    }
}

/// An entry as this node may see it; its stored form only where it was asked for.
pub(super) fn entry(held: HeldEntry, with_view: bool) -> v1::Entry {
    let HeldEntry {
        origin,
        index,
        leaf_hash,
        view,
        verified,
        state,
    } = held;
    let known = v1::Entry {
        origin: origin.to_string(),
        index,
        leaf_hash: Bytes::copy_from_slice(leaf_hash.as_bytes()),
        verified,
        state: state.as_str().to_owned(),
        ..v1::Entry::default()
    };
    let Some(view) = view else { return known };
    let head = view.entry().head();
    v1::Entry {
        record_id: head.record_id.to_string(),
        version: head.version,
        kind: head.kind.to_string(),
        record_kind: head.record_kind.name().to_owned(),
        sections: names(view.sections()),
        withheld_sections: names(view.withheld()),
        // Sections that hash to what their owner signed and still are no messages: shown by their bytes alone.
        record: view.decode().ok(),
        view: if with_view { view.bytes().clone() } else { Bytes::new() },
        ..known
    }
}

pub(super) fn recall(origin: &Origin, kept: &Kept) -> v1::RecordRecall {
    v1::RecordRecall {
        origin: origin.to_string(),
        index: kept.order.index,
        version: kept.head.version,
        kind: kept.head.kind.to_string(),
        reason: kept.reason.to_string(),
        time: kept.order.time,
        erased: kept.time,
    }
}

pub(super) fn recalled(recalled: Recalled) -> v1::RecallReply {
    let Recalled {
        origin,
        kept,
        holders,
        before,
    } = recalled;
    v1::RecallReply {
        recall: Some(recall(&origin, &kept)),
        holders,
        before,
    }
}

pub(super) fn who(who: Who) -> v1::WhoReply {
    let Who { recalls, holders } = who;
    v1::WhoReply {
        recalls: recalls.iter().map(|(origin, kept)| recall(origin, kept)).collect(),
        holders: holders.into_iter().map(holder).collect(),
    }
}

fn holder(holder: Holder) -> v1::RecordHolder {
    let Holder {
        origin,
        member,
        node,
        via,
        handovers,
        holds,
        asked_since,
        erased,
        calls,
        passes_on,
    } = holder;
    let handover = |handover: Handover| {
        let Handover {
            version,
            index,
            time,
            sections,
            bases,
            expired,
        } = handover;
        v1::Handover {
            version: version.unwrap_or_default(),
            index,
            time,
            sections,
            bases,
            expired: expired.map_or(0, |expired| expired.time),
            expired_sections: expired.map_or_else(String::new, |expired| expired.sections.to_string()),
            restricted: expired.is_some_and(|expired| expired.restricted),
        }
    };
    v1::RecordHolder {
        origin: origin.to_string(),
        member,
        node,
        via: via.unwrap_or_default(),
        handovers: handovers.into_iter().map(handover).collect(),
        holds,
        asked_since: asked_since.unwrap_or_default(),
        erased: erased.unwrap_or_default(),
        passes_on,
        calls: calls.into_iter().map(call).collect(),
    }
}

fn call(call: CalledBack) -> v1::RecordCall {
    let CalledBack {
        index,
        agreement,
        version,
        keeps,
        since,
        erased,
        waiting,
    } = call;
    v1::RecordCall {
        index,
        agreement: agreement.to_string(),
        version,
        keeps: keeps.to_string(),
        since,
        erased: erased.unwrap_or_default(),
        waiting,
    }
}

fn names(sections: SectionSet) -> Vec<String> {
    sections.iter().map(|section| section.name().to_owned()).collect()
}

pub(super) fn agreement(status: AgreementStatus) -> v1::Agreement {
    let AgreementStatus {
        agreement,
        signed_by,
        standing,
        suspensions,
        document,
    } = status;
    let terms = agreement.terms();
    v1::Agreement {
        id: agreement.id().to_string(),
        version: agreement.version(),
        parties: agreement.parties().map(ToString::to_string).collect(),
        signed_by: signed_by.iter().map(ToString::to_string).collect(),
        state: match standing {
            Standing::InForce { .. } => "in-force",
            Standing::NotYet { .. } => "not-yet-in-force",
            Standing::Superseded { .. } => "superseded",
            Standing::Suspended { .. } => "suspended",
            Standing::Ended { .. } => "ended",
        }
        .to_owned(),
        in_force_from: terms.in_force_from.to_string(),
        in_force_until: terms.in_force_until.map(|day| day.to_string()).unwrap_or_default(),
        title: terms.title.clone(),
        document: document.into(),
        suspensions: suspensions.into_iter().map(suspension).collect(),
    }
}

fn suspension(state: SuspensionState) -> v1::SuspensionState {
    let SuspensionState {
        by,
        at,
        reason,
        acknowledged,
    } = state;
    let seen = |(by, at): (icomm_pki::MemberId, u64)| v1::SuspensionAcknowledged { by: by.to_string(), at };
    v1::SuspensionState {
        by: by.to_string(),
        at,
        reason,
        acknowledged: acknowledged.into_iter().map(seen).collect(),
    }
}

pub(super) fn refused(report: RefusedDocument) -> v1::RefusedDocument {
    let RefusedDocument {
        time,
        peer,
        by_peer,
        kind,
        agreement,
        version,
        code,
        reason,
        sha256,
    } = report;
    v1::RefusedDocument {
        time,
        peer,
        by_peer,
        kind,
        agreement: agreement.unwrap_or_default(),
        version: version.unwrap_or_default(),
        code,
        reason,
        sha256,
    }
}

pub(super) fn explanation(explanation: &Explanation) -> v1::ExplainReply {
    let basis = explanation.bases.first();
    let rule = match (&explanation.stopped_by, basis) {
        (Some(stopped), _) => stopped.reason.clone(),
        (None, Some(basis)) => format!("{} permits it", basis.grant),
        (None, None) => "nothing permits it".to_owned(),
    };
    v1::ExplainReply {
        permitted: !explanation.goes.is_empty(),
        sections: names(explanation.goes),
        agreement: basis
            .map(|basis| format!("{}@{}", basis.grant.agreement, basis.grant.version))
            .unwrap_or_default(),
        grant: basis
            .and_then(|basis| u32::try_from(basis.grant.grant).ok())
            .unwrap_or_default(),
        rule,
        text: explanation.to_string(),
    }
}

/// RFC 3339, UTC.
pub(super) fn moment(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

/// What a backup says of itself; `bytes` long, or 0 where it is read.
pub(crate) fn backup(manifest: &Manifest, bytes: u64) -> v1::BackupSummary {
    let Manifest {
        id,
        member,
        node,
        peer_id,
        program,
        time,
        origin,
        entries,
        with_identity,
        files,
    } = manifest.clone();
    v1::BackupSummary {
        files_bytes: manifest.bytes(),
        files: u32::try_from(files.len()).unwrap_or(u32::MAX),
        id,
        member,
        node,
        peer_id,
        program,
        time,
        origin,
        entries,
        with_identity,
        bytes,
    }
}
