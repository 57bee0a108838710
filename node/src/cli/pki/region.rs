//! `icomm pki region` and `issue-region`: a regional office's authority, confined by the root to its members.

use std::{fs, path::PathBuf};

use clap::Args;
use icomm_pki::{
    Authority, AuthorityKey, AuthorityRequest, CertificateDer, Fingerprint, MemberId, TrustDomain, Validity,
};
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use super::folder::{Folder, in_file};
use crate::cli::{Context, Exit, Failure, files};

/// Make a regional office's authority: first its key and request, then, with the root's answer, the authority
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm pki region --authority esa-ca --member RILO-ESA --trust-domain demo.icomm.example
  icomm pki region --authority esa-ca --chain esa-chain.pem")]
#[command(group = clap::ArgGroup::new("step").required(true))]
pub(in crate::cli) struct Region {
    /// The authority's folder; new at the first step
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// First step: who runs it
    #[arg(long, group = "step", requires = "trust_domain")]
    member: Option<MemberId>,
    /// First step: the network's trust domain
    #[arg(long, value_name = "DNS NAME", requires = "member")]
    trust_domain: Option<TrustDomain>,
    /// Second step: what `icomm pki issue-region` gave
    #[arg(long, value_name = "FILE", group = "step")]
    chain: Option<PathBuf>,
}

/// At the root: certify a regional office's authority for the members of its region, and for nobody else
#[derive(Debug, Args)]
#[command(after_help = "\
The office's certificate names the members' DNS names as permitted subtrees: what it issues for others is refused.

Example:
  icomm pki issue-region esa-request.pem --authority root-ca --members KE UG TZ --out esa-chain.pem")]
pub(in crate::cli) struct IssueRegion {
    /// The office's request
    request: PathBuf,
    /// The root's folder
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// Whom it may certify
    #[arg(long, value_name = "MEMBER", required = true, num_args = 1..)]
    members: Vec<MemberId>,
    /// How long its certificate counts
    #[arg(long, default_value_t = 1825)]
    days: u16,
    /// The fingerprint that the office reads by telephone; another one is refused
    #[arg(long, value_name = "AB:CD:…")]
    fingerprint: Option<String>,
    /// Where to write the answer [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Region {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            authority,
            member,
            trust_domain,
            chain,
        } = self;
        let folder = Folder::at(&authority);
        match (member, trust_domain, chain) {
            (Some(member), Some(trust_domain), _) => {
                let key = AuthorityKey::generate()?;
                let request = AuthorityRequest::new(&key, &trust_domain, &member)?;
                folder.create()?;
                files::create_private(&folder.waiting_file(), key.to_pem().as_bytes())?;
                let file = folder.public().request_file();
                files::create_public(&file, request.to_pem().as_bytes())?;
                let fingerprint = request.fingerprint().to_string();
                context
                    .output
                    .answer(&json!({ "request": file, "fingerprint": fingerprint }), || {
                        format!(
                            "send `{}` to the root and read it this fingerprint:\n  {fingerprint}",
                            file.display()
                        )
                    })?;
            }
            (_, _, Some(chain)) => {
                let key = AuthorityKey::from_pem(&files::read_text(&folder.waiting_file())?)
                    .map_err(|error| in_file(&folder.waiting_file(), &error))?;
                let certificates = CertificateDer::pem_slice_iter(files::read_text(&chain)?.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| in_file(&chain, &error))?;
                let authority = Authority::new(key, certificates).map_err(|error| in_file(&chain, &error))?;
                folder.establish(&authority, context.now())?;
                fs::remove_file(folder.waiting_file())?;
                let member = authority.certificate().member().to_string();
                let root = Fingerprint::of_certificate(authority.root_certificate().der()).to_string();
                context
                    .output
                    .answer(&json!({ "member": member, "root_fingerprint": root }), || {
                        format!("the authority of {member} is ready; compare the root's fingerprint:\n  {root}")
                    })?;
            }
            // clap asks for one of the two steps.
            _ => return Err(Failure::new("say `--member` and `--trust-domain`, or `--chain`").exit(Exit::Usage)),
        }
        Ok(Exit::Ok)
    }
}

impl IssueRegion {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            request: file,
            authority,
            members,
            days,
            fingerprint,
            out,
        } = self;
        let authority = Folder::at(&authority).authority()?;
        let request = AuthorityRequest::from_pem(&files::read_text(&file)?).map_err(|error| in_file(&file, &error))?;
        super::issue::compare(fingerprint.as_deref(), &request.fingerprint())?;
        let chain = authority.certify(&request, &members, Validity::days(context.now(), days)?)?;
        let text: String = chain.iter().map(super::show::certificate_pem).collect();
        files::write_out(out.as_ref(), text.as_bytes())?;
        eprintln!(
            "certified the authority of {} with fingerprint\n  {}",
            request.member(),
            request.fingerprint()
        );
        Ok(Exit::Ok)
    }
}
