//! Made-up cases in the form of the mapping `icomm-template`, as many as wanted, the same for the same seed.
//!
//! They are drawn like real ones (which drugs, how much, where hidden, by which conveyance, from where), blanks, long tails
//! and repeated rows included. Everything that could name somebody is made of syllables and says so: family names begin
//! with `Synth-`, papers with `SYN`, every narrative with the words `Synthetic case`. Some rows are bad on purpose, in the
//! ways real files are.

mod bad;
mod case;
mod distribution;
mod long;
mod names;
mod random;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use icomm_pki::MemberId;
use thiserror::Error;

use self::random::Random;
use super::mapping::{InvalidMapping, Mapping};

/// Rows in a thousand that repeat the one before, as separate cases of equal content.
const REPEATED_PER_MILLE: u64 = 13;

/// Rows in a thousand that are of other goods than drugs, as in the real cases that these are drawn like.
pub const OTHER_GOODS_PER_MILLE: u64 = 60;

/// How much of the template a case fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// As most offices send their cases: mostly one kind of goods, half of the cells blank
    Short,
    /// The long form filled in: several goods, the whole route, conveyance, persons, companies
    Long,
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// How full the rows are.
    pub form: Form,
    /// Whose cases: administrations by their ids, which are country codes. The first has the most.
    pub members: Vec<MemberId>,
    /// How many rows.
    pub rows: u64,
    /// The same seed makes the same file.
    pub seed: u64,
    /// Of a thousand rows, how many are of other goods than drugs: [`OTHER_GOODS_PER_MILLE`] in life.
    pub other_goods_per_mille: u64,
    /// Of a thousand rows, how many can't become records.
    pub bad_per_mille: u64,
    /// Of a thousand rows, how many belong to an administration that is not among the members.
    pub foreign_per_mille: u64,
}

/// What was made, to be compared with what an import says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Rows in all.
    pub rows: u64,
    /// Good rows by member.
    pub good: BTreeMap<MemberId, u64>,
    /// Bad rows of which a reader can tell whose they are, by member.
    pub bad: BTreeMap<MemberId, u64>,
    /// Bad rows of which nobody can tell.
    pub unattributed: u64,
    /// Rows of no member.
    pub foreign: u64,
    /// Rows that repeat the one before; they are among the others.
    pub repeated: u64,
}

/// Nothing could be made.
#[derive(Debug, Error)]
pub enum SyntheticError {
    /// The output.
    #[error("the synthetic cases can't be written: {0}")]
    Io(#[from] io::Error),
    /// Nobody to make cases for.
    #[error("synthetic cases need at least one member")]
    NoMember,
    /// Our own mapping, which tests keep whole.
    #[error(transparent)]
    Mapping(#[from] InvalidMapping),
}

/// One row under way: texts by column name.
struct Cells<'a> {
    places: &'a HashMap<String, usize>,
    texts: Vec<String>,
}

impl Cells<'_> {
    /// Sets a cell. The columns are those of our own template; a test fills a whole file and reads it back.
    fn set(&mut self, column: &str, text: impl Into<String>) {
        let cell = self.places.get(column).and_then(|place| self.texts.get_mut(*place));
        debug_assert!(cell.is_some(), "the template has no column {column}");
        if let Some(cell) = cell {
            *cell = text.into();
        }
    }

    /// What a cell says; nothing where it is blank.
    fn text(&self, column: &str) -> &str {
        let cell = self.places.get(column).and_then(|place| self.texts.get(*place));
        debug_assert!(cell.is_some(), "the template has no column {column}");
        cell.map_or("", String::as_str)
    }

    /// Sets a cell that is blank.
    fn fill(&mut self, column: &str, text: impl FnOnce() -> String) {
        if self.text(column).is_empty() {
            self.set(column, text());
        }
    }
}

impl Synthetic {
    /// Writes the file: a header and as many rows as wanted.
    ///
    /// # Errors
    ///
    /// There is no member, or writing fails.
    pub fn write(&self, out: impl Write, template: &Mapping) -> Result<Made, SyntheticError> {
        if self.members.is_empty() {
            return Err(SyntheticError::NoMember);
        }
        let columns: Vec<String> = template.template().into_iter().map(str::to_owned).collect();
        let places: HashMap<String, usize> = columns.iter().cloned().zip(0..).collect();
        let mut out = csv::WriterBuilder::new()
            .flexible(true)
            .from_writer(io::BufWriter::new(out));
        let csv_error = |error: csv::Error| SyntheticError::Io(error.into());
        out.write_record(&columns).map_err(csv_error)?;

        let mut random = Random::new(self.seed);
        let mut made = Made::default();
        let mut last: Option<(Vec<String>, Option<MemberId>)> = None;
        while made.rows < self.rows {
            made.rows += 1;
            if let Some((row, owner)) = last.take_if(|_| random.per_mille(REPEATED_PER_MILLE)) {
                out.write_record(&row).map_err(csv_error)?;
                made.repeated += 1;
                made.count_good(owner.as_ref());
                last = Some((row, owner));
                continue;
            }
            let owner = self.owner(&mut random);
            let mut cells = Cells {
                places: &places,
                texts: vec![String::new(); columns.len()],
            };
            let country = owner
                .as_ref()
                .map_or_else(|| self.stranger(&mut random), ToString::to_string);
            case::fill(&mut cells, &country, made.rows, self.other_goods_per_mille, &mut random);
            if self.form == Form::Long {
                long::complete(&mut cells, &mut random);
            }
            last = None;
            match owner {
                Some(owner) if random.per_mille(self.bad_per_mille) => {
                    if bad::spoil(&mut cells, &mut random) {
                        *made.bad.entry(owner).or_default() += 1;
                    } else {
                        made.unattributed += 1;
                    }
                    out.write_record(&cells.texts).map_err(csv_error)?;
                }
                owner => {
                    out.write_record(&cells.texts).map_err(csv_error)?;
                    made.count_good(owner.as_ref());
                    last = Some((cells.texts, owner));
                }
            }
        }
        out.flush()?;
        Ok(made)
    }

    /// Whose the next row is: the first member's most often, the next one's half as often, and so on; `None`: a stranger's.
    fn owner(&self, random: &mut Random) -> Option<MemberId> {
        if random.per_mille(self.foreign_per_mille) {
            return None;
        }
        let weights = || {
            self.members
                .iter()
                .zip(1u32..)
                .map(|(member, rank)| (member, 2520 / rank.min(2520)))
        };
        random.weighted(weights).cloned()
    }

    /// An administration that is not among the members.
    fn stranger(&self, random: &mut Random) -> String {
        const ISLANDS: [&str; 40] = [
            "AG", "BB", "BS", "CK", "CV", "DM", "FJ", "FM", "GD", "IS", "JM", "KI", "KM", "KN", "KY", "LC", "LK", "MG",
            "MH", "MT", "MU", "MV", "NR", "NU", "NZ", "PG", "PW", "SB", "SC", "SG", "ST", "TL", "TO", "TT", "TV", "VC",
            "VU", "WS", "CY", "BM",
        ];
        let free = || {
            let member = |code: &&str| self.members.iter().any(|member| member.to_string() == **code);
            ISLANDS.iter().filter(move |code| !member(code)).map(|code| (*code, 1))
        };
        random.weighted(free).unwrap_or("AQ").to_owned()
    }
}

impl Made {
    fn count_good(&mut self, owner: Option<&MemberId>) {
        match owner {
            Some(owner) => *self.good.entry(owner.clone()).or_default() += 1,
            None => self.foreign += 1,
        }
    }
}

#[cfg(test)]
mod tests;
