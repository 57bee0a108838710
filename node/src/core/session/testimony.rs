//! What the two ends of a link say about the history of a log or of their ledgers, beside entries.

use icomm_proto::Origin;
use icomm_proto::v1::{self, frame::Body};

use super::{Action, DOUBTS_MAX, Session, World, send};

/// Said of one log, or of one ledger.
#[derive(Debug, Clone, PartialEq)]
pub enum Testimony {
    /// What witnesses say of the log.
    Cosigned(v1::Cosigned),
    /// What was shown does not seem to go on from what is held: how does it begin?
    Doubt(v1::Doubt),
    /// The answer.
    Beginning(v1::Beginning),
    /// This much is kept of the receiver's ledger.
    LedgerKept(v1::LedgerKept),
    /// The sender's ledger goes on from there.
    LedgerGrowth(v1::LedgerGrowth),
    /// What the sender holds of the receiver's own logs.
    Held(v1::Held),
    /// What the receiver itself recalled, as the sender knows it.
    OwnRecalls(v1::Recalls),
}

impl From<Testimony> for Body {
    fn from(testimony: Testimony) -> Self {
        match testimony {
            Testimony::Cosigned(cosigned) => Self::Cosigned(cosigned),
            Testimony::Doubt(doubt) => Self::Doubt(doubt),
            Testimony::Beginning(beginning) => Self::Beginning(beginning),
            Testimony::LedgerKept(kept) => Self::LedgerKept(kept),
            Testimony::LedgerGrowth(growth) => Self::LedgerGrowth(growth),
            Testimony::Held(held) => Self::Held(held),
            Testimony::OwnRecalls(recalls) => Self::OwnRecalls(recalls),
        }
    }
}

impl Session {
    pub(super) fn on_testimony(&mut self, testimony: Testimony, actions: &mut Vec<Action>) {
        self.doubts += usize::from(matches!(testimony, Testimony::Doubt(_)));
        if self.doubts > DOUBTS_MAX {
            return self.fail("too-many-doubts", "more doubts than one session may have", actions);
        }
        actions.push(Action::Consider(testimony));
    }
}

/// Tells what witnesses said of a log, as far as the peer may hear it.
pub(super) fn tell_cosigned(origin: &Origin, world: &impl World, actions: &mut Vec<Action>) {
    let said = world.cosigned(origin).into_iter();
    actions.extend(said.map(|said| send(Body::Cosigned(said))));
}
