//! One PostgreSQL server of our own: a new cluster in a folder, its processes, and connections to it.
//!
//! Durable in every way that counts: fsync, full page writes and synchronous commit are on. What only makes rounds uneven is
//! off or rare (autovacuum, timed checkpoints), in PostgreSQL's favour.

use std::{
    fs::{self, File, Permissions},
    future::poll_fn,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use icomm_node::network::StreamPort;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    time::{Instant, sleep},
};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use super::{installation::Installation, pair::ROLE, table};
use crate::compare::{
    certificates::Files,
    daemon::{Daemon, End},
    rows::Rows,
    scale::Scale,
    workload::Bench,
};

/// The superuser that `initdb` makes, and the database.
const SUPERUSER: &str = "postgres";

/// How long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often it is asked.
const POLL: Duration = Duration::from_millis(20);

/// A folder for servers, which goes away with them.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

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

    /// Where a part of it is to be.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Gigabytes may be in it; what can't be removed goes with the whole run's folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    daemon: Daemon,
    installation: Installation,
    /// Holds the cluster, its log and its socket.
    folder: PathBuf,
    port: StreamPort,
}

/// What a server shows who connects over the network, and whom it believes.
#[derive(Debug)]
pub(super) struct Tls {
    /// The authority that both ends trust.
    pub(super) authority: PathBuf,
    /// Its own.
    pub(super) server: Files,
}

/// What differs from server to server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    /// How much memory it gets.
    pub(super) scale: Scale,
    /// With which certificates it listens on loopback; without, it has its socket alone.
    pub(super) listens: Option<&'a Tls>,
}

impl Server {
    /// Makes a cluster in a new folder and starts a server over it.
    pub(super) async fn start(
        installation: &Installation,
        folder: PathBuf,
        settings: Settings<'_>,
    ) -> anyhow::Result<Self> {
        fs::create_dir(&folder)?;
        installation.hand_over(&folder)?;
        let data = folder.join("data");
        let mut initdb = installation.server("initdb", &folder);
        initdb
            .args([
                "--no-sync",
                "--no-instructions",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--username", SUPERUSER, "--pgdata"])
            .arg(&data);
        finish(initdb).await?;
        let port = StreamPort::reserve()?;
        append(&data.join("postgresql.conf"), &configuration(&folder, &port, settings))?;
        fs::write(data.join("pg_hba.conf"), access())?;

        // Killed, it would leave a segment of shared memory behind.
        let daemon = Daemon::start_as("postgresql", End::Quit, &folder, |command| {
            installation.complete(command, "postgres", &folder);
            command.arg("-D").arg(&data);
        })?;
        let mut server = Self {
            daemon,
            installation: installation.clone(),
            folder,
            port,
        };
        server.ready().await?;
        Ok(server)
    }

    /// The process of which all its processes descend.
    pub(super) fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Where it listens on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// A connection through its socket.
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        let (client, connection) = self.config().connect(NoTls).await?;
        // It ends with the client; what goes wrong in it fails the client's calls.
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection that hears what is notified on a channel: the text, and when it came.
    pub(super) async fn listen(&self, channel: &str) -> anyhow::Result<(Client, UnboundedReceiver<(String, Instant)>)> {
        let (client, mut connection) = self.config().connect(NoTls).await?;
        let (heard, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    // After the round nobody takes it any more.
                    let _ = heard.send((notification.payload().to_owned(), Instant::now()));
                }
            }
        });
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok((client, arrivals))
    }

    /// Copies a file of cases into the table with `psql`, as an administrator would, and waits for its end.
    pub(super) async fn copy_file(&self, rows: &Rows) -> anyhow::Result<()> {
        let mut psql = self.installation.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host"])
            .arg(&self.folder)
            .args(["--port", &self.port().to_string(), "--username", SUPERUSER])
            .args(["--command", &table::copy_file(rows)?, SUPERUSER]);
        finish(psql).await
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.folder)
            .port(self.port())
            .user(SUPERUSER)
            .dbname(SUPERUSER);
        config
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = self.connect().await {
            self.daemon.running()?;
            if Instant::now() >= deadline {
                let waited = READY_WITHIN.as_secs();
                return Err(error.context(format!("PostgreSQL does not answer after {waited} s")));
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

/// The socket's folder is closed to others; over the network only the replicating role comes in, with its certificate.
fn access() -> String {
    format!("local all {SUPERUSER} trust\nhostssl all {ROLE} 127.0.0.1/32 cert clientcert=verify-full\n")
}

fn configuration(folder: &Path, port: &StreamPort, settings: Settings<'_>) -> String {
    let quoted = |path: &Path| path.display().to_string().replace('\'', "''");
    let memory = match settings.scale {
        Scale::Tiny => "64MB",
        Scale::Quick => "512MB",
        Scale::Full => "1GB",
    };
    let mut text = format!(
        "port = {}\n\
         unix_socket_directories = '{}'\n\
         unix_socket_permissions = 0700\n\
         wal_level = logical\n\
         fsync = on\n\
         full_page_writes = on\n\
         synchronous_commit = on\n\
         shared_buffers = {memory}\n\
         max_wal_size = 4GB\n\
         checkpoint_timeout = 1h\n\
         autovacuum = off\n\
         max_connections = 50\n\
         # Else a subscription may wait 5 s before it begins.\n\
         wal_retrieve_retry_interval = 100ms\n",
        port.address().port(),
        quoted(folder),
    );
    match settings.listens {
        None => text += "listen_addresses = ''\n",
        Some(Tls { authority, server }) => {
            text += &format!(
                "listen_addresses = '127.0.0.1'\n\
                 ssl = on\n\
                 ssl_min_protocol_version = 'TLSv1.3'\n\
                 ssl_cert_file = '{}'\n\
                 ssl_key_file = '{}'\n\
                 ssl_ca_file = '{}'\n",
                quoted(&server.certificate),
                quoted(&server.key),
                quoted(authority),
            );
        }
    }
    text
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(File::options().append(true).open(path)?.write_all(text.as_bytes())?)
}

/// Runs a command to its end; what it complains of is the error.
async fn finish(command: Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("`{program}` can't be run"))?;
    anyhow::ensure!(
        output.status.success(),
        "`{program}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
