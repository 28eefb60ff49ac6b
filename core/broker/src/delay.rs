//! Delayed messages: each delay level is a queue of the schedule topic, in order of delivery times because all its
//! messages wait equally long. One task a level waits for the first to be due and stores it under its real topic.
//!
//! ```text
//! SCHEDULE_TOPIC_XXXX/level-1   | delivered .. | next, due at its tags code | ..
//!                                              ^ delayOffset.json, after the delivered copies are durable
//! ```
//! After a crash, what the log shows to be delivered behind the saved progress is not delivered again (`copies`).

mod progress;

use std::time::Duration;

use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::message::TagsCode;
use ferromq_model::name::SCHEDULE_TOPIC;
use ferromq_model::record::Record;
use ferromq_model::{QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::{AppendError, Batch, Queue, Read, ReadError, ReadLimit};
use tokio::task::{JoinSet, spawn_blocking};

use crate::broker::Broker;
use crate::{copies, delivery};
pub(crate) use progress::DelayProgress;

/// Messages that are delivered with one append.
const DELIVERED_TOGETHER: u32 = 32;
/// The wait after the store refused to be read or written: a full disk does not empty within milliseconds.
const REFUSED_WAIT: Duration = Duration::from_millis(500);

/// Delivers all levels until the broker stops.
pub(crate) async fn run(broker: Broker) {
    let worker = broker.clone();
    let looked = spawn_blocking(move || {
        let levels = worker.config().delay_levels.count();
        worker.delay_progress().find_copies(worker.store(), levels)
    });
    match looked.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot save from where on delayed messages are delivered: after a crash they may come twice");
        }
        Err(error) => {
            tracing::error!(%error, "cannot look for what is delivered already: delayed messages may come twice");
        }
    }
    let mut levels = JoinSet::new();
    for level in 1..=broker.config().delay_levels.count() {
        levels.spawn(run_level(broker.clone(), level));
    }
    while let Some(ended) = levels.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "the delivery of a delay level failed");
        }
    }
}

/// Delivers one level until the broker stops.
async fn run_level(broker: Broker, level: u32) {
    let name = TopicName::new(SCHEDULE_TOPIC).expect("a valid name");
    let queue = broker.store().queue(&name, QueueId(level - 1));
    let mut next = broker.delay_progress().next(level).max(queue.min()).min(queue.max());
    // Only what was there at the start can have been delivered before.
    let known_until = queue.max();
    let mut is_past_start = false;
    let mut batch = Batch::new();
    loop {
        if !is_past_start && next >= known_until {
            is_past_start = true;
            broker.delay_progress().is_past_start(level);
        }
        tokio::select! {
            () = queue.wait_beyond(next) => {}
            () = broker.stopped() => return,
        }
        let levels = &broker.config().delay_levels;
        let now = broker.store().now();
        let due = due_time(&queue, next, level, levels, now);
        if due > now {
            // A clock that is set back while this sleeps is noticed at the latest then: `due_time` caps the wait.
            tokio::select! {
                () = tokio::time::sleep(due.since(now).duration()) => continue,
                () = broker.stopped() => return,
            }
        }
        let progress = broker.delay_progress();
        progress.begin(level, broker.store().stats().log_max);
        match deliver(&broker, &queue, next, level, now, known_until, &mut batch) {
            Ok(delivered) => {
                next = delivered;
                progress.advance(level, next);
            }
            Err(refused) => {
                progress.advance(level, next);
                tracing::warn!(level, error = %refused, "cannot deliver delayed messages for now");
                tokio::select! {
                    () = tokio::time::sleep(REFUSED_WAIT) => {}
                    () = broker.stopped() => return,
                }
            }
        }
    }
}

/// When the message at `at` is due. One that claims to wait longer than its level is due now, as in the reference: the
/// clock stepped back, or the table of levels changed.
fn due_time(queue: &Queue, at: QueueOffset, level: u32, levels: &DelayLevels, now: Timestamp) -> Timestamp {
    match queue.tags_code(at) {
        Some(TagsCode(due)) if due <= now.plus(levels.span(level)).0 => Timestamp(due),
        _ => now,
    }
}

/// Messages cannot be delivered for now. Nothing is passed over for that: what was acknowledged is to arrive.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Stores what is due from `from` on under its real topic. Returns where to go on.
fn deliver(
    broker: &Broker,
    queue: &Queue,
    from: QueueOffset,
    level: u32,
    now: Timestamp,
    known_until: QueueOffset,
    batch: &mut Batch,
) -> Result<QueueOffset, Refused> {
    let limit = ReadLimit { messages: DELIVERED_TOGETHER, bytes: usize::MAX };
    let (records, mut next) = match broker.store().read(queue, from, limit, &MessageFilter::All) {
        Ok(Read::Found(found)) => (found.records, from),
        Ok(Read::NoMatch { next }) => return Ok(next),
        Ok(Read::Before { min }) => return Ok(min),
        Ok(Read::Beyond { max }) => return Ok(max),
        Ok(Read::AtEnd | Read::Empty) => return Ok(from),
        Err(error) => return Err(error.into()),
    };
    batch.clear();
    // Which message each of the batch is a copy of.
    let mut copied = Vec::with_capacity(DELIVERED_TOGETHER as usize);
    let mut known = Vec::new();
    'records: for piece in &records {
        let mut rest = &piece[..];
        while let Ok(record) = Record::decode(rest) {
            rest = &rest[record.len..];
            let at = record.queue_offset;
            if due_time(queue, at, level, &broker.config().delay_levels, now) > now {
                break 'records;
            }
            next = at.plus(1);
            let key = (at < known_until).then(|| copies::waiting_for_level(&record)).flatten();
            if let Some(key) = key.filter(|key| broker.delay_progress().take_copy(*key)) {
                known.push((at, key));
                continue;
            }
            match delivery::add_copy(broker, &record, "", batch) {
                Ok(()) => copied.push(at),
                Err(why) => {
                    tracing::error!(level, %at, why, "a delayed message cannot be delivered and is dropped");
                }
            }
        }
    }
    if next == from {
        tracing::error!(level, at = %from, "a delayed message is damaged and is dropped");
        return Ok(from.plus(1));
    }
    if !batch.is_empty() {
        let appended = broker.store().append(batch);
        let (done, refused) = delivery::dealt_with(broker, batch, appended);
        if let Some(first) = copied.get(done) {
            // What was stored before the refusal is delivered: the next round begins behind it.
            next = *first;
            known
                .iter()
                .filter(|(at, _)| *at > next)
                .for_each(|(_, key)| broker.delay_progress().give_copy_back(*key));
        }
        if next == from {
            refused?;
        }
    }
    Ok(next)
}
