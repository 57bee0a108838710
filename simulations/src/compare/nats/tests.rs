//! Every workload once, small, against real servers.

use std::{io::Write as _, path::Path};

use super::{NAME, catch_up, latency, single_commits, streaming};
use crate::compare::{
    series::Sample,
    workload::{Absent, Bench, Contestant},
};

/// Two rounds, the second on what the first left; what they came to.
async fn rounds(contestant: Result<impl Contestant, Absent>) -> Option<[Sample; 2]> {
    let mut contestant = match contestant {
        Ok(contestant) => contestant,
        Err(absent) => {
            // Past the capture of the test's output: whoever reads the result must know.
            let _ = writeln!(std::io::stderr(), "skipped: {}: {}", absent.name, absent.why);
            return None;
        }
    };
    assert_eq!(contestant.name(), NAME);
    assert!(
        contestant.remark().contains("never for a message"),
        "{}",
        contestant.remark()
    );
    Some([contestant.round().await.unwrap(), contestant.round().await.unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_workload_runs_twice_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::of_test(folder.path(), 60);
    for samples in [
        rounds(streaming(&bench).await.unwrap()).await,
        rounds(single_commits(&bench).await.unwrap()).await,
    ] {
        for sample in samples.into_iter().flatten() {
            assert!(sample.value.is_finite() && sample.value > 0.0, "{sample:?}");
            assert!(sample.figures.contains_key("writer_cpu_us_per_record"), "{sample:?}");
        }
    }
    for sample in rounds(catch_up(&bench).await.unwrap()).await.into_iter().flatten() {
        assert!(sample.value.is_finite() && sample.value > 0.0, "{sample:?}");
    }
    for sample in rounds(latency(&bench).await.unwrap()).await.into_iter().flatten() {
        let (p50, p999) = (sample.figures["p50_ms"], sample.figures["p999_ms"]);
        assert!(0.0 < p50 && p50 <= sample.value && sample.value <= p999, "{sample:?}");
    }
    // The contestants are dropped: their servers no longer run, and what they stored is gone.
    assert!(!folder.path().join(NAME).exists());
    assert!(!runs_in(folder.path()));
}

/// Whether a process was started on settings in that folder.
fn runs_in(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(folder))
}
