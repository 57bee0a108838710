//! What the two ends of a link say about the history of a log, beside its entries.

use icomm_proto::v1::{self, frame::Body};

/// Said of one log.
#[derive(Debug, Clone, PartialEq)]
pub enum Testimony {
    /// What was shown does not seem to go on from what is held: how does it begin?
    Doubt(v1::Doubt),
    /// The answer.
    Beginning(v1::Beginning),
}

impl From<Testimony> for Body {
    fn from(testimony: Testimony) -> Self {
        match testimony {
            Testimony::Doubt(doubt) => Self::Doubt(doubt),
            Testimony::Beginning(beginning) => Self::Beginning(beginning),
        }
    }
}
