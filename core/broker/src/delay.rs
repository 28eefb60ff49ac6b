//! Delayed messages: each delay level is a queue of the schedule topic, in order of delivery times because all its
//! messages wait equally long. One task a level waits for the first to be due and stores it under its real topic.
//!
//! ```text
//! SCHEDULE_TOPIC_XXXX/level-1   | delivered .. | next, due at its tags code | ..
//!                                              ^ delayOffset.json, after the delivered copies are durable
//! ```
//! A crash between a delivery and the saving of the progress delivers again: never lost, perhaps twice.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::delay::DelayLevels;
use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{TagsCode, find_property, property};
use ferromq_model::name::{HALF_TOPIC, SCHEDULE_TOPIC};
use ferromq_model::record::{NewRecord, Record};
use ferromq_model::topic::DataVersion;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_store::{AppendError, Batch, EntryTag, Queue, Read, ReadError, ReadLimit};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::state_file::{StateError, StateFile};

/// Messages that are delivered with one append.
const DELIVERED_TOGETHER: u32 = 32;
/// The wait after the store refused to be read or written: a full disk does not empty within milliseconds.
const REFUSED_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    data_version: DataVersion,
    /// The next offset to deliver, by level.
    offset_table: BTreeMap<u32, i64>,
}

/// How far each level is delivered.
#[derive(Debug)]
pub(crate) struct DelayProgress {
    levels: Mutex<(Saved, bool)>,
    file: Mutex<StateFile>,
}

impl DelayProgress {
    pub(crate) fn load(file: StateFile) -> Result<Self, StateError> {
        let saved = file.load()?.unwrap_or_default();
        Ok(Self { levels: Mutex::new((saved, false)), file: Mutex::new(file) })
    }

    fn next(&self, level: u32) -> QueueOffset {
        let levels = self.levels.lock();
        levels.0.offset_table.get(&level).and_then(|&at| QueueOffset::from_wire(at)).unwrap_or_default()
    }

    /// The next offset of each level that was ever delivered.
    pub(crate) fn levels(&self) -> Vec<(u32, QueueOffset)> {
        let levels = self.levels.lock();
        let valid = |(&level, &at): (&u32, &i64)| Some((level, QueueOffset::from_wire(at)?));
        levels.0.offset_table.iter().filter_map(valid).filter(|(level, _)| *level > 0).collect()
    }

    fn advance(&self, level: u32, next: QueueOffset) {
        let mut levels = self.levels.lock();
        levels.0.offset_table.insert(level, next.0 as i64);
        levels.1 = true;
    }

    pub(crate) fn save(&self) -> io::Result<()> {
        let file = self.file.lock();
        let saved = {
            let mut levels = self.levels.lock();
            if !std::mem::take(&mut levels.1) {
                return Ok(());
            }
            levels.0.data_version.bump(Timestamp::now());
            Saved { data_version: levels.0.data_version, offset_table: levels.0.offset_table.clone() }
        };
        file.save(&saved).inspect_err(|_| self.levels.lock().1 = true)
    }
}

/// Delivers one level until the broker stops.
pub(crate) async fn run_level(broker: Broker, level: u32) {
    let name = TopicName::new(SCHEDULE_TOPIC).expect("a valid name");
    let queue = broker.store().queue(&name, QueueId(level - 1));
    let mut next = broker.delay_progress().next(level).max(queue.min()).min(queue.max());
    let mut batch = Batch::new();
    loop {
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
        match deliver(&broker, &queue, next, level, now, &mut batch) {
            Ok((delivered, end)) => {
                // The progress may be saved at any moment from `advance` on: the copies have to be safe before.
                if broker.store().flushes_before_ack() && broker.store().flushed_to(end).await.is_err() {
                    return;
                }
                next = delivered;
                broker.delay_progress().advance(level, next);
            }
            Err(refused) => {
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

/// Stores what is due from `from` on under its real topic. Returns where to go on, and where the copies end.
fn deliver(
    broker: &Broker,
    queue: &Queue,
    from: QueueOffset,
    level: u32,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(QueueOffset, PhysicalOffset), Refused> {
    let limit = ReadLimit { messages: DELIVERED_TOGETHER, bytes: usize::MAX };
    let (records, mut next) = match broker.store().read(queue, from, limit, &MessageFilter::All) {
        Ok(Read::Found(found)) => (found.records, from),
        Ok(Read::NoMatch { next }) => return Ok((next, PhysicalOffset::ZERO)),
        Ok(Read::Before { min }) => return Ok((min, PhysicalOffset::ZERO)),
        Ok(Read::Beyond { max }) => return Ok((max, PhysicalOffset::ZERO)),
        Ok(Read::AtEnd | Read::Empty) => return Ok((from, PhysicalOffset::ZERO)),
        Err(error) => return Err(error.into()),
    };
    batch.clear();
    // Where to go on behind each message of the batch.
    let mut behind = Vec::with_capacity(DELIVERED_TOGETHER as usize);
    'records: for piece in &records {
        let mut rest = &piece[..];
        while let Ok(record) = Record::decode(rest) {
            rest = &rest[record.len..];
            if due_time(queue, record.queue_offset, level, &broker.config().delay_levels, now) > now {
                break 'records;
            }
            next = record.queue_offset.plus(1);
            match add_copy(broker, &record, batch) {
                Ok(()) => behind.push(next),
                Err(why) => {
                    tracing::error!(level, at = %record.queue_offset, why, "a delayed message cannot be delivered and is dropped");
                }
            }
        }
    }
    if next == from {
        tracing::error!(level, at = %from, "a delayed message is damaged and is dropped");
        return Ok((from.plus(1), PhysicalOffset::ZERO));
    }
    if !batch.is_empty()
        && let Err(refused) = broker.store().append(batch)
    {
        // What was stored before the refusal is delivered: the next round begins behind it.
        next = match batch.placed().len().checked_sub(1) {
            Some(last) => behind[last],
            None => return Err(refused.into()),
        };
    }
    let end = batch.placed().last().map_or(PhysicalOffset::ZERO, |placed| placed.end);
    Ok((next, end))
}

/// Adds the message as its sender meant it. Its properties stay as they are: only the topic says whether it still waits.
fn add_copy(broker: &Broker, record: &Record<'_>, batch: &mut Batch) -> Result<(), &'static str> {
    let real = find_property(record.properties, property::REAL_TOPIC).ok_or("it has no REAL_TOPIC")?;
    if real == HALF_TOPIC {
        return Err("its real topic is the half topic");
    }
    let id = find_property(record.properties, property::REAL_QUEUE_ID).and_then(|id| id.parse().ok());
    let id = QueueId(id.ok_or("it has no REAL_QID")?);
    let topic = broker.topics().find(real).ok_or("its real topic does not exist any more")?;
    // The topic may have fewer queues now: the message goes where it is read, rather than nowhere.
    let id = QueueId(id.0 % topic.queue_count().max(1));
    let queue = topic.queue(broker.store(), id).ok_or("its real topic has no queues any more")?;
    let tags = TagsCode::of(find_property(record.properties, property::TAGS));
    let copy = NewRecord {
        topic: real,
        queue_id: id,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born: record.born,
        born_host: record.born_host,
        store_host: broker.store_host(),
        reconsume_times: record.reconsume_times,
        prepared_offset: record.prepared_offset,
        body: record.body,
        properties: &[record.properties],
    };
    batch.push(Arc::clone(queue), &copy, EntryTag::Tags(tags));
    Ok(())
}
