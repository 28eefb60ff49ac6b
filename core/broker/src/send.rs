//! Sending: validate, find the topic and queue, encode outside of any lock; then one append for everything that came
//! together.
//!
//! ```text
//! prepare(send 1), prepare(send 2), …   each may be refused on its own
//! commit()                              one append; tickets then tell where each message lies
//! ```
//! A message becomes durable later, at [`Placed::end`](ferromq_store::Placed): whoever answers waits for that if the
//! store flushes before it acknowledges and the sender did not say `WAIT=false`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use ferromq_model::message::{
    MAX_PROPERTIES_LEN, PROPERTY_END, SysFlag, TagsCode, find_property, iter_entries, java_hash, property,
    push_property, without_properties,
};
use ferromq_model::mqtt::{Parts, names};
use ferromq_model::name::{AUTO_CREATE_TOPIC, DLQ_PREFIX, HALF_TOPIC, RETRY_PREFIX, TRACE_TOPIC};
use ferromq_model::record::NewRecord;
use ferromq_model::topic::{Permission, TopicConfig, TopicFilterType};
use ferromq_model::{GroupName, NameError, PhysicalOffset, QueueId, Timestamp, TopicName, batch, hex};
use ferromq_store::{AppendError, Batch, EntryTag, MessageKeys, Placed};

use crate::broker::Broker;
use crate::deferral::{self, DeferError, GROWTH_ON_THE_WAY};
use crate::fanout::{Further, LastLook};
use crate::groups::GroupError;
use crate::light::{LightError, OnItsWay};
use crate::recall::RecallHandle;
use crate::stats::Stage;
use crate::topics::{Topic, TopicError};
use crate::transaction::half;

/// Records that one [`SendBatch`] holds at most, in bytes: beyond it the caller commits before it prepares more.
pub const BATCH_BYTES: usize = 4 << 20;
/// Messages that one client batch may have.
pub const MAX_CLIENT_BATCH: usize = 65_536;
/// For [`Send::default_queues`]: as many as the topic has whose settings a new one takes over.
pub const QUEUES_OF_TEMPLATE: i32 = i32::MAX;
/// Bytes of the `UNIQ_KEY` property that the broker adds: its name, 32 hex digits, both separators.
const UNIQUE_KEY_PROPERTY_LEN: usize = property::UNIQUE_KEY.len() + 32 + 2;

/// A message, or a client's batch of them, as a front-end decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Send<'a> {
    /// The topic as the sender wrote it.
    pub topic: &'a str,
    /// The topic whose settings a new one takes over.
    pub default_topic: &'a str,
    /// Queues that the sender would give a new topic.
    pub default_queues: i32,
    /// The queue; `None` lets the broker choose.
    pub queue: Option<QueueId>,
    /// Lets the broker choose the same queue for all messages with this text, as long as the topic keeps its queues; the
    /// one that Java's `SelectMessageQueueByHash` chooses among a single broker's.
    pub sharding_key: Option<&'a str>,
    /// System flags.
    pub sys_flag: SysFlag,
    /// The sender's own flag.
    pub flag: i32,
    /// When the sender made it.
    pub born: Timestamp,
    /// The sender's address.
    pub born_host: SocketAddr,
    /// The property string.
    pub properties: &'a str,
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Redeliveries allowed, if the sender says so.
    pub max_reconsume_times: Option<i32>,
    /// Whether a new topic is a unit topic.
    pub unit_mode: bool,
    /// The body holds a batch in the form of [`ferromq_model::batch`].
    pub is_batch: bool,
    /// The body.
    pub body: &'a [u8],
}

