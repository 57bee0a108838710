//! The session's part in going over what was sent before: see [`crate::core::feed::refill`].

use icomm_proto::Origin;
use icomm_proto::v1::{self, frame::Body};

use super::{Action, Session, Ticket, World, send};
use crate::core::feed::refill::{Looked, RefillStep};

impl Session {
    /// The peer asked for a log: what it holds of it may be narrower than it may be now.
    pub(super) fn begin_refill(
        &mut self,
        origin: &Origin,
        under: Option<v1::Revisions>,
        world: &impl World,
        actions: &mut Vec<Action>,
    ) {
        if let Some(feed) = self.feeds.get_mut(origin)
            && let Some(revision) = world.revision(origin)
        {
            let told = feed.asked_under(origin, under, revision);
            actions.extend(told.map(|refill| send(Body::Refill(refill))));
        }
        self.go_on_refilling(origin, actions);
    }

    /// The policy may have changed: every log that is fed is looked at.
    pub(super) fn revise(&mut self, world: &impl World, actions: &mut Vec<Action>) {
        let origins: Vec<Origin> = self.feeds.origins().cloned().collect();
        for origin in origins {
            if let Some(revision) = world.revision(&origin)
                && let Some(feed) = self.feeds.get_mut(&origin)
            {
                feed.revised(&revision);
            }
            self.go_on_refilling(&origin, actions);
        }
    }

    pub(super) fn go_on_refilling(&mut self, origin: &Origin, actions: &mut Vec<Action>) {
        let Some(feed) = self.feeds.get_mut(origin) else { return };
        self.ticket.0 += 1;
        match feed.refill(origin, self.ticket) {
            Some(RefillStep::Tell(refill)) => actions.push(send(Body::Refill(refill))),
            Some(RefillStep::Do(action)) => actions.push(action),
            None => {}
        }
    }

    pub(super) fn on_looked(
        &mut self,
        origin: &Origin,
        look: Ticket,
        looked: Option<Looked>,
        world: &impl World,
        actions: &mut Vec<Action>,
    ) {
        if world.servable_size(origin).is_none() {
            return self.withdraw(origin, world, actions);
        }
        let Some(feed) = self.feeds.get_mut(origin) else { return };
        self.ticket.0 += 1;
        if let Some(note) = feed.looked(look, looked, self.ticket) {
            actions.push(Action::Note {
                origin: origin.clone(),
                ticket: self.ticket,
                note,
            });
        }
        self.go_on_refilling(origin, actions);
    }

    pub(super) fn on_refilled(&mut self, refilled: &v1::Refilled, world: &impl World, actions: &mut Vec<Action>) {
        let Ok(origin) = refilled.origin.parse::<Origin>() else {
            return self.fail("origin", "a receipt for something that is not a log", actions);
        };
        if world.servable_size(&origin).is_none() {
            return self.withdraw(&origin, world, actions);
        }
        if let Some(feed) = self.feeds.get_mut(&origin) {
            feed.refilled(&refilled.revision, refilled.through);
        }
        self.go_on_refilling(&origin, actions);
    }
}
