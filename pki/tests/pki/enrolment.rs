//! From keys to certificates and back from files, and the requests and answers that must be refused.

use icomm_pki::*;
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn domain() -> TrustDomain {
    "demo.icomm.example".parse().unwrap()
}

fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

fn root() -> Authority {
    Authority::root(
        &domain(),
        &id("WCO"),
        AuthorityKey::generate().unwrap(),
        Validity::days(NOW, 3650).unwrap(),
    )
    .unwrap()
}

fn office(root: &Authority, region: &[&str]) -> Authority {
    let key = AuthorityKey::generate().unwrap();
    let request = AuthorityRequest::new(&key, &domain(), &id("RILO-ESA")).unwrap();
    let region: Vec<_> = region.iter().map(|member| id(member)).collect();
    let chain = root
        .certify(&request, &region, Validity::days(NOW, 1825).unwrap())
        .unwrap();
    Authority::new(key, chain).unwrap()
}

struct Applicant {
    member_key: MemberKey,
    node_key: NodeKey,
    request: EnrolmentRequest,
}

fn applicant(member: &str) -> Applicant {
    let (member_key, node_key) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
    let node = "node1".parse().unwrap();
    let request = EnrolmentRequest::new(&domain(), &id(member), &node, &member_key, &node_key).unwrap();
    Applicant {
        member_key,
        node_key,
        request,
    }
}

fn year() -> Validity {
    Validity::days(NOW, 365).unwrap()
}

#[test]
fn a_member_enrols_and_every_file_reads_back() {
    let root = Authority::from_pem(&root().to_pem()).unwrap();
    let office = Authority::from_pem(&office(&root, &["KE", "UG"]).to_pem()).unwrap();
    assert_eq!(office.root_certificate(), root.certificate());
    assert_eq!(office.certificate().member(), &id("RILO-ESA"));
    assert!(office.certificate().permits(&id("KE")) && !office.certificate().permits(&id("ES")));

    let applicant = applicant("KE");
    let request = EnrolmentRequest::from_pem(&applicant.request.to_pem()).unwrap();
    assert_eq!(request.fingerprint(), applicant.request.fingerprint());
    assert_eq!((request.member(), request.node().as_str()), (&id("KE"), "node1"));
    assert_eq!(request.member_key(), applicant.member_key.public());
    assert_eq!(request.peer_id(), applicant.node_key.peer_id());

    let enrolment = office.issue(&request, Role::National, year()).unwrap();
    let text = enrolment.to_pem();
    assert!(!text.contains("PRIVATE"));
    assert_eq!(Enrolment::from_pem(&text).unwrap(), enrolment);
    let credentials = NodeCredentials::from_pem(
        &text,
        &applicant.member_key.to_pkcs8_pem().unwrap(),
        &applicant.node_key.to_pem(),
    )
    .unwrap();
    assert_eq!(
        (credentials.role(), credentials.node_chain().len()),
        (Role::National, 2)
    );
    let expiries = credentials.expiries();
    assert_eq!(expiries.len(), 4);
    assert_eq!(expiries[0].at, NOW + Duration::days(365));
    assert_eq!(
        expiries[3],
        Expiry {
            at: NOW + Duration::days(3650),
            what: Expiring::Root
        }
    );
}

#[test]
fn the_root_enrols_members_directly() {
    let root = root();
    for (member, role) in [
        ("WCO", Role::Global),
        ("RILO-ESA", Role::Regional),
        ("INTERPOL", Role::Partner),
    ] {
        let enrolment = root.issue(&applicant(member).request, role, year()).unwrap();
        assert_eq!((enrolment.role(), enrolment.node_chain().len()), (role, 1));
        assert_eq!(Enrolment::from_pem(&enrolment.to_pem()).unwrap(), enrolment);
    }
}

#[test]
fn renewal_gives_another_serial_number_and_the_same_keys() {
    let (root, applicant) = (root(), applicant("KE"));
    let first = root.issue(&applicant.request, Role::National, year()).unwrap();
    let second = root
        .issue(&applicant.request, Role::National, Validity::days(NOW, 366).unwrap())
        .unwrap();
    assert_eq!(first.member_certificate().key(), second.member_certificate().key());
    assert_ne!(
        first.member_certificate().serial(),
        second.member_certificate().serial()
    );
    assert_ne!(first.node_certificate().serial(), second.node_certificate().serial());
    assert_ne!(first.node_certificate().serial(), first.member_certificate().serial());
    let serial = first.node_certificate().serial();
    assert_eq!(&serial.to_string().to_uppercase().parse::<Serial>().unwrap(), serial);
}

