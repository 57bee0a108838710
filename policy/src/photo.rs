//! Photos that a receiver may have: those that are named in a section which it is given, and only as long as it would be given
//! that section now.
//!
//! A [`DisclosedPiece`] is the only form in which a piece of a photo reaches a link, and only a [`DisclosedPhoto`] makes one,
//! of bytes that it checked. None of these compiles:
//! ```compile_fail,E0451
//! fn forge(honest: icomm_policy::DisclosedPiece, bytes: bytes::Bytes) -> icomm_policy::DisclosedPiece {
//!     icomm_policy::DisclosedPiece { bytes, ..honest }
//! }
//! ```
//! ```compile_fail,E0451
//! fn forge<'a>(honest: icomm_policy::DisclosedPhoto<'a>, photo: icomm_proto::Photo) -> icomm_policy::DisclosedPhoto<'a> {
//!     icomm_policy::DisclosedPhoto { photo, ..honest }
//! }
//! ```

use bytes::Bytes;
use icomm_proto::{Denominalised, InvalidPhoto, Photo, PieceHashes, SectionKind, ViewRef};

use crate::permit::{Basis, Permit};

/// A photo that a receiver may have.
#[derive(Clone, Debug)]
pub struct DisclosedPhoto<'a> {
    photo: Photo,
    permit: &'a Permit,
    /// The section on which it goes.
    section: SectionKind,
}

impl<'a> DisclosedPhoto<'a> {
    /// One of the photos that the view names, to whoever is given that section on this permit.
    pub(crate) fn of(view: &ViewRef<'_>, number: u32, permit: &'a Permit) -> Option<Self> {
        let photo = Photo::nth(view, number).ok()?;
        Some(Self {
            photo,
            permit,
            section: SectionKind::Images,
        })
    }

    /// The photo that its originator cleared for the global node, to which the open section goes on this permit.
    pub(crate) fn cleared(open: &Denominalised<'_>, permit: &'a Permit) -> Option<Self> {
        Some(Self {
            photo: open.photo()?,
            permit,
            section: SectionKind::Case,
        })
    }

    /// What it is.
    #[must_use]
    pub const fn photo(&self) -> &Photo {
        &self.photo
    }

    /// On which bases it goes, at least one.
    pub fn bases(&self) -> impl Iterator<Item = &'a Basis> {
        let bases = self.permit.bases().iter();
        let section = self.section;
        bases.filter(move |basis| basis.sections.contains(section))
    }

    /// A piece of it that may go.
    ///
    /// # Errors
    /// The bytes are not that piece: the holder's store is damaged.
    pub fn piece(&self, hashes: &PieceHashes, number: u32, bytes: Bytes) -> Result<DisclosedPiece, InvalidPhoto> {
        self.photo.verify(hashes, number, &bytes)?;
        Ok(DisclosedPiece { number, bytes })
    }
}

/// A piece of a photo that may go to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisclosedPiece {
    number: u32,
    bytes: Bytes,
}

impl DisclosedPiece {
    /// Which piece.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}