/// A send was refused; nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The sender's fault.
    #[error(transparent)]
    IllegalTopic(#[from] NameError),
    /// Brokers write it themselves.
    #[error("Sending message to topic[{0}] is forbidden.")]
    ForbiddenTopic(String),
    /// It does not exist and is not created by itself.
    #[error("topic[{0}] not exist, apply first please!")]
    NoTopic(String),
    /// The topic has fewer queues.
    #[error("request queueId[{queue}] is illegal, topic[{topic}] has {queues} queues")]
    NoQueue {
        /// What was asked for.
        queue: u32,
        /// The topic.
        topic: String,
        /// Queues that it has.
        queues: u32,
    },
    /// The retry topic's group does not exist.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The topic, or the broker, takes no messages.
    #[error("{0}")]
    NotWritable(String),
    /// Body or properties are too long, or the batch is broken.
    #[error("{0}")]
    Illegal(String),
    /// It is to come later than allowed, or than possible.
    #[error(transparent)]
    Defer(#[from] DeferError),
    /// It names further queues that it cannot be in.
    #[error(transparent)]
    Light(#[from] LightError),
    /// The topic could not be created.
    #[error(transparent)]
    Create(TopicError),
    /// The store takes no messages.
    #[error(transparent)]
    Store(#[from] AppendError),
}

/// Names one prepared send until its batch is committed.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    first: u32,
    count: u32,
    /// The queue that the sender is told, which is not where a delayed message waits.
    pub queue: QueueId,
    /// Whether the sender waits until it is durable.
    pub wait: bool,
}

impl Ticket {
    /// Messages that were sent with it.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// Sends that are appended together. One per connection, reused.
#[derive(Default)]
pub struct SendBatch {
    batch: Batch,
    /// The topic of the last send: senders mostly stay with one.
    last_topic: Option<(u64, Arc<Topic>)>,
    /// The topic filters that the last message matched.
    last_look: LastLook,
    /// Handles by which timer messages are taken back, with the message that each belongs to.
    recalls: Vec<(u32, String)>,
    /// Properties with the unique keys that the broker made, with the message that each belongs to, in their order.
    made_keys: Vec<(u32, String)>,
    /// When the first of them came.
    began: Option<Instant>,
    /// When they were stored.
    stored: Option<Instant>,
    /// Whether its messages keep [`names::MARKS`].
    keeps_marks: bool,
}

impl SendBatch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one of a front-end that sets [`names::MARKS`] by itself. Everybody else's messages lose them: after a
    /// crash they are believed.
    #[must_use]
    pub fn with_marks() -> Self {
        Self { keeps_marks: true, ..Self::default() }
    }

    /// Messages prepared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether nothing is prepared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Whether it should be committed before more is prepared.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batch.byte_len() >= BATCH_BYTES
    }

    /// Where the ticket's messages lie, after the commit; fewer than its count if the store refused.
    #[must_use]
    pub fn placed(&self, ticket: Ticket) -> &[Placed] {
        let all = self.batch.placed();
        let end = (ticket.first + ticket.count) as usize;
        all.get(ticket.first as usize..end.min(all.len())).unwrap_or_default()
    }

    /// By what the ticket's message can be taken back, if it is a timer message.
    #[must_use]
    pub fn recall_handle(&self, ticket: Ticket) -> Option<&str> {
        let found = self.recalls.iter().find(|(message, _)| *message == ticket.first);
        found.filter(|_| ticket.count == 1).map(|(_, handle)| handle.as_str())
    }

    /// The unique key that the broker made for the ticket's message, if its client gave it none.
    #[must_use]
    pub fn made_key(&self, ticket: Ticket) -> Option<&str> {
        let at = self.made_keys.binary_search_by_key(&ticket.first, |(message, _)| *message).ok()?;
        find_property(&self.made_keys[at].1, property::UNIQUE_KEY)
    }

    /// Says when the first message came, if that was before it is prepared; what comes later changes nothing.
    pub fn came(&mut self, at: Instant) {
        if self.is_empty() {
            self.began = Some(at);
        }
    }

    /// When its messages were stored, after the commit.
    #[must_use]
    pub fn stored(&self) -> Option<Instant> {
        self.stored
    }

    /// Empties it.
    pub fn clear(&mut self) {
        (self.began, self.stored) = (None, None);
        self.batch.clear();
        self.made_keys.clear();
        self.recalls.clear();
    }
}

/// What one look at a property string found out.
#[derive(Default)]
struct Scan<'a> {
    tags: Option<&'a str>,
    wait: bool,
    /// What the message can be found by.
    keys: MessageKeys<'a>,
    /// Something that only a rewritten string can hold.
    special: bool,
    /// Places in light queues, which brokers give: it is an earlier message, passed on.
    passed_on: bool,
    /// Perhaps what only a front-end may say.
    marked: bool,
}