#[test]
fn an_authority_does_not_issue_beyond_its_power() {
    let root = root();
    let office = office(&root, &["KE"]);
    let ends = Validity::days(NOW, 3651).unwrap();
    let other = Authority::root(
        &"other.example".parse().unwrap(),
        &id("WCO"),
        AuthorityKey::generate().unwrap(),
        Validity::days(NOW, 3650).unwrap(),
    )
    .unwrap();
    let (ke, es) = (applicant("KE").request, applicant("ES").request);
    assert!(matches!(
        root.issue(&ke, Role::National, ends),
        Err(IssueError::Validity { .. })
    ));
    assert!(matches!(
        other.issue(&ke, Role::National, year()),
        Err(IssueError::TrustDomain { .. })
    ));
    assert!(matches!(
        office.issue(&es, Role::National, year()),
        Err(IssueError::OutsideRegion { .. })
    ));
    for role in [Role::Regional, Role::Global, Role::Partner] {
        assert!(matches!(
            office.issue(&ke, role, year()),
            Err(IssueError::RoleNeedsRoot { .. })
        ));
    }
    let key = AuthorityKey::generate().unwrap();
    let request = AuthorityRequest::new(&key, &domain(), &id("RILO-ESA")).unwrap();
    assert!(matches!(
        office.certify(&request, &[id("KE")], year()),
        Err(IssueError::NotRoot)
    ));
    assert!(matches!(
        root.certify(&request, &[], year()),
        Err(IssueError::RegionSize(0))
    ));
    let many: Vec<_> = (0..=REGION_MEMBERS_MAX).map(|n| id(&format!("M{n}"))).collect();
    assert!(matches!(
        root.certify(&request, &many, year()),
        Err(IssueError::RegionSize(129))
    ));
    assert!(root.certify(&request, &many[1..], year()).is_ok());
}

#[test]
fn files_of_two_authorities_do_not_mix() {
    let (root, stranger) = (root(), root());
    let chain = |authority: &Authority| vec![authority.certificate().der().clone()];
    let key = AuthorityKey::generate().unwrap();
    assert!(matches!(
        Authority::new(key.clone(), chain(&root)),
        Err(InvalidAuthority::OtherKey)
    ));
    let office = office(&root, &["KE"]);
    assert!(matches!(
        Authority::new(key.clone(), chain(&office)),
        Err(InvalidAuthority::Chain)
    ));
    let mixed = vec![office.certificate().der().clone(), stranger.certificate().der().clone()];
    assert!(matches!(
        Authority::new(key.clone(), mixed),
        Err(InvalidAuthority::Chain)
    ));
    assert!(matches!(Authority::new(key, vec![]), Err(InvalidAuthority::Chain)));
    assert!(matches!(
        Authority::from_pem(""),
        Err(InvalidAuthority::Key(InvalidKey::Count { found: 0, .. }))
    ));
}

#[test]
fn an_authority_request_reads_back_and_a_changed_one_is_refused() {
    let key = AuthorityKey::from_pem(&AuthorityKey::generate().unwrap().to_pem()).unwrap();
    let request = AuthorityRequest::new(&key, &domain(), &id("RILO-ESA")).unwrap();
    let again = AuthorityRequest::from_pem(&request.to_pem()).unwrap();
    assert_eq!(
        (again.member(), again.fingerprint()),
        (&id("RILO-ESA"), request.fingerprint())
    );
    assert!(matches!(
        AuthorityRequest::from_pem(""),
        Err(InvalidAuthorityRequest::Encoding)
    ));
    let twice = request.to_pem().repeat(2);
    assert!(matches!(
        AuthorityRequest::from_pem(&twice),
        Err(InvalidAuthorityRequest::Encoding)
    ));
    // A member's request has an Ed25519 key.
    let member = blocks(&applicant("KE").request.to_pem())[0].clone();
    assert!(matches!(
        AuthorityRequest::from_pem(&member),
        Err(InvalidAuthorityRequest::Key)
    ));
}

/// The PEM blocks of a text.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.split_inclusive('\n') {
        blocks.last_mut().unwrap().push_str(line);
        if line.starts_with("-----END") {
            blocks.push(String::new());
        }
    }
    blocks.pop();
    blocks
}

