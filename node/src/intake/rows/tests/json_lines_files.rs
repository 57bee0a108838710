//! JSON Lines, good and broken.

use super::*;

#[test]
fn flat_objects_become_rows() {
    let text = concat!(
        "{\"a\": \"x\", \"b\": 1.50}\n",
        "\n",
        "{\"a\": null, \"b\": true}\r\n",
        "{\"c\": [\"p\", \"q\", 3]}\n",
        "{\"a\": \"\", \"b\": null}\n",
    );
    let rows = read(text, ReadOptions::default()).unwrap();
    assert_eq!(shown(&rows), ["1: x|1.5", "3: |true", "4: p; q; 3"]);
    assert_eq!(rows[2].as_ref().unwrap().cell("C"), Some("p; q; 3"));
}

#[test]
fn what_is_no_flat_object_is_named() {
    for bad in [
        "[1, 2]",
        "{\"a\": {\"b\": 1}}",
        "{\"a\": 1, \"A\": 2}",
        "{\"a\": 1",
        "{\"a\": 1} trailing",
        "{}",
        "{\"a\": 1e999}",
    ] {
        let text = format!("{{\"a\": 1}}\n{bad}\n{{\"a\": 2}}\n");
        assert_eq!(summary(text), ["1: 1", "2: !Json", "3: 2"], "{bad}");
    }
    assert_eq!(summary("{\"a\": \"x\\u0000\"}\n{\"a\": 2}\n"), ["1: !Encoding", "2: 2"]);
    assert_eq!(
        summary(b"{\"a\": 1}\n{\"a\": \"\xe1\"}\n{\"a\": 2}\n".to_vec()),
        ["1: 1", "2: !Encoding", "3: 2"]
    );
    let many: Vec<String> = (0..2000).map(|key| format!("\"k{key}\": 1")).collect();
    assert_eq!(
        summary(format!("{{\"a\": 1}}\n{{{}}}\n", many.join(","))),
        ["1: 1", "2: !Json"]
    );
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(summary(format!("{{\"a\": 1}}\n{deep}\n")), ["1: 1", "2: !Json"]);
}
