//! Packets of MQTT 3.1.1 and 5.0, built and read by hand: what is under test must not be what tests it.
//!
//! What tests send is not checked: most of it is wrong on purpose. What a server sends is checked in full while it is read:
//! header flags, lengths, identifiers, where a property may be and which reason code a packet may carry.

use super::properties::{self, Properties};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1, level 4.
    V3,
    /// 5.0, level 5.
    V5,
}

/// Both versions.
pub const BOTH: [Version; 2] = [Version::V3, Version::V5];

impl Version {
    /// The protocol level of CONNECT.
    pub const fn level(self) -> u8 {
        match self {
            Self::V3 => 4,
            Self::V5 => 5,
        }
    }

    /// A section of properties, where there are any in this version.
    pub fn section(self, properties: &Properties) -> Vec<u8> {
        match self {
            Self::V3 => Vec::new(),
            Self::V5 => properties.section(),
        }
    }
}

/// First byte of CONNECT.
pub const CONNECT: u8 = 0x10;
/// First byte of CONNACK.
pub const CONNACK: u8 = 0x20;
/// First byte of PUBLISH, QoS 0.
pub const PUBLISH: u8 = 0x30;
/// First byte of PUBACK.
pub const PUBACK: u8 = 0x40;
/// First byte of PUBREC.
pub const PUBREC: u8 = 0x50;
/// First byte of PUBREL.
pub const PUBREL: u8 = 0x62;
/// First byte of PUBCOMP.
pub const PUBCOMP: u8 = 0x70;
/// First byte of SUBSCRIBE.
pub const SUBSCRIBE: u8 = 0x82;
/// First byte of SUBACK.
pub const SUBACK: u8 = 0x90;
/// First byte of UNSUBSCRIBE.
pub const UNSUBSCRIBE: u8 = 0xA2;
/// First byte of UNSUBACK.
pub const UNSUBACK: u8 = 0xB0;
/// First byte of PINGREQ.
pub const PINGREQ: u8 = 0xC0;
/// First byte of PINGRESP.
pub const PINGRESP: u8 = 0xD0;
/// First byte of DISCONNECT.
pub const DISCONNECT: u8 = 0xE0;
/// First byte of AUTH.
pub const AUTH: u8 = 0xF0;

/// A variable byte integer in the fewest bytes.
pub fn variable(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number % 128) as u8;
        number /= 128;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Bytes with their length in two bytes in front: a string or binary data.
pub fn counted(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// A packet of this first byte and this body.
pub fn frame(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&[first][..], &variable(body.len()), body].concat()
}

/// What CONNECT says.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The version.
    pub version: Version,
    /// The client identifier.
    pub client_id: Vec<u8>,
    /// Clean Session, or Clean Start.
    pub clean: bool,
    /// Keep alive, s.
    pub keep_alive: u16,
    /// Properties, for 5.0.
    pub properties: Properties,
    /// The will.
    pub will: Option<Will>,
    /// The user name.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Option<Vec<u8>>,
}

impl Connect {
    /// A session that begins now and ends with the connection; no keep alive.
    pub fn clean(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean: true,
            keep_alive: 0,
            properties: Properties::none(),
            will: None,
            user: None,
            password: None,
        }
    }

    /// A session that is resumed or begins, and outlives the connection (in 5.0 by an hour).
    pub fn persistent(version: Version, client_id: &str) -> Self {
        let clean = Self::clean(version, client_id);
        Self { clean: false, ..clean }.with(properties::SESSION_EXPIRY, 3600)
    }

    /// With one more property.
    pub fn with(mut self, id: u8, value: impl Into<properties::Value>) -> Self {
        self.properties = self.properties.with(id, value);
        self
    }

    /// With a will.
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// With a user name and a password.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    /// With a keep alive, s.
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// The flags that fit the fields.
    pub fn flags(&self) -> u8 {
        let will = self.will.as_ref().map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
        u8::from(self.clean) << 1
            | will
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user.is_some()) << 7
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_as(b"MQTT", self.version.level(), self.flags())
    }

    /// The packet with another name, level and flags than its own.
    pub fn bytes_as(&self, name: &[u8], level: u8, flags: u8) -> Vec<u8> {
        frame(CONNECT, self.body_as(name, level, flags))
    }

    /// What [`Connect::bytes_as`] has behind its header.
    pub fn body_as(&self, name: &[u8], level: u8, flags: u8) -> Vec<u8> {
        let mut body = [counted(name), vec![level, flags], self.keep_alive.to_be_bytes().to_vec()].concat();
        body.extend(self.version.section(&self.properties));
        body.extend(counted(&self.client_id));
        if let Some(will) = &self.will {
            body.extend(self.version.section(&will.properties));
            body.extend(counted(&will.topic));
            body.extend(counted(&will.payload));
        }
        body.extend(self.user.iter().chain(&self.password).flat_map(counted));
        body
    }
}

