//! How each kind of value is written by an operator, read, and said to people.
//!
//! Plain numbers mean what they mean in RocketMQ's files: bytes, milliseconds, hours. A suffix says it more
//! clearly (`64MiB`, `10s`) and is understood here only, so [`ConfigValue::show`] always writes the plain number:
//! what we print, a Java broker reads.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::delay::{self, DelayLevels};
use crate::topic::Permission;
use crate::{ByteSize, Millis};

/// A type that a setting can have.
pub trait ConfigValue: Sized {
    /// What to call it in the reference page.
    const KIND: &'static str;
    /// What a plain number counts.
    const UNIT: Option<&'static str>;

    /// Reads what an operator wrote; blanks around it are gone already.
    ///
    /// # Errors
    /// A sentence that quotes the text and says what is wrong with it.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text that [`parse`](Self::parse) and RocketMQ read back to the same value.
    fn show(&self) -> String;

    /// The value in a sentence to people: `1 GiB` where [`show`](Self::show) has `1073741824`.
    fn say(&self) -> String {
        self.show()
    }

    /// What may be written, for messages and the reference page.
    fn allowed() -> String;
}

impl ConfigValue for bool {
    const KIND: &'static str = "true or false";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(format!("\"{text}\" is neither true nor false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn allowed() -> String {
        "true or false".to_owned()
    }
}

macro_rules! integers {
    ($($int:ty),+) => {$(
        impl ConfigValue for $int {
            const KIND: &'static str = "integer";
            const UNIT: Option<&'static str> = None;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| not_this_number(text))
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn allowed() -> String {
                format!("{} to {}", <$int>::MIN, <$int>::MAX)
            }
        }
    )+};
}

integers!(u8, u16, u32, u64, i32, i64);

fn not_this_number(text: &str) -> String {
    if text.parse::<i128>().is_ok() {
        format!("{text} is out of bounds")
    } else {
        format!("\"{text}\" is not a whole number")
    }
}

impl ConfigValue for String {
    const KIND: &'static str = "text";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }

    fn allowed() -> String {
        "any text".to_owned()
    }
}

impl ConfigValue for PathBuf {
    const KIND: &'static str = "path";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }

    fn allowed() -> String {
        "a path".to_owned()
    }
}

impl ConfigValue for IpAddr {
    const KIND: &'static str = "IP address";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_err(|_| format!("\"{text}\" is not an IPv4 or IPv6 address"))
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn allowed() -> String {
        "an IPv4 or IPv6 address".to_owned()
    }
}

/// An empty value stands for "not set".
impl<T: ConfigValue> ConfigValue for Option<T> {
    const KIND: &'static str = T::KIND;
    const UNIT: Option<&'static str> = T::UNIT;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }

    fn say(&self) -> String {
        self.as_ref().map_or_else(String::new, T::say)
    }

    fn allowed() -> String {
        format!("{}, or empty", T::allowed())
    }
}

/// Read as plain bytes, or with `B`, `K`, `KB`, `KiB`, … up to `G` in any case, which always count in 1024s.
impl ConfigValue for ByteSize {
    const KIND: &'static str = "size";
    const UNIT: Option<&'static str> = Some("bytes");

    fn parse(text: &str) -> Result<Self, String> {
        let complain = || format!("\"{text}\" is not a number of bytes such as 65536 or 64KiB");
        let (number, suffix) = number_and_suffix(text).ok_or_else(complain)?;
        let shift = match suffix.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(complain()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| format!("{text} is out of bounds"))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn say(&self) -> String {
        self.to_string()
    }

    fn allowed() -> String {
        "any number of bytes".to_owned()
    }
}

/// Read as plain milliseconds, or with `ms`, `s`, `m`, `h`, `d`.
impl ConfigValue for Millis {
    const KIND: &'static str = "time span";
    const UNIT: Option<&'static str> = Some("ms");

    fn parse(text: &str) -> Result<Self, String> {
        let complain = || format!("\"{text}\" is not a number of milliseconds such as 10000 or 10s");
        let (number, suffix) = number_and_suffix(text).ok_or_else(complain)?;
        let unit = if suffix.is_empty() { "ms".to_owned() } else { suffix.to_ascii_lowercase() };
        Self::of(1, &unit).ok_or_else(complain)?;
        Self::of(number, &unit).ok_or_else(|| format!("{text} is out of bounds"))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn say(&self) -> String {
        const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
        UNITS
            .iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit))
            .map_or_else(|| format!("{} ms", self.0), |(unit, name)| format!("{} {name}", self.0 / unit))
    }

