//! What a workload came to, and its JSON.

use serde_json::{Map, Value, json};

use super::{
    rows::{self, Form},
    series::{Measure, Series, Spread},
    workload::{Absent, Better, Kind, Workload},
};

/// How one contestant did.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What a reader must know of its settings.
    pub remark: String,
    /// Its rounds.
    pub series: Series,
}

/// What a workload came to.
#[derive(Clone)]
pub struct Outcome {
    /// Which.
    pub workload: Workload,
    /// Its size.
    pub size: u64,
    /// What its rows are like.
    pub form: Form,
    /// Everybody who took part; icomm first.
    pub standings: Vec<Standing>,
    /// Everybody who did not.
    pub absent: Vec<Absent>,
}

impl Outcome {
    /// icomm's own.
    pub fn icomm(&self) -> Option<&Series> {
        let ours = self.standings.iter().find(|standing| standing.kind == Kind::Icomm);
        ours.map(|standing| &standing.series)
    }

    /// Another contestant's.
    pub fn of(&self, name: &str) -> Option<&Series> {
        let found = self.standings.iter().find(|standing| standing.name == name);
        found.map(|standing| &standing.series)
    }

    /// Everybody but icomm.
    pub fn others(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| standing.kind != Kind::Icomm)
    }

    /// How many times better icomm is than another: below 1 it is worse. `None` where one of them has no such measure, or it is
    /// nothing at all.
    pub fn times_better(&self, other: &Standing, measure: Measure) -> Option<f64> {
        let ratio = self.icomm()?.median(measure)? / other.series.median(measure)?;
        let times = match (measure, self.workload.better) {
            (Measure::Value, Better::Higher) => ratio,
            (Measure::Value, Better::Lower) | (Measure::Cpu, _) => 1.0 / ratio,
        };
        (times.is_finite() && times > 0.0).then_some(times)
    }

    /// `{icomm, peers: {name: {value, ratio}}, unit, cpu_us_per_record}` and, beside that, size, rounds, spread and further
    /// figures. A ratio is always icomm's figure over the other's.
    pub fn to_json(&self) -> Value {
        let Some(ours) = self.icomm() else {
            return Value::Null;
        };
        let mut peers = Map::new();
        for other in self.others() {
            let mut peer = facts(&other.series);
            peer.insert("ratio".to_owned(), json!(ours.value.median / other.series.value.median));
            peer.insert("limit".to_owned(), json!(other.kind == Kind::Limit));
            if !other.remark.is_empty() {
                peer.insert("remark".to_owned(), json!(other.remark));
            }
            peers.insert(other.name.to_owned(), Value::Object(peer));
        }
        let mut object = facts(ours);
        object.insert("icomm".to_owned(), json!(ours.value.median));
        object.remove("value");
        object.insert("peers".to_owned(), Value::Object(peers));
        object.insert("unit".to_owned(), json!(self.workload.unit));
        object.insert("size".to_owned(), json!(self.size));
        object.insert("rows".to_owned(), json!(rows::name(self.form)));
        object.insert("counts".to_owned(), json!(self.workload.counts));
        object.insert("rounds".to_owned(), json!(ours.rounds));
        if !self.absent.is_empty() {
            let absent = self
                .absent
                .iter()
                .map(|absent| (absent.name.to_owned(), json!(absent.why)));
            object.insert("absent".to_owned(), Value::Object(absent.collect()));
        }
        Value::Object(object)
    }
}

fn facts(series: &Series) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("value".to_owned(), json!(series.value.median));
    object.insert("spread".to_owned(), json!([series.value.low, series.value.high]));
    let cpu = series.cpu_us_per_record.map(|cpu| cpu.median);
    object.insert("cpu_us_per_record".to_owned(), json!(cpu));
    if !series.figures.is_empty() {
        let median = |(name, spread): (&String, &Spread)| (name.clone(), json!(spread.median));
        object.insert(
            "figures".to_owned(),
            Value::Object(series.figures.iter().map(median).collect()),
        );
    }
    object
}
