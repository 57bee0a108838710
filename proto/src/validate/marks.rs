//! Marks with a form of their own: vessel, aircraft and container numbers, HS codes, UN/LOCODE.
//!
//! Each is brought into one spelling (capitals, no blanks) before it is checked, so that equal marks are equal texts.

use super::{Check, trim};
use crate::codes::{List, is_locode};
use crate::draft::Text;
use crate::field::{Path, Reason};

impl Check<'_> {
    /// IMO number: seven digits, the last a check digit. `IMO 9074729` becomes `9074729`.
    pub(super) fn imo(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        compact(value);
        if let Some(digits) = value.strip_prefix("IMO") {
            *value = digits.to_owned().into();
        }
        let Some(digits) = digits::<7>(value) else {
            return self.refuse_form(path, value, "an IMO number, which has seven digits");
        };
        let [a, b, c, d, e, f, check] = digits;
        let expected = (7 * a + 6 * b + 5 * c + 4 * d + 3 * e + 2 * f) % 10;
        if check != expected {
            self.refuse(path, value, Reason::CheckDigit { expected });
        }
    }

    /// MMSI: nine digits.
    pub(super) fn mmsi(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        compact(value);
        if digits::<9>(value).is_none() {
            self.refuse_form(path, value, "an MMSI, which has nine digits");
        }
    }

    /// Container number by ISO 6346: owner and category (four letters), six digits and a check digit.
    pub(super) fn container(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        compact(value);
        let form = value.len() == 11
            && value.bytes().take(4).all(|byte| byte.is_ascii_uppercase())
            && value.bytes().skip(4).all(|byte| byte.is_ascii_digit())
            && matches!(value.as_bytes().get(3), Some(b'U' | b'J' | b'Z'));
        if !form {
            return self.refuse_form(path, value, "a container number, such as `CSQU3054383` (ISO 6346)");
        }
        // Letters count 10 to 38 without the multiples of 11; each place counts twice the one before.
        let sum: u32 = value
            .bytes()
            .take(10)
            .zip(0..)
            .map(|(byte, place)| {
                let value = match byte {
                    b'0'..=b'9' => u32::from(byte - b'0'),
                    _ => {
                        let letter = u32::from(byte.saturating_sub(b'A'));
                        letter + 10 + letter.div_ceil(10)
                    }
                };
                value << place
            })
            .sum();
        let expected = sum % 11 % 10;
        if value.chars().last().and_then(|digit| digit.to_digit(10)) != Some(expected) {
            self.refuse(path, value, Reason::CheckDigit { expected });
        }
    }

    /// Call sign, registration or flight number: letters and digits, `-` or `/` between them.
    pub(super) fn mark(&mut self, path: Path<'_>, value: &mut Text<'_>, max: usize) {
        compact_keeping(value, &['-', '/']);
        let ends = [value.bytes().next(), value.bytes().last()];
        let form = value.len() <= max
            && value
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'/'))
            && ends.iter().flatten().all(u8::is_ascii_alphanumeric);
        if !form {
            self.refuse_form(
                path,
                value,
                "a mark of letters and digits, with `-` or `/` between them",
            );
        }
    }

    /// HS code: chapter, heading or subheading, in the installed list if there is one. `2403.11` becomes `240311`.
    pub(super) fn hs(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        compact(value);
        if value.is_empty() {
            return;
        }
        let chapter = value.get(..2).and_then(|chapter| chapter.parse::<u8>().ok());
        // Chapter 77 is reserved; 98 and 99 are for national use.
        let form = matches!(value.len(), 2 | 4 | 6)
            && value.bytes().all(|byte| byte.is_ascii_digit())
            && chapter.is_some_and(|chapter| (1..=99).contains(&chapter) && chapter != 77);
        if !form {
            return self.refuse_form(path, value, "an HS code of 2, 4 or 6 digits, chapters 01 to 97");
        }
        if !self.lists.list(List::Hs).is_empty() {
            self.code(path, value, List::Hs);
        }
    }

    /// A place: UN/LOCODE, IATA code or text. `KE MBA` and, where the list is installed, `KEMBA` are UN/LOCODEs; other
    /// texts stay as they are, since `PARIS` has the form of one too.
    pub(super) fn place(&mut self, path: Path<'_>, value: &mut Text<'_>) {
        self.text(path, value);
        if value.len() == 6 && value.as_bytes().get(2) == Some(&b' ') {
            let code: String = value.chars().filter(|c| *c != ' ').collect();
            let country = code.get(..2).unwrap_or_default();
            if is_locode(&code) && self.lists.list(List::Country).contains(country) {
                *value = code.into();
                if !self.lists.list(List::Unlocode).is_empty() {
                    self.code(path, value, List::Unlocode);
                }
            }
        }
    }

    fn refuse_form(&mut self, path: Path<'_>, value: &str, form: &'static str) {
        if !value.is_empty() {
            self.refuse(path, value, Reason::Form(form));
        }
    }
}

/// Capitals, without blanks, dots and hyphens.
fn compact(value: &mut Text<'_>) {
    compact_keeping(value, &[]);
}

