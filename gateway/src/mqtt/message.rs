//! One message between its two forms: a PUBLISH, and a record of the log with properties that every protocol reads.
//!
//! Always true: what came by MQTT leaves by MQTT as it came, its properties in their order; what came otherwise leaves
//! with its user properties as MQTT's. Names of properties are those of Apache's MQTT gateway where it has them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use ferromq_model::message::{
    NAME_END, PROPERTY_END, SysFlag, find_property, property, push_property, without_properties,
};
use ferromq_model::mqtt::Parts;
use ferromq_model::mqtt::names::{
    self, CLIENT_ID, CORRELATION, EXPIRES_AT, EXPIRES_IN, EXT_DATA, IS_EMPTY, PACKET_ID, PAYLOAD_FORMAT,
    QOS_LEVEL, RESPONSE_TOPIC, RETAIN, WILL,
};
use ferromq_model::record::Record;
use ferromq_model::{Millis, Timestamp, light, mqtt};
use ferromq_mqtt::properties::{PublishProperties, Sparse, UserProperties};
use ferromq_mqtt::topic::Name;
use ferromq_mqtt::{Binary, PayloadFormat, QoS, ReasonCode, Text};
use ferromq_protocol::compress::decompress;

use super::state::Retained;
use crate::http::CONTENT_TYPE;

/// The tag of what comes by MQTT.
const TAG: &str = "MQTT_COMMON";
pub(super) const EMPTY_BODY: &[u8] = b"\0";
/// What a body that another client compressed may grow to.
const MAX_DECOMPRESSED: usize = 16 << 20;

/// What a client publishes, or has as its will.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published<'a> {
    pub(super) topic: &'a str,
    pub(super) client: &'a str,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Of QoS 2.
    pub(super) packet_id: Option<u16>,
    pub(super) properties: &'a PublishProperties,
    pub(super) payload: &'a [u8],
}

impl<'a> Published<'a> {
    /// The body of its record.
    pub(super) fn body(&self) -> &'a [u8] {
        if self.payload.is_empty() { EMPTY_BODY } else { self.payload }
    }

    /// The property string of its record, stored at `now`.
    ///
    /// # Errors
    /// The protocol lets a server refuse texts with control characters: those that end properties are.
    pub(super) fn write_properties(&self, now: Timestamp, out: &mut String) -> Result<(), ReasonCode> {
        let mut put = |name: &str, value: &str| {
            if ends_a_property(name) || ends_a_property(value) {
                return Err(ReasonCode::ImplementationSpecificError);
            }
            push_property(out, name, value);
            Ok(())
        };
        put(property::ORIGIN_MQTT_TOPIC, self.topic)?;
        put(property::TAGS, TAG)?;
        put(QOS_LEVEL, ["0", "1", "2"][self.qos as usize])?;
        put(CLIENT_ID, self.client)?;
        if self.payload.is_empty() {
            put(IS_EMPTY, "true")?;
        }
        if self.retain {
            put(RETAIN, "1")?;
        }
        if let Some(id) = self.packet_id {
            put(PACKET_ID, &id.to_string())?;
        }
        let properties = self.properties;
        if let Some(seconds) = properties.message_expiry {
            put(EXPIRES_AT, &now.plus(Millis::secs(seconds.into())).0.to_string())?;
        }
        if let Some(format) = properties.payload_format {
            put(PAYLOAD_FORMAT, if format == PayloadFormat::Utf8 { "1" } else { "0" })?;
        }
        if let Some(content_type) = properties.content_type.as_ref().filter(|text| !text.is_empty()) {
            put(CONTENT_TYPE, content_type)?;
        }
        if let Some(topic) = &properties.response_topic {
            put(RESPONSE_TOPIC, topic)?;
        }
        if let Some(data) = &properties.correlation_data {
            put(CORRELATION, &BASE64.encode(&**data))?;
        }
        let user = &properties.user;
        let plain = |(i, (name, value)): (usize, &(Text, Text))| {
            let repeated = user[..i].iter().any(|(before, _)| before == name);
            !repeated && !value.is_empty() && can_be_property(name) && !ends_a_property(value)
        };
        // Looking for repetitions costs a square of them.
        const FEW: usize = 32;
        if user.len() <= FEW && user.iter().enumerate().all(plain) {
            user.iter().try_for_each(|(name, value)| put(name, value))
        } else {
            let pairs: Vec<_> = user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            put(EXT_DATA, &serde_json::to_string(&pairs).expect("texts"))
        }
    }
}

/// Adds to a will's properties that it expires so many seconds after it is published.
pub(super) fn push_expiry_to_come(properties: &mut String, seconds: u32) {
    push_property(properties, EXPIRES_IN, &seconds.to_string());
}

/// When a message with these properties expires, if it does.
pub(super) fn expiry(properties: &str) -> Option<Timestamp> {
    find_property(properties, EXPIRES_AT)?.parse().ok().map(Timestamp)
}

