//! Trust bundles: what a good one tells, and the ones that must be refused.

use icomm_pki::*;
use rcgen::KeyPair;
use time::Duration;

use crate::network::{NOW, Network, days, id};

/// Signs whatever the document says, as nobody but a forger would.
pub(crate) fn sign_raw(document: &[u8], member: &str, key: &MemberKey) -> Vec<u8> {
    let signature = key.sign(Domain::Bundle, document).unwrap().to_base64();
    let line = format!(r#"{{"member":"{member}","signature":"{signature}"}}"#);
    [document, b"\n", line.as_bytes(), b"\n"].concat()
}

pub(crate) fn document(bundle: &TrustBundle) -> Vec<u8> {
    serde_json::to_vec(bundle).unwrap()
}

/// Verifies an edited bundle that the true publisher has signed without looking.
pub(crate) fn edited(edit: impl FnOnce(&Network, &mut TrustBundle)) -> Result<VerifiedBundle, InvalidBundle> {
    let network = Network::new();
    let mut bundle = network.bundle();
    edit(&network, &mut bundle);
    network.verify(&sign_raw(&document(&bundle), "WCO", network.wco.member_key()))
}

pub(crate) fn refused(edit: impl FnOnce(&Network, &mut TrustBundle)) -> InvalidBundle {
    edited(edit).unwrap_err()
}

#[test]
fn a_bundle_tells_who_is_who() {
    let network = Network::new();
    let bytes = network.sign(&network.bundle());
    let bundle = network.verify(&bytes).unwrap();
    assert_eq!((bundle.version(), bundle.bytes()), (1, &bytes[..]));
    assert_eq!(
        (bundle.trust_domain(), bundle.publisher()),
        (&network.domain, &id("WCO"))
    );
    assert_eq!((bundle.issued(), bundle.expires()), (NOW, NOW + Duration::days(30)));
    assert_eq!(bundle.code_list("hs"), Some("2022"));
    assert_eq!((bundle.members().len(), bundle.unusable().len()), (5, 0));
    let ke = bundle.member(&id("KE")).unwrap();
    assert_eq!((ke.role, ke.key), (Role::National, network.ke.member_key().public()));
    assert_eq!(ke.regions, [id("RILO-ESA")]);
    let (found, node) = bundle.by_peer_id(&network.ke.peer_id()).unwrap();
    assert_eq!((found, node), (ke, &ke.nodes[0]));
    assert!(bundle.by_peer_id(&NodeKey::generate().unwrap().peer_id()).is_none());
    let region: Vec<_> = bundle
        .members_of_region(&id("RILO-ESA"))
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(region, ["KE", "UG"]);
    assert!(bundle.member(&id("FR")).is_none());
    assert_eq!(
        TrustBundle::from_signed(&bytes).unwrap(),
        network.bundle_with_lists_of(&bytes)
    );

    let expiries = bundle.expiries();
    assert_eq!(
        expiries[0],
        Expiry {
            at: NOW + Duration::days(30),
            what: Expiring::Bundle
        }
    );
    // Bundle, root, intermediate, two lists, five members.
    assert_eq!(expiries.len(), 10);
    assert!(expiries.is_sorted());
}

impl Network {
    /// The bundle again, with the lists that were really signed: ECDSA signatures differ each time.
    fn bundle_with_lists_of(&self, bytes: &[u8]) -> TrustBundle {
        let mut bundle = self.bare_bundle();
        bundle.revocation_lists = self.verify(bytes).unwrap().revocation_lists().to_vec();
        bundle
    }
}

#[test]
fn a_newer_bundle_replaces_an_older_one_only() {
    let network = Network::new();
    let mut bundle = network.bundle();
    let first = network.verify(&network.sign(&bundle)).unwrap();
    bundle.version = 2;
    let second_bytes = network.sign(&bundle);
    let second = first.replaced_by(&second_bytes, NOW).unwrap().unwrap();
    assert_eq!(second.version(), 2);

    assert!(second.replaced_by(&second_bytes, NOW).unwrap().is_none());
    let back = second.replaced_by(first.bytes(), NOW).unwrap_err();
    assert!(
        matches!(
            back,
            InvalidBundle::Older {
                version: 1,
                at_least: 2
            }
        ),
        "{back}"
    );
    let restart = VerifiedBundle::verify(first.bytes(), network.root.certificate().der(), NOW, 2).unwrap_err();
    assert!(
        matches!(
            restart,
            InvalidBundle::Older {
                version: 1,
                at_least: 2
            }
        ),
        "{restart}"
    );

    bundle.code_lists.insert("hs".into(), "2028".into());
    let fork = second.replaced_by(&network.sign(&bundle), NOW).unwrap_err();
    assert!(matches!(fork, InvalidBundle::Fork { version: 2 }), "{fork}");
}

#[test]
fn expired_and_from_the_future() {
    let network = Network::new();
    let bytes = network.sign(&network.bundle());
    let verify = |now| VerifiedBundle::verify(&bytes, network.root.certificate().der(), now, 0);
    assert!(verify(NOW + Duration::days(30)).is_ok());
    let late = verify(NOW + Duration::days(30) + Duration::SECOND).unwrap_err();
    assert!(matches!(late, InvalidBundle::Expired { .. }), "{late}");
    assert!(verify(NOW - CLOCK_SKEW_MAX).is_ok());
    let early = refused(|_, bundle| bundle.issued = NOW + CLOCK_SKEW_MAX + Duration::SECOND);
    assert!(matches!(early, InvalidBundle::NotYetIssued { .. }), "{early}");
    let backwards = refused(|_, bundle| (bundle.issued, bundle.expires) = (NOW + Duration::MINUTE, NOW));
    assert!(matches!(backwards, InvalidBundle::Expired { .. }), "{backwards}");
}

#[test]
fn no_changed_byte_gets_through() {
    let network = Network::new();
    let bytes = network.sign(&network.bundle());
    for at in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 7);
        assert!(network.verify(&changed).is_err(), "accepted a change at {at}");
    }
    for length in (0..bytes.len()).step_by(97) {
        assert!(network.verify(&bytes[..length]).is_err(), "accepted {length} bytes");
    }
}

