//! The form in which a record may reach the global node: the open section, nothing else.

use std::fmt;

use thiserror::Error;

use crate::entry::Entry;
use crate::log::Hash;
use crate::section::{SectionKind, SectionSet};
use crate::view::{ForeignField, Tampered, ViewRef, check_fields};

/// The one section that is open.
const OPEN: SectionKind = SectionKind::Case;

/// What goes upstream of a view: its entry and its open section, verified, as they lie in the view's bytes.
///
/// The type has no place for another section, whatever the code around it does, and none for a field of the open section
/// that is not in `record.proto`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Denominalised<'a> {
    entry: Entry<'a>,
    /// The entry, with its length before it.
    head: &'a [u8],
    /// The open section with its number, salt and length.
    open: &'a [u8],
}

/// A view that can't be de-nominalised.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotDenominalised {
    /// It lacks the open section, so there is nothing to send.
    #[error("view does not hold the open section")]
    Missing,
    /// The open section is not what its originator committed to.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The open section holds a field that this version has no place for, so nobody can say what it tells.
    #[error(transparent)]
    Foreign(#[from] ForeignField),
}

impl<'a> Denominalised<'a> {
    /// What remains of `view` when all but the open section is left out. Verifies that section; copies nothing.
    ///
    /// # Errors
    /// The section is not there, or not what it should be: the originator's fault, or the holder's store is damaged.
    pub fn of(view: &ViewRef<'a>) -> Result<Self, NotDenominalised> {
        let (Some(open), Some(content)) = (view.whole_section(OPEN), view.section(OPEN)) else {
            return Err(NotDenominalised::Missing);
        };
        check_fields(OPEN, content)?;
        view.verify_section(OPEN)?;
        Ok(Self {
            entry: view.entry(),
            head: view.entry_with_len(),
            open,
        })
    }

    /// The entry, which is the same in every view of it.
    #[must_use]
    pub const fn entry(&self) -> Entry<'a> {
        self.entry
    }

    /// The entry's leaf in its log.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        self.entry.leaf_hash()
    }

    /// The disclosed sections: the open one.
    #[must_use]
    pub const fn sections(&self) -> SectionSet {
        SectionSet::open()
    }

    /// Appends the bytes of the view that holds only this.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head);
        out.push(1);
        out.extend_from_slice(self.open);
    }
}

impl fmt::Debug for Denominalised<'_> {
    /// Never the contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Denominalised").field(&self.entry).finish()
    }
}
