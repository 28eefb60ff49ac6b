//! PUBLISH.

use bytes::{BufMut, BytesMut};

use super::{EncodeError, begin, put_counted, put_variable, variable_size};
use crate::packet::{PacketType, Publish};
use crate::properties::{Keep, Property, Section};
use crate::values::Version;

/// The bytes of a topic alias among the properties.
const ALIAS: usize = 1 + 2;

/// Writes all of a PUBLISH but its payload, which the caller writes next: from where it is, without a copy.
///
/// In 3.1.1 the properties are left out, and so is the alias of a topic that has its name too.
///
/// # Errors
/// When the whole packet, with its payload, is larger than `max_packet`, and for an alias alone in 3.1.1.
pub fn encode_publish_head(
    publish: &Publish,
    version: Version,
    max_packet: u32,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let name = publish.topic.name().map_or(&[][..], |name| name.as_bytes());
    let mut alias = publish.topic.alias();
    let mut remaining = 2 + name.len() + publish.payload.len();
    let id = publish.delivery.id();
    if id.is_some() {
        remaining += 2;
    }
    let mut properties = 0;
    match version {
        Version::V3 if name.is_empty() => return Err(EncodeError::NotInVersion(PacketType::Publish)),
        Version::V3 => alias = None,
        Version::V5 => {
            properties = if publish.properties.is_absent() { 0 } else { publish.properties.size(Keep::All) };
            properties += alias.map_or(0, |_| ALIAS);
            remaining += variable_size(properties) + properties;
        }
    }
    let first = (PacketType::Publish as u8) << 4
        | u8::from(publish.delivery.dup()) << 3
        | (publish.qos() as u8) << 1
        | u8::from(publish.retain);
    begin(out, first, remaining, publish.payload.len(), max_packet)?;
    put_counted(out, name);
    if let Some(id) = id {
        out.put_u16(id.value());
    }
    if version == Version::V5 {
        put_variable(out, properties);
        if let Some(alias) = alias {
            out.put_u8(Property::TopicAlias as u8);
            out.put_u16(alias.value());
        }
        if properties != 0 {
            publish.properties.write(Keep::All, out);
        }
    }
    Ok(())
}
