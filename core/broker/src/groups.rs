//! The consumer groups of this broker: their settings, the topics that each may not read, and `subscriptionGroup.json`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::light::is_light;
use ferromq_model::name::{MAX_DERIVED_TOPIC_LEN, RETRY_PREFIX};
use ferromq_model::topic::DataVersion;
use ferromq_model::{GroupName, NameError, Timestamp, TopicName};
use ferromq_state::{StateError, StateFile};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Together};

/// The most groups that this broker keeps: clients create them by themselves.
pub const MAX_GROUPS: usize = 200_000;
/// Longest name of a group that consumes, in bytes: `%RETRY%<group>` must be a topic, and a topic a directory.
pub const MAX_GROUP_LEN: usize = MAX_DERIVED_TOPIC_LEN - RETRY_PREFIX.len();
/// The most queues that a group's retry topic may have.
pub const MAX_RETRY_QUEUES: u32 = 1024;

/// The most topics that may be forbidden, counted for each group.
pub const MAX_FORBIDDEN: usize = 100_000;
/// The bit of a prohibition that says that the group may not read. Others are kept, and mean nothing here as in the
/// reference.
const NO_READING: i64 = 1 << 2;

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
    /// The broker has as many prohibitions as it keeps.
    #[error("this broker keeps {MAX_FORBIDDEN} topics that groups may not read, and no more")]
    TooManyForbidden,
    /// Ours: the change is not on disk, and was taken back.
    #[error("groups cannot be saved: {0}")]
    Save(#[from] io::Error),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    forbidden_table: Prohibitions,
    subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// The same, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Saving<'a> {
    data_version: DataVersion,
    forbidden_table: &'a Prohibitions,
    subscription_group_table: BTreeMap<&'a str, &'a SubscriptionGroupConfig>,
}

/// What is forbidden, one bit each, by group and topic.
pub type Prohibitions = BTreeMap<String, BTreeMap<String, i64>>;

#[derive(Clone)]
struct Table {
    version: DataVersion,
    forbidden: Prohibitions,
    groups: HashMap<GroupName, Arc<SubscriptionGroupConfig>, RandomState>,
}

/// A change of the table. It is answered with the group's settings, where it was about one.
enum Change {
    /// Creates groups, or changes their settings.
    Put(Vec<SubscriptionGroupConfig>),
    /// Creates the group, unless there is one.
    Create(SubscriptionGroupConfig),
    /// Forgets the group.
    Remove(String),
    /// Says whether the group may read the topic.
    MayRead(GroupName, TopicName, bool),
    /// Writes the table as it is.
    Nothing,
}

