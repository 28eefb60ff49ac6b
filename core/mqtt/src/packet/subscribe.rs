//! [`Subscribe`] and [`Unsubscribe`], and their answers.

use crate::properties::{AckProperties, Sparse, SubscribeProperties, UnsubscribeProperties};
use crate::reason::ReasonCode;
use crate::topic::{AnyFilter, InvalidFilter};
use crate::values::{PacketId, QoS};

/// A filter that was asked for. A wrong one is refused by its own code in the answer; the rest of the packet is valid.
pub type RequestedFilter = Result<AnyFilter, InvalidFilter>;

/// A client wants messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// What the SUBACK will carry.
    pub id: PacketId,
    /// At least one.
    pub filters: Vec<Subscription>,
    /// 5.0 only. The identifier among them is for all filters.
    pub properties: Sparse<SubscribeProperties>,
}

/// One filter of a [`Subscribe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Which messages.
    pub filter: RequestedFilter,
    /// How.
    pub options: SubscriptionOptions,
}

impl Subscription {
    /// With the options of 3.1.1.
    #[must_use]
    pub fn new(filter: impl Into<AnyFilter>, qos: QoS) -> Self {
        Self {
            filter: Ok(filter.into()),
            options: SubscriptionOptions { qos, ..SubscriptionOptions::default() },
        }
    }
}

/// How a subscriber wants its messages. 3.1.1 knows the QoS alone; the rest is as by default there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// At most this.
    pub qos: QoS,
    /// Not those that the same client published. Never with a shared filter.
    pub no_local: bool,
    /// With the retain flag that the publisher gave, not only for those that were kept.
    pub retain_as_published: bool,
    /// When those come that were kept.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Reads 5.0's byte; `None` when a reserved bit is set or a value is 3.
    #[must_use]
    pub const fn from_u8(options: u8) -> Option<Self> {
        let Some(qos) = QoS::from_u8(options & 0b11) else { return None };
        let retain_handling = match options >> 4 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return None,
        };
        Some(Self {
            qos,
            no_local: options & 0b100 != 0,
            retain_as_published: options & 0b1000 != 0,
            retain_handling,
        })
    }

    /// 5.0's byte. What a store keeps too.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }
}

/// Whether a SUBSCRIBE brings the retained messages that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// 0: each time.
    #[default]
    Always = 0,
    /// 1: when the subscription did not exist.
    IfNew = 1,
    /// 2: not at all.
    Never = 2,
}

/// One code for each filter of a [`Subscribe`], in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// That of the SUBSCRIBE.
    pub id: PacketId,
    /// At least one.
    pub reasons: Vec<ReasonCode>,
    /// 5.0 only.
    pub properties: Sparse<AckProperties>,
}

impl SubAck {
    /// Without a word more.
    #[must_use]
    pub fn new(id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self { id, reasons, properties: Sparse::default() }
    }
}

/// A client wants no more of some messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// What the UNSUBACK will carry.
    pub id: PacketId,
    /// At least one.
    pub filters: Vec<RequestedFilter>,
    /// 5.0 only.
    pub properties: Sparse<UnsubscribeProperties>,
}

/// In 5.0 one code for each filter of an [`Unsubscribe`], in its order; in 3.1.1 none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// That of the UNSUBSCRIBE.
    pub id: PacketId,
    /// At least one in 5.0; not written in 3.1.1.
    pub reasons: Vec<ReasonCode>,
    /// 5.0 only.
    pub properties: Sparse<AckProperties>,
}

impl UnsubAck {
    /// Without a word more.
    #[must_use]
    pub fn new(id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self { id, reasons, properties: Sparse::default() }
    }
}
