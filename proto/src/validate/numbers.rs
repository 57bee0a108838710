//! Decimal numbers, and the bands that stand for them where the exact number is withheld.
//!
//! A band is a decade: from its first number on, up to but without the second. Quantities are banded in the normalised
//! unit, values in their own currency.
//!
//! ```text
//! quantity  under-0.001 | 0.001-0.01 | 0.01-0.1 | 0.1-1 | 1-10 | … | 10000-100000 | from-100000
//! value     under-100 | 100-1000 | 1000-10000 | … | 1000000-10000000 | from-10000000
//! ```

use rust_decimal::Decimal;

use super::{Check, trim};
use crate::draft::Text;
use crate::field::{Path, Reason};

/// Most digits before the point.
const WHOLE_DIGITS_MAX: usize = 15;
/// Most digits after the point.
const FRACTION_DIGITS_MAX: usize = 12;

/// Bands with their first numbers, the highest first; what is below all of them is in the last.
type Bands<const N: usize> = ([(Decimal, &'static str); N], &'static str);

const QUANTITY_BANDS: Bands<9> = (
    [
        (Decimal::from_parts(100_000, 0, 0, false, 0), "from-100000"),
        (Decimal::from_parts(10_000, 0, 0, false, 0), "10000-100000"),
        (Decimal::ONE_THOUSAND, "1000-10000"),
        (Decimal::ONE_HUNDRED, "100-1000"),
        (Decimal::TEN, "10-100"),
        (Decimal::ONE, "1-10"),
        (Decimal::from_parts(1, 0, 0, false, 1), "0.1-1"),
        (Decimal::from_parts(1, 0, 0, false, 2), "0.01-0.1"),
        (Decimal::from_parts(1, 0, 0, false, 3), "0.001-0.01"),
    ],
    "under-0.001",
);

const VALUE_BANDS: Bands<6> = (
    [
        (Decimal::from_parts(10_000_000, 0, 0, false, 0), "from-10000000"),
        (Decimal::from_parts(1_000_000, 0, 0, false, 0), "1000000-10000000"),
        (Decimal::from_parts(100_000, 0, 0, false, 0), "100000-1000000"),
        (Decimal::from_parts(10_000, 0, 0, false, 0), "10000-100000"),
        (Decimal::ONE_THOUSAND, "1000-10000"),
        (Decimal::ONE_HUNDRED, "100-1000"),
    ],
    "under-100",
);

impl Check<'_> {
    /// A decimal number of zero or more in plain notation, brought into its shortest spelling. None if it is empty or
    /// was refused.
    pub(super) fn decimal(&mut self, path: Path<'_>, value: &mut Text<'_>) -> Option<Decimal> {
        trim(value);
        if value.is_empty() {
            return None;
        }
        let Some((whole, fraction)) = plain(value) else {
            self.refuse(path, value, Reason::Form("a number in plain notation, such as `12.5`"));
            return None;
        };
        if whole.len() > WHOLE_DIGITS_MAX {
            self.refuse(path, value, Reason::Range("at most 15 digits before the point"));
            return None;
        }
        if fraction.len() > FRACTION_DIGITS_MAX {
            self.refuse(path, value, Reason::Range("at most 12 digits after the point"));
            return None;
        }
        // At most 27 digits: always fits.
        let digits = whole.bytes().chain(fraction.bytes());
        let mantissa = digits.fold(0, |number, digit| 10 * number + i128::from(digit - b'0'));
        let number = Decimal::try_from_i128_with_scale(mantissa, fraction.len() as u32).ok()?;
        let shortest = whole.len().max(1) + fraction.len() + usize::from(!fraction.is_empty());
        if value.len() != shortest {
            *value = number.to_string().into();
        }
        Some(number)
    }
}

/// The significant digits before and after the point, if it is plain notation: `12`, `12.5`; no sign, no exponent.
fn plain(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| (whole.trim_start_matches('0'), fraction.trim_end_matches('0')))
}

/// The band of a quantity in its normalised unit.
pub(super) fn quantity_band(quantity: Decimal) -> &'static str {
    band(quantity, &QUANTITY_BANDS)
}

