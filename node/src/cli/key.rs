//! `icomm key`: the keys and certificates of this node and its member, replaced while it works.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use icomm_pki::{EnrolmentRequest, Handover, HandoverStatement, MemberKey, NodeCredentials, NodeKey};
use icomm_policy::SignedAgreement;
use serde_json::json;

use super::{Context, Exit, Failure, files, pki::in_file};
use crate::node::succession::next::Next;
use crate::token;

/// Keys and certificates of this node and its member: rotate, install, handover.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A new member key, while the node and its links go on:
  at Kenya       icomm key rotate --member-key --home ke
                 (send ke/identity/next/request.pem, read the fingerprint by telephone)
  at the WCO     icomm pki issue ke-request.pem --authority root-ca --role national --out ke-2.pem
                 icomm pki bundle --authority root-ca --home wco --out bundle-2.json
                 icomm pki update bundle-2.json --home wco      (it travels by the links; both keys count now)
  at Kenya       icomm key install ke-2.pem --home ke           (the node takes it up within seconds)
                 (send ke/identity/handover-….json: up to where the old key counts)
  at the WCO     icomm pki retire handover.json --authority root-ca
                 and the next bundle: now the old key counts for the past alone

The member key was stolen:
  at the WCO     icomm pki revoke KE --authority root-ca --reason key-compromise, and a bundle: all links to KE close
  at Kenya       icomm key rotate --member-key --node-key --home ke
                 (request, issue, bundle and install as above; then, before the hand-over is sent)
                 icomm key handover --stolen --home ke
  at the WCO     icomm pki retire …, and a bundle: what the thief signed counts for nothing, and convicts nobody

A member key in a token (`[identity.token]`): the same commands; the new key is made in the token, beside the old one and under the same
label. Take the old one out of the token once the bundle with the retirement is everywhere.

Certificates are renewed likewise: when a third of their time is left, the node writes identity/next/request.pem itself,
says so in its log, its metrics and `icomm doctor`, and takes the answer up without a restart.")]
pub(super) enum Key {
    Rotate(Rotate),
    Install(Install),
    Handover(HandOver),
}

impl Key {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Rotate(command) => command.run(context),
            Self::Install(command) => command.run(context),
            Self::Handover(command) => command.run(context),
        }
    }
}

/// Make new keys and the request for their certificates
#[derive(Debug, Args)]
#[command(after_help = "\
The keys in use stay in use until the authority has answered and the trust bundle lists the new ones.

Example:
  icomm key rotate --member-key --node-key")]
pub(super) struct Rotate {
    /// A new key for the member to sign with
    #[arg(long)]
    member_key: bool,
    /// A new key for TLS
    #[arg(long)]
    node_key: bool,
    /// A new libp2p identity too; it is taken up when the node is started again, and partners need the bundle before
    #[arg(long, requires = "node_key")]
    libp2p: bool,
}

/// Put the authority's answer in place for the node to take up
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is restarted: the node takes it up within seconds, once its trust bundle lists what is in it.

Example:
  icomm key install ke-2.pem")]
pub(super) struct Install {
    /// The certificates, from `icomm pki issue`
    enrolment: PathBuf,
}

/// Tell, or change before it is sent, up to where the former member key counts
#[derive(Debug, Args)]
#[command(after_help = "\
The node wrote the file when it took up the new key: the last size and root of each log, and the documents that the old key
signed. With --stolen it says that the key is in other hands. Documents that the member does not stand by, an agreement that
a thief signed say, are taken out with --disown.

Examples:
  icomm key handover
  icomm key handover --stolen --disown forged-agreement.json")]
pub(super) struct HandOver {
    /// The file, if there are several [default: the only one]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The former key was stolen
    #[arg(long)]
    stolen: bool,
    /// A signed agreement that the member does not stand by; may be said several times
    #[arg(long, value_name = "FILE")]
    disown: Vec<PathBuf>,
}

