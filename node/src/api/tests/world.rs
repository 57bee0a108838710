//! A network in a temporary folder, and a running node of it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use icomm_pki::{
    Authority, AuthorityKey, EnrolmentRequest, Listing, MemberId, MemberKey, NodeCredentials, NodeKey, Role,
    TrustBundle, TrustDomain, Validity, VerifiedBundle, tls,
};
use icomm_proto::v1;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    api::{
        Api,
        client::{Address, Client, connect},
    },
    causes::chain,
    config::Config,
    environment::Environment,
    node::Node,
};

/// Members with a node each, enrolled by one root, their folders ready to run.
pub(super) struct World {
    folder: tempfile::TempDir,
    credentials: BTreeMap<String, NodeCredentials>,
    bundle: Arc<VerifiedBundle>,
}

impl World {
    pub(super) fn new(members: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domain: TrustDomain = "test.icomm.example".parse().unwrap();
        let now = OffsetDateTime::now_utc();
        let days = |days| Validity::days(now, days).unwrap();
        let wco: MemberId = "WCO".parse().unwrap();
        let root = Authority::root(&domain, &wco, AuthorityKey::generate().unwrap(), days(3650)).unwrap();
        let certificate = root.certificate().der().clone();
        let mut bundle = TrustBundle::new(
            1,
            domain.clone(),
            certificate.clone(),
            now,
            now.saturating_add(Duration::days(30)),
        );
        bundle.revocation_lists = vec![root.revocation_list(None, &[], days(180)).unwrap()];
        let mut credentials = BTreeMap::new();
        for name in members.iter().chain(&["WCO"]) {
            let member: MemberId = name.parse().unwrap();
            let (member_key, node_key) = (MemberKey::generate().unwrap(), NodeKey::generate().unwrap());
            let node = "gw1".parse().unwrap();
            let request = EnrolmentRequest::new(&domain, &member, &node, &member_key, &node_key).unwrap();
            let role = if member == wco { Role::Global } else { Role::National };
            let enrolment = root.issue(&request, role, days(365)).unwrap();
            bundle.members.push(Listing::new(&enrolment, Vec::new(), Vec::new()));
            credentials.insert(
                (*name).to_owned(),
                NodeCredentials::new(enrolment, member_key, node_key).unwrap(),
            );
        }
        bundle.members.sort_by(|a, b| a.id.cmp(&b.id));
        let signed = bundle.sign(&wco, credentials["WCO"].member_key()).unwrap();
        let verified = VerifiedBundle::verify(&signed, &certificate, now, 1).unwrap();
        let world = Self {
            folder,
            credentials,
            bundle: Arc::new(verified),
        };
        for (name, credentials) in &world.credentials {
            write(&world.home(name), credentials, &signed);
        }
        world
    }

    pub(super) fn home(&self, member: &str) -> PathBuf {
        self.folder.path().join(member)
    }

    pub(super) fn config(&self, member: &str, settings: &str) -> Config {
        Config::parse(settings, &self.home(member)).unwrap()
    }

    /// A client with the certificate of `member` that dials the node of `other` by its right name.
    pub(super) async fn impostor(&self, member: &str, other: &str, address: &Address) -> Client {
        let Address::Tls(authority) = address.clone() else {
            panic!("{address}")
        };
        let (own, other) = (&self.credentials[member], &self.credentials[other]);
        let clock = Arc::new(Environment::system());
        let config = tls::client_config(own, self.bundle.clone(), clock).unwrap();
        let name = tls::server_name(&self.bundle, other.member(), other.node_name()).unwrap();
        let connector = tower::service_fn(move |_: Uri| {
            let (config, name, authority) = (config.clone(), name.clone(), authority.clone());
            async move {
                #[expect(clippy::disallowed_methods, reason = "a test dials")]
                let tcp = TcpStream::connect(authority).await?;
                tokio_rustls::TlsConnector::from(config)
                    .connect(name, tcp)
                    .await
                    .map(TokioIo::new)
            }
        });
        Client::new(Endpoint::from_static("http://x").connect_with_connector_lazy(connector))
    }
}

fn write(home: &Path, credentials: &NodeCredentials, bundle: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    let identity = home.join("identity");
    fs::create_dir_all(&identity).unwrap();
    let private = |name: &str, text: &str| {
        fs::write(identity.join(name), text).unwrap();
        fs::set_permissions(identity.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    private("member-key.pem", &credentials.member_key().to_pkcs8_pem().unwrap());
    private("node-key.pem", &credentials.node_key().to_pem());
    fs::write(identity.join("enrolment.pem"), credentials.enrolment().to_pem()).unwrap();
    let root = credentials.enrolment().root_certificate().der();
    let root = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        data_encoding::BASE64.encode(root)
    );
    fs::write(identity.join("root.pem"), root).unwrap();
    fs::write(identity.join("bundle.json"), bundle).unwrap();
}

/// A node with its API, in this process.
pub(super) struct Running {
    pub(super) tls: Option<SocketAddr>,
    pub(super) http: Option<SocketAddr>,
    config: Config,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) async fn start(home: &Path, settings: &str) -> Self {
        Self::try_start(home, settings).await.unwrap()
    }

    pub(super) async fn try_start(home: &Path, settings: &str) -> Result<Self, String> {
        let config = Config::parse(settings, home).unwrap();
        let environment = Environment::system();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle();
        let node = Node::open(config.clone(), environment.clone())
            .await
            .map_err(|error| chain(&error))?;
        let api = Api::bind(&node, &environment, metrics)
            .await
            .map_err(|error| chain(&error))?;
        let (tls, http) = (api.tls_address(), api.http_address());
        let stop = CancellationToken::new();
        let (run, serve) = (stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { node.run(run).await.unwrap() }),
            tokio::spawn(async move { api.serve(serve).await.unwrap() }),
        ];
        Ok(Self {
            tls,
            http,
            config,
            stop,
            tasks,
        })
    }

    pub(super) async fn client(&self) -> Client {
        connect(&Address::Socket(self.config.api.socket.clone()), &self.config)
            .await
            .unwrap()
    }

    pub(super) async fn channel(&self) -> Channel {
        super::super::client::channel(&Address::Socket(self.config.api.socket.clone()), &self.config)
            .await
            .unwrap()
    }

    pub(super) async fn http_get(&self, path: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "a test dials")]
        let mut tcp = TcpStream::connect(self.http.unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        tcp.read_to_string(&mut reply).await.unwrap();
        reply
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(super::SOON, task).await.unwrap().unwrap();
        }
    }
}

/// A valid seizure with an open and an exact section: the one that `icomm record submit --help` shows.
pub(super) fn draft() -> v1::Draft {
    crate::cli::example_draft()
}
