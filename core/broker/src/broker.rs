//! The broker's handle: what it is made of, the calls that fit nowhere else, and its background tasks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::light::is_light;
use ferromq_model::message::{MessageId, PROPERTY_END, property, push_property};
use ferromq_model::name::TRANSACTION_GROUP;
use ferromq_model::topic::{DataVersion, Permission, TopicConfig};
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use ferromq_state::{StateError, StateFile};
use ferromq_store::{Queue, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::assignment::{RequestModes, Routes};
use crate::config::BrokerConfig;
use crate::delay::{self, DelayProgress};
use crate::fanout::Fanout;
use crate::filters::Filters;
use crate::groups::Groups;
use crate::live::Live;
use crate::locks::OrderLocks;
use crate::members::{Heartbeat, Members, Peer};
use crate::offsets::ConsumerOffsets;
use crate::pop::Pops;
use crate::stats::{self, Stats, Totals};
use crate::timer::{self, Timers};
use crate::topics::{TopicError, Topics};
use crate::transaction::{self, Transactions};

/// How often silent clients and expired locks are looked for.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// How often queues of topic filters that nobody holds are deleted. Each time notes all queues that there are.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// The share of memory that recent messages are taken to be in (RocketMQ: `accessMessageInMemoryMaxRatio`, percent).
const IN_MEMORY_PERCENT: u64 = 40;

/// A broker. Handles share it.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broker {}", self.config().name)
    }
}

struct Inner {
    config: BrokerConfig,
    store: Store,
    store_host: SocketAddr,
    /// Properties that every stored message gets.
    suffix: String,
    topics: Topics,
    groups: Groups,
    offsets: ConsumerOffsets,
    filters: Filters,
    fanout: Fanout,
    members: Members,
    locks: OrderLocks,
    delays: DelayProgress,
    timers: Timers,
    transactions: Transactions,
    stats: Stats,
    live: Live,
    started: Timestamp,
    pops: Pops,
    request_modes: RequestModes,
    routes: OnceLock<Arc<dyn Routes>>,
    counter: AtomicU32,
    stop: watch::Sender<bool>,
}

/// What a group is told that asks where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// It goes on here.
    At(QueueOffset),
    /// It never committed: it decides by itself where to start.
    Unknown,
}

impl Broker {
    /// A broker over `store`. `store_host` is the address that clients reach it at; it becomes part of message ids.
    ///
    /// # Errors
    /// [`StateError`] if saved state is broken beyond its backup: the operator must repair or remove it.
    pub fn open(config: BrokerConfig, store: Store, store_host: SocketAddr) -> Result<Self, StateError> {
        let dir = store.config_dir();
        let file = |name| StateFile::new(&dir, name);
        let (config, live) = Live::open(config, &store)?;
        let topics = Topics::load(file("topics.json"), &config, &store)?;
        let groups = Groups::load(
            file("subscriptionGroup.json"),
            config.auto_create_groups,
            store.config().light_queues,
        )?;
        let offsets = ConsumerOffsets::load(&dir, store.config().light_queues)?;
        let delays = DelayProgress::load(file("delayOffset.json"))?;
        let timers = Timers::load(file("timermetrics"), config.timer_congestion)?;
        let pops = Pops::load(file("consumerOrderInfo.json"), &config, &store)?;
        let request_modes = RequestModes::load(file("messageRequestMode.json"))?;
        let mut suffix = String::new();
        push_property(&mut suffix, property::MSG_REGION, &config.region);
        push_property(&mut suffix, property::TRACE_ON, if config.trace_on { "true" } else { "false" });
        push_property(&mut suffix, property::CLUSTER, &config.cluster);
        debug_assert!(suffix.ends_with(PROPERTY_END as char));
        let fanout = Fanout::open(&store, config.max_topic_filters, config.mqtt_point_to_point)?;
        let filters = Filters::new(config.property_filter, config.filter_retries);
        let started = store.now();
        let transactions = Transactions::open(&store, &offsets);
        let members = Members::new(config.notify_group_changes);
        let broker = Self {
            inner: Arc::new(Inner {
                config,
                store,
                store_host,
                suffix,
                topics,
                groups,
                offsets,
                filters,
                fanout,
                members,
                locks: OrderLocks::default(),
                delays,
                timers,
                transactions,
                stats: Stats::default(),
                live,
                started,
                pops,
                request_modes,
                routes: OnceLock::new(),
                counter: AtomicU32::new(0),
                stop: watch::channel(false).0,
            }),
        };
        broker.replay_pops();
        Ok(broker)
    }