    fn allowed() -> String {
        "any number of milliseconds".to_owned()
    }
}

/// `64KiB` and `64 KiB` as `(64, "KiB")`; `None` without leading digits or with more than 64 bits of them.
fn number_and_suffix(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    Some((number.parse().ok()?, suffix.trim_start()))
}

macro_rules! counted {
    ($(#[$meta:meta])* $name:ident($int:ty), $kind:literal, $unit:literal, $sign:literal, $max:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $int);

        impl ConfigValue for $name {
            const KIND: &'static str = $kind;
            const UNIT: Option<&'static str> = Some($unit);

            fn parse(text: &str) -> Result<Self, String> {
                <$int>::parse(text).and_then(|n| {
                    if n <= $max { Ok(Self(n)) } else { Err(format!("{n}{} is out of bounds", $sign)) }
                })
            }

            fn show(&self) -> String {
                self.0.to_string()
            }

            fn say(&self) -> String {
                format!("{}{}", self.0, $sign)
            }

            fn allowed() -> String {
                format!("0 to {}{}", $max, $sign)
            }
        }
    };
}

counted! {
    /// A span of whole seconds, for keys whose plain number counts seconds.
    Secs(u32), "time span", "s", " s", u32::MAX
}
counted! {
    /// A span of whole hours, for keys whose plain number counts hours.
    Hours(u32), "time span", "h", " h", u32::MAX
}
counted! {
    /// Hundredths of a whole, 0 to 100.
    Percent(u8), "share", "%", " %", 100
}

impl Secs {
    /// The same span in milliseconds.
    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis::secs(self.0 as u64)
    }
}

impl Hours {
    /// The same span in milliseconds.
    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis::hours(self.0 as u64)
    }
}

/// Some of the 24 hours of a day, written as `04` or `04;16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourSet(u32);

impl HourSet {
    /// The one hour that starts at `hour` o'clock.
    ///
    /// # Panics
    /// When `hour` is above 23.
    #[must_use]
    pub const fn just(hour: u8) -> Self {
        assert!(hour < 24, "a day has 24 hours");
        Self(1 << hour)
    }

    /// Whether the hour that starts at `hour` o'clock is one of them.
    #[must_use]
    pub const fn contains(self, hour: u8) -> bool {
        hour < 24 && self.0 >> hour & 1 == 1
    }
}

impl ConfigValue for HourSet {
    const KIND: &'static str = "hours of the day";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        let mut hours = 0;
        for word in text.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            match word.parse::<u8>() {
                Ok(hour) if hour < 24 => hours |= 1 << hour,
                _ => return Err(format!("\"{word}\" is not an hour of the day")),
            }
        }
        if hours == 0 { Err("no hour is named".to_owned()) } else { Ok(Self(hours)) }
    }

    fn show(&self) -> String {
        (0..24)
            .filter(|hour| self.contains(*hour))
            .map(|hour| format!("{hour:02}"))
            .collect::<Vec<_>>()
            .join(";")
    }

    fn allowed() -> String {
        "hours from 00 to 23, joined by ;".to_owned()
    }
}

impl ConfigValue for DelayLevels {
    const KIND: &'static str = "time spans";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn allowed() -> String {
        format!("1 to {} numbers with s, m, h or d, joined by blanks", delay::MAX_LEVELS)
    }
}

impl ConfigValue for Permission {
    const KIND: &'static str = "permission";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        let bits = u32::parse(text)?;
        if bits & !Self::READ_WRITE.0 == 0 { Ok(Self(bits)) } else { Err(format!("{bits} is no permission")) }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn allowed() -> String {
        "0 (neither), 2 (write), 4 (read) or 6 (both)".to_owned()
    }
}

/// Servers to dial, written `host:port` and joined by `;`. May be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(Vec<String>);

impl Servers {
    /// Each server as `host:port`, in the order written; an IPv6 host is in brackets.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.0
    }

    /// The same with more of them.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = String>) -> Self {
        Self(self.0.iter().cloned().chain(more).collect())
    }
}

