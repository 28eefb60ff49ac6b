//! [`Name`]: where a message goes.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::text::{self, Text, TextError, scan};

/// A topic name: 1 to 65 535 bytes of text without wildcards. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Text);

/// Why a text is no topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No text at all.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Names have at least one character.
    #[error("empty")]
    Empty,
    /// '+' and '#' are for filters.
    #[error("contains a wildcard")]
    Wildcard,
}

impl Name {
    /// Checks and takes bytes.
    ///
    /// # Errors
    /// When they are no topic name.
    pub fn new(bytes: Bytes) -> Result<Self, NameError> {
        check(&bytes)?;
        Ok(Self(Text::of_checked_whole(bytes)))
    }

    /// Keeps the first bytes of some, which were [checked](check); `share` gives them with their owner, if they are long.
    #[inline]
    pub(crate) fn of_checked(bytes: &[u8], length: usize, share: impl FnOnce() -> Bytes) -> Self {
        debug_assert_eq!(check(&bytes[..length]), Ok(()));
        Self(Text::of_checked(bytes, length, share))
    }

    /// The name without copying it.
    ///
    /// # Panics
    /// When it is no topic name, which for a constant shows at once.
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        Self::new(Bytes::from_static(name.as_bytes())).expect("a constant is a legal name")
    }

    /// As Rust's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as the text that it is.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// What stands between the slashes; empty levels count, so there is at least one.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.as_str().split('/')
    }

    /// Whether it starts with '$': filters that start with a wildcard do not match it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with('$')
    }
}

/// Whether bytes are a topic name.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<(), NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    let seen = scan(bytes);
    text::check_scanned(bytes, seen)?;
    if seen.wildcard { Err(NameError::Wildcard) } else { Ok(()) }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Text::try_from(name)?.try_into()
    }
}

impl TryFrom<Text> for Name {
    type Error = NameError;

    fn try_from(text: Text) -> Result<Self, NameError> {
        check(text.as_bytes())?;
        Ok(Self(text))
    }
}

impl From<Name> for Text {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}
