//! Small values of the protocol: versions, qualities of service, identifiers.
//!
//! Always true: a value that exists is legal. Zero where the protocol forbids it, a QoS of 3 and the number that means
//! "never" end at the decoder.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

/// A version of the protocol, as the CONNECT packet chose it for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4: no properties, no reason codes, and the server closes without a word.
    V3,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// The protocol level that CONNECT carries.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V3 => 4,
            Self::V5 => 5,
        }
    }

    /// The version of a protocol level; `None` for levels that are not spoken here.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            4 => Some(Self::V3),
            5 => Some(Self::V5),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// Who sent a packet: some packets, reason codes and properties are for one side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one who connected.
    Client,
    /// The one who accepted.
    Server,
}

/// How surely a message arrives. Ordered: the QoS of a delivery is the least of what publisher and subscriber want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// 1: sent until acknowledged; may arrive twice.
    AtLeastOnce = 1,
    /// 2: arrives once, at the price of a second round trip.
    ExactlyOnce = 2,
}

impl QoS {
    /// Reads the two bits of a packet; `None` for 3 and more.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// Names an exchange of one direction of a session: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier that a sender uses.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// `None` for zero.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 1 after 65535.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(value) => Self(value),
            None => Self::FIRST,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that stands for a topic name on one connection, in one direction: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicAlias(NonZeroU16);

impl TopicAlias {
    /// `None` for zero.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

/// A subscriber's own number for a subscription, sent with every message that it brings: 1 to 268 435 455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// The largest that fits the wire.
    pub const MAX: Self = Self(268_435_455);

    /// `None` for zero and above [`MAX`](Self::MAX).
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value == 0 || value > Self::MAX.0 { None } else { Some(Self(value)) }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionExpiry {
    /// This many seconds, from the close on; 0 ends the session with the connection. Never `u32::MAX`, which says
    /// [`Never`](Self::Never) on the wire.
    Seconds(u32),
    /// Until someone ends it.
    Never,
}

impl SessionExpiry {
    /// The session ends with its connection.
    pub const AT_CLOSE: Self = Self::Seconds(0);

    /// Reads the wire's number.
    #[must_use]
    pub const fn from_u32(value: u32) -> Self {
        if value == u32::MAX { Self::Never } else { Self::Seconds(value) }
    }

    /// The wire's number.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Never => u32::MAX,
        }
    }

    /// The time, `None` for ever.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds as u64)),
            Self::Never => None,
        }
    }
}

/// What a publisher says its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PayloadFormat {
    /// 0: bytes, as when nothing is said.
    Bytes = 0,
    /// 1: UTF-8.
    Utf8 = 1,
}
