//! `icomm agreement`: the legal bases, as documents that every party signs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use icomm_pki::{MemberId, moment_at};
use icomm_policy::agreement::{
    Agreement as Agreements, AgreementId, Day, SignedAgreement, bilateral, contribution, regional,
};
use icomm_proto::v1;

use super::{
    Context, Exit, Failure, files,
    json::to_json,
    output::{moment, table},
};
use crate::{
    causes::chain,
    node::{self, start},
};

mod dry_run;

/// Agreements, the legal bases
#[derive(Debug, Subcommand)]
#[command(after_help = "\
From text to exchange:
  icomm agreement draft ke-ug --between KE UG --from 2026-12-01 --out ke-ug.toml
                                             a commented text; edit it with your lawyer
  icomm agreement sign ke-ug.toml --out ke-ug.json       at KE; send the file to UG
  icomm agreement sign ke-ug.json --out ke-ug-both.json  at UG; send it back
  icomm agreement accept ke-ug-both.json     at both; from now on it decides
  icomm agreement explain RECORD UG          what UG would get of a record, and why")]
pub(super) enum Agreement {
    Draft(Draft),
    Sign(Sign),
    Accept(Accept),
    Suspend(Suspend),
    List(List),
    Show(Show),
    Explain(Explain),
}

/// Write a commented text to start from: between two members, for a region, or for what a member gives the global node
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no running node.

Example:
  icomm agreement draft ke-ug --between KE UG --from 2026-12-01 --out ke-ug.toml
  icomm agreement draft esa --region RILO-ESA --members KE UG TZ --from 2026-12-01 --out esa.toml
  icomm agreement draft ke-wco --contribution KE WCO --from 2026-12-01 --out ke-wco.toml")]
