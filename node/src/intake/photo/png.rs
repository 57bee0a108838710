//! PNG files (W3C, third edition), chunk by chunk.
//!
//! ```text
//! 89 "PNG" 0d 0a 1a 0a | chunk IHDR | … | chunk IEND           chunk: length u32 | type 4 | content | crc u32 (type, content)
//! ```
//!
//! Kept: header, palette, transparency, picture data, and the few numbers of `gAMA`, `cHRM`, `sRGB`, `pHYs`, each as long as
//! it has to be. The picture data is inflated once, to see that it is exactly the pixels that the header announces: neither a
//! bomb, nor with something else behind them.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Bytes, PhotoRefused, Stripped, check_pixels, orientation::Orientation};

pub(super) const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks at most.
const CHUNKS_MAX: usize = 200_000;
/// Bytes inflated at a time.
const INFLATED_BYTES: usize = 64 << 10;
/// Columns and rows, and the steps between them, of the seven passes of an interlaced picture.
const PASSES: [[u32; 4]; 7] = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
];

pub(super) fn strip(file: &[u8]) -> Result<Stripped, PhotoRefused> {
    let mut bytes = Bytes {
        format: "PNG",
        file,
        at: MAGIC.len(),
    };
    let mut stripped = Stripped::default();
    stripped.bytes.extend_from_slice(MAGIC);
    let mut kept = Kept::default();
    let mut data: Option<Data> = None;
    let mut header = None;
    let mut orientation = None;
    for _ in 0..CHUNKS_MAX {
        let at = bytes.at;
        let chunk = Chunk::read(&mut bytes)?;
        let fault = |what| PhotoRefused::Malformed {
            format: "PNG",
            what,
            at,
        };
        let Some(header) = header else {
            let read = Header::read(&chunk).ok_or_else(|| fault("it does not begin with its header"))?;
            check_pixels(read.width, read.height)?;
            chunk.write(&mut stripped.bytes);
            header = Some(read);
            continue;
        };
        match &chunk.kind {
            b"IDAT" => {
                let data = data.get_or_insert_with(|| {
                    // Before the picture, as the standard has it.
                    kept.write(orientation, &mut stripped.bytes);
                    Data::new(header)
                });
                if data.is_over {
                    return Err(fault("its picture data is in two parts"));
                }
                data.take(chunk.content).map_err(fault)?;
                chunk.write(&mut stripped.bytes);
            }
            b"IEND" => {
                if !data.is_some_and(|mut data| data.ends_whole()) || !chunk.content.is_empty() {
                    return Err(fault("it ends before its picture does"));
                }
                chunk.write(&mut stripped.bytes);
                if !bytes.rest().is_empty() {
                    stripped.leave_out("bytes after the end");
                }
                return Ok(stripped);
            }
            b"eXIf" if data.is_none() => {
                orientation = orientation.or_else(|| Orientation::read(chunk.content));
                if orientation.is_none_or(|orientation| orientation.write() != chunk.content) {
                    stripped.leave_out("exif");
                }
            }
            kind => {
                let is_kept = data.is_none() && kept.keep(&chunk, header).map_err(fault)?;
                if !is_kept {
                    if kind.first().is_some_and(u8::is_ascii_uppercase) {
                        return Err(fault(
                            "it has a part that nobody may leave out and that is not known here",
                        ));
                    }
                    stripped.leave_out(word(kind));
                }
            }
        }
        if chunk.kind != *b"IDAT"
            && let Some(data) = &mut data
        {
            data.is_over = true;
        }
    }
    Err(bytes.fault("it has more parts than a picture needs"))
}

fn word(kind: &[u8; 4]) -> &'static str {
    match kind {
        b"tEXt" | b"zTXt" | b"iTXt" => "text",
        b"eXIf" => "exif",
        b"iCCP" => "colour profile",
        b"tIME" => "time",
        b"acTL" | b"fcTL" | b"fdAT" => "further pictures",
        _ => "application data",
    }
}

struct Chunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn read(bytes: &mut Bytes<'a>) -> Result<Self, PhotoRefused> {
        let start = bytes.at;
        let len = u32::from_be_bytes(bytes.array()?);
        let kind: [u8; 4] = bytes.array()?;
        let content = bytes.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        let crc = u32::from_be_bytes(bytes.array()?);
        if crc != crc_of(kind, content) || !kind.iter().all(u8::is_ascii_alphabetic) {
            bytes.at = start;
            return Err(bytes.fault("a part of it is damaged"));
        }
        Ok(Self { kind, content })
    }

    fn write(&self, out: &mut Vec<u8>) {
        // No longer than the file.
        out.extend(u32::try_from(self.content.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.kind);
        out.extend_from_slice(self.content);
        out.extend(crc_of(self.kind, self.content).to_be_bytes());
    }
}

fn crc_of(kind: [u8; 4], content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(content);
    crc.finalize()
}

