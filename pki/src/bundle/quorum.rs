//! How many witnesses must have seen a log before it counts as settled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Role;

/// Witnesses that must have cosigned. A member never counts as a witness of its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// So many witnesses, at least one.
    pub witnesses: u32,
    /// Whether a global member must be among them.
    pub global: bool,
}

impl Quorum {
    /// More than half of so many witnesses, whoever they are: what counts where a bundle says nothing. Two such quorums have
    /// a witness in common, so two histories are settled only if a witness signs both.
    pub fn majority_of(witnesses: usize) -> Self {
        Self {
            witnesses: u32::try_from(witnesses / 2 + 1).unwrap_or(u32::MAX),
            global: false,
        }
    }

    /// Whether these witnesses are enough, given by their roles.
    pub fn is_reached_by(&self, witnesses: impl IntoIterator<Item = Role>) -> bool {
        let (mut count, mut global) = (0_u32, false);
        for role in witnesses {
            count = count.saturating_add(1);
            global |= role == Role::Global;
        }
        count >= self.witnesses.max(1) && (global || !self.global)
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.witnesses == 1 { "" } else { "es" };
        let global = if self.global {
            ", a global member among them"
        } else {
            ""
        };
        write!(f, "{} witness{plural}{global}", self.witnesses)
    }
}

impl Role {
    /// Whether members of this role cosign the logs of others.
    pub fn is_witness(self) -> bool {
        matches!(self, Self::Regional | Self::Global)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_needs_as_many_as_it_says_and_a_global_one_if_it_says_so() {
        use Role::{Global, Regional};
        let two = Quorum {
            witnesses: 2,
            global: false,
        };
        assert!(two.is_reached_by([Regional, Regional]) && two.is_reached_by([Regional, Global]));
        assert!(!two.is_reached_by([Global]) && !two.is_reached_by([]));
        let with_global = Quorum { global: true, ..two };
        assert!(with_global.is_reached_by([Regional, Global]));
        assert!(!with_global.is_reached_by([Regional, Regional, Regional]));
        assert!(!with_global.is_reached_by([Global]));
    }

    #[test]
    fn two_majorities_meet() {
        for witnesses in 1..=13_u32 {
            let needed = Quorum::majority_of(witnesses as usize).witnesses;
            assert!(needed <= witnesses && 2 * needed > witnesses);
        }
        assert!(
            !Quorum::majority_of(0).is_reached_by([]),
            "where nobody witnesses nothing is settled"
        );
    }
}
