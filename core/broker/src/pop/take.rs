//! Popping: the checks, then one look at the queues, which hands out what it finds and stores a check point of it.
//!
//! ```text
//! lock the place ─▶ read the queue ─▶ append the check point ─▶ move the position ─▶ unlock
//! ```
//! Nothing is handed out before its check point is stored, and with sync flush durable: [`Popped::end`]. Should the
//! append fail, the position stays, and the messages are the next one's.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::filter::{FilterError, MessageFilter};
use ferromq_model::message::{find_property, property, push_property};
use ferromq_model::record::{self, NewRecord, Record};
use ferromq_model::{
    GroupName, Millis, NameError, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName,
};
use ferromq_store::{AppendError, Batch, Found, Queue, Read, ReadError, ReadLimit};
use parking_lot::MutexGuard;

use super::Pops;
use super::held::HeldPop;
use super::order::{OrderCounts, OrderInfo};
use super::places::{Place, PopQueue, PopTopic};
use super::receipt::{ORDER_QUEUE, Origin, Receipt};
use super::record::{CheckPoint, Entry, MAX_MESSAGES};
use crate::broker::Broker;
use crate::groups::GroupError;
use crate::pull::Forbidden;
use crate::topics::Topic;

/// A pop may come this late behind the end of its patience.
const LATENESS: Millis = Millis(500);
/// The longest that popped messages stay invisible.
pub const MAX_INVISIBLE: Millis = Millis::hours(3 * 24);

/// Where a group starts in a queue that it has no position in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message.
    Oldest,
    /// At the newest one.
    Newest,
}

/// One pop as a front-end decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Pop<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The queue; `None` for any.
    pub queue: Option<QueueId>,
    /// How many messages at most.
    pub max: u32,
    /// How long they stay invisible for others.
    pub invisible: Millis,
    /// How long to wait for one, from `born` on.
    pub wait: Millis,
    /// When the client asked, by its own clock; 0 if it does not say.
    pub born: Timestamp,
    /// Where a new group starts.
    pub start: Start,
    /// Which messages: an expression, empty for all.
    pub expression: &'a str,
    /// Its kind, empty for `TAG`.
    pub expression_kind: &'a str,
    /// Whether a queue gives out no messages while others of it are out.
    pub in_order: bool,
    /// Names this attempt, if it is to be repeated.
    pub attempt: Option<&'a str>,
}

/// A pop was refused.
#[derive(Debug, thiserror::Error)]
pub enum PopError {
    /// It comes when its client does not wait any more.
    #[error("the pop comes {late} behind the end of its patience")]
    TooLate {
        /// By how much.
        late: Millis,
    },
    /// The broker, the topic or the group may not be read.
    #[error("{why}")]
    Forbidden {
        /// For people.
        why: String,
        /// Which of them.
        what: Forbidden,
    },
    /// More messages than one pop may ask for.
    #[error("the pop message's num is greater than {MAX_MESSAGES}: {0}")]
    TooMany(u32),
    /// A span that is longer than allowed.
    #[error("the invisible time is {0}, at most {MAX_INVISIBLE} is allowed")]
    TooLong(Millis),
    /// The topic does not exist.
    #[error("topic[{0}] not exist, apply first please!")]
    NoTopic(String),
    /// The topic has fewer queues.
    #[error("queueId[{queue}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}]")]
    NoQueue {
        /// What was asked for.
        queue: u32,
        /// The topic.
        topic: String,
        /// Queues that it has.
        queues: u32,
    },
    /// The group does not exist.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The expression is none.
    #[error("parse the consumer's subscription failed: {0}")]
    Filter(FilterError),
    /// Topic and group are too long together: there could be no topic for retries.
    #[error(transparent)]
    RetryTopic(#[from] NameError),
    /// The files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store takes no check point.
    #[error(transparent)]
    Store(#[from] AppendError),
}

/// Messages that were handed out from one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Whether they lay in the topic itself.
    pub origin: Origin,
    /// The queue.
    pub queue: QueueId,
    /// Where the pop started in it.
    pub start: QueueOffset,
    /// Their offsets, rising.
    pub offsets: Vec<QueueOffset>,
    /// How often they were handed out before, where that is in order.
    pub counts: Option<OrderCounts>,
}

/// What a pop is answered with.
#[derive(Debug)]
pub struct Popped {
    /// How it ended.
    pub outcome: Outcome,
    /// When it took place.
    pub at: Timestamp,
    /// How long its messages are invisible.
    pub invisible: Millis,
    /// The queue of the revive topic for receipts.
    pub revive_queue: u32,
    /// Messages that were left, about.
    pub rest: u64,
    /// Where the messages come from.
    pub portions: Vec<Portion>,
    /// Stored records, in the order of `portions`, each piece one or several whole ones.
    pub records: Vec<Bytes>,
    /// Messages in them.
    pub count: u32,
    pub(super) bytes: usize,
    /// Check points are safe once the log is flushed up to here.
    pub(super) end: PhysicalOffset,
    /// When messages that are blocked now may be had.
    pub(super) blocked_until: Option<Timestamp>,
}

/// How a pop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With messages.
    Found,
    /// Without any in its time.
    Nothing,
    /// As many pops wait, or messages are out, as may.
    Full,
}

