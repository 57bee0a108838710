//! One file, imported by every member: each takes its own rows, and every row is accounted for once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use icomm_pki::{MemberId, Role};
use tokio_util::sync::CancellationToken;

use super::{Network, NetworkError, Node};
use crate::{
    api::sink::NodeSink,
    intake::{self, Counters, Detail, Mapping, Plan, Progress, Report, Source, Summary},
};

/// What one member's import came to.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Whose.
    pub member: MemberId,
    /// Rows by what became of them.
    pub summary: Summary,
    /// Every row that was not taken, with its reasons: JSON Lines, in the member's folder.
    pub report: PathBuf,
}

/// What became of all the rows of all imported files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows read, each counted once however many members read the file.
    pub rows: u64,
    /// Rows that became records.
    pub issued: u64,
    /// Rows that can't become records.
    pub rejected: u64,
    /// Rows of nobody who takes part.
    pub foreign: u64,
    by_member: BTreeMap<MemberId, u64>,
    contradictions: Vec<String>,
}

impl Network {
    /// Has every administration import its own rows of a file, one after the other.
    ///
    /// # Errors
    /// The file or the mapping can't be used, or a node takes no more.
    pub async fn import(
        &self,
        file: &Path,
        mapping: &Arc<Mapping>,
        progress: &dyn Progress,
        stop: &CancellationToken,
    ) -> Result<Vec<Imported>, NetworkError> {
        let mut imports = Vec::new();
        for node in self.nodes().iter().filter(|node| issues(node)) {
            imports.push(self.import_at(node, file, mapping, progress, stop).await?);
        }
        Ok(imports)
    }

    /// Has one administration import its own rows of a file.
    ///
    /// # Errors
    /// The file or the mapping can't be used, or the node takes no more.
    pub async fn import_at(
        &self,
        node: &Node,
        file: &Path,
        mapping: &Arc<Mapping>,
        progress: &dyn Progress,
        stop: &CancellationToken,
    ) -> Result<Imported, NetworkError> {
        let member = node.member().id.clone();
        let broke_off = |why: String| NetworkError::Import {
            member: member.clone(),
            why,
        };
        let source = Source::open(file, mapping.read_options().clone()).map_err(|source| NetworkError::File {
            path: file.to_owned(),
            source: Box::new(source),
        })?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let path = node.home().join(format!("import-{stem}.jsonl"));
        let mut report = Report::create(&path, Detail::Rejected).map_err(|error| NetworkError::folder(&path, error))?;
        let others: BTreeSet<MemberId> = self
            .nodes()
            .iter()
            .filter(|other| issues(other))
            .map(|other| other.member().id.clone())
            .filter(|other| *other != member)
            .collect();
        let plan = Plan {
            others,
            ..Plan::new(Arc::clone(mapping), member.clone())
        };
        let sink = NodeSink::new(node.client().await?, false);
        let summary = intake::import(source, &plan, &sink, &mut report, progress, stop).await;
        let summary = summary.map_err(|error| broke_off(crate::causes::chain(&error)))?;
        if summary.stopped {
            return Err(broke_off("it was stopped".to_owned()));
        }
        Ok(Imported {
            member,
            summary,
            report: path,
        })
    }
}

/// Whether the node's member has cases of its own: offices and the root only hold others'.
fn issues(node: &Node) -> bool {
    matches!(node.member().role, Role::National | Role::Partner)
}

impl Tally {
    /// Adds the imports of one file by everybody.
    pub fn add(&mut self, imports: &[Imported]) {
        let Some(first) = imports.first().map(|import| import.summary.counters) else {
            return;
        };
        // A row whose owner nobody can tell is rejected by all who read it, and is still one row.
        let mut rejected = first.unattributed;
        let mut taken = 0;
        for Imported { member, summary, .. } in imports {
            let counters = &summary.counters;
            let (of_file, of_first) = (shared(counters), shared(&first));
            if of_file != of_first || !counters.add_up() {
                self.contradictions
                    .push(format!("`{member}` counts the file's rows in another way"));
            }
            let issued = counters.issued + counters.duplicate;
            taken += issued;
            rejected += counters.rejected - counters.unattributed.min(counters.rejected);
            *self.by_member.entry(member.clone()).or_default() += counters.issued;
        }
        self.rows += first.rows;
        self.issued += taken;
        self.rejected += rejected;
        self.foreign += first.foreign;
    }

    /// How many records a member issued.
    pub fn issued_by(&self, member: &MemberId) -> u64 {
        self.by_member.get(member).copied().unwrap_or(0)
    }

    /// Everything that does not add up; empty when all is well.
    pub fn discrepancies(&self) -> Vec<String> {
        let mut found = self.contradictions.clone();
        let sum = self.issued + self.rejected + self.foreign;
        if sum != self.rows {
            found.push(format!(
                "of {} rows {} were issued, {} rejected and {} foreign, which makes {sum}",
                self.rows, self.issued, self.rejected, self.foreign
            ));
        }
        found
    }
}

/// The counts that every reader of the same file must come to.
fn shared(counters: &Counters) -> [u64; 3] {
    [counters.rows, counters.foreign, counters.unattributed]
}

#[cfg(test)]
mod tests {
    use super::{Counters, Imported, Summary, Tally};
    use crate::intake::Format;

    fn import(member: &str, counters: Counters) -> Imported {
        Imported {
            member: member.parse().unwrap(),
            summary: Summary {
                mapping: "unodc-ids".to_owned(),
                format: Format::Csv,
                counters,
                unused_columns: Vec::new(),
                stopped: false,
            },
            report: "report".into(),
        }
    }

    /// Ten rows: 4 of ES (1 bad), 3 of PT (1 bad), 2 of nobody here, 1 of nobody knows whom.
    fn imports() -> Vec<Imported> {
        let spain = Counters {
            rows: 10,
            issued: 3,
            rejected: 2,
            unattributed: 1,
            elsewhere: 3,
            foreign: 2,
            ..Counters::default()
        };
        let portugal = Counters {
            issued: 2,
            elsewhere: 4,
            ..spain
        };
        vec![import("ES", spain), import("PT", portugal)]
    }

    #[test]
    fn each_row_is_counted_once() {
        let mut tally = Tally::default();
        tally.add(&imports());
        assert_eq!((tally.rows, tally.issued, tally.rejected, tally.foreign), (10, 5, 3, 2));
        assert_eq!(tally.issued_by(&"PT".parse().unwrap()), 2);
        assert_eq!(tally.discrepancies(), [] as [&str; 0]);
    }

    #[test]
    fn readers_who_disagree_are_found_out() {
        let mut tally = Tally::default();
        let mut imports = imports();
        imports[1].summary.counters.foreign = 3;
        tally.add(&imports);
        assert!(tally.discrepancies()[0].contains("PT"));

        let mut tally = Tally::default();
        let mut imports = self::imports();
        imports[1].summary.counters.issued = 1;
        imports[1].summary.counters.elsewhere = 5;
        tally.add(&imports);
        assert!(
            tally.discrepancies()[0].contains("which makes 9"),
            "{:?}",
            tally.discrepancies()
        );
    }
}
