//! What is held of a log, read and counted while verifying it anew: every view by itself, all leaf hashes against the signed
//! root.

use icomm_pki::MemberKeys;
use icomm_proto::log::{Frontier, ItemRef, VerifiedCheckpoint};
use icomm_proto::{Origin, SectionSet, ViewRef};

use super::delivery::READ_LIMIT;
use crate::store::{Store, StoreError};

/// Counts over one log, up to some index.
#[derive(Debug, Clone)]
pub struct Tally {
    frontier: Frontier,
    /// Views with more than the open section.
    pub disclosed: u64,
    /// Views with the open section only.
    pub denominalised: u64,
    /// Entries without any section: known by their hash alone, or erased.
    pub withheld: u64,
    /// Whether every view counted hashes to what its entry commits to, and every checkpoint met signs the root there.
    pub verified: bool,
}

impl Tally {
    /// Entries counted.
    pub fn entries(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over the entries counted.
    pub fn root(&self) -> icomm_proto::log::Hash {
        self.frontier.root()
    }

    /// Counts and verifies what the store holds beyond what was counted. A read that fails leaves the count where it was.
    pub fn advance(
        &mut self,
        store: &dyn Store,
        origin: &Origin,
        line: &str,
        keys: &MemberKeys,
    ) -> Result<(), StoreError> {
        while let Some(stretch) = store.read(origin, self.frontier.size(), READ_LIMIT)? {
            for item in stretch.items() {
                self.count(item);
            }
            let signed = VerifiedCheckpoint::verify_by(stretch.end.checkpoint, line, keys);
            self.verified &= signed
                .is_ok_and(|signed| signed.size() == self.frontier.size() && *signed.root() == self.frontier.root());
        }
        Ok(())
    }

    fn count(&mut self, item: ItemRef<'_>) {
        let bytes = match item {
            ItemRef::Withheld(leaf) => {
                self.withheld += 1;
                return self.frontier.push(leaf);
            }
            ItemRef::Disclosed(bytes) => bytes,
        };
        let Ok(view) = ViewRef::parse(bytes) else {
            self.verified = false;
            return self.frontier.push(icomm_proto::log::empty_root());
        };
        self.frontier.push(view.leaf_hash());
        match view.sections() {
            SectionSet::EMPTY => self.withheld += 1,
            sections if sections.is_subset(SectionSet::open()) => self.denominalised += 1,
            _ => self.disclosed += 1,
        }
        self.verified &= view.verify().is_ok();
    }
}

impl Default for Tally {
    /// Nothing counted yet.
    fn default() -> Self {
        Self {
            frontier: Frontier::new(),
            disclosed: 0,
            denominalised: 0,
            withheld: 0,
            verified: true,
        }
    }
}