/// A pop that was accepted.
#[derive(Debug)]
pub enum Accepted {
    /// It has its answer.
    Now(Popped),
    /// Its answer comes.
    Later(Box<HeldPop>),
}

/// All that a look at the queues needs.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) group: GroupName,
    pub(super) topic: TopicName,
    pub(super) queue: Option<QueueId>,
    pub(super) max: u32,
    pub(super) invisible: Millis,
    pub(super) start: Start,
    pub(super) filter: MessageFilter,
    pub(super) in_order: bool,
    pub(super) attempt: Option<String>,
    /// Retry topics to look at, too.
    pub(super) retries: Vec<(Origin, TopicName)>,
}

impl Broker {
    /// Answers a pop, or accepts it to wait.
    ///
    /// # Errors
    /// [`PopError`]; nothing was handed out.
    pub fn pop(&self, ask: &Pop<'_>) -> Result<Accepted, PopError> {
        let now = self.store().now();
        let born = if ask.born <= Timestamp::ZERO { now } else { ask.born };
        let late = now.since(born.plus(ask.wait));
        if late > LATENESS {
            return Err(PopError::TooLate { late });
        }
        let look = self.pop_look(ask)?;
        let popped = if self.pops().is_full() { look.nothing(self, Outcome::Full) } else { look.take(self)? };
        match popped.outcome {
            Outcome::Found if self.store().flushes_before_ack() && popped.end > PhysicalOffset::ZERO => {
                Ok(HeldPop::found(self, popped))
            }
            Outcome::Found | Outcome::Full => Ok(Accepted::Now(popped)),
            Outcome::Nothing => Ok(HeldPop::wait(self, look, popped, born.plus(ask.wait))),
        }
    }

    /// Reads messages as a pop would, and hands out none of them: no check points, no position moves.
    ///
    /// # Errors
    /// [`PopError`].
    pub fn peek(&self, ask: &Pop<'_>) -> Result<Popped, PopError> {
        self.pop_look(ask)?.peek(self)
    }

    /// Checks a pop in the reference's order.
    pub(super) fn pop_look(&self, ask: &Pop<'_>) -> Result<Look, PopError> {
        if !self.live().permission().readable() {
            let why = format!("the broker[{}] pop message is forbidden", self.store_host().ip());
            return Err(PopError::Forbidden { why, what: Forbidden::Broker });
        }
        if ask.max > MAX_MESSAGES as u32 {
            return Err(PopError::TooMany(ask.max));
        }
        if ask.invisible > MAX_INVISIBLE {
            return Err(PopError::TooLong(ask.invisible));
        }
        let topic = self.topics().find(ask.topic).ok_or_else(|| PopError::NoTopic(ask.topic.to_owned()))?;
        if !topic.config().perm.readable() {
            let why = format!("the topic[{}] pop message is forbidden", ask.topic);
            return Err(PopError::Forbidden { why, what: Forbidden::Topic });
        }
        let queues = topic.config().read_queue_nums;
        if let Some(queue) = ask.queue.filter(|queue| queue.0 >= queues) {
            return Err(PopError::NoQueue { queue: queue.0, topic: ask.topic.to_owned(), queues });
        }
        let group = self.groups().find_or_create(ask.group)?;
        if !group.consume_enable {
            let why = format!("subscription group no permission, {}", ask.group);
            return Err(PopError::Forbidden { why, what: Forbidden::Group });
        }
        if !self.groups().may_read(ask.group, ask.topic) {
            let why = format!("the consumer group[{}] is forbidden for topic[{}]", ask.group, ask.topic);
            return Err(PopError::Forbidden { why, what: Forbidden::Subscription });
        }
        let filter = self.filters().compile(ask.expression_kind, ask.expression);
        let filter = filter.map_err(PopError::Filter)?;
        // Where messages come again has to be a possible name before any is handed out.
        let retries = self.pops().retry_topics(self.config(), &group.group_name, topic.name())?;
        Ok(Look {
            group: group.group_name.clone(),
            topic: topic.name().clone(),
            queue: ask.queue,
            max: ask.max.max(1),
            invisible: ask.invisible,
            start: ask.start,
            filter,
            in_order: ask.in_order,
            attempt: ask.attempt.filter(|text| !text.is_empty()).map(str::to_owned),
            retries: if ask.in_order { Vec::new() } else { retries },
        })
    }
}

