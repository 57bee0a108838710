//! An explanation as a person reads it.

use std::fmt;

use crate::agreement::{Day, Expiry, UseInCourt};
use crate::permit::Basis;

use super::{Explanation, GrantFate, SectionFate};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            holder,
            receiver,
            at,
            goes,
            ..
        } = self;
        let kind = self.class.as_ref().map_or("record", |class| class.kind.name());
        write!(f, "{receiver} would receive of this {kind} of {origin}")?;
        if holder != origin {
            write!(f, " from {holder}")?;
        }
        if let Some(purpose) = self.purpose {
            write!(f, " for {purpose}")?;
        }
        writeln!(
            f,
            " on {}: {}",
            day(*at),
            if goes.is_empty() {
                "nothing".to_owned()
            } else {
                goes.to_string()
            }
        )?;
        if let Some(class) = &self.class {
            let goods = if class.categories.is_empty() {
                "no goods".to_owned()
            } else {
                class.categories.join(", ")
            };
            writeln!(
                f,
                "  {}, {}, {goods}, seized in {}",
                class.report_type,
                class.handling,
                or_dash(&class.seizure_country)
            )?;
        }
        if let Some(stopped) = &self.stopped_by {
            writeln!(f, "  stopped: {}", stopped.reason)?;
        }
        for SectionFate { section, goes, why } in &self.sections {
            // One rule stopped everything: it stands above, once.
            let why = if self.stopped_by.as_ref().is_some_and(|stopped| stopped.reason == *why) {
                ""
            } else {
                why
            };
            let line = format!("  {section:<11} {:<9} {why}", if *goes { "goes" } else { "withheld" });
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.bases.is_empty() {
            writeln!(f, "Duties:")?;
        }
        for basis in &self.bases {
            writeln!(f, "  {}: {}", basis.sections, duties(basis))?;
        }
        writeln!(
            f,
            "Grants considered:{}",
            if self.grants.is_empty() {
                " none in this direction"
            } else {
                ""
            }
        )?;
        for GrantFate {
            grant,
            from,
            to,
            standing,
            gives,
            misses,
        } in &self.grants
        {
            write!(f, "  {grant} ({from} → {to}): {standing}; gives {gives}")?;
            writeln!(f, "{}{}", if misses.is_empty() { "" } else { "; " }, misses.join("; "))?;
        }
        match self.valid_until {
            Some(until) => writeln!(f, "This may change on {}.", day(until)),
            None => Ok(()),
        }
    }
}

fn duties(basis: &Basis) -> String {
    let purposes: Vec<&str> = basis.purposes.iter().map(|purpose| purpose.as_str()).collect();
    let court = match basis.use_in_court {
        UseInCourt::No => "not in court",
        UseInCourt::WithConsent => "in court with consent",
        UseInCourt::Yes => "also in court",
    };
    let then = match basis.retention.then {
        Expiry::Erase => "erased",
        Expiry::Restrict => "restricted",
    };
    format!(
        "for {}; {court}; kept {} days, then {then}; {basis}",
        purposes.join(", "),
        basis.retention.days
    )
}

fn day(instant: u64) -> String {
    Day::of(instant).map_or_else(|_| "a day beyond counting".to_owned(), |day| day.to_string())
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "—" } else { text }
}