#[command(group = clap::ArgGroup::new("who").required(true))]
pub(super) struct Draft {
    /// The agreement's id: small letters, digits, hyphens
    id: AgreementId,
    /// The two members: what each sends the other
    #[arg(long, value_names = ["MEMBER", "MEMBER"], num_args = 2, group = "who")]
    between: Vec<MemberId>,
    /// The region's liaison office: what members send it, and what it may pass on
    #[arg(long, value_name = "OFFICE", group = "who", requires = "members")]
    region: Option<MemberId>,
    /// The region's members
    #[arg(long, value_name = "MEMBER", num_args = 1.., requires = "region")]
    members: Vec<MemberId>,
    /// A member and the global node: the open section alone, in one direction
    #[arg(long, value_names = ["MEMBER", "GLOBAL"], num_args = 2, group = "who")]
    contribution: Vec<MemberId>,
    /// The first day in force
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Day,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Add this member's signature to a draft, or to what another party has signed
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is adopted: the signed document is given back, to send to the other parties. A running node signs; where none runs,
the key in the node's folder does. A commodity category that the node's code lists don't have is refused.

Example:
  icomm agreement sign ke-ug.toml --out ke-ug.json
  icomm --home /media/keys/ke agreement sign ke-ug.toml --offline --out ke-ug.json")]
pub(super) struct Sign {
    /// The draft (TOML or JSON) or the partly signed document
    file: PathBuf,
    /// Where to write the signed document [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign with the key in the node's folder, without asking whether the node runs
    #[arg(long, conflicts_with = "api")]
    offline: bool,
}

/// Hand a document that every party signed to the node: from now on it decides
#[derive(Debug, Args)]
#[command(after_help = "\
Refused: a party's signature missing or wrong, a version that is not newer, another text under the same version.

With --dry-run nothing is adopted: every log is gone over, and it is told which partner would get more or less of how many
records, and how many of these it has already. That needs no signatures, so it can be asked of a draft before anybody
signs. It ends with exit code 5 if anything would change, with 0 if nothing would.

Examples:
  icomm agreement accept ke-ug-both.json
  icomm agreement accept ke-ug-v2.toml --dry-run --json")]
pub(super) struct Accept {
    /// The signed document; with --dry-run also a draft
    file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

/// Stop an agreement at once, by this side alone
#[derive(Debug, Args)]
#[command(after_help = "\
From the moment this returns, nothing more goes out under it and nothing comes in; the other parties are told, and
acknowledge it: `icomm agreement show` says when. What went before stays, under its terms.

With --dry-run nothing is suspended: it is told who would get how many records no longer. It ends with exit code 5 if
anything would change.

Examples:
  icomm agreement suspend ke-ug-2026 --reason 'court order 12/2026'
  icomm agreement suspend ke-ug-2026 --dry-run")]
pub(super) struct Suspend {
    /// The agreement's id
    id: String,
    /// Why; the other parties read it
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

/// Every agreement known here, which count, and which documents were refused here or by a partner
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm agreement list")]
pub(super) struct List {}

/// One agreement: its text, who signed, suspended and acknowledged; of a file also whether it can be signed as it is
#[derive(Debug, Args)]
#[command(after_help = "\
A file (draft or signed document) is read without a node, and every fault in it is told.

Example:
  icomm agreement show ke-ug-2026
  icomm agreement show ke-ug.toml")]
pub(super) struct Show {
    /// The agreement's id, or a file
    what: String,
}

/// What a partner would get of a record, under which grant, or which rule stops it; sends nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm agreement explain 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 UG")]
pub(super) struct Explain {
    /// The record's id
    record: String,
    /// The partner's member id
    peer: String,
}

impl Agreement {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Draft(draft) => files::write_out(draft.out.as_ref(), draft.text().as_bytes())?,
            Self::Sign(Sign { file, out, offline }) => {
                let document = files::read(&file)?;
                let signed = if offline {
                    sign_here(context, &document)?
                } else {
                    sign(context, document).await?
                };
                files::write_out(out.as_ref(), &signed)?;
            }
            Self::Accept(Accept { file, dry_run: true }) => {
                let document = files::read(&file)?.into();
                let without = String::new();
                return dry_run::run(context, v1::PreviewAgreementRequest { document, without }).await;
            }
            Self::Accept(Accept { file, dry_run: false }) => {
                let document = files::read(&file)?.into();
                let mut client = context.client().await?;
                let agreement = client
                    .accept_agreement(v1::AcceptAgreementRequest { document })
                    .await?
                    .into_inner();
                show_state(context, &agreement)?;
            }
            Self::Suspend(Suspend {
                id: without,
                dry_run: true,
                ..
            }) => {
                let document = bytes::Bytes::new();
                return dry_run::run(context, v1::PreviewAgreementRequest { document, without }).await;
            }
            Self::Suspend(Suspend { id, reason, .. }) => {
                let reason = reason.unwrap_or_default();
                let mut client = context.client().await?;
                let agreement = client
                    .suspend_agreement(v1::SuspendAgreementRequest { id, reason })
                    .await?
                    .into_inner();
                show_state(context, &agreement)?;
            }
            Self::List(List {}) => list(context).await?,
            Self::Show(Show { what }) if Path::new(&what).is_file() => show_file(context, Path::new(&what))?,
            Self::Show(Show { what }) => show(context, &what).await?,
            Self::Explain(Explain { record, peer }) => return explain(context, record, peer).await,
        }
        Ok(Exit::Ok)
    }
}

impl Draft {
    fn text(&self) -> String {
        match (&self.region, self.between.as_slice(), self.contribution.as_slice()) {
            (Some(office), _, _) => regional(&self.id, office, &self.members, self.from),
            (None, [a, b], _) => bilateral(&self.id, a, b, self.from),
            (None, _, [member, global]) => contribution(&self.id, member, global, self.from),
            // clap asks for one of the three, and for exactly two members.
            (None, _, _) => String::new(),
        }
    }
}

/// The running node signs; where none runs in the folder, the key there does.
async fn sign(context: &Context, document: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match context.client().await {
        Ok(mut client) => {
            let document = document.into();
            let signed = client.sign_agreement(v1::SignAgreementRequest { document }).await?;
            Ok(signed.into_inner().document.into())
        }
        // A node that was named with `--api` is the one that shall sign.
        Err(failure) if failure.exit_code() == Exit::Unreachable && !context.names_api() => {
            sign_here(context, &document)
        }
        Err(failure) => Err(failure),
    }
}

fn sign_here(context: &Context, document: &[u8]) -> Result<Vec<u8>, Failure> {
    let config = context.config()?;
    let credentials = start::credentials(&config).map_err(|error| {
        Failure::because(&error)
            .advice("`--home` names the folder of the node whose member signs; `icomm doctor` checks it")
    })?;
    let codes = start::codes(&config).map_err(|error| Failure::because(&error))?;
    node::sign(document, &credentials, &codes).map_err(|error| Failure::because(&error))
}

async fn known(context: &Context) -> Result<v1::ListAgreementsReply, Failure> {
    let request = v1::ListAgreementsRequest {};
    Ok(context.client().await?.list_agreements(request).await?.into_inner())
}

fn show_state(context: &Context, agreement: &v1::Agreement) -> Result<(), Failure> {
    context.output.answer(&to_json(agreement)?, || {
        format!(
            "`{}` version {} is {}",
            agreement.id, agreement.version, agreement.state
        )
    })
}

async fn list(context: &Context) -> Result<(), Failure> {
    let v1::ListAgreementsReply { agreements, refused } = known(context).await?;
    if context.output.is_json() {
        agreements
            .iter()
            .try_for_each(|agreement| context.output.json(&to_json(agreement)?))?;
        return refused.iter().try_for_each(|refused| {
            context
                .output
                .json(&serde_json::json!({ "refused": to_json(refused)? }))
        });
    }
    if agreements.is_empty() {
        context
            .output
            .line("no agreement yet: nothing leaves this node without one")?;
        return show_refused(context, &refused);
    }
    let mut rows = table([
        "agreement",
        "version",
        "parties",
        "signed by",
        "state",
        "from",
        "until",
        "title",
    ]);
    for agreement in agreements {
        let v1::Agreement {
            id,
            version,
            parties,
            signed_by,
            state,
            in_force_from,
            in_force_until,
            title,
            document: _,
            suspensions: _,
        } = agreement;
        rows.add_row([
            id,
            version.to_string(),
            parties.join(", "),
            signed_by.join(", "),
            state,
            in_force_from,
            in_force_until,
            title,
        ]);
    }
    context.output.line(rows)?;
    show_refused(context, &refused)
}

/// What did not count, and who must do something about it.
fn show_refused(context: &Context, refused: &[v1::RefusedDocument]) -> Result<(), Failure> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut rows = table(["refused", "when", "document", "why"]);
    for report in refused {
        let document = match report.agreement.as_str() {
            "" => report.kind.clone(),
            id => format!("{} `{id}` version {}", report.kind, report.version),
        };
        rows.add_row([
            match report.by_peer {
                true => format!("by {}", report.peer),
                false => format!("here, from {}", report.peer),
            },
            when(report.time),
            document,
            match report.reason.as_str() {
                "" => report.code.clone(),
                reason => format!("{}: {reason}", report.code),
            },
        ]);
    }
    context.output.line(rows)
}