impl Look {
    /// An answer without messages.
    pub(super) fn nothing(&self, broker: &Broker, outcome: Outcome) -> Popped {
        let revive_queue = if self.in_order { ORDER_QUEUE } else { broker.pops().next_queue(broker) };
        Popped {
            outcome,
            at: broker.store().now(),
            invisible: self.invisible,
            revive_queue,
            rest: 0,
            portions: Vec::new(),
            records: Vec::new(),
            count: 0,
            bytes: 0,
            end: PhysicalOffset::ZERO,
            blocked_until: None,
        }
    }

    /// Hands out what there is.
    pub(super) fn take(&self, broker: &Broker) -> Result<Popped, PopError> {
        self.look(broker, false)
    }

    /// Reads what a pop would hand out, and hands out nothing.
    pub(super) fn peek(&self, broker: &Broker) -> Result<Popped, PopError> {
        self.look(broker, true)
    }

    fn look(&self, broker: &Broker, peek: bool) -> Result<Popped, PopError> {
        let popped = self.nothing(broker, Outcome::Nothing);
        let number = broker.next_number();
        let retry_first = number.wrapping_mul(0x9E37_79B9) >> 16; // spread: neighbours are not alike
        let retry_first = retry_first % 100 < broker.config().pop_from_retry_probability;
        let mut round = Round { look: self, broker, peek, number, popped };
        for retries in [retry_first, !retry_first] {
            match if retries { round.visit_retries() } else { round.visit_own() } {
                // What is handed out already has its check points: it must reach the client.
                Err(error) if round.popped.count > 0 => {
                    tracing::warn!(topic = %self.topic, group = %self.group, %error, "a pop ends early");
                    break;
                }
                other => other?,
            }
        }
        let Round { mut popped, .. } = round;
        if popped.count > 0 {
            popped.outcome = Outcome::Found;
        } else if !peek {
            broker.stats().missed();
        }
        Ok(popped)
    }

    /// Where a group without a position starts.
    fn first(&self, broker: &Broker, queue: &Queue, origin: Origin) -> QueueOffset {
        let min = queue.min();
        if self.start == Start::Oldest || origin != Origin::Topic || self.topic.retry_group().is_some() {
            return min;
        }
        if broker.config().init_pop_offset_by_memory && broker.is_young(queue) {
            return QueueOffset::ZERO;
        }
        // The newest message itself is handed out, as the reference does.
        QueueOffset(queue.max().0.saturating_sub(1))
    }

    /// Stores that the portion is handed out; where that record ends.
    fn check_point(
        &self,
        broker: &Broker,
        topic: &TopicName,
        portion: &Portion,
        popped: &Popped,
    ) -> Result<PhysicalOffset, AppendError> {
        let distance = |offset: &QueueOffset| offset.since(portion.start) as u32;
        let point = CheckPoint {
            acked: 0,
            broker: Cow::Borrowed(&broker.config().name),
            group: Cow::Borrowed(self.group.as_str()),
            diffs: portion.offsets.iter().map(distance).collect(),
            invisible: self.invisible.0 as i64,
            count: portion.offsets.len() as u8,
            popped: popped.at.0,
            queue: portion.queue.0,
            revive_time: popped.at.plus(self.invisible).0,
            revive_offset: 0,
            start: portion.start.0,
            topic: Cow::Borrowed(topic.as_str()),
        };
        let mut batch = Batch::new();
        Entry::Popped(point).push(broker, broker.pops().queue(popped.revive_queue), &mut batch, popped.at);
        broker.store().append(&mut batch)?;
        Ok(batch.placed().last().map_or(popped.end, |placed| placed.end))
    }

