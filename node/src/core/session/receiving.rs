//! What the session takes: chunks and refills of logs that it asked for, while an agreement lets the peer send them.
//!
//! The sender stops by its own policy. The receiver does not rely on that: what comes without a basis is not taken, and the
//! log is asked for again when there is one.

use icomm_proto::Origin;
use icomm_proto::v1;

use super::{Action, Session, World, refuse};

impl Session {
    pub(super) fn on_chunk(&mut self, chunk: v1::Chunk, world: &impl World, actions: &mut Vec<Action>) {
        let Some(origin) = self.source(&chunk.origin, actions) else {
            return;
        };
        if self.may_take(&origin, world, actions) {
            self.received_entries += u64::from(chunk.count);
            actions.push(Action::Accept(chunk));
        }
    }

    pub(super) fn on_refill(&mut self, refill: v1::Refill, world: &impl World, actions: &mut Vec<Action>) {
        let Some(origin) = self.source(&refill.origin, actions) else {
            return;
        };
        if self.may_take(&origin, world, actions) {
            self.received_entries += refill.chunk.as_ref().map_or(0, |chunk| u64::from(chunk.count));
            actions.push(Action::Refill(refill));
        }
    }

    /// The agreements may have changed, and time goes by: what may no longer come is declined, what may come again is asked
    /// for again.
    pub(super) fn review_sources(&mut self, world: &impl World, actions: &mut Vec<Action>) {
        let asked: Vec<Origin> = self.asked.iter().cloned().collect();
        for origin in asked {
            self.may_take(&origin, world, actions);
        }
        let back: Vec<Origin> = self
            .declined
            .iter()
            .filter(|origin| world.may_take(origin))
            .cloned()
            .collect();
        for origin in back {
            self.declined.remove(&origin);
            actions.push(Action::Resumed { origin });
        }
    }

    /// The log that something is of, if it was asked for.
    fn source(&mut self, origin: &str, actions: &mut Vec<Action>) -> Option<Origin> {
        match origin.parse() {
            // What was on its way when we stopped asking is no fault, and not needed.
            Ok(origin) => self.asked.contains(&origin).then_some(origin),
            Err(_) => {
                self.fail("origin", "entries of something that is not a log", actions);
                None
            }
        }
    }

    fn may_take(&mut self, origin: &Origin, world: &impl World, actions: &mut Vec<Action>) -> bool {
        let may = world.may_take(origin);
        if !may {
            self.asked.remove(origin);
            self.declined.insert(origin.clone());
            let message = format!("no agreement lets `{}` send `{origin}` here now", self.peer.member);
            actions.push(refuse("no-agreement", &message, Some(origin)));
            actions.push(Action::Declined { origin: origin.clone() });
        }
        may
    }
}