fn compact_keeping(value: &mut Text<'_>, kept: &[char]) {
    trim(value);
    let dropped = |c: char| matches!(c, ' ' | '-' | '.' | '/' | '\u{a0}') && !kept.contains(&c);
    if value.contains(|c: char| dropped(c) || c.is_ascii_lowercase()) {
        *value = value
            .chars()
            .filter(|c| !dropped(*c))
            .map(|c| c.to_ascii_uppercase())
            .collect::<String>()
            .into();
    }
}

/// Exactly `N` digits.
fn digits<const N: usize>(text: &str) -> Option<[u32; N]> {
    let digits: Vec<u32> = text
        .chars()
        .take(N + 1)
        .map(|c| c.to_digit(10))
        .collect::<Option<_>>()?;
    digits.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::tests::BUILT_IN;
    use crate::field::FieldError;

    /// The value after a rule, or why it was refused.
    fn checked(rule: impl Fn(&mut Check<'_>, Path<'_>, &mut Text<'_>), text: &str) -> Result<String, Reason> {
        let lists = &*BUILT_IN;
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        let mut value = Text::from(text);
        rule(&mut check, Path::top("mark"), &mut value);
        match check.errors.pop() {
            None => Ok(value.into_owned()),
            Some(FieldError { reason, .. }) => Err(reason),
        }
    }

    #[test]
    fn imo_numbers() {
        let imo = |text| checked(|check, path, value| check.imo(path, value), text);
        assert_eq!(imo("9074729"), Ok("9074729".into()));
        assert_eq!(imo("IMO 9074729"), Ok("9074729".into()));
        assert_eq!(imo("9074720"), Err(Reason::CheckDigit { expected: 9 }));
        for text in ["907472", "90747290", "907472A", "٩٠٧٤٧٢٩"] {
            assert!(matches!(imo(text), Err(Reason::Form(_))), "{text}");
        }
    }

    #[test]
    fn every_single_digit_error_in_an_imo_number_of_this_kind_is_found() {
        let imo = |text: &str| checked(|check, path, value| check.imo(path, value), text);
        // Weights 7 and 3 are prime to ten: there no wrong digit passes.
        for place in [0, 4, 6] {
            for digit in b'0'..=b'9' {
                let mut text = *b"9074729";
                let right = text[place] == digit;
                text[place] = digit;
                assert_eq!(imo(std::str::from_utf8(&text).unwrap()).is_ok(), right);
            }
        }
    }

    #[test]
    fn container_numbers() {
        let container = |text: &str| checked(|check, path, value| check.container(path, value), text);
        // The standard's own example, and each other digit in its place.
        for digit in 0..10 {
            assert_eq!(container(&format!("CSQU305438{digit}")).is_ok(), digit == 3, "{digit}");
        }
        assert_eq!(container("csqu-305438-3"), Ok("CSQU3054383".into()));
        assert_eq!(container("CSQU3054384"), Err(Reason::CheckDigit { expected: 3 }));
        for text in [
            "CSQX3054383",
            "CSQU305438",
            "CSQU30543833",
            "1SQU3054383",
            "CSQU30543É3",
        ] {
            assert!(matches!(container(text), Err(Reason::Form(_))), "{text}");
        }
    }

    #[test]
    fn hs_codes() {
        let hs = |text| checked(|check, path, value| check.hs(path, value), text);
        assert_eq!(hs("2403.11"), Ok("240311".into()));
        assert_eq!(hs("29"), Ok("29".into()));
        for text in ["2", "240", "24031", "2403110", "7700", "00", "ab", "24\u{661}1"] {
            assert!(matches!(hs(text), Err(Reason::Form(_))), "{text}");
        }
    }

    #[test]
    fn places() {
        let place = |text| checked(|check, path, value| check.place(path, value), text);
        assert_eq!(place("KE MBA"), Ok("KEMBA".into()));
        assert_eq!(place("PARIS"), Ok("PARIS".into()));
        assert_eq!(place("QQ MBA"), Ok("QQ MBA".into()), "no such country, so a text");
        assert!(is_locode("USNY2") && !is_locode("USNY1") && !is_locode("usnyc") && !is_locode("USNYCX"));
    }

    #[test]
    fn marks_keep_their_inner_signs() {
        let mark = |text| checked(|check, path, value| check.mark(path, value, 10), text);
        assert_eq!(mark("5y-abc"), Ok("5Y-ABC".into()));
        assert_eq!(mark("KQ 310"), Ok("KQ310".into()));
        assert!(matches!(mark("-ABC"), Err(Reason::Form(_))));
        assert!(matches!(mark("ABCDEFGHIJK"), Err(Reason::Form(_))));
    }

    #[test]
    fn mmsi_numbers() {
        let mmsi = |text| checked(|check, path, value| check.mmsi(path, value), text);
        assert_eq!(mmsi("634 123 456"), Ok("634123456".into()));
        assert!(matches!(mmsi("63412345"), Err(Reason::Form(_))));
    }
}