    /// Its settings as it was opened with; those that apply at once may have changed since.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.inner.config
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The address that clients reach it at.
    #[must_use]
    pub fn store_host(&self) -> SocketAddr {
        self.inner.store_host
    }

    /// Its topics.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    /// Its consumer groups.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    /// How far groups have consumed.
    #[must_use]
    pub fn offsets(&self) -> &ConsumerOffsets {
        &self.inner.offsets
    }

    /// Compiles what consumers want.
    #[must_use]
    pub fn filters(&self) -> &Filters {
        &self.inner.filters
    }

    /// Topic filters and their queues.
    #[must_use]
    pub fn fanout(&self) -> &Fanout {
        &self.inner.fanout
    }

    /// Who is connected.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.inner.members
    }

    /// Order locks.
    #[must_use]
    pub fn locks(&self) -> &OrderLocks {
        &self.inner.locks
    }

    pub(crate) fn live(&self) -> &Live {
        &self.inner.live
    }

    /// What clients may do on this broker now.
    #[must_use]
    pub fn permission(&self) -> Permission {
        self.live().permission()
    }

    /// All topics as clients may use them now, and their version: the broker's own permission narrows each topic's.
    #[must_use]
    pub fn advertised_topics(&self) -> (DataVersion, Vec<TopicConfig>) {
        let (version, mut topics) = self.topics().snapshot();
        // Only a broker that allows everything passes on that a topic is a template.
        let permission = self.live().permission();
        if permission != Permission::READ_WRITE {
            topics.iter_mut().for_each(|topic| topic.perm = Permission(topic.perm.0 & permission.0));
        }
        (version, topics)
    }

    /// When it was opened.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.inner.started
    }

    /// What it counts of its traffic.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.inner.stats
    }

    /// What it counted since its start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.stats().totals(self.store().appended())
    }

    /// Takes note of where all counters stand. [`Broker::run`] does so each second.
    pub fn sample_stats(&self) {
        self.stats().tick(self.topics(), self.totals(), self.store().now());
    }

    pub(crate) fn delay_progress(&self) -> &DelayProgress {
        &self.inner.delays
    }

    /// How far delay levels are delivered, as brokers exchange it.
    #[must_use]
    pub fn delay_offsets(&self) -> String {
        self.inner.delays.json()
    }

    /// Messages with a delivery time of their own.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.inner.timers
    }

    pub(crate) fn pops(&self) -> &Pops {
        &self.inner.pops
    }

    pub(crate) fn request_modes(&self) -> &RequestModes {
        &self.inner.request_modes
    }

    /// Says who tells of queues on other brokers; the first to say so stays. Without, the broker knows its own.
    pub fn find_routes_with(&self, routes: Arc<dyn Routes>) {
        let _ = self.inner.routes.set(routes);
    }

    pub(crate) fn routes(&self) -> Option<&Arc<dyn Routes>> {
        self.inner.routes.get()
    }

    pub(crate) fn transactions(&self) -> &Transactions {
        &self.inner.transactions
    }

    pub(crate) fn suffix(&self) -> &str {
        &self.inner.suffix
    }

    /// Numbers that spread what may go anywhere.
    pub(crate) fn next_number(&self) -> u32 {
        self.inner.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether [`Broker::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.inner.stop.borrow()
    }

    /// Waits until [`Broker::stop`] is called. Cancel safe.
    pub async fn stopped(&self) {
        // The sender lives in `inner`, so waiting can only end with the value.
        let _ = self.inner.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Tells waiting pulls and background tasks to end.
    pub fn stop(&self) {
        self.inner.stop.send_replace(true);
    }

    /// Takes a heartbeat in, creating groups and their retry topics where they are new. Returns whether any of the
    /// client's groups changed.
    pub fn heartbeat(&self, peer: &Peer, mut beat: Heartbeat) -> bool {
        beat.consumers.retain(|consumer| match self.groups().find_or_create(consumer.group.as_str()) {
            Ok(group) => {
                // Groups of light queues come and go with every client.
                if is_light(consumer.group.as_str()) {
                    return true;
                }
                if let Err(error) = self.retry_topic(&consumer.group, group.retry_queue_nums) {
                    tracing::warn!(group = %consumer.group, %error, "cannot create the group's retry topic");
                }
                true
            }
            // The reference leaves such groups out in silence; their pulls say why.
            Err(error) => {
                tracing::debug!(group = %consumer.group, %error, "heartbeat of a group that is not served");
                false
            }
        });
        let notify = |group: &ferromq_model::GroupName| {
            self.groups().find(group.as_str()).is_none_or(|config| config.notify_consumer_ids_changed_enable)
        };
        self.members().heartbeat(peer, beat, notify, self.store().now())
    }

    /// Removes a client from a producer group, a consumer group, or both.
    pub fn unregister(&self, peer: &Peer, client: &str, producer: Option<&str>, consumer: Option<&str>) {
        let notify = |group: &str| {
            self.groups().find(group).is_none_or(|config| config.notify_consumer_ids_changed_enable)
        };
        self.members().unregister(client, producer, consumer, peer, notify);
    }

    /// The queue, if the topic exists and has so many.
    #[must_use]
    pub fn queue(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        let topic = self.topics().find(topic)?;
        // Who asks for a light queue's state does not bring it into being.
        if topic.is_light() {
            return self.store().find_queue(topic.name().as_str(), id);
        }
        topic.queue(self.store(), id).cloned()
    }

    /// Notes how far a group has consumed. Offsets beyond the queue's end count as its end. `false` if the group was
    /// moved meanwhile and goes on elsewhere.
    pub fn commit_offset(&self, group: &str, topic: &str, id: QueueId, next: QueueOffset) -> bool {
        if group == TRANSACTION_GROUP {
            // The broker's own: whoever moved it would make transactions be forgotten.
            return true;
        }
        let end = self.queue(topic, id).map(|queue| queue.max());
        self.offsets().commit(group, topic, id, end.map_or(next, |end| next.min(end)))
    }

    /// Where a group goes on in a queue. With `zero_if_young`, a queue that has its first message in memory still, or
    /// none yet, counts as new, and a group without an offset starts at its beginning whatever the client prefers, as in
    /// the reference: what arrives between this answer and the client's next question must not be passed over.
    #[must_use]
    pub fn position(&self, group: &str, topic: &str, id: QueueId, zero_if_young: bool) -> Position {
        if let Some(at) = self.offsets().find(group, topic, id) {
            return Position::At(at);
        }
        let is_young = || self.queue(topic, id).is_none_or(|queue| self.is_young(&queue));
        if zero_if_young && is_young() { Position::At(QueueOffset::ZERO) } else { Position::Unknown }
    }

    /// Whether a queue has its first message in memory still, or had none yet.
    pub(crate) fn is_young(&self, queue: &Queue) -> bool {
        let in_memory = |first: PhysicalOffset| {
            self.store().stats().log_max.since(first) <= memory_bytes() / 100 * IN_MEMORY_PERCENT
        };
        queue.min() == QueueOffset::ZERO && queue.physical(QueueOffset::ZERO).is_none_or(in_memory)
    }

    /// When the oldest message of a queue was stored.
    #[must_use]
    pub fn earliest_store_time(&self, topic: &str, id: QueueId) -> Option<Timestamp> {
        let queue = self.queue(topic, id)?;
        self.store().stored_time(&queue, queue.min())
    }

    /// The stored record at an offset of the log.
    #[must_use]
    pub fn view(&self, offset: PhysicalOffset) -> Option<Bytes> {
        self.store().record_at(offset)
    }

    /// The id of a message that this broker stores at `offset`.
    #[must_use]
    pub fn message_id(&self, offset: PhysicalOffset) -> MessageId {
        MessageId { host: self.store_host(), offset }
    }

    /// Creates a topic or changes its settings, as an operator asked.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn put_topic(&self, config: TopicConfig) -> Result<(), TopicError> {
        if self.topics().is_reserved(&config.topic_name) {
            return Err(TopicError::System(config.topic_name));
        }
        self.topics().put(config).map(drop)
    }

    /// The same for several: none is changed if one may not be.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn put_topics(&self, configs: Vec<TopicConfig>) -> Result<(), TopicError> {
        if let Some(reserved) = configs.iter().find(|config| self.topics().is_reserved(&config.topic_name)) {
            return Err(TopicError::System(reserved.topic_name.clone()));
        }
        self.topics().put_all(configs)
    }

    /// Runs the background tasks until [`Broker::stop`], then saves what the broker knows.
    pub async fn run(&self) {
        let mut tasks = JoinSet::new();
        tasks.spawn(delay::run(self.clone()));
        if self.config().timers {
            tasks.spawn(timer::run(self.clone()));
        }
        tasks.spawn(transaction::marks::run(self.clone()));
        tasks.spawn(transaction::check::run(self.clone()));
        self.every(&mut tasks, SCAN_INTERVAL, |broker| {
            let now = broker.store().now();
            broker.members().expire(now, broker.live().client_timeout());
            broker.locks().expire(now);
        });
        self.every(&mut tasks, self.config().consumer_offset_interval.duration(), |broker| {
            report("consumer offsets", broker.offsets().save());
            report("what is out in order", broker.pops().save(broker.store().now()));
        });
        self.every(&mut tasks, self.config().delay_offset_interval.duration(), |broker| {
            report("the progress of delayed messages", broker.inner.delays.save(broker.store()));
        });
        self.every(&mut tasks, SWEEP_INTERVAL, Self::sweep_filters);
        self.every(&mut tasks, stats::TICK.duration(), Self::sample_stats);
        self.every(&mut tasks, self.config().revive_interval.duration(), Self::revive);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a broker task failed");
            }
        }
        self.save();
    }

    /// Calls `work` each `interval` on a thread that may block, until the broker stops.
    fn every(&self, tasks: &mut JoinSet<()>, interval: Duration, work: fn(&Self)) {
        let broker = self.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = broker.stopped() => return,
                }
                let broker = broker.clone();
                if let Err(error) = tokio::task::spawn_blocking(move || work(&broker)).await {
                    tracing::error!(%error, "a broker task failed");
                }
            }
        });
    }

    /// Saves everything that is kept in files.
    fn save(&self) {
        report("topics", self.inner.topics.save_now());
        report("groups", self.inner.groups.save_now());
        self.save_progress();
    }

    /// Saves how far groups and delayed messages are, if that changed since it was last saved. [`Broker::run`] does so
    /// by itself; whoever serves connections for longer than it runs calls this behind the last of them. Blocks.
    pub fn save_progress(&self) {
        if let Err(error) = self.mark_ended_transactions() {
            tracing::error!(%error, "cannot mark transactions as ended");
        }
        report("positions of pops", self.settle_pops());
        report("consumer offsets", self.inner.offsets.save());
        report("the progress of delayed messages", self.inner.delays.save(self.store()));
        report("what is out in order", self.inner.pops.save(self.store().now()));
    }
}

fn report(what: &str, outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "cannot save {what}");
    }
}

/// Bytes of memory that the machine has.
fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}
