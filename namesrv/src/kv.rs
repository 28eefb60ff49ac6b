//! The key-value pairs that admin tools leave at a NameServer, kept in one JSON file of RocketMQ's shape:
//!
//! ```text
//! {"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4;broker-b:4"}}}      namespace, key, value
//! ```
//! Always true:
//! * what a reader sees is on disk: a change that cannot be written is refused and not seen;
//! * the file is replaced whole, by rename, and its last version stays beside it as `….bak`: a crash at any point leaves
//!   one of the two readable;
//! * nobody who only reads waits for the disk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ferromq_model::dialect;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

/// The most bytes that all pairs together may have: each change writes the whole file.
pub const MAX_FILE_LEN: usize = 4 << 20;

/// The keys and values of one namespace.
pub type Pairs = BTreeMap<String, String>;

/// Why a pair was not changed.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The sender's: there is no room for it.
    #[error("the pairs would have {len} bytes as a file, the limit is {limit}")]
    Full {
        /// Bytes that the file would have.
        len: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// The machine's: nothing was changed.
    #[error("could not write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why the pairs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file may be fine, but cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither the file nor its backup holds what we or a Java NameServer write. To start without the pairs, move the
    /// file away.
    #[error("{} has no readable content, nor has a backup beside it: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    config_table: BTreeMap<String, Pairs>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct KvConfig {
    file: Mutex<KvFile>,
    table: RwLock<Table>,
}

impl KvConfig {
    pub(crate) fn open(path: PathBuf) -> Result<Self, OpenError> {
        let (file, table) = KvFile::open(path)?;
        Ok(Self { file: Mutex::new(file), table: RwLock::new(table) })
    }

    pub(crate) fn read(&self, namespace: &str, key: &str) -> Option<String> {
        self.table.read().config_table.get(namespace)?.get(key).cloned()
    }

    pub(crate) fn namespace(&self, namespace: &str) -> Option<Pairs> {
        self.table.read().config_table.get(namespace).cloned()
    }

    pub(crate) fn put(&self, namespace: &str, key: &str, value: &str) -> Result<(), KvError> {
        self.change(|table| {
            let pairs = table.config_table.entry(namespace.to_owned()).or_default();
            pairs.insert(key.to_owned(), value.to_owned()).as_deref() != Some(value)
        })
    }

    pub(crate) fn delete(&self, namespace: &str, key: &str) -> Result<(), KvError> {
        self.change(|table| {
            table.config_table.get_mut(namespace).is_some_and(|pairs| pairs.remove(key).is_some())
        })
    }

