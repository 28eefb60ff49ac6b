//! Times and spans as people write them, and times as `mqadmin` does.

use std::time::Duration;

use ferromq_model::{Millis, Timestamp};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

const SHOWN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
const TYPED: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[year]-[month]-[day][first [T] [ ] [#]][hour]:[minute][optional [:[second][optional [[first [.] [:]][subsecond]]]]]"
);
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// Where the clock on the wall is; UTC if the system does not tell.
fn here() -> UtcOffset {
    UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC)
}

/// Reads `now`, milliseconds since 1970, `2026-11-21`, `2026-11-21 18:30`, `2026-11-21T18:30:15.250`, that with `Z` or
/// an offset behind it, or mqadmin's `2026-11-21#18:30:15:250`. Without an offset it is the time of this machine's clock.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    use time::format_description::well_known::Rfc3339;
    if text == "now" {
        return Ok(Timestamp::now());
    }
    if let Ok(millis) = text.parse::<i64>() {
        return if millis >= 0 { Ok(Timestamp(millis)) } else { Err(wrong(text)) };
    }
    let read = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| PrimitiveDateTime::parse(text, TYPED).map(|time| time.assume_offset(here())))
        .or_else(|_| time::Date::parse(text, DATE).map(|date| date.midnight().assume_offset(here())));
    let time = read.map_err(|_| wrong(text))?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map(Timestamp).map_err(|_| wrong(text))
}

fn wrong(text: &str) -> String {
    format!("{text:?} is no time: write now, 2026-11-21, 2026-11-21T18:30:15, or milliseconds since 1970")
}

/// Reads `250ms`, `2s`, `10m`, `1h` or `3d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    Millis::parse_span(text)
        .map(Millis::duration)
        .ok_or_else(|| format!("{text:?} is no span of time: write 250ms, 2s, 10m, 1h or 3d"))
}

/// For people: the time of this machine's clock.
pub(crate) fn show(time: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
        .ok()
        .and_then(|shown| shown.to_offset(here()).format(SHOWN).ok())
        .unwrap_or_else(|| time.0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_span("3d"), Ok(Duration::from_secs(3 * 86_400)));
        for wrong in ["", "2", "s", "-2s", "2 s", "1.5h", "99999999999999999999s", "9999999999999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_as_people_and_mqadmin_write_them() {
        assert_eq!(parse("1700000000000"), Ok(Timestamp(1_700_000_000_000)));
        assert_eq!(parse("2023-11-14T22:13:20Z"), Ok(Timestamp(1_700_000_000_000)));
        assert_eq!(parse("2023-11-15T00:13:20.250+02:00"), Ok(Timestamp(1_700_000_000_250)));
        let local = parse("2023-11-14T22:13:20").unwrap();
        for same in ["2023-11-14#22:13:20", "2023-11-14 22:13:20"] {
            assert_eq!(parse(same), Ok(local), "{same}");
        }
        assert_eq!(parse("2023-11-14#22:13:20:250"), Ok(Timestamp(local.0 + 250)));
        assert_eq!(parse("2023-11-14 22:13"), Ok(Timestamp(local.0 - 20_000)));
        assert!(parse("2023-11-14").unwrap() < local);
        for wrong in ["", "soon", "-5", "2023-13-01", "22:13"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
