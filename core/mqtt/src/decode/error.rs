//! What can be wrong with a packet, and what the peer is told. It is always the peer's doing: trying again is of no use.

use crate::packet::{ConnAck, Disconnect, PacketType};
use crate::properties::Property;
use crate::reason::ReasonCode;
use crate::text::{Text, TextError};
use crate::topic::NameError;
use crate::values::Version;

/// Why a packet was refused. The connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Bytes that are no packet.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A packet as it must not be.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// A text that is none.
    #[error("malformed text: {0}")]
    Text(#[from] TextError),
    /// A topic name that is none.
    #[error("topic name: {0}")]
    Name(#[from] NameError),
    /// A property that may come once, twice.
    #[error("{} twice", .0.name())]
    Repeated(Property),
    /// A property in a packet, or from a side, that cannot have it.
    #[error("{} is not for this packet", .0.name())]
    Misplaced(Property),
    /// A property with a value that it cannot have.
    #[error("{} has an illegal value", .0.name())]
    Value(Property),
    /// A reason code in a packet, or from a side, that cannot have it.
    #[error("reason code 0x{code:02X} is not for {}", .packet.name())]
    Reason {
        /// Which cannot have it.
        packet: PacketType,
        /// As it was sent.
        code: u8,
    },
    /// Topic alias 0.
    #[error("topic alias 0")]
    TopicAlias,
    /// Larger than [`Limits::packet`](super::Limits::packet).
    #[error("packet of {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Of the whole packet, in bytes.
        size: usize,
        /// In bytes.
        limit: u32,
    },
    /// More of something than the limits allow.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
    /// The first packet is something else.
    #[error("the first packet is not CONNECT")]
    NotConnect,
    /// CONNECT names another protocol.
    #[error("the protocol is not MQTT")]
    NotMqtt,
    /// CONNECT names a version that is not spoken here.
    #[error("protocol level {0} is neither 4 (3.1.1) nor 5 (5.0)")]
    Level(u8),
    /// No client identifier in 3.1.1, for a session that shall stay.
    #[error("a session that shall stay needs a client identifier")]
    ClientId,
}

impl DecodeError {
    /// The code for it. All of these may be in a DISCONNECT or, of CONNECT's errors, in a CONNACK.
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Malformed(_)
            | Self::Text(_)
            | Self::Name(NameError::Text(_) | NameError::Empty)
            | Self::Reason { .. } => ReasonCode::MalformedPacket,
            Self::Name(NameError::Wildcard) => ReasonCode::TopicNameInvalid,
            Self::Protocol(_)
            | Self::Repeated(_)
            | Self::Misplaced(_)
            | Self::Value(_)
            | Self::NotConnect
            | Self::NotMqtt => ReasonCode::ProtocolError,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::TooMany { .. } => ReasonCode::QuotaExceeded,
            Self::Level(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientId => ReasonCode::ClientIdentifierNotValid,
        }
    }

    /// What the peer is told before the connection is closed, once CONNECT was accepted: nothing in 3.1.1.
    #[must_use]
    pub fn answer(&self, version: Version) -> Option<Disconnect> {
        (version == Version::V5).then(|| {
            let mut answer = Disconnect::new(self.reason());
            answer.properties.reason_string = self.in_words();
            answer
        })
    }

    fn in_words(&self) -> Option<Text> {
        Text::try_from(self.to_string()).ok()
    }
}

/// Why the first packet was refused. The connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct ConnectError {
    /// What the client speaks, if it came so far as to say it.
    pub version: Option<Version>,
    /// What is wrong.
    pub cause: DecodeError,
}

impl ConnectError {
    /// What the client is told before the connection is closed, and in which version: `None` is nothing.
    ///
    /// 3.1.1 has an answer for an unknown level and for a missing client identifier only. A client of an unknown level
    /// gets 3.1.1's, which all versions before 5.0 understand and 5.0's authors had to expect.
    #[must_use]
    pub fn answer(&self) -> Option<(Version, ConnAck)> {
        match (&self.cause, self.version) {
            (DecodeError::NotConnect | DecodeError::NotMqtt, _) => None,
            (DecodeError::Level(_), _) => Some((Version::V3, ConnAck::refused(self.cause.reason()))),
            (DecodeError::ClientId, Some(Version::V3)) => {
                Some((Version::V3, ConnAck::refused(self.cause.reason())))
            }
            (_, Some(Version::V5)) => {
                let mut answer = ConnAck::refused(self.cause.reason());
                answer.properties.reason_string = self.cause.in_words();
                Some((Version::V5, answer))
            }
            (_, Some(Version::V3) | None) => None,
        }
    }
}
