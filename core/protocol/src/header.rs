//! Typed headers: what the fields of each request and response mean.
//!
//! The macro `headers!` turns one table entry into a struct with borrowed texts, its decoder, its encoder for both
//! serializations, a round-trip test, and a row of [`TABLE`] that documentation is printed from.
//! The tables themselves are in [`broker`], [`clients`], [`admin`], [`pop`] and [`namesrv`].
//!
//! Always true:
//! * decoding is one pass over the fields; unknown ones are skipped, the last of several equal ones counts;
//! * what the wire expresses as `-1` or an empty text is an `Option` here, and goes no further;
//! * a name is not checked here, since what to answer to a bad one is for the handler to say;
//! * an error names the field, by its letter if the sender wrote that.

pub mod admin;
pub mod broker;
pub mod clients;
pub mod namesrv;
pub mod pop;
mod values;

use crate::code::RequestCode;
use crate::frame::Fields;

pub use broker::*;
pub use clients::*;
pub use namesrv::*;
pub use pop::*;
pub use values::{Boundary, FieldValue, Forbidden, PullFlags};

/// Why fields make no header: the sender's mistake, to be answered with
/// [`InvalidParameter`](crate::code::ResponseCode::InvalidParameter).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A required field is absent.
    #[error("header field {field} is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A value cannot be read.
    #[error("header field {field} is {value:?}, expected {expected}")]
    Invalid {
        /// Its name.
        field: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was sent, cut after 64 characters.
        value: String,
    },
}

/// A header that can be read from fields. Everything that implements it also implements
/// [`EncodeFields`](crate::frame::EncodeFields).
pub trait Header<'a>: Sized {
    /// How the header is documented.
    const ROW: Row;

    /// Reads the header.
    ///
    /// # Errors
    /// [`HeaderError`] names the first field that is missing or cannot be read.
    fn decode(fields: &Fields<'a>) -> Result<Self, HeaderError>;
}

/// What documentation says of a header.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Our name.
    pub name: &'static str,
    /// What it is for, as Markdown.
    pub doc: &'static str,
    /// The requests that carry it; empty for headers of responses.
    pub codes: &'static [RequestCode],
    /// Its fields.
    pub fields: &'static [FieldRow],
}

/// What documentation says of a field.
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// The name on the wire.
    pub name: &'static str,
    /// The one-letter name of the newer send requests.
    pub letter: Option<char>,
    /// What it means, as Markdown.
    pub doc: &'static str,
    /// What values it takes.
    pub expected: &'static str,
    /// Whether it may be absent.
    pub optional: bool,
}

/// Every header, for documentation.
pub const TABLE: &[&[Row]] = &[broker::TABLE, clients::TABLE, admin::TABLE, namesrv::TABLE, pop::TABLE];

#[cold]
fn invalid(field: &'static str, expected: &'static str, value: &str) -> HeaderError {
    HeaderError::Invalid { field, expected, value: value.chars().take(64).collect() }
}

#[inline]
fn parse<'a, T: FieldValue<'a>>(field: &'static str, value: &'a str) -> Result<T, HeaderError> {
    match T::parse(value) {
        Some(parsed) => Ok(parsed),
        None => Err(invalid(field, T::EXPECTED, value)),
    }
}

#[inline]
fn or_absent<'a, T: FieldValue<'a>>(field: &'static str, found: Option<T>) -> Result<T, HeaderError> {
    match found {
        Some(value) => Ok(value),
        None => T::absent().ok_or(HeaderError::Missing { field }),
    }
}

