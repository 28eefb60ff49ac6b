//! The op topic: which half messages are ended, several of them in one message, `12,15,16,`.
//!
//! A mark says nothing that the log does not have already, so marks are collected for a while: what is lost of them with
//! the process costs a question to the producer. They are read back when the broker starts and before each check, as far
//! as they are not this broker's own.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{SysFlag, TagsCode, find_property, property, push_property};
use ferromq_model::name::OP_HALF_TOPIC;
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::{PhysicalOffset, QueueOffset};
use ferromq_store::{AppendError, Batch, EntryTag, Read, ReadError, ReadLimit, Store};

use super::{QUEUE, Transactions};
use crate::broker::Broker;

/// The tag of marks.
const ENDED_TAG: &str = "d";
/// Marks that are read at once.
const READ_TOGETHER: u32 = 32;
/// Messages of marks that are read while the broker starts; more are read before the first check.
const READ_AT_START: u64 = 100_000;
/// Messages of marks that are read once more at a start: a client may say twice what they tell of.
const READ_AGAIN: u64 = 1_000;
/// Runs of marks that are told apart; an even number, since they become half as many when they are more.
const MAX_RUNS: usize = 4096;
/// Ended half messages from which on marks are written before their time: about as many as fit into one message.
pub(super) const WORTH_A_MESSAGE: usize = 512;

/// How far marks are read, and up to where they tell of half messages only that are never looked at again.
#[derive(Debug)]
pub(super) struct OpProgress {
    read: QueueOffset,
    done: QueueOffset,
    /// Behind which message, and beyond which half message nothing was told of up to there; both rise.
    runs: VecDeque<(QueueOffset, QueueOffset)>,
    /// Messages in one run, more or less.
    grain: u64,
}

impl OpProgress {
    pub(super) fn from(done: QueueOffset, min: QueueOffset) -> Self {
        let read = QueueOffset(done.0.saturating_sub(READ_AGAIN)).max(min);
        Self { read, done, runs: VecDeque::new(), grain: 1 }
    }

    /// Notes that the message before `behind` tells of nothing beyond `highest`.
    fn note(&mut self, behind: QueueOffset, highest: QueueOffset) {
        self.read = behind;
        let before_last = self.runs.len().checked_sub(2).map_or(self.done, |at| self.runs[at].0);
        match self.runs.back_mut() {
            Some(last) if last.1 >= highest => last.0 = behind,
            Some(last) if behind.since(before_last) <= self.grain => *last = (behind, highest),
            _ => self.runs.push_back((behind, highest)),
        }
        if self.runs.len() == MAX_RUNS {
            // Two become one that ends as late as the later: progress is noted later, never too early.
            let mut is_later = true;
            self.runs.retain(|_| {
                is_later = !is_later;
                is_later
            });
            self.grain *= 2;
        }
    }

    /// Where marks have to be read from after a restart, once nothing before `next` is looked at again.
    pub(super) fn done_below(&mut self, next: QueueOffset) -> QueueOffset {
        while let Some(&(behind, highest)) = self.runs.front()
            && highest < next
        {
            self.done = self.done.max(behind);
            self.runs.pop_front();
        }
        if self.runs.is_empty() {
            self.grain = 1;
        }
        self.done
    }
}

