//! The contestants at a tiny size, on real servers.

use std::io::Write as _;

use icomm_node::{environment::Environment, network::Folder};

use crate::compare::{
    scale::Scale,
    workload::{Bench, Contestant as _},
};

fn bench(folder: &Folder, size: u64) -> Bench {
    Bench {
        program: "icomm".into(),
        folder: folder.path().to_owned(),
        scale: Scale::Tiny,
        size,
        peers: true,
    }
}

#[tokio::test]
async fn a_new_subscriber_gets_the_covered_rows() {
    let folder = Folder::temporary(&Environment::system()).unwrap();
    match super::catch_up(&bench(&folder, 2000)).await.unwrap() {
        Ok(mut catch_up) => {
            for _ in 0..2 {
                let sample = catch_up.round().await.unwrap();
                assert!(sample.value > 0.0);
            }
        }
        Err(absent) => {
            let _ = writeln!(std::io::stderr(), "skipped: {}", absent.why);
        }
    }
}
