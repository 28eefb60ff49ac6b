//! The consumer groups of this broker: their settings, and `subscriptionGroup.json`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::light::is_light;
use ferromq_model::name::{MAX_DERIVED_TOPIC_LEN, RETRY_PREFIX};
use ferromq_model::topic::DataVersion;
use ferromq_model::{GroupName, NameError, Timestamp};
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::state_file::{StateError, StateFile, blocking};

/// The most groups that this broker keeps: clients create them by themselves.
pub const MAX_GROUPS: usize = 200_000;
/// Longest name of a group that consumes, in bytes: `%RETRY%<group>` must be a topic, and a topic a directory.
pub const MAX_GROUP_LEN: usize = MAX_DERIVED_TOPIC_LEN - RETRY_PREFIX.len();
/// The most queues that a group's retry topic may have.
pub const MAX_RETRY_QUEUES: u32 = 1024;

/// A group's settings could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The sender's fault.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It does not exist, and groups are not created by themselves (`autoCreateSubscriptionGroup`).
    #[error("subscription group [{0}] does not exist")]
    Unknown(String),
    /// A number is out of its range.
    #[error("retryQueueNums is {0}, at most {MAX_RETRY_QUEUES} are allowed")]
    RetryQueues(u32),
    /// Groups have no such attribute.
    #[error("unsupported key: {0}")]
    Attribute(String),
    /// The broker has as many as it keeps.
    #[error("this broker has {MAX_GROUPS} groups and takes no more")]
    TooMany,
    /// Ours: the change is not on disk, and was taken back.
    #[error("groups cannot be saved: {0}")]
    Save(#[from] io::Error),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    /// Kept as it came: set by tools only.
    forbidden_table: serde_json::Map<String, serde_json::Value>,
    subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

struct Table {
    version: DataVersion,
    forbidden: serde_json::Map<String, serde_json::Value>,
    groups: HashMap<GroupName, Arc<SubscriptionGroupConfig>, RandomState>,
}

/// All groups of a broker.
pub struct Groups {
    table: RwLock<Table>,
    changing: Mutex<StateFile>,
    auto_create: AtomicBool,
    /// Whether groups of light queues exist without being created.
    light: bool,
}

/// All groups' settings at one moment.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    /// Its version.
    pub version: DataVersion,
    /// Settings by name.
    pub groups: BTreeMap<String, SubscriptionGroupConfig>,
    /// Topics forbidden to groups, as tools keep them.
    pub forbidden: serde_json::Map<String, serde_json::Value>,
}

/// Groups that every broker has, and whether their members may broadcast.
const BUILT_IN: [(&str, bool); 8] = [
    ("TOOLS_CONSUMER", true),
    ("FILTERSRV_CONSUMER", true),
    ("SELF_TEST_C_GROUP", true),
    ("CID_ONS-HTTP-PROXY", true),
    ("CID_ONSAPI_PULL", true),
    ("CID_ONSAPI_PERMISSION", true),
    ("CID_ONSAPI_OWNER", true),
    ("CID_RMQ_SYS_TRANS", true),
];

/// Whether a group may have these settings.
fn check(config: &SubscriptionGroupConfig) -> Result<(), GroupError> {
    let len = config.group_name.as_str().len();
    if len > MAX_GROUP_LEN {
        return Err(NameError::TooLong { kind: "group", len, limit: MAX_GROUP_LEN }.into());
    }
    if config.retry_queue_nums > MAX_RETRY_QUEUES {
        return Err(GroupError::RetryQueues(config.retry_queue_nums));
    }
    // RocketMQ 5.3 has a place for attributes and none to put there.
    match config.attributes.keys().next() {
        Some(attribute) => Err(GroupError::Attribute(attribute.trim_start_matches(['+', '-']).to_owned())),
        None => Ok(()),
    }
}

impl Groups {
    pub(crate) fn load(file: StateFile, auto_create: bool, light: bool) -> Result<Self, StateError> {
        let saved: Saved = file.load()?.unwrap_or_default();
        let mut groups: HashMap<GroupName, Arc<SubscriptionGroupConfig>, RandomState> = HashMap::default();
        for config in saved.subscription_group_table.into_values() {
            groups.insert(config.group_name.clone(), Arc::new(config));
        }
        for (name, broadcast) in BUILT_IN {
            let name = GroupName::new(name).expect("built-in names are valid");
            groups.entry(name.clone()).or_insert_with(|| {
                let mut config = SubscriptionGroupConfig::new(name);
                config.consume_broadcast_enable = broadcast;
                Arc::new(config)
            });
        }
        let table = Table { version: saved.data_version, forbidden: saved.forbidden_table, groups };
        Ok(Self {
            table: RwLock::new(table),
            changing: Mutex::new(file),
            auto_create: AtomicBool::new(auto_create),
            light,
        })
    }

