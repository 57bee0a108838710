//! Proof files: made, read and verified with real certificates; and every way to bend one that we could think of.

use icomm_pki::{Authority, AuthorityKey, AuthorityRequest, Enrolment, EnrolmentRequest, MemberKey, NodeKey, Role};
use icomm_pki::{Listing, TrustBundle, Validity, VerifiedBundle};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::SectionSet;
use crate::log::{Checkpoint, Frontier, inclusion_proof};
use crate::section::SectionKind;
use crate::view::tests::sealed;

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const SECTIONS: [(SectionKind, &[u8]); 2] = [
    (SectionKind::Case, b"\x22\x06harbor"),
    (SectionKind::Persons, b"Quixote"),
];

pub(crate) struct Network {
    pub(crate) root: Authority,
    region: Authority,
    bundle: VerifiedBundle,
    pub(crate) kenya: MemberKey,
    pub(crate) office: MemberKey,
}

/// WCO, its office, and KE certified by the office.
pub(crate) fn network() -> Network {
    let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
    let [wco, office, kenya]: [MemberId; 3] = ["WCO", "RILO-ESA", "KE"].map(|id| id.parse().unwrap());
    let days = |days| Validity::days(NOW, days).unwrap();
    let root = Authority::root(&domain, &wco, AuthorityKey::generate().unwrap(), days(3650)).unwrap();
    let key = AuthorityKey::generate().unwrap();
    let asked = AuthorityRequest::new(&key, &domain, &office).unwrap();
    let certificate = root.certify(&asked, std::slice::from_ref(&kenya), days(1825)).unwrap();
    let region = Authority::new(key, certificate).unwrap();
    let enrol = |authority: &Authority, member: &MemberId, role| -> (Enrolment, MemberKey) {
        let (key, node) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
        let request = EnrolmentRequest::new(&domain, member, &"node1".parse().unwrap(), &key, &node).unwrap();
        (authority.issue(&request, role, days(365)).unwrap(), key)
    };
    let (wco_enrolled, wco_key) = enrol(&root, &wco, Role::Global);
    let (office_enrolled, office_key) = enrol(&root, &office, Role::Regional);
    let (kenya_enrolled, kenya_key) = enrol(&region, &kenya, Role::National);
    let mut bundle = TrustBundle::new(
        1,
        domain.clone(),
        root.certificate().der().clone(),
        NOW,
        NOW + Duration::days(30),
    );
    bundle.intermediates.push(region.certificate().der().clone());
    for authority in [&root, &region] {
        bundle
            .revocation_lists
            .push(authority.revocation_list(None, &[], days(365)).unwrap());
    }
    for enrolled in [&wco_enrolled, &office_enrolled, &kenya_enrolled] {
        bundle.members.push(Listing::new(enrolled, vec![], vec![]));
    }
    let signed = bundle.sign(&wco, &wco_key).unwrap();
    let bundle = VerifiedBundle::verify(&signed, root.certificate().der(), NOW, 0).unwrap();
    Network {
        root,
        region,
        bundle,
        kenya: kenya_key,
        office: office_key,
    }
}

