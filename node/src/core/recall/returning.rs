//! A node that comes back passes on nothing of a log before it has heard those from whom it has it: one of them may have
//! recalled some of it meanwhile, and a partner is not to get it in the moments before that is known.
//!
//! ```text
//!  linked ── last link gone, or the node stops ──▶ away ── start, first link ──▶ back ──────────────▶ linked
//!                                                                                │  each log until all who
//!                                                                                │  gave any of it were heard
//!                                                                                └─ as long as it was away,
//!                                                                                   an hour at most ──▶ given up
//! ```
//!
//! Heard is who said in a hello that it owes no recall, or whose recalls are taken. How long nobody was linked counts, and
//! not how long somebody was not: who is gone for good does not silence a hub that stays up, and one that was away for five
//! seconds waits for five. Who was waited for in vain is not waited for again before it was heard. When somebody was linked
//! last is kept once a minute and not while it waits, so a crash meanwhile begins the waiting again.
//!
//! A look costs one atomic load while nothing is held back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use icomm_pki::MemberId;
use icomm_proto::Origin;

use crate::core::routes::LinkId;

/// How long a log is held back at most.
pub const WAIT_SECONDS_MAX: u64 = 3600;
/// How often it is kept that somebody is linked.
const KEPT_EVERY_SECONDS: u64 = 60;
/// Under which it is kept when somebody was linked last.
pub const CONTACT_KEY: &str = "contact";

/// Which logs came from whom.
pub type Sources = BTreeMap<Origin, BTreeSet<MemberId>>;

/// What is held back, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// When somebody was linked last before, in seconds since 1970; 0 if nobody knows.
    pub away_since: u64,
    /// Until when it waits.
    pub until: u64,
    /// Of which logs nothing is passed on, and who has to be heard first.
    pub unheard: Sources,
    /// Who was waited for in vain and was not heard since.
    pub given_up: BTreeSet<MemberId>,
}

/// Whom this node has to hear first.
#[derive(Debug)]
pub struct Returning {
    // Read for every chunk.
    holding: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    links: BTreeSet<LinkId>,
    /// When somebody was linked last and nothing was held back.
    contact: u64,
    kept: u64,
    back: Option<Back>,
    given_up: BTreeSet<MemberId>,
}

#[derive(Debug)]
struct Back {
    until: u64,
    /// Whether anybody was linked since.
    linked: bool,
    unheard: Sources,
}

/// What a second brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// These were waited for in vain: what came from them is passed on.
    pub given_up: BTreeSet<MemberId>,
    /// Something that was held back may go.
    pub freed: bool,
    /// Keep this as the time at which somebody was linked.
    pub keep: Option<u64>,
}

