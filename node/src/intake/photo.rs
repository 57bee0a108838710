//! Photos as they are handed in: what a file is is told by its content, and of what it holds only the picture stays.
//!
//! ```text
//! file ─▶ JPEG or PNG? ─▶ walked from end to end, strictly ─▶ the parts that make the picture, written anew ─▶ photo
//!                                       └ all else is left out: EXIF, GPS, XMP, IPTC, comments, previews, colour profiles,
//!                                         what stands after the end. Of EXIF the orientation stays, written by us.
//! ```
//!
//! The pixels are not decoded and not changed. What is kept is what is known, not what is not forbidden; every length has to
//! add up, so that nothing rides along in a part that is kept. What can't be walked to its end is refused. Profiles are left
//! out since they name devices and hold texts; a picture in wide colours looks paler without. Other types are refused: of a
//! PDF, a TIFF or a DICOM file nobody can say with certainty that nothing is left.

use icomm_proto::{InvalidPhoto, MediaType, Photo, PieceHashes, photo::PHOTO_BYTES_MAX};
use thiserror::Error;

mod jpeg;
mod orientation;
mod png;

/// Longest side of a picture, in pixels.
pub const SIDE_PIXELS_MAX: u32 = 32_768;
/// Pixels of a picture at most: whoever looks at it has to hold them all.
pub const PIXELS_MAX: u64 = 100_000_000;

/// A photo without its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photograph {
    /// As its record will name it.
    pub photo: Photo,
    /// The hashes of its pieces.
    pub hashes: PieceHashes,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What was left out, in words, each once.
    pub removed: Vec<&'static str>,
    /// How long the file was.
    pub file_bytes: u64,
}

/// A file that is not taken as a photo: the fault of whoever hands it in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PhotoRefused {
    /// Neither JPEG nor PNG.
    #[error("it is {0}; hand in JPEG or PNG, for instance as exported by the program that shows it")]
    Type(&'static str),
    /// Larger than a photo may be.
    #[error("it has {bytes} bytes; the most allowed is {max}")]
    TooLarge {
        /// How many.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// It does not follow its format.
    #[error("it is no {format} file from end to end: {what}, at byte {at}")]
    Malformed {
        /// Which.
        format: &'static str,
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// More pixels than anybody has to hold.
    #[error("it is {width} by {height} pixels; at most {PIXELS_MAX} in all and {SIDE_PIXELS_MAX} a side")]
    Pixels {
        /// Across.
        width: u32,
        /// Down.
        height: u32,
    },
    /// Nothing is left of it.
    #[error(transparent)]
    Photo(#[from] InvalidPhoto),
}

/// What is left of a file, and what was left out.
#[derive(Debug, Default)]
struct Stripped {
    bytes: Vec<u8>,
    removed: Vec<&'static str>,
}

impl Stripped {
    fn leave_out(&mut self, what: &'static str) {
        if !self.removed.contains(&what) {
            self.removed.push(what);
        }
    }
}

/// Takes a file of at most `bytes_max` bytes. `kind` is a code of list `image-kind`.
///
/// # Errors
/// It is no JPEG and no PNG file from end to end, or too large.
pub fn photograph(file: &[u8], kind: &str, bytes_max: u64) -> Result<Photograph, PhotoRefused> {
    let (bytes, max) = (file.len() as u64, bytes_max.min(PHOTO_BYTES_MAX));
    if bytes > max {
        return Err(PhotoRefused::TooLarge { bytes, max });
    }
    let (media_type, stripped) = match sniffed(file) {
        Sniffed::Jpeg => (MediaType::Jpeg, jpeg::strip(file)?),
        Sniffed::Png => (MediaType::Png, png::strip(file)?),
        Sniffed::Other(what) => return Err(PhotoRefused::Type(what)),
    };
    let Stripped { bytes, removed } = stripped;
    let (photo, hashes) = Photo::of(&bytes, media_type, kind)?;
    Ok(Photograph {
        photo,
        hashes,
        bytes,
        removed,
        file_bytes: file.len() as u64,
    })
}

enum Sniffed {
    Jpeg,
    Png,
    Other(&'static str),
}

fn sniffed(file: &[u8]) -> Sniffed {
    const OTHERS: [(usize, &[u8], &str); 10] = [
        (
            0,
            b"%PDF-",
            "a PDF document, of which nobody can say that all metadata is gone",
        ),
        (0, b"II*\0", "a TIFF file"),
        (0, b"MM\0*", "a TIFF file"),
        (128, b"DICM", "a DICOM file"),
        (0, b"GIF8", "a GIF file"),
        (8, b"WEBP", "a WebP file"),
        (4, b"ftyp", "a HEIF, AVIF or video file"),
        (0, b"PK\x03\x04", "an archive or an office document"),
        (0, b"BM", "a BMP file"),
        (0, b"<", "a text file"),
    ];
    if file.starts_with(jpeg::MAGIC) {
        return Sniffed::Jpeg;
    }
    if file.starts_with(png::MAGIC) {
        return Sniffed::Png;
    }
    let is = |at: usize, magic: &[u8]| file.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let other = OTHERS.iter().find(|(at, magic, _)| is(*at, magic));
    Sniffed::Other(other.map_or("of a type that is not known here", |(.., what)| *what))
}

fn check_pixels(width: u32, height: u32) -> Result<(), PhotoRefused> {
    let many = u64::from(width) * u64::from(height) > PIXELS_MAX;
    if width == 0 || height == 0 || many || width.max(height) > SIDE_PIXELS_MAX {
        return Err(PhotoRefused::Pixels { width, height });
    }
    Ok(())
}

/// A file that is read from its beginning.
struct Bytes<'a> {
    format: &'static str,
    file: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn fault(&self, what: &'static str) -> PhotoRefused {
        PhotoRefused::Malformed {
            format: self.format,
            what,
            at: self.at,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.file.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PhotoRefused> {
        let taken = self.rest().get(..count).ok_or_else(|| self.fault("it is cut short"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PhotoRefused> {
        let taken = self.take(N)?;
        Ok(taken.first_chunk().copied().unwrap_or([0; N]))
    }
}

#[cfg(test)]
mod tests;
