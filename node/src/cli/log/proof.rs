//! `icomm log prove` and the off-line half of `icomm log verify`: proofs for people who have no node.

use std::path::{Path, PathBuf};

use clap::Args;
use icomm_pki::{AuthorityCertificate, CertificateDer, moment_at};
use icomm_proto::fork::FORK_HEADER;
use icomm_proto::{Proven, RecordProof, SectionSet, Witnessed, v1, view_json, view_text};
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::{
    causes::chain,
    cli::{
        Context, Exit, Failure, files,
        output::{count, moment},
    },
};

/// Write a file that proves a record to somebody outside, off-line
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds the disclosed sections, their salts, the hashes from the record up to the log's signed checkpoint, the
cosignatures on it, and the certificates up to the root's. It is a C2SP tlog-proof, which other tools read as well;
`icomm log verify FILE --root ROOT.pem` checks all of it without a node or a network.

Only the open section is disclosed unless --sections names more. Of another member's records only what its agreement
allows in court may go. That the file was made, and for whom, is noted in the disclosure log.

Examples:
  icomm log prove 019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01 --for \"High Court, case 12/2026\" --out case.tlog-proof
  icomm log prove 019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01 --for \"defence counsel\" --sections case+persons --out case.tlog-proof")]
pub(in crate::cli) struct Prove {
    /// The record's id
    #[arg(value_name = "RECORD")]
    record: String,
    /// Who will have the file, in words
    #[arg(long = "for", value_name = "RECIPIENT")]
    recipient: String,
    /// The sections to disclose, joined by plus signs
    #[arg(long, value_name = "SECTIONS", default_value = "case")]
    sections: SectionSet,
    /// Which version of the record [default: the latest held]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    record_version: Option<u32>,
    /// The new file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            record,
            recipient,
            sections,
            record_version,
            out,
        } = self;
        if let Some(out) = &out {
            // Before a disclosure is noted that then does not happen.
            files::must_be_new(out)?;
        }
        let request = v1::ProveRequest {
            record_id: record,
            version: record_version.unwrap_or_default(),
            sections: sections.iter().map(|section| section.name().to_owned()).collect(),
            recipient,
        };
        let made = context.client().await?.prove(request).await?.into_inner();
        // For its owner: it may name people.
        match &out {
            Some(out) => files::create_private(out, &made.proof)?,
            None => files::write_out(None, &made.proof)?,
        }
        let Some(out) = out else { return Ok(Exit::Ok) };
        let answer = json!({
            "file": out,
            "origin": made.origin,
            "index": made.index,
            "version": made.version,
            "size": made.size,
            "sections": made.sections,
            "witnesses": made.witnesses,
        });
        context.output.answer(&answer, || {
            format!(
                "{}: entry {} of {} ({} entries), version {}, discloses {}\n  cosigned by: {}\n  check it with: icomm log verify {} --root ROOT.pem",
                out.display(),
                count(made.index),
                made.origin,
                count(made.size),
                made.version,
                made.sections.join(" + "),
                listed(&made.witnesses),
                out.display(),
            )
        })?;
        Ok(Exit::Ok)
    }
}

/// Checks proof files against a root certificate; nothing else is read, nobody is asked.
pub(super) fn verify(context: &Context, proofs: &[String], root: &Path) -> Result<Exit, Failure> {
    let in_root = |what: &dyn std::fmt::Display| Failure::new(format_args!("`{}`: {what}", root.display()));
    let der = CertificateDer::from_pem_slice(files::read_text(root)?.as_bytes())
        .map_err(|error| in_root(&error).advice("`--root` takes the root authority's certificate as PEM"))?;
    let root = AuthorityCertificate::parse(der).map_err(|error| in_root(&chain(&error)))?;
    let mut exit = Exit::Ok;
    for file in proofs {
        let proof = files::read(Path::new(file))?;
        if proof.starts_with(FORK_HEADER.as_bytes()) {
            if super::fork::verify(context, file, &proof, &root)? != Exit::Ok {
                exit = Exit::Failed;
            }
            continue;
        }
        let checked = RecordProof::parse(&proof).and_then(|proof| proof.verify(&root));
        let answer = match &checked {
            Ok(proven) => proven_json(file, proven),
            Err(error) => json!({ "file": file, "verified": false, "reason": chain(error) }),
        };
        context.output.answer(&answer, || match &checked {
            Ok(proven) => proven_text(file, proven),
            Err(error) => format!("{file}: NOT VERIFIED: {}", chain(error)),
        })?;
        if checked.is_err() {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

fn proven_json(file: &str, proven: &Proven) -> Value {
    let originator = &proven.originator;
    let witnesses: Vec<Value> = proven
        .witnesses
        .iter()
        .map(|witness| {
            json!({ "member": witness.member.to_string(), "key": witness.key.to_base64(), "time": stated(witness.time), "in_time": witness.in_time })
        })
        .collect();
    json!({
        "file": file,
        "verified": true,
        "origin": proven.origin.to_string(),
        "index": proven.index,
        "size": proven.size,
        "originator": {
            "member": originator.member().to_string(),
            "role": originator.role().to_string(),
            "key": originator.key().to_base64(),
            "certificate_from": moment(originator.validity().not_before()),
            "certificate_until": moment(originator.validity().not_after()),
        },
        "witnesses": witnesses,
        "record": view_json(proven.view.view()),
    })
}

fn proven_text(file: &str, proven: &Proven) -> String {
    let originator = &proven.originator;
    let witnesses: Vec<String> = proven.witnesses.iter().map(witnessed).collect();
    format!(
        "{file}: verified\n  entry {} of {}, a log of {} entries when it was signed\n  signed by {}, whose \
         certificate counts from {} until {}\n  cosigned by: {}\n  revocation since then is not known off-line\n\n{}",
        count(proven.index),
        proven.origin,
        count(proven.size),
        originator.member(),
        moment(originator.validity().not_before()),
        moment(originator.validity().not_after()),
        listed(&witnesses),
        view_text(proven.view.view()).trim_end(),
    )
}

fn witnessed(witness: &Witnessed) -> String {
    let late = if witness.in_time {
        ""
    } else {
        ", when a certificate did not count"
    };
    format!("{} at {}{late}", witness.member, stated(witness.time))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join("; ")
    }
}

/// A time that a witness states, as a moment.
fn stated(time: u64) -> String {
    moment_at(time).map_or_else(|| time.to_string(), moment)
}
