//! Free and short texts: Unicode that means what it looks like.
//!
//! Texts are brought into normal form C and trimmed. Refused are characters that hide or reorder what is read (controls,
//! bidirectional marks and overrides, zero-width space, tags), and those that no text should hold (private use,
//! noncharacters, U+FFFD, which is left where a conversion has already lost something). Joiners (U+200C, U+200D) stay:
//! Persian and Indic names need them.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{Check, TEXT_BYTES_MAX, trim};
use crate::draft::Text;
use crate::field::{Path, Reason};

impl Check<'_> {
    /// A text of one line.
    pub(crate) fn text(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        self.normal(path, value, TEXT_BYTES_MAX, |_| false);
    }

    /// A text that may have several lines.
    pub(crate) fn lines(&mut self, path: Path<'_>, value: &mut Text<'_>, max: usize) {
        if value.contains('\r') {
            *value = value.replace("\r\n", "\n").replace('\r', "\n").into();
        }
        self.normal(path, value, max, |c| matches!(c, '\n' | '\t'));
    }

    /// A list of texts of one line each; empty ones are dropped.
    pub(crate) fn texts(&mut self, name: Path<'_>, values: &mut Vec<Text<'_>>, max: usize) {
        self.bounded(name, values, max);
        for (index, value) in values.iter_mut().enumerate() {
            self.text(name.at(index), value);
        }
        values.retain(|value| !value.is_empty());
    }

    fn normal(&mut self, path: Path<'_>, value: &mut Text<'_>, max: usize, allowed: impl Fn(char) -> bool) {
        trim(value);
        // Before normalising, which could make a long text longer still.
        if value.len() > max {
            return self.refuse(
                path,
                value,
                Reason::TooLong {
                    bytes: value.len(),
                    max,
                },
            );
        }
        // Nearly all texts: nothing in them could be forbidden, or be composed otherwise.
        if is_printable_ascii(value) {
            return;
        }
        if let Some(bad) = value.chars().find(|c| is_forbidden(*c) && !allowed(*c)) {
            return self.refuse(path, value, Reason::Character(bad));
        }
        if !is_nfc(value) {
            *value = value.nfc().collect::<String>().into();
            if value.len() > max {
                self.refuse(
                    path,
                    value,
                    Reason::TooLong {
                        bytes: value.len(),
                        max,
                    },
                );
            }
        }
    }
}

fn is_printable_ascii(text: &str) -> bool {
    // Without an early end it is done many bytes at a time.
    text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..)
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::BUILT_IN;

    fn checked(text: &str) -> Result<String, Reason> {
        let lists = &*BUILT_IN;
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        let mut value = Text::from(text);
        check.text(Path::top("place"), &mut value);
        check
            .errors
            .pop()
            .map_or(Ok(value.into_owned()), |error| Err(error.reason))
    }

    #[test]
    fn texts_are_trimmed_and_composed() {
        assert_eq!(checked("  Mombasa\u{a0}"), Ok("Mombasa".into()));
        assert_eq!(checked("Zu\u{0308}rich"), Ok("Zürich".into()));
        assert_eq!(checked("می\u{200c}خواهم"), Ok("می\u{200c}خواهم".into()));
    }

    #[test]
    fn characters_that_deceive_are_refused() {
        let bad = "\0\t\n\u{7f}\u{85}\u{ad}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\
            \u{feff}\u{fffd}\u{fffe}\u{ffff}\u{e000}\u{fdd0}\u{e0041}\u{1fffe}\u{10ffff}";
        for c in bad.chars() {
            assert_eq!(
                checked(&format!("a{c}b")),
                Err(Reason::Character(c)),
                "U+{:04X}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn length_counts_after_normalising_too() {
        let max = TEXT_BYTES_MAX;
        assert!(checked(&"x".repeat(max)).is_ok());
        assert_eq!(
            checked(&"x".repeat(max + 1)),
            Err(Reason::TooLong { bytes: max + 1, max })
        );
        // U+0958 decomposes in normal form C, from three bytes to six.
        assert_eq!(
            checked(&"\u{958}".repeat(170)),
            Err(Reason::TooLong { bytes: 1020, max })
        );
    }

    #[test]
    fn lines_keep_their_breaks() {
        let lists = &*BUILT_IN;
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        let mut value = Text::from("one\r\ntwo\rthree\tfour");
        check.lines(Path::top("narrative"), &mut value, 100);
        assert_eq!(value, "one\ntwo\nthree\tfour");
        assert!(check.errors.is_empty());
    }
}
