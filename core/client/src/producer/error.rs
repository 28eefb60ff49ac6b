//! What can go wrong with a producer, and who has to act.

use std::time::Duration;

use ferromq_model::TopicName;
use ferromq_protocol::code::ResponseCode;

use super::receipt::SendReceipt;
use crate::error::{CallError, ConfigError, Remedy, RouteError};
use crate::members::AlreadyMember;
use crate::message::InvalidMessage;

/// Why there is no producer: always for the caller to fix.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProducerError {
    /// A setting, or the group's name.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client has a producer of this group already.
    #[error(transparent)]
    AlreadyMember(#[from] AlreadyMember),
}

/// Why a message is not known to be stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// The message cannot be sent.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The messages cannot travel together.
    #[error(transparent)]
    InvalidBatch(#[from] InvalidBatch),
    /// The body is larger than the producer sends.
    #[error("body of {len} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes that it has, before it is compressed.
        len: usize,
        /// The producer's [`max_message_size`](crate::ProducerBuilder::max_message_size).
        limit: usize,
    },
    /// The queue that it was to be sent to is one of another topic.
    #[error("a message of topic {topic} cannot go to a queue of {other}")]
    OtherTopic {
        /// The message's.
        topic: TopicName,
        /// The queue's.
        other: TopicName,
    },
    /// The chosen queue is none of those there are.
    #[error("queue {chosen} was chosen out of {count}")]
    NoSuchQueue {
        /// What was chosen, from 0.
        chosen: usize,
        /// How many there are.
        count: usize,
    },
    /// It is not known where to send it.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// No NameServer said where to send it before the time to send it was over.
    #[error("no NameServer said within {} ms where {topic} is", .after.as_millis())]
    NoRouteInTime {
        /// The message's topic.
        topic: TopicName,
        /// The producer's [`send_timeout`](crate::ProducerBuilder::send_timeout).
        after: Duration,
    },
    /// Every try failed; the last one like this. Unless the server refused, it may have stored the message nevertheless.
    #[error("not sent in {tries} tries: {last}")]
    Failed {
        /// How often it was tried.
        tries: u32,
        /// The last failure.
        #[source]
        last: CallError,
    },
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
}

impl SendError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Invalid(_)
            | Self::InvalidBatch(_)
            | Self::TooLarge { .. }
            | Self::OtherTopic { .. }
            | Self::NoSuchQueue { .. }
            | Self::Closed => Remedy::FixCall,
            Self::Route(error) => error.remedy(),
            Self::NoRouteInTime { .. } => Remedy::Retry,
            Self::Failed { last, .. } => last.remedy(),
        }
    }
}

/// Why messages cannot travel together: always for the caller to fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// There is no message.
    #[error("the batch is empty")]
    Empty,
    /// A message that is to be delivered later.
    #[error("messages that are delivered later cannot be batched")]
    Delayed,
    /// A message for a retry topic.
    #[error("messages for retry topic {topic} cannot be batched")]
    RetryTopic {
        /// The topic.
        topic: TopicName,
    },
    /// Several topics.
    #[error("a batch is for one topic, not for {one} and {other}")]
    Topics {
        /// One of them.
        one: TopicName,
        /// Another.
        other: TopicName,
    },
    /// Some wait for the store, some do not.
    #[error("a batch waits for the store or does not, as a whole")]
    Waiting,
    /// Several sharding keys.
    #[error("messages of a batch have one sharding key, or none")]
    ShardingKeys,
}

/// Why not all messages of a batch are known to be stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} messages of the batch are stored, then: {source}", .receipts.len())]
pub struct BatchError {
    /// Of the messages that are stored: the first ones of the batch.
    pub receipts: Vec<SendReceipt>,
    /// What became of the next.
    pub source: SendError,
}

impl BatchError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        self.source.remedy()
    }
}

/// Whether another broker may take what failed like this, as official producers see it.
pub(super) fn is_worth_another_try(error: &CallError) -> bool {
    use ResponseCode as Code;
    error.is_silence()
        || matches!(
            error.code(),
            Some(
                Code::TopicNotExist
                    | Code::ServiceNotAvailable
                    | Code::SystemError
                    | Code::SystemBusy
                    | Code::NoPermission
                    | Code::NoBuyerId
                    | Code::NotInCurrentUnit
                    | Code::GoAway
            )
        )
}
