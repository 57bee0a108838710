//! JPEG files (ITU-T T.81), segment by segment.
//!
//! ```text
//! ff d8 | segments | ff da, header, entropy-coded data | … | ff d9           segment: ff | marker | length u16 | content
//! ```
//!
//! Kept: quantisation and Huffman tables, frame and scan headers, restart intervals, each exactly as long as what it says;
//! entropy-coded data as it is; of Adobe's segment the colour transform, of JFIF's the density. Arithmetic coding, lossless
//! and hierarchical pictures are refused: hardly anything shows them.

use super::{Bytes, PhotoRefused, Stripped, check_pixels, orientation::Orientation};

pub(super) const MAGIC: &[u8] = &[0xff, 0xd8, 0xff];

/// Scans of a progressive picture at most: each costs whoever looks at it a pass over all of it.
const SCANS_MAX: usize = 100;
/// Segments at most.
const SEGMENTS_MAX: usize = 20_000;
/// Components of a frame at most: cyan, magenta, yellow and black.
const COMPONENTS_MAX: usize = 4;

pub(super) fn strip(file: &[u8]) -> Result<Stripped, PhotoRefused> {
    let mut walk = Walk {
        bytes: Bytes {
            format: "JPEG",
            file,
            at: 2,
        },
        segments: Vec::new(),
        stripped: Stripped::default(),
        density: None,
        transform: None,
        orientation: None,
        frame: None,
        scans: 0,
    };
    walk.walk()?;
    Ok(walk.written())
}

struct Walk<'a> {
    bytes: Bytes<'a>,
    /// What is kept after the first segments, which are written anew.
    segments: Vec<&'a [u8]>,
    stripped: Stripped,
    /// Unit and the two densities.
    density: Option<[u8; 5]>,
    transform: Option<u8>,
    orientation: Option<Orientation>,
    /// How many components the frame has.
    frame: Option<usize>,
    scans: usize,
}

impl<'a> Walk<'a> {
    fn walk(&mut self) -> Result<(), PhotoRefused> {
        for _ in 0..SEGMENTS_MAX {
            let start = self.bytes.at;
            let [ff, marker] = self.bytes.array()?;
            if ff != 0xff {
                self.bytes.at = start;
                return Err(self.bytes.fault("there is no marker where one should be"));
            }
            match marker {
                // Fill bytes before a marker.
                0xff => self.bytes.at -= 1,
                0xd9 => return self.end(),
                0xc0..=0xc2 | 0xc4 | 0xda..=0xdb | 0xdd | 0xe0..=0xef | 0xfe => self.segment(marker, start)?,
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xcc | 0xde | 0xdf => {
                    return Err(self.bytes.fault("it is coded in a way that hardly any program shows"));
                }
                _ => return Err(self.bytes.fault("it has a marker that has no place there")),
            }
        }
        Err(self.bytes.fault("it has more segments than a picture needs"))
    }

    fn segment(&mut self, marker: u8, start: usize) -> Result<(), PhotoRefused> {
        let len = usize::from(u16::from_be_bytes(self.bytes.array()?));
        let len = len
            .checked_sub(2)
            .ok_or_else(|| self.bytes.fault("a segment has no length"))?;
        let content = self.bytes.take(len)?;
        let keeps = match marker {
            0xdb => tables_add_up(content, |head| if head >> 4 == 0 { 64 } else { 128 }, head_is_table),
            0xc4 => huffman_adds_up(content),
            0xdd => content.len() == 2,
            0xc0..=0xc2 => self.frame(content)?,
            0xda => self.scan_header(content),
            _ => {
                self.application(marker, content);
                return Ok(());
            }
        };
        if !keeps {
            return Err(self.bytes.fault("a segment is not what its length says"));
        }
        if marker == 0xda {
            self.entropy_coded();
            self.scans += 1;
            if self.scans > SCANS_MAX {
                return Err(self.bytes.fault("it has more scans than a picture needs"));
            }
        }
        self.segments.extend(self.bytes.file.get(start..self.bytes.at));
        Ok(())
    }

    fn frame(&mut self, content: &[u8]) -> Result<bool, PhotoRefused> {
        let &[precision, h1, h0, w1, w0, count, ref components @ ..] = content else {
            return Ok(false);
        };
        if self.frame.is_some() {
            return Err(self.bytes.fault("it has two frames"));
        }
        let count = usize::from(count);
        self.frame = Some(count);
        check_pixels(u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into())?;
        Ok(matches!(precision, 8 | 12) && (1..=COMPONENTS_MAX).contains(&count) && components.len() == 3 * count)
    }

