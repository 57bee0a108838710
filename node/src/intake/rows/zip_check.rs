//! Looks through a workbook's archive before anything trusts it.
//!
//! Every part is inflated once and thrown away, so that sizes are counted and not believed: what an archive declares is the
//! attacker's word. The XML is not parsed here; three properties that a streaming parser's memory depends on are measured:
//! how far apart two `<` stand (one text or one tag), how far apart two cells (`<c`), and the number of strings that a
//! table announces (readers reserve memory by it).

use std::io::{self, Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

use super::{FileError, ROW_BYTES_MAX};

/// The most parts in a workbook.
const PARTS_MAX: usize = 4_096;
/// The most bytes that a part may inflate to if the reader keeps it in memory (all but the sheets).
const KEPT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most bytes that all parts may inflate to: a full sheet of 1,048,576 rows with 512 short cells each stays below.
const ALL_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Above [`RATIO_FREE_BYTES`], the most bytes that one byte of the archive may inflate to. Real sheets reach 10 to 60.
const RATIO_MAX: u64 = 150;
/// Small archives may be as dense as they like.
const RATIO_FREE_BYTES: u64 = 32 * 1024 * 1024;

/// The most that [`super::SHARED_STRINGS_BYTES_MAX`] promises.
pub(super) const SHARED_STRINGS_BYTES_MAX: u64 = KEPT_BYTES_MAX;

/// Inflates all parts of the archive and refuses what no workbook needs.
pub(super) fn check<R: Read + Seek>(archive_bytes: R, archive_len: u64) -> Result<(), FileError> {
    let mut archive = ZipArchive::new(archive_bytes).map_err(damaged)?;
    if archive.len() > PARTS_MAX {
        return Err(FileError::Bomb {
            detail: format!("{} parts, where {PARTS_MAX} is the limit", archive.len()),
        });
    }
    let mut all_bytes = 0u64;
    let mut buffer = vec![0; 64 * 1024];
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(damaged)?;
        let name = part.name().map_err(damaged)?.to_ascii_lowercase();
        let sheet = name.contains("worksheets/") && name.ends_with(".xml");
        let mut markup = (sheet || name.ends_with(".xml")).then(Markup::default);
        let mut part_bytes = 0u64;
        loop {
            let read = part.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            part_bytes += read as u64;
            all_bytes += read as u64;
            if !sheet && part_bytes > KEPT_BYTES_MAX {
                return Err(FileError::Bomb {
                    detail: format!("a part inflates beyond {KEPT_BYTES_MAX} bytes"),
                });
            }
            if all_bytes > ALL_BYTES_MAX {
                return Err(FileError::Bomb {
                    detail: format!("it inflates beyond {ALL_BYTES_MAX} bytes"),
                });
            }
            if all_bytes > RATIO_FREE_BYTES && all_bytes / archive_len.max(1) > RATIO_MAX {
                return Err(FileError::Bomb {
                    detail: format!("it inflates to more than {RATIO_MAX} times its size"),
                });
            }
            if let Some(markup) = &mut markup {
                markup.look(buffer.get(..read).unwrap_or_default(), sheet)?;
            }
        }
        if let Some(markup) = markup {
            markup.finish(part_bytes)?;
        }
    }
    Ok(())
}

/// The disk's fault, or the archive's?
fn unreadable(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::Other => FileError::Damaged {
            detail: error.to_string(),
        },
        _ => FileError::Io(error),
    }
}

fn damaged(error: ZipError) -> FileError {
    match error {
        ZipError::Io(error) => unreadable(error),
        error => FileError::Damaged {
            detail: error.to_string(),
        },
    }
}

/// Measures XML without parsing it.
#[derive(Default)]
struct Markup {
    since_tag: usize,
    since_cell: usize,
    /// The last bytes, for what spans two buffers.
    last: [u8; 2],
    announced: Announced,
}

impl Markup {
    fn look(&mut self, bytes: &[u8], sheet: bool) -> Result<(), FileError> {
        for &byte in bytes {
            self.since_tag += 1;
            self.since_cell += 1;
            let before = self.last;
            self.last = [before[1], byte];
            if byte == b'<' {
                self.since_tag = 0;
            }
            // `<c>` and `<c r=…`, with or without a namespace prefix; also `</row>`, between rows without cells.
            if matches!(byte, b' ' | b'>' | b'\n' | b'\t' | b'/')
                && matches!(before, [b'<' | b':', b'c'] | [b'o', b'w'])
            {
                self.since_cell = 0;
            }
            if self.since_tag > ROW_BYTES_MAX {
                return Err(FileError::Bomb {
                    detail: format!("a text or tag is longer than {ROW_BYTES_MAX} bytes"),
                });
            }
            if sheet && self.since_cell > 8 * ROW_BYTES_MAX {
                return Err(FileError::Bomb {
                    detail: "a cell is larger than any cell can be".to_owned(),
                });
            }
            self.announced.look(byte);
        }
        Ok(())
    }

    fn finish(self, part_bytes: u64) -> Result<(), FileError> {
        // The shortest string takes five bytes: `<si/>`.
        if self.announced.most > part_bytes {
            let detail = format!("a table announces {} strings and can't hold them", self.announced.most);
            return Err(FileError::Bomb { detail });
        }
        Ok(())
    }
}

/// Finds `uniqueCount="…"` and keeps the largest number.
#[derive(Default)]
struct Announced {
    matched: usize,
    in_value: bool,
    number: u64,
    most: u64,
}

impl Announced {
    fn look(&mut self, byte: u8) {
        const NAME: &[u8] = b"uniqueCount";
        if self.in_value {
            match byte {
                b'0'..=b'9' => {
                    self.number = self.number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                    self.most = self.most.max(self.number);
                }
                b' ' | b'=' | b'"' | b'\'' | b'\n' | b'\t' | b'\r' | b'+' if self.number == 0 => {}
                _ => {
                    *self = Self {
                        most: self.most,
                        ..Self::default()
                    }
                }
            }
            return;
        }
        self.matched = match NAME.get(self.matched) {
            Some(expected) if *expected == byte => self.matched + 1,
            _ => usize::from(byte == b'u'),
        };
        if self.matched == NAME.len() {
            self.matched = 0;
            self.in_value = true;
        }
    }
}
