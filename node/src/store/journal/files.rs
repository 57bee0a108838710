//! Files of the store that are read, the last few of them kept open: a long journal has more than a process may have open.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::store::disk::{Disk, DiskFile};

/// Files kept open.
const FILES_MAX: usize = 128;

/// Files kept open for reading.
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    open: Mutex<HashMap<PathBuf, Arc<dyn DiskFile>>>,
}

impl Files {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: Mutex::default(),
        }
    }

    /// The file, opened if it is not yet.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.lock().get(path) {
            return Ok(file.clone());
        }
        let file = self.disk.open(path)?;
        let mut open = self.lock();
        if open.len() >= FILES_MAX {
            // Any of them: the order of a hash map is as good as chance.
            let one = open.keys().next().cloned();
            one.and_then(|one| open.remove(&one));
        }
        open.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    /// Opens the file anew next time: another has its name.
    pub(crate) fn forget(&self, path: &Path) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<dyn DiskFile>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
