//! [`Publish`]: a message on its way.

use bytes::Bytes;

use crate::properties::{PublishProperties, Sparse};
use crate::topic::Name;
use crate::values::{PacketId, PayloadFormat, QoS, TopicAlias};

/// A message, from a client to the server or from the server to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where it goes.
    pub topic: PublishTopic,
    /// How it is acknowledged.
    pub delivery: Delivery,
    /// To the server: keep it for later subscribers. To a client: it was kept.
    pub retain: bool,
    /// 5.0 only.
    pub properties: Sparse<PublishProperties>,
    /// A slice of the packet; may be empty.
    pub payload: Bytes,
}

impl Publish {
    /// A message of QoS 0, not retained, without properties.
    #[must_use]
    pub fn new(topic: Name, payload: Bytes) -> Self {
        Self {
            topic: PublishTopic::Name(topic),
            delivery: Delivery::AtMostOnce,
            retain: false,
            properties: Sparse::default(),
            payload,
        }
    }

    /// Its QoS.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.delivery.qos()
    }

    /// Whether the payload is UTF-8 if the publisher says that it is.
    #[must_use]
    pub fn has_the_format_it_says(&self) -> bool {
        self.properties.payload_format != Some(PayloadFormat::Utf8)
            || std::str::from_utf8(&self.payload).is_ok()
    }
}

/// How a PUBLISH says where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishTopic {
    /// By name: all that 3.1.1 knows.
    Name(Name),
    /// By name, and from now on the alias is enough.
    Define(Name, TopicAlias),
    /// By an alias that was defined before on this connection.
    Alias(TopicAlias),
}

impl PublishTopic {
    /// The name, if it is there.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Name(name) | Self::Define(name, _) => Some(name),
            Self::Alias(_) => None,
        }
    }

    /// The alias, if there is one.
    #[must_use]
    pub const fn alias(&self) -> Option<TopicAlias> {
        match self {
            Self::Name(_) => None,
            Self::Define(_, alias) | Self::Alias(alias) => Some(*alias),
        }
    }
}

impl From<Name> for PublishTopic {
    fn from(name: Name) -> Self {
        Self::Name(name)
    }
}

/// The QoS of one PUBLISH, with what comes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// QoS 0: no identifier, never sent again.
    #[default]
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// What the PUBACK will carry.
        id: PacketId,
        /// Whether it may have been sent before.
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// What PUBREC, PUBREL and PUBCOMP will carry.
        id: PacketId,
        /// Whether it may have been sent before.
        dup: bool,
    },
}

impl Delivery {
    /// The QoS alone.
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The identifier; `None` for QoS 0 and only then.
    #[must_use]
    pub const fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { id, .. } | Self::ExactlyOnce { id, .. } => Some(id),
        }
    }

    /// Whether it may have been sent before.
    #[must_use]
    pub const fn dup(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { dup, .. } | Self::ExactlyOnce { dup, .. } => dup,
        }
    }
}