impl Rotate {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            member_key,
            node_key,
            libp2p,
        } = self;
        if !member_key && !node_key {
            return Err(Failure::new("nothing is to be rotated").advice("say --member-key, --node-key or both"));
        }
        let config = context.config()?;
        let next = Next::of(&config);
        let used = used(&config.identity)?;
        let asked = next
            .request()
            .exists()
            .then(|| files::read_text(&next.request()))
            .transpose()?;
        let asked = asked.and_then(|text| EnrolmentRequest::from_pem(&text).ok());
        let other = asked.is_some_and(|asked| asked.member_key() != used.member_key().public());
        if next.member_key().exists() || next.node_key().exists() || other {
            return Err(Failure::new(format_args!(
                "there are new keys in `{}` already",
                next.folder().display()
            ))
            .advice("send the request in it; to begin anew, remove that folder first"));
        }
        let new_member = match (member_key, &config.identity.token) {
            (true, Some(place)) => token::member_key(place, token::generate(place)?),
            (true, None) => MemberKey::generate()?,
            (false, _) => used.member_key().clone(),
        };
        let new_node = match (node_key, libp2p) {
            (false, _) => used.node_key().clone(),
            (true, false) => used.node_key().with_new_tls()?,
            (true, true) => NodeKey::generate()?,
        };
        let (domain, member, node) = (used.trust_domain(), used.member(), used.node_name());
        let request = EnrolmentRequest::new(domain, member, node, &new_member, &new_node)?;
        files::create_private_folder(&next.folder())?;
        if member_key && let Some(key) = new_member.to_pkcs8_pem() {
            files::create_private(&next.member_key(), key.as_bytes())?;
        }
        if node_key {
            files::create_private(&next.node_key(), new_node.to_pem().as_bytes())?;
        }
        files::replace(&next.request(), request.to_pem().as_bytes(), 0o644)?;
        let (path, fingerprint) = (next.request(), request.fingerprint().to_string());
        context.output.answer(
            &json!({ "request": path, "fingerprint": fingerprint, "member_key": new_member.public().to_base64() }),
            || {
                format!(
                    "made new keys in `{}`\nnext: send `{}` to your authority and read it this fingerprint:\n  {fingerprint}\n\
                     then: `icomm key install ANSWER`",
                    next.folder().display(),
                    path.display()
                )
            },
        )?;
        Ok(Exit::Ok)
    }
}

impl Install {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let config = context.config()?;
        let next = Next::of(&config);
        if !next.request().exists() {
            return Err(Failure::new("no request waits for an answer here")
                .advice("`icomm key rotate` makes one; a first answer is put in place by `icomm pki install`"));
        }
        let used = used(&config.identity)?;
        let text = files::read_text(&self.enrolment)?;
        let read = |new: PathBuf, used: &PathBuf| files::read_text(if new.exists() { &new } else { used });
        let node = zeroize::Zeroizing::new(read(next.node_key(), &config.identity.node_key)?);
        let new = match &config.identity.token {
            Some(token) => NodeCredentials::with_token(&text, |public| token::member_key(token, public), &node),
            None => {
                let member = zeroize::Zeroizing::new(read(next.member_key(), &config.identity.member_key)?);
                NodeCredentials::from_pem(&text, &member, &node)
            }
        };
        let new = new.map_err(|error| in_file(&self.enrolment, &error))?;
        if let Some(place) = &config.identity.token
            && !token::keys(place)?.contains(&new.member_key().public())
        {
            return Err(Failure::new(format_args!(
                "the certified key is not in the token `{}` under the label `{}`",
                place.token, place.key
            ))
            .advice("put the token in that has it, or send the authority the request in `identity/next`"));
        }
        if new.enrolment().root_certificate() != used.enrolment().root_certificate() {
            return Err(
                Failure::new("these certificates are below another root than those in use")
                    .advice("if the network really has a new root, `icomm pki install` puts it in place"),
            );
        }
        files::replace(&next.enrolment(), text.as_bytes(), 0o644)?;
        let until = new.enrolment().node_certificate().validity().not_after();
        let until = super::output::moment(until);
        context.output.answer(
            &json!({ "installed": next.enrolment(), "until": until, "member_key": new.member_key().public().to_base64() }),
            || format!("the node takes it up by itself once its trust bundle lists it; it counts until {until}"),
        )?;
        Ok(Exit::Ok)
    }
}

