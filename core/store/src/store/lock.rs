//! The right to use a store directory: one process at a time, and one store at a time within it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::error::OpenError;

/// The right to use a store directory.
pub(super) struct DirLock {
    root: PathBuf,
    _file: File,
}

/// Directories that this process has: a POSIX record lock does not exclude its own process.
static TAKEN: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

impl DirLock {
    /// Takes the lock that Java brokers look at too: a POSIX record lock on `lock`.
    pub(super) fn take(root: &Path) -> Result<Self, OpenError> {
        let root = root.canonicalize().map_err(OpenError::io("cannot find", root))?;
        let locked = || OpenError::Locked { path: root.clone() };
        if !TAKEN.lock().get_or_insert_default().insert(root.clone()) {
            return Err(locked());
        }
        let outcome = Self::lock_file(&root);
        if outcome.is_err() {
            TAKEN.lock().get_or_insert_default().remove(&root);
        }
        match outcome {
            Ok(file) => Ok(Self { root, _file: file }),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) =>
            {
                Err(locked())
            }
            Err(source) => Err(OpenError::Io { what: "cannot lock", path: root.join("lock"), source }),
        }
    }

    fn lock_file(root: &Path) -> io::Result<File> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(root.join("lock"))?;
        rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(b"lock")?;
        file.sync_all()?;
        Ok(file)
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        TAKEN.lock().get_or_insert_default().remove(&self.root);
    }
}