/// The band of a value in its currency.
pub(super) fn value_band(value: Decimal) -> &'static str {
    band(value, &VALUE_BANDS)
}

fn band<const N: usize>(number: Decimal, (bands, lowest): &Bands<N>) -> &'static str {
    let found = bands.iter().find(|(first, _)| number >= *first);
    found.map_or(lowest, |(_, band)| band)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::{List, tests::BUILT_IN};

    fn checked(text: &str) -> Result<(String, Option<Decimal>), Reason> {
        let lists = &*BUILT_IN;
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        let mut value = Text::from(text);
        let number = check.decimal(Path::top("quantity"), &mut value);
        check
            .errors
            .pop()
            .map_or(Ok((value.into_owned(), number)), |error| Err(error.reason))
    }

    #[test]
    fn plain_numbers_get_their_shortest_spelling() {
        for (text, expected) in [
            ("255.0", "255"),
            ("0012.50", "12.5"),
            ("0.000", "0"),
            (" 7 ", "7"),
            ("0.0000001", "0.0000001"),
        ] {
            assert_eq!(checked(text).unwrap().0, expected);
        }
        assert_eq!(checked("").unwrap(), (String::new(), None));
        assert_eq!(
            checked("999999999999999.999999999999").unwrap().0,
            "999999999999999.999999999999"
        );
    }

    #[test]
    fn other_notations_are_refused() {
        for text in [
            "-1", "+1", "1e3", "1,5", "1.", ".5", "1.2.3", "NaN", "0x10", "1 000", "٣", "½",
        ] {
            assert!(matches!(checked(text), Err(Reason::Form(_))), "{text}");
        }
        assert!(matches!(checked(&"9".repeat(16)), Err(Reason::Range(_))));
        assert!(matches!(
            checked(&format!("0.{}", "1".repeat(13))),
            Err(Reason::Range(_))
        ));
        assert_eq!(
            checked(&format!("{}1.5{}", "0".repeat(500), "0".repeat(500)))
                .unwrap()
                .0,
            "1.5"
        );
    }

    #[test]
    fn bands_begin_at_their_first_number() {
        let number = |text| Decimal::from_str_exact(text).unwrap();
        for (text, band) in [
            ("0", "under-0.001"),
            ("0.0009", "under-0.001"),
            ("0.001", "0.001-0.01"),
            ("0.999", "0.1-1"),
            ("1", "1-10"),
            ("99.9", "10-100"),
            ("99999", "10000-100000"),
            ("100000", "from-100000"),
            ("1000000000", "from-100000"),
        ] {
            assert_eq!(quantity_band(number(text)), band, "{text}");
        }
        for (text, band) in [
            ("99.99", "under-100"),
            ("100", "100-1000"),
            ("9999999", "1000000-10000000"),
            ("10000000", "from-10000000"),
        ] {
            assert_eq!(value_band(number(text)), band, "{text}");
        }
    }

    #[test]
    fn bands_are_those_of_the_lists() {
        fn check<const N: usize>(list: List, (bands, lowest): &Bands<N>) {
            let codes = BUILT_IN.list(list);
            assert_eq!(codes.len(), N + 1);
            assert!(codes.contains(lowest));
            assert!(bands.iter().all(|(_, band)| codes.contains(band)));
            assert!(bands.is_sorted_by(|(a, _), (b, _)| *a == Decimal::TEN * *b));
        }
        check(List::QuantityBand, &QUANTITY_BANDS);
        check(List::ValueBand, &VALUE_BANDS);
    }

    proptest! {
        #[test]
        fn spelling_again_changes_nothing(whole in 0_u64..1_000_000_000_000_000, fraction in "[0-9]{1,12}") {
            let (once, number) = checked(&format!("{whole}.{fraction}")).unwrap();
            prop_assert_eq!(checked(&once).unwrap(), (once, number));
        }

        #[test]
        fn any_text_is_a_number_or_refused(text in "\\PC{0,40}") {
            let _ = checked(&text);
        }
    }
}
