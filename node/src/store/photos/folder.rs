//! Photos on disk: a file each, encrypted under a key of its own that lies in it; a folder an album.
//!
//! ```text
//! photos/KE+main+RECORD-VERSION/NAME             NAME: what only who has the store key can make of a photo's hash
//!        KE+main+RECORD-VERSION.unsettled/…      staged, or being erased: the journal says which, also after a crash
//!
//! file   "icommph1" | wrapped key 16 | size u64 | crc u32 | hashes | piece 0 | piece 1 | …
//! ```
//!
//! Hashes and pieces are encrypted with AES-128 in counter mode under the file's key (counter block: number of the piece, or
//! 2⁶⁴ - 1 for the hashes, then zeros); the key is wrapped as those of views are. To erase is to overwrite the key, durably,
//! and then to remove the file. That bytes are what was kept, the hashes tell, which the record commits to.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aes::{
    Aes128Enc, Aes256,
    cipher::{BlockDecrypt, KeyInit, KeyIvInit, StreamCipher},
};
use bytes::Bytes;
use ctr::Ctr64BE;
use icomm_proto::{Photo, PieceHashes};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Album, PieceKept};
use crate::{
    environment::Entropy,
    store::{
        StoreError, StoreKey,
        disk::{Disk, DiskFile},
    },
};

const MAGIC: &[u8; 8] = b"icommph1";
const KEY_AT: u64 = 8;
const KEY: usize = 16;
const HEAD: usize = 36;
const UNSETTLED: &str = ".unsettled";
const NAME_DOMAIN: &[u8] = b"icomm/v1 photo name\0";

/// The folder of photos in a store's folder.
pub(crate) struct PhotoFolder {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    wrapping: Aes256,
    naming: Sha256,
    entropy: Arc<dyn Entropy>,
    /// Albums that are being erased. Locked while anything is written, so that nothing is added to them.
    erasing: Mutex<BTreeSet<Album>>,
}

