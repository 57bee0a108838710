//! The whole path of enrolment through the commands, in folders.

use std::{fs, path::Path};

use clap::Parser;
use icomm_pki::{TrustBundle, VerifiedBundle};

use crate::cli::{Arguments, Command, Context, Exit, Failure};

/// Runs a command line with paths relative to `folder`.
fn icomm(folder: &Path, line: &str) -> Result<Exit, Failure> {
    let words = line
        .split_whitespace()
        .map(|word| word.replace("@/", &format!("{}/", folder.display())));
    let arguments = Arguments::try_parse_from(std::iter::once("icomm".to_owned()).chain(words)).unwrap();
    let context = Context::new(arguments.global);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match arguments.command {
        Command::Init(command) => command.run(&context),
        Command::Pki(command) => runtime.block_on(command.run(&context)),
        _ => panic!("not a command of this test"),
    }
}

fn wco(folder: &Path) {
    for line in [
        "pki root --authority @/root-ca --member WCO --trust-domain demo.icomm.example",
        "init --home @/wco --member WCO --node hub --trust-domain demo.icomm.example",
        "pki issue @/wco/identity/request.pem --authority @/root-ca --role global --out @/wco.pem",
    ] {
        icomm(folder, line).unwrap();
    }
}

#[test]
fn a_member_is_enrolled_by_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wco(at);
    for line in [
        "init --home @/ke --member KE --node gw1 --trust-domain demo.icomm.example",
        "pki issue @/ke/identity/request.pem --authority @/root-ca --role national --address tls://gw1:7443 --out @/ke.pem",
        "pki bundle --authority @/root-ca --home @/wco --out @/bundle.json",
        "pki install @/wco.pem @/bundle.json --home @/wco",
        "pki install @/ke.pem @/bundle.json --home @/ke",
        "pki show @/bundle.json",
        "pki show @/ke.pem",
        "pki show @/root-ca",
    ] {
        icomm(at, line).unwrap_or_else(|failure| panic!("{line}: {failure}"));
    }
    let bundle = TrustBundle::from_signed(&fs::read(at.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(bundle.version, 1);
    let verified = fs::read(at.join("ke/identity/bundle.json")).unwrap();
    let verified = VerifiedBundle::verify(&verified, &bundle.root, time::OffsetDateTime::now_utc(), 0).unwrap();
    let entry = verified.member(&"KE".parse().unwrap()).unwrap();
    assert_eq!(entry.nodes.first().unwrap().addresses, ["tls://gw1:7443"]);

    // No secret lies where it could be sent by mistake.
    for file in [
        "wco.pem",
        "ke.pem",
        "bundle.json",
        "ke/identity/request.pem",
        "root-ca/public/revoked.pem",
    ] {
        assert!(
            !fs::read_to_string(at.join(file)).unwrap().contains("PRIVATE KEY"),
            "{file}"
        );
    }

    // The next bundle lists the revoked node no more.
    icomm(at, "pki revoke KE/gw1 --authority @/root-ca --reason key-compromise").unwrap();
    icomm(at, "pki bundle --authority @/root-ca --home @/wco --out @/bundle2.json").unwrap();
    let next = TrustBundle::from_signed(&fs::read(at.join("bundle2.json")).unwrap()).unwrap();
    assert_eq!(next.version, 2);
    assert_eq!(
        next.members.iter().map(|member| member.id.as_str()).collect::<Vec<_>>(),
        ["WCO"]
    );
    assert_eq!(next.revocation_lists.first().unwrap().revoked().len(), 1);
}

#[test]
fn a_regional_office_certifies_its_members_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wco(at);
    for line in [
        "pki region --authority @/esa-ca --member RILO-ESA --trust-domain demo.icomm.example",
        "pki issue-region @/esa-ca/public/request.pem --authority @/root-ca --members KE UG --out @/chain.pem",
        "pki region --authority @/esa-ca --chain @/chain.pem",
        "init --home @/esa --member RILO-ESA --node hub --trust-domain demo.icomm.example",
        "pki issue @/esa/identity/request.pem --authority @/root-ca --role regional --out @/esa.pem",
        "init --home @/ke --member KE --node gw1 --trust-domain demo.icomm.example",
        "pki issue @/ke/identity/request.pem --authority @/esa-ca --role national --region RILO-ESA --out @/ke.pem",
        "pki bundle --authority @/root-ca --home @/wco --include @/esa-ca/public --out @/bundle.json",
        "pki install @/ke.pem @/bundle.json --home @/ke",
    ] {
        icomm(at, line).unwrap_or_else(|failure| panic!("{line}: {failure}"));
    }
    icomm(
        at,
        "init --home @/fr --member FR --node gw1 --trust-domain demo.icomm.example",
    )
    .unwrap();
    let error = icomm(
        at,
        "pki issue @/fr/identity/request.pem --authority @/esa-ca --role national",
    )
    .unwrap_err();
    assert!(error.to_string().contains("not in its region"), "{error}");
}

#[test]
fn what_does_not_belong_together_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wco(at);
    for line in [
        "init --home @/ke --member KE --node gw1 --trust-domain demo.icomm.example",
        "pki bundle --authority @/root-ca --home @/wco --out @/early.json",
        "pki issue @/ke/identity/request.pem --authority @/root-ca --role national --out @/ke.pem",
        "pki bundle --authority @/root-ca --home @/wco --out @/bundle.json",
    ] {
        icomm(at, line).unwrap_or_else(|failure| panic!("{line}: {failure}"));
    }
    for (line, part) in [
        (
            "pki install @/wco.pem @/bundle.json --home @/ke",
            "is not the one that the enrolment certifies",
        ),
        ("pki install @/ke.pem @/early.json --home @/ke", "does not list KE/gw1"),
        (
            "pki install @/ke.pem @/ke.pem --home @/ke",
            "the trust bundle is not readable",
        ),
        (
            "pki install @/ke.pem @/bundle.json --home @/ke --root-fingerprint AB:CD",
            "not the one given",
        ),
        (
            "pki issue @/ke.pem --authority @/root-ca --role national",
            "is this the file that `icomm init` wrote?",
        ),
        (
            "pki issue @/ke/identity/request.pem --authority @/none --role national",
            "there is no authority in",
        ),
        (
            "pki bundle --authority @/root-ca --home @/ke",
            "signed by `KE`, a national member",
        ),
        (
            "pki root --authority @/root-ca --member WCO --trust-domain demo.icomm.example",
            "is not empty",
        ),
        (
            "pki revoke UG --authority @/root-ca --reason superseded",
            "issued nothing",
        ),
    ] {
        let error = icomm(at, line)
            .err()
            .unwrap_or_else(|| panic!("`{line}` was accepted"))
            .to_string();
        assert!(error.contains(part), "{line}: {error}");
        assert!(!at.join("ke/identity/root.pem").exists(), "{line}");
    }
    // Once pinned, another network's root is refused.
    icomm(at, "pki install @/ke.pem @/bundle.json --home @/ke").unwrap();
    let before = fs::read(at.join("ke/identity/enrolment.pem")).unwrap();
    for line in [
        "pki root --authority @/other-ca --member WCO --trust-domain demo.icomm.example",
        "pki issue @/ke/identity/request.pem --authority @/other-ca --role national --out @/other.pem",
    ] {
        icomm(at, line).unwrap();
    }
    let error = icomm(at, "pki install @/other.pem @/bundle.json --home @/ke")
        .unwrap_err()
        .to_string();
    assert!(error.contains("this node trusts the root in"), "{error}");
    assert_eq!(fs::read(at.join("ke/identity/enrolment.pem")).unwrap(), before);
}
