//! State kept as one JSON file each, in RocketMQ's shapes: topics, groups, offsets.
//!
//! Always true:
//! * the file under its name is whole: a new version is written beside it and flushed before it takes the name, and the
//!   version before stays as `.bak`;
//! * a file that cannot be read is never deleted: it is set aside, and `.bak` is read in its place.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ferromq_model::dialect;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Why state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Neither the file nor its backup can be used.
    #[error("cannot read {} ({problem}), nor its .bak: repair or remove it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name) }
    }

    fn backup(&self) -> PathBuf {
        self.sibling("bak")
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(suffix);
        path.into()
    }

    /// Reads the state; `None` if none was ever written.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        let problem = match read(&self.path) {
            Ok(Some(state)) => return Ok(Some(state)),
            Ok(None) => None,
            Err(problem) => Some(problem),
        };
        match (read(&self.backup()), problem) {
            (Ok(Some(state)), problem) => {
                if let Some(problem) = problem {
                    tracing::error!(file = %self.path.display(), problem, "state is broken: its backup is used");
                    // Kept for whoever wants to know; the name is free for the next version.
                    let _ = std::fs::rename(&self.path, self.sibling("broken"));
                }
                Ok(Some(state))
            }
            (Ok(None), None) => Ok(None),
            // A crash in the middle of a save leaves the backup alone: broken, it is no reason to begin with nothing.
            (Err(problem), None) | (_, Some(problem)) => {
                Err(StateError::Unreadable { path: self.path.clone(), problem })
            }
        }
    }

    /// Writes the state so that either the old or the new version is there after a crash.
    pub(crate) fn save(&self, state: &impl Serialize) -> io::Result<()> {
        let fresh = self.sibling("new");
        let mut file = File::create(&fresh)?;
        let text = serde_json::to_vec_pretty(state).map_err(io::Error::other)?;
        file.write_all(&text)?;
        file.sync_all()?;
        match std::fs::rename(&self.path, self.backup()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::rename(&fresh, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }
}

/// Runs work that waits for the disk. The other tasks of this thread go on elsewhere meanwhile: topics and groups come
/// into being in the middle of sends and heartbeats.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Err("it is empty".to_owned()),
        Ok(bytes) => dialect::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type State = BTreeMap<String, u32>;

    #[test]
    fn a_broken_file_gives_way_to_its_backup_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json");
        assert!(file.load::<State>().unwrap().is_none());
        file.save(&State::from([("a".into(), 1)])).unwrap();
        file.save(&State::from([("a".into(), 2)])).unwrap();
        std::fs::write(dir.path().join("state.json"), "{\"a\":").unwrap();
        assert_eq!(file.load::<State>().unwrap().unwrap()["a"], 1);
        assert_eq!(std::fs::read_to_string(dir.path().join("state.json.broken")).unwrap(), "{\"a\":");
        // Between the two renames of a save only the backup has the state.
        assert_eq!(file.load::<State>().unwrap().unwrap()["a"], 1);
        std::fs::write(dir.path().join("state.json"), "").unwrap();
        std::fs::write(dir.path().join("state.json.bak"), "nonsense").unwrap();
        assert!(matches!(file.load::<State>(), Err(StateError::Unreadable { .. })));
        std::fs::remove_file(dir.path().join("state.json")).unwrap();
        assert!(matches!(file.load::<State>(), Err(StateError::Unreadable { .. })));
    }
}
