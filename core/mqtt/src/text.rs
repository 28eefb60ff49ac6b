//! The two kinds of counted bytes: texts and binary data, both at most 65 535 bytes.
//!
//! Always true: a [`Text`] is UTF-8 without U+0000. A byte order mark is data like any other character.

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;

use bytes::Bytes;

/// The most bytes that the two bytes of a length can count.
pub const MAX_COUNTED: usize = 65_535;

/// The longest text that is kept in place: as much as a handle of shared bytes takes.
const SHORT: usize = 32;

/// A text of the protocol. Cheap to clone.
///
/// A short one is a copy of its bytes, which costs less than to share them and does not keep alive the buffer that it
/// was read into; a long one is a slice of it.
#[derive(Clone)]
pub struct Text(Kept);

#[derive(Clone)]
enum Kept {
    /// The length is one too much: its zero says `Long`, so that kind and length are one word, as quickly moved.
    Short {
        one_more: NonZeroUsize,
        bytes: Words,
    },
    Long(Bytes),
}

/// Aligned, so that they are moved word by word.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Words([u8; SHORT]);

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
        check(&bytes)?;
        Ok(Self::of_checked_whole(bytes))
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
        // SAFETY: every way to make a `Text` checks that the bytes are UTF-8, and they do not change.
        unsafe { std::str::from_utf8_unchecked(self.as_bytes()) }
    }

    /// The bytes, which are UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Short { one_more, bytes } => &bytes.0[..one_more.get() - 1],
            Kept::Long(bytes) => bytes,
        }
    }

    /// The bytes with their owner; those of a short text are copied for that.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Kept::Short { .. } => Bytes::copy_from_slice(self.as_bytes()),
            Kept::Long(bytes) => bytes,
        }
    }

    /// Keeps the first bytes of some, which were [checked](check); `share` gives them with their owner, if they are long.
    #[inline]
    pub(crate) fn of_checked(bytes: &[u8], length: usize, share: impl FnOnce() -> Bytes) -> Self {
        debug_assert_eq!(check(&bytes[..length]), Ok(()));
        if length > SHORT {
            return Self(Kept::Long(share()));
        }
        let short = match bytes.first_chunk::<SHORT>() {
            // A copy of a fixed size costs a third of one that is as long as the text; nobody looks behind the text.
            Some(chunk) => *chunk,
            None => {
                let mut short = [0; SHORT];
                short[..length].copy_from_slice(&bytes[..length]);
                short
            }
        };
        Self(Kept::Short { one_more: NonZeroUsize::MIN.saturating_add(length), bytes: Words(short) })
    }

    /// Keeps bytes that were [checked](check).
    pub(crate) fn of_checked_whole(bytes: Bytes) -> Self {
        if bytes.len() > SHORT {
            return Self(Kept::Long(bytes));
        }
        Self::of_checked(&bytes, bytes.len(), || unreachable!("it is short"))
    }

    /// The text from this byte on, which begins a character; without copying if it is long.
    pub(crate) fn from(&self, start: usize) -> Self {
        let rest = &self.as_bytes()[start..];
        Self::of_checked(rest, rest.len(), || match &self.0 {
            Kept::Long(bytes) => bytes.slice(start..),
            Kept::Short { .. } => unreachable!("a part of a short text is short"),
        })
    }
}

/// Whether bytes are a text of the protocol.
pub(crate) fn check(bytes: &[u8]) -> Result<(), TextError> {
    check_scanned(bytes, scan(bytes))
}

/// The same with what a look at them found.
#[inline]
pub(crate) fn check_scanned(bytes: &[u8], seen: Seen) -> Result<(), TextError> {
    if bytes.len() > MAX_COUNTED {
        return Err(TextError::TooLong);
    }
    if seen.null {
        return Err(TextError::Null);
    }
    if seen.beyond_ascii && std::str::from_utf8(bytes).is_err() {
        return Err(TextError::NotUtf8);
    }
    Ok(())
}

impl Default for Text {
    /// The empty one.
    fn default() -> Self {
        Self(Kept::Short { one_more: NonZeroUsize::MIN, bytes: Words([0; SHORT]) })
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
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
        check(text.as_bytes())?;
        Ok(Self::of_checked(text.as_bytes(), text.len(), || Bytes::copy_from_slice(text.as_bytes())))
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