/// Looks at the names that matter. The string stays as it is unless `special` says otherwise.
fn scan(properties: &str) -> Scan<'_> {
    let mut found = Scan { wait: true, ..Scan::default() };
    for (name, value) in iter_entries(properties) {
        match name {
            "TAGS" if !value.is_empty() => found.tags = Some(value),
            "UNIQ_KEY" if !value.is_empty() => found.keys.unique = Some(value),
            "KEYS" if !value.is_empty() => found.keys.keys = Some(value),
            "WAIT" if value.eq_ignore_ascii_case("false") => {
                found.wait = false;
                found.special = true;
            }
            "DELAY"
            | "TRAN_MSG"
            | "POP_CK"
            | "MSG_REGION"
            | "TRACE_ON"
            | "CLUSTER"
            | "INNER_NUM"
            | "__CRC32#"
            | "TIMER_DELAY_SEC"
            | "TIMER_DELAY_MS"
            | "TIMER_DELIVER_MS"
            | "INNER_MULTI_DISPATCH" => {
                found.special = true;
            }
            "INNER_MULTI_QUEUE_OFFSET" => {
                found.passed_on = true;
                found.special = true;
            }
            _ if name.starts_with(names::MARK_PREFIX) => found.marked = true,
            _ => {}
        }
    }
    found
}

/// Whether a message belongs to a transaction that is not decided yet.
fn is_half_message(send: &Send<'_>) -> bool {
    half::is_asked_for(send.properties, send.reconsume_times)
}

/// Where a message is to be stored, once everything that redirects it is decided.
struct Target<'a> {
    topic: Arc<Topic>,
    queue: QueueId,
    properties: Cow<'a, str>,
    tag: EntryTag,
    wait: bool,
    sys_flag: SysFlag,
    /// What the message can be found by.
    keys: MessageKeys<'a>,
    /// Light queues that it is to be in as well.
    further: Further,
    /// For a timer message: its real topic, and the slot that it waits in.
    recall: Option<(Arc<Topic>, Timestamp)>,
}

impl Broker {
    /// Whether this broker takes messages at all.
    ///
    /// # Errors
    /// [`SendError::NotWritable`], [`SendError::Store`]: every send would be refused with it.
    pub fn check_writable(&self) -> Result<(), SendError> {
        if !self.live().permission().writable() {
            let host = self.store_host();
            return Err(SendError::NotWritable(format!(
                "the broker[{}] sending message is forbidden",
                host.ip()
            )));
        }
        Ok(self.store().writable()?)
    }

    /// Validates one send and encodes it into `sends`. Nothing is stored before [`Broker::commit`].
    ///
    /// # Errors
    /// [`SendError`]: this send is refused; others in `sends` are not touched.
    pub fn prepare(&self, sends: &mut SendBatch, send: &Send<'_>) -> Result<Ticket, SendError> {
        self.check_writable()?;
        if !send.sys_flag.is_queued() && (send.is_batch || !is_half_message(send)) {
            // Stored as if it were in a queue, it would not be there after recovery, which goes by the flag.
            let text = "the message is illegal: it is flagged as part of a transaction and has no TRAN_MSG";
            return Err(SendError::Illegal(text.to_owned()));
        }
        let topic = self.sending_topic(sends, send)?;
        let queue = self.sending_queue(&topic, send)?;
        let first = sends.batch.len() as u32;
        if first == 0 && sends.began.is_none() {
            sends.came(Instant::now());
        }
        if send.is_batch {
            return self.prepare_client_batch(sends, send, &topic, queue, first);
        }
        self.check_size(send.body.len(), send.properties.len())?;
        let found = scan(send.properties);
        let is_plain = !found.special && (!found.marked || sends.keeps_marks);
        let target = if !is_plain || topic.name().is_derived() {
            self.redirect(sends, send, topic, queue, &found)?
        } else {
            let mut properties = Cow::Borrowed(send.properties);
            let further = if self.fanout().is_empty() {
                Further::default()
            } else {
                let message = self.on_its_way(&topic, send);
                self.further(&message, Vec::new(), &mut properties, &mut sends.last_look)
            };
            Target {
                topic,
                queue,
                properties,
                tag: EntryTag::Tags(TagsCode::of(found.tags)),
                wait: found.wait,
                sys_flag: send.sys_flag,
                keys: found.keys,
                further,
                recall: None,
            }
        };
        self.encode(sends, send, &target)?;
        Ok(Ticket { first, count: 1, queue, wait: target.wait })
    }

