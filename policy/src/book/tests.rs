//! The book: what it takes, what it refuses, and that replaying makes the same book in any order.

use proptest::prelude::*;

use icomm_pki::{MemberId, MemberKey, MemberPublicKey, Role};

use super::*;
use crate::agreement::{
    Acknowledgement, Agreement, InvalidSignatures, Party, Signed, SignedAgreement, Statement, Suspension, Terms,
    bilateral,
};

/// KE, UG, TZ and TW, without roles or regions that matter here.
struct Keys;

fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

fn secret(member: &MemberId) -> MemberKey {
    let mut seed = [9; 32];
    seed[..2].copy_from_slice(&member.as_str().as_bytes()[..2]);
    MemberKey::from_seed(&seed)
}

impl KeyDirectory for Keys {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        ["KE", "UG", "TZ", "TW"]
            .contains(&member.as_str())
            .then(|| secret(member).public())
    }

    fn role(&self, _: &MemberId) -> Option<Role> {
        Some(Role::National)
    }

    fn regions(&self, _: &MemberId) -> Vec<MemberId> {
        Vec::new()
    }
}

const NOW: u64 = 1_796_126_400;

fn id() -> AgreementId {
    "ke-ug".parse().unwrap()
}

fn terms(version: u32, change: impl FnOnce(&mut Terms)) -> Terms {
    let text = bilateral(&id(), &member("KE"), &member("UG"), "2026-12-01".parse().unwrap());
    let mut terms = Agreement::read(&text).unwrap().terms().clone();
    terms.version = version;
    change(&mut terms);
    terms
}

fn signed(terms: Terms) -> Vec<u8> {
    let agreement = Agreement::new(terms).unwrap();
    let mut signed = SignedAgreement::unsigned(agreement.clone());
    for party in agreement.parties() {
        signed.sign(party, &secret(party)).unwrap();
    }
    signed.to_bytes()
}

fn said<T: Statement>(statement: T) -> Vec<u8> {
    let key = secret(statement.by());
    Signed::sign(statement, &key).unwrap().to_bytes()
}

fn suspension(version: u32, by: &str) -> Suspension {
    Suspension::new(id(), version, member(by), NOW, "test")
}

fn book() -> Book {
    Book::new(member("KE"))
}

fn take(book: &mut Book, terms: Terms) -> Result<Change, &'static str> {
    book.receive(DocumentKind::Agreement, &signed(terms), &Keys, NOW)
        .map_err(|refusal| refusal.code())
}

fn suspend(book: &mut Book, version: u32, by: &str) -> Result<Change, &'static str> {
    let bytes = said(suspension(version, by));
    book.receive(DocumentKind::Suspension, &bytes, &Keys, NOW)
        .map_err(|refusal| refusal.code())
}

#[test]
fn versions_go_up_only() {
    let mut book = book();
    assert_eq!(
        take(&mut book, terms(2, |_| {})),
        Ok(Change::Adopted { id: id(), version: 2 })
    );
    assert_eq!(take(&mut book, terms(2, |_| {})), Ok(Change::Nothing));
    assert_eq!(take(&mut book, terms(1, |_| {})), Err("older-version"));
    assert_eq!(take(&mut book, terms(2, |t| t.title.push('!'))), Err("other-text"));
    assert_eq!(
        take(&mut book, terms(7, |_| {})),
        Ok(Change::Adopted { id: id(), version: 7 })
    );
    assert_eq!(take(&mut book, terms(6, |_| {})), Err("older-version"));
    assert_eq!(book.agreements().count(), 2);
    assert_eq!(
        book.latest_with(&member("UG"))
            .map(|r| r.agreement().version())
            .collect::<Vec<_>>(),
        [7]
    );
}

