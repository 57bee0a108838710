//! A pair of servers on loopback: one publishes cases, the other subscribes to them, over TLS 1.3 with certificates on both
//! sides.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::{
    installation::Installation,
    server::{Server, Settings, Tls},
    table::{self, PUBLICATION, TABLE},
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

/// A folder for servers, which goes away with them.
#[derive(Debug)]
pub(super) struct Home(pub(super) PathBuf);

impl Home {
    pub(super) fn make(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        if installation.is_somebody_else() {
            // Whoever the servers run as must get through to their own folder; nobody may look around.
            fs::set_permissions(&bench.folder, Permissions::from_mode(0o711))?;
        }
        // A short name: the path of a socket has little room.
        let home = Self(bench.fresh_folder("pg")?);
        installation.hand_over(&home.0)?;
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Gigabytes may be in it; what can't be removed goes with the whole run's folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

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
#[derive(Debug)]
pub(super) struct Pair {
    /// How the subscriber reaches the publisher.
    route: String,
    /// An administrator's connection to each.
    pub(super) publishers: Client,
    pub(super) subscribers: Client,
    // Dropped in this order: first the servers, then what they write into.
    subscriber: Server,
    pub(super) publisher: Server,
    _home: Home,
}

impl Pair {
    /// Makes and starts both.
    pub(super) async fn start(bench: &Bench, installation: &Installation, rows: &Rows) -> anyhow::Result<Self> {
        let home = Home::make(bench, installation)?;
        let (tls, client) = tls(home.0.join("tls"), installation)?;
        let start = |name: &str, listens| {
            let settings = Settings {
                scale: bench.scale,
                listens,
            };
            Server::start(installation, home.0.join(name), settings)
        };
        let (publisher, subscriber) = futures::try_join!(start("publisher", Some(&tls)), start("subscriber", None))?;
        let (publishers, subscribers) = futures::try_join!(publisher.connect(), subscriber.connect())?;
        publishers.batch_execute(&table::publishers(rows)?).await?;
        publishers
            .batch_execute(&format!(
                "CREATE ROLE {ROLE} LOGIN REPLICATION; GRANT SELECT ON {TABLE} TO {ROLE}; {}",
                table::publication()
            ))
            .await?;
        subscribers.batch_execute(&table::subscribers()).await?;
        let route = format!(
            "host=127.0.0.1 port={} dbname=postgres user={ROLE} sslmode=verify-full sslcert={} sslkey={} sslrootcert={}",
            publisher.port(),
            client.certificate.display(),
            client.key.display(),
            tls.authority.display(),
        );
        Ok(Self {
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
             WITH (copy_data = {copy}, synchronous_commit = on)"
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

    /// Makes sure that the subscriber has so many rows.
    pub(super) async fn expect(&self, rows: u64) -> anyhow::Result<()> {
        let sql = format!("SELECT count(*) FROM {TABLE}");
        let count: i64 = self.subscribers.query_one(&sql, &[]).await?.try_get(0)?;
        let count = u64::try_from(count).context("a negative count")?;
        anyhow::ensure!(count == rows, "PostgreSQL delivered {count} rows instead of {rows}");
        Ok(())
    }

    /// What both servers cost so far.
    pub(super) fn cost(&self) -> anyhow::Result<Cost> {
        Cost::of(Some(self.publisher.id()), Some(self.subscriber.id()))
    }
}
