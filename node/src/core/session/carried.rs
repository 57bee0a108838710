//! What is carried off in a file: the window opens as if the answer had come, and the answer itself comes with another
//! file, if it comes.

use icomm_proto::v1::{Frame, Refilled, frame::Body};

use super::{Action, Session, World};

impl Session {
    pub(super) fn on_carried(&mut self, frame: Frame, world: &impl World, actions: &mut Vec<Action>) {
        match frame.body {
            Some(Body::Chunk(chunk)) => {
                if let Ok(origin) = chunk.origin.parse() {
                    let end = chunk.from.saturating_add(u64::from(chunk.count));
                    self.on_taken(&origin, end, world, actions);
                }
            }
            // One without a chunk is not answered on a link either.
            Some(Body::Refill(refill)) if refill.chunk.is_some() => {
                let through = Refilled {
                    origin: refill.origin,
                    revision: refill.revision,
                    through: refill.through,
                };
                self.on_refilled(&through, world, actions);
            }
            Some(Body::PhotoWant(want)) => self.on_carried_want(&want, actions),
            Some(Body::Recalls(_)) if self.offered_recalls.is_some() => self.offer_recalls(world, actions),
            _ => {}
        }
    }
}
