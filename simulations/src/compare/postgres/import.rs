//! Import: `psql` copies a file of cases into one server's table.

use tokio::time::Instant;

use super::{
    installation::Installation,
    server::{Home, Server, Settings},
    table::{self, TABLE, Table},
};
use crate::compare::{
    meter,
    rows::{self, Rows},
    series::Sample,
    workload::Bench,
};

/// A server, and a file with as many rows as the workload's size.
pub(super) struct Import {
    rows: Rows,
    server: Server,
    _home: Home,
}

impl Import {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let rows = rows::file(bench, bench.size)?;
        let home = Home::make(bench, installation)?;
        let settings = Settings {
            scale: bench.scale,
            listens: None,
        };
        let server = Server::start(installation, home.folder("importer"), settings).await?;
        let client = server.connect().await?;
        client.batch_execute(&Table::of(&rows)?.publishers()).await?;
        Ok(Self {
            rows,
            server,
            _home: home,
        })
    }

    pub(super) async fn round(&mut self) -> anyhow::Result<Sample> {
        let Self { rows, server, .. } = self;
        let client = server.connect().await?;
        client.batch_execute(&format!("TRUNCATE {TABLE}")).await?;
        client.batch_execute("CHECKPOINT").await?;
        let (before, begun) = (meter::children_cpu_seconds()?, Instant::now());
        server.copy_file(rows).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = meter::children_cpu_seconds()? - before;
        table::expect(&client, rows.rows).await?;
        Ok(Sample::rate(rows.rows, seconds, cpu))
    }
}
