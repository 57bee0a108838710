//! Whole imports into a sink that remembers keys as a node does.

mod real;
mod synthetic;

use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use icomm_proto::draft::Draft;

use super::*;
use crate::intake::mapping::test_lists;
use crate::intake::rows::ReadOptions;
use crate::intake::sink::{DryRun, Submission};
use crate::intake::{Detail, Unwatched};

const MAPPING: &str = r#"
name = "test"
kind = "seizure"
[owner]
column = "member"
blank_is_mine = true
[key]
except = ["nr"]
[[field]]
to = "place"
column = "place"
required = true
[[field]]
to = "goods[0].quantity"
column = "amount"
number = { decimal = "." }
[[field]]
to = "seizure_date"
column = "date"
date = ["iso", "DD.MM.YYYY"]
"#;

fn plan() -> Plan {
    let mut plan = Plan::new(
        Arc::new(Mapping::parse(MAPPING, &test_lists()).unwrap()),
        "KE".parse().unwrap(),
    );
    plan.others.insert("UG".parse().unwrap());
    plan.batch_rows = 3;
    plan
}

fn source(csv: &str) -> Source {
    Source::from_bytes(Cursor::new(csv.as_bytes().to_vec()), ReadOptions::default()).unwrap()
}

/// Places that begin with `bad` are invalid.
fn validate(draft: Draft<'_>) -> Vec<RecordFault> {
    let place = draft.exact.unwrap_or_default().place.into_owned();
    if !place.starts_with("bad") {
        return Vec::new();
    }
    let reason = "can't be".to_owned();
    vec![RecordFault {
        field: "exact.place".to_owned(),
        value: place,
        reason,
        list: "places v1".to_owned(),
    }]
}

/// A report that can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap();
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

