//! CONNECT and CONNACK.

use bytes::BufMut;

use super::{EncodeError, Output, put_counted};
use crate::packet::{ConnAck, Connect, PacketType};
use crate::values::Version;

/// The version is the packet's own.
pub(super) fn connect(connect: &Connect, to: &mut Output<'_>) -> Result<(), EncodeError> {
    to.version = connect.version;
    if connect.version == Version::V3 && connect.password.is_some() && connect.user_name.is_none() {
        return Err(EncodeError::NotInVersion(PacketType::Connect));
    }
    if connect.properties.authentication_data.is_some() && connect.properties.authentication_method.is_none()
    {
        return Err(EncodeError::Illegal("authentication data without a method"));
    }
    if connect.version == Version::V3 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(EncodeError::Illegal("no client identifier for a session that shall stay"));
    }
    let properties = to.whole(&connect.properties);
    let mut flags = u8::from(connect.clean_start) << 1;
    let mut remaining = 2 + 4 + 1 + 1 + 2 + properties.total + 2 + connect.client_id.len();
    let will = connect.will.as_ref().map(|will| (will, to.whole(&will.properties)));
    if let Some((will, properties)) = &will {
        flags |= 1 << 2 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
        remaining += properties.total + 2 + will.topic.len() + 2 + will.payload.len();
    }
    if let Some(user_name) = &connect.user_name {
        flags |= 1 << 7;
        remaining += 2 + user_name.len();
    }
    if let Some(password) = &connect.password {
        flags |= 1 << 6;
        remaining += 2 + password.len();
    }
    to.begin(PacketType::Connect, remaining)?;
    put_counted(to.out, b"MQTT");
    to.out.put_u8(connect.version.level());
    to.out.put_u8(flags);
    to.out.put_u16(connect.keep_alive);
    to.section(&connect.properties, properties);
    put_counted(to.out, connect.client_id.as_bytes());
    if let Some((will, properties)) = will {
        to.section(&will.properties, properties);
        put_counted(to.out, will.topic.as_bytes());
        put_counted(to.out, &will.payload);
    }
    if let Some(user_name) = &connect.user_name {
        put_counted(to.out, user_name.as_bytes());
    }
    if let Some(password) = &connect.password {
        put_counted(to.out, password);
    }
    Ok(())
}

/// CONNACK.
pub(super) fn acknowledgement(answer: &ConnAck, to: &mut Output<'_>) -> Result<(), EncodeError> {
    let code = match to.version {
        Version::V3 => answer.reason.return_code().ok_or(EncodeError::NotInVersion(PacketType::ConnAck))?,
        Version::V5 if answer.reason.is_allowed_in(PacketType::ConnAck) => answer.reason.code(),
        Version::V5 => {
            return Err(EncodeError::Reason { packet: PacketType::ConnAck, reason: answer.reason });
        }
    };
    if answer.session_present && answer.reason.is_failure() {
        return Err(EncodeError::Illegal("a session that is present and refused"));
    }
    if answer.properties.authentication_data.is_some() && answer.properties.authentication_method.is_none() {
        return Err(EncodeError::Illegal("authentication data without a method"));
    }
    let properties = to.fitting(&answer.properties, 2);
    to.begin(PacketType::ConnAck, 2 + properties.total)?;
    to.out.put_u8(u8::from(answer.session_present));
    to.out.put_u8(code);
    to.section(&answer.properties, properties);
    Ok(())
}
