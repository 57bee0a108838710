//! Photos: what section `images` says of each, and the pieces in which they travel.
//!
//! ```text
//! photo          piece 0 | piece 1 | …                       256 KiB each, the last as long as is left
//! piece hash     SHA-256("icomm/v1 piece\0"  ‖ number u32 BE ‖ bytes)
//! pieces         SHA-256("icomm/v1 pieces\0" ‖ size u64 BE ‖ hash of piece 0 ‖ hash of piece 1 ‖ …)
//! ```
//!
//! The section names a photo by the SHA-256 of its bytes, which anybody's tools compute, and by `pieces`, so that each piece
//! verifies by itself, before it is kept, against a list of hashes that itself verifies. The section is hashed with its salt:
//! who was not given it learns neither hash, and can't try photos that it has against the entry.

use std::fmt;

mod clearing;

pub use clearing::{cleared, clearing};

use prost::Message as _;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::section::SectionKind;
use crate::sha256::{HASH_BYTES, sha256};
use crate::v1;
use crate::view::ViewRef;

const PIECE_DOMAIN: &[u8; 15] = b"icomm/v1 piece\0";
const PIECES_DOMAIN: &[u8; 16] = b"icomm/v1 pieces\0";

/// Bytes of every piece but the last.
pub const PIECE_BYTES: usize = 256 << 10;
/// Bytes of a photo at most.
pub const PHOTO_BYTES_MAX: u64 = 32 << 20;
/// Pieces of a photo at most.
pub const PIECES_MAX: usize = PHOTO_BYTES_MAX.div_ceil(PIECE_BYTES as u64) as usize;
/// Bytes of the longest list of piece hashes.
pub const PIECE_HASHES_BYTES_MAX: usize = PIECES_MAX * HASH_BYTES;

/// What a photo's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// A JPEG file.
    Jpeg,
    /// A PNG file.
    Png,
}

impl MediaType {
    /// As the record says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png].into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A photo as its record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    sha256: [u8; HASH_BYTES],
    pieces: [u8; HASH_BYTES],
    size: u64,
    media_type: MediaType,
    kind: String,
}

/// Why something is not the photo that is named, or names none. The fault of whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidPhoto {
    /// No section, or no section that can be read.
    #[error("the entry names no photos here")]
    NoSection,
    /// Fewer photos than that.
    #[error("the entry has no photo number {0}")]
    Number(u32),
    /// A hash of another length.
    #[error("a photo's hash has {0} bytes")]
    Hash(usize),
    /// Empty, or too large.
    #[error("a photo of {0} bytes; it has 1 to {PHOTO_BYTES_MAX}")]
    Size(u64),
    /// Not a type that photos have.
    #[error("photos of another type than `image/jpeg` and `image/png` are not exchanged")]
    MediaType,
    /// The list of piece hashes is not what the record commits to.
    #[error("the hashes of a photo's pieces are not those that its record commits to")]
    Hashes,
    /// A piece is not what its hash says.
    #[error("piece {0} of a photo is not what its record commits to")]
    Piece(u32),
}

impl Photo {
    /// A photo of these bytes, and the hashes of its pieces. `kind` is a code of list `image-kind`.
    ///
    /// # Errors
    /// There are none, or too many.
    pub fn of(bytes: &[u8], media_type: MediaType, kind: &str) -> Result<(Self, PieceHashes), InvalidPhoto> {
        let size = checked_size(bytes.len() as u64)?;
        let hashes: Vec<_> = (0..)
            .zip(bytes.chunks(PIECE_BYTES))
            .map(|(n, piece)| piece_hash(n, piece))
            .collect();
        let photo = Self {
            sha256: Sha256::digest(bytes).into(),
            pieces: hash_of_hashes(size, &hashes),
            size,
            media_type,
            kind: kind.to_owned(),
        };
        Ok((photo, PieceHashes(hashes)))
    }

    /// The photos that an entry names, as far as the view shows them.
    ///
    /// # Errors
    /// Section `images` is not there, or names something that is no photo.
    pub fn all_of(view: &ViewRef<'_>) -> Result<Vec<Self>, InvalidPhoto> {
        let section = view.section(SectionKind::Images).ok_or(InvalidPhoto::NoSection)?;
        let section = v1::Images::decode(section).map_err(|_| InvalidPhoto::NoSection)?;
        section.images.iter().map(Self::try_from).collect()
    }

