//! Trust bundles that the true publisher has signed, but whose authorities, revocation lists or directory don't hold.

use icomm_pki::*;
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod};
use time::Duration;

use crate::{
    bundles::{document, refused, sign_raw},
    network::{NOW, Network, days, id},
};

#[test]
fn pinning_something_else_than_a_root() {
    let network = Network::new();
    let mut bundle = network.bundle();
    bundle.root = network.regional.certificate().der().clone();
    bundle.intermediates.clear();
    let bytes = sign_raw(&document(&bundle), "WCO", network.wco.member_key());
    let error = VerifiedBundle::verify(&bytes, network.regional.certificate().der(), NOW, 0).unwrap_err();
    assert!(matches!(error, InvalidBundle::Trust(InvalidTrust::Place(_))), "{error}");
}

#[test]
fn intermediates_that_are_none() {
    let twice = refused(|_, bundle| bundle.intermediates.push(bundle.intermediates[0].clone()));
    assert!(matches!(twice, InvalidBundle::Trust(InvalidTrust::Twice(_))), "{twice}");
    let root = refused(|_, bundle| bundle.intermediates[0] = bundle.root.clone());
    assert!(matches!(root, InvalidBundle::Trust(InvalidTrust::Place(_))), "{root}");
    let leaf = refused(|network, bundle| bundle.intermediates[0] = network.ke.node_chain()[0].clone());
    let InvalidBundle::Certificate {
        place,
        source: InvalidCertificate::NotAuthority,
    } = leaf
    else {
        panic!("{leaf}")
    };
    assert_eq!(place, "intermediate");
    let many = refused(|network, bundle| {
        bundle.intermediates = vec![network.regional.certificate().der().clone(); INTERMEDIATES_MAX + 1];
    });
    assert!(matches!(many, InvalidBundle::Trust(InvalidTrust::TooMany(_))), "{many}");
    let bent = refused(|_, bundle| {
        let mut der = bundle.intermediates[0].to_vec();
        *der.last_mut().unwrap() ^= 1;
        bundle.intermediates[0] = der.into();
    });
    assert!(
        matches!(bent, InvalidBundle::Trust(InvalidTrust::NotIssuedByRoot(_))),
        "{bent}"
    );
}

#[test]
fn crl_issuer_without_crl_sign() {
    // webpki never looks; our authority certificates can't be without.
    let network = Network::new();
    let mut params = crate::network::leaf_params(&[]);
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "demo.icomm.example");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationalUnitName, "RILO-ESA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("ke.demo.icomm.example".into())];
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees,
        excluded_subtrees: vec![],
    });
    let mut bundle = network.bundle();
    bundle.intermediates[0] = network.forge_by_root(&network.regional_key, &params);
    let error = network
        .verify(&sign_raw(&document(&bundle), "WCO", network.wco.member_key()))
        .unwrap_err();
    let InvalidBundle::Certificate { place, source } = error else {
        panic!("{error}")
    };
    let expected = InvalidCertificate::KeyUsage {
        expected: "keyCertSign and cRLSign",
    };
    assert_eq!((place.as_str(), source), ("intermediate", expected));
}

