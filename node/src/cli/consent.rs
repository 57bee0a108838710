//! `icomm consent`: asking originators whether their records may go onward, and answering.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::Table;
use icomm_pki::moment_at;
use icomm_proto::v1;

use super::{
    Context, Exit, Failure,
    json::to_json,
    output::{moment, table},
};

/// Leave to pass records on, asked for and given
#[derive(Debug, Subcommand)]
#[command(after_help = "\
An agreement may let a partner or an office pass records on by consent only (`onward = { rule = \"with-consent\" }`). Then
nothing of them goes onward until the originator's officer has approved it: one version of one record, certain sections,
one receiver, one purpose, until a day. The answer is signed, and every disclosure under it cites it
(`icomm audit disclosures`, `icomm audit who`). Records of an operation go to the global node only when their owner has
approved the operation, or the record, for it; until then it sees their hashes.

  at the office     icomm consent ask RECORD --to UG --sections case,persons --purpose investigation
  at the originator icomm consent list --open
                    icomm consent approve 3f9c2a71 --officer duty-officer-3 --days 30
                    icomm consent revoke 3f9c2a71 --officer duty-officer-3 --reason 'proceedings closed'

Whoever is away hears of it at the next link, directly or through the office of the region. A revocation stops what has not
been sent; what was sent is called back with `icomm record recall`.")]
pub(super) enum Consent {
    Ask(Ask),
    List(List),
    Show(Show),
    Approve(Approve),
    Refuse(Refuse),
    Revoke(Revoke),
}

/// Ask the originator of a record, or of an operation's data, whether it may go onward
#[derive(Debug, Args)]
#[command(after_help = "\
The latest version of the record is asked for; a correction is another entry and asked for anew. It is refused here at once if
no consent would help: the agreements with the originator and with the receiver have to give these sections anyway.
Asking again for what waits or is approved changes nothing and shows it.

Examples:
  icomm consent ask 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 --to UG --sections case,persons --purpose investigation
  icomm consent ask --operation DEMETER-9 --to WCO --purpose statistics            this member's own data of the operation
  icomm consent ask --operation DEMETER-9 --owner KE --to WCO --purpose statistics")]
