//! What six nodes show of themselves, through the commands that people use.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use serde_json::Value;

use super::cast::{Cast, HOMES};
use crate::place::json_lines;

/// A log as a node has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub(super) entries: u64,
    /// The signed note, without signatures: name, size and root.
    pub(super) head: String,
    pub(super) verified: bool,
    pub(super) forked: bool,
}

/// What one node shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) logs: BTreeMap<String, Log>,
    /// Everything that can be read of records there.
    pub(super) text: String,
    /// The sections that it has of each record, of others' logs.
    pub(super) sections: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong with its disclosure log, or with one that it keeps.
    pub(super) ledger: String,
    pub(super) bundle: u64,
    pub(super) agreements: BTreeMap<String, u64>,
    /// Why it is not well.
    pub(super) reasons: Vec<String>,
    /// Its log file.
    pub(super) log: String,
}

pub(super) fn number(value: &Value) -> u64 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every node that runs, two at a time.
pub(super) fn observe(cast: &Cast) -> BTreeMap<&'static str, Seen> {
    let running: Vec<_> = HOMES.into_iter().filter(|home| cast.runs(home)).collect();
    let (one, other) = running.split_at(running.len() / 2);
    let all = |homes: &[&'static str]| -> Vec<_> { homes.iter().map(|home| (*home, look(cast, home))).collect() };
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| all(one));
        let mut seen: BTreeMap<_, _> = all(other).into_iter().collect();
        seen.extend(beside.join().unwrap());
        seen
    })
}

fn look(cast: &Cast, home: &str) -> Seen {
    let asks = |line: &str| cast.place.says_anyhow(&format!("{line} --json --home {home}"));
    let status: Value = serde_json::from_str(&asks("status")).unwrap_or_default();
    let ledger: Value = serde_json::from_str(&asks("audit verify")).unwrap_or_default();
    let mut seen = Seen {
        bundle: number(&status["bundle_version"]),
        reasons: texts(&status["reasons"]),
        ledger: match (&ledger["verified"], ledger["conflicts"].as_array().map(Vec::len)) {
            (Value::Bool(true), Some(0)) => String::new(),
            _ => ledger.to_string(),
        },
        log: std::fs::read_to_string(cast.place.path(&format!("{home}.log"))).unwrap_or_default(),
        ..Seen::default()
    };
    for agreement in json_lines(&asks("agreement list")) {
        if let Some(id) = agreement["id"].as_str() {
            let version = seen.agreements.entry(id.to_owned()).or_default();
            *version = number(&agreement["version"]).max(*version);
        }
    }
    for log in json_lines(&asks("log list")) {
        let origin = log["origin"].as_str().unwrap_or_default().to_owned();
        let verified: Value = serde_json::from_str(&asks(&format!("log verify {origin}"))).unwrap_or_default();
        let checkpoint = log["checkpoint"].as_str().unwrap_or_default();
        seen.logs.insert(
            origin.clone(),
            Log {
                entries: number(&log["entries"]),
                head: checkpoint.lines().take(3).collect::<Vec<_>>().join(" "),
                verified: verified["verified"] == true,
                forked: log["forked"] == true,
            },
        );
        for entry in json_lines(&asks(&format!("record list {origin} --views"))) {
            let view = BASE64.decode(entry["view"].as_str().unwrap_or_default().as_bytes());
            seen.text += &String::from_utf8_lossy(&view.unwrap_or_default());
            seen.text += &entry.to_string();
            if log["own"] != true {
                let id = entry["record_id"].as_str().unwrap_or_default().to_owned();
                let sections = texts(&entry["sections"]);
                seen.sections.entry(id).or_default().extend(sections);
            }
        }
    }
    seen
}
