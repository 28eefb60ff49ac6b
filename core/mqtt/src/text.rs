//! The two kinds of counted bytes: texts and binary data, both at most 65 535 bytes and slices of what was read.
//!
//! Always true: a [`Text`] is UTF-8 without U+0000. A byte order mark is data like any other character.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The most bytes that the two bytes of a length can count.
pub const MAX_COUNTED: usize = 65_535;

/// A text of the protocol. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

/// Why bytes are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A surrogate, an over-long form, a cut character.
    #[error("not UTF-8")]
    NotUtf8,
    /// U+0000, which MQTT forbids.
    #[error("contains U+0000")]
    Null,
    /// More than [`MAX_COUNTED`] bytes.
    #[error("longer than 65535 bytes")]
    TooLong,
}

impl Text {
    /// Checks and takes bytes.
    ///
    /// # Errors
    /// When they are no text of the protocol.
    pub fn new(bytes: Bytes) -> Result<Self, TextError> {
        if bytes.len() > MAX_COUNTED {
            return Err(TextError::TooLong);
        }
        let seen = scan(&bytes);
        if seen.null {
            return Err(TextError::Null);
        }
        if seen.beyond_ascii && std::str::from_utf8(&bytes).is_err() {
            return Err(TextError::NotUtf8);
        }
        Ok(Self(bytes))
    }

    /// The text without copying it.
    ///
    /// # Panics
    /// When it is no text of the protocol, which for a constant shows at once.
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        Self::new(Bytes::from_static(text.as_bytes())).expect("a constant is a legal text")
    }

    /// As Rust's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: every way to make a `Text` checks that the bytes are UTF-8, and `Bytes` do not change.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    /// The bytes, which are UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes with their owner.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Takes bytes that a [`scan`] found to be ASCII without zeros, at most [`MAX_COUNTED`] of them.
    pub(crate) fn plain(bytes: Bytes) -> Self {
        debug_assert!(bytes.len() <= MAX_COUNTED && bytes.is_ascii() && !bytes.contains(&0));
        Self(bytes)
    }

    /// A part that begins and ends between characters, without copying.
    pub(crate) fn part(&self, range: impl std::ops::RangeBounds<usize>) -> Self {
        let part = Self(self.0.slice(range));
        debug_assert!(std::str::from_utf8(part.as_bytes()).is_ok(), "cut within a character");
        part
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // As `str` does, so that a map can be asked with one.
        self.as_str().hash(state);
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, TextError> {
        Self::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text.into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// Binary data with a length of two bytes: passwords, will payloads, correlation data. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binary(Bytes);

impl Binary {
    /// `None` for more than [`MAX_COUNTED`] bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        (bytes.len() <= MAX_COUNTED).then_some(Self(bytes))
    }

    /// Takes bytes that two bytes counted.
    pub(crate) fn counted(bytes: Bytes) -> Self {
        debug_assert!(bytes.len() <= MAX_COUNTED);
        Self(bytes)
    }

    /// The bytes with their owner.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Binary {
    /// The length alone: most binary data is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What a look at some bytes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A byte of 0.
    pub(crate) null: bool,
    /// A byte of 128 and more.
    pub(crate) beyond_ascii: bool,
    /// '+' or '#'.
    pub(crate) wildcard: bool,
}

/// Looks at all bytes once, eight at a time: topics are short and come with every message.
pub(crate) fn scan(bytes: &[u8]) -> Seen {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const LOW: u64 = 0x0101_0101_0101_0101;
    /// High bits where a byte is zero; whether there is one is exact, where it is not always.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(LOW) & !word & HIGH
    }
    let (mut null, mut beyond, mut wildcard) = (0, 0, 0);
    let mut look = |word: u64| {
        null |= zeros(word);
        beyond |= word & HIGH;
        wildcard |= zeros(word ^ (LOW * b'+' as u64)) | zeros(word ^ (LOW * b'#' as u64));
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        look(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        // The last eight bytes again, or what there is with a harmless filling.
        let mut last = [b'/'; 8];
        match bytes.last_chunk::<8>() {
            Some(chunk) => last = *chunk,
            None => last[..rest.len()].copy_from_slice(rest),
        }
        look(u64::from_le_bytes(last));
    }
    Seen { null: null != 0, beyond_ascii: beyond != 0, wildcard: wildcard != 0 }
}
