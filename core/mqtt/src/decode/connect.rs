//! CONNECT, which chooses the version, and CONNACK.

use bytes::BytesMut;

use super::{ConnectError, DecodeError, Frame, Limits};
use crate::packet::{ConnAck, Connect, Packet, PacketType, Will};
use crate::properties::{ConnAckProperties, ConnectProperties, Property, Section, Sparse, WillProperties};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::values::{QoS, Side, Version};

/// The first byte of a CONNECT.
const FIRST: u8 = (PacketType::Connect as u8) << 4;

/// Takes the first packet of a connection off the front of a buffer; `None` while it is incomplete.
///
/// # Errors
/// When it is no CONNECT, or breaks a rule or a limit. What the client is told is [`ConnectError::answer`].
pub fn decode_connect(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Connect>, ConnectError> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let unknown = |cause| ConnectError { version: None, cause };
    if first & 0xF0 != FIRST {
        return Err(unknown(DecodeError::NotConnect));
    }
    let Some(frame) = Frame::read(buffer).map_err(unknown)? else { return Ok(None) };
    if let Err(cause) = frame.check_size(limits) {
        return Err(ConnectError { version: announced(&buffer[frame.header..]), cause });
    }
    if buffer.len() < frame.total {
        return Ok(None);
    }
    let packet = buffer.split_to(frame.total).freeze();
    let mut reader = Reader::new(&packet, frame.header, limits);
    let version = version(&mut reader).map_err(unknown)?;
    let known = |cause| ConnectError { version: Some(version), cause };
    if first != FIRST {
        return Err(known(DecodeError::Malformed("reserved flags")));
    }
    if !frame.minimal && version == Version::V5 {
        return Err(known(DecodeError::Malformed("length in more bytes than it needs")));
    }
    connect(&mut reader, version).map(Some).map_err(known)
}

/// The version that an incomplete CONNECT announces: good enough to tell its sender in its own language that it is
/// refused.
fn announced(body: &[u8]) -> Option<Version> {
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] => Version::from_level(*level),
        _ => None,
    }
}

fn version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let protocol = reader.binary()?;
    match &protocol[..] {
        b"MQTT" => {}
        // 3.1, which had another name: its clients understand the answer to an unknown level.
        b"MQIsdp" => return Err(DecodeError::Level(reader.u8()?)),
        _ => return Err(DecodeError::NotMqtt),
    }
    let level = reader.u8()?;
    Version::from_level(level).ok_or(DecodeError::Level(level))
}

fn connect(reader: &mut Reader<'_>, version: Version) -> Result<Connect, DecodeError> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & (1 << bit) != 0;
    let (user_name, password, will_retain, will, clean_start) = (has(7), has(6), has(5), has(2), has(1));
    if has(0) {
        return Err(DecodeError::Malformed("reserved connect flag"));
    }
    let Some(will_qos) = QoS::from_u8(flags >> 3 & 0b11) else {
        return Err(DecodeError::Malformed("will of QoS 3"));
    };
    if !will && (will_retain || will_qos != QoS::AtMostOnce) {
        return Err(DecodeError::Malformed("flags of a will that is not there"));
    }
    if version == Version::V3 && password && !user_name {
        return Err(DecodeError::Malformed("password without user name"));
    }
    let keep_alive = reader.u16()?;
    let mut properties = Sparse::default();
    if version == Version::V5 {
        properties = ConnectProperties::read(reader)?;
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(DecodeError::Misplaced(Property::AuthenticationData));
        }
    }
    let connect = Connect {
        version,
        clean_start,
        keep_alive,
        properties,
        client_id: reader.text()?,
        will: if will { Some(read_will(reader, version, will_qos, will_retain)?) } else { None },
        user_name: if user_name { Some(reader.text()?) } else { None },
        password: if password { Some(reader.binary()?) } else { None },
    };
    reader.finish()?;
    if version == Version::V3 && connect.client_id.is_empty() && !clean_start {
        return Err(DecodeError::ClientId);
    }
    Ok(connect)
}

fn read_will(reader: &mut Reader<'_>, version: Version, qos: QoS, retain: bool) -> Result<Will, DecodeError> {
    let mut properties = Sparse::default();
    if version == Version::V5 {
        properties = WillProperties::read(reader)?;
    }
    let topic = reader.name()?;
    Ok(Will { topic, payload: reader.binary()?, qos, retain, properties })
}

/// CONNACK.
pub(super) fn acknowledgement(reader: &mut Reader<'_>, version: Version) -> Result<Packet, DecodeError> {
    let flags = reader.u8()?;
    if flags > 1 {
        return Err(DecodeError::Malformed("reserved flags of CONNACK"));
    }
    let code = reader.u8()?;
    let refused = DecodeError::Reason { packet: PacketType::ConnAck, code };
    let (reason, properties) = match version {
        Version::V3 => (ReasonCode::from_return_code(code), Sparse::default()),
        Version::V5 => {
            let reason =
                ReasonCode::from_u8(code).filter(|code| code.is_allowed(PacketType::ConnAck, Side::Server));
            (reason, ConnAckProperties::read(reader)?)
        }
    };
    let reason = reason.ok_or(refused)?;
    let session_present = flags == 1;
    if session_present && reason != ReasonCode::Success {
        return Err(DecodeError::Protocol("a session that is present and refused"));
    }
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(DecodeError::Misplaced(Property::AuthenticationData));
    }
    Ok(Packet::ConnAck(Box::new(ConnAck { session_present, reason, properties })))
}
