//! Building, starting and closing a consumer that is handed messages.
//!
//! ```text
//! tasks of one consumer   keep_share    which queues are ours, and fetching from each
//!                         workers       handlers (none for a stream)
//!                         store         positions, every second
//!                         locks         in order: renewed every 20 s
//!                         postponed     what is handed out once more
//!                         requests      what brokers ask
//! ```
//! Closing ends them in this order: no more fetching, handlers end, positions are stored, locks returned, the group left.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, Millis, NameError, Timestamp, TopicName};
use ferromq_protocol::body::{self, ConsumerData, SubscriptionData};
use ferromq_protocol::code::RequestCode;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::buffer::BufferLimits;
use super::filter::Filter;
use super::handing::{Handler, MessageStream, Postponed};
use super::offsets::Offsets;
use super::queues::{Assigned, LOCK_EVERY};
use super::ready::{Item, Ready};
use crate::allocate::Strategy;
use crate::backoff::{DEFAULT_ORDERLY_WAIT, ORDERLY_WAITS};
use crate::client::{Client, Inner};
use crate::error::{CallError, Remedy};
use crate::members::{AlreadyMember, Membership};
use crate::queue::MessageQueue;

/// How often brokers are told positions. Official clients do so every 5 s, and on the way with each pull.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often positions are written into a file.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// How long handlers may take to end when the consumer is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);
/// The most topics that one consumer may subscribe to.
pub(super) const MAX_TOPICS: usize = 10_000;
/// The most handlers that may run at a time.
const MAX_CONCURRENCY: usize = 1 << 14;

/// Where a group starts in a queue for which it has no position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsumeFrom {
    /// Behind the newest message. A young queue, which its broker still holds in memory in full, is read from its start
    /// all the same, as by official clients.
    #[default]
    Last,
    /// At the oldest message.
    First,
    /// At the first message that was stored at this time or later.
    Time(Timestamp),
}

/// Why a consumer cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The group's or a topic's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The client is in the group already.
    #[error(transparent)]
    AlreadyMember(#[from] AlreadyMember),
    /// No topic is subscribed to, or too many are.
    #[error("{0} topics are subscribed to, allowed are 1 to {MAX_TOPICS}")]
    Topics(usize),
    /// A setting outside of its range.
    #[error("{key} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: u64,
        /// What would do.
        allowed: &'static str,
    },
    /// A broker does not evaluate the filter of a topic.
    #[error("the filter of topic {topic} is refused: {source}")]
    Filter {
        /// The topic.
        topic: TopicName,
        /// The broker's refusal.
        source: CallError,
    },
    /// The file of positions cannot be read.
    #[error("positions cannot be read: {0}")]
    Offsets(#[from] io::Error),
}

impl StartError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Name(_) | Self::AlreadyMember(_) | Self::Topics(_) | Self::OutOfRange { .. } => {
                Remedy::FixCall
            }
            Self::Filter { source, .. } => source.remedy(),
            Self::Offsets(_) => Remedy::AskOperator,
        }
    }
}

/// What a consumer was built with.
pub(super) struct Settings {
    pub(super) in_order: bool,
    pub(super) broadcasting: bool,
    pub(super) from: ConsumeFrom,
    pub(super) strategy: Strategy,
    pub(super) batch: u32,
    pub(super) limits: BufferLimits,
    pub(super) handling_limit: Duration,
    pub(super) max_reconsume_times: Option<i32>,
    pub(super) pause: Duration,
}

impl Settings {
    /// Whether a queue has to be locked at its broker before it is consumed.
    pub(super) fn needs_locks(&self) -> bool {
        self.in_order && !self.broadcasting
    }
}

/// Builds a [`PushConsumer`].
#[derive(Debug)]
pub struct PushConsumerBuilder {
    client: Client,
    group: Result<GroupName, NameError>,
    topics: BTreeMap<String, Filter>,
    in_order: bool,
    broadcasting: bool,
    offset_dir: Option<PathBuf>,
    from: ConsumeFrom,
    strategy: Strategy,
    concurrency: usize,
    batch: u32,
    limits: BufferLimits,
    handling_limit: Duration,
    max_reconsume_times: Option<i32>,
    pause: Duration,
}