pub(super) struct Ask {
    /// The record's id
    #[arg(required_unless_present = "operation", conflicts_with = "operation")]
    record: Option<String>,
    /// All data of an operation, for a global node
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
    /// Whose data of the operation [default: this member's own]
    #[arg(long, value_name = "MEMBER", requires = "operation")]
    owner: Option<String>,
    /// Who should get it
    #[arg(long, value_name = "MEMBER")]
    to: String,
    /// Which sections [default: case]
    #[arg(long, value_name = "SECTION", value_delimiter = ',', num_args = 1..)]
    sections: Vec<String>,
    /// What for: customs-control, risk-analysis, investigation, prosecution, revenue-recovery or statistics
    #[arg(long)]
    purpose: String,
    /// Under which agreement with the originator [default: the only one that asks for consent]
    #[arg(long, value_name = "ID")]
    agreement: Option<String>,
    /// Why, in words that name nobody: the office that passes it on can read them
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// What was asked, by this member and of it, the latest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  icomm consent list --open
  icomm consent list --json | jq 'select(.side == \"asks\" and .state == \"pending\") | .id'")]
pub(super) struct List {
    /// Only what waits for an answer
    #[arg(long)]
    open: bool,
}

/// One request and its answer, as they were signed
#[derive(Debug, Args)]
#[command(after_help = "\
What the record says is shown by `icomm record get RECORD`.

Example:
  icomm consent show 3f9c2a71")]
pub(super) struct Show {
    /// The request's id, or how it begins
    id: String,
}

/// Approve a request, in this member's name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  icomm consent approve 3f9c2a71 --officer duty-officer-3
  icomm consent approve 3f9c2a71 --officer duty-officer-3 --days 7 --sections case,exact")]
pub(super) struct Approve {
    /// The request's id, or how it begins
    id: String,
    /// Who decides, by role or number and not by name: letters, digits, `.`, `_`, `-`
    #[arg(long, value_name = "ROLE")]
    officer: String,
    /// For how many days
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Of the sections asked for, these only [default: all of them]
    #[arg(long, value_name = "SECTION", value_delimiter = ',', num_args = 1..)]
    sections: Vec<String>,
    /// Why, in words that name nobody
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Refuse a request, in this member's name
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm consent refuse 3f9c2a71 --officer duty-officer-3 --reason 'proceedings are under way here'")]
pub(super) struct Refuse {
    /// The request's id, or how it begins
    id: String,
    /// Who decides, by role or number and not by name: letters, digits, `.`, `_`, `-`
    #[arg(long, value_name = "ROLE")]
    officer: String,
    /// Why, in words that name nobody
    #[arg(long)]
    reason: String,
}

/// Take an approval back: nothing more goes under it
#[derive(Debug, Args)]
#[command(after_help = "\
It counts as soon as it arrives at the holder, which signs for it (`icomm consent show`), and can't be undone by showing the
approval again. What was sent before stays where it is: call it back with `icomm record recall`.

Example:
  icomm consent revoke 3f9c2a71 --officer duty-officer-3 --reason 'proceedings closed'")]
pub(super) struct Revoke {
    /// The request's id, or how it begins
    id: String,
    /// Who decides, by role or number and not by name: letters, digits, `.`, `_`, `-`
    #[arg(long, value_name = "ROLE")]
    officer: String,
    /// Why, in words that name nobody
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

impl Consent {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Ask(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Approve(command) => {
                let days = Duration::from_secs(u64::from(command.days) * 24 * 60 * 60);
                let until = (context.now() + days).unix_timestamp();
                let request = v1::AnswerConsentRequest {
                    id: command.id,
                    verdict: "approved".into(),
                    officer: command.officer,
                    reason: command.reason,
                    sections: command.sections,
                    until: u64::try_from(until).unwrap_or_default(),
                };
                answer(context, request).await
            }
            Self::Refuse(Refuse { id, officer, reason }) => {
                answer(context, without_end("refused", id, officer, reason)).await
            }
            Self::Revoke(Revoke { id, officer, reason }) => {
                answer(context, without_end("revoked", id, officer, reason)).await
            }
        }
    }
}

fn without_end(verdict: &str, id: String, officer: String, reason: String) -> v1::AnswerConsentRequest {
    v1::AnswerConsentRequest {
        id,
        verdict: verdict.to_owned(),
        officer,
        reason,
        ..v1::AnswerConsentRequest::default()
    }
}

async fn answer(context: &Context, request: v1::AnswerConsentRequest) -> Result<Exit, Failure> {
    let status = context.consents().await?.answer(request).await?.into_inner();
    context.output.answer(&to_json(&status)?, || shown(&status))?;
    Ok(Exit::Ok)
}

impl Ask {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let request = v1::AskConsentRequest {
            record_id: self.record.unwrap_or_default(),
            operation: self.operation.unwrap_or_default(),
            owner: self.owner.unwrap_or_default(),
            to: self.to,
            sections: self.sections,
            purpose: self.purpose,
            agreement: self.agreement.unwrap_or_default(),
            reason: self.reason,
        };
        let status = context.consents().await?.ask(request).await?.into_inner();
        context.output.answer(&to_json(&status)?, || shown(&status))?;
        Ok(Exit::Ok)
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (open, id) = (self.open, String::new());
        let request = v1::ListConsentsRequest { open, id };
        let reply = context.consents().await?.list(request).await?.into_inner();
        if context.output.is_json() {
            for status in &reply.consents {
                context.output.answer(&to_json(status)?, String::new)?;
            }
        } else if reply.consents.is_empty() {
            context.output.line("nothing was asked")?;
        } else {
            context.output.line(table_of(&reply.consents))?;
        }
        Ok(Exit::Ok)
    }
}

impl Show {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (open, id) = (false, self.id.clone());
        let request = v1::ListConsentsRequest { open, id };
        let reply = context.consents().await?.list(request).await?.into_inner();
        let [status] = reply.consents.as_slice() else {
            return Err(Failure::new(format_args!(
                "{} requests for consent begin with `{}`; see `icomm consent list`",
                reply.consents.len(),
                self.id
            )));
        };
        context.output.answer(&to_json(status)?, || {
            let documents = [&status.request_document, &status.consent_document];
            let documents = documents.into_iter().filter(|document| !document.is_empty());
            let documents: Vec<String> = documents.map(|document| format!("\n{document}")).collect();
            format!("{}{}", shown(status), documents.concat())
        })?;
        Ok(Exit::Ok)
    }
}

