//! What a node's folder is good for while no node runs: its member signs, `doctor` verifies it, and what does not count any
//! more is refused at the start.

use std::{fs, path::Path, process::Command};

use icomm_node::network::Network;
use icomm_pki::{MemberKey, TrustBundle};
use icomm_policy::agreement::SignedAgreement;
use time::{Duration, OffsetDateTime};

use crate::bench::{ends_with, icomm, id, national, plan, prepared, root, text};

fn trio() -> Network {
    prepared(plan(vec![national("KE", &[]), national("UG", &[]), root()], vec![]))
}

fn at(home: &Path, arguments: &[&str]) -> Command {
    let mut command = icomm();
    command.arg("--home").arg(home).args(arguments);
    command
}

#[test]
fn who_holds_the_key_signs_without_a_node() {
    let network = trio();
    let file = |name: &str| network.folder().join(name).display().to_string();
    let home = |member: &str| network.node(&id(member)).unwrap().home().to_owned();
    let (text_of, by_ke, by_both) = (file("ke-ug.toml"), file("ke-ug.json"), file("ke-ug-both.json"));
    let draft = ["agreement", "draft", "ke-ug", "--from", "2026-12-01", "--out", &text_of];
    ends_with(0, icomm().args(draft).args(["--between", "KE", "UG"]));

    // No node runs in either folder: the one notices, the other is told not to ask.
    ends_with(
        0,
        &mut at(&home("KE"), &["agreement", "sign", &text_of, "--out", &by_ke]),
    );
    let offline = ["agreement", "sign", &by_ke, "--offline", "--out", &by_both];
    ends_with(0, &mut at(&home("UG"), &offline));
    let signed = SignedAgreement::parse(&fs::read(&by_both).unwrap()).unwrap();
    assert_eq!(
        signed.signers().map(|member| member.as_str()).collect::<Vec<_>>(),
        ["KE", "UG"]
    );

    let stranger = ends_with(1, &mut at(&home("WCO"), &["agreement", "sign", &by_ke, "--offline"]));
    assert!(text(&stranger.stderr).contains("`WCO`"), "{}", text(&stranger.stderr));
    assert!(stranger.stdout.is_empty());

    // A node that was named is not replaced by whoever's key is at hand.
    let named = ["--api", "unix:/nowhere/icomm.sock", "agreement", "sign", &by_ke];
    ends_with(4, &mut at(&home("UG"), &named));

    // A category that no record can have would be signed and cover nothing.
    let misspelt = file("misspelt.toml");
    let words = fs::read_to_string(&text_of).unwrap();
    fs::write(
        &misspelt,
        words.replace(r#"categories = "all""#, r#"categories = ["tobaco"]"#),
    )
    .unwrap();
    let refused = ends_with(1, &mut at(&home("KE"), &["agreement", "sign", &misspelt]));
    let said = text(&refused.stderr);
    assert!(
        said.contains("grants[0].categories") && said.contains("did you mean `tobacco`?"),
        "{said}"
    );
}

#[test]
fn every_draft_can_be_signed_as_it_is_written() {
    let network = trio();
    let home = network.node(&id("KE")).unwrap().home();
    let drafts: [&[&str]; 3] = [
        &["--between", "KE", "UG"],
        &["--region", "RILO-ESA", "--members", "KE", "UG"],
        &["--contribution", "KE", "WCO"],
    ];
    for (number, who) in drafts.into_iter().enumerate() {
        let file = network
            .folder()
            .join(format!("draft-{number}.toml"))
            .display()
            .to_string();
        let draft = ["agreement", "draft", "a-draft", "--from", "2026-12-01", "--out", &file];
        ends_with(0, icomm().args(draft).args(who));
        let signed = ends_with(0, &mut at(home, &["agreement", "sign", &file, "--offline"]));
        let signed = SignedAgreement::parse(&signed.stdout).unwrap();
        assert_eq!(
            signed.signers().map(|member| member.as_str()).collect::<Vec<_>>(),
            ["KE"]
        );
    }
}

#[test]
fn doctor_verifies_what_a_start_would_refuse() {
    let network = trio();
    let home = network.node(&id("KE")).unwrap().home();
    let whole = ends_with(0, &mut at(home, &["doctor", "--json"]));
    assert!(
        text(&whole.stdout).contains("every key is the certified one"),
        "{}",
        text(&whole.stdout)
    );

    // A file is there, private and a good key, and it is somebody else's.
    let (own, others) = ("identity/member-key.pem", network.node(&id("UG")).unwrap().home());
    let key = fs::read(home.join(own)).unwrap();
    fs::write(home.join(own), fs::read(others.join(own)).unwrap()).unwrap();
    let said = text(&ends_with(3, &mut at(home, &["doctor", "--json"])).stdout);
    assert!(
        said.contains("the member key is not the one that the enrolment certifies"),
        "{said}"
    );
    fs::write(home.join(own), key).unwrap();

    // A bundle of the same network that does not list the node: made before it was enrolled, say.
    let bundle = home.join("identity/bundle.json");
    rewrite(&network, &bundle, |bundle| {
        bundle.members.retain(|listing| listing.id.as_str() != "KE")
    });
    let said = text(&ends_with(3, &mut at(home, &["doctor", "--json"])).stdout);
    assert!(said.contains("partners refuse this node"), "{said}");

    fs::create_dir_all(home.join("policies")).unwrap();
    fs::write(home.join("policies/broken.cedar"), "forbid (").unwrap();
    let said = text(&ends_with(3, &mut at(home, &["doctor", "--json"])).stdout);
    assert!(said.contains("broken.cedar"), "{said}");
}

#[test]
fn an_expired_bundle_stops_the_start() {
    let network = trio();
    let home = network.node(&id("KE")).unwrap().home();
    // A bundle is signed only while it counts, so this one is made to end at once.
    let ends = OffsetDateTime::now_utc() + Duration::seconds(2);
    let bundle = home.join("identity/bundle.json");
    rewrite(&network, &bundle, |bundle| {
        bundle.expires = ends.replace_nanosecond(0).unwrap()
    });
    while OffsetDateTime::now_utc() < ends {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // Standard input ends at once, so that a node that did start would not hold up the test.
    let refused = ends_with(1, &mut at(home, &["run", "--stop-with-stdin"]));
    let said = text(&refused.stderr);
    assert!(said.contains("the node can't start: no trust bundle counts"), "{said}");
    assert!(said.contains("expired"), "{said}");
    assert!(said.contains("what to do: `icomm pki install"), "{said}");
    assert!(!home.join("icomm.sock").exists(), "nothing is served");

    let said = text(&ends_with(3, &mut at(home, &["doctor"])).stdout);
    assert!(said.contains("expired"), "{said}");
}

/// Changes a bundle and has the root's member sign it again.
fn rewrite(network: &Network, path: &Path, change: impl FnOnce(&mut TrustBundle)) {
    let wco = id("WCO");
    let key = fs::read_to_string(network.node(&wco).unwrap().home().join("identity/member-key.pem")).unwrap();
    let mut bundle = TrustBundle::from_signed(&fs::read(path).unwrap()).unwrap();
    change(&mut bundle);
    let key = MemberKey::from_pkcs8_pem(&key).unwrap();
    fs::write(path, bundle.sign(&wco, &key).unwrap()).unwrap();
}
