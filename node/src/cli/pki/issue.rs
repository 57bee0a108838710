//! `icomm pki issue`: certificates for a member and its node.

use std::path::PathBuf;

use clap::Args;
use icomm_pki::{EnrolmentRequest, Fingerprint, MemberId, Role, Validity};

use super::folder::{Folder, Issued, ListingFile, in_file};
use crate::cli::{Context, Exit, Failure, files};

/// Certify a member and its node, from the request that `icomm init` made
#[derive(Debug, Args)]
#[command(after_help = "\
The role is yours to decide, not the request's. Before you send the answer, compare the fingerprint with the member by
telephone; with `--fingerprint` this command does it for you. Renewal is the same: a new request, or the old one again; without --region and --address
those of the last time stay.

Example:
  icomm pki issue ke-request.pem --authority root-ca --role national --region RILO-ESA \\
      --address tls://gw1.ke.example:7443 --out ke.pem")]
pub(in crate::cli) struct Issue {
    /// The request
    request: PathBuf,
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// national, regional, global or partner
    #[arg(long)]
    role: Role,
    /// A regional office whose region the member belongs to; may be said several times
    #[arg(long, value_name = "MEMBER")]
    region: Vec<MemberId>,
    /// Where others reach the node: tls://host:port or a multiaddress; may be said several times, the best first
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// How long the certificates count
    #[arg(long, default_value_t = 365)]
    days: u16,
    /// The fingerprint that the member reads by telephone; another one is refused
    #[arg(long, value_name = "AB:CD:…")]
    fingerprint: Option<String>,
    /// Where to write the answer [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Issue {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            request: file,
            authority,
            role,
            region,
            address,
            days,
            fingerprint,
            out,
        } = self;
        let folder = Folder::at(&authority);
        let authority = folder.authority()?;
        let request = EnrolmentRequest::from_pem(&files::read_text(&file)?).map_err(|error| in_file(&file, &error))?;
        compare(fingerprint.as_deref(), &request.fingerprint())?;
        let enrolment = authority.issue(&request, role, Validity::days(context.now(), days)?)?;
        let listing = if region.is_empty() && address.is_empty() {
            folder.public().last_listing(request.member(), request.node())?
        } else {
            ListingFile {
                regions: region,
                addresses: address,
            }
        };
        let issued = Issued { enrolment, listing };
        let kept = folder.public().keep(&issued)?;
        files::write_out(out.as_ref(), issued.enrolment.to_pem().as_bytes())?;
        eprintln!(
            "certified {}/{} as {role}, kept in `{}`; the request's fingerprint is\n  {}",
            request.member(),
            request.node(),
            kept.display(),
            request.fingerprint()
        );
        Ok(Exit::Ok)
    }
}

/// Refuses a fingerprint that is not the one read by telephone, in whatever way it was written down.
pub(super) fn compare(expected: Option<&str>, actual: &Fingerprint) -> Result<(), Failure> {
    let plain = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_uppercase()
    };
    match expected {
        Some(expected) if plain(expected) != plain(&actual.to_string()) => Err(Failure::new(format_args!(
            "the fingerprint is `{actual}`, not the one given: this is another file"
        ))
        .advice("ask the sender for the file again, on another way")),
        _ => Ok(()),
    }
}
