//! `icomm pki bundle`: what the whole network must believe about who is who, signed by the root member.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use icomm_pki::{
    AuthorityCertificate, CertificateDer, FormerListing, Handover, HandoverStatement, Listing, MemberCertificate,
    MemberId, MemberKey, NodeEntry, Quorum, Revocation, Serial, TrustBundle,
};
use serde_json::json;
use time::Duration;

use super::folder::{Folder, Issued, Public, in_file};
use crate::{
    cli::{Context, Exit, Failure, files, output::moment},
    node::succession::next::Next,
    token,
};

/// At the root: publish the next trust bundle
#[derive(Debug, Args)]
#[command(after_help = "\
Says who is a member in which role, with which key, nodes, addresses and regions, and what is revoked. Its version is one
above the last; nodes refuse to go back, and refuse everybody once it has expired. Signed with the member key of the
global member's node, so name its folder with `--home`.

Example:
  icomm pki bundle --authority root-ca --home wco --include esa-public --out bundle.json")]
pub(in crate::cli) struct Bundle {
    /// The root's folder
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// A regional authority's `public` folder; may be said several times
    #[arg(long, value_name = "DIR")]
    include: Vec<PathBuf>,
    /// How many hubs and roots must have cosigned before a log counts as settled [default: as in the last bundle, else
    /// more than half of them]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    quorum: Option<u32>,
    /// A global member must be among them
    #[arg(long, requires = "quorum")]
    quorum_global: bool,
    /// How long it counts; publish the next one well before
    #[arg(long, default_value_t = 30)]
    days: u16,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Bundle {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            authority,
            include,
            quorum,
            quorum_global,
            days,
            out,
        } = self;
        if let Some(out) = &out {
            // Before a version is used up that then nobody sees.
            files::must_be_new(out)?;
        }
        let folder = Folder::at(&authority);
        let root = folder.authority()?;
        let config = context.config()?;
        let keys = match &config.identity.token {
            Some(place) => {
                let keys = token::keys(place)?;
                keys.into_iter()
                    .map(|public| token::member_key(place, public))
                    .collect()
            }
            None => vec![MemberKey::from_pkcs8_pem(&files::read_text(
                &config.identity.member_key,
            )?)?],
        };

        let last = folder.public().bundle_file();
        let (version, last_quorum) = if last.exists() {
            let previous = TrustBundle::from_signed(&files::read(&last)?).map_err(|error| in_file(&last, &error))?;
            (previous.version.saturating_add(1), previous.quorum)
        } else {
            (1, None)
        };
        let now = context.now();
        let certificate = root.root_certificate();
        let (domain, der) = (certificate.trust_domain().clone(), certificate.der().clone());
        let mut bundle = TrustBundle::new(
            version,
            domain,
            der,
            now,
            now.saturating_add(Duration::days(days.into())),
        );

        let mut sources = vec![folder.public()];
        for path in &include {
            sources.push(Public::open(path)?);
        }
        fill(&mut bundle, &sources)?;
        let asked = quorum.map(|witnesses| Quorum {
            witnesses,
            global: quorum_global,
        });
        bundle.quorum = asked.or(last_quorum);
        // The bundle that lists a new key of the global member itself is signed with that.
        let next = Next::of(&config).member_key();
        let mut keys = keys;
        if config.identity.token.is_none() && next.exists() {
            keys.push(MemberKey::from_pkcs8_pem(&files::read_text(&next)?)?);
        }
        let mut ours = Err(Failure::new("the token has no key of the member's"));
        for key in keys {
            ours = signer(&bundle, &key).map(|signer| (signer, key));
            if ours.is_ok() {
                break;
            }
        }
        let (signer, key) = ours?;
        let signed = bundle.sign(&signer, &key)?;
        files::replace(&last, &signed, 0o644)?;
        files::write_out(out.as_ref(), &signed)?;
        let told = format!(
            "bundle {version}: {} members, signed by {signer}, expires {}",
            bundle.members.len(),
            moment(bundle.expires)
        );
        if context.output.is_json() && out.is_some() {
            context
                .output
                .json(&json!({ "version": version, "members": bundle.members.len() }))?;
        } else {
            eprintln!("{told}");
        }
        Ok(Exit::Ok)
    }
}

