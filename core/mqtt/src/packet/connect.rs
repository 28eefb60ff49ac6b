//! [`Connect`] and [`ConnAck`]: how a connection begins.

use bytes::Bytes;

use crate::properties::{ConnAckProperties, ConnectProperties, Sparse, WillProperties};
use crate::reason::ReasonCode;
use crate::text::{Binary, Text};
use crate::topic::Name;
use crate::values::{QoS, SessionExpiry, Version};

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Spoken from here on.
    pub version: Version,
    /// Whether an old session is ended first. In 3.1.1 it also ends this one with its connection.
    pub clean_start: bool,
    /// The longest silence of the client, in seconds; 0 is any.
    pub keep_alive: u16,
    /// Empty when the server shall choose one.
    pub client_id: Text,
    /// What is published when the client is lost.
    pub will: Option<Will>,
    /// An empty name is not the same as none.
    pub user_name: Option<Text>,
    /// In 3.1.1 never without a user name.
    pub password: Option<Binary>,
    /// 5.0 only.
    pub properties: Sparse<ConnectProperties>,
}

impl Connect {
    /// A client that starts clean, without a keep alive, a will, a user name or properties.
    #[must_use]
    pub fn new(version: Version, client_id: Text) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Sparse::default(),
        }
    }

    /// How long the session shall outlive the connection, in either version.
    #[must_use]
    pub fn session_expiry(&self) -> SessionExpiry {
        match self.version {
            Version::V3 if self.clean_start => SessionExpiry::AT_CLOSE,
            Version::V3 => SessionExpiry::Never,
            Version::V5 => self.properties.session_expiry.unwrap_or(SessionExpiry::AT_CLOSE),
        }
    }

    /// How many PUBLISH of QoS 1 and 2 the client takes before it acknowledges one: 65535 unless it says less.
    #[must_use]
    pub fn receive_maximum(&self) -> u16 {
        self.properties.receive_maximum.map_or(u16::MAX, std::num::NonZero::get)
    }

    /// The largest packet that the client takes, in bytes, header included: no limit is `u32::MAX`.
    #[must_use]
    pub fn maximum_packet_size(&self) -> u32 {
        self.properties.maximum_packet_size.map_or(u32::MAX, std::num::NonZero::get)
    }

    /// The highest alias that the server may send; 0 unless the client says more.
    #[must_use]
    pub fn topic_alias_maximum(&self) -> u16 {
        self.properties.topic_alias_maximum.unwrap_or(0)
    }

    /// Whether Reason String and User Property may be on packets other than PUBLISH, CONNACK and DISCONNECT.
    #[must_use]
    pub fn wants_problem_information(&self) -> bool {
        self.properties.request_problem_information.unwrap_or(true)
    }

    /// Whether CONNACK may carry Response Information.
    #[must_use]
    pub fn wants_response_information(&self) -> bool {
        self.properties.request_response_information.unwrap_or(false)
    }
}

/// A message that the server publishes for a client it lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where it goes.
    pub topic: Name,
    /// May be empty.
    pub payload: Binary,
    /// As if the client had published it so.
    pub qos: QoS,
    /// As if the client had published it so.
    pub retain: bool,
    /// 5.0 only.
    pub properties: Sparse<WillProperties>,
}

impl Will {
    /// A will of QoS 0, not retained.
    #[must_use]
    pub fn new(topic: Name, payload: Binary) -> Self {
        Self { topic, payload, qos: QoS::AtMostOnce, retain: false, properties: Sparse::default() }
    }

    /// The payload as a message's.
    #[must_use]
    pub fn message(&self) -> Bytes {
        self.payload.clone().into_bytes()
    }
}

/// The server's answer to CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether there was a session to resume; never with a refusal.
    pub session_present: bool,
    /// Success, or why not.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: Sparse<ConnAckProperties>,
}

impl ConnAck {
    /// A refusal.
    #[must_use]
    pub fn refused(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: Sparse::default() }
    }
}
