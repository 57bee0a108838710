//! A client in another language, made from the .proto files and nothing else.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::bench::{ends_with, foreign, id, quartet, running, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_drives_a_node_from_the_proto_files_alone() {
    let Some(python) = foreign("python/bin/python") else {
        return;
    };
    let network = running(quartet()).await;
    let node = network.node(&id("ES")).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = tempfile::tempdir().unwrap();
    let mut drive = Command::new(python);
    drive
        .arg(here.join("python/drive.py"))
        .arg(here.join("../proto"))
        .arg(generated.path());
    drive.arg(&node.config().api.socket).arg("PT");
    let output = tokio::task::spawn_blocking(move || ends_with(0, &mut drive))
        .await
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));

    assert_eq!(found["member"], "ES");
    assert_eq!(found["serving"], true);
    assert_eq!(found["health"], json!({ "": "SERVING", "icomm.v1.Node": "SERVING" }));
    let services = found["services"].as_array().unwrap();
    for service in ["grpc.health.v1.Health", "icomm.v1.Node"] {
        assert!(services.contains(&service.into()), "{services:?}");
    }
    assert!(found["methods"].as_array().unwrap().contains(&"Import".into()));

    assert_eq!(
        (&found["first"], &found["again"]),
        (&json!("RESULT_ISSUED"), &json!("RESULT_DUPLICATE"))
    );
    assert_eq!(found["same_record"], true);
    assert_eq!(found["bad"], "RESULT_REJECTED");
    let errors = found["bad_errors"].as_array().unwrap();
    assert!(
        errors
            .iter()
            .any(|error| error["value"] == "QQ" && !error["list"].as_str().unwrap().is_empty()),
        "{errors:?}"
    );
    assert_eq!(found["imported"], 30);
    assert_eq!(found["watched"], true);

    assert_eq!(found["held"], json!([["case", "exact", "references", "persons"]]));
    assert_eq!(found["verified"], json!([true]));
    assert_eq!(found["name"], "Synth-Python");
    assert_eq!(found["month"], "2026-11", "worked out by the node");
    assert_eq!(
        (&found["page"], &found["next"], &found["end"]),
        (&json!(10), &json!(10), &json!(false))
    );
    assert_eq!(found["explained"]["permitted"], true);
    assert!(
        found["explained"]["sections"]
            .as_array()
            .unwrap()
            .contains(&"persons".into())
    );
    assert_eq!(found["refused"], "INVALID_ARGUMENT");
}