    fn scan_header(&self, content: &[u8]) -> bool {
        let Some((&count, rest)) = content.split_first() else {
            return false;
        };
        let count = usize::from(count);
        self.frame.is_some_and(|components| (1..=components).contains(&count)) && rest.len() == 2 * count + 3
    }

    /// Goes to the next marker that is no restart and no escaped byte.
    fn entropy_coded(&mut self) {
        let rest = self.bytes.rest();
        let mut at = 0;
        while let Some(next) = memchr::memchr(0xff, rest.get(at..).unwrap_or_default()) {
            at += next;
            match rest.get(at + 1) {
                Some(0 | 0xd0..=0xd7) => at += 2,
                _ => break,
            }
        }
        self.bytes.at += match memchr::memchr(0xff, rest.get(at..).unwrap_or_default()) {
            Some(0) => at,
            _ => rest.len(),
        };
    }

    /// What applications wrote: of some of it a value stays.
    fn application(&mut self, marker: u8, content: &[u8]) {
        let what = match (marker, content) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, _, _, density @ ..]) if self.density.is_none() => {
                self.density = density.first_chunk::<5>().copied();
                match content.len() {
                    14 => return,
                    _ => "preview",
                }
            }
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform]) if self.transform.is_none() => {
                self.transform = Some(*transform);
                return;
            }
            (0xe1, [b'E', b'x', b'i', b'f', 0, 0, tiff @ ..]) => {
                self.orientation = self.orientation.or_else(|| Orientation::read(tiff));
                if self.orientation.is_some_and(|orientation| orientation.write() == tiff) {
                    return;
                }
                "exif"
            }
            (0xe1, _) => "xmp",
            (0xe2, [b'I', b'C', b'C', ..]) => "colour profile",
            (0xe2, [b'M', b'P', b'F', ..]) => "further pictures",
            (0xed, _) => "iptc",
            (0xfe, _) => "comment",
            _ => "application data",
        };
        self.stripped.leave_out(what);
    }

    fn end(&mut self) -> Result<(), PhotoRefused> {
        if self.scans == 0 {
            return Err(self.bytes.fault("it ends before there is a picture"));
        }
        if !self.bytes.rest().is_empty() {
            self.stripped.leave_out("bytes after the end");
        }
        Ok(())
    }

    fn written(self) -> Stripped {
        let mut stripped = self.stripped;
        let out = &mut stripped.bytes;
        out.extend([0xff, 0xd8]);
        if let Some([unit, densities @ ..]) = self.density {
            put(
                out,
                0xe0,
                &[&b"JFIF\0\x01\x02"[..], &[unit.min(2)], &densities, &[0, 0]].concat(),
            );
        }
        if let Some(orientation) = self.orientation {
            put(out, 0xe1, &[&b"Exif\0\0"[..], &orientation.write()].concat());
        }
        if let Some(transform) = self.transform {
            put(out, 0xee, &[&b"Adobe\0\x64\0\0\0\0"[..], &[transform.min(2)]].concat());
        }
        for segment in self.segments {
            out.extend_from_slice(segment);
        }
        out.extend([0xff, 0xd9]);
        stripped
    }
}

fn put(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    out.extend([0xff, marker]);
    // All of ours are short.
    let len = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend_from_slice(content);
}

/// Whether a segment is tables, each a head and as much as that says, and nothing else.
fn tables_add_up(mut content: &[u8], len: impl Fn(u8) -> usize, is_head: impl Fn(u8) -> bool) -> bool {
    let mut any = false;
    while let Some((&head, rest)) = content.split_first() {
        let Some(rest) = rest.get(len(head)..).filter(|_| is_head(head)) else {
            return false;
        };
        (any, content) = (true, rest);
    }
    any
}

/// Precision (quantisation) or class (Huffman) and number of a table.
fn head_is_table(head: u8) -> bool {
    head >> 4 <= 1 && head & 0x0f <= 3
}

fn huffman_adds_up(mut content: &[u8]) -> bool {
    let mut any = false;
    while let Some((&head, rest)) = content.split_first() {
        let Some((counts, rest)) = rest.split_first_chunk::<16>() else {
            return false;
        };
        let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
        let Some(rest) = rest.get(symbols..).filter(|_| head_is_table(head) && symbols <= 256) else {
            return false;
        };
        (any, content) = (true, rest);
    }
    any
}