    /// As [`Broker::prepare`], for what the broker itself sends to a topic that it has found, also while it takes no
    /// messages from clients.
    pub(crate) fn prepare_own(
        &self,
        sends: &mut SendBatch,
        send: &Send<'_>,
        topic: Arc<Topic>,
        queue: QueueId,
    ) -> Result<Ticket, SendError> {
        self.store().writable()?;
        let first = sends.batch.len() as u32;
        let target = self.redirect(sends, send, topic, queue, &scan(send.properties))?;
        self.encode(sends, send, &target)?;
        Ok(Ticket { first, count: 1, queue, wait: target.wait })
    }

    /// Stores everything prepared, in order. Afterwards [`SendBatch::placed`] tells where each ticket's messages lie.
    ///
    /// # Errors
    /// Why the tickets without a place are not stored.
    pub fn commit(&self, sends: &mut SendBatch) -> Result<(), AppendError> {
        let began = Instant::now();
        let outcome = self.store().append(&mut sends.batch);
        let ended = Instant::now();
        sends.stored = Some(ended);
        let took = ended.duration_since(began);
        let stored = sends.batch.placed().len() as u64;
        let stages = &self.stats().stages;
        stages.collected(sends.began.unwrap_or(began), began, stored);
        stages.took(Stage::Append, took, stored);
        // With sync flush a message is stored when it is flushed, which whoever waits for it notes.
        if !self.store().flushes_before_ack() {
            self.stats().put_times.took(took, stored);
        }
        if outcome.is_err() {
            self.stats().put_times.failed(sends.batch.len() as u64 - stored);
        }
        outcome
    }

    fn check_size(&self, body: usize, properties: usize) -> Result<(), SendError> {
        let limit = self.store().config().max_message_size.0 as usize;
        // What the broker adds must fit as well.
        if body > limit || properties + self.added_len() > MAX_PROPERTIES_LEN {
            return Err(SendError::Illegal(format!(
                "the message is illegal, maybe msg body or properties length not matched. \
                 msg body length limit {limit}B, msg properties length limit {MAX_PROPERTIES_LEN}B."
            )));
        }
        Ok(())
    }

    /// Bytes that the broker adds to a message's properties: a separator, a unique key, its suffix.
    fn added_len(&self) -> usize {
        1 + UNIQUE_KEY_PROPERTY_LEN + self.suffix().len()
    }

    fn sending_topic(&self, sends: &mut SendBatch, send: &Send<'_>) -> Result<Arc<Topic>, SendError> {
        let generation = self.topics().generation();
        if let Some((seen, topic)) = &sends.last_topic
            && *seen == generation
            && topic.name().as_str() == send.topic
        {
            return Ok(Arc::clone(topic));
        }
        let topic = match self.topics().find(send.topic) {
            Some(topic) => topic,
            None => self.create_for_send(send)?,
        };
        if topic.name().is_send_forbidden() {
            return Err(SendError::ForbiddenTopic(send.topic.to_owned()));
        }
        if !topic.config().perm.writable() {
            return Err(SendError::NotWritable(format!(
                "the topic[{}] sending message is forbidden",
                send.topic
            )));
        }
        // The generation from before the look: what changed meanwhile is looked up again.
        sends.last_topic = Some((generation, Arc::clone(&topic)));
        Ok(topic)
    }

