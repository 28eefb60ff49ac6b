//! The properties of 5.0: one table of their numbers and names, and one list of those of each packet.
//!
//! ```text
//! | length 1..4 | id 1 | value | id 1 | value | ..
//!   └ of all that follow; the section ends exactly there
//! ```
//! Always true: a property is where the protocol allows it and once, user properties and the subscription identifiers of
//! a PUBLISH excepted; `None` is a property that was not there, which is not the same as one with its default.

use bytes::BytesMut;

use crate::decode::DecodeError;
use crate::read::Reader;
use crate::text::{Binary, Text};
use crate::topic::Name;
use crate::values::{PayloadFormat, QoS, SessionExpiry, SubscriptionId};
use std::num::{NonZeroU16, NonZeroU32};

mod slot;
mod sparse;

use slot::Slot;
pub use sparse::{Absent, Sparse};

macro_rules! table {
    ($($property:ident = $id:literal, $name:literal;)*) => {
        /// A property, by its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the protocol's own names; what each means stands where a packet has it")]
        pub enum Property {
            $($property = $id,)*
        }

        impl Property {
            /// All of them, in rising order.
            pub const ALL: &'static [Self] = &[$(Self::$property,)*];

            /// Reads the wire's number; `None` when the protocol does not define it.
            #[must_use]
            pub const fn from_u8(id: u8) -> Option<Self> {
                match id {
                    $($id => Some(Self::$property),)*
                    _ => None,
                }
            }

            /// The protocol's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$property => $name,)* }
            }
        }
    };
}

table! {
    PayloadFormatIndicator = 0x01, "Payload Format Indicator";
    MessageExpiryInterval = 0x02, "Message Expiry Interval";
    ContentType = 0x03, "Content Type";
    ResponseTopic = 0x08, "Response Topic";
    CorrelationData = 0x09, "Correlation Data";
    SubscriptionIdentifier = 0x0B, "Subscription Identifier";
    SessionExpiryInterval = 0x11, "Session Expiry Interval";
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier";
    ServerKeepAlive = 0x13, "Server Keep Alive";
    AuthenticationMethod = 0x15, "Authentication Method";
    AuthenticationData = 0x16, "Authentication Data";
    RequestProblemInformation = 0x17, "Request Problem Information";
    WillDelayInterval = 0x18, "Will Delay Interval";
    RequestResponseInformation = 0x19, "Request Response Information";
    ResponseInformation = 0x1A, "Response Information";
    ServerReference = 0x1C, "Server Reference";
    ReasonString = 0x1F, "Reason String";
    ReceiveMaximum = 0x21, "Receive Maximum";
    TopicAliasMaximum = 0x22, "Topic Alias Maximum";
    TopicAlias = 0x23, "Topic Alias";
    MaximumQoS = 0x24, "Maximum QoS";
    RetainAvailable = 0x25, "Retain Available";
    UserProperty = 0x26, "User Property";
    MaximumPacketSize = 0x27, "Maximum Packet Size";
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available";
    SubscriptionIdentifierAvailable = 0x29, "Subscription Identifier Available";
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available";
}

/// Which properties are written: what only explains goes first when a packet would be too large for its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    NotReason,
    NotReasonNorUser,
}

impl Keep {
    const fn has(self, property: Property) -> bool {
        match self {
            Self::All => true,
            Self::NotReason => !matches!(property, Property::ReasonString),
            Self::NotReasonNorUser => !matches!(property, Property::ReasonString | Property::UserProperty),
        }
    }
}

