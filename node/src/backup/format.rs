//! The bytes of a backup. Numbers are big-endian.
//!
//! ```text
//! "icomm-backup/1\n" (15)
//! count u8 | (recipient 32 | encapsulated 32 | sealed key 48)*    the backup's own key, sealed (HPKE) to each recipient
//! encapsulated 32                                                 to the backup's own key; `info` is all before
//! (length u32 | sealed piece)*                                    in order
//!
//! piece   1 | manifest (JSON)                                     the first
//!         2 | bytes of the files, one after the other
//!         3 | signature 64                                        the last: of the node, over SHA-256 of manifest and files
//! ```
//!
//! HPKE counts the pieces, so none can be left out, put elsewhere or come from another backup; without the last one the
//! backup is cut short, and nothing may follow it. Only who it is sealed to learns whose it is.

use std::io::{self, Read, Write};

use icomm_pki::{
    BackupKey, BackupRecipient, Domain, ENCAPSULATED_BYTES, InvalidKey, NodeKey, Opener, PeerId, SEAL_BYTES, Sealer,
    SealingError, Signature, seal_to_recipient, verify_by,
};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Manifest, RECIPIENTS_MAX};

const TAG: &[u8; 15] = b"icomm-backup/1\n";
/// Bytes of files in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// The longest piece: a manifest of a million files is longer than one of data.
const SEALED_BYTES_MAX: usize = (256 << 20) + SEAL_BYTES;
const KEY_BYTES: usize = 32;

const MANIFEST: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;

/// Why a file is not restored from. Nothing of it is in place.
#[derive(Debug, Error)]
pub enum InvalidBackup {
    /// It can't be read: the disk's fault.
    #[error("the backup can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Something else, or a later version.
    #[error("this is not a backup of version 1")]
    Tag,
    /// It ends before its end.
    #[error("the backup is cut short; copy it again, or take another one")]
    Short,
    /// Bytes follow its end.
    #[error("something follows the end of the backup: it was changed")]
    Trailing,
    /// It is sealed to other keys.
    #[error("the backup is not sealed to this key, but to {0}; use the secret half of one of these")]
    Recipient(String),
    /// A piece is not what was sealed.
    #[error("piece {0} of the backup was changed, or is not in its place")]
    Piece(u64),
    /// It is sealed, and says something that can't be.
    #[error("the backup's contents can't be: {0}")]
    Contents(&'static str),
    /// It was sealed by somebody else than the node that it names.
    #[error("the backup's signature is not that of the node which it names")]
    Signature,
}

impl From<io::Error> for InvalidBackup {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Unreadable(error),
        }
    }
}

/// A backup being written.
pub(super) struct Packing<W> {
    out: W,
    sealer: Sealer,
    hash: Sha256,
    /// A tag, and bytes that wait for more.
    piece: Vec<u8>,
    bytes: u64,
}

