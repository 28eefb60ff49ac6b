//! The topics of this broker: their settings, their queues, and `topics.json`.
//!
//! Always true:
//! * a topic that anyone can see is in the file: a change is saved before it is made, so that no crash leaves messages of
//!   a topic that is not known any more;
//! * settings never change in place: a change puts a new [`Topic`] into the table and moves its generation, by which
//!   whoever remembers a topic sees that it must look again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ferromq_model::light::is_light;
use ferromq_model::name::{
    AUTO_CREATE_TOPIC, BENCHMARK_TOPIC, HALF_TOPIC, MEMBER_PREFIX, OFFSET_MOVED_TOPIC, OP_HALF_TOPIC,
    OVERFLOW_TOPIC, SCHEDULE_TOPIC, SELF_TEST_TOPIC, SYSTEM_TOPICS, TIMER_TOPIC,
};
use ferromq_model::topic::{DataVersion, Permission, TopicConfig};
use ferromq_model::{NameError, QueueId, Timestamp, TopicName};
use ferromq_state::{StateError, StateFile};
use ferromq_store::{Appended, Queue, Store};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::changes::{Changes, Together};
use crate::config::BrokerConfig;
use crate::pop::revive_topic;
use crate::stats::TopicStats;

/// The most queues that one topic may have on this broker.
pub const MAX_QUEUES: u32 = 65_536;
/// The most topics that this broker keeps: senders create them by themselves.
pub const MAX_TOPICS: usize = 200_000;

/// A topic: its settings and the queues that were used so far.
#[derive(Debug)]
pub struct Topic {
    config: TopicConfig,
    queues: Box<[OnceLock<Arc<Queue>>]>,
    stats: Arc<TopicStats>,
    /// Whether it has a light queue.
    light: bool,
}

impl Topic {
    fn new(config: TopicConfig) -> Self {
        let queues = config.read_queue_nums.max(config.write_queue_nums).min(MAX_QUEUES);
        let queues = (0..queues).map(|_| OnceLock::new()).collect();
        Self { config, queues, stats: Arc::default(), light: false }
    }

    /// The topic of a light queue, which needs no settings.
    fn light(name: TopicName) -> Self {
        Self { light: true, ..Self::new(TopicConfig::new(name, 1)) }
    }

    /// The same topic with other settings: it goes on counting where it was.
    fn changed(&self, config: TopicConfig) -> Self {
        let mut changed = Self { stats: Arc::clone(&self.stats), ..Self::new(config) };
        for (after, before) in changed.queues.iter_mut().zip(&self.queues) {
            if before.get().is_some_and(|queue| !queue.is_retired()) {
                after.clone_from(before);
            }
        }
        changed
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.config.topic_name
    }

    /// The queue, if the topic has so many, and the broker room for one more light queue.
    #[inline]
    #[must_use]
    pub fn queue(&self, store: &Store, id: QueueId) -> Option<&Arc<Queue>> {
        let slot = self.queues.get(id.0 as usize)?;
        slot.get().or_else(|| self.open_queue(store, slot, id))
    }

    #[cold]
    fn open_queue<'a>(
        &self,
        store: &Store,
        slot: &'a OnceLock<Arc<Queue>>,
        id: QueueId,
    ) -> Option<&'a Arc<Queue>> {
        if self.light {
            let queue = store.light_queue(&self.config.topic_name)?;
            return Some(slot.get_or_init(|| queue));
        }
        Some(slot.get_or_init(|| store.queue(&self.config.topic_name, id)))
    }

    /// Whether it has a light queue, and no settings of its own.
    #[must_use]
    pub fn is_light(&self) -> bool {
        self.light
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &TopicStats {
        &self.stats
    }

    /// What was appended to each of its queues since the start, of those that were used.
    pub fn appended(&self) -> impl Iterator<Item = (QueueId, Appended)> {
        let id = |index| QueueId(index as u32);
        self.queues
            .iter()
            .enumerate()
            .filter_map(move |(index, queue)| Some((id(index), queue.get()?.appended())))
    }

    /// Queues that it has, for reading or writing.
    #[must_use]
    pub fn queue_count(&self) -> u32 {
        self.queues.len() as u32
    }
}

