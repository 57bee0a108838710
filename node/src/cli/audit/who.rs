//! `icomm audit who`: who was given a record, who has erased it, who has not answered.

use clap::Args;
use comfy_table::Table;
use icomm_pki::moment_at;
use icomm_proto::v1;

use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{moment, table},
};

/// Who was given a record, under what, and who has erased it
#[derive(Debug, Args)]
#[command(after_help = "\
A line for everybody who was given some of the record, by this node or by somebody who had it from this node. What others
passed on is known once they have answered a recall or a correction: until then they are marked with `+ ?`.
Whose time for it is over, by the terms under which it was given, is shown with the day on which it said so.
Whoever has to erase something is shown with the moment at which it had, by its own signature, or with the moment since
which it has not answered; so is whoever was asked to give up what narrower terms no longer cover. Files that were handed out are listed; nobody can recall those.
Exits with 3 while somebody has not answered.

Example:
  icomm audit who 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11
  icomm audit who 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 --json | jq '.holders[] | select(.asked_since > 0 and .erased == 0)'")]
pub(in crate::cli) struct Who {
    /// The record's id
    record: String,
}

impl Who {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let request = v1::WhoRequest { record_id: self.record };
        let reply = context.auditor().await?.who(request).await?.into_inner();
        context.output.answer(&to_json(&reply)?, || shown(&reply))?;
        Ok(match reply.holders.iter().any(is_open) {
            true => Exit::Partly,
            false => Exit::Ok,
        })
    }
}

fn is_open(holder: &v1::RecordHolder) -> bool {
    let is_open = |call: &v1::RecordCall| call.erased == 0 || !call.waiting.is_empty();
    (holder.asked_since > 0 && holder.erased == 0) || holder.calls.iter().any(is_open)
}

fn shown(reply: &v1::WhoReply) -> String {
    let recalls = reply.recalls.iter().map(recalled);
    let holders = match reply.holders.is_empty() {
        true => "nobody was given any of it".to_owned(),
        false => table_of(&reply.holders).to_string(),
    };
    recalls.chain([holders]).collect::<Vec<_>>().join("\n")
}

/// That a record is recalled or corrected, in a line.
pub(in crate::cli) fn recalled(recall: &v1::RecordRecall) -> String {
    let v1::RecordRecall {
        origin,
        index,
        version,
        kind,
        reason,
        time,
        erased,
    } = recall;
    let (time, erased) = (at(*time), at(*erased));
    match kind.as_str() {
        "recall" => format!("recalled by {origin} {index} on {time} ({reason}); erased here on {erased}"),
        _ => {
            format!("corrected by {origin} {index} on {time}: version {version}; earlier ones erased here on {erased}")
        }
    }
}

fn at(time: u64) -> String {
    moment_at(time).map_or_else(|| time.to_string(), moment)
}

fn table_of(holders: &[v1::RecordHolder]) -> Table {
    let mut rows = table([
        "holder",
        "given by",
        "version",
        "sections",
        "under",
        "first given",
        "now",
    ]);
    for holder in holders {
        let v1::RecordHolder {
            member,
            node,
            via,
            handovers,
            passes_on,
            ..
        } = holder;
        let each = |column: fn(&v1::Handover) -> String| handovers.iter().map(column).collect::<Vec<_>>().join("\n");
        let name = match node.is_empty() {
            true => format!("{member} (file)"),
            false => format!("{member}/{node}"),
        };
        rows.add_row([
            if *passes_on { format!("{name} + ?") } else { name },
            if via.is_empty() {
                "this node".to_owned()
            } else {
                via.clone()
            },
            each(|given| match given.version {
                0 => format!("entry {}", given.index),
                version => version.to_string(),
            }),
            each(|given| given.sections.clone()),
            each(|given| given.bases.join(" and ")),
            each(|given| at(given.time)),
            [state(holder)]
                .into_iter()
                .chain(holder.calls.iter().map(called_back))
                .collect::<Vec<_>>()
                .join("\n"),
        ]);
    }
    rows
}

fn state(holder: &v1::RecordHolder) -> String {
    let v1::RecordHolder {
        node,
        holds,
        asked_since,
        erased,
        handovers,
        ..
    } = holder;
    let expired: Vec<String> = handovers.iter().filter_map(expired).collect();
    match (node.is_empty(), asked_since, erased, holds) {
        (true, ..) => "has it; can't be recalled".to_owned(),
        // Of several versions some may be held still.
        (_, 0, _, _) if expired.len() < handovers.len() => std::iter::once("holds it".to_owned())
            .chain(expired)
            .collect::<Vec<_>>()
            .join("\n"),
        (_, 0, _, _) => expired.join("\n"),
        (_, since, 0, _) => format!("not answered since {}", at(*since)),
        (_, _, erased, true) => format!("earlier ones erased {}", at(*erased)),
        (_, _, erased, false) => format!("erased {}", at(*erased)),
    }
}