    /// The photo with this number, from 0, of those that an entry names.
    ///
    /// # Errors
    /// There is no such photo.
    pub fn nth(view: &ViewRef<'_>, number: u32) -> Result<Self, InvalidPhoto> {
        let photos = Self::all_of(view)?.into_iter();
        let mut from = photos.skip(usize::try_from(number).unwrap_or(usize::MAX));
        from.next().ok_or(InvalidPhoto::Number(number))
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; HASH_BYTES] {
        &self.sha256
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What its bytes are.
    #[must_use]
    pub const fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// Of list `image-kind`: what it shows.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// How many pieces it has, at least one.
    #[must_use]
    pub fn piece_count(&self) -> u32 {
        // At most `PIECES_MAX`.
        u32::try_from(self.size.div_ceil(PIECE_BYTES as u64)).unwrap_or(u32::MAX)
    }

    /// How long one of its pieces is; nothing beyond the last.
    #[must_use]
    pub fn piece_len(&self, number: u32) -> usize {
        let left = self.size.saturating_sub(u64::from(number) * PIECE_BYTES as u64);
        usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES)
    }

    /// Where in it a piece begins.
    #[must_use]
    pub fn offset(number: u32) -> u64 {
        u64::from(number) * PIECE_BYTES as u64
    }

    /// Checks a list of piece hashes, as it travels, against what the record commits to.
    ///
    /// # Errors
    /// It is another list.
    pub fn hashes(&self, bytes: &[u8]) -> Result<PieceHashes, InvalidPhoto> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        let fits = rest.is_empty() && hashes.len() as u64 == u64::from(self.piece_count());
        if !fits || hash_of_hashes(self.size, hashes) != self.pieces {
            return Err(InvalidPhoto::Hashes);
        }
        Ok(PieceHashes(hashes.to_vec()))
    }

    /// Checks a piece.
    ///
    /// # Errors
    /// It is not what the record commits to.
    pub fn verify(&self, hashes: &PieceHashes, number: u32, bytes: &[u8]) -> Result<(), InvalidPhoto> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let right = bytes.len() == self.piece_len(number) && hashes.0.get(at) == Some(&piece_hash(number, bytes));
        if right {
            Ok(())
        } else {
            Err(InvalidPhoto::Piece(number))
        }
    }
}

impl TryFrom<&v1::Image> for Photo {
    type Error = InvalidPhoto;

    fn try_from(image: &v1::Image) -> Result<Self, InvalidPhoto> {
        let v1::Image {
            sha256,
            media_type,
            size,
            kind,
            pieces,
        } = image;
        let hash = |bytes: &[u8]| bytes.try_into().map_err(|_| InvalidPhoto::Hash(bytes.len()));
        Ok(Self {
            sha256: hash(sha256)?,
            pieces: hash(pieces)?,
            size: checked_size(*size)?,
            media_type: MediaType::named(media_type).ok_or(InvalidPhoto::MediaType)?,
            kind: kind.clone(),
        })
    }
}

impl From<&Photo> for v1::Image {
    fn from(photo: &Photo) -> Self {
        let Photo {
            sha256,
            pieces,
            size,
            media_type,
            kind,
        } = photo;
        Self {
            sha256: sha256.to_vec().into(),
            media_type: media_type.to_string(),
            size: *size,
            kind: kind.clone(),
            pieces: pieces.to_vec().into(),
        }
    }
}

/// The hashes of a photo's pieces, of which the list as a whole was checked: only [`Photo`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceHashes(Vec<[u8; HASH_BYTES]>);

impl PieceHashes {
    /// As they travel and are kept: one after the other.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }
}

fn checked_size(size: u64) -> Result<u64, InvalidPhoto> {
    match size {
        1..=PHOTO_BYTES_MAX => Ok(size),
        _ => Err(InvalidPhoto::Size(size)),
    }
}

fn piece_hash(number: u32, bytes: &[u8]) -> [u8; HASH_BYTES] {
    sha256::<1>(&[PIECE_DOMAIN, &number.to_be_bytes(), bytes])
}

fn hash_of_hashes(size: u64, hashes: &[[u8; HASH_BYTES]]) -> [u8; HASH_BYTES] {
    sha256::<4>(&[PIECES_DOMAIN, &size.to_be_bytes(), hashes.as_flattened()])
}

#[cfg(test)]
mod tests;