    /// A topic that does not exist yet takes the settings of the default topic, if that one lets others inherit.
    fn create_for_send(&self, send: &Send<'_>) -> Result<Arc<Topic>, SendError> {
        let name = TopicName::new(send.topic)?;
        if name.is_send_forbidden() {
            return Err(SendError::ForbiddenTopic(send.topic.to_owned()));
        }
        let missing = || SendError::NoTopic(send.topic.to_owned());
        let config = if name.retry_group().is_some() {
            TopicConfig::new(name, 1)
        } else {
            let default = self.topics().find(send.default_topic).ok_or_else(missing)?;
            let template = default.config();
            let inherits = template.perm.inheritable()
                && (send.default_topic != AUTO_CREATE_TOPIC || self.live().auto_create_topics());
            // Clients that trace expect to create the trace topic like any other where it does not exist.
            let reserved = name.is_system() && name.as_str() != TRACE_TOPIC;
            if !inherits || reserved {
                return Err(missing());
            }
            let queues = u32::try_from(send.default_queues).unwrap_or(0).min(template.write_queue_nums);
            let mut config =
                TopicConfig::new(name, queues).with_perm(template.perm.without(Permission::INHERIT));
            config.topic_sys_flag = i32::from(send.unit_mode);
            config.topic_filter_type = template.topic_filter_type;
            config
        };
        tracing::info!(topic = %config.topic_name, queues = config.write_queue_nums, from = %send.born_host, "creating a topic");
        self.topics().find_or_put(send.topic, || config).map_err(SendError::Create)
    }

    fn sending_queue(&self, topic: &Topic, send: &Send<'_>) -> Result<QueueId, SendError> {
        match send.queue {
            Some(queue) if queue.0 < topic.queue_count() => Ok(queue),
            Some(queue) => Err(SendError::NoQueue {
                queue: queue.0,
                topic: topic.name().to_string(),
                queues: topic.queue_count(),
            }),
            None if topic.config().write_queue_nums > 0 => {
                let queues = topic.config().write_queue_nums;
                Ok(QueueId(match send.sharding_key {
                    // The remainder first, its sign dropped then, as clients compute it.
                    Some(key) => (i64::from(java_hash(key)) % i64::from(queues)).unsigned_abs() as u32,
                    None => self.next_number() % queues,
                }))
            }
            None => Err(SendError::NoQueue { queue: 0, topic: topic.name().to_string(), queues: 0 }),
        }
    }

