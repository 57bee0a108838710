//! Photos of a journal's records: the folder keeps them, the journal says which of them stay.

use bytes::Bytes;
use icomm_proto::{Photo, PieceHashes};

use super::{Journal, Shared};
use crate::store::{
    Done, Place, StoreError,
    photos::{Album, Photos, PieceKept, is_named, named},
};

impl Journal {
    /// What a crash left in doubt: staged photos of records that were never issued are erased, an erasure that was cut short
    /// is done to the end.
    pub(super) fn settle_photos(&self) -> Result<(), StoreError> {
        let unsettled = self.shared.photos.unsettled();
        for album in unsettled.map_err(StoreError::io("read the store's photos"))? {
            self.settle(&album)?;
            let mended = format!(
                "photos of a record of `{}` that were in doubt are settled",
                album.origin
            );
            self.shared.health().mended.push(mended);
        }
        Ok(())
    }
}

/// What tells of a batch that erases entries, with their photos: those end before anybody hears that the batch is durable.
pub(super) fn ending(
    shared: &std::sync::Arc<Shared>,
    albums: Vec<Album>,
    done: Done,
) -> Result<Done, (StoreError, Done)> {
    if albums.is_empty() {
        return Ok(done);
    }
    if let Err(error) = shared.photos.begin_erasing(&albums) {
        // Those that were begun are as before; if not even that succeeds, the next opening settles it.
        let (Ok(()) | Err(_)) = shared.photos.end_erasing(&albums, true);
        return Err((error, done));
    }
    let shared = shared.clone();
    Ok(Box::new(move |result| {
        let ended = match &result {
            Ok(()) => shared.photos.end_erasing(&albums, false),
            // Nobody knows what the disk holds now: the journal will tell when it is opened again.
            Err(StoreError::Failed(_)) => Ok(()),
            Err(_) => shared.photos.end_erasing(&albums, true),
        };
        done(result.and(ended));
    }))
}

impl Photos for Journal {
    fn stage(&self, album: &Album, photo: &Photo, hashes: &PieceHashes, bytes: &[u8]) -> Result<(), StoreError> {
        self.shared.photos.stage(album, photo, hashes, bytes)
    }

    fn settle(&self, album: &Album) -> Result<(), StoreError> {
        self.shared.photos.settle(album, is_named(self, album)?)
    }

    fn keep(
        &self,
        place: &Place,
        number: u32,
        hashes: &PieceHashes,
        piece: u32,
        bytes: &[u8],
    ) -> Result<PieceKept, StoreError> {
        let Some((album, photo)) = named(self, place, number)? else {
            return Ok(PieceKept::Unnamed);
        };
        let is_named = || Ok(named(self, place, number)?.is_some());
        self.shared
            .photos
            .keep((&album, &photo), hashes, (piece, bytes), is_named)
    }

    fn held(&self, album: &Album, photo: &Photo) -> Result<u32, StoreError> {
        self.shared.photos.held(album, photo)
    }

    fn hashes(&self, album: &Album, photo: &Photo) -> Result<Option<PieceHashes>, StoreError> {
        self.shared.photos.hashes(album, photo)
    }

    fn piece(&self, album: &Album, photo: &Photo, piece: u32) -> Result<Option<Bytes>, StoreError> {
        self.shared.photos.piece(album, photo, piece)
    }
}