/// The keys of `KE` in a bundle that lists the last of these as current and the first as former.
pub(crate) fn keys_of_kenya(
    keys: &[&MemberKey; 2],
    former: impl FnOnce(CertificateDer<'static>) -> icomm_pki::FormerListing,
) -> std::sync::Arc<icomm_pki::MemberKeys> {
    let domain: TrustDomain = "demo.icomm.example".parse().unwrap();
    let [wco, kenya]: [MemberId; 2] = ["WCO", "KE"].map(|id| id.parse().unwrap());
    let year = Validity::days(NOW, 365).unwrap();
    let root = Authority::root(&domain, &wco, AuthorityKey::generate().unwrap(), year).unwrap();
    let enrol = |member: &MemberId, role, key: &MemberKey| {
        let node = NodeKey::generate().unwrap();
        let request = EnrolmentRequest::new(&domain, member, &"node1".parse().unwrap(), key, &node).unwrap();
        root.issue(&request, role, year).unwrap()
    };
    let publisher = MemberKey::generate().unwrap();
    let [first, last] = keys.map(|key| enrol(&kenya, Role::National, key));
    let certificate = root.certificate().der().clone();
    let mut bundle = TrustBundle::new(1, domain.clone(), certificate, NOW, NOW + Duration::days(9));
    bundle
        .revocation_lists
        .push(root.revocation_list(None, &[], year).unwrap());
    let publishing = enrol(&wco, Role::Global, &publisher);
    bundle.members.push(Listing::new(&publishing, vec![], vec![]));
    let mut listing = Listing::new(&last, vec![], vec![]);
    listing.former = vec![former(first.member_certificate().der().clone())];
    bundle.members.push(listing);
    let signed = bundle.sign(&wco, &publisher).unwrap();
    let bundle = VerifiedBundle::verify(&signed, root.certificate().der(), NOW, 0).unwrap();
    bundle.member(&kenya).unwrap().keys.clone()
}

/// Another network of the same names.
pub(crate) fn another() -> Network {
    network()
}

impl Network {
    /// A second key of `KE`, certified as the first.
    pub(crate) fn successor_of_kenya(&self) -> (MemberKey, MemberPath) {
        let (key, node) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
        let (domain, names) = (
            self.bundle.trust_domain(),
            ("KE".parse().unwrap(), "node1".parse().unwrap()),
        );
        let request = EnrolmentRequest::new(domain, &names.0, &names.1, &key, &node).unwrap();
        let year = Validity::days(NOW, 365).unwrap();
        let enrolment = self.region.issue(&request, Role::National, year).unwrap();
        (key, MemberPath::parse(enrolment.member_chain()).unwrap())
    }

    pub(crate) fn path(&self, member: &str) -> MemberPath {
        MemberPath::of(&member.parse().unwrap(), &self.bundle).unwrap()
    }

    /// A log of three entries, the second proved, cosigned by the office.
    fn proof(&self) -> RecordProof {
        let views: Vec<View> = (0..3).map(|seed| sealed(&SECTIONS, seed)).collect();
        let leaves: Vec<_> = views.iter().map(View::leaf_hash).collect();
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        let line = "demo.icomm.example/KE/main";
        let signed = Checkpoint::of(line, &frontier).sign(&self.kenya).unwrap();
        let mut note = SignedNote::parse(signed.note()).unwrap();
        let name = "demo.icomm.example/RILO-ESA".to_owned();
        let time = u64::try_from(NOW.unix_timestamp()).unwrap();
        note.cosign(&name, &self.office, time).unwrap();
        let inclusion = inclusion_proof(leaves.as_slice(), 1, 3).unwrap();
        let witnesses = vec![(name, self.path("RILO-ESA"))];
        RecordProof::new(note, inclusion, views[1].clone(), self.path("KE"), witnesses)
    }

    fn refusal(&self, proof: &RecordProof) -> InvalidRecordProof {
        proof.verify(self.root.certificate()).unwrap_err()
    }
}

/// The proof made anew from changed parts.
fn remade(proof: &RecordProof, change: impl FnOnce(&mut RecordProof)) -> RecordProof {
    let mut proof = proof.clone();
    change(&mut proof);
    let RecordProof {
        proof: TlogProof { inclusion, note, .. },
        view,
        originator,
        witnesses,
    } = proof;
    let made = RecordProof::new(note, inclusion, view, originator, witnesses);
    // Whatever was bent goes through the file.
    RecordProof::parse(&made.to_bytes()).unwrap()
}

#[test]
fn a_proof_proves_with_the_root_alone() {
    let network = network();
    let proof = network.proof();
    let read = RecordProof::parse(&proof.to_bytes()).unwrap();
    assert_eq!(read, proof);
    let proven = read.verify(network.root.certificate()).unwrap();
    assert_eq!(proven.origin.to_string(), "KE/main");
    assert_eq!((proven.index, proven.size), (1, 3));
    assert_eq!(proven.originator.member().as_str(), "KE");
    assert_eq!(proven.view.view().sections().to_string(), "case+persons");
    let [witness] = proven.witnesses.as_slice() else {
        panic!("one witness")
    };
    assert_eq!(witness.member.as_str(), "RILO-ESA");
    assert!(witness.in_time);
}

#[test]
fn a_section_left_out_changes_nothing_and_is_not_in_the_file() {
    let network = network();
    let proof = remade(&network.proof(), |proof| {
        proof.view = proof.view.redact(SectionSet::open())
    });
    assert!(proof.verify(network.root.certificate()).is_ok());
    let decoded = |proof: &RecordProof| proof.proof.extra.windows(7).any(|bytes| bytes == b"Quixote");
    assert!(!decoded(&proof));
    assert!(decoded(&network.proof()), "else the search would find nothing anywhere");
}

#[test]
fn bent_proofs_are_refused() {
    let network = network();
    let good = network.proof();
    let bent = |change: fn(&mut RecordProof)| network.refusal(&remade(&good, change));

    let other = bent(|proof| proof.view = sealed(&SECTIONS, 9));
    assert!(matches!(other, InvalidRecordProof::Inclusion(_)), "{other}");
    let place = bent(|proof| proof.proof.inclusion.index = 0);
    assert!(matches!(place, InvalidRecordProof::Inclusion(_)), "{place}");
    let short = bent(|proof| proof.proof.inclusion.path.truncate(1));
    assert!(matches!(short, InvalidRecordProof::Inclusion(_)), "{short}");
    let unsigned = bent(|proof| {
        let text = proof.proof.note.text().to_owned();
        proof.proof.note =
            SignedNote::sign(text, "demo.icomm.example/KE/main", &MemberKey::from_seed(&[9; 32])).unwrap();
    });
    assert!(matches!(unsigned, InvalidRecordProof::Checkpoint(_)), "{unsigned}");
    let anonymous = bent(|proof| proof.witnesses[0].0 = "demo.icomm.example/WCO".into());
    assert!(
        matches!(anonymous, InvalidRecordProof::Witness { source: None, .. }),
        "{anonymous}"
    );

    let tampered = remade(&good, |proof| {
        let mut bytes = proof.view.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        proof.view = View::parse(bytes.into()).unwrap();
    });
    assert!(matches!(network.refusal(&tampered), InvalidRecordProof::Tampered(_)));
    let accused = remade(&good, |proof| proof.originator = network.path("RILO-ESA"));
    assert!(matches!(
        network.refusal(&accused),
        InvalidRecordProof::Originator { .. }
    ));
    let uncosigned = remade(&good, |proof| {
        proof.witnesses[0] = ("demo.icomm.example/WCO".into(), network.path("WCO"))
    });
    assert!(matches!(
        network.refusal(&uncosigned),
        InvalidRecordProof::Witness { source: None, .. }
    ));

    let elsewhere = another();
    assert!(
        matches!(elsewhere.refusal(&good), InvalidRecordProof::Path(_)),
        "another root"
    );
}

#[test]
fn a_cosignature_out_of_time_is_said() {
    let network = network();
    let late = remade(&network.proof(), |proof| {
        let time = u64::try_from((NOW + Duration::days(500)).unix_timestamp()).unwrap();
        proof
            .proof
            .note
            .cosign("demo.icomm.example/RILO-ESA", &network.office, time)
            .unwrap();
    });
    let proven = late.verify(network.root.certificate()).unwrap();
    assert!(!proven.witnesses[0].in_time);
}

#[test]
fn what_is_no_proof_of_a_record_is_said() {
    let proof = network().proof().proof;
    let with = |extra: &[u8]| {
        let file = TlogProof {
            extra: Bytes::copy_from_slice(extra),
            ..proof.clone()
        };
        RecordProof::parse(&file.to_bytes()).unwrap_err()
    };
    assert!(matches!(with(b""), InvalidRecordProof::View(_)));
    assert!(matches!(with(b"\xff"), InvalidRecordProof::Evidence(_)));
    let view = sealed(&SECTIONS, 1).bytes().clone();
    let bare = v1::Evidence {
        view: view.clone(),
        ..Default::default()
    }
    .encode_to_vec();
    assert!(matches!(
        with(&bare),
        InvalidRecordProof::Path(InvalidMemberPath::Length(0))
    ));
    let crowd = v1::Evidence {
        view,
        witnesses: vec![v1::Witness::default(); NOTE_SIGNATURES_MAX + 1],
        ..Default::default()
    };
    assert!(matches!(
        with(&crowd.encode_to_vec()),
        InvalidRecordProof::Witnesses(101)
    ));
    assert!(matches!(RecordProof::parse(b"{}"), Err(InvalidRecordProof::File(_))));
}
