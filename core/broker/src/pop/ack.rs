//! Acknowledging popped messages, and changing how long they stay invisible.
//!
//! An acknowledgement is a record of the revive topic: it is answered once that is as safe as the flush mode promises,
//! and takes effect when the record is read. Nothing is looked up before, so that an acknowledgement costs one append,
//! whatever it is for; one that names nothing is read and forgotten.

use std::borrow::Cow;

use ferromq_model::{
    GroupName, Millis, NameError, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName,
};
use ferromq_store::{AppendError, Batch};

use super::order::Advance;
use super::receipt::{ORDER_QUEUE, Origin};
use super::record::{CheckPoint, Entry, MAX_MESSAGES, Target};
use super::take::MAX_INVISIBLE;
use crate::broker::Broker;

/// One message that is done.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic that the message lies in: for one that came again, the retry topic.
    pub topic: &'a str,
    /// The queue; `None` for a negative number.
    pub queue: Option<QueueId>,
    /// The receipt.
    pub receipt: &'a str,
    /// The message; `None` for a negative number.
    pub offset: Option<QueueOffset>,
}

/// Messages of one pop that are done.
#[derive(Clone, Debug)]
pub struct AckSome<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic that was popped.
    pub topic: &'a str,
    /// Whether the messages lay in a retry topic.
    pub origin: Origin,
    /// The queue.
    pub queue: QueueId,
    /// Where the pop started in it.
    pub start: QueueOffset,
    /// When it took place.
    pub popped: Timestamp,
    /// The revive queue of the receipt.
    pub revive_queue: u32,
    /// The messages.
    pub offsets: Vec<QueueOffset>,
}

/// A message is to stay invisible for another while.
#[derive(Clone, Copy, Debug)]
pub struct ChangeInvisible<'a> {
    /// The message.
    pub of: Ack<'a>,
    /// From now on.
    pub invisible: Millis,
}

/// What its new receipt is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// When the new span began.
    pub popped: Timestamp,
    /// The span.
    pub invisible: Millis,
    /// The revive queue.
    pub revive_queue: u32,
    /// Safe once the log is flushed up to here.
    pub end: PhysicalOffset,
}

