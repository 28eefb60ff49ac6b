//! What is kept, as values: nothing here knows how it is stored, nor what a packet looks like.

use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::{Millis, PhysicalOffset, QueueOffset, Timestamp};

/// The number of a session: given once, never again, so that what is left of an ended one is never taken for another's.
///
/// Of a session that ends with its connection nothing but its will is ever written: see
/// [`SessionNumber::is_transient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub(super) u64);

impl SessionNumber {
    /// The bit that says that a session ends with its connection.
    const TRANSIENT: u64 = 1 << 63;

    pub(super) const fn new(n: u64, expiry: Expiry) -> Self {
        Self(if matches!(expiry, Expiry::AtClose) { n | Self::TRANSIENT } else { n })
    }

    /// The counter's value that it was made of.
    pub(super) const fn counted(self) -> u64 {
        self.0 & !Self::TRANSIENT
    }

    /// How a record says that it is the will of this session.
    #[must_use]
    pub fn mark(self) -> String {
        self.0.to_string()
    }

    pub(super) fn from_mark(mark: &str) -> Option<Self> {
        mark.parse().ok().map(Self)
    }

    /// Whether the session ends with its connection.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        self.0 & Self::TRANSIENT != 0
    }
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Not at all: MQTT's interval 0, and a clean session of 3.1.1.
    AtClose,
    /// This many seconds, at least one.
    After(u32),
    /// For ever: MQTT's interval 0xFFFFFFFF, and a session of 3.1.1 that is not clean.
    Never,
}

impl Expiry {
    /// What an MQTT 5.0 Session Expiry Interval says.
    #[must_use]
    pub const fn from_interval(seconds: u32) -> Self {
        match seconds {
            0 => Self::AtClose,
            u32::MAX => Self::Never,
            seconds => Self::After(seconds),
        }
    }

    /// The Session Expiry Interval that says this.
    #[must_use]
    pub const fn interval(self) -> u32 {
        match self {
            Self::AtClose => 0,
            Self::After(seconds) => seconds,
            Self::Never => u32::MAX,
        }
    }

    /// When a session ends whose connection was lost at `now`; none when it never does.
    #[must_use]
    pub const fn deadline(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::AtClose => Some(now),
            Self::After(seconds) => Some(now.plus(Millis::secs(seconds as u64))),
        }
    }
}

/// Whether the client is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has a connection.
    Connected,
    /// It has none.
    Away {
        /// When it lost it.
        since: Timestamp,
    },
}

/// One session, as all that look at it without its messages need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The client that it belongs to.
    pub client_id: Arc<str>,
    /// The protocol level of the last CONNECT: 4 or 5.
    pub version: u8,
    /// How long it outlives its connection.
    pub expiry: Expiry,
    /// Whether the client is there.
    pub presence: Presence,
    /// Where the commit log ended when the session began: what lies before was sent by an earlier session.
    pub begun: PhysicalOffset,
}

impl Session {
    /// When it ends unless the client comes back; none while it is connected, or when it waits for ever.
    #[must_use]
    pub const fn ends(&self) -> Option<Timestamp> {
        match self.presence {
            Presence::Connected => None,
            Presence::Away { since } => self.expiry.deadline(since),
        }
    }

    /// Whether nobody came back in time.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends().is_some_and(|end| end <= now)
    }
}

/// One subscription of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The granted quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the client does not want what it published itself.
    pub no_local: bool,
    /// Whether messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// When retained messages are sent, 0 to 2.
    pub retain_handling: u8,
    /// The number that the client knows the subscription by.
    pub identifier: Option<u32>,
    /// The next message of the filter's light queue. Every message below it is complete, or stands among the session's
    /// [`Outbound`]: so the two are changed in one commit. Means nothing for a shared subscription: see [`SharedGroup`].
    pub next: QueueOffset,
    /// The first message of the queue that it was ever to have: where the queue ended when the client subscribed.
    pub since: QueueOffset,
}

/// Where the messages of a shared subscription's group stand: one for all its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedGroup {
    /// The next message that no member had.
    pub next: QueueOffset,
    /// Messages below it that a member gave back.
    pub returned: Vec<QueueOffset>,
}

/// Where the body of a message on its way lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the light queue of a filter, as subscribed: with `$share/…` where it is shared.
    Queue {
        /// The subscription's filter.
        filter: Arc<str>,
        /// Which message of that queue.
        offset: QueueOffset,
    },
    /// It was sent because it was retained.
    Retained {
        /// The topic that it was retained under.
        topic: Arc<str>,
        /// The record in the commit log, if that still has it.
        at: PhysicalOffset,
    },
}

/// How far a message on its way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// PUBLISH may have been sent: it is repeated.
    Sent,
    /// PUBREC came: only PUBREL is repeated.
    Released,
}

/// A message that was sent under a packet identifier and is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Which of the session's messages it was: they are repeated in this order.
    pub order: u64,
    /// Its quality of service, 1 or 2.
    pub qos: u8,
    /// How far it is.
    pub phase: Phase,
    /// What was sent.
    pub source: Source,
}

/// A packet identifier that a client used for a QoS 2 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// The message is stored here and waits for PUBREL: the identifier is taken.
    Held(PhysicalOffset),
    /// PUBREL came for the message stored here: the identifier is free. Kept only until recovery would no longer read that
    /// record.
    Released(PhysicalOffset),
}

/// A client's will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The client that it speaks for.
    pub client_id: Arc<str>,
    /// The MQTT topic.
    pub topic: Arc<str>,
    /// What it says.
    pub payload: Bytes,
    /// Its quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// The properties of the record to be, in RocketMQ's form.
    pub properties: Arc<str>,
    /// How many seconds after the connection's loss it is published, unless the session ends before.
    pub delay: u32,
    /// Where the commit log ended when the client set it. [`State::connect`](super::State::connect) fills this in.
    pub since: PhysicalOffset,
}

/// The retained message of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The record in the commit log that it came by. The one that lies highest wins.
    pub at: PhysicalOffset,
    /// When that was stored.
    pub stored: Timestamp,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// The quality of service it was published with, 0 to 2.
    pub qos: u8,
    /// The record's properties, in RocketMQ's form.
    pub properties: Arc<str>,
    /// Its payload, never empty.
    pub payload: Bytes,
}

/// One change of what a session must not forget.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds a subscription or replaces it, its position included.
    Subscription {
        /// Whose.
        session: SessionNumber,
        /// The filter as the client wrote it.
        filter: Arc<str>,
        /// What is kept under it.
        subscription: Subscription,
    },
    /// Removes a subscription.
    Unsubscribed {
        /// Whose.
        session: SessionNumber,
        /// The filter as the client wrote it.
        filter: Arc<str>,
    },
    /// A message is on its way, or further.
    Outbound {
        /// Whose.
        session: SessionNumber,
        /// The packet identifier.
        packet_id: u16,
        /// What is kept under it.
        outbound: Outbound,
    },
    /// A message arrived.
    Complete {
        /// Whose.
        session: SessionNumber,
        /// The packet identifier.
        packet_id: u16,
    },
    /// A QoS 2 message came in, or was released.
    Inbound {
        /// Whose.
        session: SessionNumber,
        /// The packet identifier.
        packet_id: u16,
        /// What is known of it.
        inbound: Inbound,
    },
    /// The will was published, or is not to be.
    NoWill {
        /// Whose.
        session: SessionNumber,
    },
    /// Where a shared subscription's group stands.
    Group {
        /// The whole filter, `$share/…`.
        filter: Arc<str>,
        /// Where it stands; none when the last member is gone.
        group: Option<SharedGroup>,
    },
}
