//! State kept as one JSON file each, in RocketMQ's shapes: a broker's topics, groups and offsets, a NameServer's pairs.
//!
//! ```text
//! topics.json        the newest version
//! topics.json.bak    the one before
//! topics.json.new    one that is being written, or what a crash left of it
//! topics.json.broken what could not be read at a start, for whoever wants to know
//! ```
//! Always true:
//! * the file under its name is whole: a new version is written beside it and flushed before it takes the name, so that a
//!   crash at any point leaves the file or its backup readable;
//! * a file that cannot be read is never deleted, nor made the backup: it is set aside, and `.bak` is read in its place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ferromq_model::dialect;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file may be fine, but the system does not let it be read, or set aside.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither the file nor its backup holds what we or a Java server write.
    #[error("cannot read {} ({problem}), nor its .bak: repair or remove it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One state file. Whoever writes it keeps others from writing it meanwhile.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file of this name in `dir`, whether there is one or not.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        Self::at(dir.join(name))
    }

    /// The file at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Reads the state; `None` if none was ever written.
    ///
    /// # Errors
    /// [`StateError`]; the files are as they were.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateError> {
        let problem = match read(&self.path)? {
            Some(Ok(state)) => return Ok(Some(state)),
            Some(Err(problem)) => Some(problem),
            None => None,
        };
        let path = self.path.clone();
        match (read(&self.beside(".bak"))?, problem) {
            (Some(Ok(state)), problem) => {
                if let Some(problem) = problem {
                    tracing::error!(file = %path.display(), problem, "state is broken: its backup is used");
                    // Out of the way, lest the next version makes it the backup.
                    fs::rename(&path, self.beside(".broken"))
                        .map_err(|source| StateError::Io { path, source })?;
                }
                Ok(Some(state))
            }
            (None, None) => Ok(None),
            // A crash in the middle of a save leaves the backup alone: broken, it is no reason to begin with nothing.
            (Some(Err(problem)), None) | (_, Some(problem)) => Err(StateError::Unreadable { path, problem }),
        }
    }

    /// Writes the state so that either the old or the new version is there after a crash; the new one, once this
    /// returns.
    ///
    /// # Errors
    /// What the system says; the old version is there then, under its name or as the backup.
    pub fn save(&self, state: &impl Serialize) -> io::Result<()> {
        self.write(&text_of(state)?)
    }

    /// As [`StateFile::save`], for who has the text.
    ///
    /// # Errors
    /// As for [`StateFile::save`].
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        let dir = match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        fs::create_dir_all(dir)?;
        let fresh = self.beside(".new");
        let mut file = File::create(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        match fs::rename(&self.path, self.beside(".bak")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&fresh, &self.path)?;
        File::open(dir)?.sync_all()
    }
}

/// The state as text: one member a line, behind tabs, as the reference writes it.
///
/// # Errors
/// If the state has no form in JSON.
pub fn text_of(state: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    state
        .serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
        .map_err(io::Error::other)?;
    Ok(text)
}

/// What a file holds: nothing when it is missing, and the reason when it is no such state.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<Result<T, String>>, StateError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Io { path: path.to_owned(), source }),
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(Some(Err("it is empty".to_owned()))),
        Ok(bytes) => Ok(Some(dialect::from_slice(&bytes).map_err(|error| error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type State = BTreeMap<String, u32>;

    fn state(a: u32) -> State {
        State::from([("a".into(), a)])
    }

    #[test]
    fn a_broken_file_gives_way_to_its_backup_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json");
        assert!(file.load::<State>().unwrap().is_none());
        file.save(&state(1)).unwrap();
        file.save(&state(2)).unwrap();
        fs::write(dir.path().join("state.json"), "{\"a\":").unwrap();
        assert_eq!(file.load::<State>().unwrap(), Some(state(1)));
        assert_eq!(fs::read_to_string(dir.path().join("state.json.broken")).unwrap(), "{\"a\":");
        // Between the two renames of a save only the backup has the state.
        assert_eq!(file.load::<State>().unwrap(), Some(state(1)));
        file.save(&state(3)).unwrap();
        assert_eq!(file.load::<State>().unwrap(), Some(state(3)));
    }

    #[test]
    fn nothing_readable_at_all_is_an_error_that_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json");
        let unreadable = || {
            let error = file.load::<State>().unwrap_err();
            assert!(matches!(error, StateError::Unreadable { .. }), "{error}");
            assert!(error.to_string().contains("state.json ("), "{error}");
        };
        fs::write(file.path(), "").unwrap();
        unreadable();
        fs::write(dir.path().join("state.json.bak"), "nonsense").unwrap();
        unreadable();
        assert!(file.path().exists(), "a refused start changes nothing");
        fs::remove_file(file.path()).unwrap();
        unreadable();
    }

    #[test]
    fn what_the_system_does_not_let_be_read_is_not_taken_for_broken() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json");
        file.save(&state(1)).unwrap();
        file.save(&state(2)).unwrap();
        fs::remove_file(file.path()).unwrap();
        fs::create_dir(file.path()).unwrap();
        assert!(matches!(file.load::<State>(), Err(StateError::Io { .. })));
        assert!(file.path().exists());
    }

    #[test]
    fn a_directory_that_is_missing_is_made_and_the_text_is_the_references() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "deep/state.json");
        file.save(&state(1)).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "{\n\t\"a\": 1\n}");
        let in_the_way = StateFile::new(file.path(), "state.json");
        assert!(in_the_way.save(&state(1)).is_err());
    }
}
