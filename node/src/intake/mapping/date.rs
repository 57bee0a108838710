//! Dates as offices write them, to ISO 8601.
//!
//! A format is a pattern of `YYYY`, `MM`, `DD` (two digits), `M`, `D` (one or two), `MMM` (Jan … Dec), `hh`, `mm`, `ss`, and
//! the characters between them; a time of day is read and left out, since a time without an offset says little. Besides
//! patterns there are `iso` (a date, or a date and time, kept whole if it has an offset) and `serial` (a spreadsheet's day
//! number). Two-digit years are not offered: they have cost enough.

use std::borrow::Cow;

use icomm_proto::draft::Text;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime};

/// Years that a case can be from.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// `YYYY-MM-DD`.
const ISO_DAY: [Part; 5] = [
    Part::Year,
    Part::Literal('-'),
    Part::Month { digits: (2, 2) },
    Part::Literal('-'),
    Part::Day { digits: (2, 2) },
];
const ISO_DAY_LEN: usize = "YYYY-MM-DD".len();

/// One way to write a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Iso,
    Serial,
    Pattern(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month { digits: (usize, usize) },
    MonthName,
    Day { digits: (usize, usize) },
    TimeOfDay { below: i32 },
    Literal(char),
}

impl Format {
    /// Reads a format; `None` where it can't give a date.
    pub(super) fn parse(text: &str) -> Option<Self> {
        const WORDS: [(&str, Part); 9] = [
            ("YYYY", Part::Year),
            ("MMM", Part::MonthName),
            ("MM", Part::Month { digits: (2, 2) }),
            ("M", Part::Month { digits: (1, 2) }),
            ("DD", Part::Day { digits: (2, 2) }),
            ("D", Part::Day { digits: (1, 2) }),
            ("hh", Part::TimeOfDay { below: 24 }),
            ("mm", Part::TimeOfDay { below: 60 }),
            ("ss", Part::TimeOfDay { below: 61 }),
        ];
        match text {
            "iso" => return Some(Self::Iso),
            "serial" => return Some(Self::Serial),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some((word, part)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
                parts.push(part.clone());
                rest = rest.strip_prefix(word)?;
            } else {
                parts.push(Part::Literal(next));
                rest = rest.strip_prefix(next)?;
            }
        }
        let once = |is: fn(&Part) -> bool| parts.iter().filter(|part| is(part)).count() == 1;
        let whole = once(|part| matches!(part, Part::Year))
            && once(|part| matches!(part, Part::Month { .. } | Part::MonthName))
            && once(|part| matches!(part, Part::Day { .. }));
        whole.then_some(Self::Pattern(parts))
    }

    /// The ISO 8601 form of `text`; `None` where it isn't written so, or no such day exists.
    pub(super) fn read<'t>(&self, text: &'t str) -> Option<Text<'t>> {
        let date = match self {
            Self::Iso => {
                if text.len() == ISO_DAY_LEN {
                    let date = read_parts(&ISO_DAY, text)?;
                    return YEARS.contains(&date.year()).then_some(Cow::Borrowed(text));
                }
                if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
                    return YEARS
                        .contains(&moment.year())
                        .then(|| moment.format(&Rfc3339).ok())
                        .flatten()
                        .map(Cow::Owned);
                }
                // Without an offset the day is all that it says for sure.
                let (day, time) = text.split_at_checked(ISO_DAY_LEN)?;
                if !is_time_of_day(time) {
                    return None;
                }
                read_parts(&ISO_DAY, day)?
            }
            Self::Serial => serial(text)?,
            Self::Pattern(parts) => read_parts(parts, text)?,
        };
        YEARS.contains(&date.year()).then(|| date.to_string().into())
    }
}

fn read_parts(parts: &[Part], text: &str) -> Option<Date> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let (mut year, mut month, mut day) = (None, None, None);
    let mut rest = text;
    for part in parts {
        match part {
            Part::Year => year = Some(digits(&mut rest, 4, 4)?),
            Part::Month { digits: (least, most) } => month = Some(digits(&mut rest, *least, *most)?),
            Part::Day { digits: (least, most) } => day = Some(digits(&mut rest, *least, *most)?),
            Part::TimeOfDay { below } => {
                if digits(&mut rest, 2, 2)? >= *below {
                    return None;
                }
            }
            Part::MonthName => {
                let (name, after) = rest.split_at_checked(3)?;
                let position = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month))?;
                month = Some(i32::try_from(position).ok()? + 1);
                rest = after;
            }
            Part::Literal(literal) => rest = rest.strip_prefix(*literal)?,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let month = Month::try_from(u8::try_from(month?).ok()?).ok()?;
    Date::from_calendar_date(year?, month, u8::try_from(day?).ok()?).ok()
}