impl Transactions {
    /// Reads marks while the broker starts, so that it knows what is ended before a client says so again.
    pub(super) fn read_marks_at_start(&self, store: &Store) {
        let from = self.state.lock().ops.read;
        loop {
            match self.read_some_marks(store) {
                Ok(read) if read.since(from) < READ_AT_START && read < self.op.max() => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(%error, "cannot read which transactions are ended");
                    return;
                }
            }
        }
    }

    /// Reads some marks; up to where they are read then.
    pub(super) fn read_some_marks(&self, store: &Store) -> Result<QueueOffset, ReadError> {
        let from = self.state.lock().ops.read;
        let limit = ReadLimit { messages: READ_TOGETHER, bytes: usize::MAX };
        let found = match store.read(&self.op, from, limit, &MessageFilter::All)? {
            Read::Found(found) => found,
            Read::NoMatch { next } | Read::Before { min: next } => {
                self.state.lock().ops.read = next;
                return Ok(next);
            }
            // A power cut may have taken marks that the saved offset counts.
            Read::AtEnd | Read::Empty | Read::Beyond { .. } => {
                let end = self.op.max();
                self.state.lock().ops.read = end;
                return Ok(end);
            }
        };
        let mut state = self.state.lock();
        for piece in &found.records {
            let mut rest = &piece[..];
            while let Ok(record) = Record::decode(rest) {
                rest = &rest[record.len..];
                let mut highest = QueueOffset::ZERO;
                for half in ended_by(&record) {
                    state.ended.insert(half);
                    highest = highest.max(half);
                }
                state.ops.note(record.queue_offset.plus(1), highest);
            }
        }
        state.ops.read = found.next;
        Ok(found.next)
    }

    /// Writes the marks that are due. What the store does not take stays due.
    pub(super) fn write_marks(&self, store: &Store, broker: &Broker) -> Result<(), AppendError> {
        self.settle(store);
        let unmarked = std::mem::take(&mut self.state.lock().unmarked);
        if unmarked.is_empty() {
            return Ok(());
        }
        let max = broker.config().transaction_op_size.0 as usize;
        let mut batch = Batch::new();
        // How many half messages the messages of the batch tell of, each with those before it.
        let mut told = Vec::new();
        let mut text = String::new();
        for (at, half) in unmarked.iter().enumerate() {
            let _ = write!(text, "{},", half.0);
            if text.len() >= max || at + 1 == unmarked.len() {
                self.add_mark(&mut batch, &text, broker);
                told.push(at + 1);
                text.clear();
            }
        }
        let outcome = store.append(&mut batch);
        let written = batch.placed().len().checked_sub(1).map_or(0, |last| told[last]);
        self.state.lock().unmarked.extend_from_slice(&unmarked[written..]);
        outcome
    }

    fn add_mark(&self, batch: &mut Batch, text: &str, broker: &Broker) {
        let mut properties = String::new();
        push_property(&mut properties, property::TAGS, ENDED_TAG);
        let host = broker.store_host();
        let record = NewRecord {
            topic: OP_HALF_TOPIC,
            queue_id: QUEUE,
            flag: 0,
            sys_flag: SysFlag::default(),
            born: broker.store().now(),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_offset: PhysicalOffset::ZERO,
            body: text.as_bytes(),
            properties: &[&properties],
        };
        batch.push(Arc::clone(&self.op), &record, EntryTag::Tags(TagsCode::of(Some(ENDED_TAG))));
    }
}

/// The half messages that a message of the op topic tells of. Older brokers write one without a comma.
fn ended_by<'a>(record: &Record<'a>) -> impl Iterator<Item = QueueOffset> + use<'a> {
    let is_mark = find_property(record.properties, property::TAGS) == Some(ENDED_TAG);
    let text = if is_mark { std::str::from_utf8(record.body).unwrap_or_default() } else { "" };
    text.split(',').filter_map(|half| half.trim().parse().ok().map(QueueOffset))
}

impl Broker {
    /// Writes which transactions are ended, as far as that is not written yet. [`Broker::run`] does so now and then.
    ///
    /// # Errors
    /// Why the store does not take it; it is tried again.
    pub fn mark_ended_transactions(&self) -> Result<(), AppendError> {
        self.transactions().write_marks(self.store(), self)
    }
}

/// Writes marks every `transactionOpBatchInterval`, and earlier when enough wait, until the broker stops.
pub(crate) async fn run(broker: Broker) {
    let interval = broker.config().transaction_op_interval.duration();
    loop {
        let stops = tokio::select! {
            () = tokio::time::sleep(interval) => false,
            () = broker.transactions().due.notified() => false,
            () = broker.stopped() => true,
        };
        if let Err(error) = broker.mark_ended_transactions() {
            tracing::warn!(%error, "cannot mark transactions as ended for now");
            if !stops {
                // Whatever notifies meanwhile: a store that refuses is not asked without a pause.
                tokio::time::sleep(interval).await;
            }
        }
        if stops {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_made_over_marks_of_half_messages_that_are_done() {
        let at = QueueOffset;
        let mut ops = OpProgress::from(at(10), at(0));
        for (behind, highest) in [(11, 100), (12, 90), (13, 200), (14, 150)] {
            ops.note(at(behind), at(highest));
        }
        assert_eq!(ops.done_below(at(100)), at(10), "100 itself is still looked at");
        assert_eq!(ops.done_below(at(101)), at(12));
        assert_eq!(ops.done_below(at(201)), at(14));
    }

    #[test]
    fn any_number_of_marks_takes_little_memory_and_progress_is_never_early() {
        let mut ops = OpProgress::from(QueueOffset(0), QueueOffset(0));
        for n in 0..100_000 {
            ops.note(QueueOffset(n + 1), QueueOffset(n));
        }
        assert!(ops.runs.len() < MAX_RUNS);
        let done = ops.done_below(QueueOffset(60_000));
        assert!(done <= QueueOffset(60_000) && done > QueueOffset(59_900), "{done}");
        assert_eq!(ops.done_below(QueueOffset(100_000)), QueueOffset(100_000));
    }
}
