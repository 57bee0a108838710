//! Putting a backup in place: beside its place first, and there only once all of it was checked and is durable.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use icomm_pki::BackupKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{InvalidBackup, Manifest, ManifestFile, Unpacking};
use crate::{
    config::{self, Config},
    core::exchange::RESTORED_KEY,
    environment::Environment,
    store::{Batch, InvalidStoreKey, Journal, OpenError, Store, StoreError, StoreKey},
};

/// What a restored store says of where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredMark {
    /// The backup's id.
    pub backup: String,
    /// When it was taken, in seconds since 1970.
    pub taken: u64,
    /// When it was put in place.
    pub restored: u64,
}

/// A node's folder that is in place again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// What the settings in it look for elsewhere than it was put.
    pub elsewhere: Vec<String>,
}

/// Why nothing was put in place.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The backup is at fault.
    #[error(transparent)]
    Backup(#[from] InvalidBackup),
    /// The place is taken.
    #[error("`{}` is not empty; a backup is put in place in a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// It can't be written.
    #[error("can't {action} `{}`: {source}", path.display())]
    Unwritable {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Its store key is none.
    #[error("the store key in the backup is none: {0}")]
    StoreKey(#[from] InvalidStoreKey),
    /// The store in it does not open.
    #[error("the store in the backup does not open: {0}")]
    Store(#[from] OpenError),
    /// It opens, and is damaged.
    #[error("the store in the backup is damaged: {0}")]
    Damaged(String),
    /// It was told to stop.
    #[error("stopped; nothing was put in place")]
    Stopped,
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// Reads a whole backup and checks all of it; nothing is written. `step` hears how many bytes of files came and how many
/// there are, and may end it.
///
/// # Errors
/// It is not what was sealed, or not whole.
pub fn verify(
    input: impl Read,
    key: &BackupKey,
    step: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Manifest, RestoreError> {
    let mut backup = Unpacking::open(input, key)?;
    let (mut done, total) = (0, backup.manifest().bytes());
    while let Some(piece) = backup.read()? {
        done += piece.len() as u64;
        if !step(done, total) {
            return Err(RestoreError::Stopped);
        }
    }
    Ok(backup.manifest().clone())
}

/// Puts a backup in place in a folder that is not there or empty, and marks its store as restored: the node that starts from
/// it asks its peers how far its own log had come before it signs anything.
///
/// # Errors
/// Nothing is in place then, and nothing is left beside it.
pub fn restore(
    input: impl Read,
    key: &BackupKey,
    to: &Path,
    environment: &Environment,
    step: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Restored, RestoreError> {
    if !is_free(to)? {
        return Err(RestoreError::NotEmpty(to.to_owned()));
    }
    let mut backup = Unpacking::open(input, key)?;
    let place = Place::beside(to)?;
    place.fill(&mut backup, step)?;
    let manifest = backup.manifest().clone();
    place.mark(&manifest, environment)?;
    let elsewhere = place.elsewhere(to);
    place.move_to(to)?;
    Ok(Restored { manifest, elsewhere })
}

/// Whether there is nothing, or an empty folder.
fn is_free(to: &Path) -> Result<bool, RestoreError> {
    match fs::read_dir(to) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(unwritable("look into", to)(error)),
    }
}

/// A folder beside the place. Gone when it is dropped, unless it was moved there.
struct Place(PathBuf);

impl Place {
    fn beside(to: &Path) -> Result<Self, RestoreError> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let folder = folder_of(to).join(format!(".{name}.restoring-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(unwritable("make the folder", &folder))?;
        Ok(Self(folder))
    }

    /// Writes the files, each durably, while they come; the last of them is there only if all of the backup holds.
    fn fill<R: Read>(
        &self,
        backup: &mut Unpacking<R>,
        step: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(), RestoreError> {
        let manifest = backup.manifest().clone();
        let (mut done, total) = (0, manifest.bytes());
        let mut piece = Vec::new();
        let mut at = 0;
        for ManifestFile { name, len } in &manifest.files {
            let path = self.0.join(name);
            let mut file = self.create(&path)?;
            let mut left = *len;
            while left > 0 {
                if at == piece.len() {
                    piece = backup.read()?.ok_or(InvalidBackup::Short)?;
                    at = 0;
                    done += piece.len() as u64;
                    if !step(done, total) {
                        return Err(RestoreError::Stopped);
                    }
                }
                let rest = piece.get(at..).unwrap_or_default();
                let now = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                file.write_all(rest.get(..now).unwrap_or_default())
                    .map_err(unwritable("write", &path))?;
                at += now;
                left -= now as u64;
            }
            file.sync_all().map_err(unwritable("write", &path))?;
        }
        match backup.read()? {
            None => Ok(()),
            Some(_) => Err(InvalidBackup::Contents("more bytes than it has files for").into()),
        }
    }

    fn create(&self, path: &Path) -> Result<File, RestoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder_of(path))
            .map_err(unwritable("make the folder of", path))?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(unwritable("create", path))
    }

    /// Opens the store, which reads and checks every byte of it, and says in it that it was restored.
    fn mark(&self, manifest: &Manifest, environment: &Environment) -> Result<(), RestoreError> {
        let path = self.0.join("identity/store-key");
        let text = zeroize::Zeroizing::new(fs::read_to_string(&path).map_err(unwritable("read", &path))?);
        let key = StoreKey::from_str(&text)?;
        let journal = Journal::open(&self.0.join("store"), &key, environment.entropy.clone())?;
        let health = journal.health();
        if !health.damaged.is_empty() {
            return Err(RestoreError::Damaged(health.to_string()));
        }
        let mark = RestoredMark {
            backup: manifest.id.clone(),
            taken: manifest.time,
            restored: environment.unix_now(),
        };
        let mark = serde_json::to_vec(&mark).unwrap_or_default();
        journal.append(Batch::new().set(RESTORED_KEY, mark))?;
        Ok(())
    }

    /// What the restored settings look for at another place.
    fn elsewhere(&self, to: &Path) -> Vec<String> {
        let config = match Config::load(&self.0) {
            Ok(config) => config,
            Err(error) => return vec![format!("{}: {error}", config::FILE)],
        };
        let config::Identity {
            member_key,
            node_key,
            enrolment,
            root,
            bundle,
            log: _,
            token: _,
        } = &config.identity;
        let places = [
            ("store.folder", &config.store.folder, "store"),
            ("store.key", &config.store.key, "identity/store-key"),
            ("identity.member_key", member_key, "identity/member-key.pem"),
            ("identity.node_key", node_key, "identity/node-key.pem"),
            ("identity.enrolment", enrolment, "identity/enrolment.pem"),
            ("identity.root", root, "identity/root.pem"),
            ("identity.bundle", bundle, "identity/bundle.json"),
            ("intake.mappings", &config.intake.mappings, "mappings"),
            ("intake.code_lists", &config.intake.code_lists, "codes"),
            ("policy.overlays", &config.policy.overlays, "policies"),
        ];
        let moved = places
            .into_iter()
            .filter(|(_, path, default)| **path != self.0.join(default));
        moved
            .map(|(key, path, default)| {
                format!(
                    "`{key}` names `{}`, here it is `{}`",
                    path.display(),
                    to.join(default).display()
                )
            })
            .collect()
    }

    /// Takes its place, durably.
    fn move_to(self, to: &Path) -> Result<(), RestoreError> {
        sync_folders(&self.0).map_err(unwritable("write", &self.0))?;
        fs::rename(&self.0, to).map_err(unwritable("put in place", to))?;
        let above = folder_of(to);
        File::open(above)
            .and_then(|folder| folder.sync_all())
            .map_err(unwritable("put in place", to))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Moved: there is nothing of that name any more.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Makes the names in a folder and in those below it durable.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    above.unwrap_or(Path::new("."))
}

fn unwritable(action: &'static str, path: &Path) -> impl Fn(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Unwritable {
        action,
        path: path.clone(),
        source,
    }
}
