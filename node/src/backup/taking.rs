//! Taking a backup, of a node that runs or of one that is stopped.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use icomm_pki::{BackupRecipient, NodeCredentials};
use icomm_proto::Origin;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Manifest, ManifestFile, RECIPIENTS_MAX, format::PackError, format::Packing};
use crate::{
    config::{self, Config},
    environment::Environment,
    store::{Journal, Store, StoreError},
};

/// A settings file larger than this is none.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a backup is taken of.
pub struct Source<'a> {
    /// The node's settings.
    pub config: &'a Config,
    /// Its store.
    pub journal: &'a Journal,
    /// Its keys and certificates.
    pub credentials: &'a NodeCredentials,
    /// The member's own log.
    pub origin: Origin,
    /// Clock and randomness.
    pub environment: &'a Environment,
}

/// A backup that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The length of the file.
    pub bytes: u64,
}

/// Why no backup was taken.
#[derive(Debug, Error)]
pub enum BackupError {
    /// None, or too many.
    #[error("a backup is sealed to 1 to {RECIPIENTS_MAX} keys, not to {0}; `icomm backup key` makes one")]
    Recipients(usize),
    /// A file of the node can't be read.
    #[error("can't read `{}` for the backup: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It can't be written or sealed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// What it says of itself can't be written down. Ours.
    #[error("the backup's list of files can't be encoded: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// A small file as it is now.
struct Small {
    name: String,
    content: Zeroizing<Vec<u8>>,
}

impl Source<'_> {
    /// Writes a backup; `begun` hears how many bytes of files it will have. Blocks on the disk.
    ///
    /// # Errors
    /// What was written is no backup and must not be kept.
    pub fn write(
        &self,
        recipients: &[BackupRecipient],
        with_identity: bool,
        out: impl Write,
        begun: impl FnOnce(u64),
    ) -> Result<Taken, BackupError> {
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return Err(BackupError::Recipients(recipients.len()));
        }
        let small = self.small(with_identity)?;
        let snapshot = self.journal.snapshot()?;
        let listed = small
            .iter()
            .map(|Small { name, content }| (name.clone(), content.len() as u64));
        let stored = snapshot.files().map(|(name, len)| (format!("store/{name}"), len));
        let files = listed.chain(stored).map(|(name, len)| ManifestFile { name, len });
        let manifest = self.manifest(files.collect(), with_identity)?;
        begun(manifest.bytes());
        let mut packing = Packing::begin(out, recipients, &serde_json::to_vec(&manifest)?)?;
        for Small { content, .. } in &small {
            packing.add(content)?;
        }
        snapshot.copy(|piece| packing.add(piece).map_err(BackupError::from))?;
        let bytes = packing.finish(self.credentials.node_key())?;
        Ok(Taken { manifest, bytes })
    }

    fn manifest(&self, files: Vec<ManifestFile>, with_identity: bool) -> Result<Manifest, BackupError> {
        let mut id = [0; 16];
        self.environment.entropy.fill(&mut id);
        Ok(Manifest {
            id: HEXLOWER.encode(&id),
            member: self.credentials.member().to_string(),
            node: self.credentials.node_name().to_string(),
            peer_id: self.credentials.node_key().peer_id().to_string(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            time: self.environment.unix_now(),
            origin: self.origin.to_string(),
            // Read before the end of the snapshot is chosen or after: it is what people are told, nothing goes by it.
            entries: self.journal.head(&self.origin)?.map_or(0, |head| head.size()),
            with_identity,
            files,
        })
    }

    /// Settings, certificates and the store key; the secret keys only if they are asked for.
    fn small(&self, with_identity: bool) -> Result<Vec<Small>, BackupError> {
        let Config {
            home,
            identity,
            store,
            intake,
            policy,
            ..
        } = self.config;
        let config::Identity {
            member_key,
            node_key,
            enrolment,
            root,
            bundle,
            log: _,
            token,
        } = identity;
        let mut small = vec![
            one(config::FILE, &home.join(config::FILE))?,
            one("identity/store-key", &store.key)?,
            one("identity/enrolment.pem", enrolment)?,
            one("identity/root.pem", root)?,
            one("identity/bundle.json", bundle)?,
        ];
        if with_identity {
            // One in a token stays there, and the PIN is nobody's business.
            if token.is_none() {
                small.push(one("identity/member-key.pem", member_key)?);
            }
            small.push(one("identity/node-key.pem", node_key)?);
        }
        for (name, folder) in [
            ("mappings", &intake.mappings),
            ("codes", &intake.code_lists),
            ("policies", &policy.overlays),
        ] {
            small.extend(all_in(name, folder)?);
        }
        Ok(small)
    }
}

fn one(name: &str, path: &Path) -> Result<Small, BackupError> {
    let unreadable = |source| BackupError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let content = Zeroizing::new(fs::read(path).map_err(unreadable)?);
    let name = name.to_owned();
    Ok(Small { name, content })
}

/// The files of a folder, not those below it; none if there is no such folder.
fn all_in(name: &str, folder: &Path) -> Result<Vec<Small>, BackupError> {
    let unreadable = |source| BackupError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut small = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let (path, file) = (entry.path(), entry.file_name());
        // A name that is no text is nothing of ours.
        if let Some(file) = file.to_str().filter(|_| path.is_file()) {
            small.push(one(&format!("{name}/{file}"), &path)?);
        }
    }
    small.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(small)
}
