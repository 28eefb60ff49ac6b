//! What a producer is told of a message that is stored.

use ferromq_model::QueueOffset;
use ferromq_model::message::MessageId;
use ferromq_protocol::code::ResponseCode;

use crate::identity::UniqueId;
use crate::queue::MessageQueue;

/// How safe a stored message is. In each case consumers get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendStatus {
    /// As safe as the broker is configured to make messages.
    Stored,
    /// Not known to be on disk: the flush took longer than the broker waits.
    FlushDiskTimeout,
    /// Not known to be on a replica: it took longer than the broker waits.
    FlushSlaveTimeout,
    /// On no replica: none is near enough.
    SlaveNotAvailable,
}

impl SendStatus {
    /// The status that a code means; `None` if the message is not stored.
    pub(crate) fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::Success => Some(Self::Stored),
            ResponseCode::FlushDiskTimeout => Some(Self::FlushDiskTimeout),
            ResponseCode::FlushSlaveTimeout => Some(Self::FlushSlaveTimeout),
            ResponseCode::SlaveNotAvailable => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

/// A message is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendReceipt {
    /// How safe it is.
    pub status: SendStatus,
    /// The id that this client gave it: the same however often it is stored again, and what consumers see.
    pub message_id: UniqueId,
    /// The queue.
    pub queue: MessageQueue,
    /// Its number in the queue. That of a message which is to be delivered later, or whose transaction is open, counts in
    /// a queue of the broker's own.
    pub offset: QueueOffset,
    /// Where the record lies on which broker; none if the broker did not say.
    pub place: Option<MessageId>,
    /// What takes a timed message back, as long as it is not due: see [`Producer::recall`](crate::Producer::recall). None
    /// for other messages, and from brokers before 5.3.2.
    pub recall_handle: Option<Box<str>>,
}
