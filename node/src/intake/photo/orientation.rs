//! The orientation of a picture: all that stays of EXIF, read by the few rules that lead to it and written anew.
//!
//! ```text
//! EXIF   "II*\0" or "MM\0*" | where IFD0 is u32 | …
//! IFD0   entries u16 | 12 each: tag u16, type u16, count u32, value 4 | where the next is u32
//! ours   "MM\0*" | 8 | 1 entry: 0x0112, SHORT, 1, orientation 0 | 0
//! ```

const TAG: u16 = 0x0112;
const SHORT: u16 = 3;
/// Entries of IFD0 that are looked at.
const ENTRIES_MAX: usize = 512;

/// How to turn or mirror a picture to see it upright: 2 to 8 as in EXIF; 1 is how it lies, which needs no word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    /// What a TIFF block, as EXIF has it, says; none if it says nothing or can't be understood.
    pub(super) fn read(tiff: &[u8]) -> Option<Self> {
        let big = match tiff.get(..4)? {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return None,
        };
        let u16_at = |at: usize| {
            let bytes = *tiff.get(at..)?.first_chunk::<2>()?;
            Some(if big {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            })
        };
        let u32_at = |at: usize| {
            let bytes = *tiff.get(at..)?.first_chunk::<4>()?;
            Some(if big {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            })
        };
        let first = usize::try_from(u32_at(4)?).ok()?;
        let count = usize::from(u16_at(first)?).min(ENTRIES_MAX);
        let entries = (0..count).map(|number| first.saturating_add(2 + 12 * number));
        let of = entries.into_iter().find(|at| u16_at(*at) == Some(TAG))?;
        let is_one_short = u16_at(of + 2)? == SHORT && u32_at(of + 4)? == 1;
        let value = u8::try_from(u16_at(of + 8)?).ok()?;
        (is_one_short && (2..=8).contains(&value)).then_some(Self(value))
    }

    /// A TIFF block that says this and nothing else.
    pub(super) fn write(self) -> Vec<u8> {
        let Self(value) = self;
        [
            b"MM\0*".as_slice(),
            &8_u32.to_be_bytes(),
            &1_u16.to_be_bytes(),
            &TAG.to_be_bytes(),
            &SHORT.to_be_bytes(),
            &1_u32.to_be_bytes(),
            &[0, value, 0, 0],
            &0_u32.to_be_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::Orientation;

    #[test]
    fn what_is_written_is_read_again() {
        for value in 0..=20 {
            let written = Orientation(value).write();
            let expected = (2..=8).contains(&value).then_some(Orientation(value));
            assert_eq!(Orientation::read(&written), expected, "{value}");
            for end in 0..written.len() - 6 {
                assert_eq!(Orientation::read(&written[..end]), None);
            }
        }
        let little = b"II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x04\0\0\0mak\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        assert_eq!(Orientation::read(little), Some(Orientation(6)));
        assert_eq!(Orientation::read(b"II*\0\xff\xff\xff\xff"), None);
        assert_eq!(Orientation::read(b""), None);
    }
}
