//! The table of reason codes: number, name, the packets that may carry it, and whose packets those are.
//!
//! Always true: below 0x80 is success, from there on failure. Inside, 5.0's codes are used for both versions; 3.1.1's
//! six return codes of CONNACK and its one failure of SUBACK are made from them at the encoder.

use std::fmt;

use crate::packet::PacketType;
use crate::values::{QoS, Side};

/// Who may send a code in a packet.
#[derive(Clone, Copy)]
enum By {
    Both,
    Client,
    Server,
}

macro_rules! reasons {
    ($($(#[$meta:meta])+ $variant:ident = $code:literal, $name:literal, [$($packet:ident $(by $side:ident)?),*];)*) => {
        /// What an answer says about what it answers, or a DISCONNECT about its cause.
        ///
        /// 0x00 has three names on paper, by packet: success, normal disconnection, granted QoS 0.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$meta])+ $variant = $code,)*
        }

        impl ReasonCode {
            /// All of them, in rising order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Reads the wire's number; `None` when the protocol does not define it.
            #[must_use]
            pub const fn from_u8(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// In words, as in "not authorized".
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The packets that may carry it.
            const fn places(self) -> &'static [(PacketType, By)] {
                match self {
                    $(Self::$variant => &[$((PacketType::$packet, reasons!(@by $($side)?)),)*],)*
                }
            }
        }
    };
    (@by) => { By::Both };
    (@by $side:ident) => { By::$side };
}

reasons! {
    /// It went as asked. DISCONNECT: the will is dropped. SUBACK: granted with QoS 0.
    #[default]
    Success = 0x00, "success", [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth by Server];
    /// The subscription's messages come with at most QoS 1.
    GrantedQoS1 = 0x01, "granted QoS 1", [SubAck];
    /// The subscription's messages come with at most QoS 2.
    GrantedQoS2 = 0x02, "granted QoS 2", [SubAck];
    /// The client leaves and wants its will published all the same.
    DisconnectWithWill = 0x04, "disconnect with will message", [Disconnect by Client];
    /// Stored, and nobody is subscribed.
    NoMatchingSubscribers = 0x10, "no matching subscribers", [PubAck by Server, PubRec by Server];
    /// There was nothing to unsubscribe.
    NoSubscriptionExisted = 0x11, "no subscription existed", [UnsubAck];
    /// Authentication has another step.
    ContinueAuthentication = 0x18, "continue authentication", [Auth];
    /// The client starts to authenticate anew.
    ReAuthenticate = 0x19, "re-authenticate", [Auth by Client];
    /// A failure that nobody wants to tell more of.
    UnspecifiedError = 0x80, "unspecified error", [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect];
    /// Bytes that are no packet.
    MalformedPacket = 0x81, "malformed packet", [ConnAck, Disconnect];
    /// A packet where or as it must not be.
    ProtocolError = 0x82, "protocol error", [ConnAck, Disconnect];
    /// Legal, and not accepted here.
    ImplementationSpecificError = 0x83, "implementation specific error", [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect];
    /// Neither 3.1.1 nor 5.0.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", [ConnAck];
    /// Legal, and not accepted as a client's name here.
    ClientIdentifierNotValid = 0x85, "client identifier not valid", [ConnAck];
    /// Who are you?
    BadUserNameOrPassword = 0x86, "bad user name or password", [ConnAck];
    /// Known, and not allowed to.
    NotAuthorized = 0x87, "not authorized", [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect by Server];
    /// Out of order.
    ServerUnavailable = 0x88, "server unavailable", [ConnAck];
    /// Try again later.
    ServerBusy = 0x89, "server busy", [ConnAck, Disconnect by Server];
    /// Shut out by an administrator.
    Banned = 0x8A, "banned", [ConnAck];
    /// The server stops.
    ServerShuttingDown = 0x8B, "server shutting down", [Disconnect by Server];
    /// Not a method of authentication here, or not the one of this connection.
    BadAuthenticationMethod = 0x8C, "bad authentication method", [ConnAck, Disconnect by Server];
    /// Nothing came for one and a half times the agreed time.
    KeepAliveTimeout = 0x8D, "keep alive timeout", [Disconnect by Server];
    /// Another connection has the same client identifier.
    SessionTakenOver = 0x8E, "session taken over", [Disconnect by Server];
    /// No legal filter, or not accepted here.
    TopicFilterInvalid = 0x8F, "topic filter invalid", [SubAck, UnsubAck, Disconnect by Server];
    /// No legal name, or not accepted here.
    TopicNameInvalid = 0x90, "topic name invalid", [ConnAck, PubAck, PubRec, Disconnect];
    /// Another exchange has this identifier.
    PacketIdentifierInUse = 0x91, "packet identifier in use", [PubAck, PubRec, SubAck, UnsubAck];
    /// No exchange has this identifier.
    PacketIdentifierNotFound = 0x92, "packet identifier not found", [PubRel, PubComp];
    /// More unacknowledged messages than allowed.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", [Disconnect];
    /// 0, or above the maximum.
    TopicAliasInvalid = 0x94, "topic alias invalid", [Disconnect];
    /// Above the receiver's limit.
    PacketTooLarge = 0x95, "packet too large", [ConnAck, Disconnect];
    /// Too much in too little time.
    MessageRateTooHigh = 0x96, "message rate too high", [Disconnect];
    /// A limit of the receiver or of an administrator is reached.
    QuotaExceeded = 0x97, "quota exceeded", [ConnAck, PubAck, PubRec, SubAck, Disconnect];
    /// Someone at the controls decided so.
    AdministrativeAction = 0x98, "administrative action", [Disconnect];
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99, "payload format invalid", [ConnAck, PubAck, PubRec, Disconnect];
    /// No retained messages here.
    RetainNotSupported = 0x9A, "retain not supported", [ConnAck, Disconnect by Server];
    /// No such QoS here.
    QoSNotSupported = 0x9B, "QoS not supported", [ConnAck, Disconnect by Server];
    /// For now, elsewhere.
    UseAnotherServer = 0x9C, "use another server", [ConnAck, Disconnect by Server];
    /// From now on, elsewhere.
    ServerMoved = 0x9D, "server moved", [ConnAck, Disconnect by Server];
    /// No shared subscriptions here.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported", [SubAck, Disconnect by Server];
    /// Too many connects in too little time.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded", [ConnAck, Disconnect by Server];
    /// The connection was open for as long as it may.
    MaximumConnectTime = 0xA0, "maximum connect time", [Disconnect by Server];
    /// No subscription identifiers here.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported", [SubAck, Disconnect by Server];
    /// No wildcards here.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported", [SubAck, Disconnect by Server];
}

impl ReasonCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From 0x80 on.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether a packet of this type may carry it when this side sends it.
    #[must_use]
    pub fn is_allowed(self, packet: PacketType, from: Side) -> bool {
        let by_side = |by| match by {
            By::Both => true,
            By::Client => from == Side::Client,
            By::Server => from == Side::Server,
        };
        self.places().iter().any(|&(place, by)| place == packet && by_side(by))
    }

    /// Whether a packet of this type may carry it at all.
    #[must_use]
    pub fn is_allowed_in(self, packet: PacketType) -> bool {
        self.places().iter().any(|&(place, _)| place == packet)
    }

    /// What a SUBACK says of a subscription that gets this QoS.
    #[must_use]
    pub const fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Success,
            QoS::AtLeastOnce => Self::GrantedQoS1,
            QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// 3.1.1's return code of a CONNACK for this reason; `None` where none of the six fits: then the connection is
    /// closed without a CONNACK.
    #[must_use]
    pub const fn return_code(self) -> Option<u8> {
        Some(match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::QuotaExceeded
            | Self::ConnectionRateExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved => 3,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            _ => return None,
        })
    }

    /// Reads 3.1.1's return code of a CONNACK; `None` for more than 5.
    #[must_use]
    pub const fn from_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.code())
    }
}