/// `T23:59`, ` 23:59:59` and the like.
fn is_time_of_day(text: &str) -> bool {
    let Some(text) = text.strip_prefix(['T', ' ']) else {
        return false;
    };
    let mut below = [24, 60, 61].into_iter();
    let mut count = 0;
    let all = text.split(':').all(|mut part| {
        count += 1;
        let value = digits(&mut part, 2, 2);
        below
            .next()
            .is_some_and(|below| value.is_some_and(|value| value < below))
            && part.is_empty()
    });
    all && count >= 2
}

/// Takes as many digits as there are, within bounds.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<i32> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    taken.parse().ok()
}

/// Day 1 is 1900-01-01, and day 60 the 29 February 1900 that never was: spreadsheets count it, so from day 61 on the
/// count starts at 1899-12-30. Earlier days are refused; no case is so old. A fraction is the time of day.
fn serial(text: &str) -> Option<Date> {
    let (days, fraction) = text.split_once('.').unwrap_or((text, ""));
    if days.len() > 6
        || !days.bytes().all(|byte| byte.is_ascii_digit())
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let days: i64 = days.parse().ok().filter(|days| *days > 60)?;
    Date::from_calendar_date(1899, Month::December, 30)
        .ok()?
        .checked_add(Duration::days(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        Format::parse(format).unwrap().read(text).map(Cow::into_owned)
    }

    #[test]
    fn each_format_reads_its_own_and_nothing_else() {
        let good = [
            ("YYYY-MM-DD", "2011-02-28", "2011-02-28"),
            ("DD.MM.YYYY", "28.02.2011", "2011-02-28"),
            ("D/M/YYYY", "3/12/2011", "2011-12-03"),
            ("D MMM YYYY", "3 dec 2011", "2011-12-03"),
            ("YYYYMMDD", "20110228", "2011-02-28"),
            ("DD/MM/YYYY hh:mm", "28/02/2011 23:59", "2011-02-28"),
            ("iso", "2011-02-28", "2011-02-28"),
            ("iso", "2011-02-28T12:00:00", "2011-02-28"),
            ("iso", "2011-02-28 12:00", "2011-02-28"),
            ("iso", "2011-02-28T12:00:00+03:00", "2011-02-28T12:00:00+03:00"),
            ("serial", "40544", "2011-01-01"),
            ("serial", "40544.75", "2011-01-01"),
            ("serial", "61", "1900-03-01"),
        ];
        for (format, text, expected) in good {
            assert_eq!(read(format, text).as_deref(), Some(expected), "{format} {text}");
        }
        let bad = [
            ("YYYY-MM-DD", "2011-02-29"),
            ("YYYY-MM-DD", "2011-2-28"),
            ("YYYY-MM-DD", "2011-02-28 "),
            ("YYYY-MM-DD", ""),
            ("YYYY-MM-DD", "11-02-28"),
            ("DD.MM.YYYY", "2011-02-28"),
            ("D/M/YYYY", "12/31/2011"),
            ("D MMM YYYY", "3 déc 2011"),
            ("DD/MM/YYYY hh:mm", "28/02/2011 24:00"),
            ("iso", "2011-02-30"),
            ("iso", "éééééééé"),
            ("iso", "2011-02-28T25:00:00Z"),
            ("serial", "60"),
            ("serial", "-5"),
            ("serial", "4.0544e4"),
            ("serial", "99999999"),
            ("YYYY-MM-DD", "0001-01-01"),
        ];
        for (format, text) in bad {
            assert_eq!(read(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn formats_that_give_no_day() {
        for text in ["", "YYYY", "MM-DD", "YYYY-MM-MM", "YY-MM-DD", "DD.MM.YYYY YYYY"] {
            assert_eq!(Format::parse(text), None, "{text}");
        }
    }
}
