//! Two NATS servers: A, where messages are published, and B, which mirrors A's stream over a leaf node link.
//!
//! ```text
//!   publisher ══TLS══▶ A: stream, file ◀══leaf node, TLS══ B: mirror, file ══TLS══▶ consumer
//! ```
//!
//! Every connection is mutual TLS 1.3. Ports are the servers' own choice and are read from what they print.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::time::Instant;

use super::{client::Client, jetstream::Jetstream};
use crate::compare::{
    certificates::{Authority, Files, Identity},
    daemon::Daemon,
    icomm::cost::Cost,
};

/// How long a server may take until it serves, and the link between them until it is up.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(10);

/// The domain of A's JetStream, by which B names the stream that it mirrors.
pub(super) const SENDER: &str = "A";

/// The domain of B's.
const RECEIVER: &str = "B";

/// Both servers. Dropping them kills them and removes all that they stored.
pub(super) struct Servers {
    sender: Server,
    receiver: Server,
    tls: Arc<ClientConfig>,
    // Dropped after the servers.
    _folder: Folder,
}

struct Server {
    daemon: Daemon,
    clients: SocketAddr,
}

/// Removed when it is dropped: the streams of a large run fill disks.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed now goes with the folder of the whole run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Servers {
    /// Starts both in `folder`, which is theirs alone, and waits until they are linked.
    pub(super) async fn start(program: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        let folder = Folder(folder);
        let authority = Authority::new()?;
        let (server, client) = (authority.issue("nats server")?, authority.issue("nats client")?);
        let tls = Tls {
            authority: authority.write(&folder.0)?,
            server: server.write(&folder.0, "server")?,
            client: client.write(&folder.0, "client")?,
        };
        let (sender, leaves) = start(program, &folder.0, SENDER, &tls.sender()).await?;
        let leaves = leaves.context("NATS server A tells no port for leaf nodes")?;
        let (receiver, _) = start(program, &folder.0, RECEIVER, &tls.receiver(leaves)).await?;
        let servers = Self {
            sender,
            receiver,
            tls: Arc::new(trusting(&authority, &client)?),
            _folder: folder,
        };
        servers.linked().await?;
        Ok(servers)
    }

    /// A new connection to A.
    pub(super) async fn sender(&self) -> anyhow::Result<Jetstream> {
        Ok(Jetstream::new(self.connect(&self.sender).await?, None))
    }

    /// A new connection to B.
    pub(super) async fn receiver(&self) -> anyhow::Result<Jetstream> {
        Ok(Jetstream::new(self.connect(&self.receiver).await?, None))
    }

    /// What both have cost so far.
    pub(super) fn cost(&self) -> anyhow::Result<Cost> {
        Cost::of(Some(self.sender.daemon.id()), Some(self.receiver.daemon.id()))
    }

    async fn connect(&self, server: &Server) -> anyhow::Result<Client> {
        Client::connect(server.clients, Arc::clone(&self.tls))
            .await
            .with_context(|| format!("no connection to the NATS server at {}", server.clients))
    }

    /// Waits until A's JetStream answers through B.
    async fn linked(&self) -> anyhow::Result<()> {
        let through = Jetstream::new(self.connect(&self.receiver).await?, Some(SENDER));
        let deadline = Instant::now() + READY_WITHIN;
        while !through.answers().await {
            anyhow::ensure!(Instant::now() < deadline, "the NATS servers don't find each other");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// The files that the servers' settings name.
struct Tls {
    authority: PathBuf,
    server: Files,
    client: Files,
}

impl Tls {
    /// A's own part of its settings.
    fn sender(&self) -> String {
        let listening = self.block(&self.server, "verify: true");
        format!("{listening}\nleafnodes {{ listen: \"127.0.0.1:-1\"\n{listening} }}\n")
    }

    /// B's, which dials A.
    fn receiver(&self, leaves: SocketAddr) -> String {
        let (listening, dialling) = (self.block(&self.server, "verify: true"), self.block(&self.client, ""));
        format!("{listening}\nleafnodes {{ remotes: [ {{ url: \"tls://{leaves}\"\n{dialling} }} ] }}\n")
    }

    /// A server of this age takes no lowest version of TLS, but cipher suites: with those of TLS 1.3 alone there is no other.
    fn block(&self, identity: &Files, more: &str) -> String {
        let [authority, certificate, key] =
            [&self.authority, &identity.certificate, &identity.key].map(|path| path.display().to_string());
        format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {authority:?}, timeout: 20\n\
             cipher_suites: [ \"TLS_AES_128_GCM_SHA256\", \"TLS_AES_256_GCM_SHA384\" ]\n{more} }}"
        )
    }
}

/// Starts a server with settings of its own, and waits for the addresses at which it takes clients and leaf nodes.
async fn start(program: &Path, folder: &Path, name: &str, own: &str) -> anyhow::Result<(Server, Option<SocketAddr>)> {
    let store = folder.join(name).display().to_string();
    // Everything that is not here is as the server is delivered, above all how it stores.
    let common = format!(
        "server_name: {name}\nlisten: \"127.0.0.1:-1\"\njetstream {{ store_dir: {store:?}, domain: {name} }}\n"
    );
    let settings = folder.join(format!("{name}.conf"));
    fs::write(&settings, common + own)?;
    let mut daemon = Daemon::start(name, program, ["-c".as_ref(), settings.as_os_str()], folder)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        daemon.running()?;
        let printed = daemon.printed()?;
        if printed.contains("Server is ready") {
            let clients =
                listening(&printed, "client connections on ").context("a NATS server tells no port for clients")?;
            return Ok((
                Server { daemon, clients },
                listening(&printed, "leafnode connections on "),
            ));
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "NATS server {name} is not ready; it says:\n{printed}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// The address after these words in what a server printed.
fn listening(printed: &str, words: &str) -> Option<SocketAddr> {
    let (_, after) = printed.split_once(words)?;
    after.split_ascii_whitespace().next()?.parse().ok()
}

/// Settings of a client that trusts this authority and shows this identity.
fn trusting(authority: &Authority, client: &Identity) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone())?;
    let chain = vec![client.certificate().der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(client.key().serialize_der()));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots);
    Ok(builder.with_client_auth_cert(chain, key)?)
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn a_port_is_read_from_what_a_server_prints() {
        let printed = "[7] 2026/11/23 12:00:00 [INF] Listening for leafnode connections on 127.0.0.1:40001\n\
            [7] 2026/11/23 12:00:00 [INF] Listening for client connections on 127.0.0.1:40002\n[7] [INF] Server is ready\n";
        let port = |words| listening(printed, words).map(|address| address.port());
        assert_eq!(port("client connections on "), Some(40002));
        assert_eq!(port("leafnode connections on "), Some(40001));
        assert_eq!(port("websocket clients on "), None);
    }
}