/// Declares headers.
///
/// ```text
/// headers! {
///     /// What the header is for.
///     Name<'a> [RequestCode, …] {            // no codes: the header of a response
///         /// What the field means.
///         field: Type = "wireName" / b'w' or default,
///     }
/// }
/// ```
/// A letter makes the field known by it too, and all fields are written with their letters then; see [`LongNames`].
/// Without a default, whether a field is required is a matter of its type.
macro_rules! headers {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $(<$lt:lifetime>)? [$($code:ident),*] {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident: $kind:ty = $key:literal $(/ $letter:literal)? $(or $default:expr)?,
            )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name $(<$lt>)? {
                $(
                    $(#[doc = $field_doc])+
                    #[doc = concat!("\n\nField `", $key, "`.")]
                    pub $field: $kind,
                )+
            }

            impl<'a> $crate::header::Header<'a> for $name $(<$lt>)? {
                const ROW: $crate::header::Row = $crate::header::Row {
                    name: stringify!($name),
                    doc: concat!($($doc, "\n"),+),
                    codes: &[$($crate::code::RequestCode::$code),*],
                    fields: &[$($crate::header::FieldRow {
                        name: $key,
                        letter: $crate::header::headers!(@letter $($letter)?),
                        doc: concat!($($field_doc, "\n"),+),
                        expected: <$kind as $crate::header::FieldValue<'a>>::EXPECTED,
                        optional: $crate::header::headers!(@optional $kind $(, $default)?),
                    }),+],
                };

                fn decode(
                    fields: &$crate::frame::Fields<'a>,
                ) -> Result<Self, $crate::header::HeaderError> {
                    $(let mut $field: Option<$kind> = None;)+
                    for (name, value) in fields.iter() {
                        $crate::header::headers!(@letters name, value, [$($field, $($letter)?;)+]);
                        match name {
                            $($key => $field = Some($crate::header::parse($key, value)?),)+
                            _ => {}
                        }
                    }
                    $($(let $field = $field.or(Some($default));)?)+
                    Ok(Self { $($field: $crate::header::or_absent($key, $field)?,)+ })
                }
            }

            $crate::header::headers!(@encode $name $(<$lt>)?, [$($field, $key, $($letter)?;)+]);
        )+

        /// The headers declared here, for documentation.
        #[allow(elided_lifetimes_in_paths, reason = "some have a lifetime")]
        pub const TABLE: &[$crate::header::Row] = &[$(<$name as $crate::header::Header<'static>>::ROW),+];

        #[cfg(test)]
        #[allow(elided_lifetimes_in_paths, reason = "some have a lifetime")]
        mod generated {
            use super::*;
            use $crate::header::tests;

            #[test]
            fn every_header_round_trips_and_names_what_is_missing() {
                $(
                    let header = $name { $($field: tests::Sample::sample()),+ };
                    tests::each_serialization(&header, |fields| {
                        assert_eq!(<$name as $crate::header::Header<'_>>::decode(fields), Ok(header));
                    });
                    tests::without_each_field(&header, |field, fields| {
                        <$name as $crate::header::Header<'_>>::decode(fields).map(|_| ()).map_err(|e| (field, e))
                    }, <$name as $crate::header::Header<'_>>::ROW);
                )+
            }
        }
    };

    (@letter) => { None };
    (@letter $letter:literal) => { Some($letter as char) };

    (@optional $kind:ty) => { <$kind as $crate::header::FieldValue<'a>>::OPTIONAL };
    (@optional $kind:ty, $default:expr) => { true };

    // Letters are told apart by one jump, which a chain of comparisons of texts is not.
    (@letters $name:ident, $value:ident, [$($field:ident, $letter:literal;)+]) => {
        if let [letter] = $name.as_bytes() {
            match letter {
                $($letter => {
                    $field = Some($crate::header::parse(const { letter_name($letter) }, $value)?);
                    continue;
                })+
                _ => {}
            }
        }
    };
    (@letters $name:ident, $value:ident, [$($field:ident,;)+]) => {};

    (@encode $name:ident $(<$lt:lifetime>)?, [$($field:ident, $key:literal, $letter:literal;)+]) => {
        impl $(<$lt>)? $crate::frame::EncodeFields for $name $(<$lt>)? {
            #[inline]
            fn encode_fields<S: $crate::frame::FieldSink>(&self, sink: &mut S) {
                $($crate::header::FieldValue::encode(&self.$field, const { letter_name($letter) }, sink);)+
            }
        }

        impl $(<$lt>)? $crate::frame::EncodeFields for LongNames<'_, $name $(<$lt>)?> {
            fn encode_fields<S: $crate::frame::FieldSink>(&self, sink: &mut S) {
                $($crate::header::FieldValue::encode(&self.0.$field, $key, sink);)+
            }
        }
    };
    (@encode $name:ident $(<$lt:lifetime>)?, [$($field:ident, $key:literal,;)+]) => {
        impl $(<$lt>)? $crate::frame::EncodeFields for $name $(<$lt>)? {
            #[inline]
            fn encode_fields<S: $crate::frame::FieldSink>(&self, sink: &mut S) {
                $($crate::header::FieldValue::encode(&self.$field, $key, sink);)+
            }
        }
    };
}
use headers;

#[cfg(test)]
mod tests;
