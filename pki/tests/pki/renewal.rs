//! Renewal overlaps: old and new certificates, keys and authorities count side by side until the old ones end.

use icomm_pki::*;
use time::Duration;

use crate::network::{NOW, Network, days, id};

#[test]
fn old_and_new_node_certificates_count_side_by_side() {
    let network = Network::new();
    let node = "node1".parse().unwrap();
    let (member_key, node_key) = (network.ke.member_key(), network.ke.node_key());
    let request = EnrolmentRequest::new(&network.domain, &id("KE"), &node, member_key, node_key).unwrap();
    let renewed = network.regional.issue(&request, Role::National, days(700)).unwrap();
    let bundle = network.verified();
    let old = authenticate(&network.ke.node_chain(), &bundle, NOW).unwrap();
    let new = authenticate(&renewed.node_chain(), &bundle, NOW).unwrap();
    assert_ne!(old.serial(), new.serial());
    assert_eq!((old.member(), old.peer_id()), (new.member(), new.peer_id()));
    assert!(new.not_after() > old.not_after());
}

#[test]
fn an_office_replaces_its_key_and_both_authorities_count() {
    let network = Network::new();
    let key = AuthorityKey::generate().unwrap();
    let request = AuthorityRequest::new(&key, &network.domain, &id("RILO-ESA")).unwrap();
    let chain = network
        .root
        .certify(&request, &[id("KE"), id("UG")], days(1000))
        .unwrap();
    let next = Authority::new(key, chain).unwrap();
    let request = EnrolmentRequest::new(
        &network.domain,
        &id("UG"),
        &"node1".parse().unwrap(),
        network.ug.member_key(),
        network.ug.node_key(),
    );
    let by_next = next.issue(&request.unwrap(), Role::National, days(300)).unwrap();

    let mut bundle = network.bundle();
    bundle.intermediates.push(next.certificate().der().clone());
    // Each list finds its authority although both belong to one office.
    let revoked = Revocation {
        serial: by_next.node_certificate().serial().clone(),
        at: NOW,
        reason: RevocationReason::Superseded,
    };
    let empty = next.revocation_list(None, &[], days(300)).unwrap();
    bundle.revocation_lists.push(empty.clone());
    let verified = network.verify(&network.sign(&bundle)).unwrap();
    assert!(authenticate(&network.ke.node_chain(), &verified, NOW).is_ok());
    assert!(authenticate(&by_next.node_chain(), &verified, NOW).is_ok());

    bundle.version = 2;
    bundle.revocation_lists[2] = next.revocation_list(Some(&empty), &[revoked], days(300)).unwrap();
    let verified = verified.replaced_by(&network.sign(&bundle), NOW).unwrap().unwrap();
    assert!(authenticate(&network.ug.node_chain(), &verified, NOW).is_ok());
    let reason = authenticate(&by_next.node_chain(), &verified, NOW).unwrap_err();
    assert!(
        matches!(
            reason,
            InvalidPeer::Path {
                source: InvalidPath::Revoked,
                ..
            }
        ),
        "{reason}"
    );
}

#[test]
fn a_second_node_of_a_member_joins() {
    let network = Network::new();
    let node_key = NodeKey::generate().unwrap();
    let node = "node2".parse().unwrap();
    let request = EnrolmentRequest::new(&network.domain, &id("KE"), &node, network.ke.member_key(), &node_key).unwrap();
    let enrolment = network.regional.issue(&request, Role::National, days(300)).unwrap();
    let mut bundle = network.bundle();
    let ke = bundle
        .members
        .iter_mut()
        .find(|listing| listing.id == id("KE"))
        .unwrap();
    ke.nodes
        .extend(Listing::new(&enrolment, vec![], vec!["tls://10.0.0.2:7443".into()]).nodes);
    let bundle = network.verify(&network.sign(&bundle)).unwrap();
    let peer = authenticate(&enrolment.node_chain(), &bundle, NOW + Duration::DAY).unwrap();
    assert_eq!((peer.member(), peer.node()), (&id("KE"), &node));
    let (entry, listed) = bundle.by_peer_id(&node_key.peer_id()).unwrap();
    assert_eq!(
        (&entry.id, listed.addresses.as_slice()),
        (&id("KE"), &["tls://10.0.0.2:7443".to_owned()][..])
    );
}