#[test]
fn revocation_lists_missing_foreign_or_twice() {
    let missing = refused(|_, bundle| drop(bundle.revocation_lists.pop()));
    assert!(
        matches!(missing, InvalidBundle::Trust(InvalidTrust::NoList(_))),
        "{missing}"
    );
    let twice = refused(|_, bundle| bundle.revocation_lists.push(bundle.revocation_lists[0].clone()));
    assert!(matches!(twice, InvalidBundle::Trust(InvalidTrust::Twice(_))), "{twice}");
    let foreign = refused(|_, bundle| {
        bundle
            .revocation_lists
            .push(Network::new().root.revocation_list(None, &[], days(30)).unwrap());
    });
    assert!(
        matches!(foreign, InvalidBundle::Trust(InvalidTrust::ForeignList { number: 1 })),
        "{foreign}"
    );
    let bent = refused(|_, bundle| {
        let mut der = bundle.revocation_lists[1].der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        bundle.revocation_lists[1] = RevocationList::parse(der.into()).unwrap();
    });
    let InvalidBundle::Trust(InvalidTrust::List { authority, source }) = bent else {
        panic!("{bent}")
    };
    assert_eq!((authority, source), (id("RILO-ESA"), InvalidRevocationList::Signature));
    // A list in the office's name, signed with the root's key.
    let usurped = refused(|network, bundle| {
        let issuer = Issuer::from_ca_cert_der(network.regional.certificate().der(), &network.root_key).unwrap();
        bundle.revocation_lists[1] = RevocationList::parse(crl_params().signed_by(&issuer).unwrap().into()).unwrap();
    });
    assert!(
        matches!(usurped, InvalidBundle::Trust(InvalidTrust::List { .. })),
        "{usurped}"
    );
}

