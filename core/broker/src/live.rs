//! Settings that an operator changes while the broker runs.
//!
//! Always true:
//! * only keys that are declared to apply at once change, each within its bounds, and either all of a request or none;
//! * a change is saved before it is made, in `config/changedSettings.json`, and holds after a restart;
//! * whoever spoke last wins: a saved change is dropped when its key is configured otherwise than it was at the change;
//! * what each send or pull asks for is one atomic load.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ferromq_model::Millis;
use ferromq_model::config::{Applies, Key, SetError, Settings};
use ferromq_model::topic::{DataVersion, Permission};
use ferromq_state::{StateError, StateFile};
use ferromq_store::{Store, StoreConfig};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::config::BrokerConfig;

/// The file of changes.
const FILE: &str = "changedSettings.json";
/// Settings that one request may change.
const MAX_CHANGES: usize = 256;

/// Settings could not be changed; all are as before.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such key on a broker.
    #[error("{0} is no setting of this broker")]
    Unknown(String),
    /// It takes effect with the next start only, or never in this store.
    #[error("{key} applies {}: set it in the configuration file", applies.label())]
    NotLive {
        /// The key.
        key: String,
        /// When it applies.
        applies: Applies,
    },
    /// The value is not allowed.
    #[error("{key}: {error}")]
    Value {
        /// The key.
        key: String,
        /// Why.
        error: SetError,
    },
    /// More than any tool asks for.
    #[error("more than {MAX_CHANGES} settings at once")]
    TooMany,
    /// Ours: the change is not on disk, and was not made.
    #[error("changed settings cannot be saved: {0}")]
    Save(#[from] io::Error),
}

/// The broker's own settings and its store's.
#[derive(Clone, Debug)]
struct Both {
    broker: BrokerConfig,
    store: StoreConfig,
}

impl Both {
    fn rooms(&mut self) -> [&mut dyn Settings; 2] {
        [&mut self.broker, &mut self.store]
    }

    fn key(name: &str) -> Option<&'static Key> {
        BrokerConfig::KEYS.iter().chain(StoreConfig::KEYS).find(|key| key.name == name)
    }

    fn show(&self, name: &str) -> String {
        self.broker.show(name).or_else(|| self.store.show(name)).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ChangeError> {
        let unknown = || ChangeError::Unknown(name.to_owned());
        let key = Self::key(name).ok_or_else(unknown)?;
        if key.applies != Applies::Live {
            return Err(ChangeError::NotLive { key: name.to_owned(), applies: key.applies });
        }
        for room in self.rooms() {
            match room.set(key.name, value) {
                Err(SetError::UnknownKey) => {}
                other => return other.map_err(|error| ChangeError::Value { key: name.to_owned(), error }),
            }
        }
        Err(unknown())
    }
}

/// A setting and what is known of it.
#[derive(Clone, Debug)]
pub struct DescribedSetting {
    /// The part of the process that it is about: `broker`, `store` or `gateway`.
    pub room: &'static str,
    /// The key.
    pub key: &'static Key,
    /// Its value now.
    pub value: String,
}

/// One change, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    value: String,
    /// What was configured then.
    instead_of: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    changes: BTreeMap<String, Change>,
}

/// The settings in effect.
#[derive(Debug)]
pub(crate) struct Live {
    permission: AtomicU32,
    auto_create_topics: AtomicBool,
    long_polling: AtomicBool,
    short_polling: AtomicU64,
    client_timeout: AtomicU64,
    current: Mutex<Current>,
    /// What the process has set beside: shown, never changed.
    beside: OnceLock<Vec<Shown>>,
}