    /// Adds the records as the client wants them: those of a retry topic under the topic that it asked for, with their
    /// receipts.
    fn add_records(&self, broker: &Broker, found: Found, portion: &Portion, popped: &mut Popped) {
        if portion.origin == Origin::Topic || broker.config().pop_returns_retry_topic {
            popped.records.extend(found.records);
            return;
        }
        let mut bytes = Vec::with_capacity(found.bytes + found.count as usize * 128);
        for record in records_of(&found.records) {
            let receipt = Receipt {
                start: portion.start,
                popped: popped.at,
                invisible: self.invisible,
                revive_queue: popped.revive_queue,
                origin: portion.origin,
                broker: &broker.config().name,
                queue: portion.queue,
                offset: Some(record.queue_offset),
            };
            let mut properties = record.properties.to_owned();
            if find_property(&properties, property::POP_CK).is_none() {
                push_property(&mut properties, property::POP_CK, &receipt.to_string());
            }
            // A message with as many properties as there may be keeps them; its client makes the receipt itself.
            let fits = properties.len() <= ferromq_model::message::MAX_PROPERTIES_LEN;
            let start = bytes.len();
            let properties = [if fits { &*properties } else { record.properties }];
            NewRecord::copy_of(&record, self.topic.as_str(), record.queue_id, &properties).encode(&mut bytes);
            record::patch(&mut bytes[start..], record.queue_offset, record.physical_offset, record.stored);
        }
        popped.records.push(bytes.into());
    }
}

/// One round through the queues.
struct Round<'a> {
    look: &'a Look,
    broker: &'a Broker,
    /// Whether nothing is handed out.
    peek: bool,
    /// The queue to begin with, wherever there are several.
    number: u32,
    popped: Popped,
}

