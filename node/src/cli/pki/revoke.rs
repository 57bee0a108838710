//! `icomm pki revoke`: certificates that count no more.

use std::path::PathBuf;

use clap::Args;
use icomm_pki::{MemberId, NodeName, Revocation, RevocationReason, Serial, Validity};
use serde_json::json;

use super::folder::{Folder, REVOCATION_LIST_DAYS};
use crate::cli::{Context, Exit, Failure, files};

/// Revoke a node, or a member with all its nodes
#[derive(Debug, Args)]
#[command(after_help = "\
The network learns of it with the next bundle: run `icomm pki bundle` and hand it to the nodes. Their live links to the
revoked node then close.

Example:
  icomm pki revoke KE/gw1 --authority root-ca --reason key-compromise
  icomm pki revoke KE --authority root-ca --reason cessation-of-operation")]
pub(in crate::cli) struct Revoke {
    /// MEMBER/NODE for one node, MEMBER for the member's own certificate and all its nodes
    #[arg(value_parser = target)]
    who: (MemberId, Option<NodeName>),
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or privilege-withdrawn
    #[arg(long)]
    reason: RevocationReason,
}

impl Revoke {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            who: (member, node),
            authority,
            reason,
        } = self;
        let folder = Folder::at(&authority);
        let authority = folder.authority()?;
        let public = folder.public();
        let issued = public.issued_to(&member, node.as_ref())?;
        if issued.is_empty() {
            return Err(Failure::new("this authority has issued nothing to that name")
                .advice("`icomm pki show DIR` lists what it has issued"));
        }
        let previous = public.revoked()?;
        let mut serials: Vec<Serial> = Vec::new();
        for enrolment in &issued {
            serials.push(enrolment.node_certificate().serial().clone());
            if node.is_none() {
                serials.push(enrolment.member_certificate().serial().clone());
            }
        }
        serials.retain(|serial| !previous.revoked().iter().any(|revocation| revocation.serial == *serial));
        let at = context.now();
        let revoked: Vec<Revocation> = serials
            .into_iter()
            .map(|serial| Revocation { serial, at, reason })
            .collect();
        let list = authority.revocation_list(Some(&previous), &revoked, Validity::days(at, REVOCATION_LIST_DAYS)?)?;
        files::replace(&public.revoked_file(), list.to_pem().as_bytes(), 0o644)?;
        let serials: Vec<String> = revoked.iter().map(|revocation| revocation.serial.to_string()).collect();
        context
            .output
            .answer(&json!({ "revoked": serials, "list": list.number() }), || {
                format!(
                    "revoked {} certificates, list number {}; next: `icomm pki bundle`, and hand it to the nodes",
                    serials.len(),
                    list.number()
                )
            })?;
        Ok(Exit::Ok)
    }
}

fn target(text: &str) -> Result<(MemberId, Option<NodeName>), String> {
    let parse = |member: &str, node: Option<&str>| -> Result<_, icomm_pki::InvalidName> {
        Ok((member.parse()?, node.map(str::parse).transpose()?))
    };
    match text.split_once('/') {
        Some((member, node)) => parse(member, Some(node)),
        None => parse(text, None),
    }
    .map_err(|error| error.to_string())
}
