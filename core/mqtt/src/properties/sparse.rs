//! [`Sparse`]: a packet's properties, which most packets do not have.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The properties of a packet, in one word while all of them are absent: packets stay small, and cheap to move.
///
/// Reads and writes go through it as if it were the properties: `packet.properties.reason_string = Some(text)`. A whole
/// set is put into it by `into()`.
#[derive(Clone)]
pub struct Sparse<T>(Option<Box<T>>);

/// Properties that have a place in [`Sparse`].
pub trait Absent: Default + PartialEq + 'static {
    /// None of them.
    fn absent() -> &'static Self;
}

impl<T: Absent> Sparse<T> {
    /// Whether all are absent, and it takes no memory to say so.
    pub(crate) fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Absent> From<T> for Sparse<T> {
    fn from(properties: T) -> Self {
        Self((properties != *T::absent()).then(|| Box::new(properties)))
    }
}

impl<T: Absent> Deref for Sparse<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(properties) => properties,
            None => T::absent(),
        }
    }
}

impl<T: Absent> DerefMut for Sparse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Absent> PartialEq for Sparse<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Absent + Eq> Eq for Sparse<T> {}

impl<T: Absent + fmt::Debug> fmt::Debug for Sparse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
