//! Named bad certificates that an authority of ours has signed but that don't have the profile of their kind. webpki
//! accepts several of them.

// Written past the capture of test output: a test that did not run says so.
use icomm_pki::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
};
use rustls_pki_types::pem::PemObject;
use std::io::Write as _;

use crate::{
    certificates::refused,
    network::{NOW, Network, dns, forge, id, leaf_params, uri},
};

/// What is wrong with the certificate's profile.
fn profile(edit: impl FnOnce(&Network, &mut CertificateParams)) -> InvalidCertificate {
    match refused(edit) {
        InvalidPeer::Certificate(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_member_name() {
    // The SPIFFE id of one member with the DNS names of another, either way round.
    let spiffe = "spiffe://demo.icomm.example/member/UG/node/node1/role/national";
    let reason = profile(|_, params| params.subject_alt_names[2] = uri(spiffe));
    assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
    let reason = profile(|_, params| params.subject_alt_names[0] = dns("node1.ug.demo.icomm.example"));
    assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
}

#[test]
fn authority_as_leaf() {
    let network = Network::new();
    let bundle = network.verified();
    for authority in [&network.root, &network.regional] {
        let chain = [authority.certificate().der().clone()];
        let reason = authenticate(&chain, &bundle, NOW).unwrap_err();
        assert_eq!(reason, InvalidPeer::Certificate(InvalidCertificate::IsAuthority));
    }
    let reason = profile(|_, params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(reason, InvalidCertificate::IsAuthority);
    assert_eq!(
        profile(|_, params| params.is_ca = IsCa::NoCa),
        InvalidCertificate::MissingExtension("basicConstraints")
    );
}

#[test]
fn key_usage_not_exactly_digital_signature() {
    for usages in [
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement],
        vec![KeyUsagePurpose::KeyEncipherment],
    ] {
        let reason = profile(|_, params| params.key_usages = usages);
        assert_eq!(
            reason,
            InvalidCertificate::KeyUsage {
                expected: "digitalSignature"
            }
        );
    }
    assert_eq!(
        profile(|_, params| params.key_usages.clear()),
        InvalidCertificate::MissingExtension("keyUsage")
    );
}

#[test]
fn extended_key_usage_missing_any_or_other() {
    for usages in [
        vec![],
        vec![Eku::Any],
        vec![Eku::ServerAuth, Eku::ClientAuth, Eku::Any],
        vec![Eku::ServerAuth],
        vec![Eku::ClientAuth],
        vec![Eku::ServerAuth, Eku::ClientAuth, Eku::CodeSigning],
        vec![Eku::ServerAuth, Eku::ClientAuth, Eku::OcspSigning],
        vec![
            Eku::ServerAuth,
            Eku::ClientAuth,
            Eku::Other(vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 2]),
        ],
    ] {
        let reason = profile(|_, params| params.extended_key_usages = usages);
        assert_eq!(
            reason,
            InvalidCertificate::ExtendedKeyUsage {
                expected: "serverAuth and clientAuth"
            }
        );
    }
}

#[test]
fn keys_of_other_kinds() {
    let network = Network::new();
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = network.forge(&key, &network.node_params());
        let reason = authenticate(&[certificate], &network.verified(), NOW).unwrap_err();
        assert_eq!(
            reason,
            InvalidPeer::Certificate(InvalidCertificate::Key { expected: "on P-256" })
        );
    }
}

#[test]
fn signature_of_another_kind() {
    let network = Network::new();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let tls = network.tls_key(&network.ke);
    let certificate = forge(network.regional.certificate(), &ed25519, &tls, &network.node_params());
    let reason = authenticate(&[certificate], &network.verified(), NOW).unwrap_err();
    assert_eq!(reason, InvalidPeer::Certificate(InvalidCertificate::SignatureAlgorithm));
}

#[test]
fn unknown_extensions() {
    for critical in [false, true] {
        let reason = profile(|_, params| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 1], vec![0x05, 0x00]);
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
        });
        assert_eq!(
            reason,
            InvalidCertificate::UnknownExtension {
                oid: "1.3.6.1.4.1.32473.1".into()
            }
        );
    }
}

#[test]
fn repeated_extension() {
    let reason = profile(|_, params| {
        // A second subjectAltName: an empty sequence.
        let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x00]);
        params.custom_extensions.push(second);
    });
    let expected = [
        InvalidCertificate::RepeatedExtension("subjectAltName"),
        InvalidCertificate::Encoding,
    ];
    assert!(expected.contains(&reason), "{reason}");
}

