//! Dates, and what is generalised from them: the month of a seizure, the age band of a person.

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use super::{Check, trim};
use crate::draft::Text;
use crate::field::{Path, Reason};

/// Seizures outside these years are typing errors.
const SEIZURE_YEARS: std::ops::RangeInclusive<i32> = 1950..=2100;
/// Births outside these years are typing errors.
const BIRTH_YEARS: std::ops::RangeInclusive<i32> = 1880..=2100;

/// A birth date as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Birth {
    year: i32,
    month: Option<u8>,
    day: Option<u8>,
}

impl Check<'_> {
    /// A seizure's date, `2026-05-31`, or date and time with offset, `2026-05-31T23:10:00+03:00`. The date counts as
    /// written, at the place of the seizure.
    pub(super) fn seizure_date(&mut self, path: Path<'_>, value: &mut Text<'_>) -> Option<Date> {
        trim(value);
        if value.is_empty() {
            return None;
        }
        let date = match value.len() {
            10 => partial(value).and_then(Birth::day),
            _ => OffsetDateTime::parse(value, &Rfc3339).ok().map(OffsetDateTime::date),
        };
        match date {
            None => self.refuse(
                path,
                value,
                Reason::Form("a date such as `2026-05-31`, or a date and time with offset"),
            ),
            Some(date) if !SEIZURE_YEARS.contains(&date.year()) => {
                self.refuse(path, value, Reason::Range("years 1950 to 2100"));
                return None;
            }
            Some(_) => {}
        }
        date
    }

    /// A month given without a date: `2026-05`.
    pub(super) fn month(&mut self, path: Path<'_>, value: &str) {
        let year = partial(value)
            .filter(|birth| birth.month.is_some() && birth.day.is_none())
            .map(|birth| birth.year);
        if !year.is_some_and(|year| SEIZURE_YEARS.contains(&year)) {
            self.refuse(path, value, Reason::Form("a month such as `2026-05`"));
        }
    }

    /// A birth date as far as it is known: `1990`, `1990-05` or `1990-05-31`.
    pub(super) fn birth_date(&mut self, path: Path<'_>, value: &mut Text<'_>) -> Option<Birth> {
        trim(value);
        if value.is_empty() {
            return None;
        }
        let birth = partial(value);
        match birth {
            None => self.refuse(
                path,
                value,
                Reason::Form("a date such as `1990-05-31`, `1990-05` or `1990`"),
            ),
            Some(birth) if !BIRTH_YEARS.contains(&birth.year) => {
                self.refuse(path, value, Reason::Range("years 1880 to 2100"));
                return None;
            }
            Some(_) => {}
        }
        birth
    }
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, a date that exists.
fn partial(text: &str) -> Option<Birth> {
    let digits = |part: &str, len: usize| -> Option<u16> {
        let form = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
        form.then(|| part.parse().ok()).flatten()
    };
    let mut parts = text.split('-');
    let year = i32::from(digits(parts.next()?, 4)?);
    let mut two = || {
        parts
            .next()
            .map(|part| digits(part, 2).and_then(|number| u8::try_from(number).ok()))
    };
    let (month, day) = (
        two().map_or(Some(None), |month| month.map(Some))?,
        two().map_or(Some(None), |day| day.map(Some))?,
    );
    if parts.next().is_some() {
        return None;
    }
    let known_month = month.map_or(Some(Month::January), |month| Month::try_from(month).ok())?;
    Date::from_calendar_date(year, known_month, day.unwrap_or(1)).ok()?;
    Some(Birth { year, month, day })
}

impl Birth {
    /// The day, if it is known.
    fn day(self) -> Option<Date> {
        let month = Month::try_from(self.month?).ok()?;
        Date::from_calendar_date(self.year, month, self.day?).ok()
    }
}

/// `YYYY-MM`.
pub(super) fn month(date: Date) -> String {
    format!("{:04}-{:02}", date.year(), u8::from(date.month()))
}

/// The month of a date, or of a date and time, that was accepted: both begin with it.
pub(super) fn month_of<'a>(date: &Text<'a>) -> Text<'a> {
    const LEN: usize = "YYYY-MM".len();
    match date {
        Cow::Borrowed(date) => Cow::Borrowed(date.get(..LEN).unwrap_or_default()),
        Cow::Owned(date) => Cow::Owned(date.get(..LEN).unwrap_or_default().to_owned()),
    }
}