impl PhotoFolder {
    /// Nothing is read or written yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, store: &Path, key: &StoreKey, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            disk,
            folder: store.join("photos"),
            wrapping: Aes256::new(key.bytes().into()),
            naming: Sha256::new().chain_update(NAME_DOMAIN).chain_update(key.bytes()),
            entropy,
            erasing: Mutex::default(),
        }
    }

    /// The albums of which the journal has to say whether they stay.
    pub(crate) fn unsettled(&self) -> io::Result<Vec<Album>> {
        let names = self.disk.list(&self.folder)?.unwrap_or_default();
        let unsettled = names.iter().filter_map(|name| name.strip_suffix(UNSETTLED));
        Ok(unsettled.filter_map(album_of).collect())
    }

    /// An album stays, or its end is brought about.
    pub(crate) fn settle(&self, album: &Album, stays: bool) -> Result<(), StoreError> {
        let mut erasing = self.erasing();
        self.settle_locked(album, stays, &mut erasing)
    }

    fn settle_locked(&self, album: &Album, stays: bool, erasing: &mut BTreeSet<Album>) -> Result<(), StoreError> {
        let unsettled = self.unsettled_folder(album);
        let settled = match self.disk.list(&unsettled) {
            Ok(None) => Ok(()),
            Ok(Some(_)) if stays => self.rename(&unsettled, &self.held_folder(album)),
            Ok(Some(files)) => self.erase(&unsettled, &files),
            Err(error) => Err(error),
        };
        settled.map_err(StoreError::io("settle photos"))?;
        erasing.remove(album);
        Ok(())
    }

    pub(crate) fn stage(
        &self,
        album: &Album,
        photo: &Photo,
        hashes: &PieceHashes,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let _one = self.erasing();
        let folder = self.unsettled_folder(album);
        self.create_album(&folder)?;
        let file = self.create(&folder, photo, hashes)?;
        for (piece, bytes) in (0..).zip(bytes.chunks(icomm_proto::photo::PIECE_BYTES)) {
            file.write(photo, piece, bytes)?;
        }
        file.file.sync().map_err(written)
    }

    /// Keeps a piece, if `is_named` says that the section is held: asked when nothing can begin to erase it any more.
    pub(crate) fn keep(
        &self,
        (album, photo): (&Album, &Photo),
        hashes: &PieceHashes,
        (piece, bytes): (u32, &[u8]),
        is_named: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<PieceKept, StoreError> {
        let erasing = self.erasing();
        if erasing.contains(album) || !is_named()? {
            return Ok(PieceKept::Unnamed);
        }
        let folder = self.held_folder(album);
        let file = match self.open(&folder, photo)? {
            Some(file) => file,
            None => {
                self.create_album(&folder)?;
                self.create(&folder, photo, hashes)?
            }
        };
        let held = file.held(photo)?;
        if held != piece || photo.verify(hashes, piece, bytes).is_err() {
            return Ok(PieceKept::Held(held));
        }
        file.write(photo, piece, bytes)?;
        file.file.sync().map_err(written)?;
        Ok(PieceKept::Held(held + 1))
    }

    pub(crate) fn held(&self, album: &Album, photo: &Photo) -> Result<u32, StoreError> {
        let file = self.open(&self.held_folder(album), photo)?;
        file.map_or(Ok(0), |file| file.held(photo))
    }

    pub(crate) fn hashes(&self, album: &Album, photo: &Photo) -> Result<Option<PieceHashes>, StoreError> {
        let file = self.open(&self.held_folder(album), photo)?;
        file.map(|file| file.hashes(photo)).transpose()
    }

    pub(crate) fn piece(&self, album: &Album, photo: &Photo, piece: u32) -> Result<Option<Bytes>, StoreError> {
        let Some(file) = self.open(&self.held_folder(album), photo)? else {
            return Ok(None);
        };
        if piece >= file.written(photo)? {
            return Ok(None);
        }
        let (hashes, bytes) = (file.hashes(photo)?, file.read(photo, piece)?);
        let right = photo.verify(&hashes, piece, &bytes);
        right
            .map(|()| Some(bytes.into()))
            .map_err(|_| damaged("a piece of a photo"))
    }

    /// From now on nothing is added to these albums and none of them is read. What becomes of them, [`Self::settle`] is told.
    pub(crate) fn begin_erasing(&self, albums: &[Album]) -> Result<(), StoreError> {
        let mut erasing = self.erasing();
        for album in albums {
            let held = self.held_folder(album);
            let begun = match self.disk.list(&held) {
                Ok(Some(_)) => self.rename(&held, &self.unsettled_folder(album)),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            begun.map_err(StoreError::io("begin to erase photos"))?;
            erasing.insert(album.clone());
        }
        Ok(())
    }

    /// What was begun for these albums has come to its end or came to nothing.
    pub(crate) fn end_erasing(&self, albums: &[Album], stay: bool) -> Result<(), StoreError> {
        let mut erasing = self.erasing();
        albums
            .iter()
            .try_for_each(|album| self.settle_locked(album, stay, &mut erasing))
    }

    fn erasing(&self) -> MutexGuard<'_, BTreeSet<Album>> {
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_folder(&self, album: &Album) -> PathBuf {
        self.folder.join(name_of(album))
    }

    fn unsettled_folder(&self, album: &Album) -> PathBuf {
        self.folder.join(name_of(album) + UNSETTLED)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)?;
        self.disk.sync_folder(&self.folder)
    }

    fn erase(&self, folder: &Path, files: &[String]) -> io::Result<()> {
        for name in files {
            let file = self.disk.open(&folder.join(name))?;
            file.write_all_at(&[0; KEY], KEY_AT)?;
            file.sync()?;
        }
        self.disk.remove_folder(folder)?;
        self.disk.sync_folder(&self.folder)
    }

    fn create_album(&self, folder: &Path) -> Result<(), StoreError> {
        if let Ok(Some(_)) = self.disk.list(folder) {
            return Ok(());
        }
        let created = self.disk.create_folder(folder).and_then(|()| {
            // The folder of photos itself may be new as well.
            let mut above = folder.ancestors().skip(1).take(2);
            above.try_for_each(|folder| self.disk.sync_folder(folder))
        });
        created.map_err(written)
    }

    /// A name that tells nobody who lacks the store key of which photo it is.
    fn path(&self, folder: &Path, photo: &Photo) -> PathBuf {
        let name = self.naming.clone().chain_update(photo.sha256()).finalize();
        let name = name.first_chunk::<16>().copied().unwrap_or_default();
        folder.join(data_encoding::HEXLOWER.encode(&name))
    }

    fn create(&self, folder: &Path, photo: &Photo, hashes: &PieceHashes) -> Result<PhotoFile, StoreError> {
        let mut wrapped = [0; KEY];
        self.entropy.fill(&mut wrapped);
        let head = head_of(wrapped, photo.size());
        let path = self.path(folder, photo);
        let unfinished = path.with_extension("new");
        let created = self.disk.create(&unfinished).and_then(|file| {
            let file = PhotoFile {
                file,
                key: self.unwrap(wrapped),
            };
            let mut hashes = hashes.as_bytes().to_vec();
            file.apply(u64::MAX, &mut hashes);
            file.file.write_all_at(&head, 0)?;
            file.file.write_all_at(&hashes, HEAD as u64)?;
            file.file.sync()?;
            self.disk.rename(&unfinished, &path)?;
            self.disk.sync_folder(folder)?;
            Ok(file)
        });
        created.map_err(written)
    }

    fn open(&self, folder: &Path, photo: &Photo) -> Result<Option<PhotoFile>, StoreError> {
        let file = match self.disk.open(&self.path(folder, photo)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, 0).map_err(read)?;
        let wrapped = head.get(KEY_AT as usize..).and_then(<[u8]>::first_chunk::<KEY>);
        match wrapped {
            // What was erased and not removed, or came so from a copy.
            Some(wrapped) if *wrapped == [0; KEY] => Ok(None),
            Some(wrapped) if head == head_of(*wrapped, photo.size()) => Ok(Some(PhotoFile {
                file,
                key: self.unwrap(*wrapped),
            })),
            _ => Err(damaged("the head of a photo")),
        }
    }

    fn unwrap(&self, wrapped: [u8; KEY]) -> Zeroizing<[u8; KEY]> {
        let mut key = Zeroizing::new(wrapped);
        self.wrapping.decrypt_block((&mut *key).into());
        key
    }
}

