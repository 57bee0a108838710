//! The form in which a record may reach the global node: the open section, nothing else; of an entry by which the originator
//! clears one of its photos, also that photo.

use std::fmt;

use prost::Message as _;
use thiserror::Error;

use crate::entry::{Entry, EntryKind};
use crate::log::Hash;
use crate::photo::{Photo, cleared};
use crate::section::{SectionKind, SectionSet};
use crate::v1;
use crate::view::{ForeignField, Tampered, ViewRef, check_fields};

/// The one section that is open.
const OPEN: SectionKind = SectionKind::Case;
/// The one that names a photo which is cleared.
const CLEARED: SectionKind = SectionKind::Images;

/// What goes upstream of a view: its entry and its open section, verified, as they lie in the view's bytes; and, of an entry
/// that clears one photo, the section that names this photo and nothing else (see [`clearing`](crate::photo::clearing)).
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
    /// Of an entry that clears a photo: the section that names it, likewise, and its content.
    cleared: Option<(&'a [u8], &'a [u8])>,
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
            cleared: match view.entry().head().kind {
                EntryKind::Clear => Self::cleared_of(view),
                EntryKind::Issue | EntryKind::Amend | EntryKind::Recall => None,
            },
        })
    }

    /// What clears more or less than one photo, or is not what its originator committed to, clears none.
    fn cleared_of(view: &ViewRef<'a>) -> Option<(&'a [u8], &'a [u8])> {
        cleared(view)?;
        let (whole, content) = (view.whole_section(CLEARED)?, view.section(CLEARED)?);
        let sound = check_fields(CLEARED, content).is_ok() && view.verify_section(CLEARED).is_ok();
        sound.then_some((whole, content))
    }

    /// The photo that the entry clears for the global node.
    #[must_use]
    pub fn photo(&self) -> Option<Photo> {
        let (_, content) = self.cleared?;
        let named = v1::Images::decode(content).ok()?;
        Photo::try_from(named.images.first()?).ok()
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

    /// The disclosed sections: the open one, and where the entry clears a photo the one that names it.
    #[must_use]
    pub const fn sections(&self) -> SectionSet {
        match self.cleared {
            None => SectionSet::open(),
            Some(_) => SectionSet::open().with(CLEARED),
        }
    }

    /// Appends the bytes of the view that holds only this.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head);
        out.push(1 + u8::from(self.cleared.is_some()));
        out.extend_from_slice(self.open);
        if let Some((section, _)) = self.cleared {
            out.extend_from_slice(section);
        }
    }
}

impl fmt::Debug for Denominalised<'_> {
    /// Never the contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Denominalised").field(&self.entry).finish()
    }
}
