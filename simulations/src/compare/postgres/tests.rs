//! Every contestant at a tiny size, on real servers; none of them where PostgreSQL is not installed.

use std::io::Write as _;

use icomm_node::{environment::Environment, network::Folder};

use super::PostgreSql;
use crate::compare::{
    series::Sample,
    workload::{Absent, Bench, Contestant as _},
};

/// What two rounds of so many rows came to; `None` where there is no PostgreSQL.
async fn rounds(
    rows: u64,
    set_up: impl AsyncFnOnce(&Bench) -> anyhow::Result<Result<PostgreSql, Absent>>,
) -> Option<[Sample; 2]> {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    let bench = Bench::of_test(folder.path(), rows);
    match set_up(&bench).await.unwrap() {
        Ok(mut contestant) => Some([contestant.round().await.unwrap(), contestant.round().await.unwrap()]),
        Err(absent) => {
            let _ = writeln!(std::io::stderr(), "skipped: {}", absent.why);
            None
        }
    }
}

#[tokio::test]
async fn a_file_is_imported() {
    for sample in rounds(330, super::import).await.into_iter().flatten() {
        assert!(sample.value > 0.0);
    }
}

#[tokio::test]
async fn a_new_subscriber_catches_up() {
    for sample in rounds(330, super::catch_up).await.into_iter().flatten() {
        assert!(sample.value > 0.0 && sample.cpu_us_per_record.is_some());
    }
}

#[tokio::test]
async fn commits_of_many_rows_arrive() {
    for sample in rounds(330, super::streaming).await.into_iter().flatten() {
        assert!(sample.value > 0.0 && sample.figures.contains_key("writer_cpu_us_per_record"));
    }
}

#[tokio::test]
async fn single_rows_arrive() {
    for sample in rounds(330, super::single_commits).await.into_iter().flatten() {
        assert!(sample.value > 0.0 && sample.figures.contains_key("receiver_cpu_us_per_record"));
    }
}

#[tokio::test]
async fn a_listener_hears_of_every_row() {
    for sample in rounds(50, super::latency).await.into_iter().flatten() {
        assert!(sample.value > 0.0 && sample.figures["p50_ms"] <= sample.figures["p99_ms"]);
    }
}