struct PhotoFile {
    file: Arc<dyn DiskFile>,
    key: Zeroizing<[u8; KEY]>,
}

impl PhotoFile {
    fn apply(&self, number: u64, bytes: &mut [u8]) {
        let mut counter = [0; 16];
        for (place, byte) in counter.iter_mut().zip(number.to_be_bytes()) {
            *place = byte;
        }
        Ctr64BE::<Aes128Enc>::new((&*self.key).into(), &counter.into()).apply_keystream(bytes);
    }

    /// How many pieces there is room taken for.
    fn written(&self, photo: &Photo) -> Result<u32, StoreError> {
        let len = self.file.len().map_err(read)?.saturating_sub(pieces_at(photo));
        Ok(match len >= photo.size() {
            true => photo.piece_count(),
            false => u32::try_from(len / icomm_proto::photo::PIECE_BYTES as u64).unwrap_or(u32::MAX),
        })
    }

    /// How many pieces are held, from the first on. Each is synced before the next, so a crash can spoil the last only.
    fn held(&self, photo: &Photo) -> Result<u32, StoreError> {
        let written = self.written(photo)?;
        let Some(last) = written.checked_sub(1) else {
            return Ok(0);
        };
        let whole = photo
            .verify(&self.hashes(photo)?, last, &self.read(photo, last)?)
            .is_ok();
        Ok(if whole { written } else { last })
    }

    fn hashes(&self, photo: &Photo) -> Result<PieceHashes, StoreError> {
        let mut hashes = vec![0; photo.piece_count() as usize * 32];
        self.file.read_exact_at(&mut hashes, HEAD as u64).map_err(read)?;
        self.apply(u64::MAX, &mut hashes);
        photo
            .hashes(&hashes)
            .map_err(|_| damaged("the hashes of a photo's pieces"))
    }

    fn read(&self, photo: &Photo, piece: u32) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; photo.piece_len(piece)];
        let at = pieces_at(photo) + Photo::offset(piece);
        self.file.read_exact_at(&mut bytes, at).map_err(read)?;
        self.apply(u64::from(piece), &mut bytes);
        Ok(bytes)
    }

    fn write(&self, photo: &Photo, piece: u32, bytes: &[u8]) -> Result<(), StoreError> {
        let mut bytes = bytes.to_vec();
        self.apply(u64::from(piece), &mut bytes);
        let at = pieces_at(photo) + Photo::offset(piece);
        self.file.write_all_at(&bytes, at).map_err(written)
    }
}

/// Where a photo's pieces begin in its file.
fn pieces_at(photo: &Photo) -> u64 {
    HEAD as u64 + u64::from(photo.piece_count()) * 32
}

fn head_of(wrapped: [u8; KEY], size: u64) -> [u8; HEAD] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&wrapped);
    crc.update(&size.to_be_bytes());
    let fields = [MAGIC, &wrapped[..], &size.to_be_bytes(), &crc.finalize().to_be_bytes()].concat();
    fields.first_chunk().copied().unwrap_or([0; HEAD])
}

/// `KE+main+019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01-1`
fn name_of(album: &Album) -> String {
    let Album {
        origin,
        record,
        version,
    } = album;
    format!("{}+{}+{record}-{version}", origin.member, origin.log)
}

fn album_of(name: &str) -> Option<Album> {
    let (origin, rest) = name.rsplit_once('+')?;
    let (record, version) = rest.rsplit_once('-')?;
    Some(Album {
        origin: origin.replace('+', "/").parse().ok()?,
        record: record.parse().ok()?,
        version: version.parse().ok()?,
    })
}

fn damaged(what: &'static str) -> StoreError {
    StoreError::Photo(what)
}

fn read(error: io::Error) -> StoreError {
    StoreError::io("read a photo")(error)
}

fn written(error: io::Error) -> StoreError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StoreError::Full,
        _ => StoreError::io("write a photo")(error),
    }
}
