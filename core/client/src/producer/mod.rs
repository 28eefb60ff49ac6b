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
//! | `deliver` | which queue, and trying again |
//! | `receipt`, `error` | how it ended |

mod config;
mod deliver;
mod error;
mod outgoing;
mod receipt;
mod room;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use ferromq_model::GroupName;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::client::Client;
use crate::latency::LatencyFaults;
use crate::members::Membership;
use crate::message::Message;
pub use config::ProducerBuilder;
use config::Settings;
use deliver::{Aim, Span, Turns};
pub use error::{ProducerError, SendError};
pub use receipt::{SendReceipt, SendStatus};
use room::{Place, Room};

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
    /// Messages take turns among the queues of their topic. One for a topic that does not exist goes to a broker that
    /// creates topics by itself, if there is one.
    ///
    /// # Errors
    /// [`SendError`]. Dropping the future leaves open whether the message is stored.
    pub async fn send(&self, message: Message) -> Result<SendReceipt, SendError> {
        self.shared.send(message).await
    }

    /// Waits until what is in flight has ended, up to the send timeout, and leaves the group. What is sent after that, by
    /// other handles of the same producer, fails.
    pub async fn close(self) {
        let shared = &self.shared;
        if timeout(shared.settings.send_timeout, shared.room.close()).await.is_err() {
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
            settings,
        })
    }

    async fn enter(&self, count: usize, bytes: usize) -> Result<Place<'_>, SendError> {
        self.room.enter(count, bytes).await.map_err(|room::Closed| SendError::Closed)
    }

    async fn send(&self, message: Message) -> Result<SendReceipt, SendError> {
        let _place = self.enter(1, message.body.len()).await?;
        let span = Span::from_now(self.settings.send_timeout);
        let out = self.prepare(message).await?;
        let accepted = self.deliver(&out, Aim::Any, span).await?;
        Ok(accepted.receipt(&out))
    }
}