impl Client {
    /// Begins to build a consumer of `group` that is handed messages.
    #[must_use]
    pub fn push_consumer(&self, group: &str) -> PushConsumerBuilder {
        PushConsumerBuilder {
            client: self.clone(),
            group: GroupName::new(group),
            topics: BTreeMap::new(),
            in_order: false,
            broadcasting: false,
            offset_dir: None,
            from: ConsumeFrom::Last,
            strategy: Strategy::default(),
            concurrency: 20,
            batch: 32,
            limits: BufferLimits { messages: 1000, bytes: 100 << 20, span: 2000 },
            handling_limit: Duration::from_secs(15 * 60),
            max_reconsume_times: None,
            pause: DEFAULT_ORDERLY_WAIT.duration(),
        }
    }
}

impl PushConsumerBuilder {
    /// Subscribes to a topic. A second filter for the same topic replaces the first.
    #[must_use]
    pub fn subscribe(mut self, topic: &str, filter: Filter) -> Self {
        self.topics.insert(topic.to_owned(), filter);
        self
    }

    /// Hands the messages of each queue out in their order, one at a time; by default they are handed out concurrently.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// Every member gets every message; by default each message goes to one member. Each member keeps its own positions
    /// in `dir`, and nothing that failed comes again. For positions that outlive the process, give the client an
    /// [instance name](crate::ClientBuilder::instance_name), and each client of a host a directory of its own.
    #[must_use]
    pub fn broadcasting(mut self, dir: impl Into<PathBuf>) -> Self {
        self.broadcasting = true;
        self.offset_dir = Some(dir.into());
        self
    }

    /// Where the group starts in a queue for which it has no position: [`ConsumeFrom::Last`] by default.
    #[must_use]
    pub fn consume_from(mut self, from: ConsumeFrom) -> Self {
        self.from = from;
        self
    }

    /// How queues are shared: [`Strategy::Sticky`] by default. Every member of a group has to use the same.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many handlers may run at a time: 20 by default. Without meaning for streams.
    #[must_use]
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// How many messages one pull may bring: 32 by default, which is the most that brokers give.
    #[must_use]
    pub fn fetch_batch(mut self, messages: u32) -> Self {
        self.batch = messages;
        self
    }

    /// How many messages of one queue may be here without being done: 1,000 by default.
    #[must_use]
    pub fn max_buffered(mut self, messages: usize) -> Self {
        self.limits.messages = messages;
        self
    }

    /// How many bytes of one queue may be here without being done: 100 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How far one slow message lets the others of its queue run ahead, in offsets: 2,000 by default. Without meaning in
    /// order.
    #[must_use]
    pub fn max_span(mut self, offsets: u64) -> Self {
        self.limits.span = offsets;
        self
    }

    /// How long a handler may take before it counts as failed, from when it first waits for something: 15 minutes by
    /// default.
    #[must_use]
    pub fn handling_limit(mut self, limit: Duration) -> Self {
        self.handling_limit = limit;
        self
    }

    /// How often a message that failed is delivered again before it becomes a dead letter: as the broker is configured
    /// by default, which is 16 times; in order without end.
    #[must_use]
    pub fn max_reconsume_times(mut self, times: u32) -> Self {
        self.max_reconsume_times = Some(i32::try_from(times).unwrap_or(i32::MAX));
        self
    }

    /// In order: how long a queue pauses after a message that failed: 1 s by default, 10 ms to 30 s.
    #[must_use]
    pub fn pause_after_failure(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Starts consuming, with a handler.
    ///
    /// # Errors
    /// [`StartError`]. A topic or a broker that is not there yet is none: it is looked for again and again.
    pub async fn start(self, handler: impl Handler) -> Result<PushConsumer, StartError> {
        let concurrency = self.concurrency;
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            let value = concurrency as u64;
            return Err(StartError::OutOfRange { key: "concurrency", value, allowed: "1 to 16384" });
        }
        let mut consumer = self.begin().await?;
        let handler = Arc::new(handler);
        for _ in 0..concurrency {
            let shared = Arc::clone(&consumer.shared);
            consumer.workers.spawn(shared.work(Arc::clone(&handler)));
        }
        let requests = consumer.requests.take().expect("taken once, here or for a stream");
        let shared = Arc::clone(&consumer.shared);
        consumer.tasks.spawn(until(&consumer.stop, shared.answer_requests(requests, handler)));
        Ok(consumer)
    }

