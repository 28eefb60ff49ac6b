//! Names of the properties that only MQTT messages have, each told once. Those of Apache's MQTT gateway where it has them.

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// All of them.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

names! {
    /// The client that published.
    CLIENT_ID = "clientId";
    /// The quality of service that it was published with, 0 to 2.
    QOS_LEVEL = "qosLevel";
    /// On a message whose body stands for an empty payload.
    IS_EMPTY = "IS_EMPTY_MSG";
    /// User properties that cannot be properties of their own, all of them as JSON: an array of pairs. Apache's gateway
    /// writes an object of them.
    EXT_DATA = "extData";
    /// Apache's: whether the publisher's session is clean.
    CLEAN_SESSION = "cleanSessionFlag";
    /// Apache's: how often it was sent again.
    RETRY_TIMES = "retryTimes";
    /// Apache's.
    NAMESPACE = "namespace";
    /// How many bytes of the body are properties: see [`Parts`](super::Parts).
    HEAD = "mqttHead";
    /// The packet identifier of a QoS 2 message.
    PACKET_ID = "mqttPacketId";
    /// On a message that is retained.
    RETAIN = "mqttRetain";
    /// On a will that was published: the session that it is of.
    WILL = "mqttWill";
    /// When the message expires, in milliseconds since 1970.
    EXPIRES_AT = "mqttExpiresAt";
    /// Of a will that is kept: the seconds that it has from when it is published.
    EXPIRES_IN = "mqttExpiresIn";
    /// Whether the payload is text (1) or bytes (0).
    PAYLOAD_FORMAT = "mqttPayloadFormat";
    /// Where an answer goes.
    RESPONSE_TOPIC = "mqttResponseTopic";
    /// What an answer carries, in base64url.
    CORRELATION = "mqttCorrelation";
}

/// Those by which a broker knows after a crash what MQTT's sessions were told. Only the front-end of MQTT sets them.
pub const MARKS: [&str; 3] = [PACKET_ID, RETAIN, WILL];
/// What the names of all marks begin with.
pub const MARK_PREFIX: &str = "mqtt";
