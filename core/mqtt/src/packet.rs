//! [`Packet`]: the fifteen packets, each as what it says rather than as it is written.
//!
//! Always true: a state that the protocol forbids within one packet cannot be built where that is affordable: QoS 0
//! has no identifier and no DUP, a will is there as a whole or not at all, an alias is never zero.

mod connect;
mod publish;
mod subscribe;

pub use connect::{ConnAck, Connect, Will};
pub use publish::{Delivery, Publish, PublishTopic};
pub use subscribe::{
    RequestedFilter, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck,
    Unsubscribe,
};

use crate::properties::{AckProperties, AuthProperties, DisconnectProperties, Sparse};
use crate::reason::ReasonCode;
use crate::values::{PacketId, Side};

/// What a packet is, by the first four bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the protocol's own names; what each is stands at the variants of Packet")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// All of them, in rising order.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// Reads the high four bits of a packet; `None` for 0, and for more than 15.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        if value == 0 || value > 15 { None } else { Some(Self::ALL[value as usize - 1]) }
    }

    /// The protocol's name, in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The low four bits of the first byte, for every type but PUBLISH.
    pub(crate) const fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Whether this side may send it, in 5.0. In 3.1.1 a server sends no DISCONNECT and AUTH does not exist.
    pub(crate) const fn is_from(self, side: Side) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(side, Side::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => matches!(side, Side::Server),
            _ => true,
        }
    }
}

/// A packet of either version and direction. In 3.1.1 properties are empty and codes are those that it can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A client opens or resumes its session: the first packet, and no other.
    Connect(Box<Connect>),
    /// The server accepts or refuses.
    ConnAck(Box<ConnAck>),
    /// A message, in either direction.
    Publish(Publish),
    /// QoS 1: the receiver owns the message.
    PubAck(Ack),
    /// QoS 2, first answer: the receiver owns the message.
    PubRec(Ack),
    /// QoS 2: the sender will not send it again.
    PubRel(Ack),
    /// QoS 2, last: the identifier is free.
    PubComp(Ack),
    /// A client wants messages.
    Subscribe(Subscribe),
    /// One code for each filter of a SUBSCRIBE.
    SubAck(SubAck),
    /// A client wants no more of them.
    Unsubscribe(Unsubscribe),
    /// In 5.0 one code for each filter of an UNSUBSCRIBE; none in 3.1.1.
    UnsubAck(UnsubAck),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// The last packet. From a server in 5.0 only.
    Disconnect(Disconnect),
    /// 5.0: a step of an authentication that has several.
    Auth(Auth),
}

impl Packet {
    /// What it is.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP: one exchange's identifier and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The exchange.
    pub id: PacketId,
    /// How it went; always success in 3.1.1.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: Sparse<AckProperties>,
}

impl Ack {
    /// It went well.
    #[must_use]
    pub fn new(id: PacketId) -> Self {
        Self::with_reason(id, ReasonCode::Success)
    }

    /// It went as the code says.
    #[must_use]
    pub fn with_reason(id: PacketId, reason: ReasonCode) -> Self {
        Self { id, reason, properties: Sparse::default() }
    }
}

/// The end of a connection, with its cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnect {
    /// The cause; always success in 3.1.1.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: Sparse<DisconnectProperties>,
}

impl Disconnect {
    /// Without a word more.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Sparse::default() }
    }
}

/// A step of an authentication, 5.0 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Done, go on, or anew.
    pub reason: ReasonCode,
    /// The method is always among them, but in an AUTH from a server that says success and nothing else.
    pub properties: Sparse<AuthProperties>,
}