    /// Whether unknown groups are created when they first ask.
    pub(crate) fn create_automatically(&self, yes: bool) {
        self.auto_create.store(yes, Ordering::Relaxed);
    }

    /// The group's settings, if it exists.
    #[must_use]
    pub fn find(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.table.read().groups.get(group).cloned()
    }

    /// The group's settings; creates it with defaults where that is allowed.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn find_or_create(&self, group: &str) -> Result<Arc<SubscriptionGroupConfig>, GroupError> {
        if let Some(config) = self.find(group) {
            return Ok(config);
        }
        if self.light && is_light(group) {
            return Ok(Arc::new(SubscriptionGroupConfig::new(GroupName::new(group)?)));
        }
        if !self.auto_create.load(Ordering::Relaxed) {
            return Err(GroupError::Unknown(group.to_owned()));
        }
        let config = SubscriptionGroupConfig::new(GroupName::new(group)?);
        blocking(|| self.put_if(config, |before| before.is_none()))
    }

    /// Creates groups or changes their settings; none of them if one may not be.
    ///
    /// # Errors
    /// [`GroupError`]; after [`GroupError::TooMany`] or [`GroupError::Save`] those before are changed.
    pub fn put_all(&self, configs: Vec<SubscriptionGroupConfig>) -> Result<(), GroupError> {
        configs.iter().try_for_each(check)?;
        configs.into_iter().try_for_each(|config| self.put(config).map(drop))
    }

    /// Creates the group or changes its settings.
    ///
    /// # Errors
    /// [`GroupError`]; nothing changed then.
    pub fn put(&self, config: SubscriptionGroupConfig) -> Result<Arc<SubscriptionGroupConfig>, GroupError> {
        blocking(|| self.put_if(config, |_| true))
    }

    /// Puts the settings in place of those before, or leaves these if `wanted` says so.
    fn put_if(
        &self,
        config: SubscriptionGroupConfig,
        wanted: impl FnOnce(Option<&SubscriptionGroupConfig>) -> bool,
    ) -> Result<Arc<SubscriptionGroupConfig>, GroupError> {
        check(&config)?;
        let name = config.group_name.clone();
        let file = self.changing.lock();
        let before = self.find(name.as_str());
        let wanted = wanted(before.as_deref());
        if let Some(same) = before.as_ref().filter(|before| !wanted || ***before == config) {
            return Ok(Arc::clone(same));
        }
        if before.is_none() && self.table.read().groups.len() >= MAX_GROUPS {
            return Err(GroupError::TooMany);
        }
        let version = self.save(&file, |saved| {
            saved.insert(name.to_string(), config.clone());
        })?;
        let config = Arc::new(config);
        let mut table = self.table.write();
        table.groups.insert(name, Arc::clone(&config));
        table.version = version;
        Ok(config)
    }

    /// Forgets the group's settings. Unknown groups are no error: tools delete on every broker.
    ///
    /// # Errors
    /// [`GroupError::Save`].
    pub fn remove(&self, group: &str) -> Result<(), GroupError> {
        let file = self.changing.lock();
        if self.find(group).is_none() {
            return Ok(());
        }
        let version = self.save(&file, |saved| {
            saved.remove(group);
        })?;
        let mut table = self.table.write();
        table.groups.remove(group);
        table.version = version;
        Ok(())
    }

    /// All settings.
    #[must_use]
    pub fn snapshot(&self) -> GroupSnapshot {
        let table = self.table.read();
        GroupSnapshot {
            version: table.version,
            groups: table
                .groups
                .iter()
                .map(|(name, config)| (name.to_string(), (**config).clone()))
                .collect(),
            forbidden: table.forbidden.clone(),
        }
    }

    /// Writes the table with `change` made to it; returns the version that the file has then.
    fn save(
        &self,
        file: &StateFile,
        change: impl FnOnce(&mut BTreeMap<String, SubscriptionGroupConfig>),
    ) -> io::Result<DataVersion> {
        let snapshot = self.snapshot();
        let (mut version, mut groups) = (snapshot.version, snapshot.groups);
        version.bump(Timestamp::now());
        change(&mut groups);
        file.save(&Saved {
            data_version: version,
            forbidden_table: snapshot.forbidden,
            subscription_group_table: groups,
        })?;
        Ok(version)
    }

    /// Saves the table as it is, at a stop.
    pub(crate) fn save_now(&self) -> io::Result<()> {
        let file = self.changing.lock();
        let version = self.save(&file, |_| {})?;
        self.table.write().version = version;
        Ok(())
    }
}
