//! The real sample of UNODC, imported by each of its countries and validated as records.

// Written past the capture of test output: a test that did not run says so.
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::intake::sink::validation;

async fn import_as(path: &Path, mapping: &Arc<Mapping>, member: &str, sink: &impl Sink, report: &Shared) -> Counters {
    let source = Source::open(path, ReadOptions::default()).unwrap();
    let plan = Plan::new(Arc::clone(mapping), member.parse().unwrap());
    let mut report = Report::new(report.clone(), Detail::Rejected);
    let summary = import(source, &plan, sink, &mut report, &Unwatched, &CancellationToken::new())
        .await
        .unwrap();
    assert!(
        summary.counters.add_up() && summary.unused_columns.is_empty(),
        "{summary:?}"
    );
    summary.counters
}

#[tokio::test]
async fn each_country_issues_its_own_rows_once_and_no_row_is_lost() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unodc_ids_2011_2014_crossborder.csv");
    if !path.is_file() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there is no real data at {}",
            path.display()
        );
        return;
    }
    let mapping = Arc::new(Mapping::builtin("unodc-ids", &test_lists()).unwrap());
    // Equal rows are separate cases, so all of them are issued.
    for (member, rows) in [("ES", 4301), ("BG", 242), ("NG", 122)] {
        let sink = DryRun::issuing(validation(test_lists(), member.parse().unwrap()));
        let report = Shared::default();
        let first = import_as(&path, &mapping, member, &sink, &report).await;
        assert_eq!(
            (first.rows, first.issued, first.foreign),
            (8_861, rows, 8_861 - rows),
            "{:?}",
            report.lines()
        );
        let again = import_as(&path, &mapping, member, &sink, &report).await;
        assert_eq!((again.issued, again.duplicate), (0, rows), "{member}");
    }
}

#[test]
fn the_repeated_rows_of_the_sample_have_keys_of_their_own() {
    use crate::intake::Keys;
    use std::collections::HashSet;
    use std::ops::ControlFlow;

    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unodc_ids_2011_2014_crossborder.csv");
    if !path.is_file() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there is no real data at {}",
            path.display()
        );
        return;
    }
    let mapping = Mapping::builtin("unodc-ids", &test_lists()).unwrap();
    let (mut keys, mut seen, mut contents) = (Keys::default(), HashSet::new(), HashSet::new());
    let (mut rows, mut copies, mut columns) = (0, 0, None);
    Source::open(&path, ReadOptions::default())
        .unwrap()
        .read(&mut |reading| {
            let row = reading.unwrap();
            rows += 1;
            let cells: Vec<(String, String)> = row
                .cells()
                .map(|(name, text)| (name.to_owned(), text.trim().to_owned()))
                .collect();
            copies += u32::from(!contents.insert(cells));
            let columns = columns.get_or_insert_with(|| mapping.over(row.header()));
            assert!(seen.insert(keys.next(columns, row)), "line {}", row.line());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(rows, 8_861);
    assert!(copies >= 117, "{copies}");
}