#[derive(Clone, Copy)]
struct Header {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Header {
    fn read(chunk: &Chunk<'_>) -> Option<Self> {
        if chunk.kind != *b"IHDR" {
            return None;
        }
        let &[w3, w2, w1, w0, h3, h2, h1, h0, depth, colour, 0, 0, interlace] = chunk.content else {
            return None;
        };
        let known = match colour {
            0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
            3 => matches!(depth, 1 | 2 | 4 | 8),
            2 | 4 | 6 => matches!(depth, 8 | 16),
            _ => false,
        };
        (known && interlace <= 1).then_some(Self {
            width: u32::from_be_bytes([w3, w2, w1, w0]),
            height: u32::from_be_bytes([h3, h2, h1, h0]),
            depth,
            colour,
            interlaced: interlace == 1,
        })
    }

    /// How many bytes its picture data inflates to: each row with its filter before it.
    fn inflated(self) -> u64 {
        let channels = match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        let rows = |width: u32, height: u32| match width {
            0 => 0,
            _ => u64::from(height) * (1 + (u64::from(width) * channels * u64::from(self.depth)).div_ceil(8)),
        };
        match self.interlaced {
            false => rows(self.width, self.height),
            true => PASSES
                .iter()
                .map(|[column, row, columns, every]| {
                    rows(
                        self.width.saturating_sub(*column).div_ceil(*columns),
                        self.height.saturating_sub(*row).div_ceil(*every),
                    )
                })
                .sum(),
        }
    }
}

/// What stands before the picture data and is kept.
#[derive(Default)]
struct Kept {
    numbers: Vec<Vec<u8>>,
    palette: Option<Vec<u8>>,
    transparency: Option<Vec<u8>>,
}

impl Kept {
    /// Whether a chunk is kept.
    fn keep(&mut self, chunk: &Chunk<'_>, header: Header) -> Result<bool, &'static str> {
        let len = chunk.content.len();
        let encoded = || {
            let mut bytes = Vec::new();
            chunk.write(&mut bytes);
            bytes
        };
        let fits = match &chunk.kind {
            b"PLTE" => {
                let fits = len.is_multiple_of(3) && (1..=256).contains(&(len / 3)) && !matches!(header.colour, 0 | 4);
                if self.palette.replace(encoded()).is_some() || !fits {
                    return Err("its palette is none");
                }
                return Ok(true);
            }
            b"tRNS" => {
                let fits = match header.colour {
                    0 => len == 2,
                    2 => len == 6,
                    3 => (1..=256).contains(&len),
                    _ => false,
                };
                if self.transparency.replace(encoded()).is_some() || !fits {
                    return Err("its transparency is none");
                }
                return Ok(true);
            }
            b"gAMA" => len == 4,
            b"cHRM" => len == 32,
            b"sRGB" => len == 1,
            b"pHYs" => len == 9,
            _ => false,
        };
        let known = self
            .numbers
            .iter()
            .any(|known| known.get(4..8) == Some(&chunk.kind[..]));
        if fits && !known {
            self.numbers.push(encoded());
        }
        Ok(fits && !known)
    }

    fn write(&self, orientation: Option<Orientation>, out: &mut Vec<u8>) {
        self.numbers.iter().for_each(|number| out.extend_from_slice(number));
        out.extend_from_slice(self.palette.as_deref().unwrap_or_default());
        out.extend_from_slice(self.transparency.as_deref().unwrap_or_default());
        if let Some(orientation) = orientation {
            let content = &orientation.write()[..];
            Chunk {
                kind: *b"eXIf",
                content,
            }
            .write(out);
        }
    }
}

/// The picture data as it is inflated.
struct Data {
    inflate: Decompress,
    expected: u64,
    ended: bool,
    is_over: bool,
}

impl Data {
    fn new(header: Header) -> Self {
        Self {
            inflate: Decompress::new(true),
            expected: header.inflated(),
            ended: false,
            is_over: false,
        }
    }

    fn take(&mut self, mut content: &[u8]) -> Result<(), &'static str> {
        let mut inflated = vec![0; INFLATED_BYTES];
        while !content.is_empty() {
            if self.ended {
                return Err("something stands behind its picture data");
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(content, &mut inflated, FlushDecompress::None);
            let status = status.map_err(|_| "its picture data is damaged")?;
            if self.inflate.total_out() > self.expected {
                return Err("its picture data is more than its header says");
            }
            let taken = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(usize::MAX);
            content = content.get(taken..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            if taken == 0 && self.inflate.total_out() == before_out && !self.ended {
                return Err("its picture data is damaged");
            }
        }
        Ok(())
    }

    fn ends_whole(&mut self) -> bool {
        // What was taken may still be on its way out.
        let mut inflated = vec![0; INFLATED_BYTES];
        while !self.ended && self.inflate.total_out() < self.expected {
            let before = self.inflate.total_out();
            let status = self.inflate.decompress(&[], &mut inflated, FlushDecompress::Finish);
            self.ended = matches!(status, Ok(Status::StreamEnd));
            if self.inflate.total_out() == before {
                break;
            }
        }
        self.ended && self.inflate.total_out() == self.expected
    }
}
