//! Round trips of every name, and the texts that are none.

use libp2p_identity::PeerId;
use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn member_ids_round_trip(text in "[A-Z][A-Z0-9-]{0,30}[A-Z0-9]") {
        let id: MemberId = text.parse().unwrap();
        prop_assert_eq!(id.to_string(), text.clone());
        prop_assert_eq!(serde_json::from_str::<MemberId>(&serde_json::to_string(&id).unwrap()).unwrap(), id.clone());
        prop_assert!(is_dns_label(&id.dns_label()));
    }

    #[test]
    fn node_names_round_trip(text in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        let name: NodeName = text.parse().unwrap();
        prop_assert_eq!(serde_json::from_str::<NodeName>(&serde_json::to_string(&name).unwrap()).unwrap(), name);
    }

    #[test]
    fn trust_domains_round_trip(text in "([a-z0-9]{1,12}\\.){1,4}[a-z]{2,10}") {
        let domain: TrustDomain = text.parse().unwrap();
        prop_assert_eq!(domain.as_str(), text.as_str());
        prop_assert_eq!(
            serde_json::from_str::<TrustDomain>(&serde_json::to_string(&domain).unwrap()).unwrap(),
            domain,
        );
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,80}") {
        // Whatever parses prints itself again; nothing else is promised, and nothing panics.
        if let Ok(id) = text.parse::<MemberId>() { prop_assert_eq!(id.as_str(), &text); }
        if let Ok(name) = text.parse::<NodeName>() { prop_assert_eq!(name.as_str(), &text); }
        if let Ok(domain) = text.parse::<TrustDomain>() { prop_assert_eq!(domain.as_str(), &text); }
    }
}

#[test]
fn texts_that_are_no_member_ids() {
    for text in [
        "",
        "K",
        "ke",
        "Ke",
        "1KE",
        "-KE",
        "KE-",
        "KE UG",
        "KE\n",
        "KE/UG",
        "KE.UG",
        "КЕ",
        "K\u{202e}E",
    ] {
        assert_eq!(
            text.parse::<MemberId>(),
            Err(InvalidName::Member(shortened(text))),
            "{text:?}"
        );
    }
    assert!("A".repeat(32).parse::<MemberId>().is_ok());
    assert!("A".repeat(33).parse::<MemberId>().is_err());
}

#[test]
fn texts_that_are_no_node_names() {
    for text in ["", "Node", "-a", "a-", "a.b", "a_b", "../a", "a\0", "ä"] {
        assert!(text.parse::<NodeName>().is_err(), "{text:?}");
    }
    assert!("a".repeat(64).parse::<NodeName>().is_err());
}

#[test]
fn texts_that_are_no_trust_domains() {
    for text in [
        "",
        "localhost",
        "Demo.example",
        "a..b",
        ".a.b",
        "a.b.",
        "10.0.0.1",
        "a.b/c",
        "a b.c",
        "*.a.b",
        "a:1.b",
    ] {
        assert!(text.parse::<TrustDomain>().is_err(), "{text:?}");
    }
    let long = format!("{}.example", ["a"; 31].join("."));
    assert!(long.len() > TrustDomain::LENGTH_MAX && long.parse::<TrustDomain>().is_err());
}

#[test]
fn roles_round_trip_and_refuse_other_words() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
    }
    for text in ["", "National", "root", "global "] {
        assert!(text.parse::<Role>().is_err(), "{text:?}");
    }
}

#[test]
fn names_compose_into_dns_names_and_spiffe_ids() {
    let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
    let member: MemberId = "RILO-ESA".parse().unwrap();
    let node: NodeName = "hub1".parse().unwrap();
    assert_eq!(domain.node_dns(&member, &node), "hub1.rilo-esa.demo.icomm.example");
    assert_eq!(domain.member_dns(&member), "rilo-esa.demo.icomm.example");
    assert_eq!(
        domain.node_spiffe(&member, &node, Role::Regional),
        "spiffe://demo.icomm.example/member/RILO-ESA/node/hub1/role/regional"
    );
    assert_eq!(
        domain.member_spiffe(&member, Role::Regional),
        "spiffe://demo.icomm.example/member/RILO-ESA/role/regional"
    );
}

#[test]
fn an_error_quotes_no_control_characters_and_no_megabytes() {
    let InvalidName::Member(quoted) = format!("\u{1b}[2J{}", "x".repeat(1 << 20))
        .parse::<MemberId>()
        .unwrap_err()
    else {
        panic!("wrong variant")
    };
    assert!(quoted.len() < 100 && !quoted.contains('\u{1b}'), "{quoted}");
}

#[test]
fn peer_ids_are_dns_labels_as_libp2p_writes_them() {
    // The example of libp2p's peer-ids.md; its base36 CID computed independently, in Python.
    let peer_id: PeerId = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA".parse().unwrap();
    let label = peer::dns_label(&peer_id).unwrap();
    assert_eq!(label, "k51qzi5uqu5dhdmyb9bd18pypu2wp5lpv2xnskfmrqa4lb5knqryrotb05e7or");
    assert!(is_dns_label(&label));
    assert_eq!(peer::from_dns_label(&label), Some(peer_id));
    let of_rsa: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
    assert_eq!(peer::dns_label(&of_rsa), None);
    for label in [
        "",
        "k",
        "k51qzi5uqu5d",
        &label[1..],
        &label.to_uppercase(),
        &format!("{label}0"),
        &"k".repeat(62),
    ] {
        assert_eq!(peer::from_dns_label(label), None, "{label}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn peer_labels_round_trip(seed: [u8; 32]) {
        let secret = libp2p_identity::ed25519::SecretKey::try_from_bytes(seed).unwrap();
        let key: libp2p_identity::Keypair = libp2p_identity::ed25519::Keypair::from(secret).into();
        let peer_id = key.public().to_peer_id();
        prop_assert_eq!(peer::from_dns_label(&peer::dns_label(&peer_id).unwrap()), Some(peer_id));
    }
}
