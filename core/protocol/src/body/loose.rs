//! Reading members that clients in different languages write differently.

use std::str::FromStr;

use ferromq_model::QueueOffset;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Null is the default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A number, or a text with one in it. Anything else is 0.
pub(super) fn number<'de, D: Deserializer<'de>, T: TryFrom<i64> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number.and_then(|n| T::try_from(n).ok()).unwrap_or_default())
}

/// An offset; a negative one, which stands for none, is the first.
pub(super) fn offset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QueueOffset, D::Error> {
    number(deserializer).map(QueueOffset)
}

/// A list of numbers, each of which may be a text: the Go client writes tag hashes like this. What cannot be read is left
/// out.
pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i32>, D::Error> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_i64().map(|n| n as i32),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let list = Value::deserialize(deserializer)?;
    Ok(list.as_array().map_or_else(Vec::new, |list| list.iter().filter_map(number).collect()))
}

/// A boolean, or a text or number that says the same. Anything else is false.
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Number(number) => number.as_i64() == Some(1),
        _ => false,
    })
}

/// An enum that has a value for what cannot be read.
pub(super) trait Fallback: FromStr {
    const FALLBACK: Self;
}

impl Fallback for MessageModel {
    const FALLBACK: Self = Self::Clustering;
}
impl Fallback for ConsumeType {
    const FALLBACK: Self = Self::Passively;
}
impl Fallback for ConsumeFromWhere {
    const FALLBACK: Self = Self::LastOffset;
}

/// For a member that is absent.
pub(super) fn fallback<T: Fallback>() -> T {
    T::FALLBACK
}

/// A name in any case, or an ordinal; anything else is the fallback, so that one group does not cost a client its
/// others.
pub(super) fn name<'de, D: Deserializer<'de>, T: Fallback>(deserializer: D) -> Result<T, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().unwrap_or(T::FALLBACK),
        other => other.to_string().parse().unwrap_or(T::FALLBACK),
    })
}
