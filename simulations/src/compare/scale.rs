//! How much is measured: small enough for continuous integration, a coffee, or the real thing.

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scale {
    /// Seconds, also in a debug build: shows that everything still runs, and measures nothing worth quoting.
    Tiny,
    /// A few minutes.
    Quick,
    /// What the project's figures are taken from.
    Full,
}

impl Scale {
    /// Rounds of each contestant.
    pub fn rounds(self) -> usize {
        match self {
            Self::Tiny => 1,
            Self::Quick => 3,
            Self::Full => 5,
        }
    }
}

/// A workload's size at each scale, in what the workload counts.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// At [`Scale::Tiny`].
    pub tiny: u64,
    /// At [`Scale::Quick`].
    pub quick: u64,
    /// At [`Scale::Full`].
    pub full: u64,
}

impl Sizes {
    /// The size at a scale.
    pub fn at(&self, scale: Scale) -> u64 {
        match scale {
            Scale::Tiny => self.tiny,
            Scale::Quick => self.quick,
            Scale::Full => self.full,
        }
    }
}
