//! Recalls on a link: those that are owed go right after the hellos, a frame at a time; each frame is answered once all
//! that it voids is erased.

use icomm_proto::v1::{self, frame::Body};

use super::{Action, Phase, Session, World, send};
use crate::core::recall::{ERASURES_MAX, RECALLS_MAX};

impl Session {
    /// The hello has come: what is owed goes before anything else, and what the peer announces is waited for.
    pub(super) fn begin_recalls(&mut self, hello: &v1::Hello, world: &impl World, actions: &mut Vec<Action>) {
        actions.push(match hello.recalls {
            0 => Action::CaughtUp,
            _ => Action::Await,
        });
        self.offer_recalls(world, actions);
    }

    /// The next frame of what is owed.
    pub(super) fn offer_recalls(&mut self, world: &impl World, actions: &mut Vec<Action>) {
        let (recalls, last) = world.recalls(self.offered_recalls.as_ref());
        self.offered_recalls = last.filter(|_| recalls.more);
        // What was announced may have been answered on another link since: the peer must not wait for it.
        if std::mem::take(&mut self.announced_recalls) || !recalls.recalls.is_empty() {
            actions.push(send(Body::Recalls(recalls)));
        }
    }

    /// Something was recalled just now. Before the hellos are over nothing need be done: then it is owed.
    pub(super) fn on_recall(&mut self, recalls: Vec<v1::Recall>, actions: &mut Vec<Action>) {
        if self.phase == Phase::Open {
            // As long as others are on their way, the peer goes on waiting for them.
            let more = self.offered_recalls.is_some();
            actions.push(send(Body::Recalls(v1::Recalls { recalls, more })));
        }
    }

    pub(super) fn on_recalls(&mut self, recalls: v1::Recalls, actions: &mut Vec<Action>) {
        if recalls.recalls.len() > RECALLS_MAX {
            return self.fail("recalls-too-many", "more recalls in a frame than the limit", actions);
        }
        actions.push(Action::Recalled(recalls));
    }

    pub(super) fn on_erasures(&mut self, erasures: v1::Erasures, world: &impl World, actions: &mut Vec<Action>) {
        if erasures.erased.len() > ERASURES_MAX {
            return self.fail("erasures-too-many", "more receipts in a frame than the limit", actions);
        }
        let answered = erasures.answered;
        actions.push(Action::Erased(erasures));
        if answered && self.offered_recalls.is_some() {
            self.offer_recalls(world, actions);
        }
    }
}
