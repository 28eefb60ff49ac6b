//! How one value of a header is read and written, by its type.

use ferromq_model::message::SysFlag;
use ferromq_model::topic::{Permission, TopicFilterType};
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};

use crate::frame::FieldSink;

/// A type that a header's field can have.
pub trait FieldValue<'a>: Sized {
    /// What is allowed, for errors and documentation.
    const EXPECTED: &'static str;
    /// Whether the field may be absent.
    const OPTIONAL: bool = false;
    /// What an `Option` writes for `None`; nothing at all by default.
    const NONE: Option<&'static str> = None;

    /// Reads a value; `None` when it is not [as expected](Self::EXPECTED).
    fn parse(text: &'a str) -> Option<Self>;

    /// Whether an `Option` reads `text` as `None`.
    fn means_none(text: &str) -> bool {
        text.is_empty()
    }

    /// The value of an absent field; `None` when it is required.
    #[inline]
    fn absent() -> Option<Self> {
        None
    }

    /// Writes the value.
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S);
}

impl<'a, T: FieldValue<'a>> FieldValue<'a> for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const OPTIONAL: bool = true;

    #[inline]
    fn parse(text: &'a str) -> Option<Self> {
        if T::means_none(text) { Some(None) } else { T::parse(text).map(Some) }
    }

    #[inline]
    fn absent() -> Option<Self> {
        Some(None)
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        match self {
            Some(value) => value.encode(name, sink),
            None => {
                if let Some(none) = T::NONE {
                    sink.text(name, none);
                }
            }
        }
    }
}

impl<'a> FieldValue<'a> for &'a str {
    const EXPECTED: &'static str = "text";

    #[inline]
    fn parse(text: &'a str) -> Option<Self> {
        Some(text)
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.text(name, self);
    }
}

/// As Java reads it: `true` in any case, all else is false.
impl FieldValue<'_> for bool {
    const EXPECTED: &'static str = "true or false";

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.boolean(name, *self);
    }
}

macro_rules! numbers {
    ($($kind:ty: $expected:literal;)*) => {$(
        impl FieldValue<'_> for $kind {
            const EXPECTED: &'static str = $expected;

            #[inline]
            fn parse(text: &str) -> Option<Self> {
                <$kind>::try_from(integer(text)?).ok()
            }

            #[inline]
            fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
                sink.number(name, i64::from(*self));
            }
        }
    )*};
}
numbers! {
    i32: "a 32-bit integer";
    u32: "an integer from 0 to 4294967295";
    i64: "a 64-bit integer";
}

impl FieldValue<'_> for u64 {
    const EXPECTED: &'static str = "an integer from 0";

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        Self::try_from(integer(text)?).ok()
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        // Java has no larger ones.
        sink.number(name, i64::try_from(*self).unwrap_or(i64::MAX));
    }
}

/// Reads what Java's parser reads: digits, with or without a sign.
#[inline]
fn integer(text: &str) -> Option<i64> {
    match text.as_bytes() {
        // 18 digits cannot overflow.
        digits if digits.len() <= 18 => {
            let mut value = 0;
            for digit in digits {
                let digit = digit.wrapping_sub(b'0');
                if digit > 9 {
                    return text.parse().ok();
                }
                value = value * 10 + i64::from(digit);
            }
            (!digits.is_empty()).then_some(value)
        }
        _ => text.parse().ok(),
    }
}

/// Numbers that Java has as signed and that only mean something from 0 on.
macro_rules! naturals {
    ($($kind:ident($inner:ty): $expected:literal, $none:expr;)*) => {$(
        impl FieldValue<'_> for $kind {
            const EXPECTED: &'static str = $expected;
            const NONE: Option<&'static str> = $none;

            #[inline]
            fn parse(text: &str) -> Option<Self> {
                <$inner>::try_from(integer(text)?).ok().map(Self)
            }

            #[inline]
            fn means_none(text: &str) -> bool {
                // A negative number, whichever it is; `-` alone is no number.
                text.is_empty() || (text.starts_with('-') && integer(text).is_some())
            }

            #[inline]
            fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
                // Above half of 64 bits there is nothing on the wire, nor in any queue.
                sink.number(name, i64::try_from(self.0).unwrap_or(i64::MAX));
            }
        }
    )*};
}
naturals! {
    QueueId(u32): "a queue id from 0", Some("-1");
    QueueOffset(u64): "an offset from 0", Some("-1");
    PhysicalOffset(u64): "an offset from 0", Some("-1");
}