/// A topic's settings could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The sender's fault.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Brokers own it.
    #[error("The topic[{0}] is conflict with system topic.")]
    System(TopicName),
    /// A number is out of its range.
    #[error("{what} is {value}, between {least} and {most} is allowed")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What was asked for.
        value: i64,
        /// The least allowed.
        least: u32,
        /// The most allowed.
        most: u32,
    },
    /// It does not exist.
    #[error("No topic in this broker. topic: {0}")]
    Unknown(String),
    /// The broker has as many as it keeps.
    #[error("this broker has {MAX_TOPICS} topics and takes no more")]
    TooMany,
    /// Ours: the change is not on disk, and was taken back.
    #[error("topics cannot be saved: {0}")]
    Save(#[from] io::Error),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    topic_config_table: BTreeMap<String, TopicConfig>,
}

/// The same, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Saving<'a> {
    data_version: DataVersion,
    topic_config_table: BTreeMap<&'a str, &'a TopicConfig>,
}

/// A change of the table. It is answered with the topic, where it was about one.
#[derive(Debug)]
enum Change {
    /// Creates topics, or changes their settings.
    Put(Vec<TopicConfig>),
    /// Creates the topic, unless there is one.
    Create(TopicConfig),
    /// Takes the topic out.
    Remove(TopicName),
    /// Writes the table as it is.
    Nothing,
}

type Table = HashMap<TopicName, Arc<Topic>, RandomState>;

/// All topics of a broker.
#[derive(Debug)]
pub struct Topics {
    table: RwLock<Table>,
    /// Topics that every broker with this configuration has.
    built_in: HashSet<TopicName, RandomState>,
    generation: AtomicU64,
    /// Whether topics of light queues exist.
    light: bool,
    changes: Changes<Change, Option<Arc<Topic>>, TopicError>,
    version: watch::Sender<DataVersion>,
}

impl Topics {
    /// Reads the table and adds the topics that every broker has.
    pub(crate) fn load(file: StateFile, config: &BrokerConfig, store: &Store) -> Result<Self, StateError> {
        let saved: Saved = file.load()?.unwrap_or_default();
        let version = saved.data_version;
        let mut table = Table::default();
        let mut add =
            |topic: TopicConfig| table.insert(topic.topic_name.clone(), Arc::new(Topic::new(topic)));
        for topic in saved.topic_config_table.into_values() {
            add(topic);
        }
        let mut built_in = HashSet::default();
        for topic in system_topics(config) {
            built_in.insert(topic.topic_name.clone());
            add(topic);
        }
        // The file was lost, or its backup is older than the topic, or a deletion got half-way and was not answered:
        // messages are never what pays for it.
        for topic in store.topics() {
            let has_settings = !is_light(topic.as_str()) && topic.as_str() != OVERFLOW_TOPIC;
            if !table.contains_key(&topic) && has_settings {
                let queues = store.queues_of(topic.as_str()).last().map_or(1, |queue| queue.id().0 + 1);
                tracing::warn!(%topic, queues, "topics.json misses a topic: its settings are made from what the store has");
                table.insert(topic.clone(), Arc::new(Topic::new(TopicConfig::new(topic, queues))));
            }
        }
        Ok(Self {
            table: RwLock::new(table),
            built_in,
            generation: AtomicU64::new(1),
            light: store.config().light_queues,
            changes: Changes::new(file),
            version: watch::channel(version).0,
        })
    }

    /// Moves whenever any topic changes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The topic.
    #[must_use]
    pub fn find(&self, topic: &str) -> Option<Arc<Topic>> {
        let known = self.table.read().get(topic).cloned();
        known.or_else(|| self.find_light(topic))
    }

    fn find_light(&self, topic: &str) -> Option<Arc<Topic>> {
        let name = (self.light && is_light(topic)).then(|| TopicName::new(topic).ok()).flatten()?;
        Some(Arc::new(Topic::light(name)))
    }

