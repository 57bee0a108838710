//! Cases on their way into a publisher whose subscriber follows: made ready before the clock, a text a column.

use std::{error::Error, sync::Arc};

use anyhow::Context as _;
use bytes::BytesMut;
use csv::StringRecord;
use tokio::time::sleep;
use tokio_postgres::{
    Client, Statement,
    types::{Format, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    general,
    installation::Installation,
    pair::{POLL, Pair},
    table::{self, TABLE, Table},
};
use crate::compare::{
    rows::{self, Rows},
    workload::Bench,
};

/// A pair of which the subscriber follows, and the cases of one round.
pub(super) struct Cases {
    pub(super) pair: Pair,
    cases: Arc<[StringRecord]>,
    covered: u64,
    /// The last case that is delivered.
    last: i64,
}

impl Cases {
    /// As many cases as the workload's size.
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let rows = general::file(&rows::file(bench, bench.size)?)?;
        let pair = Pair::start(bench, installation, &rows).await?;
        let (cases, last) = read(&rows, &pair.table)?;
        pair.subscribe(false).await?;
        pair.flowing().await?;
        Ok(Self {
            pair,
            cases: cases.into(),
            covered: rows.covered()?,
            last,
        })
    }

    /// All of them, each an id and the columns that are ever filled, as [`Table::filled`] orders them.
    pub(super) fn all(&self) -> &[StringRecord] {
        &self.cases
    }

    /// The same, to be shared with tasks.
    pub(super) fn shared(&self) -> Arc<[StringRecord]> {
        Arc::clone(&self.cases)
    }

    /// How many of them are delivered.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    /// So many connections to the publisher.
    pub(super) async fn writers(&self, writers: usize) -> anyhow::Result<Vec<Arc<Client>>> {
        let mut clients = Vec::with_capacity(writers);
        for _ in 0..writers {
            clients.push(Arc::new(self.pair.publisher.connect().await?));
        }
        Ok(clients)
    }

    /// Waits until the subscriber shows the last case that is delivered.
    pub(super) async fn arrived(&self) -> anyhow::Result<()> {
        let subscribers = &self.pair.subscribers;
        let shown = subscribers
            .prepare(&format!("SELECT FROM {TABLE} WHERE id = $1"))
            .await?;
        while subscribers.query_opt(&shown, &[&self.last]).await?.is_none() {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// The same after writers that ran side by side: what one of them took before the last case may be committed after it.
    pub(super) async fn all_arrived(&self) -> anyhow::Result<()> {
        self.arrived().await?;
        while table::count(&self.pair.subscribers).await? < self.covered {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Makes sure that everything has been delivered that should, and nothing else.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        table::expect(&self.pair.subscribers, self.covered).await
    }
}

/// The cases of a file, with ids from 1 on, and the id of the last that is covered.
fn read(rows: &Rows, table: &Table) -> anyhow::Result<(Vec<StringRecord>, i64)> {
    let mut reader = csv::Reader::from_path(&rows.file)?;
    let header = reader.headers()?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let places: Option<Vec<usize>> = table.filled().map(|column| place(&column.name)).collect();
    let places = places.context("the template lacks a column")?;
    let category = place(table::CATEGORY).context("the template lacks the category")?;
    let (mut cases, mut last) = (Vec::new(), 0);
    for (row, id) in reader.records().zip(1..) {
        let row = row?;
        if row
            .get(category)
            .is_some_and(|category| rows::CATEGORIES.contains(&category))
        {
            last = id;
        }
        let mut case = StringRecord::from(vec![id.to_string()]);
        case.extend(places.iter().filter_map(|place| row.get(*place)));
        cases.push(case);
    }
    Ok((cases, last))
}

/// The id of a case.
pub(super) fn id(case: &StringRecord) -> anyhow::Result<i64> {
    Ok(case.get(0).context("a case has an id")?.parse()?)
}

/// Inserts a case, by the statement that [`Table::insert`] tells.
pub(super) async fn insert(writer: &Client, insert: &Statement, case: &StringRecord) -> anyhow::Result<()> {
    let texts: Vec<Text<'_>> = case.iter().map(Text).collect();
    let inserted = writer.execute_raw(insert, texts).await?;
    anyhow::ensure!(inserted == 1, "a case was not inserted");
    Ok(())
}

/// A value in the form in which people write it, whatever the column's type; blank is NULL.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.is_empty() {
            return Ok(IsNull::Yes);
        }
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