    /// Starts consuming, with a stream.
    ///
    /// # Errors
    /// As [`PushConsumerBuilder::start`].
    pub async fn stream(self) -> Result<(PushConsumer, MessageStream), StartError> {
        let mut consumer = self.begin().await?;
        let stream = MessageStream::of(&consumer.shared);
        let requests = consumer.requests.take().expect("taken once, here or for a handler");
        let shared = Arc::clone(&consumer.shared);
        consumer.tasks.spawn(until(&consumer.stop, shared.answer_requests_without_handler(requests)));
        Ok((consumer, stream))
    }

    async fn begin(self) -> Result<PushConsumer, StartError> {
        self.check()?;
        let group = self.group?;
        let inner = Arc::clone(&self.client.inner);
        let now = Timestamp::now();
        let mut subscriptions = BTreeMap::new();
        for (topic, filter) in self.topics {
            subscriptions.insert(TopicName::new(&topic)?, filter);
        }
        for (topic, filter) in subscriptions.iter().filter(|(_, filter)| filter.is_sql()) {
            check_filter(&inner, &group, topic, &filter.subscription(topic, now)).await?;
        }
        if !self.broadcasting {
            subscriptions.insert(TopicName::retry_of(&group), Filter::all());
        }
        let offsets = match &self.offset_dir {
            Some(dir) => Offsets::in_file(Arc::clone(&inner), group.as_str(), dir).await?,
            None => Offsets::on_brokers(Arc::clone(&inner), group.as_str()),
        };
        let data = ConsumerData {
            consume_from_where: match self.from {
                ConsumeFrom::Last => ConsumeFromWhere::LastOffset,
                ConsumeFrom::First => ConsumeFromWhere::FirstOffset,
                ConsumeFrom::Time(_) => ConsumeFromWhere::Timestamp,
            },
            consume_type: ConsumeType::Passively,
            group_name: group.to_string(),
            message_model: if self.broadcasting {
                MessageModel::Broadcasting
            } else {
                MessageModel::Clustering
            },
            subscription_data_set: subscriptions
                .iter()
                .map(|(topic, filter)| filter.subscription(topic, now))
                .collect(),
            unit_mode: false,
        };
        let (membership, requests) = inner.join_consumers(&group, data)?;
        let shared = Arc::new(Consumer {
            inner: Arc::clone(&inner),
            group,
            settings: Settings {
                in_order: self.in_order,
                broadcasting: self.broadcasting,
                from: self.from,
                strategy: self.strategy,
                batch: self.batch,
                limits: self.limits,
                handling_limit: self.handling_limit,
                max_reconsume_times: self.max_reconsume_times,
                pause: self.pause,
            },
            subscriptions: RwLock::new(subscriptions),
            subscribed: now,
            offsets,
            queues: Mutex::default(),
            ready: Arc::default(),
            postponed: Postponed::default(),
            changed: Notify::new(),
        });
        let topics: Vec<_> = shared.subscriptions.read().keys().cloned().collect();
        inner.read_routes(&topics).await;
        inner.heartbeat().await;
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(until(&stop, Arc::clone(&shared).keep_share()));
        tasks.spawn(Arc::clone(&shared).store_positions(stop.subscribe()));
        let mut workers = JoinSet::new();
        workers.spawn(until(&stop, Arc::clone(&shared).do_postponed()));
        if shared.settings.needs_locks() {
            tasks.spawn(until(&stop, Arc::clone(&shared).keep_locks()));
        }
        Ok(PushConsumer {
            shared,
            membership,
            stop,
            tasks,
            workers,
            requests: Some(requests),
            _client: self.client,
        })
    }