#[test]
fn a_changed_document_has_a_wrong_signature() {
    let network = Network::new();
    let bytes = network.sign(&network.bundle());
    let text = String::from_utf8(bytes).unwrap();
    let changed = text.replace(r#""version":1,"#, r#""version":9,"#);
    let error = network.verify(changed.as_bytes()).unwrap_err();
    assert!(matches!(error, InvalidBundle::Signature), "{error}");
}

#[test]
fn signed_by_others_than_a_global_member() {
    let network = Network::new();
    let document = document(&network.bundle());
    for (name, node) in [("KE", &network.ke), ("RILO-ESA", &network.hub), ("ES", &network.es)] {
        let error = network
            .verify(&sign_raw(&document, name, node.member_key()))
            .unwrap_err();
        assert!(matches!(error, InvalidBundle::SignerNotGlobal { .. }), "{error}");
    }
    // In the global member's name, but with another key.
    let error = network
        .verify(&sign_raw(&document, "WCO", network.ke.member_key()))
        .unwrap_err();
    assert!(matches!(error, InvalidBundle::Signature), "{error}");
    let error = network
        .verify(&sign_raw(&document, "FR", network.ke.member_key()))
        .unwrap_err();
    assert!(matches!(error, InvalidBundle::UnknownSigner(member) if member == id("FR")));
    // The right key, for another purpose.
    let signature = network
        .wco
        .member_key()
        .sign(Domain::Agreement, &document)
        .unwrap()
        .to_base64();
    let line = format!(r#"{{"member":"WCO","signature":"{signature}"}}"#);
    let error = network
        .verify(&[&document[..], b"\n", line.as_bytes(), b"\n"].concat())
        .unwrap_err();
    assert!(matches!(error, InvalidBundle::Signature), "{error}");
}

#[test]
fn a_member_does_not_become_global_by_writing_so() {
    let network = Network::new();
    let mut bundle = network.bundle();
    bundle
        .members
        .iter_mut()
        .for_each(|listing| listing.role = Role::Global);
    let error = network
        .verify(&sign_raw(&document(&bundle), "KE", network.ke.member_key()))
        .unwrap_err();
    assert!(
        matches!(
            error,
            InvalidBundle::SignerNotGlobal {
                role: Role::National,
                ..
            }
        ),
        "{error}"
    );
    // Nor by another member's certificate.
    let wco = bundle.members[0].certificate.clone();
    bundle
        .members
        .iter_mut()
        .for_each(|listing| listing.certificate = wco.clone());
    let error = network
        .verify(&sign_raw(&document(&bundle), "KE", network.ke.member_key()))
        .unwrap_err();
    assert!(matches!(error, InvalidBundle::SignerNotGlobal { .. }), "{error}");
}

#[test]
fn a_regional_authority_can_not_make_a_global_member() {
    // With the office's key stolen: a certificate of KE as a global member, and a bundle signed with it.
    let network = Network::new();
    let key = MemberKey::generate().unwrap();
    let mut params = crate::network::leaf_params(&["ke.demo.icomm.example"]);
    params
        .subject_alt_names
        .push(crate::network::uri("spiffe://demo.icomm.example/member/KE/role/global"));
    let pair = KeyPair::from_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
    let mut bundle = network.bundle();
    let ke = bundle
        .members
        .iter_mut()
        .find(|listing| listing.id == id("KE"))
        .unwrap();
    (ke.role, ke.certificate) = (Role::Global, network.forge(&pair, &params));
    let error = network.verify(&sign_raw(&document(&bundle), "KE", &key)).unwrap_err();
    let expected = InvalidPath::RoleNeedsRoot { role: Role::Global };
    assert!(
        matches!(&error, InvalidBundle::SignerPath(reason) if *reason == expected),
        "{error}"
    );
    // The root itself could.
    let ke = bundle
        .members
        .iter_mut()
        .find(|listing| listing.id == id("KE"))
        .unwrap();
    ke.certificate = network.forge_by_root(&pair, &params);
    assert!(network.verify(&sign_raw(&document(&bundle), "KE", &key)).is_ok());
}

#[test]
fn revoked_signer() {
    let network = Network::new();
    let serial = network.wco.enrolment().member_certificate().serial();
    let bundle = network.bundle_revoking(&[serial], &[]);
    let error = network
        .verify(&sign_raw(&document(&bundle), "WCO", network.wco.member_key()))
        .unwrap_err();
    assert!(
        matches!(error, InvalidBundle::SignerPath(InvalidPath::Revoked)),
        "{error}"
    );
    let error = bundle.sign(&id("WCO"), network.wco.member_key()).unwrap_err();
    assert!(
        matches!(
            error,
            BundleError::Refused(InvalidBundle::SignerPath(InvalidPath::Revoked))
        ),
        "{error}"
    );
}

#[test]
fn of_another_root() {
    let (network, other) = (Network::new(), Network::new());
    let error = network.verify(&other.sign(&other.bundle())).unwrap_err();
    assert!(matches!(error, InvalidBundle::OtherRoot), "{error}");
    // The true root's certificate, and all else of the other network.
    let mut bundle = other.bundle();
    bundle.root = network.root.certificate().der().clone();
    let error = network
        .verify(&sign_raw(&document(&bundle), "WCO", other.wco.member_key()))
        .unwrap_err();
    assert!(
        matches!(error, InvalidBundle::Trust(InvalidTrust::NotIssuedByRoot(_))),
        "{error}"
    );
    // Without the other network's authorities, its members hang in the air.
    bundle.intermediates.clear();
    bundle.revocation_lists = vec![network.root.revocation_list(None, &[], days(30)).unwrap()];
    let error = network
        .verify(&sign_raw(&document(&bundle), "WCO", other.wco.member_key()))
        .unwrap_err();
    assert!(
        matches!(error, InvalidBundle::SignerPath(InvalidPath::UnknownIssuer)),
        "{error}"
    );
}

#[test]
fn other_spellings() {
    let network = Network::new();
    let good = document(&network.bundle());
    let key = network.wco.member_key();
    let text = String::from_utf8(good.clone()).unwrap();
    let refused = |text: String| network.verify(&sign_raw(text.as_bytes(), "WCO", key)).unwrap_err();
    assert!(network.verify(&sign_raw(&good, "WCO", key)).is_ok());

    let spaced = refused(text.replacen(r#""version":1"#, r#""version": 1"#, 1));
    assert!(matches!(spaced, InvalidBundle::NotCanonical), "{spaced}");
    let zone = refused(text.replacen("2026-11-23T12:00:00Z", "2026-11-23T12:00:00+00:00", 1));
    assert!(matches!(zone, InvalidBundle::NotCanonical), "{zone}");
    let reordered = refused(
        text.replacen(r#","version":1"#, "", 1)
            .replacen('{', r#"{"version":1,"#, 1),
    );
    assert!(matches!(reordered, InvalidBundle::NotCanonical), "{reordered}");
    for change in [
        (r#""version":1"#, r#""version":1,"extra":true"#),
        (r#""version":1"#, r#""version":-1"#),
    ] {
        let unreadable = refused(text.replacen(change.0, change.1, 1));
        assert!(matches!(unreadable, InvalidBundle::Encoding(Some(_))), "{unreadable}");
    }
    let twice = refused(text.replacen(r#""version":1"#, r#""version":1,"version":2"#, 1));
    assert!(matches!(twice, InvalidBundle::Encoding(Some(_))), "{twice}");
    let format = refused(text.replacen("icomm-bundle/v1", "icomm-bundle/v2", 1));
    assert!(matches!(format, InvalidBundle::Format(format) if format == "icomm-bundle/v2"));
    let nested = refused("[".repeat(100_000));
    assert!(matches!(nested, InvalidBundle::Encoding(Some(_))), "{nested}");
    for bytes in [&b""[..], b"\n", b"{}\n", b"{}\n{}", b"{}\n{}\n{}\n"] {
        assert!(
            matches!(network.verify(bytes), Err(InvalidBundle::Encoding(_))),
            "{bytes:?}"
        );
    }
    let large = vec![b' '; BUNDLE_BYTES_MAX + 1];
    assert!(matches!(network.verify(&large), Err(InvalidBundle::TooLarge { .. })));
}

#[test]
fn a_bundle_states_how_many_witnesses_settle_a_log_and_no_more_than_there_are() {
    let quorum = |witnesses, global| Some(Quorum { witnesses, global });
    let (ke, office) = (id("KE"), id("RILO-ESA"));
    // The WCO and one office: both for anybody's log, the other one for its own.
    let silent = edited(|_, bundle| bundle.quorum = None).unwrap();
    assert_eq!(
        silent.witnesses().map(|entry| entry.id.as_str()).collect::<Vec<_>>(),
        ["RILO-ESA", "WCO"]
    );
    assert_eq!(Some(silent.quorum_for(&ke)), quorum(2, false));
    assert_eq!(Some(silent.quorum_for(&office)), quorum(1, false));
    for stated in [quorum(1, false), quorum(1, true), quorum(2, true)] {
        let bundle = edited(|_, bundle| bundle.quorum = stated).unwrap();
        assert_eq!(Some(bundle.quorum_for(&ke)), stated);
    }
    for beyond in [quorum(0, false), quorum(3, false), quorum(u32::MAX, true)] {
        let error = refused(|_, bundle| bundle.quorum = beyond);
        assert!(matches!(error, InvalidBundle::Quorum { listed: 2, .. }), "{error}");
    }
}
