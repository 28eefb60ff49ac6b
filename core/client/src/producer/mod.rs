//! Producers: sending messages.
//!
//! ```text
//! send ─▶ room ─▶ prepare ─▶ route ─▶ pick ─▶ attempt ─▶ receipt
//!         waits   id, check,          ▲         │
//!                 compress            └─ again ◀┘ refused or silent: another broker
//! ```
//! Always true:
//! * what is in flight is bounded, in messages and in bytes: further senders wait;
//! * a message that has a receipt is stored; one that has an error may be stored nevertheless, unless the server refused;
//! * nothing is allocated for a plain message beyond the message.
//!
//! | file | what it is about |
//! |---|---|
//! | `config` | the builder |
//! | `room` | how much may be in flight |
//! | `outgoing` | getting a message ready |
//! | `seen` | what others are told of it |
//! | `deliver` | which queue, and trying again |
//! | `choose` | queues of sharding keys |
//! | `batch`, `linger` | many messages at once: as the caller has them, as they come |
//! | `transaction` | messages that depend on something else |
//! | `question` | messages that are replied to |
//! | `recall` | taking timed messages back |
//! | `receipt`, `error` | how it ended |

#[cfg(test)]
mod allocations;
mod batch;
mod choose;
mod config;
mod deliver;
mod error;
mod linger;
mod outgoing;
mod question;
mod recall;
mod receipt;
mod room;
mod seen;
#[cfg(test)]
mod tests;
mod transaction;

use std::fmt;
use std::sync::Arc;

use ferromq_model::GroupName;
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::client::Client;
use crate::latency::LatencyFaults;
use crate::members::Membership;
use crate::message::Message;
use crate::queue::MessageQueue;
use crate::spans::{sending, sent};
pub use config::ProducerBuilder;
use config::Settings;
use deliver::{Aim, Span, Turns};
pub use error::{BatchError, InvalidBatch, ProducerError, SendError};
use linger::Lingering;
use question::Told;
pub use question::{Reply, ReplyError, RequestError};
pub use recall::RecallError;
pub use receipt::{SendReceipt, SendStatus};
use room::{Place, Room};
pub use transaction::{
    EndError, Transaction, TransactionError, TransactionProducer, TransactionProducerBuilder,
    TransactionState,
};

/// Sends messages. Cloning it shares what it is; any number of tasks may send at the same time.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

/// What handles of one producer share.
struct Shared {
    client: Client,
    group: GroupName,
    membership: Mutex<Option<Membership>>,
    settings: Settings,
    room: Room,
    turns: Turns,
    faults: LatencyFaults,
    told: Told,
    lingering: Option<Lingering>,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("group", &self.shared.group)
            .field("client", &self.shared.client)
            .finish_non_exhaustive()
    }
}

