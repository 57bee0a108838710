//! Going over what a peer was sent before, after the terms changed: what is wider now is sent again.
//!
//! ```text
//!            0 ───── at ────────── until ──── next ─────▶ size
//!   before   [ done ) look ▶ [ still under the old terms )   new entries flow on, under the new terms
//! ```
//!
//! One look reads a bounded stretch, one chunk is on its way at a time: so it goes on in the background, costs once what
//! reading the log costs, and holds up nothing new. Nothing is remembered here: the peer keeps the revision under which it
//! received ([`v1::Revisions`]), and how far an interrupted refill came, beside its cursor.

use icomm_proto::{Origin, v1};

use super::{Feed, Prepared, Ticket};
use crate::core::session::Action;

/// What a look found.
#[derive(Debug)]
pub struct Looked {
    /// The revision under which it looked.
    pub revision: String,
    /// Nothing below is wider than it was, but for what is in the chunk, which ends there.
    pub through: u64,
    /// The first that is wider.
    pub prepared: Option<Prepared>,
}

/// The state of going over one log for one peer.
#[derive(Debug, Default)]
pub(super) struct Refill {
    /// The revision that counts now; empty before the peer asked.
    revision: String,
    /// Everything that was sent went under this one at least; empty if it is not known.
    before: String,
    /// What is still to be gone over; `None`: nothing.
    left: Option<(u64, u64)>,
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    /// Nothing is under way.
    #[default]
    Rest,
    /// A look that gave no answer; the next change tries again.
    Stuck,
    /// A look is under way.
    Looking(Ticket),
    /// The note of this chunk is on its way to the disk: how far it goes, and in which generation of the log it was read.
    Noting(Ticket, Box<v1::Chunk>, u64, u64),
    /// The chunk up to here is on its way to the peer.
    Sent(u64),
}

impl Feed {
    /// The peer asks anew, and says under which revisions it holds what is below its cursor. Gives what to tell it at once.
    pub fn asked_under(
        &mut self,
        origin: &Origin,
        under: Option<v1::Revisions>,
        revision: String,
    ) -> Option<v1::Refill> {
        let v1::Revisions {
            revision: before,
            refilling,
            refilled,
            settled,
        } = under.unwrap_or_default();
        self.refill = Refill {
            revision,
            before,
            left: None,
            step: Step::Rest,
        };
        if self.refill.before == self.refill.revision {
            return None;
        }
        if settled || self.next == 0 {
            return Some(self.complete(origin));
        }
        let from = if refilling == self.refill.revision { refilled } else { 0 };
        self.refill.left = Some((from.min(self.next), self.next));
        None
    }

    /// The revision may be another now. Then all that went is gone over, and what is being read under the old one is read
    /// again.
    pub fn revised(&mut self, revision: &str) {
        let refill = &mut self.refill;
        if !refill.revision.is_empty() && refill.revision != revision {
            revision.clone_into(&mut refill.revision);
            refill.left = Some((0, self.next));
            refill.step = Step::Rest;
            self.stale = self.reading;
        }
        if matches!(self.refill.step, Step::Stuck) {
            self.refill.step = Step::Rest;
        }
    }

    /// A chunk made under another revision than is known here tells that the policy has changed.
    pub fn made_under(&mut self, prepared: Option<&Prepared>) {
        let Some(Prepared { chunk, revision, .. }) = prepared else {
            return;
        };
        if !self.refill.revision.is_empty() && *revision != self.refill.revision && !self.stale {
            let end = chunk.from + u64::from(chunk.count);
            revision.clone_into(&mut self.refill.revision);
            self.refill.left = Some((0, end));
            self.refill.step = Step::Rest;
        }
    }

    /// Goes on where something is left and nothing is under way: a look, or the word that all is done.
    pub fn refill(&mut self, origin: &Origin, ticket: Ticket) -> Option<RefillStep> {
        let (from, until) = self.refill.left.filter(|_| matches!(self.refill.step, Step::Rest))?;
        if from >= until {
            return Some(RefillStep::Tell(self.complete(origin)));
        }
        self.refill.step = Step::Looking(ticket);
        Some(RefillStep::Do(Action::Look {
            origin: origin.clone(),
            ticket,
            from,
            until,
            before: self.refill.before.clone(),
        }))
    }

    /// Takes the answer to a look; gives the note that must become durable under `ticket`.
    pub fn looked(&mut self, look: Ticket, looked: Option<Looked>, ticket: Ticket) -> Option<bytes::Bytes> {
        if !matches!(self.refill.step, Step::Looking(waiting) if waiting == look) {
            return None;
        }
        let Some(Looked {
            revision,
            through,
            prepared,
        }) = looked
        else {
            self.refill.step = Step::Stuck;
            return None;
        };
        self.refill.step = Step::Rest;
        if revision != self.refill.revision {
            self.revised(&revision);
            return None;
        }
        match prepared {
            Some(Prepared { chunk, note, as_of, .. }) => {
                self.refill.step = Step::Noting(ticket, Box::new(chunk), through, as_of);
                Some(note)
            }
            None => {
                self.reached(through);
                None
            }
        }
    }

    /// A note is durable: gives its refill to send, unless the terms changed again, or entries were recalled meanwhile.
    pub fn refill_noted(&mut self, origin: &Origin, ticket: Ticket, generation: Option<u64>) -> Option<v1::Refill> {
        match std::mem::take(&mut self.refill.step) {
            Step::Noting(waiting, _, _, as_of) if waiting == ticket && generation != Some(as_of) => {
                self.refill.step = Step::Stuck;
                None
            }
            Step::Noting(waiting, chunk, through, _) if waiting == ticket => {
                self.refill.step = Step::Sent(through);
                Some(v1::Refill {
                    origin: origin.to_string(),
                    revision: self.refill.revision.clone(),
                    through,
                    complete: false,
                    chunk: Some(*chunk),
                })
            }
            other => {
                self.refill.step = other;
                None
            }
        }
    }

    /// The peer has stored a refill.
    pub fn refilled(&mut self, revision: &str, through: u64) {
        if revision == self.refill.revision && matches!(self.refill.step, Step::Sent(sent) if sent == through) {
            self.refill.step = Step::Rest;
            self.reached(through);
        }
    }

    fn reached(&mut self, through: u64) {
        if let Some((from, _)) = &mut self.refill.left {
            *from = through.max(*from);
        }
    }

    /// Nothing is left: the peer may forget what it held before.
    fn complete(&mut self, origin: &Origin) -> v1::Refill {
        let through = self.refill.left.take().map_or(self.next, |(_, until)| until);
        self.refill.before.clone_from(&self.refill.revision);
        v1::Refill {
            origin: origin.to_string(),
            revision: self.refill.revision.clone(),
            through,
            complete: true,
            chunk: None,
        }
    }
}

/// What going on means.
#[derive(Debug)]
pub enum RefillStep {
    /// Tell the peer.
    Tell(v1::Refill),
    /// Have it done.
    Do(Action),
}
