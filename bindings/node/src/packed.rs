//! The form in which much crosses at once: numbers in little-endian order, texts after their length.
//!
//! `lib/packed.ts` is the other side of it. Both are of one build, so nothing of it has to be kept compatible.

use std::fmt::{self, Display, Write as _};

use bytes::Bytes;

/// In the place of a length: there is no such text.
const NONE: u32 = u32::MAX;

/// Writes what JavaScript reads.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of JavaScript's. Offsets and times stay below 2^53, up to which these are exact.
    pub(crate) fn number(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn shown(&mut self, value: impl Display) {
        let at = self.reserve_u32();
        let start = self.len();
        // Writing to memory does not fail.
        let _ = write!(self, "{value}");
        self.set_u32(at, (self.len() - start) as u32);
    }

    pub(crate) fn shown_if_any(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.shown(value),
            None => self.u32(NONE),
        }
    }

    /// Leaves room for a number that is known later.
    pub(crate) fn reserve_u32(&mut self) -> usize {
        self.u32(0);
        self.len() - 4
    }

    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Reads what JavaScript wrote. `None` is the end, or what is no text: both are mistakes of the other side.
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// Copies it, once: JavaScript goes on with its memory.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), at: 0 }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn number(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&str> {
        self.text_if_any()?
    }

    /// A text, or none.
    pub(crate) fn text_if_any(&mut self) -> Option<Option<&str>> {
        match self.u32()? {
            NONE => Some(None),
            len => std::str::from_utf8(self.take(len as usize)?).ok().map(Some),
        }
    }

    /// Bytes that share the memory of all.
    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let len = self.u32()? as usize;
        let start = self.at;
        self.take(len)?;
        Some(self.bytes.slice(start..self.at))
    }
}