#[test]
fn what_does_not_bind_is_refused() {
    let mut book = book();
    let last_day = |t: &mut Terms| {
        t.in_force_from = "2026-01-01".parse().unwrap();
        t.in_force_until = Some("2026-11-30".parse().unwrap());
    };
    assert_eq!(take(&mut book, terms(1, last_day)), Err("expired"));
    let stranger = |t: &mut Terms| {
        t.parties[0].member = member("TZ");
        for grant in &mut t.grants {
            grant.from = "parties".parse().unwrap();
            grant.to = "parties".parse().unwrap();
        }
    };
    assert_eq!(take(&mut book, terms(1, stranger)), Err("not-ours"));
    let mut one_sided = SignedAgreement::unsigned(Agreement::new(terms(1, |_| {})).unwrap());
    let code = |book: &mut Book, signed: &SignedAgreement| {
        book.receive(DocumentKind::Agreement, &signed.to_bytes(), &Keys, NOW)
            .unwrap_err()
            .code()
    };
    assert_eq!(code(&mut book, &one_sided), "unsigned");
    one_sided.sign(&member("KE"), &secret(&member("KE"))).unwrap();
    assert_eq!(code(&mut book, &one_sided), "one-sided");
    one_sided.sign(&member("UG"), &secret(&member("TZ"))).unwrap();
    assert_eq!(code(&mut book, &one_sided), "bad-signature");
    let unread = book.receive(DocumentKind::Agreement, b"{}", &Keys, NOW).unwrap_err();
    assert_eq!(unread.code(), "agreement-unreadable");
    assert_eq!(book.agreements().count(), 0);
}

#[test]
fn a_version_keeps_the_parties_of_the_one_before() {
    let mut book = book();
    take(&mut book, terms(1, |_| {})).unwrap();
    let other = |t: &mut Terms| {
        t.parties[1].member = member("TZ");
        for grant in &mut t.grants {
            grant.from = "parties".parse().unwrap();
            grant.to = "parties".parse().unwrap();
        }
    };
    assert_eq!(take(&mut book, terms(2, other)), Err("parties-dropped"));
    let more = |t: &mut Terms| {
        let third = Party {
            member: member("TZ"),
            ..t.parties[0].clone()
        };
        t.parties.push(third);
    };
    assert!(take(&mut book, terms(2, more)).is_ok());
}

#[test]
fn a_suspension_counts_for_its_version_and_those_below() {
    let mut book = book();
    take(&mut book, terms(1, |_| {})).unwrap();
    take(&mut book, terms(2, |t| t.in_force_from = "2027-01-01".parse().unwrap())).unwrap();
    let later = NOW + 60 * 86_400;
    assert_eq!(
        book.standing(&id(), 1, NOW),
        Some(Standing::InForce { until: 1_798_761_600 })
    );
    assert_eq!(
        book.standing(&id(), 2, NOW),
        Some(Standing::NotYet { from: 1_798_761_600 })
    );
    assert_eq!(
        suspend(&mut book, 1, "UG"),
        Ok(Change::Suspended {
            id: id(),
            version: 1,
            by: member("UG")
        })
    );
    assert_eq!(suspend(&mut book, 1, "UG"), Ok(Change::Nothing));
    assert_eq!(
        book.standing(&id(), 1, NOW),
        Some(Standing::Suspended { by: vec![member("UG")] })
    );
    assert_eq!(book.standing(&id(), 1, later), Some(Standing::Superseded { by: 2 }));
    assert_eq!(
        book.standing(&id(), 2, later),
        Some(Standing::InForce { until: u64::MAX })
    );
    suspend(&mut book, 2, "KE").unwrap();
    assert_eq!(
        book.standing(&id(), 2, later),
        Some(Standing::Suspended { by: vec![member("KE")] })
    );
    assert_eq!(
        book.standing(&id(), 1, NOW),
        Some(Standing::Suspended {
            by: vec![member("KE"), member("UG")]
        })
    );
    // Who is not a party has no say.
    assert_eq!(suspend(&mut book, 2, "TZ"), Err("not-a-party"));
    let forged = said(suspension(9, "TZ"));
    let forged = String::from_utf8(forged).unwrap().replace("\"TZ\"", "\"UG\"");
    let refused = book
        .receive(DocumentKind::Suspension, forged.as_bytes(), &Keys, NOW)
        .unwrap_err();
    assert_eq!(refused.code(), "bad-signature");
}

#[test]
fn suspensions_of_versions_far_ahead_are_not_kept() {
    let mut book = book();
    take(&mut book, terms(1, |_| {})).unwrap();
    let furthest = 1 + u32::try_from(VERSIONS_MAX).unwrap();
    assert_eq!(suspend(&mut book, furthest + 1, "UG"), Err("too-many"));
    assert!(suspend(&mut book, furthest, "UG").is_ok());
}

