//! What every command starts from: the node's folder, the output, and the way to the running node.

use std::path::PathBuf;

use clap::Args;
use icomm_proto::v1::retention_client::RetentionClient;
use time::OffsetDateTime;
use tonic::transport::Channel;

use super::{exit::Failure, output::Output};
use crate::{
    api::client::{
        Address, Auditor, Client, Consenting, Keeper, Photographer, Poster, audit, backups, connect, consents, parcels,
        photos, retention,
    },
    config::Config,
};

/// The environment variable that names the node's folder.
pub const HOME_VARIABLE: &str = "ICOMM_HOME";

/// The node's folder where nothing else is said.
const HOME_DEFAULT: &str = "icomm";

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The node's folder [default: $ICOMM_HOME, or ./icomm]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print JSON for programs: one value, or one a line where a command lists or watches
    #[arg(long, global = true)]
    json: bool,
    /// Where the node's API is: `unix:PATH`, or `HOST:PORT` for mutual TLS with this node's own certificate
    /// [default: the socket that the node's settings name]
    #[arg(long, global = true, value_name = "ADDRESS")]
    api: Option<Address>,
}

/// The options, resolved.
#[derive(Debug, Clone)]
pub struct Context {
    /// The node's folder.
    pub home: PathBuf,
    /// Where answers go.
    pub output: Output,
    api: Option<Address>,
}

impl Context {
    /// Resolves the options against the environment.
    pub fn new(global: Global) -> Self {
        let Global { home, json, api } = global;
        let home = home
            .or_else(|| std::env::var_os(HOME_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(HOME_DEFAULT));
        Self {
            home,
            output: Output::new(json),
            api,
        }
    }

    /// What time it is: certificates and bundles are made and checked by it.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// The node's settings.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.home)?)
    }

    /// Whether the command line says which node to talk to, rather than the folder's own.
    pub fn names_api(&self) -> bool {
        self.api.is_some()
    }

    /// A client of the running node.
    pub async fn client(&self) -> Result<Client, Failure> {
        let (address, config) = self.node()?;
        Ok(connect(&address, &config).await?)
    }

    /// A client of the running node's audit calls.
    pub async fn auditor(&self) -> Result<Auditor, Failure> {
        let (address, config) = self.node()?;
        Ok(audit(&address, &config).await?)
    }

    /// A client of the running node's calls about consent.
    pub async fn consents(&self) -> Result<Consenting, Failure> {
        let (address, config) = self.node()?;
        Ok(consents(&address, &config).await?)
    }

    /// A client of the running node's parcel calls.
    pub async fn poster(&self) -> Result<Poster, Failure> {
        let (address, config) = self.node()?;
        Ok(parcels(&address, &config).await?)
    }

    /// A client of the running node's backup calls.
    pub async fn keeper(&self) -> Result<Keeper, Failure> {
        let (address, config) = self.node()?;
        Ok(backups(&address, &config).await?)
    }

    /// A client of the running node's calls about what is kept for how long.
    pub async fn retention(&self) -> Result<RetentionClient<Channel>, Failure> {
        let (address, config) = self.node()?;
        Ok(retention(&address, &config).await?)
    }

    /// A client of the running node's photo calls.
    pub async fn photographer(&self) -> Result<Photographer, Failure> {
        let (address, config) = self.node()?;
        Ok(photos(&address, &config).await?)
    }

    /// Where the node's API is, and the settings it is reached with.
    fn node(&self) -> Result<(Address, Config), Failure> {
        let config = match &self.api {
            // Another node's socket needs nothing from the folder.
            Some(Address::Socket(_)) => Config::load(&self.home).unwrap_or_default(),
            _ => self.config()?,
        };
        let address = self
            .api
            .clone()
            .unwrap_or_else(|| Address::Socket(config.api.socket.clone()));
        Ok((address, config))
    }
}

#[cfg(test)]
impl Context {
    /// For a node in this folder, with JSON answers.
    pub(super) fn for_test(home: &std::path::Path) -> Self {
        Self {
            home: home.to_owned(),
            output: Output::new(true),
            api: None,
        }
    }
}
