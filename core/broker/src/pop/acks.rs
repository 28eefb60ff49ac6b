//! Acknowledgements that come one after the other, as clients send them that acknowledge message by message: what they
//! say of one pop becomes one record, and all records are stored by one append.

use std::sync::Arc;

use ferromq_model::{GroupName, PhysicalOffset, QueueId, QueueOffset, Timestamp};
use ferromq_store::{AppendError, Batch, Queue};

use super::ack::{Ack, AckError};
use super::receipt::{ORDER_QUEUE, Receipt};
use super::record::{MAX_MESSAGES, Target};
use crate::broker::Broker;
use crate::topics::Topic;

/// Records from which on a batch is to be stored.
const FULL: usize = 1024;

/// Acknowledgements on their way to the log. Reused, so that its buffers are allocated once.
#[derive(Default)]
pub struct AckBatch {
    records: Batch,
    /// The pop of the last ones, which are in no record yet.
    open: Option<OfPop>,
}

/// Messages of one pop that are done.
struct OfPop {
    topic: Arc<Topic>,
    queue: Arc<Queue>,
    group: String,
    receipt: SameIn,
    offsets: Vec<QueueOffset>,
}

/// What receipts of one pop share, beside the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SameIn {
    start: QueueOffset,
    popped: Timestamp,
    revive_queue: u32,
}

/// Which acknowledgement of a batch it was.
#[derive(Clone, Copy, Debug)]
pub struct AckTicket(Stored);

#[derive(Clone, Copy, Debug)]
enum Stored {
    /// With this record.
    With(usize),
    /// Already, up to here.
    Before(PhysicalOffset),
}

impl AckBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it should be stored before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= FULL
    }

    /// What has to be flushed for an acknowledgement to be durable; `None` if it was not stored.
    #[must_use]
    pub fn end(&self, ticket: AckTicket) -> Option<PhysicalOffset> {
        match ticket.0 {
            Stored::With(record) => self.records.placed().get(record).map(|placed| placed.end),
            Stored::Before(end) => Some(end),
        }
    }

    /// Empties it for the next ones.
    pub fn clear(&mut self) {
        self.records.clear();
        self.open = None;
    }

    /// Adds one that is for the same pop as the last one, without a look at anything else. `None` if it is not.
    fn add_to_open(&mut self, ask: &Ack<'_>) -> Option<AckTicket> {
        let open = self.open.as_mut()?;
        let (offset, receipt) = (ask.offset?, Receipt::parse(ask.receipt)?);
        let same = ask.queue == Some(open.queue.id())
            && ask.group == open.group
            && ask.topic == open.topic.name().as_str()
            && open.receipt == SameIn::of(&receipt)
            && (open.queue.min()..=open.queue.max()).contains(&offset)
            && open.offsets.len() < MAX_MESSAGES;
        same.then(|| {
            open.offsets.push(offset);
            AckTicket(Stored::With(self.records.len()))
        })
    }

    fn close(&mut self, broker: &Broker) {
        let Some(OfPop { topic, queue, group, receipt, offsets }) = self.open.take() else { return };
        topic.stats().count(&group, |stats| stats.acked.add(offsets.len() as u64, 0));
        let SameIn { start, popped, revive_queue } = receipt;
        let target = Target { group: &group, topic: topic.name().as_str(), queue: queue.id(), start, popped };
        let (records, now) = (&mut self.records, broker.store().now());
        target.acked(broker, &offsets).push(broker, broker.pops().queue(revive_queue), records, now);
        broker.pops().note_done(broker, target, offsets.len() as u32);
    }
}

impl SameIn {
    fn of(receipt: &Receipt<'_>) -> Self {
        let Receipt { start, popped, revive_queue, .. } = *receipt;
        Self { start, popped, revive_queue }
    }
}

impl Broker {
    /// Checks that a message may be noted as done, and adds that to the batch. Doing so again is no error.
    ///
    /// # Errors
    /// [`AckError`]; nothing is noted then.
    pub fn prepare_ack(&self, batch: &mut AckBatch, ask: &Ack<'_>) -> Result<AckTicket, AckError> {
        if let Some(ticket) = batch.add_to_open(ask) {
            return Ok(ticket);
        }
        let (topic, queue) = self.find_popped(ask.topic, ask.queue)?;
        let (receipt, offset) = self.check_receipt(ask, &queue)?;
        if receipt.revive_queue == ORDER_QUEUE {
            let (start, popped) = (receipt.start, receipt.popped);
            let target = Target { group: ask.group, topic: ask.topic, queue: queue.id(), start, popped };
            let end = self.ack_in_order(&target, offset)?;
            topic.stats().count(ask.group, |stats| stats.acked.add(1, 0));
            return Ok(AckTicket(Stored::Before(end)));
        }
        batch.close(self);
        let mut offsets = Vec::with_capacity(MAX_MESSAGES);
        offsets.push(offset);
        let (group, receipt) = (ask.group.to_owned(), SameIn::of(&receipt));
        batch.open = Some(OfPop { topic, queue, group, receipt, offsets });
        Ok(AckTicket(Stored::With(batch.records.len())))
    }

    /// Stores what was prepared; [`AckBatch::end`] tells of each how far.
    ///
    /// # Errors
    /// [`AppendError`], of those that have no end then.
    pub fn commit_acks(&self, batch: &mut AckBatch) -> Result<(), AppendError> {
        batch.close(self);
        if batch.records.is_empty() { Ok(()) } else { self.store().append(&mut batch.records) }
    }

    /// Notes that a message is done: durable once the log is flushed up to the answer.
    ///
    /// # Errors
    /// [`AckError`]; nothing is noted then.
    pub fn ack(&self, ask: &Ack<'_>) -> Result<PhysicalOffset, AckError> {
        let mut batch = AckBatch::new();
        let ticket = self.prepare_ack(&mut batch, ask)?;
        self.commit_acks(&mut batch)?;
        batch.end(ticket).ok_or(AckError::Store(AppendError::Closed))
    }

    /// The queue that a message was popped from.
    pub(super) fn find_popped(
        &self,
        topic: &str,
        queue: Option<QueueId>,
    ) -> Result<(Arc<Topic>, Arc<Queue>), AckError> {
        let found = self.topics().find(topic).ok_or_else(|| AckError::NoTopic(topic.to_owned()))?;
        let queues = found.config().read_queue_nums;
        let queue = queue.filter(|queue| queue.0 < queues).and_then(|id| found.queue(self.store(), id));
        let queue = queue.cloned().ok_or_else(|| AckError::NoQueue { topic: topic.to_owned(), queues })?;
        Ok((found, queue))
    }

    /// What is acknowledged, if it may be.
    pub(super) fn check_receipt<'a>(
        &self,
        ask: &Ack<'a>,
        queue: &Queue,
    ) -> Result<(Receipt<'a>, QueueOffset), AckError> {
        let (min, max) = (queue.min(), queue.max());
        let Some(offset) = ask.offset.filter(|&offset| offset >= min && offset <= max) else {
            return Err(AckError::NoMessage { topic: ask.topic.to_owned(), queue: queue.id(), min, max });
        };
        GroupName::new(ask.group)?;
        let unreadable = || AckError::Receipt(ask.receipt.chars().take(200).collect());
        let receipt = Receipt::parse(ask.receipt).ok_or_else(unreadable)?;
        if receipt.revive_queue != ORDER_QUEUE && self.pops().find_queue(receipt.revive_queue).is_none() {
            return Err(unreadable());
        }
        Ok((receipt, offset))
    }
}
