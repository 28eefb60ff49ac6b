//! Light queues on the broker's side: topics and groups that need no settings, and messages that are put into further
//! queues when they reach their topic.
//!
//! Topics `%LMQ%...` exist with `enableLmq`; they are neither saved nor registered. A message is put into the light
//! queues that it names, and into those of the topic filters that match it, where it is stored under its own topic: at
//! once, or when its time has come. The latter need no setting.

use std::borrow::Cow;
use std::sync::Arc;

use ferromq_model::light::{self, LIGHT_QUEUE, ListError};
use ferromq_model::message::{
    MAX_PROPERTIES_LEN, SysFlag, find_property, property, push_property, without_properties,
};
use ferromq_model::mqtt::Parts;
use ferromq_model::name::OVERFLOW_TOPIC;
use ferromq_model::record::NewRecord;
use ferromq_model::{PhysicalOffset, TopicName, mqtt};
use ferromq_store::{Batch, EntryTag, MessageKeys, Queue};

use crate::broker::Broker;
use crate::fanout::{Dispatch, Further, LastLook};

/// A message cannot be put into the queues that it names.
#[derive(Debug, thiserror::Error)]
pub enum LightError {
    /// The sender's fault.
    #[error("the message is illegal: {0}")]
    List(#[from] ListError),
    /// There are as many light queues as there may be.
    #[error(
        "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]there are as many light queues as maxLmqConsumeQueueNum allows ({most}), {topic} is new"
    )]
    TooMany {
        /// How many.
        most: u32,
        /// The first that is one too many.
        topic: TopicName,
    },
}

/// A message on its way to its topic.
pub(crate) struct OnItsWay<'a> {
    /// Its topic.
    pub(crate) topic: &'a str,
    /// As it came.
    pub(crate) sent: Parts<'a>,
    /// Bytes that its record's properties have beside those that are kept.
    pub(crate) added: usize,
}

impl Broker {
    /// Whether messages are put into the further queues that they name.
    pub(crate) fn dispatches(&self) -> bool {
        let config = self.store().config();
        config.light_queues && config.multi_dispatch
    }

    /// The light queues that a message is to be in as well, as its properties say.
    pub(crate) fn named_queues(&self, topic: &str, properties: &str) -> Result<Vec<Arc<Queue>>, LightError> {
        if !self.dispatches() || !light::is_dispatched(topic) {
            return Ok(Vec::new());
        }
        let named = find_property(properties, property::INNER_MULTI_DISPATCH);
        let topics = named.map(light::parse_queues).transpose()?.unwrap_or_default();
        let queue = |topic: TopicName| {
            let most = self.store().config().max_light_queues;
            self.store().light_queue(&topic).ok_or(LightError::TooMany { most, topic })
        };
        topics.into_iter().map(queue).collect()
    }

    /// Where a message is put beside its own queue: what it names, and what filters match. `kept` are its properties as
    /// they are stored; they change where one list of queues takes the other's place.
    pub(crate) fn further(
        &self,
        message: &OnItsWay<'_>,
        named: Vec<Arc<Queue>>,
        kept: &mut Cow<'_, str>,
        last: &mut LastLook,
    ) -> Further {
        let of_named = |named: Vec<_>| Further {
            own: (!named.is_empty()).then(|| Arc::new(Dispatch::of_named(named))),
            rest: Vec::new(),
        };
        let is_for_filters = || light::is_dispatched(message.topic) && mqtt::is_published(message.topic);
        if self.fanout().is_empty() || !is_for_filters() {
            return of_named(named);
        }
        let matched = self.fanout().matching_again(&mqtt::address(message.topic, &message.sent), last);
        if matched.is_empty() {
            return of_named(named);
        }
        let names_some = find_property(message.sent.properties, property::INNER_MULTI_DISPATCH).is_some();
        // A filter's own queue may be what the message is sent to.
        if !names_some && !light::is_light(message.topic) {
            if kept.len() + message.added + matched[0].properties.len() <= MAX_PROPERTIES_LEN {
                return Further { own: Some(Arc::clone(&matched[0])), rest: matched[1..].to_vec() };
            }
            return Further { own: None, rest: matched.to_vec() };
        }
        let has = |queue: &Arc<Queue>| {
            queue.topic().as_str() == message.topic && queue.id() == LIGHT_QUEUE
                || named.iter().any(|named| Arc::ptr_eq(named, queue))
        };
        let others: Vec<_> =
            matched.iter().flat_map(|part| &*part.queues).filter(|queue| !has(queue)).cloned().collect();
        if others.is_empty() && named.is_empty() {
            return Further::default();
        }
        // The list of the record's queues takes the place of what the sender aimed at, which is kept as a topic.
        let mut rewritten = without_properties(kept, &[property::INNER_MULTI_DISPATCH]);
        if find_property(&rewritten, property::ORIGIN_MQTT_TOPIC).is_none() {
            let address = mqtt::address(message.topic, &message.sent);
            push_property(&mut rewritten, property::ORIGIN_MQTT_TOPIC, &address);
        }
        let all = named.iter().chain(&others).cloned().collect();
        let one = Dispatch::of(all, named.len())
            .filter(|one| rewritten.len() + message.added + one.properties.len() <= MAX_PROPERTIES_LEN);
        if let Some(one) = one {
            *kept = Cow::Owned(rewritten);
            return Further { own: Some(Arc::new(one)), rest: Vec::new() };
        }
        Further { rest: Dispatch::split(others), ..of_named(named) }
    }

