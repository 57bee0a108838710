//! Whether its owner may be sent anything at all by a member: what a receiver can judge by its own book.
//!
//! Of what somebody passes on, the originator's leave is not in the receiver's book; the sender's grant to the receiver is.

use icomm_pki::{MemberId, Role};

use crate::forbidden::Forbidden;
use crate::lane::{Window, grants_in_force};
use crate::policy::Policy;

/// How far two clocks may be apart: so much earlier and later an agreement counts when something comes in.
pub const CLOCK_SLACK_S: u64 = 300;

impl Policy {
    /// Whether an agreement lets `sender` send the owner records of `origin` at `now` (seconds since 1970), as far as the
    /// owner's book can tell. What is passed on to the global node needs none with it.
    ///
    /// # Errors
    /// With the rule that stops it.
    pub fn receives(&self, origin: &MemberId, sender: &MemberId, now: u64) -> Result<(), Forbidden> {
        let snapshot = self.snapshot();
        let owner = snapshot.book.owner();
        if origin != sender && snapshot.directory.role(owner) == Some(Role::Global) {
            return Ok(());
        }
        let at = |now| grants_in_force(&snapshot.book, sender, owner, now, &mut Window::ALWAYS.clone()).map(|_| ());
        let around = [now.saturating_sub(CLOCK_SLACK_S), now.saturating_add(CLOCK_SLACK_S)];
        at(now).or_else(|forbidden| match around.into_iter().any(|now| at(now).is_ok()) {
            true => Ok(()),
            false => Err(forbidden),
        })
    }
}
