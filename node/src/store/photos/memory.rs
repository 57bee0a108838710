//! Photos in memory, as plainly as possible.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use icomm_proto::{Photo, PieceHashes};

use super::{Album, PieceKept};

type Albums = BTreeMap<Album, BTreeMap<[u8; 32], Held>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryPhotos(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    albums: Albums,
    staged: BTreeSet<Album>,
}

#[derive(Debug)]
struct Held {
    hashes: PieceHashes,
    pieces: Vec<Bytes>,
}

impl MemoryPhotos {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self, album: &Album, photo: &Photo, hashes: &PieceHashes, bytes: &[u8]) {
        let mut state = self.state();
        state.staged.insert(album.clone());
        let held = Held {
            hashes: hashes.clone(),
            pieces: bytes
                .chunks(icomm_proto::photo::PIECE_BYTES)
                .map(Bytes::copy_from_slice)
                .collect(),
        };
        let photos = state.albums.entry(album.clone()).or_default();
        photos.insert(*photo.sha256(), held);
    }

    pub(crate) fn settle(&self, album: &Album, stays: bool) {
        let mut state = self.state();
        if state.staged.remove(album) && !stays {
            state.albums.remove(album);
        }
    }

    pub(crate) fn keep(
        &self,
        album: &Album,
        photo: &Photo,
        hashes: &PieceHashes,
        piece: u32,
        bytes: &[u8],
    ) -> PieceKept {
        let mut state = self.state();
        let photos = state.albums.entry(album.clone()).or_default();
        let held = photos.entry(*photo.sha256()).or_insert_with(|| Held {
            hashes: hashes.clone(),
            pieces: Vec::new(),
        });
        if held.pieces.len() == piece as usize && photo.verify(hashes, piece, bytes).is_ok() {
            held.pieces.push(Bytes::copy_from_slice(bytes));
        }
        PieceKept::Held(held.pieces.len() as u32)
    }

    pub(crate) fn held(&self, album: &Album, photo: &Photo) -> u32 {
        self.of(album, photo, |held| held.pieces.len() as u32).unwrap_or(0)
    }

    pub(crate) fn hashes(&self, album: &Album, photo: &Photo) -> Option<PieceHashes> {
        self.of(album, photo, |held| held.hashes.clone())
    }

    pub(crate) fn piece(&self, album: &Album, photo: &Photo, piece: u32) -> Option<Bytes> {
        self.of(album, photo, |held| held.pieces.get(piece as usize).cloned())?
    }

    pub(crate) fn erase(&self, album: &Album) {
        self.state().albums.remove(album);
    }

    fn of<T>(&self, album: &Album, photo: &Photo, look: impl FnOnce(&Held) -> T) -> Option<T> {
        self.state().albums.get(album)?.get(photo.sha256()).map(look)
    }
}
