//! Dead letters that an operator sends again, to the topic that they were first sent to.
//!
//! The dead letter stays where it is: what is sent is a new message with its body, tag, keys and the sender's own
//! properties, for all groups that read that topic.

use std::net::SocketAddr;

use ferromq_model::message::{SysFlag, find_property, property, without_properties};
use ferromq_model::record::Record;
use ferromq_model::{GroupName, NameError, QueueId, QueueOffset, TopicName};
use ferromq_store::{AppendError, Placed};

use crate::broker::Broker;
use crate::send::{Send, SendBatch, SendError};

/// Properties that brokers and clients know by name and that the message that is sent again has too. All others of theirs
/// say how it came here, or would have it be taken for the old one.
const KEPT: [&str; 3] = [property::KEYS, property::TAGS, property::SHARDING_KEY];

/// A dead letter that was sent again.
#[derive(Clone, Debug)]
pub struct Resent {
    /// The topic that it went to.
    pub topic: TopicName,
    /// The queue.
    pub queue: QueueId,
    /// Where it lies; durable up to its end, it cannot be lost.
    pub placed: Placed,
    /// Its id.
    pub unique_key: Option<String>,
}

/// A dead letter was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// The group's name is none.
    #[error(transparent)]
    Group(#[from] NameError),
    /// There is no such dead letter.
    #[error("group {group} has no dead letter {offset} in queue {queue}")]
    NoMessage {
        /// The group.
        group: String,
        /// The queue.
        queue: QueueId,
        /// Which message of it.
        offset: QueueOffset,
    },
    /// It does not say where it came from.
    #[error("the dead letter does not say which topic it came from")]
    NoOrigin,
    /// The topic that it came from is gone.
    #[error("topic {0}, which the dead letter came from, does not exist any more")]
    NoTopic(String),
    /// It cannot be sent there.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The store takes no messages.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl Broker {
    /// Sends a group's dead letter to the topic again that it was first sent to.
    ///
    /// # Errors
    /// [`ResendError`]; nothing is stored then.
    pub fn resend_dead_letter(
        &self,
        group: &str,
        queue: QueueId,
        offset: QueueOffset,
        asker: SocketAddr,
    ) -> Result<Resent, ResendError> {
        let letters = TopicName::dead_letters_of(&GroupName::new(group)?);
        let none = || ResendError::NoMessage { group: group.to_owned(), queue, offset };
        let letters = self.store().find_queue(letters.as_str(), queue).ok_or_else(none)?;
        let bytes = self.message_at(&letters, offset).ok_or_else(none)?;
        let record = Record::decode(&bytes).map_err(|_| none())?;
        let origin = find_property(record.properties, property::RETRY_TOPIC).ok_or(ResendError::NoOrigin)?;
        let topic = self.topics().find(origin).ok_or_else(|| ResendError::NoTopic(origin.to_owned()))?;
        let dropped: Vec<_> =
            property::RESERVED.iter().copied().filter(|name| !KEPT.contains(name)).collect();
        let properties = without_properties(record.properties, &dropped);
        let send = Send {
            topic: origin,
            default_topic: "",
            default_queues: 0,
            queue: None,
            sharding_key: find_property(&properties, property::SHARDING_KEY),
            sys_flag: SysFlag(record.sys_flag.0 & (SysFlag::COMPRESSED | SysFlag::COMPRESSION_MASK)),
            flag: record.flag,
            born: self.store().now(),
            born_host: asker,
            properties: &properties,
            reconsume_times: 0,
            max_reconsume_times: None,
            unit_mode: false,
            is_batch: false,
            body: record.body,
        };
        let mut batch = SendBatch::new();
        let ticket = self.prepare(&mut batch, &send)?;
        self.commit(&mut batch)?;
        let placed = *batch.placed(ticket).first().ok_or(AppendError::Closed)?;
        let unique_key = batch.made_key(ticket).map(str::to_owned);
        Ok(Resent { topic: topic.name().clone(), queue: ticket.queue, placed, unique_key })
    }
}