/// A will.
#[derive(Clone, Debug)]
pub struct Will {
    /// Its topic.
    pub topic: Vec<u8>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties, for 5.0.
    pub properties: Properties,
}

impl Will {
    /// Of QoS 1, not retained.
    pub fn new(topic: &str, payload: &str) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: 1,
            retain: false,
            properties: Properties::none(),
        }
    }

    /// With one more property.
    pub fn with(mut self, id: u8, value: impl Into<properties::Value>) -> Self {
        self.properties = self.properties.with(id, value);
        self
    }
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The QoS.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// Whether it may have been sent before.
    pub dup: bool,
    /// The packet identifier, 0 with QoS 0.
    pub id: u16,
    /// Its properties, for 5.0.
    pub properties: Properties,
}

impl Publish {
    /// Sent for the first time, not retained.
    pub fn new(topic: &str, payload: impl AsRef<[u8]>, qos: u8, id: u16) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_ref().to_vec(),
            qos,
            retain: false,
            dup: false,
            id,
            properties: Properties::none(),
        }
    }

    /// Retained.
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// With DUP.
    pub fn again(mut self) -> Self {
        self.dup = true;
        self
    }

    /// With one more property.
    pub fn with(mut self, id: u8, value: impl Into<properties::Value>) -> Self {
        self.properties = self.properties.with(id, value);
        self
    }

    /// The payload as text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.payload).expect("a payload of text")
    }

    /// The first byte.
    pub fn first(&self) -> u8 {
        PUBLISH | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain)
    }

    /// The packet.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = counted(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(version.section(&self.properties));
        body.extend(&self.payload);
        frame(self.first(), body)
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP: success, in its short form.
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    frame(first, id.to_be_bytes())
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP of 5.0 with a reason code.
pub fn ack_with(first: u8, id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    frame(first, [high, low, reason])
}

/// SUBSCRIBE with each filter's options (in 3.1.1 its QoS).
pub fn subscribe(version: Version, id: u16, properties: &Properties, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(version.section(properties));
    for (filter, options) in filters {
        body.extend(counted(filter));
        body.push(*options);
    }
    frame(SUBSCRIBE, body)
}

/// UNSUBSCRIBE.
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(version.section(&Properties::none()));
    body.extend(filters.iter().flat_map(counted));
    frame(UNSUBSCRIBE, body)
}

/// DISCONNECT of 5.0.
pub fn disconnect(reason: u8, properties: &Properties) -> Vec<u8> {
    frame(DISCONNECT, [vec![reason], properties.section()].concat())
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// CONNACK.
    ConnAck(ConnAck),
    /// PUBLISH.
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack {
        /// Which of them, by its first byte.
        first: u8,
        /// The packet identifier.
        id: u16,
        /// The reason, 0 in 3.1.1.
        reason: u8,
        /// Properties, for 5.0.
        properties: Properties,
    },
    /// SUBACK.
    SubAck {
        /// The packet identifier.
        id: u16,
        /// A code for each filter.
        codes: Vec<u8>,
        /// Properties, for 5.0.
        properties: Properties,
    },
    /// UNSUBACK.
    UnsubAck {
        /// The packet identifier.
        id: u16,
        /// A code for each filter, none in 3.1.1.
        codes: Vec<u8>,
    },
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect {
        /// Why.
        reason: u8,
        /// Properties.
        properties: Properties,
    },
    /// AUTH.
    Auth {
        /// Why.
        reason: u8,
        /// Properties.
        properties: Properties,
    },
}

/// CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether state was there.
    pub session_present: bool,
    /// The return or reason code.
    pub code: u8,
    /// Properties, for 5.0.
    pub properties: Properties,
}

impl Packet {
    /// Reads a packet that a server sent.
    ///
    /// # Errors
    /// What the server did wrong.
    pub fn read(first: u8, body: &[u8], version: Version) -> Result<Self, String> {
        let mut rest = Reader(body);
        let packet = Self::read_body(first, &mut rest, version)
            .map_err(|why| format!("{why}: {first:#04x} {body:02x?}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes too many: {first:#04x} {body:02x?}", rest.0.len()));
        }
        packet.check(version)?;
        Ok(packet)
    }

    fn read_body(first: u8, rest: &mut Reader<'_>, version: Version) -> Result<Self, String> {
        let v5 = version == Version::V5;
        let section = |rest: &mut Reader<'_>| match version {
            Version::V3 => Ok(Properties::none()),
            Version::V5 => Properties::read(rest),
        };
        // What 5.0 lets a packet leave out.
        let optional = |rest: &mut Reader<'_>| match rest.is_empty() {
            true => Ok(Properties::none()),
            false => section(rest),
        };
        Ok(match first {
            CONNACK => {
                let flags = rest.one()?;
                if flags > 1 {
                    return Err("CONNACK with reserved flags".to_owned());
                }
                let code = rest.one()?;
                Self::ConnAck(ConnAck { session_present: flags == 1, code, properties: section(rest)? })
            }
            PUBLISH..PUBACK => {
                let qos = first >> 1 & 3;
                let topic = String::from_utf8(rest.counted()?).map_err(|e| e.to_string())?;
                let id = if qos > 0 { rest.id()? } else { 0 };
                let properties = section(rest)?;
                let (retain, dup) = (first & 1 == 1, first & 8 == 8);
                Self::Publish(Publish { topic, payload: rest.all(), qos, retain, dup, id, properties })
            }
            PUBACK | PUBREC | PUBREL | PUBCOMP => {
                let id = rest.id()?;
                let reason = if v5 && !rest.is_empty() { rest.one()? } else { 0 };
                Self::Ack { first, id, reason, properties: optional(rest)? }
            }
            SUBACK => {
                let id = rest.id()?;
                let properties = section(rest)?;
                Self::SubAck { id, codes: rest.all(), properties }
            }
            UNSUBACK => {
                let id = rest.id()?;
                section(rest)?;
                Self::UnsubAck { id, codes: if v5 { rest.all() } else { Vec::new() } }
            }
            PINGRESP => Self::PingResp,
            DISCONNECT | AUTH if v5 => {
                let reason = if rest.is_empty() { 0 } else { rest.one()? };
                let properties = optional(rest)?;
                match first {
                    AUTH => Self::Auth { reason, properties },
                    _ => Self::Disconnect { reason, properties },
                }
            }
            _ => return Err("a packet that no server sends".to_owned()),
        })
    }

    /// What can be wrong in a packet that could be read.
    fn check(&self, version: Version) -> Result<(), String> {
        use properties as p;
        const ALWAYS: [u8; 2] = [p::REASON, p::USER];
        let none = Properties::none();
        let (properties, allowed): (&Properties, &[u8]) = match self {
            Self::ConnAck(ack) => (&ack.properties, &OF_CONNACK),
            Self::Publish(publish) => (&publish.properties, &OF_PUBLISH),
            Self::Ack { properties, .. } | Self::SubAck { properties, .. } => (properties, &ALWAYS),
            Self::Disconnect { properties, .. } => (properties, &[p::REASON, p::USER, p::SERVER_REFERENCE]),
            Self::Auth { properties, .. } => {
                (properties, &[p::REASON, p::USER, p::AUTH_METHOD, p::AUTH_DATA])
            }
            Self::UnsubAck { .. } | Self::PingResp => (&none, &ALWAYS),
        };
        if let Some(id) = properties.stranger(allowed) {
            return Err(format!("property {id:#04x} may not be in {self:?}"));
        }
        let (codes, allowed): (&[u8], &[u8]) = match (self, version) {
            (Self::ConnAck(ack), Version::V3) => (&[ack.code], &[0, 1, 2, 3, 4, 5]),
            (Self::ConnAck(ack), Version::V5) => (&[ack.code], &CODES_OF_CONNACK),
            (Self::Ack { first: PUBACK | PUBREC, reason, .. }, _) => {
                (&[*reason], &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
            }
            (Self::Ack { reason, .. }, _) => (&[*reason], &[0, 0x92]),
            (Self::SubAck { codes, .. }, Version::V3) => (codes, &[0, 1, 2, 0x80]),
            (Self::SubAck { codes, .. }, Version::V5) => {
                (codes, &[0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2])
            }
            (Self::UnsubAck { codes, .. }, _) => (codes, &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
            (Self::Disconnect { reason, .. }, _) => (&[*reason], &CODES_OF_DISCONNECT),
            (Self::Auth { reason, .. }, _) => (&[*reason], &[0, 0x18]),
            (Self::Publish(_) | Self::PingResp, _) => (&[], &[]),
        };
        if let Some(code) = codes.iter().find(|code| !allowed.contains(code)) {
            return Err(format!("code {code:#04x} may not be in {self:?}"));
        }
        match self {
            Self::Publish(publish) if publish.qos == 3 => Err(format!("QoS 3: {self:?}")),
            Self::Publish(publish) if publish.qos == 0 && publish.dup => Err(format!("DUP: {self:?}")),
            _ => Ok(()),
        }
    }
}

const OF_CONNACK: [u8; 17] = [
    properties::SESSION_EXPIRY,
    properties::ASSIGNED_CLIENT_ID,
    properties::SERVER_KEEP_ALIVE,
    properties::AUTH_METHOD,
    properties::AUTH_DATA,
    properties::RESPONSE_INFORMATION,
    properties::SERVER_REFERENCE,
    properties::REASON,
    properties::RECEIVE_MAXIMUM,
    properties::TOPIC_ALIAS_MAXIMUM,
    properties::MAXIMUM_QOS,
    properties::RETAIN_AVAILABLE,
    properties::USER,
    properties::MAXIMUM_PACKET_SIZE,
    properties::WILDCARDS_AVAILABLE,
    properties::SUBSCRIPTION_IDS_AVAILABLE,
    properties::SHARED_AVAILABLE,
];
const OF_PUBLISH: [u8; 8] = [
    properties::PAYLOAD_FORMAT,
    properties::MESSAGE_EXPIRY,
    properties::CONTENT_TYPE,
    properties::RESPONSE_TOPIC,
    properties::CORRELATION,
    properties::SUBSCRIPTION_ID,
    properties::TOPIC_ALIAS,
    properties::USER,
];
const CODES_OF_CONNACK: [u8; 22] = [
    0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A,
    0x9B, 0x9C, 0x9D, 0x9F,
];
const CODES_OF_DISCONNECT: [u8; 29] = [
    0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];

/// What is left of a packet's body.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn part(&mut self, length: usize) -> Result<Reader<'a>, String> {
        let (part, rest) = self.0.split_at_checked(length).ok_or("the body ends early")?;
        self.0 = rest;
        Ok(Reader(part))
    }

    pub(super) fn one(&mut self) -> Result<u8, String> {
        Ok(self.part(1)?.0[0])
    }

    pub(super) fn two(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes([self.one()?, self.one()?]))
    }

    pub(super) fn four(&mut self) -> Result<u32, String> {
        Ok(u32::from(self.two()?) << 16 | u32::from(self.two()?))
    }

    fn id(&mut self) -> Result<u16, String> {
        match self.two()? {
            0 => Err("packet identifier 0".to_owned()),
            id => Ok(id),
        }
    }

    pub(super) fn variable(&mut self) -> Result<usize, String> {
        let mut number = 0;
        for place in 0..4 {
            let byte = self.one()?;
            number |= usize::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                return match byte == 0 && place > 0 {
                    true => Err("a variable byte integer in more bytes than it needs".to_owned()),
                    false => Ok(number),
                };
            }
        }
        Err("a variable byte integer of more than four bytes".to_owned())
    }

    pub(super) fn counted(&mut self) -> Result<Vec<u8>, String> {
        let length = self.two()?;
        Ok(self.part(length.into())?.0.to_vec())
    }

    fn all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}