    fn check(&self) -> Result<(), StartError> {
        if self.topics.is_empty() || self.topics.len() > MAX_TOPICS {
            return Err(StartError::Topics(self.topics.len()));
        }
        let ranges = [
            ("fetch_batch", u64::from(self.batch), 1, 1024, "1 to 1024"),
            ("max_buffered", self.limits.messages as u64, 1, 1 << 16, "1 to 65536"),
            ("max_buffered_bytes", self.limits.bytes as u64, 1, 1 << 40, "1 B to 1 TiB"),
            ("max_span", self.limits.span, 1, 1 << 16, "1 to 65536"),
        ];
        for (key, value, least, most, allowed) in ranges {
            if !(least..=most).contains(&value) {
                return Err(StartError::OutOfRange { key, value, allowed });
            }
        }
        let pause = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX);
        if !ORDERLY_WAITS.contains(&Millis(pause)) {
            let (key, allowed) = ("pause_after_failure", "10 ms to 30 s");
            return Err(StartError::OutOfRange { key, value: pause, allowed });
        }
        Ok(())
    }
}

/// Asks a broker of the topic whether it can evaluate a filter.
pub(super) async fn check_filter(
    inner: &Arc<Inner>,
    group: &GroupName,
    topic: &TopicName,
    subscription: &SubscriptionData,
) -> Result<(), StartError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Check<'a> {
        client_id: &'a str,
        group: &'a str,
        subscription_data: &'a SubscriptionData,
    }
    // Without a route nobody can say; the broker that has the topic one day will.
    let Ok(route) = inner.route(topic).await else { return Ok(()) };
    let Some(addr) = route.brokers.keys().find_map(|broker| route.master(broker)) else { return Ok(()) };
    let check = Check { client_id: inner.id(), group: group.as_str(), subscription_data: subscription };
    let link = inner.link(addr);
    match inner.call(&link, RequestCode::CheckClientConfig, &(), &body::encode(&check).into()).await {
        Err(source @ CallError::Refused { .. }) => Err(StartError::Filter { topic: topic.clone(), source }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What the tasks of a consumer share.
pub(super) struct Consumer {
    pub(super) inner: Arc<Inner>,
    pub(super) group: GroupName,
    pub(super) settings: Settings,
    pub(super) subscriptions: RwLock<BTreeMap<TopicName, Filter>>,
    /// When the subscriptions were made: their version.
    pub(super) subscribed: Timestamp,
    pub(super) offsets: Offsets,
    pub(super) queues: Mutex<HashMap<MessageQueue, Arc<Assigned>>>,
    pub(super) ready: Arc<Ready<Item>>,
    pub(super) postponed: Postponed,
    /// Told when the group has changed.
    pub(super) changed: Notify,
}

impl Consumer {
    async fn store_positions(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let every = if self.settings.broadcasting { WRITE_EVERY } else { TELL_EVERY };
        self.offsets.store_every(every, stopped, || self.note_positions()).await;
    }

    async fn keep_locks(self: Arc<Self>) {
        let mut ticks = interval(LOCK_EVERY);
        loop {
            ticks.tick().await;
            self.renew_locks().await;
        }
    }
}

/// A consumer that is handed messages, by a handler or a stream. Close it to store what was handled; one that is dropped
/// stops too, and what it handled in its last seconds is delivered again.
pub struct PushConsumer {
    shared: Arc<Consumer>,
    membership: Membership,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    workers: JoinSet<()>,
    requests: Option<tokio::sync::mpsc::Receiver<crate::wire::Request>>,
    _client: Client,
}

impl PushConsumer {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        &self.shared.group
    }

    /// The queues that are this member's now, sorted.
    #[must_use]
    pub fn queues(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.shared.queues.lock().keys().cloned().collect();
        queues.sort();
        queues
    }

    /// Stops fetching, waits for handlers for up to 30 s, stores the positions, and leaves the group, so that the other
    /// members take over at once. A stream ends.
    pub async fn close(mut self) {
        // Only what fetches: handlers go on.
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.shared.ready.close();
        let workers = &mut self.workers;
        let ended = timeout(CLOSE_LIMIT, async { while workers.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(group = %self.shared.group, "handlers did not end: their messages come again");
            self.workers.shutdown().await;
        }
        self.shared.note_positions();
        if let Err(error) = self.shared.offsets.store().await {
            tracing::warn!(group = %self.shared.group, %error, "not every position could be stored");
        }
        self.shared.give_all_up().await;
        self.membership.leave().await;
    }
}

impl std::fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushConsumer").field("group", &self.shared.group).finish_non_exhaustive()
    }
}

/// Runs a task until the consumer stops.
pub(super) fn until(
    stop: &watch::Sender<bool>,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        tokio::select! {
            () = task => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}