/// Full years from birth to `date`; what is not known of the birth counts as the first month or day. None if the birth
/// lies after the date.
pub(super) fn age(birth: Birth, date: Date) -> Option<u32> {
    let birthday = (birth.month.unwrap_or(1), birth.day.unwrap_or(1));
    let had_birthday = (u8::from(date.month()), date.day()) >= birthday;
    u32::try_from(date.year() - birth.year - i32::from(!had_birthday)).ok()
}

/// The code of list `age-band`.
pub(super) const fn age_band(age: u32) -> &'static str {
    match age {
        0..14 => "0-13",
        14..18 => "14-17",
        18..25 => "18-24",
        25..35 => "25-34",
        35..45 => "35-44",
        45..55 => "45-54",
        55..65 => "55-64",
        _ => "65+",
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;
    use crate::codes::{List, tests::BUILT_IN};

    fn check<T>(rule: impl FnOnce(&mut Check<'_>) -> T) -> Result<T, Reason> {
        let lists = &*BUILT_IN;
        let mut check = Check {
            lists,
            errors: Vec::new(),
        };
        let result = rule(&mut check);
        check.errors.pop().map_or(Ok(result), |error| Err(error.reason))
    }

    fn seizure(text: &str) -> Result<Option<Date>, Reason> {
        check(|check| check.seizure_date(Path::top("seizure_date"), &mut Text::from(text)))
    }

    #[test]
    fn seizure_dates_are_read_as_written() {
        assert_eq!(seizure("2026-05-31"), Ok(Some(date!(2026 - 05 - 31))));
        assert_eq!(
            seizure("2026-05-31T23:10:00+03:00"),
            Ok(Some(date!(2026 - 05 - 31))),
            "not the day in UTC"
        );
        assert_eq!(seizure(""), Ok(None));
        assert_eq!(month(date!(2026 - 05 - 31)), "2026-05");
        for text in ["2026-05-31", "2026-05-31T23:10:00+03:00"] {
            assert_eq!(month_of(&text.into()), "2026-05");
        }
        for text in [
            "2026-02-29",
            "2026-5-1",
            "31.05.2026",
            "2026-05",
            "2026-05-31T23:10:00",
            "20260531",
            "2026-05-3\u{661}",
        ] {
            assert!(matches!(seizure(text), Err(Reason::Form(_))), "{text}");
        }
        for text in ["0206-05-31", "1900-01-01", "2101-01-01"] {
            assert!(matches!(seizure(text), Err(Reason::Range(_))), "{text}");
        }
    }

    #[test]
    fn birth_dates_may_be_known_in_part() {
        let birth = |text: &str| check(|check| check.birth_date(Path::top("birth_date"), &mut Text::from(text)));
        assert_eq!(
            birth("1990"),
            Ok(Some(Birth {
                year: 1990,
                month: None,
                day: None
            }))
        );
        assert_eq!(
            birth("1990-05"),
            Ok(Some(Birth {
                year: 1990,
                month: Some(5),
                day: None
            }))
        );
        assert_eq!(
            birth("2000-02-29"),
            Ok(Some(Birth {
                year: 2000,
                month: Some(2),
                day: Some(29)
            }))
        );
        for text in [
            "90",
            "1990-13",
            "1990-00",
            "1999-02-29",
            "1990-05-31-01",
            "1990-",
            "199O",
        ] {
            assert!(matches!(birth(text), Err(Reason::Form(_))), "{text}");
        }
        assert!(matches!(birth("1870"), Err(Reason::Range(_))));
    }

    #[test]
    fn ages_count_full_years() {
        let age_at = |birth: &str, date| age(partial(birth).unwrap(), date);
        assert_eq!(age_at("2000-06-15", date!(2018 - 06 - 14)), Some(17));
        assert_eq!(age_at("2000-06-15", date!(2018 - 06 - 15)), Some(18));
        assert_eq!(age_at("2000", date!(2018 - 01 - 01)), Some(18));
        assert_eq!(age_at("2000-06", date!(2018 - 05 - 31)), Some(17));
        assert_eq!(age_at("2020", date!(2018 - 01 - 01)), None);
    }

    #[test]
    fn age_bands_are_those_of_the_list() {
        let lists = &*BUILT_IN;
        let bands: std::collections::BTreeSet<_> = (0..120).map(age_band).collect();
        assert_eq!(bands.len(), lists.list(List::AgeBand).len());
        assert!(bands.iter().all(|band| lists.list(List::AgeBand).contains(band)));
        assert_eq!(
            (age_band(13), age_band(14), age_band(64), age_band(65)),
            ("0-13", "14-17", "55-64", "65+")
        );
    }
}
