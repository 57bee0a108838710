//! Whom to ask for which log.
//!
//! A log can be had from its originator and from relays (hubs). The originator is always asked: only it may disclose
//! under a bilateral agreement. One relay is asked beside it, because a regional agreement can open what the bilateral
//! one does not, and the two views merge by index. The global node is the exception: every route carries the same
//! de-nominalised views to it, so it asks a relay only while the originator is not there.

use std::collections::BTreeMap;

use icomm_pki::Role;
use icomm_proto::Origin;

/// Identifies one live session within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a session should now ask of its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The session that asks.
    pub link: LinkId,
    /// The log.
    pub origin: Origin,
    /// `true`: start asking; `false`: stop.
    pub start: bool,
}

#[derive(Debug, Clone, Copy)]
struct Offer {
    from_originator: bool,
    asked: bool,
}

/// Which live links offer which logs, and which of them are being asked.
#[derive(Debug)]
pub struct Routes {
    role: Role,
    // INVARIANT: no inner map is empty.
    offers: BTreeMap<Origin, BTreeMap<LinkId, Offer>>,
}

impl Routes {
    /// No links yet. `role` is this node's own.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            offers: BTreeMap::new(),
        }
    }

    /// `link` can serve `origin`.
    pub fn offered(&mut self, link: LinkId, origin: Origin, from_originator: bool) -> Vec<Ask> {
        let offers = self.offers.entry(origin.clone()).or_default();
        offers.entry(link).or_insert(Offer {
            from_originator,
            asked: false,
        });
        self.settle(&origin)
    }

    /// `link` no longer serves `origin` (it refused it).
    pub fn withdrawn(&mut self, link: LinkId, origin: &Origin) -> Vec<Ask> {
        self.remove(link, origin);
        self.settle(origin)
    }

    /// Nobody is asked for `origin` any more.
    pub fn forget(&mut self, origin: &Origin) -> Vec<Ask> {
        let offers = self.offers.remove(origin).unwrap_or_default();
        let asked = offers.into_iter().filter(|(_, offer)| offer.asked);
        asked
            .map(|(link, _)| Ask {
                link,
                origin: origin.clone(),
                start: false,
            })
            .collect()
    }

    /// `link` is gone.
    pub fn closed(&mut self, link: LinkId) -> Vec<Ask> {
        let origins: Vec<Origin> = self
            .offers
            .iter()
            .filter(|(_, offers)| offers.contains_key(&link))
            .map(|(origin, _)| origin.clone())
            .collect();
        let mut asks = Vec::new();
        for origin in origins {
            self.remove(link, &origin);
            asks.append(&mut self.settle(&origin));
        }
        asks
    }

    fn remove(&mut self, link: LinkId, origin: &Origin) {
        if let Some(offers) = self.offers.get_mut(origin) {
            offers.remove(&link);
            if offers.is_empty() {
                self.offers.remove(origin);
            }
        }
    }

    /// Brings who is asked in line with who offers, and says what changed.
    fn settle(&mut self, origin: &Origin) -> Vec<Ask> {
        let Some(offers) = self.offers.get_mut(origin) else {
            return Vec::new();
        };
        let originator = chosen(offers, true);
        let relay = match (self.role, originator) {
            (Role::Global, Some(_)) => None,
            _ => chosen(offers, false),
        };
        let mut asks = Vec::new();
        for (&link, offer) in offers.iter_mut() {
            let wanted = Some(link) == originator || Some(link) == relay;
            if offer.asked != wanted {
                offer.asked = wanted;
                asks.push(Ask {
                    link,
                    origin: origin.clone(),
                    start: wanted,
                });
            }
        }
        asks
    }
}

/// The link to ask among those of one sort: the one already asked, else the oldest. Staying with it avoids needless
/// restarts when a second link to the same peer comes up.
fn chosen(offers: &BTreeMap<LinkId, Offer>, from_originator: bool) -> Option<LinkId> {
    let mut candidates = offers
        .iter()
        .filter(|(_, offer)| offer.from_originator == from_originator);
    let first = candidates.clone().next().map(|(&link, _)| link);
    candidates
        .find(|(_, offer)| offer.asked)
        .map(|(&link, _)| link)
        .or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        "KE/main".parse().unwrap()
    }

    fn ask(link: u64, start: bool) -> Ask {
        Ask {
            link: LinkId(link),
            origin: origin(),
            start,
        }
    }

    #[test]
    fn a_national_node_asks_the_originator_and_one_relay() {
        let mut routes = Routes::new(Role::National);
        assert_eq!(routes.offered(LinkId(1), origin(), false), vec![ask(1, true)]);
        assert_eq!(routes.offered(LinkId(2), origin(), true), vec![ask(2, true)]);
        assert_eq!(routes.offered(LinkId(3), origin(), false), vec![]);
        assert_eq!(routes.closed(LinkId(1)), vec![ask(3, true)]);
    }

    #[test]
    fn the_global_node_asks_a_relay_only_without_the_originator() {
        let mut routes = Routes::new(Role::Global);
        assert_eq!(routes.offered(LinkId(1), origin(), false), vec![ask(1, true)]);
        assert_eq!(
            routes.offered(LinkId(2), origin(), true),
            vec![ask(1, false), ask(2, true)]
        );
        assert_eq!(routes.closed(LinkId(2)), vec![ask(1, true)]);
    }

    #[test]
    fn a_refused_log_is_asked_elsewhere_and_not_again() {
        let mut routes = Routes::new(Role::Global);
        routes.offered(LinkId(1), origin(), true);
        assert_eq!(routes.offered(LinkId(2), origin(), false), vec![]);
        assert_eq!(routes.withdrawn(LinkId(1), &origin()), vec![ask(2, true)]);
        assert_eq!(routes.withdrawn(LinkId(2), &origin()), vec![]);
        assert_eq!(routes.closed(LinkId(1)), vec![]);
    }

    #[test]
    fn a_forgotten_log_is_asked_of_nobody() {
        let mut routes = Routes::new(Role::National);
        routes.offered(LinkId(1), origin(), true);
        routes.offered(LinkId(2), origin(), false);
        routes.offered(LinkId(3), origin(), false);
        assert_eq!(routes.forget(&origin()), vec![ask(1, false), ask(2, false)]);
        assert_eq!(routes.closed(LinkId(2)), vec![]);
    }

    #[test]
    fn a_second_offer_of_the_same_link_changes_nothing() {
        let mut routes = Routes::new(Role::National);
        routes.offered(LinkId(1), origin(), true);
        assert_eq!(routes.offered(LinkId(1), origin(), true), vec![]);
    }
}
