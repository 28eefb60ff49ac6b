//! Times and spans as the API writes and reads them.

use std::time::Duration;

use ferromq_model::{Millis, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const SHOWN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Reads `500ms`, `20s`, `5m`, `2h` or `3d`; the error says so.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    // What a deadline can be made of.
    Millis::parse_span(text)
        .filter(|span| span.0 <= i64::MAX as u64)
        .map(Millis::duration)
        .ok_or_else(|| format!("{text:?} is no span of time: write 500ms, 20s, 5m, 2h or 3d"))
}

/// Reads `now`, RFC 3339, milliseconds since 1970, or how long ago it was (`-10m`); the error says so.
pub(super) fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong =
        || format!("{text:?} is no time: write 2026-11-21T18:30:15Z, milliseconds since 1970, or -10m");
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = text.strip_prefix('-') {
        let ago = parse_span(span).map_err(|_| wrong())?;
        return Ok(Timestamp(now.0.saturating_sub(ago.as_millis() as i64).max(0)));
    }
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(Timestamp(millis));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map(Timestamp).map_err(|_| wrong())
}

/// Writes RFC 3339 in UTC, to the millisecond. What no year holds is written as the milliseconds that it is.
pub(super) fn show_time(time: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
        .ok()
        .and_then(|shown| shown.format(SHOWN).ok())
        .unwrap_or_else(|| time.0.to_string())
}

/// A point in time, in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show_time(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Numbers are milliseconds since 1970.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Millis(i64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Millis(millis) => Ok(Self(Timestamp(millis))),
            Written::Text(text) => {
                parse_time(&text, Timestamp::now()).map(Self).map_err(serde::de::Error::custom)
            }
        }
    }
}

/// A span of time, in JSON and in queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0.as_millis()))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("3d"), Ok(Duration::from_secs(3 * 86_400)));
        for wrong in ["", "2", "s", "-2s", "2 s", "1.5h", "99999999999999999999s", "9999999999999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_instants_or_spans_ago() {
        let now = Timestamp(1_700_000_000_250);
        assert_eq!(parse_time("2023-11-15T00:13:20.250+02:00", Timestamp(0)), Ok(now));
        assert_eq!(parse_time("1700000000250", Timestamp(0)), Ok(now));
        assert_eq!(parse_time("-1s", now), Ok(Timestamp(1_699_999_999_250)));
        assert_eq!(show_time(now), "2023-11-14T22:13:20.250Z");
        assert_eq!(show_time(Timestamp(i64::MAX)), "9223372036854775807");
        for wrong in ["", "soon", "-5", "2023-13-01T00:00:00Z", "22:13"] {
            assert!(parse_time(wrong, now).is_err(), "{wrong}");
        }
    }
}