#[test]
fn names_of_other_kinds_or_too_many() {
    let extra = [
        dns("localhost"),
        dns("node2.ke.demo.icomm.example"),
        dns("*.ke.demo.icomm.example"),
        uri("spiffe://demo.icomm.example/member/UG/node/node1/role/national"),
        SanType::IpAddress([127, 0, 0, 1].into()),
        SanType::Rfc822Name("root@demo.icomm.example".try_into().unwrap()),
    ];
    for name in extra {
        let reason = profile(|_, params| params.subject_alt_names.push(name));
        assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
    }
    for at in 0..3 {
        let reason = profile(|_, params| drop(params.subject_alt_names.remove(at)));
        assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
        let reason = profile(|_, params| params.subject_alt_names.push(params.subject_alt_names[at].clone()));
        assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
    }
    assert!(matches!(
        profile(|_, params| params.subject_alt_names.clear()),
        InvalidCertificate::Names(_)
    ));
}

#[test]
fn spiffe_ids_that_are_none() {
    for text in [
        "https://demo.icomm.example/member/KE/node/node1/role/national",
        "spiffe://demo.icomm.example/member/KE/node/node1/role/national/",
        "spiffe://demo.icomm.example/member/KE/node/node1/role/root",
        "spiffe://demo.icomm.example/member/ke/node/node1/role/national",
        "spiffe://demo.icomm.example/member/KE/node/Node1/role/national",
        "spiffe://demo.icomm.example/member/KE/role/national",
        "spiffe://demo.icomm.example/member/KE/node/node1",
        "spiffe:///member/KE/node/node1/role/national",
        "spiffe://demo.icomm.example/member//node/node1/role/national",
        "spiffe://demo.icomm.example/../member/KE/node/node1/role/national",
    ] {
        let reason = profile(|_, params| params.subject_alt_names[2] = uri(text));
        assert!(matches!(reason, InvalidCertificate::Names(_)), "{text}: {reason}");
    }
}

#[test]
fn peer_labels_that_are_none() {
    for label in ["k", "12d3koowabc", &"0".repeat(62), &format!("k{}", "z".repeat(61))] {
        let reason = profile(|_, params| {
            params.subject_alt_names[1] = dns(&format!("{label}.peer.ke.demo.icomm.example"));
        });
        assert!(matches!(reason, InvalidCertificate::Names(_)), "{reason}");
    }
}

#[test]
fn members_certificate_in_a_nodes_place() {
    let network = Network::new();
    let chain = network.ke.enrolment().member_chain();
    let reason = authenticate(&chain, &network.verified(), NOW).unwrap_err();
    assert!(
        matches!(
            reason,
            InvalidPeer::Certificate(InvalidCertificate::ExtendedKeyUsage { .. })
        ),
        "{reason}"
    );
}

#[test]
fn serial_numbers_that_are_none() {
    assert_eq!(
        profile(|_, params| params.serial_number = Some(vec![0x7f; 21].into())),
        InvalidCertificate::Serial
    );
    assert_eq!(
        profile(|_, params| params.serial_number = Some(vec![0].into())),
        InvalidCertificate::Serial
    );
    for text in ["", "0", "00", "xyz", &"1".repeat(42)] {
        assert!(text.parse::<Serial>().is_err(), "{text}");
    }
    assert_eq!("0a:FF".parse::<Serial>().unwrap().to_string(), "0aff");
}

#[test]
fn authority_certificates_outside_of_the_profile() {
    let network = Network::new();
    let key = KeyPair::generate().unwrap();
    let intermediate = |edit: &dyn Fn(&mut CertificateParams)| {
        let mut params = leaf_params(&[]);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "demo.icomm.example");
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationalUnitName, "RILO-ESA");
        params.distinguished_name.push(rcgen::DnType::CommonName, "forged");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(permitted(&["ke.demo.icomm.example"]));
        edit(&mut params);
        AuthorityCertificate::parse(network.forge_by_root(&key, &params))
    };
    let refused = |edit: &dyn Fn(&mut CertificateParams)| intermediate(edit).unwrap_err();
    assert!(intermediate(&|_| {}).unwrap().permits(&id("KE")));

    let usage = InvalidCertificate::KeyUsage {
        expected: "keyCertSign and cRLSign",
    };
    assert_eq!(refused(&|params| params.key_usages.truncate(1)), usage);
    assert_eq!(
        refused(&|params| params.key_usages.push(KeyUsagePurpose::DigitalSignature)),
        usage
    );
    assert_eq!(
        refused(&|params| params.is_ca = IsCa::ExplicitNoCa),
        InvalidCertificate::NotAuthority
    );
    let length = InvalidCertificate::PathLength { expected: 0 };
    assert_eq!(
        refused(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        length
    );
    assert_eq!(
        refused(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1))),
        length
    );
    let unconstrained = refused(&|params| params.name_constraints = None);
    assert!(
        matches!(unconstrained, InvalidCertificate::NameConstraints(_)),
        "{unconstrained}"
    );
    for names in [
        &["demo.icomm.example"][..],
        &[".demo.icomm.example"],
        &["ke.other.example"],
        &["KE.demo.icomm.example"],
        &[""],
    ] {
        let wide = refused(&|params| params.name_constraints = Some(permitted(names)));
        assert!(
            matches!(wide, InvalidCertificate::NameConstraints(_)),
            "{names:?}: {wide}"
        );
    }
    let excluding = refused(&|params| {
        let constraints = params.name_constraints.as_mut().unwrap();
        constraints
            .excluded_subtrees
            .clone_from(&constraints.permitted_subtrees);
    });
    assert!(
        matches!(excluding, InvalidCertificate::NameConstraints(_)),
        "{excluding}"
    );
    let named = refused(&|params| params.subject_alt_names.push(dns("ke.demo.icomm.example")));
    assert!(matches!(named, InvalidCertificate::Names(_)), "{named}");
    let purpose = refused(&|params| params.extended_key_usages.push(Eku::ServerAuth));
    assert_eq!(purpose, InvalidCertificate::ExtendedKeyUsage { expected: "absent" });
    let unnamed = refused(&|params| {
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "not a domain")
    });
    assert!(matches!(unnamed, InvalidCertificate::Names(_)), "{unnamed}");
}

