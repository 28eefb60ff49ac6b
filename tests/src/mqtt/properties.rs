//! Properties of MQTT 5.0 as tests write and read them: numbers by id, no rule but the form of each value.

use std::fmt;

/// Payload Format Indicator.
pub const PAYLOAD_FORMAT: u8 = 0x01;
/// Message Expiry Interval, s.
pub const MESSAGE_EXPIRY: u8 = 0x02;
/// Content Type.
pub const CONTENT_TYPE: u8 = 0x03;
/// Response Topic.
pub const RESPONSE_TOPIC: u8 = 0x08;
/// Correlation Data.
pub const CORRELATION: u8 = 0x09;
/// Subscription Identifier.
pub const SUBSCRIPTION_ID: u8 = 0x0B;
/// Session Expiry Interval, s.
pub const SESSION_EXPIRY: u8 = 0x11;
/// Assigned Client Identifier.
pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
/// Server Keep Alive, s.
pub const SERVER_KEEP_ALIVE: u8 = 0x13;
/// Authentication Method.
pub const AUTH_METHOD: u8 = 0x15;
/// Authentication Data.
pub const AUTH_DATA: u8 = 0x16;
/// Request Problem Information.
pub const REQUEST_PROBLEM: u8 = 0x17;
/// Will Delay Interval, s.
pub const WILL_DELAY: u8 = 0x18;
/// Request Response Information.
pub const REQUEST_RESPONSE: u8 = 0x19;
/// Response Information.
pub const RESPONSE_INFORMATION: u8 = 0x1A;
/// Server Reference.
pub const SERVER_REFERENCE: u8 = 0x1C;
/// Reason String.
pub const REASON: u8 = 0x1F;
/// Receive Maximum.
pub const RECEIVE_MAXIMUM: u8 = 0x21;
/// Topic Alias Maximum.
pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
/// Topic Alias.
pub const TOPIC_ALIAS: u8 = 0x23;
/// Maximum QoS.
pub const MAXIMUM_QOS: u8 = 0x24;
/// Retain Available.
pub const RETAIN_AVAILABLE: u8 = 0x25;
/// User Property.
pub const USER: u8 = 0x26;
/// Maximum Packet Size, bytes.
pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
/// Wildcard Subscription Available.
pub const WILDCARDS_AVAILABLE: u8 = 0x28;
/// Subscription Identifier Available.
pub const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
/// Shared Subscription Available.
pub const SHARED_AVAILABLE: u8 = 0x2A;

/// What a property holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number of any width.
    Number(u32),
    /// A string or binary data.
    Bytes(Vec<u8>),
    /// A pair of strings.
    Pair(Vec<u8>, Vec<u8>),
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<(&str, &str)> for Value {
    fn from((name, value): (&str, &str)) -> Self {
        Self::Pair(name.into(), value.into())
    }
}

/// A list of properties, in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(u8, Value)>);

impl Properties {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// These and one more.
    pub fn with(mut self, id: u8, value: impl Into<Value>) -> Self {
        self.0.push((id, value.into()));
        self
    }

    /// The number of the first with this id.
    pub fn number(&self, id: u8) -> Option<u32> {
        self.numbers(id).first().copied()
    }

    /// The numbers of all with this id.
    pub fn numbers(&self, id: u8) -> Vec<u32> {
        let of_id = self.0.iter().filter(|(known, _)| *known == id);
        of_id.filter_map(|(_, value)| if let Value::Number(n) = value { Some(*n) } else { None }).collect()
    }

    /// The bytes of the first with this id.
    pub fn bytes(&self, id: u8) -> Option<&[u8]> {
        self.0.iter().find_map(|(known, value)| match value {
            Value::Bytes(bytes) if *known == id => Some(&bytes[..]),
            _ => None,
        })
    }

    /// The text of the first with this id.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self, id: u8) -> Option<&str> {
        self.bytes(id).map(|bytes| str::from_utf8(bytes).expect("a property that is text"))
    }

    /// The user properties, in their order.
    ///
    /// # Panics
    /// When one is no text.
    pub fn users(&self) -> Vec<(&str, &str)> {
        let text = |bytes| str::from_utf8(bytes).expect("a user property that is text");
        let pairs = self.0.iter().filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((text(name), text(value))),
            _ => None,
        });
        pairs.collect()
    }

    /// Whether there is one with this id.
    pub fn has(&self, id: u8) -> bool {
        self.0.iter().any(|(known, _)| *known == id)
    }

    /// The section as it is in a packet, its length in front.
    pub fn section(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (id, value) in &self.0 {
            body.push(*id);
            match (form(*id), value) {
                (Form::One, Value::Number(n)) => body.push(*n as u8),
                (Form::Two, Value::Number(n)) => body.extend((*n as u16).to_be_bytes()),
                (Form::Four, Value::Number(n)) => body.extend(n.to_be_bytes()),
                (Form::Variable, Value::Number(n)) => body.extend(super::packet::variable(*n as usize)),
                (_, Value::Bytes(bytes)) => body.extend(super::packet::counted(bytes)),
                (_, Value::Pair(name, value)) => {
                    body.extend(super::packet::counted(name));
                    body.extend(super::packet::counted(value));
                }
                (_, Value::Number(_)) => panic!("property {id:#04x} is no number"),
            }
        }
        [super::packet::variable(body.len()), body].concat()
    }

    /// Reads a section off the front of what is left of a packet.
    pub(super) fn read(rest: &mut super::packet::Reader<'_>) -> Result<Self, String> {
        let length = rest.variable()?;
        let mut section = rest.part(length)?;
        let mut found = Vec::new();
        while !section.is_empty() {
            let id = section.one()?;
            let value = match form(id) {
                Form::One => Value::Number(section.one()?.into()),
                Form::Two => Value::Number(section.two()?.into()),
                Form::Four => Value::Number(section.four()?),
                Form::Variable => Value::Number(section.variable()? as u32),
                Form::Bytes => Value::Bytes(section.counted()?),
                Form::Pair => Value::Pair(section.counted()?, section.counted()?),
                Form::Unknown => return Err(format!("property {id:#04x} is unknown")),
            };
            if id != USER && id != SUBSCRIPTION_ID && found.iter().any(|(known, _)| *known == id) {
                return Err(format!("property {id:#04x} is there twice"));
            }
            found.push((id, value));
        }
        Ok(Self(found))
    }

    /// An id that may not be among them.
    pub(super) fn stranger(&self, allowed: &[u8]) -> Option<u8> {
        self.0.iter().map(|(id, _)| *id).find(|id| !allowed.contains(id))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(id, value)| (format!("{id:#04x}"), value))).finish()
    }
}

enum Form {
    One,
    Two,
    Four,
    Variable,
    Bytes,
    Pair,
    Unknown,
}

fn form(id: u8) -> Form {
    match id {
        PAYLOAD_FORMAT
        | REQUEST_PROBLEM
        | REQUEST_RESPONSE
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARDS_AVAILABLE
        | SUBSCRIPTION_IDS_AVAILABLE
        | SHARED_AVAILABLE => Form::One,
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => Form::Two,
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => Form::Four,
        SUBSCRIPTION_ID => Form::Variable,
        CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION | ASSIGNED_CLIENT_ID | AUTH_METHOD | AUTH_DATA
        | RESPONSE_INFORMATION | SERVER_REFERENCE | REASON => Form::Bytes,
        USER => Form::Pair,
        _ => Form::Unknown,
    }
}
