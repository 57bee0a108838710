//! The folder of a network: made private, and taken away again unless it is to be kept.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use data_encoding::HEXLOWER;

use super::NetworkError;
use crate::environment::Environment;

/// The longest path of a Unix socket that Linux and macOS both take, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// What stands below the folder in the longest path of a socket: `/RILO-ESA-AND-MORE/icomm.sock`.
const NODE_PATH_BYTES_MAX: usize = 30;

/// How often the removal is tried at most while somebody still writes into the folder: for some ten seconds. A killed program's
/// own children notice a little later than it.
const REMOVALS_MAX: usize = 500;

/// How long it waits before the next attempt.
const POLL: Duration = Duration::from_millis(20);

/// A folder for the homes of all nodes.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// A new folder in the system's place for temporary files; it is removed when this value is dropped.
    ///
    /// # Errors
    /// It can't be made.
    pub fn temporary(environment: &Environment) -> Result<Self, NetworkError> {
        let mut name = [0; 5];
        environment.entropy.fill(&mut name);
        let path = std::env::temp_dir().join(format!("icomm-{}", HEXLOWER.encode(&name)));
        Self::create(path, false)
    }

    /// A folder that stays; it must be new or empty.
    ///
    /// # Errors
    /// It can't be made, or there is something in it.
    pub fn kept(path: &Path) -> Result<Self, NetworkError> {
        let path = std::path::absolute(path).map_err(|source| NetworkError::folder(path, source))?;
        if path.exists() {
            let mut entries = fs::read_dir(&path).map_err(|source| NetworkError::folder(&path, source))?;
            if entries.next().is_some() {
                let source = io::Error::new(
                    io::ErrorKind::DirectoryNotEmpty,
                    "the folder is not empty; name another",
                );
                return Err(NetworkError::folder(&path, source));
            }
            return Self { path, kept: true }.fits();
        }
        Self::create(path, true)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn create(path: PathBuf, kept: bool) -> Result<Self, NetworkError> {
        // Recursive only for a folder that the user named: a temporary one must not have been there before.
        let made = DirBuilder::new().mode(0o700).recursive(kept).create(&path);
        made.map_err(|source| NetworkError::folder(&path, source))?;
        Self { path, kept }.fits()
    }

    fn fits(self) -> Result<Self, NetworkError> {
        if self.path.as_os_str().len() + NODE_PATH_BYTES_MAX > SOCKET_PATH_BYTES_MAX {
            let source = io::Error::new(
                io::ErrorKind::InvalidFilename,
                "the path is too long for the Unix sockets of the nodes; name a shorter one",
            );
            return Err(NetworkError::folder(&self.path, source));
        }
        Ok(self)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), %error, "a temporary folder could not be removed");
        }
    }
}

/// Removes a folder with all in it, and again for as long as somebody writes into it meanwhile.
fn remove(path: &Path) -> io::Result<()> {
    for _ in 1..REMOVALS_MAX {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => thread::sleep(POLL),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => return Ok(()),
            result => return result,
        }
    }
    fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::{Environment, Folder, Path};
    use crate::cli::Failure;

    #[test]
    fn a_temporary_folder_goes_though_somebody_still_writes_into_it() {
        let temporary = Folder::temporary(&Environment::system()).unwrap();
        let path = temporary.path().to_owned();
        let inner = path.join("data");
        std::fs::create_dir(&inner).unwrap();
        let (begun, writes) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for number in 0..20_000 {
                // It stops when its folder is gone, as a server does.
                if std::fs::write(inner.join(number.to_string()), "").is_err() {
                    break;
                }
                let _ = begun.send(());
            }
        });
        // So far it writes faster than anybody can remove.
        for _ in 0..1_000 {
            writes.recv().unwrap();
        }
        drop(temporary);
        assert!(!path.exists());
        writer.join().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_temporary_folder_goes_and_a_kept_one_stays() {
        let temporary = Folder::temporary(&Environment::system()).unwrap();
        let path = temporary.path().to_owned();
        std::fs::write(path.join("a"), "").unwrap();
        drop(temporary);
        assert!(!path.exists());

        let parent = tempfile::tempdir().unwrap();
        let kept = Folder::kept(&parent.path().join("x")).unwrap();
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.exists());
        std::fs::write(path.join("a"), "").unwrap();
        let why = |path: &Path| Failure::from(Folder::kept(path).unwrap_err()).to_string();
        assert!(why(&path).contains("not empty"));
        assert!(why(&parent.path().join("y".repeat(100))).contains("too long"));
    }
}