fn crl_params() -> CertificateRevocationListParams {
    CertificateRevocationListParams {
        this_update: NOW,
        next_update: NOW + Duration::days(1),
        crl_number: 1u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![],
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

#[test]
fn partial_revocation_lists() {
    let network = Network::new();
    let issuer = Issuer::from_ca_cert_der(network.regional.certificate().der(), &network.regional_key).unwrap();
    let mut params = crl_params();
    params.issuing_distribution_point = Some(rcgen::CrlIssuingDistributionPoint {
        distribution_point: rcgen::CrlDistributionPoint {
            uris: vec!["http://crl.example/".into()],
        },
        scope: Some(rcgen::CrlScope::CaCertsOnly),
    });
    let error = RevocationList::parse(params.signed_by(&issuer).unwrap().into()).unwrap_err();
    assert_eq!(
        error,
        InvalidRevocationList::UnknownExtension {
            oid: "2.5.29.28".into()
        }
    );
}

#[test]
fn directories_that_contradict_themselves() {
    let directory = |edit: &dyn Fn(&Network, &mut TrustBundle)| match refused(edit) {
        InvalidBundle::Directory(reason) => reason,
        other => panic!("{other}"),
    };
    let at = |bundle: &TrustBundle, name: &str| bundle.members.iter().position(|m| m.id == id(name)).unwrap();

    let twice = directory(&|_, bundle| bundle.members.push(bundle.members[2].clone()));
    assert_eq!(twice, InvalidDirectory::RepeatedMember(id("KE")));
    let swapped = directory(&|_, bundle| {
        let (ke, ug) = (at(bundle, "KE"), at(bundle, "UG"));
        bundle.members[ke].certificate = bundle.members[ug].certificate.clone();
    });
    assert_eq!(swapped, InvalidDirectory::OtherCertificate(id("KE")));
    let promoted = directory(&|_, bundle| {
        let ke = at(bundle, "KE");
        bundle.members[ke].role = Role::Regional;
    });
    assert_eq!(promoted, InvalidDirectory::OtherCertificate(id("KE")));
    let regionless = directory(&|_, bundle| {
        let es = at(bundle, "ES");
        bundle.members[es].regions = vec![id("KE")];
    });
    assert_eq!(
        regionless,
        InvalidDirectory::UnknownRegion {
            member: id("ES"),
            region: id("KE")
        }
    );
    let peer = directory(&|network, bundle| {
        let ug = at(bundle, "UG");
        bundle.members[ug].nodes[0].peer_id = network.ke.peer_id();
    });
    assert!(matches!(peer, InvalidDirectory::RepeatedPeer(_)), "{peer}");
    let foreign = directory(&|_, bundle| {
        bundle.members[0].nodes[0].peer_id = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
    });
    assert!(matches!(foreign, InvalidDirectory::ForeignPeer(_)), "{foreign}");
    let node = directory(&|_, bundle| {
        let mut second = bundle.members[0].nodes[0].clone();
        second.peer_id = NodeKey::generate().unwrap().peer_id();
        bundle.members[0].nodes.push(second);
    });
    assert!(matches!(node, InvalidDirectory::RepeatedNode { .. }), "{node}");
    let shared = directory(&|network, bundle| {
        let request = EnrolmentRequest::new(
            &network.domain,
            &id("UG"),
            &"node1".parse().unwrap(),
            network.ke.member_key(),
            network.ug.node_key(),
        );
        let enrolment = network
            .regional
            .issue(&request.unwrap(), Role::National, days(300))
            .unwrap();
        let ug = at(bundle, "UG");
        bundle.members[ug] = Listing::new(&enrolment, vec![], vec![]);
    });
    assert_eq!(shared, InvalidDirectory::SharedKey(id("KE"), id("UG")));
}

#[test]
fn directories_beyond_their_limits() {
    let limited = |edit: &dyn Fn(&mut TrustBundle)| match refused(|_, bundle| edit(bundle)) {
        InvalidBundle::Directory(InvalidDirectory::TooMany { max, .. }) => max,
        other => panic!("{other}"),
    };
    let members = limited(&|bundle| bundle.members.resize(MEMBERS_MAX + 1, bundle.members[0].clone()));
    assert_eq!(members, MEMBERS_MAX);
    let nodes = limited(&|bundle| {
        let node = bundle.members[1].nodes[0].clone();
        bundle.members[1].nodes.resize(NODES_MAX + 1, node);
    });
    assert_eq!(nodes, NODES_MAX);
    let regions = limited(&|bundle| bundle.members[1].regions = vec![id("RILO-ESA"); REGIONS_MAX + 1]);
    assert_eq!(regions, REGIONS_MAX);
    let addresses = limited(&|bundle| bundle.members[1].nodes[0].addresses = vec!["x".into(); ADDRESSES_MAX + 1]);
    assert_eq!(addresses, ADDRESSES_MAX);
    let address = limited(&|bundle| bundle.members[1].nodes[0].addresses = vec!["x".repeat(ADDRESS_BYTES_MAX + 1)]);
    assert_eq!(address, ADDRESS_BYTES_MAX);
    let lists = limited(&|bundle| {
        bundle.code_lists = (0..=CODE_LISTS_MAX).map(|n| (n.to_string(), "1".into())).collect();
    });
    assert_eq!(lists, CODE_LISTS_MAX);
}

#[test]
fn one_members_expired_certificate_does_not_take_the_bundle_away() {
    let network = Network::new();
    let request = EnrolmentRequest::new(
        &network.domain,
        &id("UG"),
        &"node1".parse().unwrap(),
        network.ug.member_key(),
        network.ug.node_key(),
    );
    let enrolment = network
        .regional
        .issue(&request.unwrap(), Role::National, days(2))
        .unwrap();
    let mut bundle = network.bundle();
    let ug = bundle
        .members
        .iter_mut()
        .find(|listing| listing.id == id("UG"))
        .unwrap();
    ug.certificate = enrolment.member_certificate().der().clone();
    let bytes = network.sign(&bundle);
    let later = NOW + Duration::days(3);
    let bundle = VerifiedBundle::verify(&bytes, network.root.certificate().der(), later, 0).unwrap();
    let unusable: Vec<_> = bundle.unusable().collect();
    assert_eq!(unusable, [(&id("UG"), &InvalidPath::Expired)]);
    assert!(bundle.member(&id("UG")).is_none());
    assert!(authenticate(&network.ke.node_chain(), &bundle, later).is_ok());
    // And when it expires while the bundle is in use.
    let bundle = network.verify(&bytes).unwrap();
    assert!(authenticate(&network.ug.node_chain(), &bundle, NOW).is_ok());
    let reason = authenticate(&network.ug.node_chain(), &bundle, later).unwrap_err();
    assert_eq!(
        reason,
        InvalidPeer::Member {
            member: id("UG"),
            source: InvalidPath::Expired
        }
    );
}
