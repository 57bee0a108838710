//! `icomm pki root`: the authority above all others.

use std::path::PathBuf;

use clap::Args;
use icomm_pki::{Authority, AuthorityKey, Fingerprint, MemberId, TrustDomain, Validity};
use serde_json::json;

use super::folder::Folder;
use crate::cli::{Context, Exit, Failure};

/// Make the root authority of a new network
#[derive(Debug, Args)]
#[command(after_help = "\
Keep the folder off-line: whoever has it can make members. Its fingerprint is what every operator compares once.

Example:
  icomm pki root --authority root-ca --member WCO --trust-domain demo.icomm.example")]
pub(in crate::cli) struct Root {
    /// The new folder
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// Who runs the root
    #[arg(long)]
    member: MemberId,
    /// The network's trust domain
    #[arg(long, value_name = "DNS NAME")]
    trust_domain: TrustDomain,
    /// How long the root certificate counts
    #[arg(long, default_value_t = 7300)]
    days: u16,
}

impl Root {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            authority: path,
            member,
            trust_domain,
            days,
        } = self;
        let now = context.now();
        let authority = Authority::root(
            &trust_domain,
            &member,
            AuthorityKey::generate()?,
            Validity::days(now, days)?,
        )?;
        let folder = Folder::at(&path);
        folder.create()?;
        folder.establish(&authority, now)?;
        let fingerprint = Fingerprint::of_certificate(authority.certificate().der()).to_string();
        let json = json!({ "authority": path, "trust_domain": trust_domain.as_str(), "fingerprint": fingerprint });
        context.output.answer(&json, || {
            format!(
                "made the root of {trust_domain} in `{}`\nits fingerprint, for every operator to compare:\n  {fingerprint}",
                path.display()
            )
        })?;
        Ok(Exit::Ok)
    }
}