/// All groups of a broker.
pub struct Groups {
    table: RwLock<Table>,
    changes: Changes<Change, Option<Arc<SubscriptionGroupConfig>>, GroupError>,
    /// Prohibitions in the table, so that a pull need not look while there are none.
    forbidden: AtomicUsize,
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
    /// Topics forbidden to groups.
    pub forbidden: Prohibitions,
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

/// Whether a group is one that every broker has, or a broker's own.
#[must_use]
pub fn is_system_group(group: &str) -> bool {
    const PREFIX: &str = "CID_RMQ_SYS_";
    let is_own = group.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    is_own || BUILT_IN.iter().any(|(name, _)| *name == group)
}

/// Whether a group may have these settings.
pub(crate) fn check(config: &SubscriptionGroupConfig) -> Result<(), GroupError> {
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
            forbidden: AtomicUsize::new(table.forbidden_count()),
            table: RwLock::new(table),
            changes: Changes::new(file),
            auto_create: AtomicBool::new(auto_create),
            light,
        })
    }

    /// Whether every broker has the group.
    #[must_use]
    pub fn is_built_in(group: &str) -> bool {
        BUILT_IN.iter().any(|(name, _)| *name == group)
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
        check(&config)?;
        Ok(self.change(Change::Create(config))?.expect("a change of one group tells of it"))
    }

    /// Creates groups or changes their settings; none of them if one may not be.
    ///
    /// # Errors
    /// [`GroupError`]; nothing changed then.
    pub fn put_all(&self, configs: Vec<SubscriptionGroupConfig>) -> Result<(), GroupError> {
        configs.iter().try_for_each(check)?;
        self.change(Change::Put(configs)).map(drop)
    }

    /// Creates the group or changes its settings.
    ///
    /// # Errors
    /// [`GroupError`]; nothing changed then.
    pub fn put(&self, config: SubscriptionGroupConfig) -> Result<Arc<SubscriptionGroupConfig>, GroupError> {
        check(&config)?;
        Ok(self.change(Change::Put(vec![config]))?.expect("a change of one group tells of it"))
    }

    /// Whether the group may read the topic, as far as prohibitions go.
    #[must_use]
    pub fn may_read(&self, group: &str, topic: &str) -> bool {
        if self.forbidden.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let table = self.table.read();
        let bits = table.forbidden.get(group).and_then(|topics| topics.get(topic));
        bits.is_none_or(|bits| bits & NO_READING == 0)
    }

    /// Says whether the group may read the topic. Neither of them need exist.
    ///
    /// # Errors
    /// [`GroupError::TooManyForbidden`], or [`GroupError::Save`]; nothing changed then.
    pub fn set_may_read(&self, group: &GroupName, topic: &TopicName, may: bool) -> Result<(), GroupError> {
        self.change(Change::MayRead(group.clone(), topic.clone(), may)).map(drop)
    }

    /// Forgets the group's settings, and what it may not read. Unknown groups are no error: tools delete on every broker.
    ///
    /// # Errors
    /// [`GroupError::Save`].
    pub fn remove(&self, group: &str) -> Result<(), GroupError> {
        self.change(Change::Remove(group.to_owned())).map(drop)
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

    /// Makes a change and waits until it is on disk.
    fn change(&self, change: Change) -> Result<Option<Arc<SubscriptionGroupConfig>>, GroupError> {
        self.changes.make(change, |file, together| self.make(file, together))
    }

    fn make(
        &self,
        file: &StateFile,
        together: &mut Together<Change, Option<Arc<SubscriptionGroupConfig>>, GroupError>,
    ) {
        let mut table = self.table.read().clone();
        let mut changed = false;
        together.make(|change| table.apply(change, &mut changed));
        if !changed {
            return;
        }
        table.version.bump(Timestamp::now());
        match file.save(&table.saving()) {
            Ok(()) => {
                self.forbidden.store(table.forbidden_count(), Ordering::Relaxed);
                *self.table.write() = table;
            }
            Err(error) => together.refuse(&error),
        }
    }

    /// Saves the table as it is, at a stop.
    pub(crate) fn save_now(&self) -> io::Result<()> {
        match self.change(Change::Nothing) {
            Err(GroupError::Save(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl Table {
    fn saving(&self) -> Saving<'_> {
        let groups = self.groups.iter().map(|(name, config)| (name.as_str(), &**config));
        Saving {
            data_version: self.version,
            forbidden_table: &self.forbidden,
            subscription_group_table: groups.collect(),
        }
    }

    fn forbidden_count(&self) -> usize {
        self.forbidden.values().map(BTreeMap::len).sum()
    }

    /// Makes one change; `changed` hears of it if there was anything to change.
    fn apply(
        &mut self,
        change: Change,
        changed: &mut bool,
    ) -> Result<Option<Arc<SubscriptionGroupConfig>>, GroupError> {
        match change {
            Change::Put(configs) => {
                let new =
                    configs.iter().filter(|config| !self.groups.contains_key(config.group_name.as_str()));
                if self.groups.len() + new.count() > MAX_GROUPS {
                    return Err(GroupError::TooMany);
                }
                Ok(configs.into_iter().map(|config| self.put(config, changed)).last())
            }
            Change::Create(config) => {
                if let Some(known) = self.groups.get(config.group_name.as_str()) {
                    return Ok(Some(Arc::clone(known)));
                }
                if self.groups.len() >= MAX_GROUPS {
                    return Err(GroupError::TooMany);
                }
                Ok(Some(self.put(config, changed)))
            }
            Change::Remove(group) => {
                *changed |= self.groups.remove(group.as_str()).is_some();
                *changed |= self.forbidden.remove(&group).is_some();
                Ok(None)
            }
            Change::MayRead(group, topic, may) => {
                *changed |= self.set_may_read(group.as_str(), topic.as_str(), may)?;
                Ok(None)
            }
            Change::Nothing => {
                *changed = true;
                Ok(None)
            }
        }
    }

    fn put(&mut self, config: SubscriptionGroupConfig, changed: &mut bool) -> Arc<SubscriptionGroupConfig> {
        if let Some(same) = self.groups.get(config.group_name.as_str()).filter(|known| ***known == config) {
            return Arc::clone(same);
        }
        *changed = true;
        let config = Arc::new(config);
        self.groups.insert(config.group_name.clone(), Arc::clone(&config));
        config
    }

    /// Whether that is a change.
    fn set_may_read(&mut self, group: &str, topic: &str, may: bool) -> Result<bool, GroupError> {
        let before = self.forbidden.get(group).and_then(|topics| topics.get(topic)).copied().unwrap_or(0);
        let after = if may { before & !NO_READING } else { before | NO_READING };
        if before == 0 && after != 0 && self.forbidden_count() >= MAX_FORBIDDEN {
            return Err(GroupError::TooManyForbidden);
        }
        if after == before {
            return Ok(false);
        }
        let topics = self.forbidden.entry(group.to_owned()).or_default();
        if after == 0 {
            topics.remove(topic);
        } else {
            topics.insert(topic.to_owned(), after);
        }
        self.forbidden.retain(|_, topics| !topics.is_empty());
        Ok(true)
    }
}
