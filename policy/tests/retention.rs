//! How long a receiver keeps what it was given: by hand, and against a naive model over many books.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test")]

use icomm_policy::agreement::{Categories, Day, Expiry, Retention, Terms};
use icomm_policy::{DocumentKind, Policy, over};
use icomm_proto::{SectionKind, SectionSet};
use proptest::prelude::*;

#[path = "support/world.rs"]
mod world;

use world::{DAY, NOON, World, adopt, class, grant, member, policy, set, terms, view, world};

/// The day on which the agreements begin.
const BEGIN: u64 = NOON / DAY;

fn keeps(days: u32, then: Expiry) -> Retention {
    Retention { days, then }
}

/// `KE` gives `UG` these sections for so long.
fn version(number: u32, from: &str, until: Option<&str>, retention: Retention, sections: SectionSet) -> Terms {
    let mut terms = terms("ke-ug", &["KE", "UG"], vec![grant("KE", "UG")]);
    terms.version = number;
    terms.in_force_from = from.parse().unwrap();
    terms.in_force_until = until.map(|day| day.parse().unwrap());
    terms.grants[0].retention = retention;
    terms.grants[0].sections = sections;
    terms
}

fn limit(policy: &Policy, via: &str, received: u64, at: u64, section: SectionKind) -> Option<Retention> {
    told(policy, via, received, at, section, None)
}

fn told(
    policy: &Policy,
    via: &str,
    received: u64,
    at: u64,
    section: SectionKind,
    told: Option<Retention>,
) -> Option<Retention> {
    let view = view(&class("KE"));
    let mut keeping = policy.keeping(&member("KE"), &member(via), received, at * DAY);
    keeping
        .limit(&view.borrowed(), section, told)
        .map(|(retention, _)| retention)
}

#[test]
fn the_day_of_receipt_does_not_count_and_the_last_day_does() {
    assert_eq!(over(10, 1), 12);
    assert_eq!(over(10, 365), 376);
    assert_eq!(over(u64::MAX, 1), u64::MAX);
}

#[test]
fn a_grant_counts_from_the_receipt_also_when_its_agreement_has_ended_or_is_suspended() {
    let world = world();
    let short = version(
        1,
        "2026-12-01",
        Some("2026-12-10"),
        keeps(30, Expiry::Erase),
        SectionSet::ALL,
    );
    let policy = policy(&world, "UG", &[short], vec![]);
    let persons = SectionKind::Persons;
    assert_eq!(
        limit(&policy, "KE", BEGIN, BEGIN + 400, persons),
        Some(keeps(30, Expiry::Erase))
    );
    assert_eq!(
        limit(&policy, "KE", BEGIN + 9, BEGIN + 400, persons),
        Some(keeps(30, Expiry::Erase))
    );
    // What came when nothing was in force: nobody can tell.
    assert_eq!(limit(&policy, "KE", BEGIN + 10, BEGIN + 400, persons), None);
    assert_eq!(policy.keeps_at_least(&member("KE")), Some(30));
    assert_eq!(policy.keeps_at_least(&member("ES")), None);
    let suspension = world.suspension("ke-ug", 1, "KE");
    policy.receive(DocumentKind::Suspension, &suspension, NOON).unwrap();
    assert_eq!(
        limit(&policy, "KE", BEGIN, BEGIN + 400, persons),
        Some(keeps(30, Expiry::Erase))
    );
}

#[test]
fn a_renewal_with_a_longer_term_keeps_longer_and_a_shorter_one_is_for_what_comes_after_it() {
    let world = world();
    let policy = policy(
        &world,
        "UG",
        &[
            version(1, "2026-12-01", None, keeps(30, Expiry::Erase), SectionSet::ALL),
            version(2, "2026-12-21", None, keeps(60, Expiry::Restrict), SectionSet::ALL),
            version(3, "2027-01-10", None, keeps(5, Expiry::Erase), SectionSet::ALL),
        ],
        vec![],
    );
    let at = |received: u64, at: u64| limit(&policy, "KE", received, at, SectionKind::Exact).unwrap();
    assert_eq!(at(BEGIN, BEGIN + 19), keeps(30, Expiry::Erase), "it has not begun");
    assert_eq!(at(BEGIN, BEGIN + 20), keeps(60, Expiry::Restrict));
    assert_eq!(
        at(BEGIN, BEGIN + 500),
        keeps(60, Expiry::Restrict),
        "also when a shorter one has followed"
    );
    assert_eq!(
        at(BEGIN + 40, BEGIN + 500),
        keeps(5, Expiry::Erase),
        "what came under the shorter one"
    );
}

#[test]
fn each_section_has_the_longest_term_that_speaks_of_it_and_of_equal_ones_the_stricter() {
    let world = world();
    let mut terms = version(1, "2026-12-01", None, keeps(30, Expiry::Erase), SectionSet::ALL);
    let mut more = terms.grants[0].clone();
    more.sections = set(&[SectionKind::Case, SectionKind::Exact]);
    more.retention = keeps(90, Expiry::Restrict);
    let mut equal = more.clone();
    equal.retention = keeps(90, Expiry::Erase);
    let mut other = more.clone();
    other.categories = Categories::Only(["weapons".to_owned()].into());
    other.retention.days = 1000;
    terms.grants.extend([more, equal, other]);
    let policy = policy(&world, "UG", &[terms], vec![]);
    let of = |section| limit(&policy, "KE", BEGIN, BEGIN + 1, section);
    assert_eq!(of(SectionKind::Exact), Some(keeps(90, Expiry::Erase)));
    assert_eq!(of(SectionKind::Persons), Some(keeps(30, Expiry::Erase)));
    assert_eq!(policy.keeps_at_least(&member("KE")), Some(30));
}