/// The directory, intermediates and revocation lists, from every authority's public part.
fn fill(bundle: &mut TrustBundle, sources: &[Public]) -> Result<(), Failure> {
    let mut members: BTreeMap<MemberId, Listing> = BTreeMap::new();
    let mut intermediates: Vec<CertificateDer<'static>> = Vec::new();
    let (mut keys, mut handovers) = (Keys::new(), Vec::new());
    for source in sources {
        let revoked = source.revoked()?;
        // The oldest first: of one node's certificates the latest stays.
        for issued in source.all_issued()? {
            let enrolment = &issued.enrolment;
            if let Some(der) = enrolment.intermediate_certificate().map(AuthorityCertificate::der)
                && !intermediates.contains(der)
            {
                intermediates.push(der.clone());
            }
            let counts = |serial: &Serial| {
                !revoked
                    .revoked()
                    .iter()
                    .any(|Revocation { serial: gone, .. }| gone == serial)
            };
            let member = enrolment.member_certificate();
            let known = keys.entry(member.member().clone()).or_default();
            known.retain(|(certificate, _)| certificate.key() != member.key());
            known.push((member.clone(), counts(member.serial())));
            if counts(enrolment.member_certificate().serial()) && counts(enrolment.node_certificate().serial()) {
                list(&mut members, issued)?;
            }
        }
        handovers.extend(source.handovers()?);
        bundle.revocation_lists.push(revoked);
    }
    for listing in members.values_mut() {
        listing.former = former(
            listing,
            keys.get(&listing.id).map_or(&[][..], Vec::as_slice),
            &handovers,
        )?;
    }
    bundle.members = members.into_values().collect();
    bundle.intermediates = intermediates;
    Ok(())
}

/// The certificates of each member's keys, the latest of each key in the order of their issue, and whether they count.
type Keys = BTreeMap<MemberId, Vec<(MemberCertificate, bool)>>;

/// The keys that a member signed with before: those that were handed over, and those that still sign. One that was revoked
/// and never handed over signs for nothing.
fn former(
    listing: &Listing,
    keys: &[(MemberCertificate, bool)],
    handovers: &[HandoverStatement],
) -> Result<Vec<FormerListing>, Failure> {
    let mut former = Vec::new();
    for (certificate, counts) in keys.iter().filter(|(known, _)| *known.der() != listing.certificate) {
        let of_key = |statement: &&HandoverStatement| {
            *statement.member() == listing.id && statement.former() == certificate.key()
        };
        let handover = joined(
            &listing.id,
            handovers.iter().filter(of_key).map(HandoverStatement::handover),
        )?;
        if handover.is_some() || *counts {
            former.push(FormerListing {
                certificate: certificate.der().clone(),
                handover,
            });
        }
    }
    Ok(former)
}

/// What several nodes of a member say about one key.
fn joined<'a>(member: &MemberId, said: impl Iterator<Item = &'a Handover>) -> Result<Option<Handover>, Failure> {
    let mut joined: Option<Handover> = None;
    for handover in said {
        let joined = joined.get_or_insert_default();
        joined.stolen |= handover.stolen;
        joined.documents.extend(&handover.documents);
        for (log, end) in &handover.ends {
            if joined.ends.insert(log.clone(), *end).is_some_and(|other| other != *end) {
                return Err(Failure::new(format_args!(
                    "two hand-overs of {member} name different ends of `{log}`"
                ))
                .advice("ask the member which is right, and take the other out of the folder `handed`"));
            }
        }
    }
    Ok(joined)
}

fn list(members: &mut BTreeMap<MemberId, Listing>, issued: Issued) -> Result<(), Failure> {
    let Issued { enrolment, listing } = issued;
    let new = Listing::new(&enrolment, listing.regions, listing.addresses);
    let Some(known) = members.get_mut(enrolment.member()) else {
        members.insert(enrolment.member().clone(), new);
        return Ok(());
    };
    let mut nodes: Vec<NodeEntry> = std::mem::take(&mut known.nodes);
    nodes.retain(|node| node.name != *enrolment.node_name());
    nodes.extend(new.nodes);
    *known = Listing { nodes, ..new };
    Ok(())
}

/// The member of the bundle whose key this is.
fn signer(bundle: &TrustBundle, key: &MemberKey) -> Result<MemberId, Failure> {
    let is_ours = |listing: &&Listing| {
        MemberCertificate::parse(listing.certificate.clone()).is_ok_and(|certificate| certificate.key() == key.public())
    };
    bundle
        .members
        .iter()
        .find(is_ours)
        .map(|listing| listing.id.clone())
        .ok_or_else(|| {
            Failure::new("the member key of this node's folder belongs to no member of the bundle").advice(
                "name the folder of the global member's node with `--home`, and certify it with `icomm pki issue`",
            )
        })
}