impl Returning {
    /// After a start. `contact`: what was kept; 0 if nothing was, which with sources is the longest time.
    pub fn open(contact: u64, sources: Sources, now: u64) -> Self {
        let returning = Self {
            holding: AtomicBool::new(false),
            state: Mutex::new(State {
                links: BTreeSet::new(),
                contact,
                kept: contact,
                back: None,
                given_up: BTreeSet::new(),
            }),
        };
        returning.state().wait(sources, now);
        returning.note_holding(&returning.state());
        returning
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_holding(&self, state: &State) {
        self.holding.store(state.back.is_some(), Ordering::Release);
    }

    /// A link is up. After some time without any, all sources have to be heard.
    pub fn linked(&self, link: LinkId, sources: impl FnOnce() -> Sources, now: u64) {
        let mut state = self.state();
        if state.links.is_empty() && !state.back.as_ref().is_some_and(|back| back.linked) {
            state.wait(sources(), now);
            if let Some(back) = &mut state.back {
                back.linked = true;
            }
        }
        state.links.insert(link);
        self.note_holding(&state);
    }

    /// A link is gone.
    pub fn closed(&self, link: LinkId, now: u64) {
        let mut state = self.state();
        if state.links.remove(&link) && state.links.is_empty() && state.back.is_none() {
            state.contact = state.contact.max(now);
        }
    }

    /// Whether nothing of a log is to be passed on now.
    pub fn holds(&self, origin: &Origin) -> bool {
        self.holding.load(Ordering::Acquire)
            && self
                .state()
                .back
                .as_ref()
                .is_some_and(|back| back.unheard.contains_key(origin))
    }

    /// A member owes no recalls here, or they are taken. Whether something that was held back may go now.
    pub fn heard(&self, member: &MemberId, now: u64) -> bool {
        let mut state = self.state();
        state.given_up.remove(member);
        let Some(back) = &mut state.back else { return false };
        let before = back.unheard.len();
        back.unheard.retain(|_, members| {
            members.remove(member);
            !members.is_empty()
        });
        let freed = back.unheard.len() < before;
        if back.unheard.is_empty() {
            state.back = None;
            state.contact = state.contact.max(now);
        }
        self.note_holding(&state);
        freed
    }

    /// A second has passed.
    pub fn second(&self, now: u64) -> Second {
        let mut second = Second::default();
        let mut state = self.state();
        if let Some(back) = state.back.take_if(|back| now >= back.until) {
            second.freed = true;
            if back.linked {
                second.given_up = back.unheard.into_values().flatten().collect();
                state.given_up.extend(second.given_up.iter().cloned());
            }
        }
        if !state.links.is_empty() && state.back.is_none() {
            state.contact = state.contact.max(now);
        }
        // What a link's end left is kept too; a clock that was put back changes nothing.
        let due = state.contact >= state.kept.saturating_add(KEPT_EVERY_SECONDS);
        if due || (state.links.is_empty() && state.contact > state.kept) {
            state.kept = state.contact;
            second.keep = Some(state.contact);
        }
        self.note_holding(&state);
        second
    }

    /// What is held back, and who was waited for in vain; none if there is neither.
    pub fn status(&self) -> Option<HeldBack> {
        let state = self.state();
        let given_up = state.given_up.clone();
        match &state.back {
            Some(back) => Some(HeldBack {
                away_since: state.contact,
                until: back.until,
                unheard: back.unheard.clone(),
                given_up,
            }),
            None if given_up.is_empty() => None,
            None => Some(HeldBack {
                given_up,
                ..HeldBack::default()
            }),
        }
    }
}

impl State {
    fn wait(&mut self, mut unheard: Sources, now: u64) {
        unheard.retain(|_, members| {
            members.retain(|member| !self.given_up.contains(member));
            !members.is_empty()
        });
        let away = now.saturating_sub(self.contact).min(WAIT_SECONDS_MAX);
        self.back = (away > 0 && !unheard.is_empty()).then_some(Back {
            until: now.saturating_add(away),
            linked: false,
            unheard,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const NOW: u64 = 1_000 * DAY;

    fn sources() -> Sources {
        let of = |origin: &str, members: &[&str]| {
            let members = members.iter().map(|member| member.parse().unwrap()).collect();
            (origin.parse().unwrap(), members)
        };
        BTreeMap::from([of("KE/main", &["KE", "RILO-ESA"]), of("ES/main", &["ES"])])
    }

    fn holds(returning: &Returning) -> [bool; 2] {
        ["KE/main", "ES/main"].map(|origin| returning.holds(&origin.parse().unwrap()))
    }

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    #[test]
    fn after_weeks_each_log_waits_until_everybody_who_gave_any_of_it_was_heard() {
        let returning = Returning::open(NOW - 20 * DAY, sources(), NOW);
        assert_eq!(holds(&returning), [true, true], "before anybody is linked");
        returning.linked(LinkId(1), sources, NOW + 5);
        assert!(!returning.heard(&member("UG"), NOW + 5), "it gave nothing");
        assert!(!returning.heard(&member("KE"), NOW + 5), "the office gave some as well");
        assert!(returning.heard(&member("ES"), NOW + 6));
        assert_eq!(holds(&returning), [true, false]);
        let told = returning.status().unwrap();
        assert_eq!(
            (told.away_since, told.until),
            (NOW - 20 * DAY, NOW + 5 + WAIT_SECONDS_MAX)
        );
        assert_eq!(
            told.unheard,
            BTreeMap::from([("KE/main".parse().unwrap(), [member("RILO-ESA")].into())])
        );
        assert_eq!(
            returning.second(NOW + 90),
            Second::default(),
            "nothing is kept meanwhile"
        );
        assert!(returning.heard(&member("RILO-ESA"), NOW + 91));
        assert_eq!(holds(&returning), [false, false]);
        assert!(returning.status().is_none());
        assert_eq!(returning.second(NOW + 92).keep, Some(NOW + 92));
    }

    #[test]
    fn it_waits_as_long_as_it_was_away_and_an_hour_at_most() {
        for (away, waits) in [
            (5, 5),
            (WAIT_SECONDS_MAX, WAIT_SECONDS_MAX),
            (20 * DAY, WAIT_SECONDS_MAX),
        ] {
            let returning = Returning::open(NOW - away, sources(), NOW);
            returning.linked(LinkId(1), sources, NOW);
            assert_eq!(returning.second(NOW + waits - 1).given_up, BTreeSet::new());
            assert_eq!(holds(&returning), [true, true]);
            let second = returning.second(NOW + waits);
            assert!(second.freed && second.given_up.len() == 3, "{second:?}");
            assert_eq!(holds(&returning), [false, false]);
            assert_eq!(returning.status().unwrap().given_up.len(), 3);
        }
    }

    #[test]
    fn who_was_waited_for_in_vain_silences_nobody_a_second_time_until_it_was_heard() {
        let returning = Returning::open(NOW - 20 * DAY, sources(), NOW);
        returning.linked(LinkId(1), sources, NOW);
        returning.heard(&member("RILO-ESA"), NOW);
        returning.heard(&member("ES"), NOW);
        // The only link goes; the time goes on.
        returning.closed(LinkId(1), NOW + 60);
        assert_eq!(returning.second(NOW + WAIT_SECONDS_MAX).given_up, [member("KE")].into());
        returning.linked(LinkId(2), sources, NOW + DAY);
        assert_eq!(holds(&returning), [true, true], "for the office and Spain");
        returning.heard(&member("RILO-ESA"), NOW + DAY);
        assert_eq!(holds(&returning), [false, true], "not for Kenya");
        returning.heard(&member("ES"), NOW + DAY);
        returning.heard(&member("KE"), NOW + DAY);
        returning.closed(LinkId(2), NOW + DAY + 1);
        returning.linked(LinkId(3), sources, NOW + 2 * DAY);
        returning.heard(&member("RILO-ESA"), NOW + 2 * DAY);
        assert_eq!(holds(&returning), [true, true], "it was heard once more");
    }

    #[test]
    fn time_without_a_network_is_not_waiting() {
        let returning = Returning::open(NOW - 20 * DAY, sources(), NOW);
        let second = returning.second(NOW + WAIT_SECONDS_MAX);
        assert!(second.freed && second.given_up.is_empty() && second.keep.is_none());
        returning.linked(LinkId(1), sources, NOW + DAY);
        assert_eq!(holds(&returning), [true, true]);
        // A link that comes and goes does not put it off.
        returning.closed(LinkId(1), NOW + DAY + 10);
        returning.linked(LinkId(2), sources, NOW + DAY + 20);
        assert!(returning.second(NOW + DAY + WAIT_SECONDS_MAX).freed);
    }

    #[test]
    fn nothing_is_held_back_without_others_logs_or_without_having_been_away() {
        assert_eq!(holds(&Returning::open(0, Sources::new(), NOW)), [false, false]);
        let returning = Returning::open(NOW, sources(), NOW);
        assert_eq!(holds(&returning), [false, false]);
        returning.linked(LinkId(1), sources, NOW);
        assert_eq!(returning.second(NOW + 59).keep, None);
        assert_eq!(returning.second(NOW + 60).keep, Some(NOW + 60));
        returning.linked(LinkId(2), || panic!("somebody is linked"), NOW + 61);
        returning.closed(LinkId(1), NOW + 62);
        returning.closed(LinkId(2), NOW + 63);
        assert_eq!(
            returning.second(NOW + 70).keep,
            Some(NOW + 63),
            "the end of the last link"
        );
        assert_eq!(returning.second(NOW + 71).keep, None);
        // By a clock that was put back it was not away at all.
        returning.linked(LinkId(3), sources, NOW - DAY);
        assert_eq!(holds(&returning), [false, false]);
    }
}
