//! Named bad certificates whose path, dates, revocation or place in the directory is wrong. Each is what the real one is
//! but for one thing, and is refused for that one thing.

use icomm_pki::*;
use rcgen::{CertificateParams, KeyPair};
use time::Duration;

use crate::network::{NOW, Network, dns, forge, id, uri};

/// Forges KE's node certificate with one change, and authenticates it.
pub(crate) fn with(edit: impl FnOnce(&Network, &mut CertificateParams)) -> Result<PeerIdentity, InvalidPeer> {
    let network = Network::new();
    let mut params = network.node_params();
    edit(&network, &mut params);
    let certificate = network.forge(&network.tls_key(&network.ke), &params);
    authenticate(&[certificate], &network.verified(), NOW)
}

pub(crate) fn refused(edit: impl FnOnce(&Network, &mut CertificateParams)) -> InvalidPeer {
    with(edit).unwrap_err()
}

/// What is wrong with a certificate's path.
fn path(result: Result<PeerIdentity, InvalidPeer>) -> InvalidPath {
    match result.unwrap_err() {
        InvalidPeer::Path { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn real_certificates_are_accepted() {
    let network = Network::new();
    let bundle = network.verified();
    for node in [&network.wco, &network.hub, &network.ke, &network.ug, &network.es] {
        let peer = authenticate(&node.node_chain(), &bundle, NOW).unwrap();
        assert_eq!(
            (peer.member(), peer.role(), peer.node()),
            (node.member(), node.role(), node.node_name())
        );
        assert_eq!(peer.peer_id(), node.peer_id());
        assert_eq!(peer.serial(), node.enrolment().node_certificate().serial());
        assert_eq!(peer.not_after(), NOW + Duration::days(365));
        assert_eq!(
            authenticate_libp2p(&node.node_chain(), &node.peer_id(), &bundle, NOW),
            Ok(peer)
        );
    }
}

#[test]
fn the_forger_s_unchanged_copy_is_accepted() {
    // So that each refusal below is due to its one change.
    let peer = with(|_, _| {}).unwrap();
    assert_eq!((peer.member(), peer.serial().to_string()), (&id("KE"), "11".repeat(16)));
}

#[test]
fn foreign_root() {
    let (network, foreign) = (Network::new(), Network::new());
    let chain = foreign.ke.node_chain();
    assert_eq!(
        path(authenticate(&chain, &network.verified(), NOW)),
        InvalidPath::UnknownIssuer
    );
    let directly = foreign.es.node_chain();
    assert_eq!(
        path(authenticate(&directly, &network.verified(), NOW)),
        InvalidPath::UnknownIssuer
    );
}

#[test]
fn foreign_key_under_the_authoritys_name() {
    let network = Network::new();
    let stranger = KeyPair::generate().unwrap();
    let tls = network.tls_key(&network.ke);
    let certificate = forge(network.regional.certificate(), &stranger, &tls, &network.node_params());
    let reason = path(authenticate(&[certificate], &network.verified(), NOW));
    assert!(
        matches!(reason, InvalidPath::Signature | InvalidPath::UnknownIssuer),
        "{reason}"
    );
}

#[test]
fn flipped_signature_bit() {
    let network = Network::new();
    let mut der = network.ke.node_chain()[0].to_vec();
    *der.last_mut().unwrap() ^= 1;
    let reason = path(authenticate(&[der.into()], &network.verified(), NOW));
    assert!(
        matches!(reason, InvalidPath::Signature | InvalidPath::UnknownIssuer),
        "{reason}"
    );
}

#[test]
fn signed_by_a_node() {
    let network = Network::new();
    let ke = network.tls_key(&network.ke);
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = network.node_params().distinguished_name;
    let issuer = rcgen::Issuer::new(issuer, &ke);
    let certificate = network.node_params().signed_by(&ke, &issuer).unwrap().into();
    assert_eq!(
        path(authenticate(&[certificate], &network.verified(), NOW)),
        InvalidPath::UnknownIssuer
    );
}

#[test]
fn expired_and_not_yet_valid() {
    let late = with(|_, params| params.not_after = NOW - Duration::SECOND);
    assert_eq!(path(late), InvalidPath::Expired);
    let early = with(|_, params| params.not_before = NOW + Duration::SECOND);
    assert_eq!(path(early), InvalidPath::NotYetValid);
    let network = Network::new();
    let (bundle, chain) = (network.verified(), network.ke.node_chain());
    let before = network.ke.enrolment().node_certificate().validity().not_before() - Duration::SECOND;
    assert_eq!(path(authenticate(&chain, &bundle, before)), InvalidPath::RootDates);
}

#[test]
fn revoked_node() {
    let network = Network::new();
    let serial = network.ke.enrolment().node_certificate().serial().clone();
    let bundle = network
        .verify(&network.sign(&network.bundle_revoking(&[], &[&serial])))
        .unwrap();
    assert_eq!(
        path(authenticate(&network.ke.node_chain(), &bundle, NOW)),
        InvalidPath::Revoked
    );
    assert!(authenticate(&network.ug.node_chain(), &bundle, NOW).is_ok());
    // The same number in another authority's list is another certificate.
    let elsewhere = network
        .verify(&network.sign(&network.bundle_revoking(&[&serial], &[])))
        .unwrap();
    assert!(authenticate(&network.ke.node_chain(), &elsewhere, NOW).is_ok());
}

#[test]
fn revoked_intermediate() {
    let network = Network::new();
    let serial = network.regional.certificate().serial();
    let bundle = network
        .verify(&network.sign(&network.bundle_revoking(&[serial], &[])))
        .unwrap();
    assert_eq!(
        path(authenticate(&network.ke.node_chain(), &bundle, NOW)),
        InvalidPath::Revoked
    );
    assert_eq!(
        path(authenticate(&network.ug.node_chain(), &bundle, NOW)),
        InvalidPath::Revoked
    );
    assert!(authenticate(&network.es.node_chain(), &bundle, NOW).is_ok());
    let unusable: Vec<_> = bundle
        .unusable()
        .map(|(member, reason)| (member.as_str(), reason.clone()))
        .collect();
    assert_eq!(unusable, [("KE", InvalidPath::Revoked), ("UG", InvalidPath::Revoked)]);
}

#[test]
fn revoked_member() {
    let network = Network::new();
    let serial = network.ke.enrolment().member_certificate().serial();
    let bundle = network
        .verify(&network.sign(&network.bundle_revoking(&[], &[serial])))
        .unwrap();
    let reason = authenticate(&network.ke.node_chain(), &bundle, NOW).unwrap_err();
    assert_eq!(
        reason,
        InvalidPeer::Member {
            member: id("KE"),
            source: InvalidPath::Revoked
        }
    );
    assert!(bundle.member(&id("KE")).is_none() && bundle.by_peer_id(&network.ke.peer_id()).is_none());
}

#[test]
fn expired_revocation_list() {
    let network = Network::new();
    let mut bundle = network.bundle();
    let soon = Validity::days(NOW, 1).unwrap();
    bundle.revocation_lists[1] = network.regional.revocation_list(None, &[], soon).unwrap();
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    let chain = network.ke.node_chain();
    assert!(authenticate(&chain, &bundle, NOW + Duration::hours(23)).is_ok());
    let later = NOW + Duration::hours(25);
    assert_eq!(
        path(authenticate(&chain, &bundle, later)),
        InvalidPath::RevocationListExpired
    );
    // Members of the other authority are not affected.
    assert!(authenticate(&network.es.node_chain(), &bundle, later).is_ok());
}

#[test]
fn expired_root() {
    let network = Network::with_root_days(10);
    let mut params = network.node_params();
    let mut bundle = network.bundle();
    bundle.expires = NOW + Duration::days(30);
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    params.not_after = NOW + Duration::days(30);
    let certificate = network.forge_by_root(&network.tls_key(&network.ke), &params);
    assert!(authenticate(std::slice::from_ref(&certificate), &bundle, NOW + Duration::days(9)).is_ok());
    let late = NOW + Duration::days(11);
    assert_eq!(
        path(authenticate(&[certificate], &bundle, late)),
        InvalidPath::RootDates
    );
    assert!(bundle.is_live(NOW) && !bundle.is_live(late));
}

#[test]
fn expired_bundle() {
    let network = Network::new();
    let (bundle, chain) = (network.verified(), network.ke.node_chain());
    let ends = bundle.expires();
    assert!(authenticate(&chain, &bundle, ends).is_ok());
    assert_eq!(
        authenticate(&chain, &bundle, ends + Duration::SECOND),
        Err(InvalidPeer::BundleExpired(ends))
    );
}

#[test]
fn wrong_role() {
    let network = Network::new();
    let mut params = network.node_params();
    params.subject_alt_names[2] = uri("spiffe://demo.icomm.example/member/KE/node/node1/role/partner");
    let certificate = network.forge_by_root(&network.tls_key(&network.ke), &params);
    let reason = authenticate(&[certificate], &network.verified(), NOW).unwrap_err();
    let (certificate, directory) = (Role::Partner, Role::National);
    assert_eq!(
        reason,
        InvalidPeer::Role {
            member: id("KE"),
            certificate,
            directory
        }
    );
}

#[test]
fn role_that_only_the_root_gives() {
    for role in [Role::Regional, Role::Global, Role::Partner] {
        let reason = path(with(|_, params| {
            params.subject_alt_names[2] = uri(&format!("spiffe://demo.icomm.example/member/KE/node/node1/role/{role}"));
        }));
        assert_eq!(reason, InvalidPath::RoleNeedsRoot { role });
    }
}

#[test]
fn all_names_of_another_member() {
    // What a thief of the regional key can make: a certificate of UG's node for a key of his own. Only the directory's
    // libp2p identity stands against it, until the authority is revoked.
    let network = Network::new();
    let label = network.peer_label(&network.ke);
    let mut params = network.node_params();
    params.subject_alt_names = vec![
        dns("node1.ug.demo.icomm.example"),
        dns(&format!("{label}.peer.ug.demo.icomm.example")),
        uri("spiffe://demo.icomm.example/member/UG/node/node1/role/national"),
    ];
    let certificate = network.forge(&KeyPair::generate().unwrap(), &params);
    let reason = authenticate(&[certificate], &network.verified(), NOW).unwrap_err();
    let certificate = network.ke.peer_id();
    let (member, node) = (id("UG"), "node1".parse().unwrap());
    assert_eq!(
        reason,
        InvalidPeer::PeerId {
            member,
            node,
            certificate
        }
    );
}

#[test]
fn name_outside_the_permitted_subtree() {
    let network = Network::new();
    let label = network.peer_label(&network.es);
    let mut params = network.node_params();
    params.subject_alt_names = vec![
        dns("node1.es.demo.icomm.example"),
        dns(&format!("{label}.peer.es.demo.icomm.example")),
        uri("spiffe://demo.icomm.example/member/ES/node/node1/role/national"),
    ];
    let tls = network.tls_key(&network.es);
    let bundle = network.verified();
    let reason = path(authenticate(&[network.forge(&tls, &params)], &bundle, NOW));
    assert_eq!(
        reason,
        InvalidPath::OutsideRegion {
            authority: id("RILO-ESA"),
            member: id("ES")
        }
    );
    // The root may.
    assert!(authenticate(&[network.forge_by_root(&tls, &params)], &bundle, NOW).is_ok());
}

#[test]
fn another_trust_domain() {
    let network = Network::new();
    let label = network.peer_label(&network.ke);
    let mut params = network.node_params();
    params.subject_alt_names = vec![
        dns("node1.ke.other.example"),
        dns(&format!("{label}.peer.ke.other.example")),
        uri("spiffe://other.example/member/KE/node/node1/role/national"),
    ];
    let certificate = network.forge_by_root(&network.tls_key(&network.ke), &params);
    let reason = authenticate(&[certificate], &network.verified(), NOW).unwrap_err();
    assert_eq!(reason, InvalidPeer::TrustDomain("other.example".parse().unwrap()));
}

#[test]
fn peer_id_not_in_the_directory() {
    let network = Network::new();
    let mut bundle = network.bundle();
    let ke = bundle
        .members
        .iter_mut()
        .find(|listing| listing.id == id("KE"))
        .unwrap();
    ke.nodes[0].peer_id = NodeKey::generate().unwrap().peer_id();
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    let reason = authenticate(&network.ke.node_chain(), &bundle, NOW).unwrap_err();
    let (member, node, certificate) = (id("KE"), "node1".parse().unwrap(), network.ke.peer_id());
    assert_eq!(
        reason,
        InvalidPeer::PeerId {
            member,
            node,
            certificate
        }
    );
}

#[test]
fn peer_id_of_another_member() {
    // In the certificate: UG's identity under KE's name.
    let reason = refused(|network, params| {
        let label = network.peer_label(&network.ug);
        params.subject_alt_names[1] = dns(&format!("{label}.peer.ke.demo.icomm.example"));
    });
    assert!(matches!(reason, InvalidPeer::PeerId { .. }), "{reason}");
    // On the connection: KE shows its own certificate on UG's libp2p connection.
    let network = Network::new();
    let connection = network.ug.peer_id();
    let result = authenticate_libp2p(&network.ke.node_chain(), &connection, &network.verified(), NOW);
    let (member, node) = (id("KE"), "node1".parse().unwrap());
    assert_eq!(
        result,
        Err(InvalidPeer::OtherConnection {
            connection,
            member,
            node
        })
    );
}

#[test]
fn member_or_node_not_in_the_directory() {
    let network = Network::new();
    let mut bundle = network.bundle();
    bundle.members.retain(|listing| listing.id != id("KE"));
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    let reason = authenticate(&network.ke.node_chain(), &bundle, NOW).unwrap_err();
    assert_eq!(reason, InvalidPeer::UnknownMember(id("KE")));

    let reason = refused(|network, params| {
        let label = network.peer_label(&network.ke);
        params.subject_alt_names = vec![
            dns("node2.ke.demo.icomm.example"),
            dns(&format!("{label}.peer.ke.demo.icomm.example")),
            uri("spiffe://demo.icomm.example/member/KE/node/node2/role/national"),
        ];
    });
    assert_eq!(
        reason,
        InvalidPeer::UnknownNode {
            member: id("KE"),
            node: "node2".parse().unwrap()
        }
    );
}

#[test]
fn intermediate_that_the_bundle_does_not_name() {
    // A real intermediate of the real root, but no longer, or not yet, published: sending it along does not help.
    let network = Network::new();
    let mut bundle = network.bundle();
    bundle.intermediates.clear();
    bundle.revocation_lists.truncate(1);
    bundle
        .members
        .retain(|listing| listing.id == id("WCO") || listing.id == id("ES"));
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    let chain = network.ke.node_chain();
    assert_eq!(chain.len(), 2);
    assert_eq!(path(authenticate(&chain, &bundle, NOW)), InvalidPath::UnknownIssuer);
}

#[test]
fn chains_of_wrong_length_and_broken_encodings() {
    let network = Network::new();
    let bundle = network.verified();
    let good = network.ke.node_chain();
    assert_eq!(authenticate(&[], &bundle, NOW), Err(InvalidPeer::ChainLength(0)));
    let long = vec![good[0].clone(); CHAIN_LENGTH_MAX + 1];
    assert_eq!(
        authenticate(&long, &bundle, NOW),
        Err(InvalidPeer::ChainLength(CHAIN_LENGTH_MAX + 1))
    );
    let leaf = |der: Vec<u8>| authenticate(&[der.into()], &bundle, NOW).unwrap_err();
    for der in [
        vec![],
        vec![0x30],
        good[0][..100].to_vec(),
        [&good[0][..], &[0]].concat(),
    ] {
        assert_eq!(leaf(der), InvalidPeer::Certificate(InvalidCertificate::Encoding));
    }
    let bytes = CERTIFICATE_BYTES_MAX + 1;
    assert_eq!(
        leaf(vec![0x30; bytes]),
        InvalidPeer::Certificate(InvalidCertificate::TooLarge { bytes })
    );
}

#[test]
fn no_changed_byte_gets_through() {
    // Every byte of a certificate is under its signature or is the signature.
    let network = Network::new();
    let bundle = network.verified();
    let der = network.ke.node_chain()[0].to_vec();
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(
            authenticate(&[changed.into()], &bundle, NOW).is_err(),
            "accepted a change at {at}"
        );
    }
}