#[test]
fn requests_that_are_refused() {
    let (ke, ug) = (applicant("KE"), applicant("UG"));
    let [member, node, statement] = blocks(&ke.request.to_pem()).try_into().unwrap();
    let [other_member, other_node, other_statement]: [String; 3] = blocks(&ug.request.to_pem()).try_into().unwrap();
    let refused = |parts: &[&str]| EnrolmentRequest::from_pem(&parts.concat()).unwrap_err();

    assert!(matches!(refused(&[]), InvalidRequest::Blocks));
    assert!(matches!(refused(&[&member, &node]), InvalidRequest::Blocks));
    assert!(matches!(refused(&[&member, &statement]), InvalidRequest::Blocks));
    assert!(matches!(
        refused(&[&member, &node, &statement, &statement]),
        InvalidRequest::Blocks
    ));
    assert!(matches!(
        refused(&[&member, &node, &member, &statement]),
        InvalidRequest::Blocks
    ));
    assert!(matches!(refused(&[&node, &member, &statement]), InvalidRequest::Names));
    assert!(matches!(
        refused(&[&member, &other_node, &statement]),
        InvalidRequest::Names
    ));
    assert!(matches!(
        refused(&[&other_member, &node, &statement]),
        InvalidRequest::Names
    ));
    assert!(matches!(
        refused(&[&member, &node, &other_statement]),
        InvalidRequest::PeerSignature
    ));
    assert!(matches!(
        refused(&[&"x".repeat(1 << 20)]),
        InvalidRequest::TooLarge { .. }
    ));
    assert!(matches!(
        refused(&[&member, &member, &statement]),
        InvalidRequest::Names
    ));
}

#[test]
fn nobody_can_pair_a_members_request_with_a_node_of_his_own() {
    // The thief asks for a node of KE with a member key of his own, then puts KE's published member request in.
    let (ke, thief) = (applicant("KE"), applicant("KE"));
    let [member, _, _]: [String; 3] = blocks(&ke.request.to_pem()).try_into().unwrap();
    let [_, node, statement]: [String; 3] = blocks(&thief.request.to_pem()).try_into().unwrap();
    let paired: [String; 3] = [member, node, statement];
    let refused = EnrolmentRequest::from_pem(&paired.concat()).unwrap_err();
    assert!(
        matches!(refused, InvalidRequest::PeerSignature | InvalidRequest::MemberSignature),
        "{refused}"
    );
}

#[test]
fn a_flipped_bit_anywhere_in_a_request_is_refused() {
    let text = applicant("KE").request.to_pem();
    let original = EnrolmentRequest::from_pem(&text).unwrap().fingerprint();
    let lines: Vec<_> = text
        .match_indices(|c: char| c.is_ascii_alphanumeric())
        .map(|(at, _)| at)
        .collect();
    for at in lines.into_iter().step_by(7) {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // Padding bits of the last base64 character may change without changing a byte.
        if let Ok(request) = EnrolmentRequest::from_pem(&changed) {
            assert_eq!(request.fingerprint(), original, "accepted a change at {at}");
        }
    }
}

#[test]
fn enrolments_that_are_refused() {
    let (root, stranger) = (root(), root());
    let ke = root.issue(&applicant("KE").request, Role::National, year()).unwrap();
    let ug = root.issue(&applicant("UG").request, Role::National, year()).unwrap();
    let foreign = stranger
        .issue(&applicant("KE").request, Role::National, year())
        .unwrap();
    let partner = root.issue(&applicant("KE").request, Role::Partner, year()).unwrap();
    let ([member, node, top], [_, other_node, _]): ([String; 3], [String; 3]) = (
        blocks(&ke.to_pem()).try_into().unwrap(),
        blocks(&ug.to_pem()).try_into().unwrap(),
    );
    let refused = |parts: &[&str]| Enrolment::from_pem(&parts.concat()).unwrap_err();

    assert!(matches!(
        refused(&[&member, &node]),
        InvalidEnrolment::Count { found: 2 }
    ));
    assert!(matches!(
        refused(&[&member, &node, &top, &top, &top]),
        InvalidEnrolment::Count { found: 5 }
    ));
    assert!(matches!(
        refused(&[&member, &other_node, &top]),
        InvalidEnrolment::Mixed
    ));
    assert!(matches!(
        refused(&[&member, &blocks(&foreign.to_pem())[1], &top]),
        InvalidEnrolment::Mixed
    ));
    assert!(matches!(
        refused(&[&member, &blocks(&partner.to_pem())[1], &top]),
        InvalidEnrolment::Mixed
    ));
    assert!(matches!(
        refused(&[&member, &node, &blocks(&foreign.to_pem())[2]]),
        InvalidEnrolment::Mixed
    ));
    assert!(matches!(
        refused(&[&member, &node, &top, &top]),
        InvalidEnrolment::Mixed
    ));
    let place = |error| match error {
        InvalidEnrolment::Certificate { place, source } => (place, source),
        other => panic!("{other}"),
    };
    let (wanted, source) = place(refused(&[&node, &member, &top]));
    assert_eq!(
        (wanted, source),
        ("member", InvalidCertificate::ExtendedKeyUsage { expected: "absent" })
    );
    assert_eq!(
        place(refused(&[&member, &top, &top])),
        ("node", InvalidCertificate::IsAuthority)
    );
    assert_eq!(
        place(refused(&[&member, &node, &node])),
        ("root", InvalidCertificate::NotAuthority)
    );
}

