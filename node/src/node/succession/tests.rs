//! When a node asks for new certificates by itself.

use icomm_pki::{Authority, AuthorityKey, NodeKey, Role, TrustDomain, Validity};
use time::{Duration, macros::datetime};

use super::*;

const ISSUED: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const DAYS: u16 = 90;

/// A node's credentials, valid for so many days from [`ISSUED`], and its folder of what comes next.
fn node(folder: &std::path::Path) -> (NodeCredentials, Next) {
    let domain: TrustDomain = "test.icomm.example".parse().unwrap();
    let (member, name) = ("KE".parse().unwrap(), "gw1".parse().unwrap());
    let validity = |days| Validity::new(ISSUED, ISSUED + Duration::days(days)).unwrap();
    let root = Authority::root(
        &domain,
        &"WCO".parse().unwrap(),
        AuthorityKey::generate().unwrap(),
        validity(3650),
    )
    .unwrap();
    let (member_key, node_key) = (MemberKey::from_seed(&[7; 32]), NodeKey::generate().unwrap());
    let request = EnrolmentRequest::new(&domain, &member, &name, &member_key, &node_key).unwrap();
    let enrolment = root.issue(&request, Role::National, validity(DAYS.into())).unwrap();
    let config = Config {
        home: folder.to_owned(),
        ..Config::default()
    };
    let credentials = NodeCredentials::new(enrolment, member_key, node_key).unwrap();
    (credentials, Next::of(&config))
}

#[test]
fn certificates_are_asked_for_anew_when_less_than_a_third_of_their_time_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (used, place) = node(folder.path());
    let ends = ISSUED + Duration::days(DAYS.into());
    let third = Duration::days(DAYS.into()) / RENEW_IN_LAST;
    // The member's certificate lasts as long as the node's here.
    for early in [ISSUED, ends - third - Duration::days(1), ends - third] {
        Node::ask_in_time(&place, &used, early).unwrap();
        assert!(!place.folder().exists(), "at {early}");
    }
    Node::ask_in_time(&place, &used, ends - third + Duration::seconds(1)).unwrap();
    let asked = std::fs::read_to_string(place.request()).unwrap();
    let request = EnrolmentRequest::from_pem(&asked).unwrap();
    assert_eq!((request.member(), request.node()), (used.member(), used.node_name()));
    assert_eq!(request.member_key(), used.member_key().public(), "the keys stay");
    // It waits for its answer, and is not written over.
    std::fs::write(place.request(), "on its way").unwrap();
    Node::ask_in_time(&place, &used, ends).unwrap();
    assert_eq!(std::fs::read_to_string(place.request()).unwrap(), "on its way");
}

#[test]
fn it_is_asked_for_after_the_end_too_and_never_while_new_keys_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (used, place) = node(folder.path());
    std::fs::create_dir_all(place.folder()).unwrap();
    let ends = ISSUED + Duration::days(DAYS.into());
    Node::ask_in_time(&place, &used, ends + Duration::days(1)).unwrap();
    assert!(!place.request().exists(), "new keys wait");
    std::fs::remove_dir(place.folder()).unwrap();
    Node::ask_in_time(&place, &used, ends + Duration::days(1)).unwrap();
    assert!(place.request().exists());
}