#[test]
fn a_suspension_that_comes_before_its_agreement_counts_when_that_arrives() {
    let mut book = book();
    suspend(&mut book, 1, "UG").unwrap();
    suspend(&mut book, 1, "TZ").unwrap();
    take(&mut book, terms(1, |_| {})).unwrap();
    assert_eq!(
        book.standing(&id(), 1, NOW),
        Some(Standing::Suspended { by: vec![member("UG")] })
    );
    assert_eq!(book.suspensions(&id()).count(), 1);
    // But nobody fills the book with such.
    for i in 0..AWAITED_PER_MEMBER_MAX + 1 {
        let suspension = Suspension::new(format!("x{i}").parse().unwrap(), 1, member("TZ"), NOW, "test");
        let taken = book.receive(DocumentKind::Suspension, &said(suspension), &Keys, NOW);
        assert_eq!(taken.is_ok(), i < AWAITED_PER_MEMBER_MAX, "{i}");
    }
}

#[test]
fn suspensions_are_acknowledged_by_the_other_parties() {
    let mut book = book();
    take(&mut book, terms(1, |_| {})).unwrap();
    let acknowledge = |book: &mut Book, version, by: &str| {
        let acknowledgement = Acknowledgement::new(&suspension(version, "UG"), member(by), NOW);
        let taken = book.receive(DocumentKind::Acknowledgement, &said(acknowledgement), &Keys, NOW);
        taken.map_err(|refusal| refusal.code())
    };
    assert_eq!(acknowledge(&mut book, 1, "KE"), Err("not-suspended"));
    suspend(&mut book, 1, "UG").unwrap();
    assert_eq!(acknowledge(&mut book, 1, "UG"), Err("not-a-party"));
    assert_eq!(acknowledge(&mut book, 1, "TZ"), Err("not-a-party"));
    assert_eq!(acknowledge(&mut book, 2, "KE"), Err("not-suspended"));
    let (suspended_by, by) = (member("UG"), member("KE"));
    assert_eq!(
        acknowledge(&mut book, 1, "KE"),
        Ok(Change::Acknowledged {
            id: id(),
            suspended_by,
            by
        })
    );
    assert_eq!(acknowledge(&mut book, 1, "KE"), Ok(Change::Nothing));
    let status = book.suspensions(&id()).next().unwrap();
    assert_eq!(status.acknowledged_by().collect::<Vec<_>>(), [&member("KE")]);
    assert_eq!(book.documents_with(&member("UG")).len(), 3);
    assert!(book.documents_with(&member("TZ")).is_empty());
}