    /// Everything that stores a message elsewhere or with other properties than it came with: dead letters, delays, and
    /// properties that only brokers set.
    fn redirect<'a>(
        &self,
        sends: &mut SendBatch,
        send: &Send<'a>,
        topic: Arc<Topic>,
        queue: QueueId,
        found: &Scan<'a>,
    ) -> Result<Target<'a>, SendError> {
        let properties = send.properties;
        if find_property(properties, property::INNER_NUM).is_some() {
            return Err(SendError::Illegal(
                "the message is illegal: INNER_NUM without an inner batch".to_owned(),
            ));
        }
        // The client sent what an earlier broker had added, as retried messages do; ours follows.
        let replaced = [
            property::POP_CK,
            property::MSG_REGION,
            property::TRACE_ON,
            property::CLUSTER,
            property::CRC32,
            property::INNER_MULTI_QUEUE_OFFSET,
        ];
        let mut kept = without_properties(properties, &replaced);
        if found.passed_on && !self.dispatches() {
            // The list of queues is a broker's, too: not what this sender wants.
            kept = without_properties(&kept, &[property::INNER_MULTI_DISPATCH]);
        }
        if found.marked && !sends.keeps_marks {
            kept = without_properties(&kept, &names::MARKS);
        }
        if !found.wait {
            kept = without_properties(&kept, &[property::WAIT]);
        }
        let mut target = Target {
            topic,
            queue,
            properties: Cow::Borrowed(""),
            tag: EntryTag::Tags(TagsCode::of(found.tags)),
            wait: found.wait,
            sys_flag: send.sys_flag,
            keys: found.keys,
            further: Further::default(),
            recall: None,
        };
        if let Some(group) = target.topic.name().retry_group() {
            let config = self.groups().find_or_create(group)?;
            let limit = send.max_reconsume_times.unwrap_or(config.retry_max_times);
            // A member that consumes in order has already retried by itself as often as it wanted to.
            let in_order = self.locks().any_held(group, self.store().now());
            if send.reconsume_times > limit || in_order {
                target.topic = self.dead_letter_topic(&config.group_name)?;
                target.queue = QueueId(0);
                kept = without_properties(&kept, &[property::DELAY]);
                push_property(&mut kept, property::DELAY, "-1");
            }
        }
        if is_half_message(send) {
            return self.half_message_target(send, target, &kept);
        }
        if let Some(deferred) = self.defer(target.topic.name(), target.queue, &kept)? {
            // The name that a handle for taking it back needs.
            target.recall = deferred.slot.map(|slot| (Arc::clone(&target.topic), slot));
            target.topic = deferred.topic;
            target.queue = deferred.queue;
            target.tag = deferred.tag;
            kept = deferred.properties;
        }
        let named = self.named_queues(target.topic.name().as_str(), &kept)?;
        let mut kept = Cow::Owned(kept);
        let message = self.on_its_way(&target.topic, send);
        target.further = self.further(&message, named, &mut kept, &mut sends.last_look);
        // What it is given on its way must fit as well.
        let growth = if target.recall.is_some() { GROWTH_ON_THE_WAY } else { 0 };
        self.check_size(send.body.len(), kept.len() + target.further.properties().len() + growth)?;
        target.properties = kept;
        Ok(target)
    }

    fn on_its_way<'a>(&self, topic: &'a Topic, send: &Send<'a>) -> OnItsWay<'a> {
        let sent = Parts::of(send.properties, send.body);
        OnItsWay { topic: topic.name().as_str(), sent, added: self.added_len() }
    }

    /// Where a half message is stored. What it asks for beside that counts when it is committed.
    fn half_message_target<'a>(
        &self,
        send: &Send<'a>,
        mut target: Target<'a>,
        properties: &str,
    ) -> Result<Target<'a>, SendError> {
        if self.config().reject_transactions {
            let host = self.store_host().ip();
            return Err(SendError::NotWritable(format!(
                "the broker[{host}] sending transaction message is forbidden"
            )));
        }
        // What could not be delivered in the end is refused now, while its sender listens.
        self.defer(target.topic.name(), target.queue, properties)?;
        let properties = half::properties(properties, target.topic.name(), target.queue);
        self.check_size(send.body.len(), properties.len() + half::GROWTH_WHILE_CHECKED + GROWTH_ON_THE_WAY)?;
        target.topic =
            self.topics().find(HALF_TOPIC).ok_or_else(|| SendError::NoTopic(HALF_TOPIC.to_owned()))?;
        target.queue = QueueId(0);
        target.sys_flag.0 &= !SysFlag::TRANSACTION_MASK;
        target.properties = Cow::Owned(properties);
        Ok(target)
    }

    /// `%DLQ%<group>`, made when it is first needed.
    pub(crate) fn dead_letter_topic(&self, group: &GroupName) -> Result<Arc<Topic>, SendError> {
        let name = TopicName::dead_letters_of(group);
        debug_assert!(name.as_str().starts_with(DLQ_PREFIX));
        let text = name.to_string();
        self.topics().find_or_put(&text, || TopicConfig::new(name, 1)).map_err(SendError::Create)
    }

    fn encode(&self, sends: &mut SendBatch, send: &Send<'_>, target: &Target<'_>) -> Result<(), SendError> {
        let Some(queue) = target.topic.queue(self.store(), target.queue) else {
            let topic = target.topic.name().to_string();
            return Err(SendError::NoQueue {
                queue: target.queue.0,
                topic,
                queues: target.topic.queue_count(),
            });
        };
        let properties = &*target.properties;
        let separator =
            if properties.is_empty() || properties.ends_with(PROPERTY_END as char) { "" } else { "\x02" };
        let mut keys = target.keys;
        let made = keys.unique.is_none().then(|| self.unique_key_property());
        let unique_key = made.as_deref().unwrap_or_default();
        keys.unique = keys.unique.or_else(|| find_property(unique_key, property::UNIQUE_KEY));
        let mut sys_flag = target.sys_flag;
        if target.topic.config().topic_filter_type == TopicFilterType::MultiTag {
            sys_flag.0 |= SysFlag::MULTI_TAGS;
        }
        let record = NewRecord {
            topic: target.topic.name().as_str(),
            queue_id: target.queue,
            flag: send.flag,
            sys_flag,
            born: send.born,
            born_host: send.born_host,
            store_host: self.store_host(),
            reconsume_times: send.reconsume_times,
            prepared_offset: PhysicalOffset::ZERO,
            body: send.body,
            properties: &[properties, separator, unique_key, self.suffix(), target.further.properties()],
        };
        if let (Some((topic, slot)), Some(key)) = (&target.recall, keys.unique)
            && topic.name().retry_group().is_none()
        {
            let handle = RecallHandle::of(topic.name().as_str(), &self.config().name, *slot, key);
            sends.recalls.push((sends.batch.len() as u32, handle.encode()));
        }
        let message = sends.batch.len() as u32;
        self.push_further(&mut sends.batch, queue, &record, (target.tag, keys), &target.further);
        sends.made_keys.extend(made.map(|made| (message, made)));
        Ok(())
    }

    /// Each message of a client's batch is stored as one of its own. The request's own properties belong to the
    /// request: they are not copied to the messages.
    fn prepare_client_batch(
        &self,
        sends: &mut SendBatch,
        send: &Send<'_>,
        topic: &Arc<Topic>,
        queue: QueueId,
        first: u32,
    ) -> Result<Ticket, SendError> {
        if topic.name().as_str().starts_with(RETRY_PREFIX) {
            return Err(SendError::Illegal(
                "the message is illegal: a batch cannot go to a retry topic".to_owned(),
            ));
        }
        self.check_size(send.body.len(), 0)?;
        let items = batch::items(send.body)
            .take(MAX_CLIENT_BATCH + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|broken| SendError::Illegal(format!("the message is illegal: {broken}")))?;
        if items.is_empty() || items.len() > MAX_CLIENT_BATCH {
            let text = format!("the message is illegal: a batch has 1 to {MAX_CLIENT_BATCH} messages");
            return Err(SendError::Illegal(text));
        }
        let refuse = || {
            let text = "the message is illegal: messages of a batch can neither be delayed nor transactional";
            SendError::Illegal(text.to_owned())
        };
        if is_half_message(send) {
            return Err(refuse());
        }
        let mut wait = scan(send.properties).wait;
        // All are checked before the first is encoded, so that a refused batch leaves nothing behind.
        let mut targets = Vec::with_capacity(items.len());
        for item in &items {
            self.check_size(item.body.len(), item.properties.len())?;
            let found = scan(item.properties);
            let one = Send {
                properties: item.properties,
                body: item.body,
                flag: item.flag,
                is_batch: false,
                ..*send
            };
            let delayed = found.special && deferral::is_asked_for(item.properties);
            if delayed || (found.special && is_half_message(&one)) {
                return Err(refuse());
            }
            let target = self.redirect(sends, &one, Arc::clone(topic), queue, &found)?;
            wait &= target.wait;
            targets.push((one, target));
        }
        for (one, target) in &targets {
            self.encode(sends, one, target)?;
        }
        Ok(Ticket { first, count: targets.len() as u32, queue, wait })
    }

    /// A unique key for a message whose client gave none, in the shape that clients give.
    fn unique_key_property(&self) -> String {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let ip = match self.store_host().ip() {
            std::net::IpAddr::V4(ip) => u32::from(ip),
            std::net::IpAddr::V6(ip) => ip.octets()[12..].iter().fold(0, |n, &b| n << 8 | u32::from(b)),
        };
        // Asked of the kernel each time, which takes as long as half of a send.
        static PID: LazyLock<u16> = LazyLock::new(|| std::process::id() as u16);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now().0 as u32;
        // Address, process, the upper half of the count, milliseconds, its lower half.
        let mut key = [0; 16];
        key[..4].copy_from_slice(&ip.to_be_bytes());
        key[4..6].copy_from_slice(&PID.to_be_bytes());
        key[6..10].copy_from_slice(&(count >> 16).to_be_bytes());
        key[10..14].copy_from_slice(&now.to_be_bytes());
        key[14..].copy_from_slice(&(count as u16).to_be_bytes());
        let mut text = String::with_capacity(48);
        push_property(&mut text, property::UNIQUE_KEY, hex::write(&key, &mut [0; 32]));
        debug_assert_eq!(text.len(), UNIQUE_KEY_PROPERTY_LEN);
        text
    }
}
