//! Transactions: messages that are stored first and delivered once their producer says so.
//!
//! ```text
//! send TRAN_MSG=true ─▶ half topic │ h0 │ h1 │ h2 │ h1' │        h1' is h1 again, after its producer was asked
//!                                    │    │
//! end(commit, h0) ─▶ real topic ◀────┘    └─ nobody said anything: checked, see `check`
//!                    op topic   │ "0," │     h0 is ended: never looked at again
//! ```
//! Always true:
//! * what a transaction became is stored before the mark that it is ended, and in a broker that flushes before it
//!   acknowledges it is flushed before: whatever a crash takes, a half message that is not marked comes again;
//! * all copies of a half message are one transaction, named by the place of the first; it ends once as far as this is
//!   known: from memory, from the op topic, and for those from before the start from the index;
//! * memory is bounded: one bit for each of the latest half messages, and what is not yet marked.
//!
//! The files are RocketMQ's: either broker goes on with the other's transactions.
//!
//! | file | what it is about |
//! |---|---|
//! | `transaction` | ending a transaction |
//! | `transaction/half` | half messages, and the messages that they become |
//! | `transaction/ended` | the window of bits |
//! | `transaction/marks` | the op topic: writing marks together, reading them back |
//! | `transaction/check` | asking producers, and giving up |
//! | `transaction/pending` | those that nobody has ended |

pub(crate) mod check;
mod ended;
pub(crate) mod half;
pub(crate) mod marks;
mod pending;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ferromq_model::message::MessageId;
use ferromq_model::name::{
    HALF_TOPIC, OP_HALF_TOPIC, SCHEDULE_TOPIC, TIMER_TOPIC, TRANS_CHECK_MAX_TOPIC, TRANSACTION_GROUP,
};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::{AppendError, Batch, Queue, Store};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::broker::Broker;
use crate::deferral::{self, DeferError};
use crate::offsets::ConsumerOffsets;
pub use check::{CheckError, CheckRound};
use ended::Ended;
use half::{Final, Half};
use marks::OpProgress;
pub use pending::Pending;

/// Ended transactions whose mark is not written. More are not taken: their producers are asked later.
const MAX_UNMARKED: usize = 100_000;
/// The queue of the half topic and of the op topic.
const QUEUE: QueueId = QueueId(0);

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The message is delivered.
    Commit,
    /// It is not.
    Rollback,
}

/// Ends a transaction.
#[derive(Clone, Copy, Debug)]
pub struct EndTransaction<'a> {
    /// The producer's group.
    pub group: &'a str,
    /// Which message of the half topic it is.
    pub half: QueueOffset,
    /// Where that lies in the log.
    pub at: PhysicalOffset,
    /// How it ends.
    pub decision: Decision,
    /// Whether the producer was asked.
    pub from_check: bool,
}