/// The properties of one kind of packet.
pub(crate) trait Section: Absent {
    /// Reads length and properties; `other` is asked for those that are not of the section and says whether it took it.
    fn read_with(
        reader: &mut Reader<'_>,
        other: impl FnMut(Property, &mut Reader<'_>) -> Result<bool, DecodeError>,
    ) -> Result<Sparse<Self>, DecodeError>;

    /// Reads length and properties.
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Sparse<Self>, DecodeError> {
        Self::read_with(reader, |_, _| Ok(false))
    }

    /// The bytes of the properties, without those of their length.
    fn size(&self, keep: Keep) -> usize;

    /// Writes the properties, without their length.
    fn write(&self, keep: Keep, out: &mut BytesMut);
}

macro_rules! sections {
    ($($(#[$meta:meta])* $section:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $property:ident,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $section {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Absent for $section {
            fn absent() -> &'static Self {
                static ABSENT: $section = $section { $($field: <$type as Slot>::ABSENT,)* };
                &ABSENT
            }
        }

        impl Section for $section {
            #[inline]
            fn read_with(
                reader: &mut Reader<'_>,
                mut other: impl FnMut(Property, &mut Reader<'_>) -> Result<bool, DecodeError>,
            ) -> Result<Sparse<Self>, DecodeError> {
                let mut found = Sparse::<Self>::default();
                let outer = reader.begin_section()?;
                while !reader.is_empty() {
                    match reader.property()? {
                        $(Property::$property => found.$field.read(Property::$property, reader)?,)*
                        #[allow(unreachable_patterns, reason = "no section has all properties, but the macro cannot know")]
                        property if other(property, reader)? => {}
                        property => return Err(DecodeError::Misplaced(property)),
                    }
                }
                reader.end_section(outer);
                Ok(found)
            }

            #[inline]
            fn size(&self, keep: Keep) -> usize {
                0 $(+ if keep.has(Property::$property) { self.$field.size() } else { 0 })*
            }

            fn write(&self, keep: Keep, out: &mut BytesMut) {
                $(if keep.has(Property::$property) {
                    self.$field.write(Property::$property, out);
                })*
            }
        }
    )*};
}

/// Names with texts, as anyone likes, in the order in which they were sent. A name may come twice.
pub type UserProperties = Vec<(Text, Text)>;

sections! {
    /// Of CONNECT.
    ConnectProperties {
        /// How long the session outlives the connection; absent: not at all.
        session_expiry: Option<SessionExpiry> = SessionExpiryInterval,
        /// How many unacknowledged PUBLISH of QoS 1 and 2 the client takes; absent: 65535.
        receive_maximum: Option<NonZeroU16> = ReceiveMaximum,
        /// The largest packet that the client takes, in bytes; absent: no limit.
        maximum_packet_size: Option<NonZeroU32> = MaximumPacketSize,
        /// The highest alias that the client takes; absent: 0.
        topic_alias_maximum: Option<u16> = TopicAliasMaximum,
        /// Whether CONNACK may carry Response Information; absent: no.
        request_response_information: Option<bool> = RequestResponseInformation,
        /// Whether any packet may carry Reason String and User Property; absent: yes.
        request_problem_information: Option<bool> = RequestProblemInformation,
        /// How the client wants to prove who it is.
        authentication_method: Option<Text> = AuthenticationMethod,
        /// The first step of that; never without a method.
        authentication_data: Option<Binary> = AuthenticationData,
        /// The client's own.
        user: UserProperties = UserProperty,
    }

    /// Of the will within a CONNECT.
    WillProperties {
        /// Seconds between the loss of the client and its will; absent: 0.
        delay: Option<u32> = WillDelayInterval,
        /// What the payload is.
        payload_format: Option<PayloadFormat> = PayloadFormatIndicator,
        /// Seconds from publication on, after which nobody wants it.
        message_expiry: Option<u32> = MessageExpiryInterval,
        /// As in HTTP, mostly.
        content_type: Option<Text> = ContentType,
        /// Where an answer goes.
        response_topic: Option<Name> = ResponseTopic,
        /// What the answer carries.
        correlation_data: Option<Binary> = CorrelationData,
        /// The client's own.
        user: UserProperties = UserProperty,
    }

    /// Of CONNACK.
    ConnAckProperties {
        /// What the server uses instead of what was asked.
        session_expiry: Option<SessionExpiry> = SessionExpiryInterval,
        /// How many unacknowledged PUBLISH of QoS 1 and 2 the server takes; absent: 65535.
        receive_maximum: Option<NonZeroU16> = ReceiveMaximum,
        /// The highest QoS that the server takes; absent: 2. As the protocol cannot say 2, that is written as absent.
        maximum_qos: Option<QoS> = MaximumQoS,
        /// Whether the server keeps retained messages; absent: yes.
        retain_available: Option<bool> = RetainAvailable,
        /// The largest packet that the server takes, in bytes; absent: no limit.
        maximum_packet_size: Option<NonZeroU32> = MaximumPacketSize,
        /// The identifier that the server chose for a client without one.
        assigned_client_id: Option<Text> = AssignedClientIdentifier,
        /// The highest alias that the server takes; absent: 0.
        topic_alias_maximum: Option<u16> = TopicAliasMaximum,
        /// Why, for people.
        reason_string: Option<Text> = ReasonString,
        /// Whether filters may have wildcards; absent: yes.
        wildcard_subscription_available: Option<bool> = WildcardSubscriptionAvailable,
        /// Whether subscriptions may have identifiers; absent: yes.
        subscription_id_available: Option<bool> = SubscriptionIdentifierAvailable,
        /// Whether subscriptions may be shared; absent: yes.
        shared_subscription_available: Option<bool> = SharedSubscriptionAvailable,
        /// The keep alive in seconds that the client has to use instead of its own.
        server_keep_alive: Option<u16> = ServerKeepAlive,
        /// What a client may build response topics from.
        response_information: Option<Text> = ResponseInformation,
        /// Which server to use instead.
        server_reference: Option<Text> = ServerReference,
        /// That of the CONNECT.
        authentication_method: Option<Text> = AuthenticationMethod,
        /// The last step of it; never without a method.
        authentication_data: Option<Binary> = AuthenticationData,
        /// The server's own.
        user: UserProperties = UserProperty,
    }

    /// Of PUBLISH. The alias is a part of its [topic](crate::PublishTopic).
    PublishProperties {
        /// What the payload is.
        payload_format: Option<PayloadFormat> = PayloadFormatIndicator,
        /// Seconds that are left until nobody wants it.
        message_expiry: Option<u32> = MessageExpiryInterval,
        /// Where an answer goes.
        response_topic: Option<Name> = ResponseTopic,
        /// What the answer carries.
        correlation_data: Option<Binary> = CorrelationData,
        /// To a client: those of the subscriptions that bring it. Never from a client.
        subscription_ids: Vec<SubscriptionId> = SubscriptionIdentifier,
        /// As in HTTP, mostly.
        content_type: Option<Text> = ContentType,
        /// The publisher's own.
        user: UserProperties = UserProperty,
    }

    /// Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    AckProperties {
        /// Why, for people.
        reason_string: Option<Text> = ReasonString,
        /// The sender's own.
        user: UserProperties = UserProperty,
    }

    /// Of SUBSCRIBE.
    SubscribeProperties {
        /// Comes back with every message of these subscriptions.
        subscription_id: Option<SubscriptionId> = SubscriptionIdentifier,
        /// The client's own.
        user: UserProperties = UserProperty,
    }

    /// Of UNSUBSCRIBE.
    UnsubscribeProperties {
        /// The client's own.
        user: UserProperties = UserProperty,
    }

    /// Of DISCONNECT.
    DisconnectProperties {
        /// From a client only: what it wants now. Not to be raised from 0.
        session_expiry: Option<SessionExpiry> = SessionExpiryInterval,
        /// Why, for people.
        reason_string: Option<Text> = ReasonString,
        /// From a server only: which one to use instead.
        server_reference: Option<Text> = ServerReference,
        /// The sender's own.
        user: UserProperties = UserProperty,
    }

    /// Of AUTH.
    AuthProperties {
        /// That of the CONNECT.
        authentication_method: Option<Text> = AuthenticationMethod,
        /// What the method exchanges; never without a method.
        authentication_data: Option<Binary> = AuthenticationData,
        /// Why, for people.
        reason_string: Option<Text> = ReasonString,
        /// The sender's own.
        user: UserProperties = UserProperty,
    }
}
