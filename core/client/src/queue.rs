//! Which queue of which broker.

use std::fmt;
use std::sync::Arc;

use ferromq_model::{QueueId, TopicName};
use serde::Serialize;

/// One queue of a topic on a broker. Cloning shares the texts.
///
/// The order is the one that official clients sort by before they share queues out: topic, broker, queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MessageQueue {
    /// The topic.
    pub topic: TopicName,
    /// The name that a master and its replicas share.
    pub broker: Arc<str>,
    /// Which of the broker's queues of this topic.
    #[serde(rename = "queue")]
    pub id: QueueId,
}

impl fmt::Display for MessageQueue {
    /// `topic@broker:queue`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.topic, self.broker, self.id.0)
    }
}

impl MessageQueue {
    /// As bodies name it.
    pub(crate) fn to_body(&self) -> ferromq_protocol::body::MessageQueue {
        ferromq_protocol::body::MessageQueue {
            broker_name: self.broker.to_string(),
            queue_id: self.id,
            topic: self.topic.to_string(),
        }
    }
}