/// That the time for which a version was given is over.
fn expired(handover: &v1::Handover) -> Option<String> {
    let v1::Handover {
        expired,
        expired_sections: sections,
        restricted,
        ..
    } = handover;
    let how = if *restricted { "shut away" } else { "erased" };
    (*expired > 0).then(|| format!("expired {}: {sections} {how}", at(*expired)))
}

/// What was called back of a version, and how that stands.
fn called_back(call: &v1::RecordCall) -> String {
    let v1::RecordCall {
        agreement,
        version,
        keeps,
        since,
        erased,
        waiting,
        ..
    } = call;
    let state = match (erased, waiting.is_empty()) {
        (0, _) => format!("not answered since {}", at(*since)),
        (erased, true) => format!("erased {}", at(*erased)),
        (erased, false) => format!("erased {}, but {} has not answered it", at(*erased), waiting.join(", ")),
    };
    format!("`{agreement}` version {version} leaves {keeps}: {state}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(member: &str, asked_since: u64, erased: u64, holds: bool) -> v1::RecordHolder {
        v1::RecordHolder {
            origin: "ES/main".into(),
            member: member.into(),
            node: "n1".into(),
            handovers: vec![v1::Handover {
                version: 1,
                index: 4,
                time: 1_795_428_000,
                sections: "case+exact".into(),
                bases: vec!["`es-pt` version 2, grant 0".into()],
                ..Default::default()
            }],
            asked_since,
            erased,
            holds,
            ..Default::default()
        }
    }

    #[test]
    fn everybody_is_shown_with_what_is_known_and_what_is_not() {
        let office = v1::RecordHolder {
            passes_on: true,
            ..holder("RILO-WE", 1_795_428_060, 0, false)
        };
        let behind = v1::RecordHolder {
            via: "RILO-ESA".into(),
            ..holder("UG", 1_795_428_060, 1_795_428_120, false)
        };
        let file = v1::RecordHolder {
            node: String::new(),
            ..holder("District court of Vigo", 0, 0, true)
        };
        let mut over = holder("FR", 0, 0, true);
        over.handovers[0].expired = 1_795_428_180;
        over.handovers[0].expired_sections = "exact".into();
        let mut partly = over.clone();
        partly.handovers[0].restricted = true;
        partly.handovers.extend(holder("FR", 0, 0, true).handovers);
        assert!(
            state(&partly).starts_with("holds it\nexpired 2026-11-23"),
            "{}",
            state(&partly)
        );
        assert!(state(&partly).ends_with("exact shut away"), "{}", state(&partly));
        let call = |erased, waiting: &[&str]| v1::RecordCall {
            agreement: "es-fr".into(),
            version: 3,
            keeps: "case".into(),
            since: 1_795_428_060,
            erased,
            waiting: waiting.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let narrowed = |call| v1::RecordHolder {
            calls: vec![call],
            ..holder("FR", 0, 0, true)
        };
        assert!(
            is_open(&narrowed(call(0, &[])))
                && is_open(&narrowed(call(5, &["BE"])))
                && !is_open(&narrowed(call(5, &[])))
        );
        let reply = v1::WhoReply {
            recalls: Vec::new(),
            holders: vec![
                holder("PT", 0, 0, true),
                office,
                behind,
                file,
                over,
                narrowed(call(1_795_428_120, &["BE"])),
            ],
        };
        let text = shown(&reply);
        for expected in [
            "PT/n1",
            "holds it",
            "RILO-WE/n1 + ?",
            "not answered since 2026-11-23",
            "RILO-ESA",
            "erased 2026-11-23",
            "District court of Vigo (file)",
            "can't be recalled",
            "exact erased",
            "`es-pt` version 2, grant 0",
            "`es-fr` version 3 leaves case: erased 2026-11-23",
            "but BE has not answered it",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(reply.holders.iter().any(is_open));
        assert!(!is_open(&holder("PT", 5, 6, false)) && !is_open(&holder("PT", 0, 0, true)));
        assert_eq!(shown(&v1::WhoReply::default()), "nobody was given any of it");
    }
}
