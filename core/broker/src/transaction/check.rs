//! Checks: half messages that nobody decided about. Their producer is asked; one that was asked too often is given up.
//!
//! ```text
//! half topic   │ ended │ ended │ open, old │ ended │ open, young │ ...
//!                                   │               ^ the next round begins here
//!                                   └▶ asked about, and stored again at the end
//! ```
//! A round goes through the half topic in order and never waits at a message: what is to be asked about again is stored
//! anew at the end, so that one transaction that nobody decides holds up no other. Where the next round begins is noted
//! once these copies are as safe as promised.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::name::{HALF_TOPIC, TRANS_CHECK_MAX_TOPIC, TRANSACTION_GROUP};
use ferromq_model::record::Record;
use ferromq_model::topic::TopicConfig;
use ferromq_model::{Millis, PhysicalOffset, QueueOffset, Timestamp, TopicName};
use ferromq_store::{AppendError, Batch, Placed, ReadError};
use tokio::time::Instant;

use super::half::Half;
use super::{QUEUE, Transactions};
use crate::broker::Broker;
use crate::clients::TransactionCheck;
use crate::topics::TopicError;

/// Half messages that are asked about, or given up, with one append.
const TOGETHER: usize = 32;
/// How long one round may take; the next one goes on.
const ROUND: Duration = Duration::from_secs(60);
/// Producers that are tried for one question: one whose connection is full is passed over.
const TRIES: u32 = 3;

/// What came of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckRound {
    /// Half messages whose producer was asked, or would have been if there were one.
    pub checked: u64,
    /// Those of them whose producer is there.
    pub asked: u64,
    /// Half messages that are left alone a while longer.
    pub immune: u64,
    /// Half messages that were given up.
    pub given_up: u64,
    /// Where the next round begins.
    pub next: QueueOffset,
}

/// A round could not go on.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store takes no messages.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The topic for what is given up cannot be made.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// What is to be done with a half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is too young; so are all behind it, more or less.
    Wait,
    /// It is too young by its own word.
    Immune,
    /// Its producer is asked.
    Check,
    /// It is given up.
    GiveUp,
}

/// Some half messages that something is to be done with.
#[derive(Default)]
struct Window {
    batch: Batch,
    acts: Vec<Act>,
    /// Behind what was looked at.
    next: QueueOffset,
    /// Nothing more is to be looked at in this round.
    ends: bool,
}

struct Act {
    at: QueueOffset,
    record: Bytes,
    verdict: Verdict,
    /// Of the copy.
    properties: String,
}

impl Broker {
    /// Goes once through the half messages that nobody decided about. [`Broker::run`] does so every
    /// `transactionCheckInterval`.
    ///
    /// # Errors
    /// [`CheckError`]; the next round goes on where this one stopped.
    pub async fn check_transactions(&self) -> Result<CheckRound, CheckError> {
        let transactions = self.transactions();
        let started = self.store().now();
        let began = Instant::now();
        while transactions.read_some_marks(self.store())? < transactions.op.max() {
            tokio::task::yield_now().await;
        }
        transactions.settle(self.store());
        let mut round = CheckRound::default();
        let mut next = transactions.state.lock().next.max(transactions.half.min());
        while began.elapsed() < ROUND && !self.is_stopping() {
            let mut window = self.look_at_half_messages(next, started)?;
            let outcome = self.act(&mut window, &mut round).await;
            next = window.next;
            self.begin_next_check_at(next);
            outcome?;
            if window.ends {
                break;
            }
            tokio::task::yield_now().await;
        }
        round.next = next;
        Ok(round)
    }

    fn begin_next_check_at(&self, next: QueueOffset) {
        let transactions = self.transactions();
        let marks = {
            let mut state = transactions.state.lock();
            state.next = next;
            state.ended.advance(next);
            state.ops.done_below(next)
        };
        for (queue, at) in [(&transactions.half, next), (&transactions.op, marks)] {
            let topic = queue.topic().as_str();
            // Where there was never a transaction, operators are shown no group.
            if self.offsets().find(TRANSACTION_GROUP, topic, QUEUE).unwrap_or_default() != at {
                self.offsets().commit(TRANSACTION_GROUP, topic, QUEUE, at);
            }
        }
    }

    /// Collects what is to be done from `from` on.
    fn look_at_half_messages(&self, from: QueueOffset, started: Timestamp) -> Result<Window, TopicError> {
        let transactions = self.transactions();
        let end = transactions.half.max();
        let mut window = Window { next: from, ..Window::default() };
        while window.acts.len() < TOGETHER {
            let at = transactions.next_open(window.next, end);
            window.next = at;
            if at >= end {
                window.ends = true;
                break;
            }
            let bytes = transactions.half.physical(at).and_then(|at| self.store().record_at(at));
            let bytes = bytes.unwrap_or_default();
            let Some(half) = Record::decode(&bytes).ok().and_then(Half::of) else {
                if at >= transactions.half.min() {
                    tracing::error!(%at, "what is stored as a half message is none, and is passed over");
                }
                window.next = at.plus(1).max(transactions.half.min());
                continue;
            };
            match transactions.standing(half.first) {
                Standing::Open => {}
                Standing::Ended => {
                    window.next = at.plus(1);
                    continue;
                }
                Standing::Ending => {
                    window.ends = true;
                    break;
                }
            }
            if self.is_delivered(&half) {
                transactions.found_ended(&half);
                window.next = at.plus(1);
                continue;
            }
            let verdict = self.verdict(&half, started);
            if verdict == Verdict::Wait {
                window.ends = true;
                break;
            }
            self.add_copy(&half, &bytes, verdict, &mut window)?;
            window.next = at.plus(1);
        }
        Ok(window)
    }