    /// Adds a message to `batch`, to be in further queues as well. Its properties end with those of `further`.
    pub(crate) fn push_further(
        &self,
        batch: &mut Batch,
        queue: &Arc<Queue>,
        record: &NewRecord<'_>,
        keyed: (EntryTag, MessageKeys<'_>),
        further: &Further,
    ) {
        // Before the message itself: what is durable up to its end is so for all who get it.
        if !further.rest.is_empty() {
            self.push_overflow(batch, record, keyed.0, further);
        }
        batch.push_with_keys(Arc::clone(queue), record, keyed.0, keyed.1);
        if let Some(own) = &further.own {
            batch.dispatch_last(Arc::clone(&own.queues), own.needed);
        }
    }

    /// Adds the message once more for each list of queues that its own record has no room for.
    fn push_overflow(&self, batch: &mut Batch, record: &NewRecord<'_>, tag: EntryTag, further: &Further) {
        let Ok(topic) = TopicName::new(OVERFLOW_TOPIC) else { return };
        // The places in the message's own list are not known yet: its last piece.
        let pieces = record.properties.strip_suffix(&[further.properties()]).unwrap_or(record.properties);
        let mut whole = Vec::new();
        NewRecord { properties: pieces, ..*record }.encode(&mut whole);
        for part in &further.rest {
            let outer = NewRecord {
                topic: OVERFLOW_TOPIC,
                queue_id: LIGHT_QUEUE,
                flag: 0,
                sys_flag: SysFlag(0),
                reconsume_times: 0,
                prepared_offset: PhysicalOffset::ZERO,
                body: &whole,
                properties: &[&part.properties],
                ..*record
            };
            batch.push_unlisted(self.store().queue(&topic, LIGHT_QUEUE), &outer, tag);
            batch.dispatch_last(Arc::clone(&part.queues), part.needed);
        }
    }

    /// Adds a message that waited elsewhere to the queue that it is meant for, and to the light queues that it names or
    /// whose filters match. Where it cannot be in those that it names, it is delivered without them rather than not at all.
    pub(crate) fn push_delivered(
        &self,
        batch: &mut Batch,
        queue: &Arc<Queue>,
        record: &NewRecord<'_>,
        tag: EntryTag,
    ) {
        let names_some = |piece: &&str| find_property(piece, property::INNER_MULTI_DISPATCH).is_some();
        let named = self.dispatches() && record.properties.iter().any(names_some);
        if !named && self.fanout().is_empty() {
            return batch.push(Arc::clone(queue), record, tag);
        }
        let sent = record.properties.concat();
        let mut kept = Cow::Owned(without_properties(&sent, &[property::INNER_MULTI_QUEUE_OFFSET]));
        let named = self.named_queues(record.topic, &kept).unwrap_or_else(|error| {
            tracing::warn!(topic = record.topic, %error, "a message is delivered without the light queues that it names");
            Vec::new()
        });
        let message = OnItsWay { topic: record.topic, sent: Parts::of(&sent, record.body), added: 0 };
        let mut further = self.further(&message, named, &mut kept, &mut LastLook::default());
        if kept.len() + further.properties().len() > MAX_PROPERTIES_LEN {
            further.own = None;
        }
        let record = NewRecord { properties: &[&kept, further.properties()], ..*record };
        let keys = MessageKeys::of(&kept);
        self.push_further(batch, queue, &record, (tag, keys), &further);
    }
}