/// A transaction did not end. Its producer is asked again later, unless it is none.
#[derive(Debug, thiserror::Error)]
pub enum EndTransactionError {
    /// There is no half message at that place.
    #[error("Find prepared transaction message failed")]
    NotFound,
    /// Another group sent it.
    #[error("The producer group wrong")]
    WrongGroup,
    /// It is another message of the half topic.
    #[error("The transaction state table offset wrong")]
    WrongHalf,
    /// It lies elsewhere.
    #[error("The commit log offset wrong")]
    WrongPlace,
    /// It named a time up to which it would decide by itself, and that is over.
    #[error("the time is over in which the producer may end the transaction by itself, wait for the check")]
    Late,
    /// It is being ended by somebody else, or too many are.
    #[error("the transaction cannot be ended right now")]
    Busy,
    /// The message cannot be where it was meant to be.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
    /// The store takes no messages.
    #[error(transparent)]
    Store(#[from] AppendError),
}

/// A half message cannot become what it was meant to.
#[derive(Debug, thiserror::Error)]
pub enum Undeliverable {
    /// Its topic is gone.
    #[error("topic[{0}] does not exist any more")]
    NoTopic(String),
    /// It would have to be delivered later, and cannot.
    #[error(transparent)]
    Defer(#[from] DeferError),
}

/// A message could not be put back among those that are checked.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// There is no half message, nor one that was given up, at that place.
    #[error("there is no message of {HALF_TOPIC} or {TRANS_CHECK_MAX_TOPIC} at that place")]
    NotFound,
    /// The store takes no messages.
    #[error("Put message back to {HALF_TOPIC} failed. {0}")]
    Store(#[from] AppendError),
}

/// What a broker knows of its transactions.
#[derive(Debug)]
pub(crate) struct Transactions {
    half: Arc<Queue>,
    op: Arc<Queue>,
    /// Half messages before it were there when the broker started: what became of them is looked up in the index.
    found: QueueOffset,
    state: Mutex<State>,
    /// More marks wait than fit into one message.
    due: Notify,
}

#[derive(Debug)]
struct State {
    /// Where the next check begins.
    next: QueueOffset,
    ended: Ended,
    /// Transactions that were decided and may still be lost, by their name; with where what became of them ends.
    ending: HashMap<QueueOffset, PhysicalOffset, RandomState>,
    /// The same by that end, and by the half message that was decided.
    stored: BTreeMap<(PhysicalOffset, QueueOffset), QueueOffset>,
    /// Ended half messages that no mark tells of.
    unmarked: Vec<QueueOffset>,
    ops: OpProgress,
}

/// What may be done with a transaction.
enum Claim {
    /// It is the caller's to end.
    Granted,
    /// It is ended.
    Ended,
    /// It is being ended, and will be once the log is flushed up to there.
    Ending(PhysicalOffset),
    /// Too many are.
    Full,
}

impl Transactions {
    pub(crate) fn open(store: &Store, offsets: &ConsumerOffsets) -> Self {
        let queue = |name| store.queue(&TopicName::new(name).expect("a valid name"), QUEUE);
        let (half, op) = (queue(HALF_TOPIC), queue(OP_HALF_TOPIC));
        let next = |queue: &Queue| {
            let saved = offsets.find(TRANSACTION_GROUP, queue.topic().as_str(), QUEUE);
            // A power cut may have taken messages that the saved offset counts.
            saved.unwrap_or_default().max(queue.min()).min(queue.max())
        };
        let state = State {
            next: next(&half),
            ended: Ended::from(next(&half)),
            ending: HashMap::default(),
            stored: BTreeMap::new(),
            unmarked: Vec::new(),
            ops: OpProgress::from(next(&op), op.min()),
        };
        let this = Self { found: half.max(), half, op, state: Mutex::new(state), due: Notify::new() };
        this.read_marks_at_start(store);
        this
    }

    fn claim(&self, name: QueueOffset) -> Claim {
        let mut state = self.state.lock();
        if state.ended.contains(name) {
            return Claim::Ended;
        }
        if let Some(&end) = state.ending.get(&name) {
            return Claim::Ending(end);
        }
        if state.ending.len() + state.unmarked.len() >= MAX_UNMARKED {
            return Claim::Full;
        }
        state.ending.insert(name, PhysicalOffset::ZERO);
        Claim::Granted
    }

    /// The end failed: somebody else may try.
    fn give_up(&self, name: QueueOffset) {
        self.state.lock().ending.remove(&name);
    }

    /// What became of it is stored up to `end`; the transaction is ended once that is as safe as promised.
    fn stored(&self, half: &Half<'_>, end: PhysicalOffset, store: &Store) {
        let mut state = self.state.lock();
        state.ending.insert(half.first, end);
        state.stored.insert((end, half.record.queue_offset), half.first);
        drop(state);
        self.settle(store);
    }

    /// Ends the transactions whose messages are as safe as promised.
    fn settle(&self, store: &Store) {
        let safe =
            if store.flushes_before_ack() { store.flush_watch().upto() } else { PhysicalOffset(u64::MAX) };
        let mut state = self.state.lock();
        while let Some(entry) = state.stored.first_entry()
            && entry.key().0 <= safe
        {
            let ((_, half), name) = entry.remove_entry();
            state.end(half, name);
        }
        if state.unmarked.len() >= marks::WORTH_A_MESSAGE {
            self.due.notify_one();
        }
    }
}

impl State {
    fn end(&mut self, half: QueueOffset, name: QueueOffset) {
        self.ending.remove(&name);
        for ended in [Some(half), Some(name).filter(|&name| name != half)].into_iter().flatten() {
            self.ended.insert(ended);
            self.unmarked.push(ended);
        }
    }
}

impl Broker {
    /// Ends a transaction. One that is ended already stays as it is, and that is no error: clients say it twice when
    /// they are asked meanwhile. `Some` is where the message that it became ends: durable up to there, it cannot be
    /// lost.
    ///
    /// # Errors
    /// [`EndTransactionError`].
    pub fn end_transaction(
        &self,
        ask: &EndTransaction<'_>,
    ) -> Result<Option<PhysicalOffset>, EndTransactionError> {
        let bytes = self.store().record_at(ask.at).ok_or(EndTransactionError::NotFound)?;
        let half = self.half_message(&bytes, ask.at).ok_or(EndTransactionError::NotFound)?;
        if half.group != ask.group {
            return Err(EndTransactionError::WrongGroup);
        }
        if half.record.queue_offset != ask.half {
            return Err(EndTransactionError::WrongHalf);
        }
        if half.record.physical_offset != ask.at {
            return Err(EndTransactionError::WrongPlace);
        }
        let age = self.store().now().since(half.record.born);
        if !ask.from_check && half.immunity.is_some_and(|immunity| age > immunity) {
            return Err(EndTransactionError::Late);
        }
        let transactions = self.transactions();
        match transactions.claim(half.first) {
            Claim::Granted => {}
            Claim::Ended => return Ok(None),
            Claim::Ending(PhysicalOffset::ZERO) | Claim::Full => return Err(EndTransactionError::Busy),
            Claim::Ending(end) => return Ok(Some(end)),
        }
        match self.finish(&half, ask.decision) {
            Ok(end) => {
                transactions.stored(&half, end.unwrap_or_default(), self.store());
                Ok(end)
            }
            Err(error) => {
                transactions.give_up(half.first);
                Err(error)
            }
        }
    }

