//! Photos as a store keeps them: beside the log, piece by piece, for as long as the section that names them is held.
//!
//! ```text
//!   intake:  stage ─▶ the record is issued ─▶ settle        staged for a record that never was: erased
//!   link:    keep, piece after piece, each verified          only while the entry's section `images` is held here
//!   erased:  with the section, in the same batch             whoever erases needs to know nothing of photos
//! ```
//!
//! An album holds the photos of one version of a record. No two records share a photo at rest, so that the end of one
//! record's album is the end of its photos.

use bytes::Bytes;
use icomm_proto::{Origin, Photo, PieceHashes, RecordId, SectionKind, View, log::Item};

use super::{Place, Store, StoreError};

mod folder;
mod memory;

pub(crate) use folder::PhotoFolder;
pub(crate) use memory::MemoryPhotos;

/// The photos of one version of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Album {
    /// Whose log.
    pub origin: Origin,
    /// The record.
    pub record: RecordId,
    /// Its version.
    pub version: u32,
}

impl Album {
    /// That of a view's entry.
    pub fn of(origin: &Origin, view: &View) -> Self {
        let head = view.head();
        Self {
            origin: origin.clone(),
            record: head.record_id,
            version: head.version,
        }
    }

    /// The album that an entry loses when `remains` takes the place of what was held of it.
    pub(crate) fn lost(origin: &Origin, held: &Item, remains: &Item) -> Option<Self> {
        let names = |item: &Item| {
            let Item::Disclosed(bytes) = item else { return None };
            let view = View::parse(bytes.clone()).ok()?;
            view.sections().contains(SectionKind::Images).then_some(view)
        };
        let held = names(held)?;
        names(remains).is_none().then(|| Self::of(origin, &held))
    }
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKept {
    /// So many pieces, from the first on, are durable now.
    Held(u32),
    /// The entry does not name such a photo here (any more), and nothing was kept.
    Unnamed,
}

/// Where a store keeps photos. Every method may block on the disk.
pub trait Photos: Send + Sync {
    /// Keeps a whole photo of a record that is about to be issued; durable when it returns. Whether it stays, the log says:
    /// see [`Photos::settle`].
    ///
    /// # Errors
    /// Nothing is kept.
    fn stage(&self, album: &Album, photo: &Photo, hashes: &PieceHashes, bytes: &[u8]) -> Result<(), StoreError>;

    /// The record was issued, and what was staged for it stays; or it was not, and what was staged is erased. Done for what
    /// was forgotten when the store is opened.
    ///
    /// # Errors
    /// The disk fails; it is done when the store is opened again.
    fn settle(&self, album: &Album) -> Result<(), StoreError>;

    /// Keeps a piece of the photo with this number in the section of the entry at `place`, the piece after those that are
    /// held; any other changes nothing. Durable when it returns.
    ///
    /// # Errors
    /// Nothing is kept.
    fn keep(
        &self,
        place: &Place,
        number: u32,
        hashes: &PieceHashes,
        piece: u32,
        bytes: &[u8],
    ) -> Result<PieceKept, StoreError>;

    /// How many pieces of a photo are held, from the first on.
    ///
    /// # Errors
    /// The disk fails.
    fn held(&self, album: &Album, photo: &Photo) -> Result<u32, StoreError>;

    /// The hashes of its pieces, if any piece is held.
    ///
    /// # Errors
    /// The disk fails, or they are not what they were.
    fn hashes(&self, album: &Album, photo: &Photo) -> Result<Option<PieceHashes>, StoreError>;

    /// One piece, checked; none if it is not held.
    ///
    /// # Errors
    /// The disk fails, or the piece is not what it was.
    fn piece(&self, album: &Album, photo: &Photo, piece: u32) -> Result<Option<Bytes>, StoreError>;
}

/// Whether a store holds the section that names an album's photos.
pub(crate) fn is_named(store: &(impl Store + ?Sized), album: &Album) -> Result<bool, StoreError> {
    for place in store.find(&album.record)? {
        if place.origin == album.origin
            && let Some(view) = view_at(store, &place)?
            && view.head().version == album.version
            && view.sections().contains(SectionKind::Images)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The album of an entry and one of the photos that it names, as far as they are disclosed here.
pub(crate) fn named(
    store: &(impl Store + ?Sized),
    place: &Place,
    number: u32,
) -> Result<Option<(Album, Photo)>, StoreError> {
    let view = view_at(store, place)?;
    Ok(view.and_then(|view| {
        let photo = Photo::nth(&view.borrowed(), number).ok()?;
        Some((Album::of(&place.origin, &view), photo))
    }))
}

fn view_at(store: &(impl Store + ?Sized), place: &Place) -> Result<Option<View>, StoreError> {
    Ok(match store.entry(&place.origin, place.index)? {
        Some(Item::Disclosed(bytes)) => View::parse(bytes).ok(),
        Some(Item::Withheld(_)) | None => None,
    })
}

#[cfg(test)]
mod tests;
