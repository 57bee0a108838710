//! Round trips of keys and signatures, keys that are none, and the Wycheproof and CCTV vectors.

// Written past the capture of test output: a test that did not run says so.
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use proptest::prelude::*;
use serde_json::Value;
use std::io::Write as _;

use super::*;

/// Vectors of third parties, kept beside the project and not in it.
fn vectors(file: &str) -> Option<Value> {
    let path = format!("{}/../../shared/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: no test vectors at `{path}`");
    }
    text.ok().map(|text| serde_json::from_str(&text).unwrap())
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    HEX.decode(value[field].as_str().unwrap().as_bytes()).unwrap()
}

/// Whether our types, from bytes to verdict, accept a signature.
fn accepts(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = key
        .try_into()
        .ok()
        .and_then(|key| MemberPublicKey::from_bytes(&key).ok());
    let signature = Signature::try_from(signature).ok();
    key.zip(signature)
        .is_some_and(|(key, signature)| key.verify_raw(message, &signature).is_ok())
}

#[test]
fn wycheproof_ed25519() {
    let Some(suite) = vectors("wycheproof_ed25519.json") else {
        return;
    };
    let mut seen = 0;
    for group in suite["testGroups"].as_array().unwrap() {
        let key = bytes(&group["publicKey"], "pk");
        for case in group["tests"].as_array().unwrap() {
            let expected = case["result"] == "valid";
            assert_eq!(
                accepts(&key, &bytes(case, "msg"), &bytes(case, "sig")),
                expected,
                "case {}",
                case["tcId"]
            );
            seen += 1;
        }
    }
    assert_eq!(seen, suite["numberOfTests"]);
}

