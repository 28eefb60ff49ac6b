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
use std::io;
use std::path::PathBuf;

use ferromq_state::{StateError, StateFile, text_of};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tracing::error;

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

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    config_table: BTreeMap<String, Pairs>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct KvConfig {
    file: Mutex<StateFile>,
    table: RwLock<Table>,
}

impl KvConfig {
    pub(crate) fn open(path: PathBuf) -> Result<Self, StateError> {
        let file = StateFile::at(path);
        let table = file.load()?.unwrap_or_default();
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
            replace(&file, &table)?;
            *self.table.write() = table;
        }
        Ok(())
    }
}

/// Writes the pairs, if there is room for them.
fn replace(file: &StateFile, table: &Table) -> Result<(), KvError> {
    let write = |source| {
        error!(file = %file.path().display(), error = %source, "could not write the key-value pairs");
        KvError::Write { path: file.path().to_owned(), source }
    };
    let text = text_of(table).map_err(write)?;
    if text.len() > MAX_FILE_LEN {
        return Err(KvError::Full { len: text.len(), limit: MAX_FILE_LEN });
    }
    file.write(&text).map_err(write)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

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
        assert!(error.to_string().contains("kvConfig.json ("), "{error}");
        assert!(path.exists(), "a refused start changes nothing");
    }

    #[test]
    fn a_change_that_cannot_be_written_is_refused_and_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let in_the_way = dir.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let kv =
            KvConfig { file: Mutex::new(StateFile::new(&in_the_way, "kv.json")), table: RwLock::default() };
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
