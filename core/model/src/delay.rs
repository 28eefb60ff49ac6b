//! The table of delay levels: `DELAY=n` on a message means "deliver after the n-th of these spans".

use std::fmt;
use std::str::FromStr;

use crate::Millis;

/// RocketMQ's default table.
pub const DEFAULT_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
/// The most levels a table may have: each is a queue of the schedule topic.
pub const MAX_LEVELS: usize = 128;

/// Spans by level, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels {
    text: String,
    spans: Vec<Millis>,
}

impl DelayLevels {
    /// How many levels there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.spans.len() as u32
    }

    /// The level that a message's `DELAY` property asks for: `None` for 0 and below, capped at the highest.
    #[must_use]
    pub fn resolve(&self, asked: i64) -> Option<u32> {
        (asked > 0).then(|| asked.min(self.spans.len() as i64) as u32)
    }

    /// How long `level` waits. A level outside of the table waits one second, as the reference does.
    #[must_use]
    pub fn span(&self, level: u32) -> Millis {
        self.spans.get((level as usize).wrapping_sub(1)).copied().unwrap_or(Millis(1000))
    }
}

impl Default for DelayLevels {
    fn default() -> Self {
        DEFAULT_LEVELS.parse().expect("the default table parses: a test shows it")
    }
}

impl fmt::Display for DelayLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DelayLevels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let spans = text
            .split_ascii_whitespace()
            .map(|word| {
                let split = word.len().saturating_sub(1);
                let (number, unit) = word.split_at_checked(split).unwrap_or((word, ""));
                let unit = match unit {
                    "s" => 1000,
                    "m" => 60_000,
                    "h" => 3_600_000,
                    "d" => 86_400_000,
                    _ => return Err(format!("\"{word}\" is not a number with one of s, m, h, d")),
                };
                let number: u32 =
                    number.parse().map_err(|_| format!("\"{word}\" is not a number with a unit"))?;
                Ok(Millis(u64::from(number) * unit))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if spans.is_empty() || spans.len() > MAX_LEVELS {
            return Err(format!("{} levels, between 1 and {MAX_LEVELS} are allowed", spans.len()));
        }
        Ok(Self { text: text.split_ascii_whitespace().collect::<Vec<_>>().join(" "), spans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_count_from_one_and_cap_at_the_highest() {
        let table = DelayLevels::default();
        assert_eq!((table.count(), table.span(1), table.span(18)), (18, Millis::secs(1), Millis::hours(2)));
        assert_eq!(
            (table.resolve(0), table.resolve(-1), table.resolve(3), table.resolve(99)),
            (None, None, Some(3), Some(18))
        );
        assert!("1s 5x".parse::<DelayLevels>().is_err() && "".parse::<DelayLevels>().is_err());
    }
}