/// A setting and its value.
type Shown = (&'static Key, String);

#[derive(Debug)]
struct Current {
    now: Both,
    /// As the start found them.
    configured: Both,
    saved: Saved,
    file: StateFile,
}

impl Live {
    /// Makes the saved changes to what is configured, and returns what is in effect.
    pub(crate) fn open(broker: BrokerConfig, store: &Store) -> Result<(BrokerConfig, Self), StateError> {
        let file = StateFile::new(&store.config_dir(), FILE);
        let mut saved: Saved = file.load()?.unwrap_or_default();
        // What is shown is where the messages are, also where nobody said so.
        let store_config = StoreConfig { commit_log_dir: Some(store.log_dir()), ..store.config().clone() };
        let configured = Both { broker, store: store_config };
        let mut now = configured.clone();
        let before = saved.changes.len();
        saved.changes.retain(|key, Change { value, instead_of }| {
            let configured = configured.show(key);
            if configured != *instead_of {
                tracing::info!(key, configured, "configured anew since it was changed at run time");
                return false;
            }
            match now.set(key, value) {
                Ok(()) => {
                    tracing::info!(key, value, configured, "changed at run time before");
                    true
                }
                Err(error) => {
                    tracing::warn!(key, %error, "a setting that was changed at run time cannot be kept");
                    false
                }
            }
        });
        // Or else they would be back once the key is configured as it was.
        if saved.changes.len() < before
            && let Err(error) = file.save(&saved)
        {
            tracing::error!(%error, "cannot save which settings are no longer changed");
        }
        store.reconfigure(&now.store);
        let live = Self {
            permission: AtomicU32::default(),
            auto_create_topics: AtomicBool::default(),
            long_polling: AtomicBool::default(),
            short_polling: AtomicU64::default(),
            client_timeout: AtomicU64::default(),
            current: Mutex::new(Current { now: now.clone(), configured, saved, file }),
            beside: OnceLock::new(),
        };
        live.publish(&now.broker);
        Ok((now.broker, live))
    }

    fn publish(&self, config: &BrokerConfig) {
        self.permission.store(config.permission.0, Ordering::Relaxed);
        self.auto_create_topics.store(config.auto_create_topics, Ordering::Relaxed);
        self.long_polling.store(config.long_polling, Ordering::Relaxed);
        self.short_polling.store(config.short_polling.0, Ordering::Relaxed);
        self.client_timeout.store(config.client_timeout.0, Ordering::Relaxed);
    }

    /// What clients may do on this broker.
    pub(crate) fn permission(&self) -> Permission {
        Permission(self.permission.load(Ordering::Relaxed))
    }

    /// Whether a send to an unknown topic creates it.
    pub(crate) fn auto_create_topics(&self) -> bool {
        self.auto_create_topics.load(Ordering::Relaxed)
    }

    /// Whether pulls are held for as long as their clients ask.
    pub(crate) fn long_polling(&self) -> bool {
        self.long_polling.load(Ordering::Relaxed)
    }

    /// How long they are held otherwise.
    pub(crate) fn short_polling(&self) -> Millis {
        Millis(self.short_polling.load(Ordering::Relaxed))
    }

    /// How long a client may be silent.
    pub(crate) fn client_timeout(&self) -> Millis {
        Millis(self.client_timeout.load(Ordering::Relaxed))
    }
}

impl Broker {
    /// Takes settings of the process that are none of the broker's, such as where it listens, to show them beside its
    /// own. Only the first call counts.
    pub fn show_beside<'a>(&self, rooms: impl IntoIterator<Item = &'a dyn Settings>) {
        let shown = |room: &'a dyn Settings| {
            room.keys().iter().map(|key| (key, room.show(key.name).unwrap_or_default()))
        };
        let _ = self.live().beside.set(rooms.into_iter().flat_map(shown).collect());
    }

    /// All settings as they are now, and the version of the changes made to them.
    #[must_use]
    pub fn settings(&self) -> (DataVersion, Vec<(&'static str, String)>) {
        let beside = self.live().beside.get().into_iter().flatten();
        let beside = beside.map(|(key, value)| (key.name, value.clone()));
        let current = self.live().current.lock();
        let keys = BrokerConfig::KEYS.iter().chain(StoreConfig::KEYS);
        let own = keys.map(|key| (key.name, current.now.show(key.name)));
        (current.saved.data_version, beside.chain(own).collect())
    }

    /// All settings as they are now, with what is known of each key.
    #[must_use]
    pub fn described_settings(&self) -> Vec<DescribedSetting> {
        let beside = self.live().beside.get().into_iter().flatten();
        let beside =
            beside.map(|(key, value)| DescribedSetting { room: "gateway", key, value: value.clone() });
        let current = self.live().current.lock();
        let of = |room, keys: &'static [Key]| {
            let current = &current;
            keys.iter().map(move |key| DescribedSetting { room, key, value: current.now.show(key.name) })
        };
        of("broker", BrokerConfig::KEYS).chain(of("store", StoreConfig::KEYS)).chain(beside).collect()
    }

    /// Changes settings while the broker runs; they stay changed after a restart. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing changed then.
    pub fn change_settings(&self, changes: &[(String, String)]) -> Result<(), ChangeError> {
        if changes.len() > MAX_CHANGES {
            return Err(ChangeError::TooMany);
        }
        let mut beside = self.live().beside.get().into_iter().flatten();
        if let Some((key, _)) = beside.find(|(key, _)| changes.iter().any(|(changed, _)| changed == key.name))
        {
            return Err(ChangeError::NotLive { key: key.name.to_owned(), applies: key.applies });
        }
        let current = &mut *self.live().current.lock();
        let (mut now, mut saved) = (current.now.clone(), current.saved.clone());
        for (key, value) in changes {
            now.set(key, value)?;
            let change = Change { value: now.show(key), instead_of: current.configured.show(key) };
            if change.value == change.instead_of {
                saved.changes.remove(key);
            } else {
                saved.changes.insert(key.clone(), change);
            }
        }
        saved.data_version.bump(self.store().now());
        current.file.save(&saved)?;
        current.saved = saved;
        let before = std::mem::replace(&mut current.now, now);
        for (key, _) in changes {
            tracing::info!(key, before = before.show(key), now = current.now.show(key), "changed a setting");
        }
        self.adopt(&before, &current.now);
        Ok(())
    }

    /// Lets everybody see what changed.
    fn adopt(&self, before: &Both, now: &Both) {
        self.live().publish(&now.broker);
        self.groups().create_automatically(now.broker.auto_create_groups);
        self.members().notify_changes(now.broker.notify_group_changes);
        self.store().reconfigure(&now.store);
        if now.broker.auto_create_topics {
            self.topics().add_template(now.broker.default_queues);
        }
        if before.broker.permission != now.broker.permission {
            // Registrations carry it.
            if let Err(error) = self.topics().save_now() {
                tracing::error!(%error, "cannot save topics");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that is said to change at once has to be read from where a change is seen.
    #[test]
    fn the_keys_that_apply_at_once_are_those_that_are_read_live() {
        let live = |keys: &'static [Key]| {
            keys.iter().filter(|key| key.applies == Applies::Live).map(|key| key.name).collect::<Vec<_>>()
        };
        assert_eq!(
            live(BrokerConfig::KEYS),
            [
                "brokerPermission",
                "autoCreateTopicEnable",
                "autoCreateSubscriptionGroup",
                "longPollingEnable",
                "shortPollingTimeMills",
                "notifyConsumerIdsChangedEnable",
                "channelExpiredTimeout",
            ]
        );
        assert_eq!(
            live(StoreConfig::KEYS),
            [
                "deleteWhen",
                "fileReservedTime",
                "diskMaxUsedSpaceRatio",
                "diskSpaceCleanForciblyRatio",
                "diskSpaceWarningLevelRatio",
                "cleanFileForciblyEnable",
            ]
        );
    }
}