#[test]
fn what_was_passed_on_is_bound_by_both_grants_or_by_the_originators_own() {
    let world = world();
    let mut office = terms("esa", &["RILO-ESA", "UG"], vec![grant("RILO-ESA", "UG")]);
    office.grants[0].retention = keeps(50, Expiry::Restrict);
    let policy = policy(&world, "UG", &[office], vec![]);
    let exact = SectionKind::Exact;
    let by = |word| told(&policy, "RILO-ESA", BEGIN, BEGIN + 1, exact, word);
    assert_eq!(by(None), Some(keeps(50, Expiry::Restrict)));
    assert_eq!(by(Some(keeps(20, Expiry::Erase))), Some(keeps(20, Expiry::Erase)));
    assert_eq!(by(Some(keeps(200, Expiry::Erase))), Some(keeps(50, Expiry::Erase)));
    assert_eq!(
        limit(&policy, "KE", BEGIN, BEGIN + 1, exact),
        None,
        "no grant of the office"
    );
    adopt(
        &policy,
        &world,
        &version(1, "2026-12-01", None, keeps(70, Expiry::Erase), SectionSet::ALL),
    )
    .unwrap();
    assert_eq!(by(Some(keeps(20, Expiry::Erase))), Some(keeps(70, Expiry::Erase)));
}

#[test]
fn of_who_left_the_directory_the_duty_is_known_still() {
    let world = world();
    let policy = policy(
        &world,
        "UG",
        &[version(
            1,
            "2026-12-01",
            None,
            keeps(30, Expiry::Erase),
            SectionSet::ALL,
        )],
        vec![],
    );
    let mut left = World(world.0.clone());
    left.0.remove(&member("KE"));
    policy.set_directory(std::sync::Arc::new(left));
    assert_eq!(
        limit(&policy, "KE", BEGIN, BEGIN + 400, SectionKind::Persons),
        Some(keeps(30, Expiry::Erase))
    );
}

#[derive(Debug, Clone)]
struct Naive {
    from: u64,
    last: Option<u64>,
    retention: Retention,
    sections: SectionSet,
}

fn a_version() -> impl Strategy<Value = Naive> {
    let sections = proptest::collection::vec(any::<bool>(), 6);
    (
        0..40_u64,
        proptest::option::of(0..60_u64),
        1..80_u32,
        any::<bool>(),
        sections,
    )
        .prop_map(|(from, lasts, days, restrict, which)| {
            let kinds = SectionKind::ALL.into_iter().skip(1).zip(which);
            Naive {
                from: BEGIN + from,
                last: lasts.map(|lasts| BEGIN + from + lasts),
                retention: keeps(days, if restrict { Expiry::Restrict } else { Expiry::Erase }),
                sections: kinds
                    .filter(|(_, chosen)| *chosen)
                    .fold(SectionSet::open(), |set, (kind, _)| set.with(kind)),
            }
        })
}

/// As the module's text says it, day by day.
fn naive(versions: &[Naive], received: u64, at: u64, section: SectionKind) -> Option<Retention> {
    let in_force = |number: usize, day: u64| {
        let begun = |version: &Naive| version.from <= day;
        let version = &versions[number];
        begun(version) && version.last.is_none_or(|last| day <= last) && !versions[number + 1..].iter().any(begun)
    };
    let mut best: Option<Retention> = None;
    for (number, version) in versions.iter().enumerate() {
        if !version.sections.contains(section) || !(received..=at).any(|day| in_force(number, day)) {
            continue;
        }
        let longer = |best: Retention| {
            version.retention.days > best.days
                || (version.retention.days == best.days && version.retention.then < best.then)
        };
        if best.is_none_or(longer) {
            best = Some(version.retention);
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_book_is_read_as_the_naive_model_reads_it_and_the_answer_never_gets_earlier(
        versions in proptest::collection::vec(a_version(), 1..5),
        received in 0..50_u64,
        waits in proptest::collection::vec(0..90_u64, 1..6),
        section in 1..7_usize,
    ) {
        let world = world();
        let policy = policy(&world, "UG", &[], vec![]);
        let day = |day: u64| Day::of(day * DAY).unwrap().to_string();
        for (number, naive) in versions.iter().enumerate() {
            let until = naive.last.map(day);
            let number = u32::try_from(number + 1).unwrap();
            let terms = version(number, &day(naive.from), until.as_deref(), naive.retention, naive.sections);
            adopt(&policy, &world, &terms).unwrap();
        }
        let (received, section) = (BEGIN + received, SectionKind::ALL[section]);
        let mut ats: Vec<u64> = waits.iter().map(|wait| received + wait).collect();
        ats.sort_unstable();
        let mut before = 0;
        for at in ats {
            let answer = limit(&policy, "KE", received, at, section);
            prop_assert_eq!(answer, naive(&versions, received, at, section));
            let over = answer.map_or(0, |retention| over(received, retention.days));
            prop_assert!(over >= before, "{} after {}", over, before);
            before = over;
        }
    }
}