impl HandOver {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { file, stolen, disown } = self;
        let config = context.config()?;
        let file = match file {
            Some(file) => file,
            None => only_handover(&config.home.join("identity"))?,
        };
        let statement = HandoverStatement::parse(&files::read(&file)?).map_err(|error| in_file(&file, &error))?;
        let mut handover: Handover = statement.handover().clone();
        let before = handover.clone();
        handover.stolen |= stolen;
        for path in &disown {
            let signed = SignedAgreement::parse(&files::read(path)?).map_err(|error| in_file(path, &error))?;
            if !handover.documents.remove(&signed.agreement().signed_digest()) {
                return Err(Failure::new(format_args!(
                    "`{}` is none of the documents in it",
                    path.display()
                )));
            }
        }
        let statement = if handover == before {
            statement
        } else {
            let used = used(&config.identity)?;
            let (member, former) = (statement.member().clone(), statement.former());
            if used.member_key().public() != statement.key() {
                return Err(Failure::new("the hand-over is to another key than the one in use")
                    .advice("a hand-over is changed with the key that followed the former one"));
            }
            let changed = HandoverStatement::sign(member, former, handover, used.member_key())
                .map_err(|error| in_file(&file, &error))?;
            files::replace(&file, &changed.to_bytes(), 0o644)?;
            changed
        };
        context.output.answer(&shown(&file, &statement), || {
            let handover = statement.handover();
            let mut text = format!(
                "{}: the key {} of {}{} counts\n",
                file.display(),
                statement.former(),
                statement.member(),
                if handover.stolen { ", which was stolen," } else { "" },
            );
            for (log, end) in &handover.ends {
                text += &format!("  for {log} up to {} entries\n", end.size);
            }
            text + &format!(
                "  for {} documents, and for nothing else\nsend it to your authority and read it this fingerprint:\n  {}",
                handover.documents.len(),
                statement.fingerprint()
            )
        })?;
        Ok(Exit::Ok)
    }
}

fn shown(file: &std::path::Path, statement: &HandoverStatement) -> serde_json::Value {
    let handover = statement.handover();
    json!({
        "file": file,
        "member": statement.member().as_str(),
        "former": statement.former().to_base64(),
        "key": statement.key().to_base64(),
        "stolen": handover.stolen,
        "ends": handover.ends.iter().map(|(log, end)| json!({ "log": log, "size": end.size })).collect::<Vec<_>>(),
        "documents": handover.documents.len(),
        "fingerprint": statement.fingerprint().to_string(),
    })
}

fn only_handover(identity: &std::path::Path) -> Result<PathBuf, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(identity)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("handover-") && name.ends_with(".json") {
            found.push(path);
        }
    }
    match found.pop() {
        Some(file) if found.is_empty() => Ok(file),
        Some(_) => Err(Failure::new("there are several hand-overs here").advice("name the file")),
        None => Err(Failure::new("no member key was handed over here")
            .advice("the node writes the file when it takes up a new member key: `icomm key rotate --member-key`")),
    }
}

fn used(identity: &crate::config::Identity) -> Result<NodeCredentials, Failure> {
    let node = zeroize::Zeroizing::new(files::read_text(&identity.node_key)?);
    let enrolment = files::read_text(&identity.enrolment)?;
    let credentials = match &identity.token {
        Some(token) => NodeCredentials::with_token(&enrolment, |public| token::member_key(token, public), &node),
        None => {
            let member = zeroize::Zeroizing::new(files::read_text(&identity.member_key)?);
            NodeCredentials::from_pem(&enrolment, &member, &node)
        }
    };
    credentials.map_err(|error| in_file(&identity.enrolment, &error))
}
