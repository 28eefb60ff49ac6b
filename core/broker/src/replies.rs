//! Requests and replies: a message that a client waits to see answered. The reply is a message too, which the broker
//! hands to the waiting client at once, and stores for those who look later.

use ferromq_model::QueueId;
use ferromq_model::message::{find_property, property, push_property, without_properties};
use ferromq_store::Placed;

use crate::broker::Broker;
use crate::clients::{AskError, Asked, PushedReply};
use crate::send::{Send, SendBatch, SendError};

/// A reply that was taken.
pub struct Replied {
    /// Whether the client that waits for it has it.
    pub pushed: Result<Pushed, NotPushed>,
    /// The queue that the replier is told.
    pub queue: QueueId,
    /// Where it is stored, if it is.
    pub stored: Option<Placed>,
}

/// A reply on its way to the client that waits for it.
pub struct Pushed {
    client: String,
    answer: Asked<()>,
}

/// The client that waits for a reply did not get it.
#[derive(Debug, thiserror::Error)]
pub enum NotPushed {
    /// The reply does not say who waits for it.
    #[error("reply message properties[{}] is null", property::REPLY_TO_CLIENT)]
    ToNobody,
    /// The client is not there.
    #[error("push reply message fail, channel of <{0}> not found.")]
    NotThere(String),
    /// It did not take it.
    #[error("push reply message to <{client}>fail. {error}")]
    Refused {
        /// The client.
        client: String,
        /// Why.
        error: AskError,
    },
}

impl Pushed {
    /// Waits until the client has taken the reply.
    ///
    /// # Errors
    /// [`NotPushed::Refused`].
    pub async fn taken(self) -> Result<(), NotPushed> {
        let Self { client, answer } = self;
        answer.await.map_err(|error| NotPushed::Refused { client, error })
    }
}

impl Broker {
    /// Takes a reply of the producer group `group` in: hands it to the client that waits for it, and stores it if it
    /// is to (`storeReplyMessageEnable`), whether or not that client is there.
    ///
    /// # Errors
    /// [`SendError`]: it is refused like any message, and nobody gets it.
    pub fn reply(&self, send: &Send<'_>, group: &str) -> Result<Replied, SendError> {
        let mut sends = SendBatch::new();
        let ticket = self.prepare(&mut sends, send)?;
        let mut stored = None;
        if self.config().store_replies {
            match self.commit(&mut sends) {
                Ok(()) => stored = sends.placed(ticket).first().copied(),
                // The client that waits can still have it.
                Err(error) => tracing::warn!(%error, topic = send.topic, "a reply cannot be stored"),
            }
        }
        Ok(Replied { pushed: self.push_reply(send, group, ticket.queue), queue: ticket.queue, stored })
    }

    fn push_reply(&self, send: &Send<'_>, group: &str, queue: QueueId) -> Result<Pushed, NotPushed> {
        let client = find_property(send.properties, property::REPLY_TO_CLIENT).ok_or(NotPushed::ToNobody)?;
        let peer =
            self.members().producing_client(client).ok_or_else(|| NotPushed::NotThere(client.to_owned()))?;
        let now = self.store().now();
        let mut properties = without_properties(send.properties, &[property::PUSH_REPLY_TIME]);
        push_property(&mut properties, property::PUSH_REPLY_TIME, &now.0.to_string());
        let answer = peer.link.push_reply(&PushedReply {
            group,
            topic: send.topic,
            default_topic: send.default_topic,
            default_queues: send.default_queues,
            queue,
            sys_flag: send.sys_flag,
            flag: send.flag,
            born: send.born,
            born_host: send.born_host,
            store_host: self.store_host(),
            stored: now,
            properties: &properties,
            reconsume_times: send.reconsume_times,
            unit_mode: send.unit_mode,
            body: send.body,
        });
        Ok(Pushed { client: client.to_owned(), answer })
    }
}