fn at(time: u64) -> String {
    moment_at(time).map_or_else(|| time.to_string(), moment)
}

fn subject(status: &v1::ConsentStatus) -> String {
    let v1::ConsentStatus {
        owner,
        origin,
        record_id,
        version,
        operation,
        ..
    } = status;
    match operation.is_empty() {
        true => format!("{record_id} version {version} of {origin}"),
        false => format!("operation {operation} of {owner}"),
    }
}

fn shown(status: &v1::ConsentStatus) -> String {
    let v1::ConsentStatus {
        id,
        state,
        sections,
        holder,
        to,
        purpose,
        agreement,
        asked,
        asked_because,
        verdict,
        approved_sections,
        until,
        officer,
        answered,
        answered_because,
        consent,
        answer,
        seen,
        declined,
        side,
        ..
    } = status;
    let mut lines = vec![
        format!("{state}: {}", subject(status)),
        format!("  request   {id}"),
        format!(
            "  from      {holder} to {to}, {} for {purpose}, under `{agreement}`",
            sections.join("+")
        ),
    ];
    if *asked > 0 {
        lines.push(format!("  asked     {}{}", at(*asked), because(asked_because)));
    }
    if *answered > 0 {
        let end = match verdict.as_str() {
            "approved" => format!(", {} until {}", approved_sections.join("+"), at(*until)),
            _ => String::new(),
        };
        lines.push(format!(
            "  {verdict:<9} {} by {officer}{end}{}",
            at(*answered),
            because(answered_because)
        ));
        lines.push(format!("  consent   {consent} (answer {answer})"));
        if side == "asks" {
            lines.push(match seen {
                0 => format!("  {holder} has not signed yet that it has this answer"),
                seen => format!("  {holder} signed on {} that it has this answer", at(*seen)),
            });
        }
    }
    if !declined.is_empty() {
        lines.push(format!("  the originator's node did not take it: {declined}"));
    }
    lines.join("\n")
}

fn because(reason: &str) -> String {
    match reason.is_empty() {
        true => String::new(),
        false => format!(": {reason}"),
    }
}

fn table_of(consents: &[v1::ConsentStatus]) -> Table {
    const ID_CHARS: usize = 12;
    let mut rows = table([
        "request", "state", "what", "sections", "holder", "to", "for", "asked", "until",
    ]);
    for status in consents {
        rows.add_row([
            status.id.chars().take(ID_CHARS).collect(),
            status.state.clone(),
            subject(status),
            status.sections.join("+"),
            status.holder.clone(),
            status.to.clone(),
            status.purpose.clone(),
            at(status.asked),
            match status.until {
                0 => String::new(),
                until => at(until),
            },
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_shown_with_who_decided_and_who_has_heard() {
        let status = v1::ConsentStatus {
            id: "3f9c2a71".repeat(8),
            side: "asks".into(),
            state: "approved".into(),
            origin: "KE/main".into(),
            record_id: "0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11".into(),
            version: 1,
            sections: vec!["case".into(), "persons".into()],
            approved_sections: vec!["case".into()],
            holder: "RILO-ESA".into(),
            to: "UG".into(),
            purpose: "investigation".into(),
            agreement: "esa".into(),
            asked: 1_795_428_000,
            verdict: "approved".into(),
            until: 1_795_514_400,
            officer: "duty-officer-3".into(),
            answered: 1_795_428_060,
            answer: 1,
            ..Default::default()
        };
        let text = shown(&status);
        for expected in [
            "approved: 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 version 1 of KE/main",
            "from      RILO-ESA to UG, case+persons for investigation, under `esa`",
            "by duty-officer-3, case until 2026-11-24",
            "has not signed yet",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(table_of(&[status]).to_string().contains("3f9c2a713f9c "));
        let operation = v1::ConsentStatus {
            owner: "KE".into(),
            operation: "DEMETER-9".into(),
            declined: "not-subject-to-consent".into(),
            state: "declined".into(),
            ..Default::default()
        };
        let text = shown(&operation);
        assert!(
            text.contains("declined: operation DEMETER-9 of KE") && text.contains("did not take it"),
            "{text}"
        );
    }
}