    /// Stores what becomes of the half message: `None` if nothing does, or has before.
    fn finish(
        &self,
        half: &Half<'_>,
        decision: Decision,
    ) -> Result<Option<PhysicalOffset>, EndTransactionError> {
        self.store().writable()?;
        if decision == Decision::Rollback || self.is_delivered(half) {
            return Ok(None);
        }
        let message = Final::of(self, half)?;
        let queue = message.topic.queue(self.store(), message.queue);
        let queue = queue.ok_or_else(|| Undeliverable::NoTopic(message.topic.name().to_string()))?;
        let mut batch = Batch::new();
        let properties = [message.properties()];
        self.push_delivered(&mut batch, queue, &message.record(half, &properties, self), message.tag);
        self.store().append(&mut batch)?;
        Ok(batch.placed().first().map(|placed| placed.end))
    }

    /// The half message at `at`, if the half topic has one there: a peer may name a place within a message that only
    /// looks like one.
    fn half_message<'a>(&self, bytes: &'a [u8], at: PhysicalOffset) -> Option<Half<'a>> {
        let record = Record::decode(bytes).ok()?;
        let is_there = self.transactions().half.physical(record.queue_offset) == Some(at);
        if is_there && record.topic == HALF_TOPIC { Half::of(record) } else { None }
    }

    /// Whether a half message from before the start was delivered by then: its mark may have been lost with the
    /// process, but the message was not.
    fn is_delivered(&self, half: &Half<'_>) -> bool {
        let transactions = self.transactions();
        let Some(key) = half.unique_key.filter(|_| half.first < transactions.found) else { return false };
        let since = self.store().stored_time(&transactions.half, half.first).unwrap_or(half.record.born);
        let is_later = deferral::is_asked_for(half.record.properties);
        let waiting = [SCHEDULE_TOPIC, TIMER_TOPIC].into_iter().filter(|_| is_later);
        let mut topics = std::iter::once(half.real_topic()).chain(waiting);
        topics.any(|topic| {
            let found = self.store().find_by_key(topic, key, since, Timestamp(i64::MAX), usize::MAX);
            found.iter().filter_map(|bytes| Record::decode(bytes).ok()).any(|record| {
                // Any copy of the half message may be the one that was committed.
                let from = record.prepared_offset;
                half::is_committed(record.sys_flag)
                    && self.store().record_at(from).is_some_and(|bytes| {
                        self.half_message(&bytes, from).is_some_and(|from| from.first == half.first)
                    })
            })
        })
    }

    /// Puts a half message that was given up, or one that is still checked, behind all others with none of its checks
    /// counted. Returns where the copy ends.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub fn resume_transaction_check(&self, id: MessageId) -> Result<PhysicalOffset, ResumeError> {
        let bytes = self.store().record_at(id.offset).ok_or(ResumeError::NotFound)?;
        let record = Record::decode(&bytes).map_err(|_| ResumeError::NotFound)?;
        let is_there = [HALF_TOPIC, TRANS_CHECK_MAX_TOPIC].contains(&record.topic)
            && self
                .store()
                .find_queue(record.topic, record.queue_id)
                .is_some_and(|queue| queue.physical(record.queue_offset) == Some(id.offset));
        let half = Half::of(record).filter(|_| is_there).ok_or(ResumeError::NotFound)?;
        let properties = half.next_properties(0);
        let mut batch = Batch::new();
        let properties = [&*properties];
        batch.push(Arc::clone(&self.transactions().half), &half.copy(HALF_TOPIC, &properties), half.tag());
        self.store().append(&mut batch)?;
        Ok(batch.placed()[0].end)
    }
}