fn when(seconds: u64) -> String {
    moment_at(seconds).map_or_else(|| seconds.to_string(), moment)
}

async fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let v1::ListAgreementsReply { agreements, refused } = known(context).await?;
    // The highest version is the last.
    let agreement = agreements
        .into_iter()
        .rfind(|agreement| agreement.id == id)
        .ok_or_else(|| {
            Failure::new(format_args!("there is no agreement `{id}` here")).advice("`icomm agreement list` shows all")
        })?;
    let refused: Vec<_> = refused.into_iter().filter(|report| report.agreement == id).collect();
    if context.output.is_json() {
        let mut json = to_json(&agreement)?;
        if let Some(object) = json.as_object_mut() {
            let reports: Result<Vec<_>, _> = refused.iter().map(to_json).collect();
            object.insert("refused".to_owned(), reports?.into());
        }
        return context.output.json(&json);
    }
    context.output.line(String::from_utf8_lossy(&agreement.document))?;
    for suspension in &agreement.suspensions {
        let v1::SuspensionState {
            by,
            at,
            reason,
            acknowledged,
        } = suspension;
        context
            .output
            .line(format_args!("suspended by {by} at {}: {reason}", when(*at)))?;
        for seen in acknowledged {
            context
                .output
                .line(format_args!("  acknowledged by {} at {}", seen.by, when(seen.at)))?;
        }
        if acknowledged.is_empty() {
            context.output.line("  not acknowledged yet")?;
        }
    }
    show_refused(context, &refused)
}

/// A draft or a signed document, read without a node.
fn show_file(context: &Context, path: &Path) -> Result<(), Failure> {
    let wrong = |error: &dyn std::error::Error| Failure::new(format_args!("`{}`: {}", path.display(), chain(error)));
    let bytes = files::read(path)?;
    let (agreement, signers) = match SignedAgreement::parse(&bytes) {
        Ok(signed) => {
            let signers = signed.signers().map(ToString::to_string).collect();
            (signed.agreement().clone(), signers)
        }
        Err(_) => {
            let text = String::from_utf8_lossy(&bytes);
            (
                Agreements::read(&text).map_err(|error| wrong(&error))?,
                Vec::<String>::new(),
            )
        }
    };
    let terms = serde_json::to_value(agreement.terms())?;
    let digest = agreement.digest().to_string();
    let json = serde_json::json!({ "terms": terms, "sha256": digest, "signed_by": signers });
    context.output.answer(&json, || {
        let signed = if signers.is_empty() {
            "nobody yet".to_owned()
        } else {
            signers.join(", ")
        };
        let parties: Vec<&str> = agreement.parties().map(MemberId::as_str).collect();
        format!(
            "`{}` version {}: {}\nparties: {}\nsigned by: {signed}\nin force from: {}\ngrants: {}\nSHA-256 of the text \
             that is signed: {digest}\nno fault found",
            agreement.id(),
            agreement.version(),
            agreement.terms().title,
            parties.join(", "),
            agreement.terms().in_force_from,
            agreement.terms().grants.len(),
        )
    })
}

async fn explain(context: &Context, record_id: String, peer: String) -> Result<Exit, Failure> {
    let request = v1::ExplainRequest { record_id, peer };
    let explanation = context.client().await?.explain(request).await?.into_inner();
    context
        .output
        .answer(&to_json(&explanation)?, || explanation.text.trim_end().to_owned())?;
    Ok(Exit::Ok)
}
