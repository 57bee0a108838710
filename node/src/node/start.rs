//! What a node is made of, read from its folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icomm_pki::{InvalidBundle, InvalidCredentials, MemberId, NodeCredentials, TrustBundle, VerifiedBundle};
use icomm_policy::{InvalidOverlay, Overlay};
use icomm_proto::codes::{CodeLists, InvalidCodeList};
use icomm_proto::{InvalidOrigin, LogName, Origin};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};
use thiserror::Error;
use time::OffsetDateTime;

use super::succession::{self, SuccessionError};
use crate::config::{self, Config};
use crate::core::law::BUNDLE_KEY;
use crate::environment::Environment;
use crate::link::{self, BindError, InvalidAddress};
use crate::store::{InvalidStoreKey, Journal, OpenError, Store, StoreError, StoreKey};
use crate::token;

/// Why a node can't start. The operator's to mend.
#[derive(Debug, Error)]
pub enum StartError {
    /// A file is missing or can't be read.
    #[error("can't read {what} `{}`: {source}", path.display())]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read a secret key.
    #[error("others may read the key `{}` (mode {mode:o}); `chmod 600` it, and renew it if others had access", path.display())]
    ExposedKey {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The store key is gone, but not the store.
    #[error(
        "the store key `{}` is missing, and without it nothing in the store `{}` can be read; put it back from its copy",
        path.display(),
        folder.display()
    )]
    NoStoreKey {
        /// Where it is looked for.
        path: PathBuf,
        /// The store.
        folder: PathBuf,
    },
    /// The file of the store key holds something else.
    #[error("`{}`: {source}", path.display())]
    StoreKey {
        /// Where.
        path: PathBuf,
        /// What one looks like.
        source: InvalidStoreKey,
    },
    /// The key of a new store can't be written.
    #[error("can't make the store key `{}`: {source}", path.display())]
    UnmadeKey {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Keys and certificates don't belong together.
    #[error("the node's identity does not hold together: {0}")]
    Credentials(#[from] InvalidCredentials),
    /// The pinned root is not a certificate.
    #[error("the pinned root `{}` is not a certificate in PEM: {source}", path.display())]
    Root {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// Neither the stored bundle nor the one in the folder counts.
    #[error("no trust bundle counts: {source}; get a current one from the authority and put it at `{}`", path.display())]
    Bundle {
        /// Where one is looked for.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidBundle,
    },
    /// A national law is wrong; it would not protect what it should.
    #[error("the national law `{}` can't be used: {source}", path.display())]
    Overlay {
        /// The Cedar file.
        path: PathBuf,
        /// Why.
        source: InvalidOverlay,
    },
    /// An installed code list is wrong.
    #[error("an installed code list can't be used: {0}")]
    CodeList(#[from] InvalidCodeList),
    /// New keys can't be put in place.
    #[error("the new keys can't be taken up: {0}")]
    Succession(#[from] SuccessionError),
    /// The own log's name is wrong.
    #[error("`identity.log`: {0}")]
    Log(#[from] InvalidOrigin),
    /// A partner's or an own address is wrong.
    #[error("`links`: {0}")]
    Address(#[from] InvalidAddress),
    /// An address under which others see this node is wrong.
    #[error("`links.external`: `{address}` is no multiaddress: {source}")]
    External {
        /// What the settings say.
        address: String,
        /// Why it is none.
        source: libp2p::multiaddr::Error,
    },
    /// A partner's name is wrong.
    #[error("`links.peer`: {0}")]
    Peer(#[from] icomm_pki::InvalidName),
    /// The store can't be opened.
    #[error(transparent)]
    OpenStore(#[from] OpenError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener can't be bound, or links can't be set up.
    #[error(transparent)]
    Links(#[from] BindError),
}

pub(crate) fn credentials(config: &Config) -> Result<NodeCredentials, StartError> {
    let identity = &config.identity;
    let enrolment = read("the certificates", &identity.enrolment)?;
    let node_key = secret("the node's keys", &identity.node_key)?;
    if let Some(token) = &identity.token {
        let member_key = |public| token::member_key(token, public);
        return Ok(NodeCredentials::with_token(&enrolment, member_key, &node_key)?);
    }
    let member_key = secret("the member key", &identity.member_key)?;
    Ok(NodeCredentials::from_pem(&enrolment, &member_key, &node_key)?)
}

/// Takes up new keys and certificates that became ready while the node was down. What is not ready stays where it is.
pub(super) fn succeed(
    config: &Config,
    used: NodeCredentials,
    bundle: &VerifiedBundle,
    now: OffsetDateTime,
    store: &Arc<dyn Store>,
) -> Result<NodeCredentials, StartError> {
    let origin = own_origin(config, used.member())?;
    match succession::at_start(config, &used, bundle, now, store, &origin) {
        Ok(next) => Ok(next.unwrap_or(used)),
        Err(error @ (SuccessionError::Files(_) | SuccessionError::Store(_) | SuccessionError::Ledger(_))) => {
            Err(error.into())
        }
        Err(error) => {
            tracing::warn!(%error, "new keys or certificates are not taken up yet");
            Ok(used)
        }
    }
}

fn read(what: &'static str, path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|source| StartError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

/// A key that others can read is not used: it may be in other hands already.
fn secret(what: &'static str, path: &Path) -> Result<zeroize::Zeroizing<String>, StartError> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |source| StartError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StartError::ExposedKey {
            path: path.to_owned(),
            mode,
        });
    }
    read(what, path).map(zeroize::Zeroizing::new)
}

/// Opens the store of a node that is stopped, as the node does.
///
/// # Errors
/// It is in use or damaged, or its key is missing or wrong.
pub fn open_store(config: &Config, environment: &Environment) -> Result<Journal, StartError> {
    let key = match store_key(config)? {
        Some(key) => key,
        None => make_store_key(&config.store.key, environment)?,
    };
    Ok(Journal::open(&config.store.folder, &key, environment.entropy.clone())?)
}

/// The store key; None if there is none yet, and nothing that it could open.
pub(crate) fn store_key(config: &Config) -> Result<Option<StoreKey>, StartError> {
    let path = &config.store.key;
    match (path.exists(), Journal::is_in(&config.store.folder)) {
        (false, false) => Ok(None),
        (false, true) => Err(StartError::NoStoreKey {
            path: path.clone(),
            folder: config.store.folder.clone(),
        }),
        (true, _) => match secret("the store key", path)?.parse() {
            Ok(key) => Ok(Some(key)),
            Err(source) => Err(StartError::StoreKey {
                path: path.clone(),
                source,
            }),
        },
    }
}

/// Makes the key of a new store, durably: before there is anything that only it opens.
fn make_store_key(path: &Path, environment: &Environment) -> Result<StoreKey, StartError> {
    use std::{
        fs::{self, File, OpenOptions},
        io::Write,
        os::unix::fs::OpenOptionsExt,
    };
    let key = StoreKey::generate(&*environment.entropy);
    let unfinished = path.with_extension("new");
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(key.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        });
    made.map_err(|source| StartError::UnmadeKey {
        path: path.to_owned(),
        source,
    })?;
    Ok(key)
}

/// The stored bundle if it counts, else the one in the folder; never an older version than was adopted once.
pub(super) fn bundle(config: &Config, store: &dyn Store, now: OffsetDateTime) -> Result<VerifiedBundle, StartError> {
    let root = pinned_root(config)?;
    let stored = store.state(BUNDLE_KEY)?;
    let adopted = stored
        .as_deref()
        .map(|bytes| VerifiedBundle::verify(bytes, &root, now, 0));
    // Also one that has expired since it was adopted keeps older ones out; our own store is believed about its version.
    let least = stored
        .as_deref()
        .and_then(|bytes| TrustBundle::from_signed(bytes).ok())
        .map_or(0, |bundle| bundle.version);
    match (adopted, bundle_in_folder(config, &root, now, least)) {
        (Some(Ok(adopted)), Ok(newer)) if newer.version() > adopted.version() => Ok(newer),
        (Some(Ok(adopted)), _) => Ok(adopted),
        (_, in_folder) => in_folder,
    }
}

/// The certificate that everything is verified against.
pub(crate) fn pinned_root(config: &Config) -> Result<CertificateDer<'static>, StartError> {
    let path = &config.identity.root;
    let text = read("the pinned root", path)?;
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(|source| StartError::Root {
        path: path.clone(),
        source,
    })
}

/// The bundle that the authority's answer put in the folder, of version `least` or newer.
pub(crate) fn bundle_in_folder(
    config: &Config,
    root: &CertificateDer<'_>,
    now: OffsetDateTime,
    least: u64,
) -> Result<VerifiedBundle, StartError> {
    let path = &config.identity.bundle;
    let bytes = std::fs::read(path).map_err(|source| StartError::Unreadable {
        what: "the trust bundle",
        path: path.clone(),
        source,
    })?;
    VerifiedBundle::verify(&bytes, root, now, least).map_err(|source| StartError::Bundle {
        path: path.clone(),
        source,
    })
}

pub(crate) fn overlays(config: &Config) -> Result<Vec<Overlay>, StartError> {
    let mut files = files_of(&config.policy.overlays, "cedar")?;
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = read("a national law", &path)?;
            Overlay::parse(&name, &text).map_err(|source| StartError::Overlay { path, source })
        })
        .collect()
}

fn files_of(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, StartError> {
    let unreadable = |source| StartError::Unreadable {
        what: "the folder",
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

pub(crate) fn codes(config: &Config) -> Result<CodeLists, StartError> {
    let folder = &config.intake.code_lists;
    let mut codes = CodeLists::built_in();
    if folder.exists() {
        codes.load_dir(folder)?;
    }
    Ok(codes)
}

pub(super) fn own_origin(config: &Config, member: &MemberId) -> Result<Origin, StartError> {
    let log: LogName = config.identity.log.parse()?;
    Ok(Origin::new(member.clone(), log))
}

pub(crate) fn links(config: &Config) -> Result<link::Config, StartError> {
    let links = &config.links;
    let mut listen = Vec::new();
    for address in &links.tls {
        listen.push(format!("tls://{address}").parse()?);
    }
    for address in &links.p2p {
        listen.push(address.parse()?);
    }
    let (mut peers, mut dial_never) = (Vec::new(), Vec::new());
    for config::Peer { member, addresses } in &links.peer {
        let member: MemberId = member.parse()?;
        if addresses.is_empty() {
            dial_never.push(member);
            continue;
        }
        let addresses = addresses.iter().map(|address| address.parse());
        let addresses = addresses.collect::<Result<_, _>>()?;
        peers.push(link::Peer {
            member,
            node: None,
            addresses,
        });
    }
    let external = links.external.iter().map(|address| {
        address.parse().map_err(|source| StartError::External {
            address: address.clone(),
            source,
        })
    });
    let relays = links.relays.iter().map(|member| member.parse());
    Ok(link::Config {
        listen,
        external: external.collect::<Result<_, _>>()?,
        peers,
        dial_never,
        dial_directory: links.dial_bundle,
        relays: relays.collect::<Result<_, _>>()?,
        relay: links.relay,
        ..link::Config::default()
    })
}