impl FieldValue<'_> for Timestamp {
    const EXPECTED: &'static str = "a time in milliseconds since 1970";
    const NONE: Option<&'static str> = Some("-1");

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        integer(text).map(Self)
    }

    fn means_none(text: &str) -> bool {
        text.is_empty() || integer(text).is_some_and(|time| time < 0)
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, self.0);
    }
}

/// Negative spans are none at all.
impl FieldValue<'_> for Millis {
    const EXPECTED: &'static str = "a span in milliseconds";

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        integer(text).map(|span| Self(u64::try_from(span).unwrap_or(0)))
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, i64::try_from(self.0).unwrap_or(i64::MAX));
    }
}

impl FieldValue<'_> for SysFlag {
    const EXPECTED: &'static str = "flag bits";

    #[inline]
    fn parse(text: &str) -> Option<Self> {
        <i32 as FieldValue<'_>>::parse(text).map(Self)
    }

    #[inline]
    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, i64::from(self.0));
    }
}

impl FieldValue<'_> for Permission {
    const EXPECTED: &'static str = "permission bits: 4 read, 2 write, 1 inherit";

    fn parse(text: &str) -> Option<Self> {
        <u32 as FieldValue<'_>>::parse(text).map(Self)
    }

    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, i64::from(self.0));
    }
}

impl FieldValue<'_> for TopicFilterType {
    const EXPECTED: &'static str = "SINGLE_TAG or MULTI_TAG";

    fn parse(text: &str) -> Option<Self> {
        Some(Self::parse(text))
    }

    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.text(name, self.as_str());
    }
}

/// How a pull wants to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PullFlags(pub i32);

impl PullFlags {
    /// Store the commit offset that comes along.
    pub const COMMIT: i32 = 1;
    /// Wait for messages when there are none.
    pub const SUSPEND: i32 = 2;
    /// The subscription comes along, and need not be known.
    pub const SUBSCRIPTION: i32 = 4;
    /// The consumer filters by a class; historical.
    pub const CLASS_FILTER: i32 = 8;
    /// The consumer polls by itself.
    pub const LITE: i32 = 16;

    /// Whether any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: i32) -> bool {
        self.0 & bits != 0
    }
}

impl FieldValue<'_> for PullFlags {
    const EXPECTED: &'static str = "flag bits";

    fn parse(text: &str) -> Option<Self> {
        <i32 as FieldValue<'_>>::parse(text).map(Self)
    }

    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, i64::from(self.0));
    }
}

/// Which message a search by time means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Boundary {
    /// The first one stored at the time or later.
    #[default]
    Lower,
    /// The last one stored at the time or earlier.
    Upper,
}

impl FieldValue<'_> for Boundary {
    const EXPECTED: &'static str = "LOWER or UPPER";
    const OPTIONAL: bool = true;

    fn parse(text: &str) -> Option<Self> {
        Some(if text.eq_ignore_ascii_case("UPPER") { Self::Upper } else { Self::Lower })
    }

    fn absent() -> Option<Self> {
        Some(Self::Lower)
    }

    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.text(name, if *self == Self::Upper { "UPPER" } else { "LOWER" });
    }
}

/// What forbids a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forbidden {
    /// The broker is not readable.
    Broker = 1,
    /// The group may not consume.
    Group = 2,
    /// The topic is not readable.
    Topic = 3,
    /// The group may not broadcast.
    Broadcast = 4,
    /// The group may not read this topic.
    Subscription = 5,
}

impl FieldValue<'_> for Forbidden {
    const EXPECTED: &'static str = "a number from 1 to 5";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "1" => Self::Broker,
            "2" => Self::Group,
            "3" => Self::Topic,
            "4" => Self::Broadcast,
            "5" => Self::Subscription,
            _ => return None,
        })
    }

    fn encode<S: FieldSink>(&self, name: &'static str, sink: &mut S) {
        sink.number(name, *self as i64);
    }
}
