//! The node's settings: `icomm.toml` in the node's folder, as plain data.
//!
//! Every key has a safe default, so an empty file is a valid one: nothing listens until an address is written down, and
//! the local API is a Unix socket that only this user can open. A key that does not exist is an error that names the line and
//! the keys that do, because a misspelt limit that is silently ignored is worse than none. Paths are relative to the folder.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use icomm_proto::photo::PHOTO_BYTES_MAX;
use serde::Deserialize;

mod invalid;

pub use invalid::InvalidConfig;

/// The settings file's name in the node's folder.
pub const FILE: &str = "icomm.toml";

/// The commented settings file that `icomm init` writes; it parses to the defaults plus what `init` fills in.
pub const TEMPLATE: &str = include_str!("config/template.toml");

/// Everything that an operator can set. Paths are already resolved against the node's folder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's folder. Not a key: it is where the file was found.
    #[serde(skip)]
    pub home: PathBuf,
    /// How long a stopping node waits for its sessions and calls to finish, in seconds.
    pub drain_seconds_max: u64,
    /// Keys, certificates, pinned root, trust bundle.
    pub identity: Identity,
    /// Where records are kept.
    pub store: Store,
    /// Where partners reach this node and where it dials.
    pub links: Links,
    /// The local API.
    pub api: Api,
    /// Metrics and health over HTTP.
    pub http: Http,
    /// Import of files.
    pub intake: Intake,
    /// National law.
    pub policy: Policy,
    /// How long what others gave is kept.
    pub retention: Retention,
    /// What the program tells about its own work.
    pub log: Log,
}

/// `[identity]`: who this node is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The member's Ed25519 signing key, PKCS#8 PEM.
    pub member_key: PathBuf,
    /// This node's keys, PKCS#8 PEM: P-256 for TLS and Ed25519 for libp2p.
    pub node_key: PathBuf,
    /// The certificate chains that the authority issued, PEM.
    pub enrolment: PathBuf,
    /// The pinned root certificate, PEM.
    pub root: PathBuf,
    /// The trust bundle to start from. Newer ones that arrive are kept in the store.
    pub bundle: PathBuf,
    /// The name of this member's own log: `main` in `KE/main`.
    pub log: String,
    /// The member key is in this token instead of a file.
    pub token: Option<Token>,
}

/// `[identity.token]`: a PKCS#11 token that signs for the member.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The token's PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the member's keys in it. Of several, that is used which is certified.
    pub key: String,
    /// A file with the PIN, which only this user can read; without it the PIN is that of `ICOMM_TOKEN_PIN`.
    pub pin_file: Option<PathBuf>,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Folder of the journal and the index.
    pub folder: PathBuf,
    /// The key that wraps the keys of all views in the store. Outside of the store's folder.
    pub key: PathBuf,
}

/// `[links]`: how partners are reached.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Addresses on which to accept TCP with mutual TLS 1.3.
    pub tls: Vec<SocketAddr>,
    /// Multiaddresses on which to accept libp2p, QUIC or TCP.
    pub p2p: Vec<String>,
    /// libp2p multiaddresses under which others see this node, where they differ from those it listens on.
    pub external: Vec<String>,
    /// Whether this node relays for members behind a firewall. For hubs.
    pub relay: bool,
    /// Member ids of hubs that relay for this node, so that partners reach it behind a firewall.
    pub relays: Vec<String>,
    /// Whether to dial every partner that the trust bundle lists with an address, but for those that `peer` leaves without.
    pub dial_bundle: bool,
    /// Partners with addresses of their own, tried before the bundle's; with none: never dialled.
    pub peer: Vec<Peer>,
}

/// `[[links.peer]]`: one partner's addresses as this node should dial them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The partner's member id: `PT`.
    pub member: String,
    /// `tls://host:port` or multiaddresses, tried in this order before the bundle's. Empty: never dial it.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// `[api]`: the local API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// The Unix socket, opened with mode 0600.
    pub socket: PathBuf,
    /// An address for mutual TLS as well; only this member's own node certificates are let in.
    pub listen: Option<SocketAddr>,
    /// The largest message accepted or sent, in bytes.
    pub message_bytes_max: usize,
    /// Calls at the same time on one connection.
    pub streams_max: u32,
    /// Open connections at the same time.
    pub connections_max: usize,
}

/// `[http]`: Prometheus metrics and health.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where `/metrics` and `/health` are served in clear; keep it on loopback. None: not at all.
    pub listen: Option<SocketAddr>,
}

/// `[intake]`: import of files.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Folder of own mapping files, `NAME.toml`.
    pub mappings: PathBuf,
    /// Folder of official code lists that extend the built-in ones.
    pub code_lists: PathBuf,
    /// The largest file that is taken as a photo, in bytes.
    pub photo_bytes_max: u64,
}