async fn run(csv: &str, sink: &impl Sink) -> (Counters, Vec<serde_json::Value>) {
    let lines = Shared::default();
    let mut report = Report::new(lines.clone(), Detail::Rejected);
    let summary = import(
        source(csv),
        &plan(),
        sink,
        &mut report,
        &Unwatched,
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert!(summary.counters.add_up(), "{summary:?}");
    (summary.counters, lines.lines())
}

#[tokio::test]
async fn every_row_is_counted_once_and_bad_ones_are_named() {
    let csv = "member,place,amount,date,extra\n\
               ,a,1,,\nKE,b,2,,\nUG,c,3,,\nTZ,d,4,,\n?,e,5,,\n\n,f\n,bad,7,,\n,,8,,\n,g,x,99.99.2011,\n,h,10,,\n";
    let sink = DryRun::issuing(validate);
    let (counters, report) = run(csv, &sink).await;
    assert_eq!(
        counters,
        Counters {
            rows: 10,
            issued: 3,
            rejected: 5,
            unattributed: 2,
            elsewhere: 1,
            foreign: 1,
            ..Counters::default()
        }
    );
    let named: Vec<_> = report[..5]
        .iter()
        .map(|line| {
            let fault = &line["faults"][0];
            (
                line["line"].as_u64().unwrap(),
                fault["column"].as_str().unwrap_or("-"),
                fault["kind"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            (6, "member", "unknown-value"),
            (8, "-", "ragged"),
            (9, "place", "record"),
            (10, "place", "missing"),
            (11, "amount", "number")
        ]
    );
    assert_eq!(report[4]["faults"].as_array().unwrap().len(), 2);
    assert_eq!(
        report[2]["faults"][0]["reason"],
        "can't be (list places v1); field `exact.place` of the record"
    );
    assert_eq!(report[5]["summary"]["rows"], 10);
    assert_eq!(report[5]["summary"]["unused_columns"], serde_json::json!(["extra"]));
}

#[tokio::test]
async fn importing_again_issues_nothing_and_a_longer_file_only_what_is_new() {
    let sink = DryRun::issuing(validate);
    let first = "nr,place,amount,date\n1,a,1.0,2011-01-02\n2,a,1.0,2011-01-02\n3,b,2,\n";
    assert_eq!(run(first, &sink).await.0.issued, 3, "equal rows are separate cases");
    let (again, _) = run(first, &sink).await;
    assert_eq!((again.issued, again.duplicate), (0, 3));
    // Renumbered, columns moved and added, numbers and dates written otherwise, a third copy and a new row.
    let longer = "date,amount,place,nr,later\n02.01.2011,1,a,7,\n,2.00,b,8,\n2011-01-02,1.000,a,9,\n02.01.2011,1,a,10,\n,3,c,11,\n";
    let (longer, _) = run(longer, &sink).await;
    assert_eq!((longer.rows, longer.issued, longer.duplicate), (5, 2, 3));
    // A text that only looks like a number of another row is another case.
    assert_eq!(run("nr,place,amount,date\n1,12.1,1,\n", &sink).await.0.issued, 1);
    assert_eq!(run("nr,place,amount,date\n1,12.10,1,\n", &sink).await.0.issued, 1);
}

#[tokio::test]
async fn a_workbook_of_the_same_rows_issues_nothing_new() {
    use crate::intake::rows::test_workbook::workbook;
    let sink = DryRun::issuing(validate);
    assert_eq!(
        run("place,amount,date\na,255.0,2011-01-01\nb,0.007,2011-01-01\n", &sink)
            .await
            .0
            .issued,
        2
    );
    let cell = |at: &str, text: &str| format!(r#"<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let sheet = format!(
        r#"<row r="1">{}{}{}</row><row r="2">{}<c r="B2"><v>255</v></c><c r="C2" s="1"><v>40544</v></c></row><row r="3">{}<c r="B3"><v>6.9999999999999993E-3</v></c><c r="C3" s="1"><v>40544</v></c></row>"#,
        cell("A1", "place"),
        cell("B1", "amount"),
        cell("C1", "date"),
        cell("A2", "a"),
        cell("A3", "b"),
    );
    let source = Source::from_bytes(Cursor::new(workbook(&sheet)), ReadOptions::default()).unwrap();
    let summary = import(
        source,
        &plan(),
        &sink,
        &mut Report::none(),
        &Unwatched,
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_eq!((summary.counters.issued, summary.counters.duplicate), (0, 2));
}

#[tokio::test]
async fn a_dry_run_issues_nothing_and_tells_the_same() {
    let csv = "place,amount\na,1\na,1\nbad,2\n";
    let sink = DryRun::new(validate);
    let (counters, _) = run(csv, &sink).await;
    assert_eq!((counters.valid, counters.rejected, counters.issued), (2, 1, 0));
}

/// Stops the import after so many batches.
struct Stopping<S> {
    inner: S,
    after: AtomicUsize,
    stop: CancellationToken,
}

impl<S: Sink> Sink for Stopping<S> {
    type Error = S::Error;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, S::Error> {
        if self.after.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.cancel();
        }
        self.inner.submit(batch).await
    }
}

#[tokio::test]
async fn stopping_is_clean_and_the_same_command_goes_on() {
    let csv = format!(
        "place,amount\n{}",
        (0..2_000).map(|n| format!("p{n},{n}\n")).collect::<String>()
    );
    let stop = CancellationToken::new();
    let sink = Stopping {
        inner: DryRun::issuing(validate),
        after: AtomicUsize::new(5),
        stop: stop.clone(),
    };
    let summary = import(source(&csv), &plan(), &sink, &mut Report::none(), &Unwatched, &stop)
        .await
        .unwrap();
    let done = summary.counters;
    assert!(summary.stopped && done.add_up());
    assert!((15..2_000).contains(&done.issued), "{done:?}");
    let (rest, _) = run(&csv, &sink.inner).await;
    assert_eq!((rest.duplicate, rest.issued), (done.issued, 2_000 - done.issued));
}

/// Fails, answers short, or holds at most so many batches, noting the most.
struct Odd {
    held: AtomicUsize,
    most: AtomicUsize,
    short: bool,
    fail: bool,
}

#[derive(Debug, Error)]
#[error("the node is gone")]
struct Gone;

impl Sink for Odd {
    type Error = Gone;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, Gone> {
        let held = self.held.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(held, Ordering::SeqCst);
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        self.held.fetch_sub(1, Ordering::SeqCst);
        if self.fail {
            return Err(Gone);
        }
        Ok(vec![Outcome::Valid; batch.len() - usize::from(self.short)])
    }
}

#[tokio::test]
async fn batches_under_way_are_bounded_and_a_failing_sink_ends_the_import() {
    let csv = format!(
        "place,amount\n{}",
        (0..300).map(|n| format!("p{n},{n}\n")).collect::<String>()
    );
    let go = async |sink: &Odd| {
        import(
            source(&csv),
            &plan(),
            sink,
            &mut Report::none(),
            &Unwatched,
            &CancellationToken::new(),
        )
        .await
    };
    let odd = |short, fail| Odd {
        held: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        short,
        fail,
    };
    let good = odd(false, false);
    assert_eq!(go(&good).await.unwrap().counters.valid, 300);
    assert_eq!(good.most.load(Ordering::SeqCst), 4);
    let failed = go(&odd(false, true)).await.unwrap_err();
    assert!(matches!(failed.cause, Cause::Sink(Gone)));
    assert_eq!(failed.to_string(), "rows could not be handed over: the node is gone");
    let short = go(&odd(true, false)).await.unwrap_err();
    assert!(
        matches!(short.cause, Cause::Outcomes { given: 3, answered: 2 }),
        "{short:?}"
    );
}

/// Notes how many bytes of drafts each batch has.
#[derive(Default)]
struct Weighing(Mutex<Vec<usize>>);

impl Sink for Weighing {
    type Error = Gone;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, Gone> {
        let bytes = batch.iter().map(|row| row.draft.len()).sum();
        self.0.lock().unwrap().push(bytes);
        Ok(vec![Outcome::Valid; batch.len()])
    }
}

#[tokio::test]
async fn a_batch_of_long_rows_goes_before_it_has_all_its_rows() {
    const CELL_BYTES: usize = 30_000;
    let place = "p".repeat(CELL_BYTES);
    let csv = format!("place,amount\n{}", format!("{place},1\n").repeat(100));
    let plan = Plan {
        batch_rows: 1000,
        ..plan()
    };
    let (sink, stop) = (Weighing::default(), CancellationToken::new());
    let summary = import(source(&csv), &plan, &sink, &mut Report::none(), &Unwatched, &stop)
        .await
        .unwrap();
    assert_eq!(summary.counters.valid, 100);
    let weights = sink.0.into_inner().unwrap();
    let bounds = 512 << 10..(512 << 10) + CELL_BYTES + 100;
    let (last, full) = weights.split_last().unwrap();
    assert!(
        full.len() >= 2 && full.iter().all(|bytes| bounds.contains(bytes)),
        "{weights:?}"
    );
    assert!(*last < bounds.start);
}

#[tokio::test]
async fn a_file_that_does_not_fit_or_breaks_off() {
    let sink = DryRun::issuing(validate);
    let go = async |source: Source| {
        import(
            source,
            &plan(),
            &sink,
            &mut Report::none(),
            &Unwatched,
            &CancellationToken::new(),
        )
        .await
    };
    let unfit = go(source("Ort,amount\na,1\n")).await.unwrap_err();
    assert_eq!(
        unfit.to_string(),
        "the file has no column `place`, which every row needs under the mapping `test`; it has `Ort`, `amount`"
    );
    // A sheet that ends in the middle: the rows before are in.
    use crate::intake::rows::test_workbook::workbook;
    let row =
        |number: usize| format!(r#"<row r="{number}"><c r="A{number}" t="inlineStr"><is><t>place</t></is></c></row>"#);
    let cut = workbook(&format!(r#"{}{}{}<row r="4"><c r="A4"><v>"#, row(1), row(2), row(3)));
    let broken = go(Source::from_bytes(Cursor::new(cut), ReadOptions::default()).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(broken.cause, Cause::File(FileError::Damaged { .. })),
        "{broken:?}"
    );
    assert_eq!(broken.summary.counters.issued, 1);
}

#[test]
fn a_report_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.jsonl");
    std::fs::write(&path, "old").unwrap();
    let mut report = Report::create(&path, Detail::All).unwrap();
    report.taken(2, "issued", "r1").unwrap();
    report.flush().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "{\"line\":2,\"outcome\":\"issued\",\"record\":\"r1\"}\n"
    );
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
}
