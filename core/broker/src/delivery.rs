//! Storing messages that have waited where their senders meant them to be.

use ferromq_model::QueueId;
use ferromq_model::message::{PROPERTY_END, TagsCode, find_property, property};
use ferromq_model::name::HALF_TOPIC;
use ferromq_model::record::{NewRecord, Record};
use ferromq_store::{AppendError, Batch, EntryTag};

use crate::broker::Broker;

/// Adds the message as its sender meant it, with `added` behind its properties. These stay as they are: only the topic
/// says whether a message still waits.
///
/// # Errors
/// Why it can be stored nowhere.
pub(crate) fn add_copy(
    broker: &Broker,
    record: &Record<'_>,
    added: &str,
    batch: &mut Batch,
) -> Result<(), &'static str> {
    let real = find_property(record.properties, property::REAL_TOPIC).ok_or("it has no REAL_TOPIC")?;
    if real == HALF_TOPIC {
        return Err("its real topic is the half topic");
    }
    let id = find_property(record.properties, property::REAL_QUEUE_ID).and_then(|id| id.parse().ok());
    add_to(broker, record, real, QueueId(id.ok_or("it has no REAL_QID")?), &[record.properties, added], batch)
}

/// Adds the message for the topic `to`, with the properties given.
///
/// # Errors
/// Why it can be stored nowhere.
pub(crate) fn add_to(
    broker: &Broker,
    record: &Record<'_>,
    to: &str,
    id: QueueId,
    properties: &[&str; 2],
    batch: &mut Batch,
) -> Result<(), &'static str> {
    let topic = broker.topics().find(to).ok_or("its real topic does not exist any more")?;
    // The topic may have fewer queues now: the message goes where it is read, rather than nowhere.
    let id = QueueId(id.0 % topic.queue_count().max(1));
    let queue = topic.queue(broker.store(), id).ok_or("its real topic has no queues any more")?;
    let tags = TagsCode::of(find_property(record.properties, property::TAGS));
    let [first, second] = *properties;
    let ended = second.is_empty() || first.is_empty() || first.ends_with(PROPERTY_END as char);
    let pieces = [first, if ended { "" } else { "\x02" }, second];
    let copy = NewRecord { store_host: broker.store_host(), ..NewRecord::copy_of(record, to, id, &pieces) };
    broker.push_delivered(batch, queue, &copy, EntryTag::Tags(tags));
    Ok(())
}

/// How many messages of a batch are dealt with after its append ended with `outcome`: those that are stored, and behind
/// them the one that no append will ever take.
///
/// # Errors
/// Why the rest has to wait.
pub(crate) fn dealt_with(
    broker: &Broker,
    batch: &Batch,
    outcome: Result<(), AppendError>,
) -> (usize, Result<(), AppendError>) {
    let stored = batch.placed().len();
    let exists =
        || batch.topic_of(stored).is_some_and(|topic| broker.topics().find(topic.as_str()).is_some());
    match outcome {
        // Only its queue was deleted, or one that it names: the next round finds what is in its place.
        Err(AppendError::Deleted) if exists() => (stored, Err(AppendError::Deleted)),
        Err(error @ (AppendError::Deleted | AppendError::TooLarge { .. })) if stored < batch.len() => {
            tracing::error!(%error, "a delayed message cannot be delivered and is dropped");
            (stored + 1, Ok(()))
        }
        other => (stored, other),
    }
}