/// A will's properties, now that it is published; `mark` names its session.
pub(super) fn published_at(properties: &str, mark: &str, now: Timestamp) -> String {
    let seconds = find_property(properties, EXPIRES_IN).and_then(|seconds| seconds.parse().ok());
    let mut text = without_properties(properties, &[EXPIRES_IN]);
    push_property(&mut text, WILL, mark);
    if let Some(seconds) = seconds {
        push_property(&mut text, EXPIRES_AT, &now.plus(Millis::secs(seconds)).0.to_string());
    }
    text
}

fn ends_a_property(text: &str) -> bool {
    text.bytes().any(|byte| byte == NAME_END || byte == PROPERTY_END)
}

/// Whether a user property of this name may stand among a message's own.
fn can_be_property(name: &str) -> bool {
    !name.is_empty()
        && !ends_a_property(name)
        && !name.starts_with("__")
        && !is_of_the_broker(name)
        && !is_of_mqtt(name)
}

fn is_of_mqtt(name: &str) -> bool {
    names::ALL.contains(&name) || name == CONTENT_TYPE
}

fn is_of_the_broker(name: &str) -> bool {
    property::RESERVED.contains(&name)
        || matches!(name, property::ORIGIN_MQTT_TOPIC | property::INNER_MULTI_DISPATCH)
}

/// A message as it lies in the log, seen as MQTT's.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) topic: Name,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Who published it, if that was by MQTT.
    pub(super) client: Option<Text>,
    pub(super) expires: Option<Timestamp>,
    pub(super) properties: Sparse<PublishProperties>,
    pub(super) payload: Bytes,
}

impl View {
    /// What a record holds, its texts and payload as slices of it. `None` for what cannot be published: a topic that is
    /// none in MQTT, or a body that does not decompress.
    pub(super) fn of(bytes: &Bytes) -> Option<Self> {
        let record = light::original(&Record::decode(bytes).ok()?)?;
        let parts = Parts::of_record(&record);
        let payload = bytes.slice_ref(parts.body);
        let payload = if record.sys_flag.has(SysFlag::COMPRESSED) {
            decompress(record.sys_flag, payload, MAX_DECOMPRESSED).ok()?
        } else {
            payload
        };
        Self::parse(bytes, record.topic, &parts, payload)
    }

    /// A retained message.
    pub(super) fn of_retained(topic: &str, retained: &Retained) -> Option<Self> {
        let properties = Bytes::copy_from_slice(retained.properties.as_bytes());
        let text = std::str::from_utf8(&properties).expect("it was a text");
        let name = Name::try_from(topic).ok()?;
        let view = Self::parse(&properties, "", &Parts::of(text, b""), retained.payload.clone())?;
        Some(Self { topic: name, ..view })
    }

    /// As [`View::of`], of a message's parts; the texts are slices of `whole`.
    pub(super) fn parse(whole: &Bytes, topic: &str, parts: &Parts<'_>, payload: Bytes) -> Option<Self> {
        let text = |value: &str| Text::new(whole.slice_ref(value.as_bytes())).ok();
        let mut view = Self {
            topic: match &mqtt::address(topic, parts) {
                std::borrow::Cow::Borrowed(name) => Name::new(whole.slice_ref(name.as_bytes())).ok()?,
                std::borrow::Cow::Owned(name) => Name::try_from(name.as_str()).ok()?,
            },
            qos: QoS::AtLeastOnce,
            retain: false,
            client: None,
            expires: None,
            properties: Sparse::default(),
            payload,
        };
        let mut pairs = None;
        for (name, value) in parts.entries() {
            match name {
                QOS_LEVEL => view.qos = value.parse().ok().and_then(QoS::from_u8).unwrap_or(view.qos),
                CLIENT_ID => view.client = text(value),
                IS_EMPTY => view.payload = Bytes::new(),
                RETAIN => view.retain = true,
                EXPIRES_AT => view.expires = value.parse().ok().map(Timestamp),
                PAYLOAD_FORMAT => {
                    view.properties.payload_format =
                        Some(if value == "1" { PayloadFormat::Utf8 } else { PayloadFormat::Bytes });
                }
                CONTENT_TYPE => view.properties.content_type = text(value),
                RESPONSE_TOPIC => {
                    view.properties.response_topic = Name::new(whole.slice_ref(value.as_bytes())).ok();
                }
                CORRELATION => {
                    view.properties.correlation_data =
                        BASE64.decode(value).ok().and_then(|data| Binary::new(data.into()));
                }
                EXT_DATA => pairs = user_properties(value),
                _ if is_of_the_broker(name) || is_of_mqtt(name) || name.starts_with("__") => {}
                _ => view.properties.user.extend(text(name).zip(text(value))),
            }
        }
        if let Some(pairs) = pairs {
            view.properties.user = pairs;
        }
        Some(view)
    }
}

/// Pairs, or Apache's object of them.
fn user_properties(json: &str) -> Option<UserProperties> {
    let texts = |(name, value): (String, String)| Text::try_from(name).ok().zip(Text::try_from(value).ok());
    let pairs = match serde_json::from_str::<Vec<(String, String)>>(json) {
        Ok(pairs) => pairs,
        Err(_) => serde_json::from_str::<std::collections::BTreeMap<_, _>>(json).ok()?.into_iter().collect(),
    };
    Some(pairs.into_iter().filter_map(texts).collect())
}
