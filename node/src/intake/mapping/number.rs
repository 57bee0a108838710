//! Numbers as people and programs write them, to exact decimals.

use std::borrow::Cow;

use icomm_proto::draft::Text;
use rust_decimal::Decimal;
use serde::Deserialize;

/// Significant digits that a binary fraction holds faithfully. What an export shows beyond them
/// (`0.006999999999999999`) is noise of its own making.
const SIGNIFICANT_DIGITS: u32 = 15;

/// The most characters of a number.
const CHARS_MAX: usize = 64;

/// Which characters separate what. Nothing is guessed: `1,234` is a thousand in one office and a little over one in another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notation {
    /// Before the fraction.
    pub(super) decimal: char,
    /// Between groups of three digits; `None`: groups are refused.
    pub(super) thousands: Option<char>,
}

impl Default for Notation {
    fn default() -> Self {
        Self {
            decimal: '.',
            thousands: None,
        }
    }
}

/// The number that `text` says, as the record writes it.
pub(super) fn plain<'t>(text: &'t str, notation: &Notation) -> Result<Text<'t>, String> {
    if notation.decimal == '.' && is_plain(text) {
        return Ok(Cow::Borrowed(text));
    }
    decimal(text, notation).map(|number| Cow::Owned(number.to_string()))
}

/// Whether a number is written as the record writes it: no needless zeros, no sign, no exponent, not too many digits.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return false,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let needless = !whole.starts_with(|first| matches!(first, '1'..='9')) && whole != "0" || fraction.ends_with('0');
    !needless && digits(whole) && digits(fraction) && whole.len() + fraction.len() <= SIGNIFICANT_DIGITS as usize
}

/// The number that `text` says, without trailing zeros.
pub(super) fn decimal(text: &str, notation: &Notation) -> Result<Decimal, String> {
    let text = text.trim();
    if text.len() > CHARS_MAX {
        return Err(format!("is longer than {CHARS_MAX} characters, which no number needs"));
    }
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (whole, fraction) = match mantissa.split_once(notation.decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = ungrouped(whole, notation.thousands)?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => ("-", whole.to_owned()),
        None => ("", whole),
    };
    let fraction = fraction.unwrap_or_default();
    if !digits(&whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(format!(
            "is not a number; the mapping expects digits and, for the fraction, a `{}`",
            notation.decimal
        ));
    }
    let plain = format!(
        "{sign}{}.{}{exponent}",
        if whole.is_empty() { "0" } else { &whole },
        if fraction.is_empty() { "0" } else { fraction }
    );
    let parsed = if exponent.is_empty() {
        Decimal::from_str_exact(&plain)
    } else {
        Decimal::from_scientific(&plain)
    };
    let number = parsed.map_err(|_| "is too large or too small a number to be held exactly".to_owned())?;
    Ok(number.round_sf(SIGNIFICANT_DIGITS).unwrap_or(number).normalize())
}

/// Takes out the separators between groups of three.
fn ungrouped(whole: &str, thousands: Option<char>) -> Result<String, String> {
    let Some(separator) = thousands else {
        return Ok(whole.to_owned());
    };
    let spaced = separator == ' ';
    let is_separator = |character: char| {
        // Programs write a no-break or narrow space where people type a plain one.
        character == separator || (spaced && matches!(character, '\u{a0}' | '\u{202f}'))
    };
    let mut groups = whole.split(is_separator);
    let mut joined = groups.next().unwrap_or_default().to_owned();
    let first = joined.trim_start_matches('-').len();
    for group in groups {
        if group.len() != 3 || first > 3 {
            return Err(format!("has a `{separator}` where no group of three digits ends"));
        }
        joined.push_str(group);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, notation: &Notation) -> Result<String, String> {
        decimal(text, notation).map(|number| number.to_string())
    }

    #[test]
    fn plain_scientific_and_noisy() {
        let plain = Notation::default();
        for (text, expected) in [
            ("255.0", "255"),
            ("1000", "1000"),
            ("0.006999999999999999", "0.007"),
            ("5e-5", "0.00005"),
            ("1.5E3", "1500"),
            (".5", "0.5"),
            ("7.", "7"),
            (" 12 ", "12"),
            ("-3", "-3"),
            ("927611728.0", "927611728"),
            ("0.0", "0"),
        ] {
            assert_eq!(shown(text, &plain).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "1,5",
            "1 000",
            "1.2.3",
            "abc",
            "1e",
            "1e99",
            "0x10",
            "٣",
            "NaN",
            "inf",
            "+",
            "1e5000000000",
            &"9".repeat(40),
            &"1".repeat(100),
        ] {
            assert!(shown(text, &plain).is_err(), "{text}");
        }
    }

    #[test]
    fn declared_separators() {
        let comma = Notation {
            decimal: ',',
            thousands: Some('.'),
        };
        assert_eq!(shown("1.234.567,5", &comma).as_deref(), Ok("1234567.5"));
        assert_eq!(shown("12,5", &comma).as_deref(), Ok("12.5"));
        assert!(shown("1.23", &comma).is_err());
        assert!(shown("1234.567", &comma).is_err());
        let spaced = Notation {
            decimal: ',',
            thousands: Some(' '),
        };
        assert_eq!(shown("1\u{a0}234\u{202f}567,5", &spaced).as_deref(), Ok("1234567.5"));
    }

    proptest! {
        #[test]
        fn decimals_come_back(mantissa in -999_999_999_999_999i64..999_999_999_999_999, scale in 0u32..12) {
            let number = Decimal::new(mantissa, scale).normalize();
            prop_assert_eq!(decimal(&number.to_string(), &Notation::default()), Ok(number));
        }

        #[test]
        fn the_short_way_gives_the_same(text in "[0-9.]{1,18}|-?[0-9]{1,3}\\.?[0-9]{0,3}") {
            let notation = Notation::default();
            prop_assert_eq!(plain(&text, &notation).map(Cow::into_owned), shown(&text, &notation));
        }

        #[test]
        fn any_text_is_a_number_or_not(text in "\\PC{0,20}") {
            let _ = decimal(&text, &Notation { decimal: ',', thousands: Some('.') });
        }
    }
}