    /// Applies `change` to what is on disk and then to what readers see; `change` says whether it did anything.
    fn change(&self, change: impl FnOnce(&mut Table) -> bool) -> Result<(), KvError> {
        // The file's lock orders the writers; readers only meet the short swap at the end.
        let file = self.file.lock();
        let mut table = self.table.read().clone();
        if change(&mut table) {
            file.replace(&table)?;
            *self.table.write() = table;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct KvFile {
    path: PathBuf,
}

impl KvFile {
    /// Reads the file, or its backup when it is missing, empty or broken.
    fn open(path: PathBuf) -> Result<(Self, Table), OpenError> {
        let file = Self { path };
        let backup = file.beside(".bak");
        let broken = match load(&file.path)? {
            Some(Ok(table)) => return Ok((file, table)),
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let table = match (load(&backup)?, &broken) {
            (Some(Ok(table)), _) => {
                warn!(file = %file.path.display(), reason = broken.as_deref().unwrap_or("missing"), "loaded the backup");
                table
            }
            (None, None) => Table::default(),
            (Some(Err(reason)), None) => {
                return Err(OpenError::Unreadable { path: backup, reason });
            }
            (_, Some(reason)) => {
                return Err(OpenError::Unreadable { path: file.path, reason: reason.clone() });
            }
        };
        if broken.is_some() {
            // Out of the way, lest the next change makes it the backup; kept, since somebody may want to know.
            let aside = file.beside(".broken");
            if let Err(source) = fs::rename(&file.path, &aside) {
                return Err(OpenError::Read { path: file.path, source });
            }
        }
        Ok((file, table))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name: OsString = self.path.clone().into();
        name.push(suffix);
        name.into()
    }

    fn replace(&self, table: &Table) -> Result<(), KvError> {
        let text = pretty(table);
        if text.len() > MAX_FILE_LEN {
            return Err(KvError::Full { len: text.len(), limit: MAX_FILE_LEN });
        }
        self.write(&text).map_err(|source| {
            error!(file = %self.path.display(), error = %source, "could not write the key-value pairs");
            KvError::Write { path: self.path.clone(), source }
        })
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let dir = match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        fs::create_dir_all(dir)?;
        let fresh = self.beside(".tmp");
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

/// What a file holds: nothing when it is missing or empty, and the reason when it is no such table.
fn load(path: &Path) -> Result<Option<Result<Table, String>>, OpenError> {
    match fs::read(path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(dialect::from_slice(&bytes).map_err(|error| error.to_string()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Read { path: path.to_owned(), source }),
    }
}

/// One member a line, behind tabs, as the reference writes it.
fn pretty(table: &Table) -> Vec<u8> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    table.serialize(&mut serializer).expect("text maps always serialize, and memory takes all of it");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(path: &Path) -> KvConfig {
        KvConfig::open(path.to_owned()).unwrap()
    }

    #[test]
    fn pairs_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/kvConfig.json");
        let kv = reopened(&path);
        kv.put("NS", "k", "v").unwrap();
        kv.put("NS", "k2", "a;b:4").unwrap();
        kv.delete("NS", "k").unwrap();
        let kv = reopened(&path);
        assert_eq!((kv.read("NS", "k"), kv.read("NS", "k2")), (None, Some("a;b:4".to_owned())));
        assert_eq!(kv.namespace("other"), None);
    }

    #[test]
    fn a_file_of_a_java_name_server_is_read_and_ours_has_its_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        fs::write(&path, "{\n\t\"configTable\":{\"ORDER_TOPIC_CONFIG\":{\n\t\t\"T\":\"broker-a:4\"\n\t}}\n}")
            .unwrap();
        let kv = reopened(&path);
        assert_eq!(kv.read("ORDER_TOPIC_CONFIG", "T").as_deref(), Some("broker-a:4"));
        kv.put("N", "k", "v").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"configTable": {"N": {"k": "v"}, "ORDER_TOPIC_CONFIG": {"T": "broker-a:4"}}})
        );
        assert!(text.contains("\n\t\"configTable\""), "{text}");
    }

    #[test]
    fn a_broken_file_is_set_aside_and_its_backup_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        let kv = reopened(&path);
        kv.put("N", "k", "1").unwrap();
        kv.put("N", "k", "2").unwrap();
        fs::write(&path, "{\"configTable\":{\"N").unwrap();
        let kv = reopened(&path);
        assert_eq!(kv.read("N", "k").as_deref(), Some("1"));
        assert!(dir.path().join("kvConfig.json.broken").exists() && !path.exists());
        kv.put("N", "k", "3").unwrap();
        assert_eq!(reopened(&path).read("N", "k").as_deref(), Some("3"));
    }

    #[test]
    fn a_crash_between_the_two_renames_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        reopened(&path).put("N", "k", "1").unwrap();
        fs::rename(&path, dir.path().join("kvConfig.json.bak")).unwrap();
        assert_eq!(reopened(&path).read("N", "k").as_deref(), Some("1"));
    }

    #[test]
    fn nothing_readable_at_all_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvConfig.json");
        fs::write(&path, "no json").unwrap();
        let error = KvConfig::open(path.clone()).unwrap_err();
        assert!(error.to_string().contains("kvConfig.json has no readable content"), "{error}");
        assert!(path.exists(), "a refused start changes nothing");
    }

    #[test]
    fn a_change_that_cannot_be_written_is_refused_and_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let in_the_way = dir.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let kv = KvConfig {
            file: Mutex::new(KvFile { path: in_the_way.join("kv.json") }),
            table: RwLock::default(),
        };
        assert!(matches!(kv.put("N", "k", "v"), Err(KvError::Write { .. })));
        assert_eq!(kv.read("N", "k"), None);
    }

    #[test]
    fn pairs_beyond_the_limit_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let kv = reopened(&dir.path().join("kvConfig.json"));
        let value = "x".repeat(MAX_FILE_LEN);
        assert!(matches!(kv.put("N", "k", &value), Err(KvError::Full { .. })));
        assert_eq!(kv.namespace("N"), None);
    }
}
