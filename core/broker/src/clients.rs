//! What a broker tells and asks clients, in domain words. A front-end's [`ClientLink`] says it on the client's own
//! connection, in its own protocol.
//!
//! Always true:
//! * telling is best effort: what a client does not read in time is dropped, and every caller can live with that;
//! * asking ends: with an answer, or with an [`AskError`] within a time that the front-end sets, also when the
//!   connection closes meanwhile.

use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use ferromq_model::message::{MessageId, SysFlag};
use ferromq_model::{GroupName, Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};

/// What a client will have answered.
pub type Asked<T> = Pin<Box<dyn Future<Output = Result<T, AskError>> + Send>>;

/// A client was asked and there is no answer that is of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Millis),
    /// Its connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// It has as many questions before it as one client may have.
    #[error("the client has too many requests to answer")]
    Busy,
    /// It said no, in its own words.
    #[error("the client refused: {0}")]
    Refused(String),
    /// Its answer makes no sense.
    #[error("the client's answer cannot be read: {0}")]
    Malformed(String),
    /// Clients of its protocol know no such question.
    #[error("the client's protocol has no such request")]
    Unsupported,
}

/// What a client answered to a question that the broker only passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAnswer {
    /// How it went, in the code of the client's protocol.
    pub status: i32,
    /// What went wrong, in words.
    pub remark: Option<String>,
    /// The answer.
    pub body: Bytes,
}

/// One queue as clients name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientQueue {
    /// The broker.
    pub broker: String,
    /// The topic.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
}

/// Asks a producer how its transaction ended. It answers by ending the transaction.
#[derive(Clone, Debug)]
pub struct TransactionCheck {
    /// Which message of the half topic it is.
    pub half: QueueOffset,
    /// Its place.
    pub id: MessageId,
    /// The client's id of it, if it gave one.
    pub unique_key: Option<String>,
    /// The stored record, as if it lay in its real topic already.
    pub record: Bytes,
}

/// Moves members of a group to other positions.
#[derive(Clone, Debug)]
pub struct OffsetReset<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a TopicName,
    /// The time that the positions stand for; none for the end of the queues.
    pub time: Option<Timestamp>,
    /// Whether forward moves were asked for too.
    pub force: bool,
    /// Where to go on.
    pub offsets: &'a [(ClientQueue, QueueOffset)],
    /// The language that the client is written in: not all read the same form.
    pub language: &'a str,
}

/// Has a client consume one message at once.
#[derive(Clone, Debug)]
pub struct ConsumeDirectly<'a> {
    /// The group.
    pub group: &'a str,
    /// The client.
    pub client: &'a str,
    /// The place of the message, as the asker wrote it.
    pub message_id: Option<&'a str>,
    /// The topic, if the asker gave it.
    pub topic: Option<&'a str>,
    /// Flags of the topic and of the group.
    pub topic_flag: Option<i32>,
    /// See `topic_flag`.
    pub group_flag: Option<i32>,
    /// The broker's name.
    pub broker: &'a str,
    /// The stored record.
    pub record: Bytes,
}

/// A reply for the client that waits for it.
#[derive(Clone, Copy, Debug)]
pub struct PushedReply<'a> {
    /// The replier's group.
    pub group: &'a str,
    /// The reply topic.
    pub topic: &'a str,
    /// What the replier would have a new topic inherit.
    pub default_topic: &'a str,
    /// How many queues it would have a new topic have.
    pub default_queues: i32,
    /// The queue.
    pub queue: QueueId,
    /// System flags.
    pub sys_flag: SysFlag,
    /// The replier's own flag.
    pub flag: i32,
    /// When the replier made it.
    pub born: Timestamp,
    /// The replier.
    pub born_host: SocketAddr,
    /// The broker.
    pub store_host: SocketAddr,
    /// When the broker took it.
    pub stored: Timestamp,
    /// The property string.
    pub properties: &'a str,
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Whether a new topic would be a unit topic.
    pub unit_mode: bool,
    /// The body.
    pub body: &'a [u8],
}

/// How a front-end reaches a client on its connection. A front-end whose protocol has no words for something leaves the
/// method as it is here.
pub trait ClientLink: Send + Sync {
    /// What the protocol is called that the client speaks, for tools.
    fn protocol(&self) -> &'static str {
        "remoting"
    }

    /// Tells the client that members joined or left `group`. Clients also look by themselves.
    fn members_changed(&self, group: &GroupName);

    /// Asks a producer how its transaction ended; whether the question is on its way.
    fn check_transaction(&self, check: &TransactionCheck) -> bool {
        let _ = check;
        false
    }

    /// Tells a consumer to go on elsewhere; whether that is on its way.
    fn reset_offsets(&self, reset: &OffsetReset<'_>) -> bool {
        let _ = reset;
        false
    }

    /// Asks where a consumer of `group` is in the queues of `topic`.
    fn consumer_status(&self, group: &str, topic: &str) -> Asked<Vec<(ClientQueue, Option<QueueOffset>)>> {
        let _ = (group, topic);
        Box::pin(std::future::ready(Err(AskError::Unsupported)))
    }

    /// Asks what the consumer `client` of `group` is doing; with `stack`, its threads too.
    fn running_info(&self, group: &str, client: &str, stack: bool) -> Asked<ClientAnswer> {
        let _ = (group, client, stack);
        Box::pin(std::future::ready(Err(AskError::Unsupported)))
    }

    /// Has the client consume one message at once, and tell how that went.
    fn consume_directly(&self, ask: &ConsumeDirectly<'_>) -> Asked<ClientAnswer> {
        let _ = ask;
        Box::pin(std::future::ready(Err(AskError::Unsupported)))
    }

    /// Hands a reply to the client that waits for it.
    fn push_reply(&self, reply: &PushedReply<'_>) -> Asked<()> {
        let _ = reply;
        Box::pin(std::future::ready(Err(AskError::Unsupported)))
    }
}

impl TransactionCheck {
    /// Where the half message starts in the log.
    #[must_use]
    pub fn at(&self) -> PhysicalOffset {
        self.id.offset
    }
}