    /// All topics, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.table.read().values().cloned().collect()
    }

    /// All settings and their version, topics in no order.
    #[must_use]
    pub fn snapshot(&self) -> (DataVersion, Vec<TopicConfig>) {
        let table = self.table.read();
        (*self.version.borrow(), table.values().map(|topic| topic.config.clone()).collect())
    }

    /// Tells of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<DataVersion> {
        self.version.subscribe()
    }

    /// Whether the broker owns the topic: nobody may change or delete it by request.
    #[must_use]
    pub fn is_reserved(&self, topic: &TopicName) -> bool {
        topic.is_system() || self.built_in.contains(topic) || (self.light && is_light(topic.as_str()))
    }

    /// Topics that the broker owns, and names that it keeps for such.
    #[must_use]
    pub fn reserved(&self) -> BTreeSet<String> {
        let built_in = self.built_in.iter().map(ToString::to_string);
        built_in.chain(SYSTEM_TOPICS.iter().map(ToString::to_string)).collect()
    }

    /// Adds the topic that new ones inherit from, if it is not there.
    pub(crate) fn add_template(&self, queues: u32) {
        let Ok(name) = TopicName::new(AUTO_CREATE_TOPIC) else { return };
        let template = TopicConfig::new(name, queues).with_perm(Permission::TEMPLATE);
        if let Err(error) = self.find_or_put(AUTO_CREATE_TOPIC, || template) {
            tracing::error!(%error, "cannot create the topic that new ones inherit from");
        }
    }

    /// Creates the topic or changes its settings.
    ///
    /// # Errors
    /// [`TopicError`]; nothing changed then.
    pub fn put(&self, config: TopicConfig) -> Result<Arc<Topic>, TopicError> {
        check_topic(&config)?;
        Ok(self.change(Change::Put(vec![config]))?.expect("a change of one topic tells of it"))
    }

    /// The same for several.
    ///
    /// # Errors
    /// [`TopicError`]; nothing changed then.
    pub(crate) fn put_all(&self, configs: Vec<TopicConfig>) -> Result<(), TopicError> {
        configs.iter().try_for_each(check_topic)?;
        self.change(Change::Put(configs)).map(drop)
    }

    /// The topic, made by `make` if there is none: two senders that create it at once get the same.
    ///
    /// # Errors
    /// As [`Topics::put`].
    pub fn find_or_put(
        &self,
        topic: &str,
        make: impl FnOnce() -> TopicConfig,
    ) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.find(topic) {
            return Ok(topic);
        }
        let config = make();
        check_topic(&config)?;
        Ok(self.change(Change::Create(config))?.expect("a change of one topic tells of it"))
    }

    /// Takes the topic out; its queues are the caller's to delete.
    ///
    /// # Errors
    /// [`TopicError::System`], [`TopicError::Unknown`] or [`TopicError::Save`].
    pub fn remove(&self, topic: &TopicName) -> Result<(), TopicError> {
        if self.is_reserved(topic) {
            return Err(TopicError::System(topic.clone()));
        }
        self.change(Change::Remove(topic.clone())).map(drop)
    }

    /// Makes a change and waits until it is on disk.
    fn change(&self, change: Change) -> Result<Option<Arc<Topic>>, TopicError> {
        self.changes.make(change, |file, together| self.make(file, together))
    }

    fn make(&self, file: &StateFile, together: &mut Together<Change, Option<Arc<Topic>>, TopicError>) {
        let mut table = self.table.read().clone();
        let mut changed = false;
        together.make(|change| apply(&mut table, change, &mut changed));
        if !changed {
            return;
        }
        let mut version = *self.version.borrow();
        version.bump(Timestamp::now());
        let configs = table.iter().map(|(name, topic)| (name.as_str(), &topic.config)).collect();
        match file.save(&Saving { data_version: version, topic_config_table: configs }) {
            Ok(()) => {
                *self.table.write() = table;
                self.generation.fetch_add(1, Ordering::AcqRel);
                self.version.send_replace(version);
            }
            Err(error) => together.refuse(&error),
        }
    }

    /// Lets go of the topic's deleted queues, in whose place there are new ones by now.
    pub(crate) fn renew(&self, topic: &TopicName) {
        self.changes.between(|| {
            if let Some(known) = self.table.write().get_mut(topic) {
                *known = Arc::new(known.changed(known.config.clone()));
            }
            self.generation.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// Does something about a topic that does not exist, and does not come into being meanwhile. `None` if it exists.
    pub(crate) fn while_unknown<T>(&self, topic: &TopicName, work: impl FnOnce() -> T) -> Option<T> {
        self.changes.between(|| self.find(topic.as_str()).is_none().then(work))
    }

    /// Saves the table as it is, at a stop.
    pub(crate) fn save_now(&self) -> io::Result<()> {
        match self.change(Change::Nothing) {
            Err(TopicError::Save(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a topic may have these settings.
pub(crate) fn check_topic(config: &TopicConfig) -> Result<(), TopicError> {
    let numbers = [("readQueueNums", config.read_queue_nums), ("writeQueueNums", config.write_queue_nums)];
    match numbers.into_iter().find(|&(_, value)| value > MAX_QUEUES) {
        Some((what, value)) => {
            Err(TopicError::OutOfRange { what, value: i64::from(value), least: 0, most: MAX_QUEUES })
        }
        None => Ok(()),
    }
}

/// Makes one change; `changed` hears of it if there was anything to change.
fn apply(table: &mut Table, change: Change, changed: &mut bool) -> Result<Option<Arc<Topic>>, TopicError> {
    match change {
        Change::Put(configs) => {
            let new = configs.iter().filter(|config| !table.contains_key(config.topic_name.as_str()));
            if table.len() + new.count() > MAX_TOPICS {
                return Err(TopicError::TooMany);
            }
            Ok(configs.into_iter().map(|config| put(table, config, changed)).last())
        }
        Change::Create(config) => {
            if let Some(known) = table.get(config.topic_name.as_str()) {
                return Ok(Some(Arc::clone(known)));
            }
            if table.len() >= MAX_TOPICS {
                return Err(TopicError::TooMany);
            }
            Ok(Some(put(table, config, changed)))
        }
        Change::Remove(topic) => match table.remove(&topic) {
            Some(_) => {
                *changed = true;
                Ok(None)
            }
            None => Err(TopicError::Unknown(topic.to_string())),
        },
        Change::Nothing => {
            *changed = true;
            Ok(None)
        }
    }
}

fn put(table: &mut Table, config: TopicConfig, changed: &mut bool) -> Arc<Topic> {
    let before = table.get(config.topic_name.as_str());
    if let Some(same) = before.filter(|topic| topic.config == config) {
        return Arc::clone(same);
    }
    *changed = true;
    let name = config.topic_name.clone();
    let topic = Arc::new(match before {
        Some(before) => before.changed(config),
        None => Topic::new(config),
    });
    table.insert(name, Arc::clone(&topic));
    topic
}

/// Topics that exist whatever the file says, with settings from the configuration.
fn system_topics(config: &BrokerConfig) -> Vec<TopicConfig> {
    let mut topics = Vec::new();
    let mut add = |name: &str, queues: u32, perm: Permission| match TopicName::new(name) {
        Ok(name) => topics.push(TopicConfig::new(name, queues).with_perm(perm)),
        Err(error) => tracing::warn!(%error, "the topic with this name is left out"),
    };
    let template = |on: bool| if on { Permission::TEMPLATE } else { Permission(Permission::INHERIT) };
    if config.auto_create_topics {
        add(AUTO_CREATE_TOPIC, config.default_queues, Permission::TEMPLATE);
    }
    add(SELF_TEST_TOPIC, 1, Permission::READ_WRITE);
    add(BENCHMARK_TOPIC, 1024, Permission::READ_WRITE);
    add(&config.cluster, 16, template(config.cluster_topic));
    add(&config.name, 1, template(config.broker_topic));
    add(OFFSET_MOVED_TOPIC, 1, Permission::READ_WRITE);
    add(SCHEDULE_TOPIC, config.delay_levels.count(), Permission::READ_WRITE);
    if config.timers {
        add(TIMER_TOPIC, 1, Permission::READ_WRITE);
    }
    add(HALF_TOPIC, 1, Permission::READ_WRITE);
    add(OP_HALF_TOPIC, 1, Permission::READ_WRITE);
    add(&format!("{}_REPLY_TOPIC", config.cluster), 1, Permission::READ_WRITE);
    add(revive_topic(config).as_str(), config.revive_queues, Permission::READ_WRITE);
    // Nothing is ever stored in it: its route is what counts.
    add(&format!("{MEMBER_PREFIX}{}", config.name), 1, Permission(Permission::INHERIT));
    if config.trace_topic {
        add(&config.trace_topic_name, 1, Permission::READ_WRITE);
    }
    topics
}