    fn verdict(&self, half: &Half<'_>, started: Timestamp) -> Verdict {
        let config = self.config();
        let now = self.store().now();
        let age = now.0.saturating_sub(half.record.born.0);
        let kept = i64::from(self.store().config().file_reserved.0) * 3_600_000;
        if half.checks >= config.transaction_check_max || age > kept {
            return Verdict::GiveUp;
        }
        if half.record.stored >= started {
            return Verdict::Wait;
        }
        // A sender whose clock is ahead is asked at once.
        let is_younger = |than: Millis| age >= 0 && (age as u64) < than.0;
        match half.immunity {
            Some(immunity) if is_younger(immunity) => Verdict::Immune,
            None if is_younger(config.transaction_timeout) => Verdict::Wait,
            _ => Verdict::Check,
        }
    }

    fn add_copy(
        &self,
        half: &Half<'_>,
        bytes: &Bytes,
        verdict: Verdict,
        window: &mut Window,
    ) -> Result<(), TopicError> {
        let properties = match verdict {
            Verdict::GiveUp => half.record.properties.to_owned(),
            Verdict::Check => half.next_properties(half.checks + 1),
            Verdict::Immune | Verdict::Wait => half.next_properties(half.checks),
        };
        if verdict == Verdict::GiveUp {
            tracing::warn!(
                half = %half.record.queue_offset, group = half.group, checks = half.checks, born = half.record.born.0,
                "a transaction that nobody decided is given up: its message goes to {TRANS_CHECK_MAX_TOPIC}"
            );
            let topic = self.topics().find_or_put(TRANS_CHECK_MAX_TOPIC, || {
                TopicConfig::new(TopicName::new(TRANS_CHECK_MAX_TOPIC).expect("a valid name"), 1)
            })?;
            let queue = self.store().queue(topic.name(), QUEUE);
            window.batch.push(queue, &half.copy(TRANS_CHECK_MAX_TOPIC, &[&properties]), half.tag());
        } else {
            let queue = Arc::clone(&self.transactions().half);
            window.batch.push(queue, &half.copy(HALF_TOPIC, &[&properties]), half.tag());
        }
        let (at, record) = (half.record.queue_offset, bytes.clone());
        window.acts.push(Act { at, record, verdict, properties });
        Ok(())
    }

    /// Stores the copies, waits until they are as safe as promised, and asks the producers.
    async fn act(&self, window: &mut Window, round: &mut CheckRound) -> Result<(), CheckError> {
        if window.acts.is_empty() {
            return Ok(());
        }
        let outcome = self.store().append(&mut window.batch);
        let placed = window.batch.placed();
        if let Some(refused) = window.acts.get(placed.len()) {
            // What was stored before the refusal is done.
            window.next = refused.at;
        }
        let end = placed.last().map_or(PhysicalOffset::ZERO, |placed| placed.end);
        if self.store().flushes_before_ack()
            && let Err(error) = self.store().flushed_to(end).await
        {
            window.next = window.acts[0].at;
            return Err(error.into());
        }
        for (act, placed) in window.acts.iter().zip(placed) {
            match act.verdict {
                Verdict::Wait => {}
                Verdict::Immune => round.immune += 1,
                Verdict::GiveUp => round.given_up += 1,
                Verdict::Check => {
                    round.checked += 1;
                    round.asked += u64::from(self.ask_producer(act, placed));
                }
            }
        }
        Ok(outcome?)
    }

    /// Asks a producer of the group, another one each time; whether there is one.
    fn ask_producer(&self, act: &Act, placed: &Placed) -> bool {
        let Some(half) = Record::decode(&act.record).ok().and_then(Half::of) else { return false };
        let check = TransactionCheck {
            half: placed.queue_offset,
            id: self.message_id(placed.physical),
            unique_key: half.unique_key.map(str::to_owned),
            record: half.shown(&act.properties, placed).into(),
        };
        (0..TRIES).any(|_| {
            let producer = self.members().producer(half.group, self.next_number());
            producer.is_some_and(|producer| producer.link.check_transaction(&check))
        })
    }
}

/// How a transaction stands.
enum Standing {
    Open,
    Ending,
    Ended,
}

impl Transactions {
    fn next_open(&self, from: QueueOffset, end: QueueOffset) -> QueueOffset {
        self.state.lock().ended.next_open(from, end)
    }

    fn standing(&self, name: QueueOffset) -> Standing {
        let state = self.state.lock();
        if state.ended.contains(name) {
            Standing::Ended
        } else if state.ending.contains_key(&name) {
            Standing::Ending
        } else {
            Standing::Open
        }
    }

    /// The log shows that it is ended.
    fn found_ended(&self, half: &Half<'_>) {
        self.state.lock().end(half.record.queue_offset, half.first);
    }
}

/// Checks every `transactionCheckInterval` until the broker stops.
pub(crate) async fn run(broker: Broker) {
    let interval = broker.config().transaction_check_interval.duration();
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = broker.stopped() => return,
        }
        match broker.check_transactions().await {
            Ok(round) if round.checked + round.given_up > 0 => {
                tracing::info!(
                    checked = round.checked,
                    asked = round.asked,
                    given_up = round.given_up,
                    "looked after transactions that nobody decided"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot check transactions for now"),
        }
    }
}
