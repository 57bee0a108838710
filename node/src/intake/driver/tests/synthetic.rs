//! Synthetic files through the whole import: what was made is what is counted.

use super::*;
use crate::intake::sink::validation;
use crate::intake::{Form, OTHER_GOODS_PER_MILLE, Synthetic};

#[tokio::test]
async fn good_rows_are_valid_and_bad_ones_rejected() {
    for form in [Form::Short, Form::Long] {
        all_is_counted(form).await;
    }
}

async fn all_is_counted(form: Form) {
    let mapping = Arc::new(Mapping::builtin("icomm-template", &test_lists()).unwrap());
    let members: Vec<MemberId> = ["KE", "UG"].map(|id| id.parse().unwrap()).to_vec();
    let synthetic = Synthetic {
        form,
        members: members.clone(),
        rows: 3_000,
        seed: 11,
        other_goods_per_mille: OTHER_GOODS_PER_MILLE,
        bad_per_mille: 30,
        foreign_per_mille: 20,
    };
    let mut file = Vec::new();
    let made = synthetic.write(&mut file, &mapping).unwrap();
    for member in &members {
        let mut plan = Plan::new(Arc::clone(&mapping), member.clone());
        plan.others = members.iter().cloned().collect();
        let source = Source::from_bytes(Cursor::new(file.clone()), ReadOptions::default()).unwrap();
        let sink = DryRun::issuing(validation(test_lists(), member.clone()));
        let lines = Shared::default();
        let mut report = Report::new(lines.clone(), Detail::Rejected);
        let summary = import(source, &plan, &sink, &mut report, &Unwatched, &CancellationToken::new())
            .await
            .unwrap();
        let counters = summary.counters;
        assert!(counters.add_up() && summary.unused_columns.is_empty());
        assert_eq!(counters.rows, made.rows);
        assert_eq!(counters.foreign, made.foreign);
        assert_eq!(counters.unattributed, made.unattributed);
        let rejected = counters.rejected - counters.unattributed;
        let shown = || {
            lines
                .lines()
                .iter()
                .take(5)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            (counters.issued, rejected),
            (made.good[member], made.bad[member]),
            "{}",
            shown()
        );
    }
}

/// The most memory that the process has held so far, in bytes; `None` where the system doesn't tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Says that everything is new, and keeps nothing.
struct Taking;

impl Sink for Taking {
    type Error = Gone;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, Gone> {
        Ok(vec![Outcome::Valid; batch.len()])
    }
}

#[tokio::test]
#[ignore = "takes minutes without optimisation; run it alone, since it measures the process"]
async fn a_million_rows_a_tenth_of_them_mutated_in_flat_memory() {
    let mapping = Arc::new(Mapping::builtin("icomm-template", &test_lists()).unwrap());
    let members = vec!["KE".parse().unwrap()];
    let synthetic = Synthetic {
        form: Form::Short,
        members,
        rows: 1_000_000,
        seed: 5,
        other_goods_per_mille: OTHER_GOODS_PER_MILLE,
        bad_per_mille: 100,
        foreign_per_mille: 0,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("million.csv");
    let made = synthetic
        .write(std::fs::File::create(&path).unwrap(), &mapping)
        .unwrap();
    let before = peak_memory();
    let source = Source::open(&path, ReadOptions::default()).unwrap();
    let plan = Plan::new(mapping, "KE".parse().unwrap());
    let report_path = folder.path().join("report.jsonl");
    let mut report = Report::create(&report_path, Detail::Rejected).unwrap();
    let started = tokio::time::Instant::now();
    let bytes = source.total_bytes();
    let counters = import(
        source,
        &plan,
        &Taking,
        &mut report,
        &Unwatched,
        &CancellationToken::new(),
    )
    .await
    .unwrap()
    .counters;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{bytes} bytes, {} rows in {seconds:.1} s, {before:?} → {:?} bytes of memory",
        counters.rows,
        peak_memory()
    );
    assert!(counters.add_up());
    assert_eq!((counters.rows, counters.unattributed), (made.rows, made.unattributed));
    // A wrong ship's number is for validation to find, which this sink leaves out.
    assert!(counters.rejected > counters.unattributed + made.bad.values().sum::<u64>() / 2);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        // Eight bytes of each row's hash are kept, in a table that doubles; the rest is batches.
        assert!(after < before + 100 * 1024 * 1024, "{before} → {after}");
    }
}