#[test]
fn an_agreement_that_can_no_longer_be_verified_brings_no_older_one_back() {
    let documents = [
        (DocumentKind::Agreement, signed(terms(1, |_| {}))),
        (DocumentKind::Agreement, {
            // Signed with a key that the directory no longer has.
            let mut signed = SignedAgreement::unsigned(Agreement::new(terms(2, |_| {})).unwrap());
            signed.sign(&member("KE"), &secret(&member("KE"))).unwrap();
            signed.sign(&member("UG"), &secret(&member("TW"))).unwrap();
            signed.to_bytes()
        }),
    ];
    let (book, refusals) = Book::replay(member("KE"), documents, &Keys);
    assert_eq!(book.standing(&id(), 1, NOW), Some(Standing::Superseded { by: 2 }));
    let entries: Vec<Entry<'_>> = book.entries_between(&member("KE"), &member("UG")).collect();
    assert!(entries.len() == 1 && entries.iter().all(|entry| entry.until <= entry.from));
    let bad = InvalidSignatures::BadSignature { member: member("UG") };
    assert!(
        matches!(&refusals[..], [Refusal::Signatures(invalid)] if *invalid == bad),
        "{refusals:?}"
    );
    let mut book = book;
    assert_eq!(
        take(&mut book, terms(2, |_| {})),
        Ok(Change::Adopted { id: id(), version: 2 })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn replaying_makes_the_same_book_in_any_order_and_number(
        order in Just((0..8).chain(0..4).collect::<Vec<usize>>()).prop_shuffle(),
        now in NOW - 86_400 * 60..NOW + 86_400 * 90,
    ) {
        let ended = |t: &mut Terms| t.in_force_until = Some("2026-12-02".parse().unwrap());
        let later = |t: &mut Terms| t.in_force_from = "2027-01-01".parse().unwrap();
        let documents = [
            (DocumentKind::Agreement, signed(terms(1, |_| {}))),
            (DocumentKind::Agreement, signed(terms(2, ended))),
            (DocumentKind::Agreement, signed(terms(3, later))),
            (DocumentKind::Suspension, said(suspension(1, "UG"))),
            (DocumentKind::Suspension, said(suspension(2, "UG"))),
            (DocumentKind::Suspension, said(suspension(1, "KE"))),
            (DocumentKind::Acknowledgement, said(Acknowledgement::new(&suspension(2, "UG"), member("KE"), NOW))),
            (DocumentKind::Acknowledgement, said(Acknowledgement::new(&suspension(1, "KE"), member("UG"), NOW))),
        ];
        let (straight, refused) = Book::replay(member("KE"), documents.clone(), &Keys);
        prop_assert!(refused.is_empty(), "{refused:?}");
        let shuffled = order.iter().map(|i| documents[*i].clone());
        let (book, refused) = Book::replay(member("KE"), shuffled, &Keys);
        prop_assert!(refused.is_empty(), "{refused:?}");
        for version in 1..=3 {
            prop_assert_eq!(book.standing(&id(), version, now), straight.standing(&id(), version, now));
        }
        prop_assert_eq!(book.documents_with(&member("UG")), straight.documents_with(&member("UG")));
    }

    #[test]
    fn the_lists_of_who_is_with_whom_say_what_the_documents_say(
        steps in proptest::collection::vec((0..3_usize, 1..4_u32, 0..5_usize), 1..24),
    ) {
        let members = ["KE", "UG", "TZ", "TW"];
        let mut book = book();
        for (which, version, what) in steps {
            let id: AgreementId = format!("a{which}").parse().unwrap();
            // The first with UG, the second with TZ, the third with both; later versions with TW too.
            let parties: &[&str] = match (which, version) {
                (0, 1) => &["KE", "UG"],
                (1, 1) => &["KE", "TZ"],
                (2, 1) => &["KE", "TZ", "UG"],
                (0, _) => &["KE", "TW", "UG"],
                (1, _) => &["KE", "TW", "TZ"],
                _ => &members,
            };
            let (kind, bytes) = match what {
                0 => (DocumentKind::Agreement, signed(terms(version, |t| {
                    t.id = id;
                    t.parties = parties.iter().map(|id| Party { member: member(id), ..t.parties[0].clone() }).collect();
                    for grant in &mut t.grants {
                        grant.from = "parties".parse().unwrap();
                        grant.to = "parties".parse().unwrap();
                    }
                }))),
                by => {
                    let suspension = Suspension::new(id, version, member(members[by - 1]), NOW, "test");
                    (DocumentKind::Suspension, said(suspension))
                }
            };
            let _ = book.receive(kind, &bytes, &Keys, NOW);

            prop_assert_eq!(book.held, book.files.values().filter(|file| !file.versions.is_empty()).count());
            let is_with = |file: &File, member: &MemberId| match file.latest() {
                Some(latest) => latest.agreement().has_party(member),
                None => file.suspensions.contains_key(member),
            };
            for one in members.map(member) {
                let listed: BTreeSet<_> = book.with.get(&one).cloned().unwrap_or_default();
                let naive = book.files.iter().filter(|(_, file)| is_with(file, &one)).map(|(id, _)| id.clone());
                prop_assert_eq!(listed, naive.collect());
                for other in members.map(member) {
                    let found: Vec<_> = book.entries_between(&one, &other).map(|e| e.ratified.agreement().digest()).collect();
                    let both = |file: &&File| is_with(file, &one) && is_with(file, &other);
                    let naive = book.files.values().filter(both).flat_map(File::entries);
                    prop_assert_eq!(found, naive.map(|e| e.ratified.agreement().digest()).collect::<Vec<_>>());
                }
            }
        }
    }
}
