//! Light queues on the broker's side: topics and groups that need no settings, and messages that are put into further
//! queues when they reach their topic.
//!
//! Topics `%LMQ%...` exist with `enableLmq`; they are neither saved nor registered. A message is put into the light
//! queues that it names where it is stored under its own topic: at once, or when its time has come.

use std::sync::Arc;

use ferromq_model::TopicName;
use ferromq_model::light::{self, ListError};
use ferromq_model::message::{MAX_PROPERTIES_LEN, find_property, property, without_properties};
use ferromq_model::record::NewRecord;
use ferromq_store::{Batch, EntryTag, Queue};

use crate::broker::Broker;

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

impl Broker {
    /// Whether messages are put into further queues.
    fn dispatches(&self) -> bool {
        let config = self.store().config();
        config.light_queues && config.multi_dispatch
    }

    /// The light queues that a message of `topic` is to be in as well, as its properties say.
    pub(crate) fn further_queues(
        &self,
        topic: &str,
        properties: &str,
    ) -> Result<Vec<Arc<Queue>>, LightError> {
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

    /// Adds a message that waited elsewhere to the queue that it is meant for, and to the light queues that it names.
    /// Where that cannot be, it is delivered without them rather than not at all.
    pub(crate) fn push_delivered(
        &self,
        batch: &mut Batch,
        queue: &Arc<Queue>,
        record: &NewRecord<'_>,
        tag: EntryTag,
    ) {
        let names_some = |piece: &&str| find_property(piece, property::INNER_MULTI_DISPATCH).is_some();
        if !self.dispatches() || !record.properties.iter().any(names_some) {
            return batch.push(Arc::clone(queue), record, tag);
        }
        let mut properties = String::new();
        for piece in record.properties {
            let kept = without_properties(piece, &[property::INNER_MULTI_QUEUE_OFFSET]);
            properties.push_str(&kept);
        }
        let further = self.further_queues(record.topic, &properties).unwrap_or_else(|error| {
            tracing::warn!(topic = record.topic, %error, "a message is delivered to its topic alone");
            Vec::new()
        });
        let places = light_places(further.len());
        if further.is_empty() || properties.len() + places.len() > MAX_PROPERTIES_LEN {
            let record = NewRecord { properties: &[&properties], ..*record };
            return batch.push(Arc::clone(queue), &record, tag);
        }
        let record = NewRecord { properties: &[&properties, &places], ..*record };
        batch.push(Arc::clone(queue), &record, tag);
        batch.dispatch_last(further);
    }
}

/// The property with room for so many places; empty for none.
pub(crate) fn light_places(count: usize) -> String {
    let mut places = String::new();
    if count > 0 {
        light::reserve(&mut places, count);
    }
    places
}