impl Round<'_> {
    fn visit_own(&mut self) -> Result<(), PopError> {
        let Some(topic) = self.broker.topics().find(self.look.topic.as_str()) else { return Ok(()) };
        self.visit_topic(&topic, Origin::Topic, self.look.queue)
    }

    fn visit_retries(&mut self) -> Result<(), PopError> {
        for (origin, name) in &self.look.retries {
            let Some(topic) = self.broker.topics().find(name.as_str()) else { continue };
            self.visit_topic(&topic, *origin, None)?;
        }
        Ok(())
    }

    fn visit_topic(
        &mut self,
        topic: &Arc<Topic>,
        origin: Origin,
        only: Option<QueueId>,
    ) -> Result<(), PopError> {
        let of_topic = self.broker.pops().places().topic_or_new(&self.look.group, topic.name());
        let queues = topic.config().read_queue_nums;
        for n in 0..if only.is_some() { 1 } else { queues } {
            let id = only.unwrap_or(QueueId((self.number.wrapping_add(n)) % queues));
            self.visit_queue(topic, &of_topic, origin, id)?;
        }
        Ok(())
    }

    fn visit_queue(
        &mut self,
        topic: &Arc<Topic>,
        of_topic: &PopTopic,
        origin: Origin,
        id: QueueId,
    ) -> Result<(), PopError> {
        let Self { look, broker, peek, .. } = *self;
        let store = broker.store();
        let Some(queue) = topic.queue(store, id) else { return Ok(()) };
        let places = broker.pops().places();
        let Some(at) = places.find_or_new(of_topic, &look.group, topic.name(), id) else {
            return Ok(());
        };
        let mut place = at.lock();
        let mut from = match place.position(&at, broker.offsets()) {
            Some(position) => position,
            None => {
                let first = look.first(broker, queue, origin);
                if !peek {
                    place.begin_at(&at, broker.offsets(), first);
                }
                first
            }
        };
        let popped = &mut self.popped;
        if look.in_order
            && let Some(order) = &place.order
            && !order.is_of(look.attempt.as_deref())
            && let Some(until) = order.blocked_until(popped.at)
        {
            popped.blocked_until = Some(popped.blocked_until.map_or(until, |known| known.min(until)));
            return Ok(());
        }
        let room = look.max - popped.count;
        let bytes = (store.config().max_pull_bytes.0 as usize).saturating_sub(popped.bytes);
        let is_full = room == 0 || (bytes == 0 && popped.count > 0);
        if is_full || (!look.in_order && Pops::is_saturated(broker, &at)) {
            popped.rest += queue.max().since(from);
            return Ok(());
        }
        let limit = ReadLimit { messages: room, bytes };
        let filter = if origin == Origin::Topic { &look.filter } else { &MessageFilter::All };
        let mut read = store.read(queue, from, limit, filter)?;
        let corrected = match read {
            Read::Before { min } => Some(min),
            Read::Beyond { max } => Some(max),
            Read::Empty => Some(QueueOffset::ZERO).filter(|zero| from > *zero),
            Read::Found(_) | Read::NoMatch { .. } | Read::AtEnd => None,
        };
        if let Some(right) = corrected {
            tracing::warn!(topic = %topic.name(), group = %look.group, queue = %id, %from, to = %right, "a position is none of the queue's and moves");
            from = right;
            if !peek {
                place.begin_at(&at, broker.offsets(), right);
            }
            read = store.read(queue, right, limit, filter)?;
        }
        match read {
            Read::Found(found) => {
                let offsets = offsets_of(&found);
                let mut portion = Portion { origin, queue: id, start: from, offsets, counts: None };
                if peek {
                    drop(place);
                } else {
                    self.hand_out(topic, &at, place, &mut portion, &found)?;
                }
                let popped = &mut self.popped;
                popped.rest += queue.max().since(found.next);
                popped.count += found.count;
                popped.bytes += found.bytes;
                look.add_records(broker, found, &portion, popped);
                popped.portions.push(portion);
            }
            Read::NoMatch { next } => {
                // With every message wanted, what did not pass is not there any more.
                if !peek || *filter == MessageFilter::All {
                    places.advance(&at, &mut place, next, popped.at);
                }
                popped.rest += queue.max().since(next);
            }
            Read::AtEnd | Read::Empty | Read::Before { .. } | Read::Beyond { .. } => {}
        }
        Ok(())
    }

    /// Notes that the group has the portion now.
    fn hand_out(
        &mut self,
        topic: &Topic,
        at: &Arc<PopQueue>,
        mut place: MutexGuard<'_, Place>,
        portion: &mut Portion,
        found: &Found,
    ) -> Result<(), PopError> {
        let Self { look, broker, popped, .. } = self;
        let group = look.group.as_str();
        if look.in_order {
            let info = OrderInfo::handed_out(
                place.order.as_ref(),
                look.attempt.as_deref(),
                &portion.offsets,
                popped.at,
                look.invisible,
            );
            portion.counts = Some(info.order_counts());
            place.order = Some(info);
            broker.pops().note_order_changed();
        } else {
            popped.end = look.check_point(broker, topic.name(), portion, popped)?;
            broker.pops().places().advance(at, &mut place, found.next, popped.at);
            if broker.config().limit_pops {
                at.add_out(found.count);
            }
        }
        drop(place);
        if !look.in_order {
            topic.stats().count(group, |stats| stats.checkpoints.add(1, 0));
        }
        broker.stats().found(topic, group, u64::from(found.count), found.bytes as u64);
        Ok(())
    }
}

/// The records of a read, one by one.
pub(super) fn records_of(pieces: &[Bytes]) -> impl Iterator<Item = Record<'_>> {
    pieces.iter().flat_map(|piece| {
        let mut rest = &piece[..];
        std::iter::from_fn(move || {
            let record = Record::decode(rest).ok()?;
            rest = &rest[record.len..];
            Some(record)
        })
    })
}

/// The offsets of the records of a read.
fn offsets_of(found: &Found) -> Vec<QueueOffset> {
    let mut offsets = Vec::with_capacity(found.count as usize);
    for piece in &found.records {
        let mut rest = &piece[..];
        while let Some((len, offset)) = record::place(rest) {
            offsets.push(offset);
            rest = &rest[len..];
        }
    }
    offsets
}
