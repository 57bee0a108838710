//! What can be checked without the node: the identity's files, and where no node runs all that it would refuse to start with.

use std::{error::Error, fs, io, os::unix::fs::MetadataExt, path::Path};

use icomm_pki::{NodeCredentials, VerifiedBundle, authenticate};
use icomm_proto::v1;
use time::OffsetDateTime;

use super::{ERROR, OK, WARNING, check};
use crate::{
    causes::chain,
    config::{self, Config, Identity},
    node::{StartError, checks::expiring, start},
    token,
};

/// What to do about an identity that does not hold together.
const INSTALL: &str = "put back the right files, or `icomm pki install` the authority's current answer";

/// Who else may read a file.
const OTHERS: u32 = 0o077;

/// Checks that every file that the settings' `[identity]` names is there, and a key is private.
pub(super) fn files(config: &Config) -> Vec<v1::Check> {
    let Identity {
        member_key,
        node_key,
        enrolment,
        root,
        bundle,
        log: _,
        token,
    } = &config.identity;
    vec![
        match token {
            Some(place) => in_token(place, enrolment),
            None => key("member key", member_key),
        },
        key("node keys", node_key),
        store_key(config),
        document("certificates", enrolment),
        document("pinned root", root),
        document("trust bundle file", bundle),
    ]
}

/// Whether the token is there and has the certified key. No PIN is tried: too many wrong ones lock a token.
fn in_token(place: &config::Token, enrolment: &Path) -> v1::Check {
    const NAME: &str = "member key";
    let keys = match token::keys(place) {
        Ok(keys) => keys,
        Err(error) => return wrong(NAME, &error, "nothing is issued or signed until then, nothing is lost"),
    };
    let certified = fs::read_to_string(enrolment).ok();
    let certified = certified.and_then(|text| icomm_pki::Enrolment::from_pem(&text).ok());
    let certified = certified.map(|enrolment| enrolment.member_certificate().key());
    match certified.is_none_or(|certified| keys.contains(&certified)) {
        true if !keys.is_empty() => check(
            NAME,
            OK,
            format_args!("`{}` in the token `{}`", place.key, place.token),
            "",
        ),
        _ => check(
            NAME,
            ERROR,
            format_args!(
                "the token `{}` has no key `{}` that is the certified one",
                place.token, place.key
            ),
            "put the right token in, or mend `identity.token`",
        ),
    }
}

/// Whether the key that opens the store is there; a node whose store is new makes it.
fn store_key(config: &Config) -> v1::Check {
    const NAME: &str = "store key";
    match start::store_key(config) {
        Ok(Some(_)) => check(NAME, OK, format!("`{}`, private", config.store.key.display()), ""),
        Ok(None) => check(
            NAME,
            OK,
            "none yet, and no store; the first start makes it".to_owned(),
            "",
        ),
        Err(error) => wrong(
            NAME,
            &error,
            "put it back from its copy, with mode 600; the node does not start without",
        ),
    }
}

/// Does what a node does at its start with its identity, laws, code lists and addresses; binds and writes nothing.
pub(super) fn start(config: &Config, now: OffsetDateTime) -> Vec<v1::Check> {
    let mut checks = identity(config, now);
    let settings: [(&str, Result<String, StartError>); 3] = [
        (
            "national laws",
            start::overlays(config).map(|laws| format!("{} in `{}`", laws.len(), config.policy.overlays.display())),
        ),
        (
            "code lists",
            start::codes(config).map(|_| format!("built in, and from `{}`", config.intake.code_lists.display())),
        ),
        (
            "addresses",
            start::links(config).map(|links| {
                format!(
                    "{} to listen on, {} partners set",
                    links.listen.len(),
                    links.peers.len()
                )
            }),
        ),
    ];
    checks.extend(settings.into_iter().map(|(name, found)| match found {
        Ok(finding) => check(name, OK, finding, ""),
        Err(error) => wrong(name, &error, "mend it; the node does not start with it"),
    }));
    checks
}