#[test]
fn credentials_refuse_keys_that_are_not_certified() {
    let (root, ke) = (root(), applicant("KE"));
    let enrolment = root.issue(&ke.request, Role::National, year()).unwrap();
    let other = applicant("KE");
    let new =
        |member: &MemberKey, node: &NodeKey| NodeCredentials::new(enrolment.clone(), member.clone(), node.clone());
    assert!(new(&ke.member_key, &ke.node_key).is_ok());
    let member = new(&other.member_key, &ke.node_key).unwrap_err();
    assert!(
        matches!(member, InvalidCredentials::OtherKey { which: "member" }),
        "{member}"
    );
    let node = new(&ke.member_key, &other.node_key).unwrap_err();
    assert!(
        matches!(node, InvalidCredentials::OtherKey { which: "node TLS" }),
        "{node}"
    );
    let swapped = [
        &blocks(&ke.node_key.to_pem())[0][..],
        &blocks(&other.node_key.to_pem())[1],
    ]
    .concat();
    let p2p = new(&ke.member_key, &NodeKey::from_pem(&swapped).unwrap()).unwrap_err();
    assert!(
        matches!(p2p, InvalidCredentials::OtherKey { which: "node libp2p" }),
        "{p2p}"
    );
}

#[test]
fn revocation_lists_continue_and_read_back() {
    let (root, stranger) = (root(), root());
    let week = Validity::days(NOW, 7).unwrap();
    let first = root.revocation_list(None, &[], week).unwrap();
    assert_eq!((first.number(), first.revoked().len()), (1, 0));
    let serial = root
        .issue(&applicant("KE").request, Role::National, year())
        .unwrap()
        .node_certificate()
        .serial()
        .clone();
    let revocation = Revocation {
        serial,
        at: NOW,
        reason: RevocationReason::KeyCompromise,
    };
    let first = RevocationList::from_pem(&first.to_pem()).unwrap();
    let second = root
        .revocation_list(Some(&first), std::slice::from_ref(&revocation), week)
        .unwrap();
    let second = RevocationList::from_pem(&second.to_pem()).unwrap();
    assert_eq!((second.number(), second.revoked()), (2, &[revocation.clone()][..]));
    let third = root.revocation_list(Some(&second), &[], week).unwrap();
    assert_eq!((third.number(), third.revoked()), (3, &[revocation.clone()][..]));

    let again = root.revocation_list(Some(&second), &[revocation], week);
    assert!(matches!(again, Err(IssueError::RevokedAlready(_))));
    let foreign = stranger.revocation_list(Some(&second), &[], week);
    assert!(matches!(
        foreign,
        Err(IssueError::PreviousList(InvalidRevocationList::Issuer))
    ));
    assert_eq!(second.verify(root.certificate()), Ok(()));
    assert_eq!(
        second.verify(stranger.certificate()),
        Err(InvalidRevocationList::Issuer)
    );
    let mut der = second.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let bent = RevocationList::parse(der.into()).unwrap();
    assert_eq!(bent.verify(root.certificate()), Err(InvalidRevocationList::Signature));
    assert_eq!(
        RevocationList::from_pem("").unwrap_err(),
        InvalidRevocationList::Encoding
    );
    let large = vec![0; REVOCATION_LIST_BYTES_MAX + 1];
    assert!(matches!(
        RevocationList::parse(large.into()),
        Err(InvalidRevocationList::TooLarge { .. })
    ));
}

#[test]
fn secrets_are_not_printed() {
    let applicant = applicant("KE");
    let root = root();
    let enrolment = root.issue(&applicant.request, Role::National, year()).unwrap();
    let credentials = NodeCredentials::new(enrolment, applicant.member_key, applicant.node_key).unwrap();
    let printed = format!("{credentials:?} {root:?} {:?}", AuthorityKey::generate().unwrap());
    assert!(
        !printed.contains("key:") || printed.contains("MemberPublicKey("),
        "{printed}"
    );
    assert!(printed.ends_with("AuthorityKey(..)"), "{printed}");
}

#[test]
fn validities_that_are_none() {
    assert!(Validity::new(NOW, NOW).is_err());
    assert!(Validity::new(NOW, NOW - Duration::days(1)).is_err());
    assert!(Validity::new(datetime!(1969-01-01 0:00 UTC), NOW).is_err());
    let span = Validity::days(NOW, 1).unwrap();
    assert!(span.contains(NOW) && span.contains(NOW - CLOCK_SKEW_MAX) && span.contains(NOW + Duration::DAY));
    assert!(!span.contains(NOW - CLOCK_SKEW_MAX - Duration::SECOND));
    assert!(!span.contains(NOW + Duration::DAY + Duration::SECOND));
}
