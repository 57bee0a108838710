//! A pair of servers on loopback: one publishes cases, the other subscribes to them, over TLS 1.3 with certificates on both
//! sides.

use std::{fs, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::{
    installation::Installation,
    server::{Home, Server, Settings, Tls},
    table::{PUBLICATION, TABLE, Table},
};
use crate::compare::{
    certificates::{Authority, Files},
    icomm::cost::Cost,
    rows::Rows,
    workload::Bench,
};

/// The role that replicates; its certificate is in its name.
pub(super) const ROLE: &str = "replicator";

const SUBSCRIPTION: &str = "partner";

/// How often a server is asked whether something has happened, by a prepared query of some 50 µs.
pub(super) const POLL: Duration = Duration::from_millis(2);

/// How long anything may take that is not measured: slots, workers, checkpoints.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// An authority, what the publisher shows, and what the replicating role does, in a folder that only servers can read.
fn tls(folder: PathBuf, installation: &Installation) -> anyhow::Result<(Tls, Files)> {
    fs::create_dir(&folder)?;
    let authority = Authority::new()?;
    let server = authority.issue("localhost")?.write(&folder, "server")?;
    // `clientcert=verify-full` wants the role's name as the common name.
    let client = authority.issue(ROLE)?.write(&folder, "client")?;
    let authority = authority.write(&folder)?;
    for path in [
        &folder,
        &authority,
        &server.certificate,
        &server.key,
        &client.certificate,
        &client.key,
    ] {
        installation.hand_over(path)?;
    }
    Ok((Tls { authority, server }, client))
}

/// Two servers, their tables empty.
pub(super) struct Pair {
    /// The columns of what it replicates.
    pub(super) table: Table,
    /// How the subscriber reaches the publisher.
    route: String,
    /// An administrator's connection to each.
    pub(super) publishers: Client,
    pub(super) subscribers: Client,
    // Dropped in this order: first the servers, then what they write into.
    pub(super) subscriber: Server,
    pub(super) publisher: Server,
    _home: Home,
}

impl Pair {
    /// Makes and starts both.
    pub(super) async fn start(bench: &Bench, installation: &Installation, rows: &Rows) -> anyhow::Result<Self> {
        let home = Home::make(bench, installation)?;
        let (tls, client) = tls(home.folder("tls"), installation)?;
        let start = |name: &str, listens| {
            let settings = Settings {
                scale: bench.scale,
                listens,
            };
            Server::start(installation, home.folder(name), settings)
        };
        let (publisher, subscriber) = futures::try_join!(start("publisher", Some(&tls)), start("subscriber", None))?;
        let (publishers, subscribers) = futures::try_join!(publisher.connect(), subscriber.connect())?;
        let table = Table::of(rows)?;
        publishers.batch_execute(&table.publishers()).await?;
        publishers
            .batch_execute(&format!(
                "CREATE ROLE {ROLE} LOGIN REPLICATION; GRANT SELECT ON {TABLE} TO {ROLE}; {}",
                table.publication()
            ))
            .await?;
        subscribers.batch_execute(&table.subscribers()).await?;
        let route = format!(
            "host=127.0.0.1 port={} dbname=postgres user={ROLE} sslmode=verify-full sslcert={} sslkey={} sslrootcert={}",
            publisher.port(),
            client.certificate.display(),
            client.key.display(),
            tls.authority.display(),
        );
        Ok(Self {
            table,
            route,
            publishers,
            subscribers,
            subscriber,
            publisher,
            _home: home,
        })
    }

    /// The subscription begins now, with the rows that are there already or without.
    pub(super) async fn subscribe(&self, copy: bool) -> anyhow::Result<()> {
        let route = self.route.replace('\'', "''");
        let sql = format!(
            "CREATE SUBSCRIPTION {SUBSCRIPTION} CONNECTION '{route}' PUBLICATION {PUBLICATION}
             WITH (copy_data = {copy}, synchronous_commit = on, binary = true)"
        );
        Ok(self.subscribers.batch_execute(&sql).await?)
    }

    /// The subscription ends, and its slot goes, if there is one.
    pub(super) async fn unsubscribe(&self) -> anyhow::Result<()> {
        let sql = format!("DROP SUBSCRIPTION IF EXISTS {SUBSCRIPTION}");
        Ok(self.subscribers.batch_execute(&sql).await?)
    }

    /// Waits until changes flow, and makes sure that they do over TLS 1.3 from a client with a certificate.
    pub(super) async fn flowing(&self) -> anyhow::Result<()> {
        let sql = "SELECT ssl.version, ssl.client_dn FROM pg_stat_replication JOIN pg_stat_ssl ssl USING (pid)
                   WHERE state = 'streaming'";
        let sql = self.publishers.prepare(sql).await?;
        let deadline = Instant::now() + SETTLES_WITHIN;
        let row = loop {
            if let Some(row) = self.publishers.query_opt(&sql, &[]).await? {
                break row;
            }
            anyhow::ensure!(Instant::now() < deadline, "PostgreSQL's subscription does not begin");
            sleep(POLL).await;
        };
        let (version, client): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
        anyhow::ensure!(
            version == Some("TLSv1.3") && client.is_some(),
            "PostgreSQL replicates over {version:?} for {client:?}, and not over TLS 1.3 for a client with a certificate"
        );
        Ok(())
    }

    /// Empties both tables, and leaves neither server anything to write that the next round would pay for.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let truncate = format!("TRUNCATE {TABLE}");
        futures::try_join!(
            self.publishers.batch_execute(&truncate),
            self.subscribers.batch_execute(&truncate)
        )?;
        self.checkpoint().await
    }

    /// Has both servers write what they have not yet written.
    pub(super) async fn checkpoint(&self) -> anyhow::Result<()> {
        futures::try_join!(
            self.publishers.batch_execute("CHECKPOINT"),
            self.subscribers.batch_execute("CHECKPOINT")
        )?;
        Ok(())
    }

    /// What both servers cost so far.
    pub(super) fn cost(&self) -> anyhow::Result<Cost> {
        Cost::of(Some(self.publisher.id()), Some(self.subscriber.id()))
    }
}