/// Whether keys, certificates, root and bundle belong together and count now.
fn identity(config: &Config, now: OffsetDateTime) -> Vec<v1::Check> {
    let credentials = match start::credentials(config) {
        Ok(credentials) => credentials,
        Err(error) => return vec![wrong("identity", &error, INSTALL)],
    };
    let (member, node, role) = (credentials.member(), credentials.node_name(), credentials.role());
    let finding = format!("{member}/{node}, {}: every key is the certified one", role.as_str());
    let mut checks = vec![check("identity", OK, finding, "")];
    let bundle = start::pinned_root(config).and_then(|root| start::bundle_in_folder(config, &root, now, 0));
    match bundle {
        // The store may hold a newer one that came over a link; a node that can't open this one looks there first.
        Err(error) => checks.push(wrong(
            "trust bundle",
            &error,
            "`icomm pki install` a current one from the authority",
        )),
        Ok(bundle) => {
            let held = expiring(
                "trust bundle",
                bundle.expires(),
                now,
                "get a newer one from the authority",
            );
            let finding = format!("version {}, {}", bundle.version(), held.finding);
            checks.push(check(&held.name, held.level.as_str(), finding, &held.advice));
            checks.push(listed(&credentials, &bundle, now));
        }
    }
    checks.extend(credentials.expiries().iter().map(|expiry| {
        let held = expiring(&expiry.what.to_string(), expiry.at, now, INSTALL);
        check(&held.name, held.level.as_str(), held.finding, &held.advice)
    }));
    checks
}

/// Whether partners that go by this bundle let the node in, and take what its member signs.
fn listed(credentials: &NodeCredentials, bundle: &VerifiedBundle, now: OffsetDateTime) -> v1::Check {
    const NAME: &str = "member directory";
    if let Err(error) = authenticate(&credentials.node_chain(), bundle, now) {
        return wrong(
            NAME,
            &error,
            "partners refuse this node: ask the authority for a bundle that lists it",
        );
    }
    let signs = credentials.member_key().public();
    match bundle.member(credentials.member()) {
        Some(entry) if entry.key == signs => check(NAME, OK, "partners let this node in and know its member's key", ""),
        Some(entry) if entry.keys.signing().any(|key| key == signs) => check(
            NAME,
            WARNING,
            "the bundle lists a newer key for this member beside the one in use",
            "the node takes it up by itself once `icomm key install` has put the authority's answer in place",
        ),
        _ => check(
            NAME,
            ERROR,
            "the bundle lists another key for this member: nobody would believe what it signs",
            "use the key that is listed, or ask the authority for a bundle with this one",
        ),
    }
}

fn wrong(name: &str, error: &dyn Error, advice: &str) -> v1::Check {
    check(name, ERROR, chain(error), advice)
}

fn key(name: &str, path: &Path) -> v1::Check {
    match fs::metadata(path) {
        Ok(file) if file.mode() & OTHERS != 0 => {
            let finding = format!(
                "other users may open `{}` (mode {:o})",
                path.display(),
                file.mode() & 0o777
            );
            check(
                name,
                ERROR,
                finding,
                "`chmod 600` it; if others had access, ask the authority for a new certificate",
            )
        }
        Ok(_) => check(name, OK, format_args!("`{}`, private", path.display()), ""),
        Err(error) => missing(
            name,
            path,
            &error,
            "`icomm init` makes keys; a lost key needs a new enrolment",
        ),
    }
}

fn document(name: &str, path: &Path) -> v1::Check {
    match fs::metadata(path) {
        Ok(file) if file.len() == 0 => check(
            name,
            ERROR,
            format_args!("`{}` is empty", path.display()),
            "install it again",
        ),
        Ok(_) => check(name, OK, format_args!("`{}`", path.display()), ""),
        Err(error) => missing(
            name,
            path,
            &error,
            "`icomm pki install` puts the authority's answer here",
        ),
    }
}

fn missing(name: &str, path: &Path, error: &io::Error, advice: &str) -> v1::Check {
    let level = if error.kind() == io::ErrorKind::NotFound {
        WARNING
    } else {
        ERROR
    };
    check(
        name,
        level,
        format_args!("can't open `{}`: {error}", path.display()),
        advice,
    )
}