/// An acknowledgement was refused.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// The topic does not exist.
    #[error("topic[{0}] not exist, apply first please!")]
    NoTopic(String),
    /// The topic has fewer queues.
    #[error("queueId is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}]")]
    NoQueue {
        /// The topic.
        topic: String,
        /// Queues that it has.
        queues: u32,
    },
    /// The queue has no such message.
    #[error("offset is illegal, topic:[{topic}] queue:[{queue}], {min} to {max} are there")]
    NoMessage {
        /// The topic.
        topic: String,
        /// The queue.
        queue: QueueId,
        /// Its oldest message.
        min: QueueOffset,
        /// One past its newest.
        max: QueueOffset,
    },
    /// The receipt is none.
    #[error("the receipt is not readable: {0}")]
    Receipt(String),
    /// The message is none of those that are out in order.
    #[error("offset {0} is none of those handed out in order")]
    NotHandedOut(QueueOffset),
    /// A span that is longer than allowed.
    #[error("the invisible time is {0}, at most {MAX_INVISIBLE} is allowed")]
    TooLong(Millis),
    /// The group's name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store takes no records.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl Broker {
    /// Notes for each pop which of its messages are done; what is wrong with one is no matter for the others.
    ///
    /// # Errors
    /// [`AckError::Store`], or what is wrong if it is so with all of them.
    pub fn ack_some(&self, asks: &[AckSome<'_>]) -> Result<PhysicalOffset, AckError> {
        let mut batch = Batch::new();
        let mut refused = None;
        let mut end = PhysicalOffset::ZERO;
        let mut noted = false;
        for ask in asks {
            match self.push_acks(ask, &mut batch) {
                Ok(in_order) => {
                    end = end.max(in_order);
                    noted = true;
                }
                Err(error @ AckError::Store(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(topic = ask.topic, group = ask.group, %error, "a part of a batch of acknowledgements is left out");
                    refused = Some(error);
                }
            }
        }
        match refused {
            Some(error) if !noted => return Err(error),
            _ => {}
        }
        if !batch.is_empty() {
            self.store().append(&mut batch)?;
        }
        Ok(end.max(end_of(&batch)))
    }

    fn push_acks(&self, ask: &AckSome<'_>, batch: &mut Batch) -> Result<PhysicalOffset, AckError> {
        GroupName::new(ask.group)?;
        let retry = match ask.origin {
            Origin::Topic => None,
            other => Some(TopicName::pop_retry_of(ask.group, ask.topic, other == Origin::RetryV2)?),
        };
        let topic = retry.as_ref().map_or(ask.topic, TopicName::as_str);
        let (found, queue) = self.find_popped(topic, Some(ask.queue))?;
        let (min, max) = (queue.min(), queue.max());
        let there = |offset: &QueueOffset| *offset >= min && *offset <= max;
        let offsets: Vec<_> = ask.offsets.iter().copied().filter(there).take(MAX_MESSAGES).collect();
        if offsets.is_empty() {
            let topic = topic.to_owned();
            return Err(AckError::NoMessage { topic, queue: ask.queue, min, max });
        }
        let target =
            Target { group: ask.group, topic, queue: ask.queue, start: ask.start, popped: ask.popped };
        let count = offsets.len() as u64;
        if ask.revive_queue == ORDER_QUEUE {
            let mut end = PhysicalOffset::ZERO;
            for offset in offsets {
                end = end.max(self.ack_in_order(&target, offset)?);
            }
            found.stats().count(ask.group, |stats| stats.acked.add(count, 0));
            return Ok(end);
        }
        let queue = self.pops().find_queue(ask.revive_queue);
        let queue = queue.ok_or_else(|| AckError::Receipt(format!("revive queue {}", ask.revive_queue)))?;
        target.acked(self, &offsets).push(self, queue, batch, self.store().now());
        found.stats().count(ask.group, |stats| stats.acked.add(count, 0));
        self.pops().note_done(self, target, count as u32);
        Ok(PhysicalOffset::ZERO)
    }

    /// Lets a message stay invisible for another while, from now on.
    ///
    /// # Errors
    /// [`AckError`]; nothing changed then.
    pub fn change_invisible(&self, ask: &ChangeInvisible<'_>) -> Result<Changed, AckError> {
        let (_, queue) = self.find_popped(ask.of.topic, ask.of.queue)?;
        let (receipt, offset) = self.check_receipt(&ask.of, &queue)?;
        let target = Target {
            group: ask.of.group,
            topic: ask.of.topic,
            queue: queue.id(),
            start: receipt.start,
            popped: receipt.popped,
        };
        if ask.invisible > MAX_INVISIBLE {
            return Err(AckError::TooLong(ask.invisible));
        }
        let now = self.store().now();
        let mut changed = Changed {
            popped: now,
            invisible: ask.invisible,
            revive_queue: receipt.revive_queue,
            end: PhysicalOffset::ZERO,
        };
        if receipt.revive_queue == ORDER_QUEUE {
            if let Some(at) = self.pops().places().find(target.group, target.topic, target.queue) {
                let mut place = at.lock();
                if let Some(order) = &mut place.order {
                    order.set_visible(offset, receipt.popped, now.plus(ask.invisible));
                    self.pops().note_order_changed();
                }
                drop(place);
                self.pops().ring(target.group, target.topic);
            }
            // The messages out in order are known by the time of their pop: it stays, and the span counts from it.
            changed.popped = receipt.popped;
            changed.invisible = now.plus(ask.invisible).since(receipt.popped);
            return Ok(changed);
        }
        // The new check point is told from the old one by its time, also within one millisecond.
        if changed.popped == receipt.popped {
            changed.popped = changed.popped.plus(Millis(1));
        }
        let point = CheckPoint {
            acked: 0,
            broker: Cow::Borrowed(&self.config().name),
            group: Cow::Borrowed(target.group),
            diffs: vec![0],
            invisible: ask.invisible.0 as i64,
            count: 1,
            popped: changed.popped.0,
            queue: target.queue.0,
            revive_time: changed.popped.plus(ask.invisible).0,
            revive_offset: 0,
            start: offset.0,
            topic: Cow::Borrowed(target.topic),
        };
        let queue = self.pops().queue(receipt.revive_queue);
        let mut batch = Batch::new();
        // The new one first: half of this stored lets the message come twice rather than never.
        Entry::Popped(point).push(self, queue, &mut batch, now);
        target.acked(self, &[offset]).push(self, queue, &mut batch, now);
        self.store().append(&mut batch)?;
        changed.end = end_of(&batch);
        Ok(changed)
    }

    /// Notes that a message popped in order is done, and moves the group on where it can.
    pub(super) fn ack_in_order(
        &self,
        target: &Target<'_>,
        offset: QueueOffset,
    ) -> Result<PhysicalOffset, AckError> {
        let Some(at) = self.pops().places().find(target.group, target.topic, target.queue) else {
            return Err(AckError::NotHandedOut(offset));
        };
        let mut place = at.lock();
        let position = place.position(&at, self.offsets());
        if position.is_some_and(|position| offset < position) {
            // Done before.
            return Ok(PhysicalOffset::ZERO);
        }
        let Some(order) = &mut place.order else { return Err(AckError::NotHandedOut(offset)) };
        let before = order.clone();
        let next = match order.ack(offset, target.popped) {
            Advance::To(next) => next,
            Advance::Stale => return Ok(PhysicalOffset::ZERO),
            Advance::Unknown => return Err(AckError::NotHandedOut(offset)),
        };
        let now = self.store().now();
        self.pops().note_order_changed();
        if position == Some(next) {
            drop(place);
            self.pops().ring(target.group, target.topic);
            return Ok(PhysicalOffset::ZERO);
        }
        // The position is saved some time later; a check point without messages notes it as safely as the others.
        let point = CheckPoint {
            acked: 0,
            broker: Cow::Borrowed(&self.config().name),
            group: Cow::Borrowed(target.group),
            diffs: Vec::new(),
            invisible: 0,
            count: 0,
            popped: now.0,
            queue: target.queue.0,
            revive_time: now.0,
            revive_offset: 0,
            start: next.0,
            topic: Cow::Borrowed(target.topic),
        };
        let mut batch = Batch::new();
        Entry::Popped(point).push(self, self.pops().queue(target.queue.0), &mut batch, now);
        if let Err(error) = self.store().append(&mut batch) {
            place.order = Some(before);
            return Err(error.into());
        }
        self.pops().places().advance(&at, &mut place, next, now);
        drop(place);
        self.pops().ring(target.group, target.topic);
        Ok(end_of(&batch))
    }
}

fn end_of(batch: &Batch) -> PhysicalOffset {
    batch.placed().last().map_or(PhysicalOffset::ZERO, |placed| placed.end)
}