/// Why a backup's key or pieces can't be sealed.
#[derive(Debug, Error)]
pub enum PackError {
    /// It can't be written.
    #[error("the backup can't be written: {0}")]
    Write(#[from] io::Error),
    /// The crypto library refused.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// No randomness.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

impl<W: Write> Packing<W> {
    /// Begins a backup for these recipients, at least one.
    pub(super) fn begin(mut out: W, recipients: &[BackupRecipient], manifest: &[u8]) -> Result<Self, PackError> {
        let key = BackupKey::generate()?;
        let mut head = TAG.to_vec();
        head.push(u8::try_from(recipients.len()).unwrap_or(u8::MAX));
        for recipient in recipients {
            let (secret, mut sealer) = seal_to_recipient(recipient, TAG)?;
            head.extend_from_slice(recipient.as_bytes());
            head.extend_from_slice(&secret);
            head.extend_from_slice(&sealer.seal(key.as_bytes())?);
        }
        let (secret, sealer) = seal_to_recipient(&key.recipient(), &head)?;
        out.write_all(&head)?;
        out.write_all(&secret)?;
        let mut packing = Self {
            out,
            sealer,
            hash: Sha256::new(),
            piece: Vec::with_capacity(1 + PIECE_BYTES),
            bytes: (head.len() + secret.len()) as u64,
        };
        packing.hash.update(manifest);
        packing.put(&[&[MANIFEST], manifest].concat())?;
        packing.piece.push(DATA);
        Ok(packing)
    }

    /// Adds bytes of the files.
    pub(super) fn add(&mut self, mut bytes: &[u8]) -> Result<(), PackError> {
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let room = 1 + PIECE_BYTES - self.piece.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() > PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Signs it; gives how long it is.
    pub(super) fn finish(mut self, key: &NodeKey) -> Result<u64, PackError> {
        if self.piece.len() > 1 {
            self.flush()?;
        }
        let signature = key.sign(Domain::Backup, &self.hash.finalize_reset());
        self.put(&[&[END], signature.as_bytes().as_slice()].concat())?;
        self.out.flush()?;
        Ok(self.bytes)
    }

    fn flush(&mut self) -> Result<(), PackError> {
        let piece = std::mem::take(&mut self.piece);
        self.put(&piece)?;
        self.piece = piece;
        self.piece.truncate(1);
        Ok(())
    }

    fn put(&mut self, piece: &[u8]) -> Result<(), PackError> {
        let sealed = self.sealer.seal(piece)?;
        let length = u32::try_from(sealed.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&sealed)?;
        self.bytes += 4 + sealed.len() as u64;
        Ok(())
    }
}

/// A backup being read.
pub struct Unpacking<R> {
    input: R,
    opener: Opener,
    manifest: Manifest,
    hash: Sha256,
    pieces: u64,
    /// Bytes of files that are still to come.
    left: u64,
}

impl<R: Read> Unpacking<R> {
    /// Opens a backup with the secret half of a key that it is sealed to, and reads what it says of itself.
    ///
    /// # Errors
    /// It is none, or sealed to others, or changed.
    pub fn open(mut input: R, key: &BackupKey) -> Result<Self, InvalidBackup> {
        let mut tag = [0; TAG.len()];
        input.read_exact(&mut tag).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => InvalidBackup::Tag,
            _ => InvalidBackup::Unreadable(error),
        })?;
        if tag != *TAG {
            return Err(InvalidBackup::Tag);
        }
        let mut head = tag.to_vec();
        let [count] = take(&mut input, &mut head)?;
        if count == 0 || usize::from(count) > RECIPIENTS_MAX {
            return Err(InvalidBackup::Contents("how many keys it is sealed to"));
        }
        let (mut own, mut named) = (None, Vec::new());
        for _ in 0..count {
            let recipient = BackupRecipient::from_bytes(take(&mut input, &mut head)?);
            let secret: [u8; ENCAPSULATED_BYTES] = take(&mut input, &mut head)?;
            let sealed: [u8; KEY_BYTES + SEAL_BYTES] = take(&mut input, &mut head)?;
            named.push(recipient.to_string());
            if recipient == key.recipient() {
                let opened = key.opener(secret, TAG).and_then(|mut opener| opener.open(&sealed));
                own = Some(Zeroizing::new(opened.map_err(|_| InvalidBackup::Piece(0))?));
            }
        }
        let own = own.ok_or_else(|| InvalidBackup::Recipient(named.join(", ")))?;
        let own: [u8; KEY_BYTES] = own.as_slice().try_into().map_err(|_| InvalidBackup::Piece(0))?;
        let secret = take(&mut input, &mut Vec::new())?;
        let opener = BackupKey::from_bytes(own).opener(secret, &head);
        let mut opener = opener.map_err(|_| InvalidBackup::Piece(0))?;
        let first = next_piece(&mut input, &mut opener, 0)?;
        let Some((&MANIFEST, json)) = first.split_first() else {
            return Err(InvalidBackup::Contents("it does not begin with what it is"));
        };
        let manifest: Manifest =
            serde_json::from_slice(json).map_err(|_| InvalidBackup::Contents("what it says of itself"))?;
        if !manifest.is_sound() {
            return Err(InvalidBackup::Contents("a name in it leads out of the node's folder"));
        }
        Ok(Self {
            input,
            opener,
            left: manifest.bytes(),
            hash: Sha256::new_with_prefix(json),
            manifest,
            pieces: 1,
        })
    }

    /// What it says of itself. It is certain once [`read`](Self::read) has come to the end.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// More bytes of the files; none once all of it was there and its signature holds.
    ///
    /// # Errors
    /// It is not what was sealed, or not whole.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, InvalidBackup> {
        let piece = next_piece(&mut self.input, &mut self.opener, self.pieces)?;
        self.pieces += 1;
        match piece.split_first() {
            Some((&DATA, data)) if !data.is_empty() => {
                let left = self.left.checked_sub(data.len() as u64);
                self.left = left.ok_or(InvalidBackup::Contents("more bytes than it has files for"))?;
                self.hash.update(data);
                Ok(Some(data.to_vec()))
            }
            Some((&END, signature)) => {
                self.check_end(signature)?;
                Ok(None)
            }
            _ => Err(InvalidBackup::Contents("a piece of no known sort")),
        }
    }

    fn check_end(&mut self, signature: &[u8]) -> Result<(), InvalidBackup> {
        if self.left > 0 {
            return Err(InvalidBackup::Contents("fewer bytes than its files have"));
        }
        let signature = Signature::try_from(signature).map_err(|_| InvalidBackup::Signature)?;
        let node: PeerId = self.manifest.peer_id.parse().map_err(|_| InvalidBackup::Signature)?;
        verify_by(&node, Domain::Backup, &self.hash.finalize_reset(), &signature)
            .map_err(|_| InvalidBackup::Signature)?;
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(InvalidBackup::Trailing),
            Err(error) => Err(InvalidBackup::Unreadable(error)),
        }
    }
}

/// Reads bytes of a fixed number, which also go into `head`.
fn take<const N: usize>(input: &mut impl Read, head: &mut Vec<u8>) -> Result<[u8; N], InvalidBackup> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    head.extend_from_slice(&bytes);
    Ok(bytes)
}

fn next_piece(input: &mut impl Read, opener: &mut Opener, number: u64) -> Result<Vec<u8>, InvalidBackup> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length as usize > SEALED_BYTES_MAX {
        return Err(InvalidBackup::Piece(number));
    }
    // Not taken at its word: what is not there is not made room for.
    let mut sealed = Vec::new();
    if input.take(u64::from(length)).read_to_end(&mut sealed)? < length as usize {
        return Err(InvalidBackup::Short);
    }
    opener.open(&sealed).map_err(|_| InvalidBackup::Piece(number))
}
