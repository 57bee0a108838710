//! The rows that everybody in a comparison gets: made-up cases of one administration, the same in every run.

use std::{
    fs::{self, File},
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
pub use icomm_node::intake::Form;
use icomm_node::intake::{Mapping, Source, Synthetic, rows::Row};
use icomm_proto::{codes::CodeLists, v1};

use super::workload::Bench;

/// Whose cases they are.
pub const MEMBER: &str = "ES";

/// The mapping that reads them.
pub const MAPPING: &str = "icomm-template";

/// The commodity categories that the partner is granted, by icomm's agreement and by the peers' filters alike.
///
/// Made-up cases are as real ones, nearly all of them of drugs; a filter by category would pass all or nothing of them. So
/// half of the cases here are of other goods, and of all of them these categories are three quarters: half drugs, a quarter
/// tobacco, a fiftieth protected species. All goods of a case are of one category.
pub const CATEGORIES: [&str; 3] = ["cites", "drugs", "tobacco"];

/// Cases in a thousand that are of other goods than drugs.
const OTHER_GOODS_PER_MILLE: u64 = 500;

/// A file of cases.
#[derive(Debug, Clone)]
pub struct Rows {
    /// CSV, in the form of [`MAPPING`].
    pub file: PathBuf,
    /// How many rows; each can become a record of [`MEMBER`].
    pub rows: u64,
}

impl Rows {
    /// How many of them [`CATEGORIES`] cover: those all of whose goods are of these categories.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn covered(&self) -> anyhow::Result<u64> {
        let mut reader = csv::Reader::from_path(&self.file)?;
        let header = reader.headers()?.clone();
        let category = |column: &str| column.starts_with("goods_") && column.ends_with("_category");
        let places: Vec<usize> = (0..)
            .zip(&header)
            .filter(|(_, column)| category(column))
            .map(|(at, _)| at)
            .collect();
        let mut covered = 0;
        let mut row = csv::StringRecord::new();
        while reader.read_record(&mut row)? {
            let mut goods = places
                .iter()
                .filter_map(|at| row.get(*at))
                .filter(|category| !category.is_empty());
            covered += u64::from(goods.all(|category| CATEGORIES.contains(&category)));
        }
        Ok(covered)
    }

    /// Calls `take` with every row, in the order of the file, until it has had enough.
    ///
    /// # Errors
    /// The file can't be read, or holds a row that can't.
    pub fn each(&self, mut take: impl FnMut(Row) -> ControlFlow<()>) -> anyhow::Result<()> {
        let mut broken = None;
        let source = Source::open(&self.file, mapping()?.read_options().clone())?;
        source.read(&mut |row| match row {
            Ok(row) => take(row.clone()),
            Err(row) => {
                broken = Some(row.line);
                ControlFlow::Break(())
            }
        })?;
        match broken {
            Some(line) => anyhow::bail!("line {line} of `{}` can't be read", self.file.display()),
            None => Ok(()),
        }
    }

    /// Calls `take` with the cases of the file as typed drafts, at most `max`, in the order of the file. One takes many times
    /// the memory of its encoding, so whoever needs all of them keeps them encoded.
    ///
    /// # Errors
    /// The file holds a row that is no case.
    pub fn drafts(&self, max: u64, mut take: impl FnMut(v1::Draft)) -> anyhow::Result<()> {
        let mapping = mapping()?;
        let mut left = max;
        let mut result = Ok(());
        self.each(|row| {
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            match draft(&mapping, &row) {
                Ok(draft) => take(draft),
                Err(error) => {
                    result = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        result
    }
}

/// What a form is called.
pub fn name(form: Form) -> &'static str {
    match form {
        Form::Short => "short",
        Form::Long => "long",
    }
}

/// The case that a row stands for.
///
/// # Errors
/// It stands for none.
pub fn draft(mapping: &Mapping, row: &Row) -> anyhow::Result<v1::Draft> {
    match mapping.draft(row) {
        Ok(mapped) => Ok(mapped.draft.into()),
        Err(faults) => {
            let why: Vec<&str> = faults.iter().map(|fault| fault.reason.as_str()).collect();
            anyhow::bail!("line {} is no case: {}", row.line(), why.join("; "))
        }
    }
}

/// Whether [`CATEGORIES`] cover a case, read off the case itself.
pub fn covers(draft: &v1::Draft) -> bool {
    let goods = draft.case.as_ref().map_or(&[][..], |case| &case.goods);
    !goods.is_empty() && goods.iter().all(|goods| CATEGORIES.contains(&goods.category.as_str()))
}

/// The mapping that reads them.
///
/// # Errors
/// It can't be read; a fault of icomm.
pub fn mapping() -> anyhow::Result<Mapping> {
    Mapping::builtin(MAPPING, &Arc::new(CodeLists::built_in())).context("our own mapping can't be read")
}

/// A file of that many cases, made when it is first asked for.
///
/// # Errors
/// It can't be written.
pub fn file(bench: &Bench, rows: u64) -> anyhow::Result<Rows> {
    let file = bench
        .shared_folder()
        .join(format!("cases-{}-{rows}.csv", name(bench.form)));
    if !file.exists() {
        let unfinished = file.with_extension("unfinished");
        let cases = Synthetic {
            form: bench.form,
            members: vec![MEMBER.parse()?],
            rows,
            seed: 1,
            other_goods_per_mille: OTHER_GOODS_PER_MILLE,
            bad_per_mille: 0,
            foreign_per_mille: 0,
        };
        cases.write(File::create(&unfinished)?, &mapping()?)?;
        fs::rename(&unfinished, &file)?;
    }
    Ok(Rows { file, rows })
}

#[cfg(test)]
mod tests {
    use icomm_node::{environment::Environment, network::Folder};

    use super::{Bench, Form, file};

    #[test]
    fn three_quarters_of_the_rows_are_covered() {
        let folder = Folder::temporary(&Environment::system()).unwrap();
        for form in [Form::Short, Form::Long] {
            let bench = Bench {
                form,
                ..Bench::of_test(folder.path(), 0)
            };
            let covered = file(&bench, 4000).unwrap().covered().unwrap();
            assert!((2900..3150).contains(&covered), "{covered} of 4000, {form:?}");
        }
    }
}
