//! `icomm pki retire`: up to where a member's former key counts.

use std::path::PathBuf;

use clap::Args;
use icomm_pki::HandoverStatement;
use serde_json::json;

use super::folder::{Folder, in_file};
use crate::cli::{Context, Exit, Failure, files};

/// Close a member's former key, by the hand-over that its node wrote
#[derive(Debug, Args)]
#[command(after_help = "\
From the next bundle on the key counts for the past alone: for each log up to the size and root that the hand-over names, for
the documents that it names, for nothing else. Until then it counts for whatever it signs, unless its certificate is
revoked. A member with several nodes sends one from each. Compare the fingerprint by telephone; with `--fingerprint` this
command does it for you.

Example:
  icomm pki retire ke-handover.json --authority root-ca")]
pub(in crate::cli) struct Retire {
    /// The hand-over
    handover: PathBuf,
    /// The folder of the authority that certified both keys
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// The fingerprint that the member reads by telephone; another one is refused
    #[arg(long, value_name = "AB:CD:…")]
    fingerprint: Option<String>,
}

impl Retire {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            handover: file,
            authority,
            fingerprint,
        } = self;
        let folder = Folder::at(&authority);
        folder.authority()?;
        let public = folder.public();
        let bytes = files::read(&file)?;
        let statement = HandoverStatement::parse(&bytes).map_err(|error| in_file(&file, &error))?;
        super::issue::compare(fingerprint.as_deref(), &statement.fingerprint())?;
        let issued = public.issued_to(statement.member(), None)?;
        for (which, key) in [("former", statement.former()), ("new", statement.key())] {
            if !issued
                .iter()
                .any(|enrolment| enrolment.member_certificate().key() == key)
            {
                return Err(Failure::new(format_args!(
                    "this authority never certified the {which} key in it for {}",
                    statement.member()
                ))
                .advice("`icomm pki show DIR` lists what it has issued"));
            }
        }
        let kept = public.retire(&statement)?;
        let handover = statement.handover();
        let (member, stolen) = (statement.member().as_str(), handover.stolen);
        context.output.answer(
            &json!({ "member": member, "former": statement.former().to_base64(), "stolen": stolen, "kept": kept }),
            || {
                format!(
                    "the former key of {member} counts up to the ends of {} logs and for {} documents{}; next: `icomm pki \
                     bundle`, and hand it to the nodes",
                    handover.ends.len(),
                    handover.documents.len(),
                    if stolen { ", and is stolen" } else { "" },
                )
            },
        )?;
        Ok(Exit::Ok)
    }
}
