//! Words that time was over: said when it is, and again at every hello until they are taken.

use icomm_proto::v1::{self, frame::Body};

use super::{Action, Phase, Session, send};
use crate::core::retention::EXPIRIES_MAX;

impl Session {
    pub(super) fn tell_expiries(&self, expiries: v1::Expiries, actions: &mut Vec<Action>) {
        // Before the hellos are over nothing need be done: what is not taken is said after them.
        if self.phase == Phase::Open {
            actions.push(send(Body::Expiries(expiries)));
        }
    }

    pub(super) fn on_expiries(&mut self, expiries: v1::Expiries, actions: &mut Vec<Action>) {
        if expiries.expired.len() > EXPIRIES_MAX || expiries.taken.len() > EXPIRIES_MAX {
            return self.fail("expiries-too-many", "more expiries in a frame than the limit", actions);
        }
        actions.push(Action::Expiries(expiries));
    }
}
