//! `--dry-run` of `accept` and `suspend`: what would change, for whom, for how many records.

use icomm_proto::v1;
use indicatif::{ProgressBar, ProgressStyle};

use super::when;
use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, table},
};

const TEMPLATE: &str = "{bar:30} {percent:>3} %  {human_pos} of {human_len} entries  {eta} left";

/// Asks the node and shows its answer; the exit code says whether anything would change.
pub(super) async fn run(context: &Context, request: v1::PreviewAgreementRequest) -> Result<Exit, Failure> {
    let mut replies = context.client().await?.preview_agreement(request).await?.into_inner();
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("━━ "));
    }
    let preview = loop {
        match replies.message().await? {
            Some(v1::PreviewAgreementReply {
                preview: Some(preview), ..
            }) => break preview,
            Some(v1::PreviewAgreementReply { looked_at, entries, .. }) => {
                bar.set_length(entries);
                bar.set_position(looked_at);
            }
            None => return Err(Failure::new("the node broke off its answer")),
        }
    };
    bar.finish_and_clear();
    context.output.answer(&to_json(&preview)?, || text(&preview))?;
    Ok(match preview.changes.is_empty() {
        true => Exit::Ok,
        false => Exit::WouldChange,
    })
}

fn text(preview: &v1::AgreementPreview) -> String {
    let v1::AgreementPreview {
        id,
        version,
        from,
        changes,
    } = preview;
    if changes.is_empty() {
        return format!("`{id}`: nothing would change");
    }
    let mut rows = table([
        "partner",
        "log",
        "the log",
        "more of",
        "sections",
        "less of",
        "sections",
        "has already",
    ]);
    for change in changes {
        rows.add_row([
            change.partner.clone(),
            change.origin.clone(),
            match (change.served_now, change.served_then) {
                (false, true) => "begins",
                (true, false) => "stops",
                _ => "goes on",
            }
            .to_owned(),
            count(change.widened),
            sections(&change.widened_sections),
            count(change.narrowed),
            sections(&change.narrowed_sections),
            count(change.held_there),
        ]);
    }
    format!("`{id}` version {version}, from {}:\n{rows}", when(*from))
}

fn sections(sections: &[v1::SectionCount]) -> String {
    let one = |section: &v1::SectionCount| format!("{} {}", section.section, count(section.records));
    sections.iter().map(one).collect::<Vec<_>>().join(", ")
}
