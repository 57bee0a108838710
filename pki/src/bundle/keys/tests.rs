//! What closed, open and stolen keys sign for.

use proptest::prelude::*;

use super::*;
use crate::{Authority, AuthorityKey, EnrolmentRequest, MemberKey, NodeKey, Role, Validity};

const AGREEMENT: &[u8] = b"the text";

/// Certificates of one member for these keys.
fn certificates(seeds: &[u8]) -> Vec<MemberCertificate> {
    let now = time::macros::datetime!(2026-11-23 12:00 UTC);
    let (domain, wco) = ("demo.icomm.example".parse().unwrap(), "WCO".parse().unwrap());
    let year = Validity::days(now, 365).unwrap();
    let root = Authority::root(&domain, &wco, AuthorityKey::generate().unwrap(), year).unwrap();
    let certify = |seed: &u8| {
        let (member, node) = ("KE".parse().unwrap(), "gw1".parse().unwrap());
        let (key, node_key) = (MemberKey::from_seed(&[*seed; 32]), NodeKey::generate().unwrap());
        let request = EnrolmentRequest::new(&domain, &member, &node, &key, &node_key).unwrap();
        let enrolment = root.issue(&request, Role::National, year).unwrap();
        enrolment.member_certificate().clone()
    };
    seeds.iter().map(certify).collect()
}

fn handover(size: u64, root: u8) -> Handover {
    let end = LogEnd {
        size,
        root: [root; 32].into(),
    };
    Handover {
        stolen: false,
        ends: BTreeMap::from([("main".to_owned(), end)]),
        documents: BTreeSet::from([Digest32::of_signed(Domain::Agreement, AGREEMENT)]),
    }
}

/// Key 3 signs now; 2 may still; 1 was handed over at 7 entries.
fn keys() -> MemberKeys {
    let [one, two, three]: [MemberCertificate; 3] = certificates(&[1, 2, 3]).try_into().unwrap();
    let former = vec![FormerKey::new(one, Some(handover(7, 7))), FormerKey::new(two, None)];
    MemberKeys::new(three.key(), former)
}

fn secret(seed: u8) -> MemberKey {
    MemberKey::from_seed(&[seed; 32])
}

#[test]
fn a_closed_key_signs_for_a_log_up_to_its_end_and_there_for_one_root() {
    let keys = keys();
    let may = |seed: u8, log: &str, size, root: u8| keys.may_sign_log(&secret(seed).public(), log, size, &[root; 32]);
    for seed in [2, 3] {
        assert_eq!(may(seed, "main", u64::MAX, 0), Ok(()));
        assert_eq!(may(seed, "any", 1, 0), Ok(()));
    }
    assert_eq!(may(1, "main", 6, 9), Ok(()));
    assert_eq!(may(1, "main", 7, 7), Ok(()));
    let beyond = |end| Err(BeyondHandover { end });
    assert_eq!(may(1, "main", 7, 8), beyond(7), "another history of the same size");
    assert_eq!(may(1, "main", 8, 7), beyond(7));
    assert_eq!(
        may(1, "special", 0, 7),
        beyond(0),
        "a log that the hand-over does not name"
    );
    assert_eq!(may(4, "main", 1, 1), beyond(0), "a stranger");
    assert_eq!(
        keys.signing().collect::<Vec<_>>(),
        [3, 2].map(|seed| secret(seed).public())
    );
    let ends: Vec<u64> = keys.ends_of("main").map(|end| end.size).collect();
    assert_eq!(ends, [7]);
}

#[test]
fn a_closed_key_signs_for_the_documents_that_are_named() {
    let keys = keys();
    let verify =
        |seed: u8, domain: Domain, text: &[u8]| keys.verify(domain, text, &secret(seed).sign(domain, text).unwrap());
    for seed in [1, 2, 3] {
        assert_eq!(verify(seed, Domain::Agreement, AGREEMENT), Ok(()));
    }
    for (domain, text) in [
        (Domain::Agreement, b"another".as_slice()),
        (Domain::Suspension, AGREEMENT),
    ] {
        assert_eq!(verify(1, domain, text), Err(InvalidSignature));
        assert_eq!(verify(2, domain, text), Ok(()));
    }
    assert_eq!(verify(4, Domain::Agreement, AGREEMENT), Err(InvalidSignature));
    let other = secret(1).sign(Domain::Agreement, b"another").unwrap();
    assert!(keys.verify(Domain::Agreement, AGREEMENT, &other).is_err());
}

#[test]
fn only_a_hand_over_that_says_so_makes_a_key_stolen() {
    let mut keys = keys();
    assert!(!keys.is_stolen(&secret(1).public()));
    keys.former[0].handover.as_mut().unwrap().stolen = true;
    assert!(keys.is_stolen(&secret(1).public()));
    assert!(!keys.is_stolen(&secret(2).public()) && !keys.is_stolen(&secret(3).public()));
}

#[test]
fn a_listing_names_each_key_once_and_only_its_members() {
    let [one, two, three]: [MemberCertificate; 3] = certificates(&[1, 2, 3]).try_into().unwrap();
    let ke: MemberId = "KE".parse().unwrap();
    let former = |certificate: &MemberCertificate, handover| FormerKey::new(certificate.clone(), handover);
    let fine = [former(&one, Some(handover(7, 7))), former(&two, None)];
    assert_eq!(check_former(&ke, &three, &fine), Ok(()));
    let repeated = Err(InvalidDirectory::RepeatedKey(ke.clone()));
    assert_eq!(check_former(&ke, &one, &fine), repeated);
    assert_eq!(check_former(&ke, &three, &[fine[0].clone(), fine[0].clone()]), repeated);
    let ug: MemberId = "UG".parse().unwrap();
    assert_eq!(
        check_former(&ug, &three, &fine),
        Err(InvalidDirectory::OtherCertificate(ug.clone()))
    );

    let end = handover(1, 1).ends["main"];
    let many = Handover {
        ends: (0..=HANDOVER_LOGS_MAX).map(|log| (log.to_string(), end)).collect(),
        ..Handover::default()
    };
    let long = Handover {
        ends: BTreeMap::from([("x".repeat(LOG_NAME_BYTES_MAX + 1), end)]),
        ..Handover::default()
    };
    let documents = Handover {
        documents: (0..=HANDOVER_DOCUMENTS_MAX as u64)
            .map(|number| Digest32::of_signed(Domain::Agreement, &number.to_be_bytes()))
            .collect(),
        ..Handover::default()
    };
    for handover in [many, long, documents] {
        let checked = check_former(&ke, &three, &[former(&one, Some(handover))]);
        assert!(matches!(checked, Err(InvalidDirectory::TooMany { .. })), "{checked:?}");
    }
}

proptest! {
    /// Whatever the end is: beyond it nothing, at it one root, below it all.
    #[test]
    fn nothing_counts_beyond_the_end(end: u64, size: u64, same_root: bool) {
        let one = certificates(&[1]).remove(0);
        let keys = MemberKeys::new(secret(3).public(), vec![FormerKey::new(one, Some(handover(end, 1)))]);
        let root = if same_root { 1 } else { 2 };
        let may = keys.may_sign_log(&secret(1).public(), "main", size, &[root; 32]).is_ok();
        prop_assert_eq!(may, size < end || (size == end && same_root));
    }
}