#[test]
fn cctv_ed25519() {
    let Some(suite) = vectors("cctv_ed25519.json") else {
        return;
    };
    let refused_always = [
        "low_order_R",
        "low_order_A",
        "non_canonical_R",
        "non_canonical_A",
        "low_order_residue",
    ];
    let mut accepted = 0;
    for case in suite.as_array().unwrap() {
        let message = case["msg"].as_str().unwrap().as_bytes();
        let accepts = accepts(&bytes(case, "key"), message, &bytes(case, "sig"));
        let flags = case["flags"].as_array();
        let refused = flags.is_some_and(|flags| flags.iter().any(|f| refused_always.contains(&f.as_str().unwrap())));
        assert!(
            !(accepts && refused),
            "case {} with {:?}",
            case["number"],
            case["flags"]
        );
        accepted += usize::from(accepts);
    }
    // What dalek's strict verification accepts of this suite; a change means that the rule changed.
    assert_eq!(accepted, 43);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn member_keys_and_signatures_round_trip(seed: [u8; 32], message: Vec<u8>) {
        let key = MemberKey::from_seed(&seed);
        let again = MemberKey::from_pkcs8_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
        let public = key.public();
        prop_assert_eq!(again.public(), public);
        prop_assert_eq!(MemberPublicKey::from_base64(&public.to_base64()).unwrap(), public);
        prop_assert_eq!(
            serde_json::from_str::<MemberPublicKey>(&serde_json::to_string(&public).unwrap()).unwrap(),
            public,
        );
        let signature = key.sign(Domain::Receipt, &message).unwrap();
        prop_assert_eq!(
            serde_json::from_str::<Signature>(&serde_json::to_string(&signature).unwrap()).unwrap(),
            signature,
        );
        prop_assert!(public.verify(Domain::Receipt, &message, &signature).is_ok());
    }

    #[test]
    fn a_signature_fits_its_own_message_domain_and_key_only(
        message in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, flip in 1u8..,
    ) {
        let (key, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let signature = key.sign(Domain::Agreement, &message).unwrap();
        for domain in Domain::ALL {
            let verdict = key.public().verify(domain, &message, &signature);
            prop_assert_eq!(verdict.is_ok(), domain == Domain::Agreement);
        }
        prop_assert!(key.public().verify_raw(&message, &signature).is_err());
        prop_assert!(other.public().verify(Domain::Agreement, &message, &signature).is_err());
        let mut changed = message.clone();
        changed[at.index(message.len())] ^= flip;
        prop_assert!(key.public().verify(Domain::Agreement, &changed, &signature).is_err());
        let mut bent = *signature.as_bytes();
        bent[at.index(64)] ^= flip;
        prop_assert!(key.public().verify(Domain::Agreement, &message, &Signature::from_bytes(bent)).is_err());
    }

    #[test]
    fn no_pem_text_panics(text in "(-----BEGIN PRIVATE KEY-----\n)?[A-Za-z0-9+/=\n]{0,120}(\n-----END PRIVATE KEY-----)?") {
        prop_assert!(MemberKey::from_pkcs8_pem(&text).is_err());
        prop_assert!(NodeKey::from_pem(&text).is_err());
    }
}

#[test]
fn node_keys_round_trip() {
    let key = NodeKey::generate().unwrap();
    let again = NodeKey::from_pem(&key.to_pem()).unwrap();
    assert_eq!(again.peer_id(), key.peer_id());
    assert_eq!(again.to_pem(), key.to_pem());
    assert_ne!(NodeKey::generate().unwrap().peer_id(), key.peer_id());
}

#[test]
fn keys_are_written_as_pkcs8_version_1() {
    // 30 len 02 01 VERSION: OpenSSL 3.0, GnuTLS and Node refuse version 2 (1 on the wire).
    let member = MemberKey::generate().unwrap().to_pkcs8_pem().unwrap();
    let [der] = pem_ders(&member);
    assert_eq!(&der[..5], b"\x30\x2e\x02\x01\x00");
    let [tls, p2p] = pem_ders(&NodeKey::generate().unwrap().to_pem());
    assert_eq!(&p2p[..5], b"\x30\x2e\x02\x01\x00");
    assert_eq!((tls[0], &tls[3..6]), (0x30, &b"\x02\x01\x00"[..]));
}

fn pem_ders<const N: usize>(text: &str) -> [Vec<u8>; N] {
    crate::pem::private_keys(text)
        .unwrap()
        .map(|key| key.secret_pkcs8_der().to_vec())
}

#[test]
fn texts_that_are_no_keys() {
    let member = MemberKey::generate().unwrap().to_pkcs8_pem().unwrap();
    let node = NodeKey::generate().unwrap().to_pem();
    assert!(matches!(
        MemberKey::from_pkcs8_pem(""),
        Err(InvalidKey::Count { found: 0, expected: 1 })
    ));
    assert!(matches!(
        MemberKey::from_pkcs8_pem(&node),
        Err(InvalidKey::Count { found: 2, expected: 1 })
    ));
    assert!(matches!(
        NodeKey::from_pem(&member),
        Err(InvalidKey::Count { found: 1, expected: 2 })
    ));
    let twice = [member.as_str(), member.as_str()].concat();
    assert!(matches!(
        NodeKey::from_pem(&twice),
        Err(InvalidKey::Algorithm { wanted: "a P-256" })
    ));
    let cut = &member[..member.len() - 30];
    assert!(matches!(MemberKey::from_pkcs8_pem(cut), Err(InvalidKey::Pem(_))));
    let tls = node.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap();
    assert!(matches!(
        MemberKey::from_pkcs8_pem(tls),
        Err(InvalidKey::Algorithm { wanted: "an Ed25519" })
    ));
}

#[test]
fn bytes_that_are_no_public_keys() {
    let one = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    let second_spelling = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xf0;
        bytes[31] = 0x7f;
        bytes
    };
    for bytes in [[0; 32], one, [0xff; 32], second_spelling] {
        assert!(
            matches!(MemberPublicKey::from_bytes(&bytes), Err(InvalidKey::Point)),
            "{bytes:?}"
        );
    }
    for text in ["", "AAAA", "!", &"A".repeat(1 << 20), &"A".repeat(44)] {
        assert!(MemberPublicKey::from_base64(text).is_err());
        assert!(Signature::from_base64(text).is_err());
    }
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", MemberKey::generate().unwrap()), "MemberKey(..)");
    assert_eq!(format!("{:?}", NodeKey::generate().unwrap()), "NodeKey(..)");
}

#[test]
fn domains_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = Domain::ALL.iter().map(|domain| domain.name()).collect();
    assert_eq!(names.len(), Domain::ALL.len());
    assert_eq!(Domain::Bundle.frame(b"x"), b"icomm-signature/v1 bundle\0x");
}