/// `[policy]`: national law.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Folder of Cedar files (`*.cedar`) with `forbid` policies, which always win over an agreement.
    pub overlays: PathBuf,
}

/// `[retention]`: how long what others gave is kept. How long that is stands in the agreements.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// So many days before the time for something is over, it is told.
    pub notice_days: u32,
}

/// `[log]`: what the program tells on standard error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// Levels, as `tracing` writes them: `info`, or `info,icomm_node::link=debug`.
    pub filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line a person reads.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the settings can't be read: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no node in `{}`: no `{FILE}` there; `icomm init` makes one, `--home` names another folder", home.display())]
    Missing {
        /// The folder looked in.
        home: PathBuf,
    },
    /// The file is there and can't be read.
    #[error("can't read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its text is wrong.
    #[error("`{}`: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: InvalidConfig,
    },
}

impl Config {
    /// Reads `icomm.toml` in the node's folder.
    ///
    /// # Errors
    /// No such file, not readable, not TOML, an unknown key, a value out of its range.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing { home: home.to_owned() },
            _ => ConfigError::Unreadable {
                path: path.clone(),
                source,
            },
        })?;
        Self::parse(&text, home).map_err(|source| ConfigError::Invalid { path, source })
    }

    /// Reads settings from text, for the folder `home`.
    ///
    /// # Errors
    /// Not TOML, an unknown key, a value out of its range.
    pub fn parse(text: &str, home: &Path) -> Result<Self, InvalidConfig> {
        let mut config: Self = toml::from_str(text).map_err(|error| InvalidConfig::new(text, &error))?;
        config.check()?;
        config.resolve(home);
        Ok(config)
    }

    /// The drain deadline.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds_max)
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let in_range = |key: &'static str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(InvalidConfig::Range {
                    key,
                    value,
                    least,
                    most,
                })
            }
        };
        in_range("drain_seconds_max", self.drain_seconds_max, 0, 600)?;
        in_range(
            "api.message_bytes_max",
            self.api.message_bytes_max as u64,
            64 * 1024,
            256 * 1024 * 1024,
        )?;
        in_range(
            "intake.photo_bytes_max",
            self.intake.photo_bytes_max,
            1,
            PHOTO_BYTES_MAX,
        )?;
        in_range("api.streams_max", u64::from(self.api.streams_max), 1, 10_000)?;
        in_range("retention.notice_days", u64::from(self.retention.notice_days), 0, 3650)?;
        in_range("api.connections_max", self.api.connections_max as u64, 1, 10_000)?;
        Ok(())
    }

    fn resolve(&mut self, home: &Path) {
        let Self {
            home: at,
            drain_seconds_max: _,
            identity,
            store,
            links: _,
            api,
            http: _,
            intake,
            policy,
            retention: _,
            log: _,
        } = self;
        let Identity {
            member_key,
            node_key,
            enrolment,
            root,
            bundle,
            log: _,
            token,
        } = identity;
        if let Some(Token { module, pin_file, .. }) = token {
            *module = home.join(&*module);
            if let Some(pin_file) = pin_file {
                *pin_file = home.join(&*pin_file);
            }
        }
        let identity = [member_key, node_key, enrolment, root, bundle];
        let files = identity.into_iter().chain([&mut store.key, &mut api.socket]);
        let folders = [
            &mut store.folder,
            &mut intake.mappings,
            &mut intake.code_lists,
            &mut policy.overlays,
        ];
        for path in files.chain(folders) {
            *path = home.join(&*path);
        }
        *at = home.to_owned();
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            home: PathBuf::new(),
            drain_seconds_max: 10,
            identity: Identity::default(),
            store: Store::default(),
            links: Links::default(),
            api: Api::default(),
            http: Http::default(),
            intake: Intake::default(),
            policy: Policy::default(),
            retention: Retention::default(),
            log: Log::default(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            member_key: "identity/member-key.pem".into(),
            node_key: "identity/node-key.pem".into(),
            enrolment: "identity/enrolment.pem".into(),
            root: "identity/root.pem".into(),
            bundle: "identity/bundle.json".into(),
            log: "main".into(),
            token: None,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            folder: "store".into(),
            key: "identity/store-key".into(),
        }
    }
}

impl Default for Links {
    fn default() -> Self {
        Self {
            tls: Vec::new(),
            p2p: Vec::new(),
            external: Vec::new(),
            relay: false,
            relays: Vec::new(),
            dial_bundle: true,
            peer: Vec::new(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            socket: "icomm.sock".into(),
            listen: None,
            message_bytes_max: 16 * 1024 * 1024,
            streams_max: 64,
            connections_max: 256,
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            mappings: "mappings".into(),
            code_lists: "codes".into(),
            photo_bytes_max: 16 << 20,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overlays: "policies".into(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { notice_days: 30 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

#[cfg(test)]
mod tests;
