//! `icomm pki install` and `update`: an authority's answers, put in place at a node.

use std::path::PathBuf;

use clap::Args;
use icomm_pki::{Fingerprint, NodeCredentials, VerifiedBundle};
use icomm_proto::v1;
use serde_json::json;

use super::{folder::in_file, show::certificate_pem};
use crate::cli::{Context, Exit, Failure, files, json::to_json, output::moment};
use crate::token;

/// Put the authority's answer in place: certificates, pinned root, trust bundle
#[derive(Debug, Args)]
#[command(after_help = "\
Checked before anything is written: the certificates are for this node's own keys, the bundle is signed below the same
root and lists this member. Compare the root's fingerprint with the authority by telephone once; with
`--root-fingerprint` this command does it for you. Also for a renewed certificate; the root stays the one pinned first.

Example:
  icomm pki install ke.pem bundle.json --root-fingerprint AB:CD:…")]
pub(in crate::cli) struct Install {
    /// The certificates, from `icomm pki issue`
    enrolment: PathBuf,
    /// The trust bundle, from `icomm pki bundle`
    bundle: PathBuf,
    /// The fingerprint of the root that the authority reads by telephone; another one is refused
    #[arg(long, value_name = "AB:CD:…")]
    root_fingerprint: Option<String>,
}

/// Hand a newer trust bundle to the running node
#[derive(Debug, Args)]
#[command(after_help = "\
Bundles also arrive by the links. An older one, or one of another root, is refused.

Example:
  icomm pki update bundle.json")]
pub(in crate::cli) struct Update {
    /// The trust bundle
    bundle: PathBuf,
}

impl Install {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            enrolment: file,
            bundle: bundle_file,
            root_fingerprint,
        } = self;
        let identity = context.config()?.identity;
        let text = files::read_text(&file)?;
        let node_key = zeroize::Zeroizing::new(files::read_text(&identity.node_key)?);
        let credentials = match &identity.token {
            Some(token) => NodeCredentials::with_token(&text, |public| token::member_key(token, public), &node_key),
            None => {
                let member_key = zeroize::Zeroizing::new(files::read_text(&identity.member_key)?);
                NodeCredentials::from_pem(&text, &member_key, &node_key)
            }
        };
        let credentials = credentials.map_err(|error| in_file(&file, &error))?;
        if let Some(place) = &identity.token {
            let certified = credentials.member_key().public();
            if !token::keys(place)?.contains(&certified) {
                return Err(Failure::new(format_args!(
                    "the token `{}` has no key `{}` that is the certified `{certified}`",
                    place.token, place.key
                ))
                .advice("these certificates are of another key: send the authority the request of this one"));
            }
        }
        let root = credentials.enrolment().root_certificate().der();
        let fingerprint = Fingerprint::of_certificate(root);
        super::issue::compare(root_fingerprint.as_deref(), &fingerprint)?;
        let root = certificate_pem(root);
        if identity.root.exists() && files::read_text(&identity.root)? != root {
            return Err(Failure::new(format_args!(
                "this node trusts the root in `{}`, and these certificates are below another one",
                identity.root.display()
            ))
            .advice("if the network really has a new root, compare its fingerprint and remove that file first"));
        }

        let bytes = files::read(&bundle_file)?;
        let root_der = credentials.enrolment().root_certificate().der();
        let bundle = VerifiedBundle::verify(&bytes, root_der, context.now(), 0)
            .map_err(|error| in_file(&bundle_file, &error))?;
        let (member, node) = (credentials.member(), credentials.node_name());
        if bundle.member(member).and_then(|entry| entry.node(node)).is_none() {
            return Err(Failure::new(format_args!("the bundle does not list {member}/{node}"))
                .advice("ask the authority for a bundle that was made after your certificates"));
        }

        // The root last: as long as it is missing, the node does not start.
        files::replace(&identity.enrolment, text.as_bytes(), 0o644)?;
        files::replace(&identity.bundle, &bytes, 0o644)?;
        files::replace(&identity.root, root.as_bytes(), 0o644)?;
        let json = json!({
            "member": member.as_str(),
            "node": node.as_str(),
            "role": credentials.role().as_str(),
            "bundle_version": bundle.version(),
            "root_fingerprint": fingerprint.to_string(),
        });
        context.output.answer(&json, || {
            format!(
                "{member}/{node} is enrolled as {}; bundle {} expires {}\nthe root's fingerprint, to compare with the \
                 authority:\n  {fingerprint}\nnext: `icomm doctor`, then `icomm run`",
                credentials.role(),
                bundle.version(),
                moment(bundle.expires()),
            )
        })?;
        Ok(Exit::Ok)
    }
}

impl Update {
    pub(in crate::cli) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let bundle = files::read(&self.bundle)?.into();
        let mut client = context.client().await?;
        let adopted = client
            .update_bundle(v1::UpdateBundleRequest { bundle })
            .await?
            .into_inner();
        context.output.answer(&to_json(&adopted)?, || {
            format!(
                "the node now goes by bundle {}, which expires {}",
                adopted.version, adopted.expires
            )
        })?;
        Ok(Exit::Ok)
    }
}