impl ConfigValue for Servers {
    const KIND: &'static str = "servers";
    const UNIT: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, String> {
        let mut servers = Vec::new();
        for word in text.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            let well_formed = word.rsplit_once(':').is_some_and(|(host, port)| {
                let bracketed = host.starts_with('[') && host.ends_with(']');
                let plain = !host.is_empty() && !host.contains([':', '/', ' ', ',']);
                (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !well_formed {
                return Err(format!("\"{word}\" is not host:port"));
            }
            servers.push(word.to_owned());
        }
        Ok(Self(servers))
    }

    fn show(&self) -> String {
        self.0.join(";")
    }

    fn allowed() -> String {
        "host:port, several joined by ;".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_plain_bytes_or_carry_a_suffix() {
        for (text, bytes) in [
            ("1073741824", 1 << 30),
            ("1GiB", 1 << 30),
            ("1 gb", 1 << 30),
            ("512m", 512 << 20),
            ("64K", 64 << 10),
            ("7b", 7),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "-1", "1.5g", "g", "12 q", "1 000", "17179869184g", "99999999999999999999"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
        assert_eq!((ByteSize::mib(4).show(), ByteSize::mib(4).say()), ("4194304".into(), "4 MiB".into()));
    }

    #[test]
    fn spans_are_plain_milliseconds_or_carry_a_suffix() {
        for (text, ms) in
            [("5000", 5000), ("5000ms", 5000), ("5s", 5000), ("2 m", 120_000), ("1h", 3_600_000), ("0", 0)]
        {
            assert_eq!(Millis::parse(text), Ok(Millis(ms)), "{text}");
        }
        assert!(
            Millis::parse("5 s s").is_err() && Millis::parse("-1").is_err() && Millis::parse("").is_err()
        );
        assert_eq!(
            [Millis(0), Millis(1500), Millis::secs(90), Millis::mins(2), Millis::hours(48)]
                .map(|span| span.say()),
            ["0 ms", "1500 ms", "90 s", "2 min", "2 d"]
        );
    }

    #[test]
    fn numbers_beyond_their_type_are_out_of_bounds_rather_than_no_numbers() {
        assert_eq!(u16::parse("70000"), Err("70000 is out of bounds".to_owned()));
        assert_eq!(u16::parse("-1"), Err("-1 is out of bounds".to_owned()));
        assert_eq!(u16::parse("1e3"), Err("\"1e3\" is not a whole number".to_owned()));
        assert_eq!(Percent::parse("101"), Err("101 % is out of bounds".to_owned()));
        assert_eq!(Percent::parse("75"), Ok(Percent(75)));
    }

    #[test]
    fn hours_of_the_day_are_joined_by_semicolons() {
        let hours = HourSet::parse("4;16; 04").unwrap();
        assert_eq!(hours.show(), "04;16");
        assert!(hours.contains(4) && hours.contains(16) && !hours.contains(5) && !hours.contains(24));
        assert_eq!(HourSet::parse("04").unwrap(), HourSet::just(4));
        assert!(
            HourSet::parse("24").is_err() && HourSet::parse("").is_err() && HourSet::parse("4,5").is_err()
        );
    }

    #[test]
    fn an_ipv6_address_may_stand_in_brackets() {
        assert_eq!(IpAddr::parse("[::1]"), IpAddr::parse("::1"));
        assert!(IpAddr::parse("localhost").is_err());
    }

    #[test]
    fn servers_are_joined_by_semicolons_and_each_has_a_port() {
        let servers = Servers::parse("a:9876; [::1]:9876;").unwrap();
        assert_eq!(servers.addresses(), ["a:9876", "[::1]:9876"]);
        assert_eq!(servers.show(), "a:9876;[::1]:9876");
        assert_eq!(Servers::parse("").unwrap(), Servers::default());
        for text in ["a", "a:", ":9876", "a:70000", "a:0", "::1:9876", "http://a:80", "a:1,b:2"] {
            assert!(Servers::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_permission_has_no_other_bits_than_read_and_write() {
        assert_eq!(Permission::parse("6"), Ok(Permission::READ_WRITE));
        assert!(Permission::parse("7").is_err() && Permission::parse("rw").is_err());
    }

    #[test]
    fn an_empty_value_unsets_an_optional_one() {
        assert_eq!(Option::<u16>::parse(""), Ok(None));
        assert_eq!(Option::<u16>::parse("7"), Ok(Some(7)));
        assert!(Option::<u16>::parse("x").is_err());
    }
}