fn permitted(names: &[&str]) -> rcgen::NameConstraints {
    let permitted_subtrees = names
        .iter()
        .map(|name| rcgen::GeneralSubtree::DnsName((*name).to_owned()))
        .collect();
    rcgen::NameConstraints {
        permitted_subtrees,
        excluded_subtrees: vec![],
    }
}

#[test]
fn validity_that_ends_before_it_starts() {
    assert_eq!(
        profile(|_, params| params.not_after = params.not_before),
        InvalidCertificate::Validity
    );
}

#[test]
fn key_identifiers_missing_or_critical() {
    let missing = profile(|_, params| params.use_authority_key_identifier_extension = false);
    assert_eq!(missing, InvalidCertificate::MissingExtension("authorityKeyIdentifier"));
    let critical = profile(|_, params| {
        params.use_authority_key_identifier_extension = false;
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 35], vec![0x30, 0x03, 0x80, 0x01, 0x00]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    assert_eq!(critical, InvalidCertificate::Criticality("authorityKeyIdentifier"));
}

/// x509-limbo's chains are those of the web and have none of our profiles; so none may get in, and where a case is about
/// something that our profile looks at before names, it must be refused for that.
#[test]
fn x509_limbo() {
    let path = format!("{}/../../shared/vectors/limbo.json", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        let _ = writeln!(std::io::stderr(), "skipped: no test vectors at `{path}`");
        return;
    };
    let limbo: serde_json::Value = serde_json::from_str(&text).unwrap();
    let unknown = |oid: &str| InvalidCertificate::UnknownExtension { oid: oid.to_owned() };
    let leaves = [
        ("rfc5280::serial::too-long", InvalidCertificate::Serial),
        ("rfc5280::serial::zero", InvalidCertificate::Serial),
        ("rfc5280::san::malformed", InvalidCertificate::Encoding),
        (
            "rfc5280::duplicate-extensions",
            InvalidCertificate::RepeatedExtension("subjectAltName"),
        ),
        (
            "rfc5280::unknown-critical-extension-ee",
            unknown("1.3.6.1.4.1.55738.666.1"),
        ),
        ("rfc5280::ee-critical-aia-invalid", unknown("1.3.6.1.5.5.7.1.1")),
        (
            "rfc5280::mismatching-signature-algorithm",
            InvalidCertificate::SignatureAlgorithm,
        ),
    ];
    let lists = [
        ("crl::crlnumber-missing", InvalidRevocationList::Incomplete),
        (
            "crl::crlnumber-critical",
            InvalidRevocationList::UnknownExtension {
                oid: "2.5.29.20".into(),
            },
        ),
    ];
    let mut named = 0;
    for case in limbo["testcases"].as_array().unwrap() {
        let name = case["id"].as_str().unwrap();
        let certificate =
            |pem: &serde_json::Value| CertificateDer::from_pem_slice(pem.as_str().unwrap().as_bytes()).unwrap();
        let peer = certificate(&case["peer_certificate"]);
        assert!(MemberCertificate::parse(peer.clone()).is_err(), "{name}");
        let refused = NodeCertificate::parse(peer).unwrap_err();
        if let Some((_, expected)) = leaves.iter().find(|(case, _)| *case == name) {
            assert_eq!(refused, *expected, "{name}");
            named += 1;
        }
        for field in ["trusted_certs", "untrusted_intermediates"] {
            for authority in case[field].as_array().unwrap() {
                assert!(AuthorityCertificate::parse(certificate(authority)).is_err(), "{name}");
            }
        }
        if let Some((_, expected)) = lists.iter().find(|(case, _)| *case == name) {
            let list = RevocationList::from_pem(case["crls"][0].as_str().unwrap()).unwrap_err();
            assert_eq!(list, *expected, "{name}");
            named += 1;
        }
    }
    assert_eq!(named, leaves.len() + lists.len());
}
