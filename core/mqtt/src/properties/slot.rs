//! Where a property's value is kept: once in an `Option`, several times in a `Vec`; and how each type of value is read
//! and written.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{BufMut, BytesMut};

use super::Property;
use crate::decode::DecodeError;
use crate::encode::{put_counted, put_variable, variable_size};
use crate::read::Reader;
use crate::text::{Binary, Text};
use crate::topic::Name;
use crate::values::{PayloadFormat, QoS, SessionExpiry, SubscriptionId};

/// The place of one property in its packet.
pub(super) trait Slot: Sized {
    /// Nothing in it.
    const ABSENT: Self;
    /// Reads one more value; the number was read.
    fn read(&mut self, property: Property, reader: &mut Reader<'_>) -> Result<(), DecodeError>;
    /// What [`write`](Self::write) will write.
    fn size(&self) -> usize;
    /// Writes number and value, of each that is there.
    fn write(&self, property: Property, out: &mut BytesMut);
}

impl<V: Value> Slot for Option<V> {
    const ABSENT: Self = None;

    fn read(&mut self, property: Property, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.is_some() {
            return Err(DecodeError::Repeated(property));
        }
        *self = Some(V::read(property, reader)?);
        Ok(())
    }

    #[inline]
    fn size(&self) -> usize {
        self.as_ref().filter(|value| value.is_said()).map_or(0, |value| 1 + value.size())
    }

    #[inline]
    fn write(&self, property: Property, out: &mut BytesMut) {
        if let Some(value) = self.as_ref().filter(|value| value.is_said()) {
            out.put_u8(property as u8);
            value.write(out);
        }
    }
}

impl Slot for Vec<SubscriptionId> {
    const ABSENT: Self = Self::new();

    fn read(&mut self, property: Property, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.push(SubscriptionId::read(property, reader)?);
        Ok(())
    }

    #[inline]
    fn size(&self) -> usize {
        self.iter().map(|id| 1 + id.size()).sum()
    }

    #[inline]
    fn write(&self, property: Property, out: &mut BytesMut) {
        for id in self {
            out.put_u8(property as u8);
            id.write(out);
        }
    }
}

impl Slot for super::UserProperties {
    const ABSENT: Self = Self::new();

    fn read(&mut self, _: Property, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let limit = reader.limits().user_properties;
        if self.len() >= limit {
            return Err(DecodeError::TooMany { what: "user properties", limit });
        }
        self.push((reader.text()?, reader.text()?));
        Ok(())
    }

    #[inline]
    fn size(&self) -> usize {
        self.iter().map(|(name, value)| 1 + 2 + name.len() + 2 + value.len()).sum()
    }

    #[inline]
    fn write(&self, property: Property, out: &mut BytesMut) {
        for (name, value) in self {
            out.put_u8(property as u8);
            put_counted(out, name.as_bytes());
            put_counted(out, value.as_bytes());
        }
    }
}

/// A type of value.
trait Value: Sized {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn size(&self) -> usize;
    fn write(&self, out: &mut BytesMut);

    /// Whether the protocol can say it at all, other than by leaving the property out.
    fn is_said(&self) -> bool {
        true
    }
}

/// Reads 0 or 1; anything else is a protocol error.
fn bit(property: Property, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Value(property)),
    }
}

impl Value for bool {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bit(property, reader)
    }

    fn size(&self) -> usize {
        1
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl Value for PayloadFormat {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bit(property, reader)? { Self::Utf8 } else { Self::Bytes })
    }

    fn size(&self) -> usize {
        1
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(*self as u8);
    }
}

impl Value for QoS {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bit(property, reader)? { Self::AtLeastOnce } else { Self::AtMostOnce })
    }

    fn size(&self) -> usize {
        1
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(*self as u8);
    }

    fn is_said(&self) -> bool {
        *self != Self::ExactlyOnce
    }
}

impl Value for u16 {
    fn read(_: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16()
    }

    fn size(&self) -> usize {
        2
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u16(*self);
    }
}

impl Value for u32 {
    fn read(_: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u32()
    }

    fn size(&self) -> usize {
        4
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(*self);
    }
}

impl Value for NonZeroU16 {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).ok_or(DecodeError::Value(property))
    }

    fn size(&self) -> usize {
        2
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u16(self.get());
    }
}

impl Value for NonZeroU32 {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u32()?).ok_or(DecodeError::Value(property))
    }

    fn size(&self) -> usize {
        4
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.get());
    }
}

impl Value for SessionExpiry {
    fn read(_: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u32().map(Self::from_u32)
    }

    fn size(&self) -> usize {
        4
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.as_u32());
    }
}

impl Value for SubscriptionId {
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.variable()?).ok_or(DecodeError::Value(property))
    }

    fn size(&self) -> usize {
        variable_size(self.value() as usize)
    }

    fn write(&self, out: &mut BytesMut) {
        put_variable(out, self.value() as usize);
    }
}

impl Value for Text {
    fn read(_: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text()
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, out: &mut BytesMut) {
        put_counted(out, self.as_bytes());
    }
}

impl Value for Binary {
    fn read(_: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.binary()
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, out: &mut BytesMut) {
        put_counted(out, self);
    }
}

impl Value for Name {
    /// A response topic: anything that is a text and no name is a protocol error.
    fn read(property: Property, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::try_from(reader.text()?).map_err(|_| DecodeError::Value(property))
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, out: &mut BytesMut) {
        put_counted(out, self.as_bytes());
    }
}
