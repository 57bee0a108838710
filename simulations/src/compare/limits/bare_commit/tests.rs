//! Everything that was committed arrives, from one caller and from many.

use icomm_node::{environment::Environment, network::Folder};

use super::*;

const RECORDS: u64 = 500;

async fn round(load: Load) -> Sample {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    let mut path = bare_commit(&Bench::of_test(folder.path(), RECORDS), load).unwrap();
    // A second round begins with a new log.
    path.round().await.unwrap();
    path.round().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_many_callers_arrive() {
    let sample = round(Load {
        callers: 16,
        commit_records: 1,
        under_way: 1,
        pace: None,
    });
    assert!(sample.await.cpu_us_per_record.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_many_records_arrive() {
    let sample = round(Load {
        callers: 1,
        commit_records: 100,
        under_way: 4,
        pace: None,
    });
    assert!(sample.await.value > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_pace_gives_delays() {
    let sample = round(Load {
        callers: 4,
        commit_records: 1,
        under_way: 64,
        pace: Some(Duration::from_micros(100)),
    });
    let figures = sample.await.figures;
    assert!(
        figures["p50_ms"] > 0.0 && figures["p50_ms"] <= figures["p999_ms"],
        "{figures:?}"
    );
}

#[test]
fn a_delay_ends_when_the_log_is_longer_than_the_index() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let sizes = vec![(2, at(10)), (5, at(30))];
    let delays = delays(&[(1, at(4)), (2, at(5)), (4, at(6))], &sizes).unwrap();
    assert_eq!(
        (delays.ms_at(0), delays.ms_at(500), delays.ms_at(1000)),
        (Some(6.0), Some(24.0), Some(25.0))
    );
    assert!(super::delays(&[(5, start)], &sizes).is_none(), "it never arrived");
}
