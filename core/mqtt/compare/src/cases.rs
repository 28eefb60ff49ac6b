//! Packets of clients, legal and not, by hand.

use ferromq_mqtt::Version::{self, V3, V5};

/// One complete packet.
pub(crate) struct Case {
    pub(crate) version: Version,
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) legal: bool,
}

const fn legal(version: Version, name: &'static str, bytes: &'static [u8]) -> Case {
    Case { version, name, bytes, legal: true }
}

const fn illegal(version: Version, name: &'static str, bytes: &'static [u8]) -> Case {
    Case { version, name, bytes, legal: false }
}

/// In the order of the packets' types.
pub(crate) const CASES: &[Case] = &[
    legal(V3, "CONNECT", b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c"),
    legal(V5, "CONNECT", b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c"),
    legal(
        V3,
        "CONNECT with a binary password",
        b"\x10\x13\x00\x04MQTT\x04\xC2\x00\x3C\x00\x01c\x00\x01u\x00\x01\xFF",
    ),
    illegal(V3, "CONNECT with the reserved flag", b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x3C\x00\x01c"),
    illegal(
        V3,
        "CONNECT, password without user name",
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3C\x00\x01c\x00\x01p",
    ),
    illegal(V3, "CONNECT with bytes behind it", b"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x01cx"),
    illegal(
        V5,
        "CONNECT with Receive Maximum 0",
        b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3C\x03\x21\x00\x00\x00\x01c",
    ),
    illegal(
        V5,
        "CONNECT, a property twice",
        b"\x10\x14\x00\x04MQTT\x05\x02\x00\x3C\x06\x21\x00\x01\x21\x00\x01\x00\x01c",
    ),
    illegal(V5, "CONNACK from a client", b"\x20\x03\x00\x00\x00"),
    legal(V3, "PUBLISH to a topic with non-ASCII letters", "\x30\x04\x00\x02ä".as_bytes()),
    illegal(V3, "PUBLISH to a topic that is not UTF-8", b"\x30\x04\x00\x02a\xFF"),
    illegal(V3, "PUBLISH to a topic with U+0000", b"\x30\x04\x00\x02a\x00"),
    illegal(V3, "PUBLISH to a topic with a wildcard", b"\x30\x05\x00\x03a/#"),
    illegal(V3, "PUBLISH to no topic", b"\x30\x03\x00\x00p"),
    illegal(V5, "PUBLISH, neither topic nor alias", b"\x30\x04\x00\x00\x00p"),
    legal(V5, "PUBLISH with an alias alone", b"\x30\x07\x00\x00\x03\x23\x00\x01p"),
    illegal(V5, "PUBLISH with alias 0", b"\x30\x07\x00\x01t\x03\x23\x00\x00"),
    illegal(V3, "PUBLISH of QoS 3", b"\x36\x06\x00\x01t\x00\x01p"),
    illegal(V3, "PUBLISH of QoS 0 with DUP", b"\x38\x04\x00\x01tp"),
    illegal(V3, "PUBLISH with packet identifier 0", b"\x32\x06\x00\x01t\x00\x00p"),
    illegal(V5, "PUBLISH with a Subscription Identifier", b"\x30\x06\x00\x01t\x02\x0B\x01"),
    illegal(V5, "PUBLISH, its last property within its payload", b"\x30\x07\x00\x01t\x01\x23\x00\x01"),
    illegal(V5, "PUBLISH with properties longer than it is", b"\x30\x05\x00\x01t\x09\x01"),
    illegal(V5, "PUBLISH with a length of too many bytes", b"\x30\x84\x00\x00\x01t\x00"),
    legal(V5, "PUBACK with a reason alone", b"\x40\x03\x00\x01\x80"),
    illegal(V3, "PUBACK with packet identifier 0", b"\x40\x02\x00\x00"),
    illegal(V3, "PUBACK with flags", b"\x41\x02\x00\x01"),
    illegal(V3, "PUBACK with bytes behind it", b"\x40\x03\x00\x01\x00"),
    illegal(V3, "PUBREL without its flag", b"\x60\x02\x00\x01"),
    legal(V5, "SUBSCRIBE with an identifier", b"\x82\x09\x00\x01\x02\x0B\x05\x00\x01a\x01"),
    illegal(V3, "SUBSCRIBE without its flag", b"\x80\x06\x00\x01\x00\x01a\x00"),
    illegal(V3, "SUBSCRIBE with packet identifier 0", b"\x82\x06\x00\x00\x00\x01a\x00"),
    illegal(V3, "SUBSCRIBE without a filter", b"\x82\x02\x00\x01"),
    illegal(V3, "SUBSCRIBE with reserved bits", b"\x82\x06\x00\x01\x00\x01a\xF1"),
    illegal(V5, "SUBSCRIBE with reserved bits", b"\x82\x07\x00\x01\x00\x00\x01a\xC1"),
    illegal(V5, "SUBSCRIBE, shared with No Local", b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x05"),
    illegal(V3, "UNSUBSCRIBE without a filter", b"\xA2\x02\x00\x01"),
    illegal(V5, "UNSUBACK from a client", b"\xB0\x04\x00\x01\x00\x00"),
    illegal(V3, "PINGREQ with a body", b"\xC0\x01\x00"),
    legal(V5, "DISCONNECT with a reason alone", b"\xE0\x01\x04"),
    illegal(V3, "DISCONNECT with a body", b"\xE0\x01\x00"),
    legal(V5, "AUTH", b"\xF0\x06\x18\x04\x15\x00\x01m"),
];
