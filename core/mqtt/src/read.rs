//! [`Reader`]: takes fields from the front of a complete packet.
//!
//! Always true: it never looks past the end of the packet, or of the section of properties within it. A field that
//! would is malformed, as there is nothing left to wait for.

use std::ops::Range;

use bytes::Bytes;

use crate::decode::{DecodeError, Limits};
use crate::properties::Property;
use crate::text::{self, Binary, Text};
use crate::topic::{Name, NameError, check_name};
use crate::values::PacketId;

const EARLY: DecodeError = DecodeError::Malformed("ends within a field");

/// A place in a packet.
pub(crate) struct Reader<'a> {
    packet: &'a Bytes,
    at: usize,
    end: usize,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    /// Behind the fixed header, which takes this many bytes.
    pub(crate) fn new(packet: &'a Bytes, header: usize, limits: &'a Limits) -> Self {
        Self { packet, at: header, end: packet.len(), limits }
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// Where the next field begins, counted from the packet's first byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        self.end - self.at
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.packet[self.at..self.end].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(EARLY),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.take::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    /// A variable byte integer, in as few bytes as it needs.
    #[inline]
    pub(crate) fn variable(&mut self) -> Result<u32, DecodeError> {
        match variable(&self.packet[self.at..self.end])? {
            Some(Variable { minimal: false, .. }) => {
                Err(DecodeError::Malformed("number in more bytes than it needs"))
            }
            Some(Variable { value, size, .. }) => {
                self.at += size;
                Ok(value)
            }
            None => Err(EARLY),
        }
    }

    /// Bytes behind a length of two: where they are.
    #[inline]
    fn counted(&mut self) -> Result<Range<usize>, DecodeError> {
        let length = usize::from(self.u16()?);
        if length > self.len() {
            return Err(EARLY);
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    pub(crate) fn binary(&mut self) -> Result<Binary, DecodeError> {
        let range = self.counted()?;
        Ok(Binary::counted(self.packet.slice(range)))
    }

    pub(crate) fn text(&mut self) -> Result<Text, DecodeError> {
        let range = self.counted()?;
        text::check(&self.packet[range.clone()])?;
        Ok(Text::of_checked(&self.packet[range.start..], range.len(), || self.packet.slice(range)))
    }

    /// Where a topic name is, which is one or nothing at all.
    #[inline(always)]
    pub(crate) fn name_or_nothing(&mut self) -> Result<Range<usize>, DecodeError> {
        let range = self.counted()?;
        if !range.is_empty() {
            check_name(&self.packet[range.clone()])?;
        }
        Ok(range)
    }

    /// The topic name that is there.
    #[inline(always)]
    pub(crate) fn name_at(&self, range: Range<usize>) -> Name {
        Name::of_checked(&self.packet[range.start..], range.len(), || self.packet.slice(range))
    }

    pub(crate) fn name(&mut self) -> Result<Name, DecodeError> {
        let range = self.name_or_nothing()?;
        if range.is_empty() { Err(NameError::Empty.into()) } else { Ok(self.name_at(range)) }
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::Protocol("packet identifier 0"))
    }

    /// The number of a property.
    pub(crate) fn property(&mut self) -> Result<Property, DecodeError> {
        // All known ones take one byte, so a longer one is unknown whatever it is.
        Property::from_u8(self.u8()?).ok_or(DecodeError::Malformed("unknown property"))
    }

    /// Reads a length and ends the reader there; gives the end that it had.
    #[inline]
    pub(crate) fn begin_section(&mut self) -> Result<usize, DecodeError> {
        let length = self.variable()? as usize;
        if length > self.len() {
            return Err(DecodeError::Malformed("properties longer than the packet"));
        }
        Ok(std::mem::replace(&mut self.end, self.at + length))
    }

    /// Goes on to the end that the reader had before.
    #[inline]
    pub(crate) fn end_section(&mut self, outer: usize) {
        self.end = outer;
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("bytes behind the last field")) }
    }
}

/// A variable byte integer that was read.
pub(crate) struct Variable {
    pub(crate) value: u32,
    /// Its bytes.
    pub(crate) size: usize,
    /// Whether fewer bytes would not do.
    pub(crate) minimal: bool,
}

/// Reads a variable byte integer of at most four bytes; `None` when it goes on behind these.
#[inline]
pub(crate) fn variable(bytes: &[u8]) -> Result<Option<Variable>, DecodeError> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(Variable { value, size: at + 1, minimal: byte != 0 || at == 0 }));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(DecodeError::Malformed("number of more than four bytes")) }
}