impl Producer {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        &self.shared.group
    }

    /// Sends a message, and returns when a broker has stored it. Waits while as much is in flight as may be.
    ///
    /// Messages take turns among the queues of their topic; those with a
    /// [sharding key](crate::MessageBuilder::sharding_key) all go to the queue of that key: the same one, and the one that
    /// official clients choose, as long as the topic has as many queues. One for a topic that does not exist goes to a
    /// broker that creates topics by itself, if there is one.
    ///
    /// # Errors
    /// [`SendError`]. Dropping the future leaves open whether the message is stored.
    pub async fn send(&self, message: Message) -> Result<SendReceipt, SendError> {
        sent(sending(&message, 1), self.shared.send(message)).await
    }

    /// Sends a message to this queue and no other, as [`Producer::send`] does otherwise.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_to(&self, queue: &MessageQueue, message: Message) -> Result<SendReceipt, SendError> {
        if queue.topic != message.topic {
            return Err(SendError::OtherTopic { topic: message.topic, other: queue.topic.clone() });
        }
        sent(sending(&message, 1), self.shared.send_to(queue, message)).await
    }

    /// Sends a message to the queue whose place `choose` names, out of those that may be written: they are sorted by broker
    /// and number. The message goes to no other queue.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NoSuchQueue`] if there is no such place.
    pub async fn send_by(
        &self,
        message: Message,
        choose: impl FnOnce(&[MessageQueue]) -> usize,
    ) -> Result<SendReceipt, SendError> {
        let span = Span::from_now(self.shared.settings.send_timeout);
        let queue = self.shared.choose(&message.topic, span, choose).await?;
        self.send_to(&queue, message).await
    }

    /// Sends a message and does not wait for an answer: it may be lost, and nobody is told. Returns as soon as it is on its
    /// way; waits only for its route, and while too much waits to be sent to the broker already.
    ///
    /// # Errors
    /// [`SendError`], as far as it shows before the message leaves.
    pub async fn send_oneway(&self, message: Message) -> Result<(), SendError> {
        let span = sending(&message, 1);
        self.shared.send_oneway(message).instrument(span).await
    }

    /// Waits until what is in flight has ended, up to the send timeout, and leaves the group. What is sent after that, by
    /// other handles of the same producer, fails.
    pub async fn close(self) {
        let shared = &self.shared;
        shared.room.shut();
        let drained = async {
            if let Some(lingering) = &shared.lingering {
                lingering.flush();
                lingering.finish().await;
            }
            shared.room.emptied().await;
        };
        if timeout(shared.settings.send_timeout, drained).await.is_err() {
            tracing::warn!(group = %shared.group, "closed with messages in flight");
        }
        let membership = shared.membership.lock().take();
        if let Some(membership) = membership {
            membership.leave().await;
        }
    }
}

impl Shared {
    fn new(client: Client, group: GroupName, membership: Membership, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            client,
            group,
            membership: Mutex::new(Some(membership)),
            room: Room::new(settings.max_in_flight, settings.max_in_flight_bytes),
            turns: Turns::new(),
            faults: if settings.avoid_slow_brokers { LatencyFaults::on() } else { LatencyFaults::off() },
            told: Told::default(),
            lingering: settings
                .linger
                .map(|time| Lingering::new(time, settings.linger_bytes.min(settings.max_message_size))),
            settings,
        })
    }

    async fn enter(&self, count: usize, bytes: usize) -> Result<Place<'_>, SendError> {
        self.room.enter(count, bytes).await.map_err(|room::Closed| SendError::Closed)
    }

    async fn send(self: &Arc<Self>, message: Message) -> Result<SendReceipt, SendError> {
        let place = self.enter(1, message.body.len()).await?;
        let span = Span::from_now(self.settings.send_timeout);
        let bound = self.queue_of_key(&message, span).await?;
        if let Some(lingering) = self.lingers(&message) {
            return self.linger(lingering, place, message, bound).await;
        }
        self.send_within(message, bound.as_ref().map_or(Aim::Any, Aim::Queue), span).await
    }

    async fn send_to(
        self: &Arc<Self>,
        queue: &MessageQueue,
        message: Message,
    ) -> Result<SendReceipt, SendError> {
        let place = self.enter(1, message.body.len()).await?;
        if let Some(lingering) = self.lingers(&message) {
            return self.linger(lingering, place, message, Some(queue.clone())).await;
        }
        let span = Span::from_now(self.settings.send_timeout);
        self.send_within(message, Aim::Queue(queue), span).await
    }

    async fn send_within(
        &self,
        message: Message,
        aim: Aim<'_>,
        span: Span,
    ) -> Result<SendReceipt, SendError> {
        let out = self.prepare(message).await?;
        Ok(self.deliver(&out, aim, span).await?.receipt(&out))
    }

    async fn send_oneway(&self, message: Message) -> Result<(), SendError> {
        let _place = self.enter(1, message.body.len()).await?;
        let span = Span::from_now(self.settings.send_timeout);
        let bound = self.queue_of_key(&message, span).await?;
        let out = self.prepare(message).await?;
        self.tell(&out, bound.as_ref().map_or(Aim::Any, Aim::Queue), span).await
    }
}
