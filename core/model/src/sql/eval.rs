//! What a selector says about one message.
//!
//! Property values are texts. A comparison turns a text into the type of the constant beside it; where that fails,
//! evaluation ends with an error, whatever the rest of the expression would have said, unless a part before it already
//! decided. A missing property is null, and null spreads as in SQL.

use std::cmp::Ordering;

use super::tree::{Expr, Like, Order};
use super::{MAX_PROPERTIES, Selector};
use crate::message::iter_properties;

/// A text is not of the type that it is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value cannot be compared as the expression asks")]
pub struct EvalError;

/// Properties that most selectors ask for at most.
const FEW: usize = 8;

impl Selector {
    /// Whether the message with these properties passes: only `TRUE` does.
    #[must_use]
    pub fn admits(&self, properties: &str) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    /// What the selector says: true, false, or `None` for null.
    ///
    /// # Errors
    /// `EvalError`.
    pub fn evaluate(&self, properties: &str) -> Result<Option<bool>, EvalError> {
        let mut few = [None; FEW];
        let mut many;
        let found = if self.names.len() <= FEW {
            &mut few[..]
        } else {
            many = [None; MAX_PROPERTIES];
            &mut many[..]
        };
        for (name, value) in iter_properties(properties) {
            if let Some(place) = self.names.iter().position(|wanted| **wanted == *name) {
                // The last one counts where a sender gave several.
                found[place] = Some(value);
            }
        }
        Message { found }.truth(&self.expr)
    }
}

/// What a message has of the properties that the selector names.
struct Message<'a> {
    found: &'a [Option<&'a str>],
}

/// A value that is there.
#[derive(Clone, Copy)]
enum Value<'a> {
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a str),
}

impl<'a> Message<'a> {
    fn property(&self, name: usize) -> Option<&'a str> {
        self.found[name]
    }

    fn value(&self, expr: &'a Expr) -> Result<Option<Value<'a>>, EvalError> {
        Ok(match expr {
            Expr::Null => None,
            Expr::Int(value) => Some(Value::Int(*value)),
            Expr::Long(value) => Some(Value::Long(*value)),
            Expr::Double(value) => Some(Value::Double(*value)),
            Expr::Text(text) => Some(Value::Text(text)),
            Expr::Property(name) => self.property(*name).map(Value::Text),
            Expr::Negate(part) => match self.value(part)? {
                Some(Value::Int(value)) => Some(Value::Int(value.wrapping_neg())),
                Some(Value::Long(value)) => Some(Value::Long(value.wrapping_neg())),
                Some(Value::Double(value)) => Some(Value::Double(-value)),
                // A text is not turned into a number here.
                Some(Value::Bool(_) | Value::Text(_)) | None => None,
            },
            truth => self.truth(truth)?.map(Value::Bool),
        })
    }

    fn truth(&self, expr: &'a Expr) -> Result<Option<bool>, EvalError> {
        Ok(match expr {
            Expr::Bool(value) => Some(*value),
            // A text is never taken for a truth value by itself, not even 'true'.
            Expr::Truth(name) => self.property(*name).map(|_| false),
            Expr::Not(part) => self.truth(part)?.map(|value| !value),
            Expr::And(parts) => self.decide(parts, false)?,
            Expr::Or(parts) => self.decide(parts, true)?,
            Expr::Equal { negated, sides } => {
                equal(self.value(&sides[0])?, self.value(&sides[1])?)?.map(|equal| equal != *negated)
            }
            Expr::Order { order, sides } => self.compare(&sides[0], *order, &sides[1])?,
            Expr::IsNull { negated, value } => Some(self.value(value)?.is_none() != *negated),
            Expr::Between { negated: false, parts } => {
                match self.compare(&parts[0], Order::GreaterOrEqual, &parts[1])? {
                    Some(false) => Some(false),
                    low => both(low, self.compare(&parts[0], Order::LessOrEqual, &parts[2])?),
                }
            }
            Expr::Between { negated: true, parts } => {
                match self.compare(&parts[0], Order::Less, &parts[1])? {
                    Some(true) => Some(true),
                    low => either(low, self.compare(&parts[0], Order::Greater, &parts[2])?),
                }
            }
            Expr::In { negated, name, texts } => self
                .property(*name)
                .map(|value| texts.binary_search_by(|text| (**text).cmp(value)).is_ok() != *negated),
            Expr::Like { negated, how, value, text } => Some(match self.value(value)? {
                Some(Value::Text(value)) if !text.is_empty() => how.holds(value, text) != *negated,
                // Neither the test nor its negation holds for what is no text.
                _ => false,
            }),
            Expr::Null
            | Expr::Int(_)
            | Expr::Long(_)
            | Expr::Double(_)
            | Expr::Text(_)
            | Expr::Property(_)
            | Expr::Negate(_) => None,
        })
    }

    /// `decisive` as soon as a part says so; null if one says null; otherwise the opposite.
    fn decide(&self, parts: &'a [Expr], decisive: bool) -> Result<Option<bool>, EvalError> {
        let mut outcome = Some(!decisive);
        for part in parts {
            match self.truth(part)? {
                Some(value) if value == decisive => return Ok(Some(decisive)),
                Some(_) => {}
                None => outcome = None,
            }
        }
        Ok(outcome)
    }

    fn compare(&self, left: &'a Expr, order: Order, right: &'a Expr) -> Result<Option<bool>, EvalError> {
        let Some(left) = self.value(left)? else { return Ok(None) };
        let Some(right) = self.value(right)? else { return Ok(None) };
        let ordering = match (left, right) {
            (Value::Text(left), Value::Text(right)) => compare_doubles(double(left)?, double(right)?),
            _ => ordering(left, right)?,
        };
        Ok(Some(order.holds(ordering)))
    }
}

fn both(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    if right == Some(false) { right } else { left.and(right) }
}

fn either(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    if right == Some(true) { right } else { left.and(right) }
}

/// Whether one number literal is less than another.
pub(super) fn is_less(left: &Expr, right: &Expr) -> bool {
    Message { found: &[] }.compare(left, Order::Less, right) == Ok(Some(true))
}

fn equal(left: Option<Value<'_>>, right: Option<Value<'_>>) -> Result<Option<bool>, EvalError> {
    match (left, right) {
        (None, None) => Ok(Some(true)),
        (None, Some(_)) => Ok(None),
        // Not null, as the reference has it.
        (Some(_), None) => Ok(Some(false)),
        (Some(left), Some(right)) => Ok(Some(ordering(left, right)? == Ordering::Equal)),
    }
}

/// How two values stand to each other, a text being taken for what the other one is.
fn ordering(left: Value<'_>, right: Value<'_>) -> Result<Ordering, EvalError> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Text(left), Text(right)) => left.cmp(right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Double(left), Double(right)) => compare_doubles(left, right),
        (Int(left), Double(right)) => compare_doubles(f64::from(left), right),
        (Double(left), Int(right)) => compare_doubles(left, f64::from(right)),
        (Long(left), Double(right)) => compare_doubles(left as f64, right),
        (Double(left), Long(right)) => compare_doubles(left, right as f64),
        (Text(left), Int(right)) => integer::<i32>(left)?.cmp(&right),
        (Int(left), Text(right)) => left.cmp(&integer(right)?),
        (Text(left), Long(right)) => integer::<i64>(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&integer(right)?),
        (Text(left), Double(right)) => compare_doubles(double(left)?, right),
        (Double(left), Text(right)) => compare_doubles(left, double(right)?),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        // The other way round the reference fails.
        (Bool(_), Text(_)) => return Err(EvalError),
        (Bool(_), Int(_) | Long(_) | Double(_)) | (Int(_) | Long(_) | Double(_), Bool(_)) => Ordering::Less,
    })
}

/// As Java compares: NaN is above everything and equals itself.
fn compare_doubles(left: f64, right: f64) -> Ordering {
    left.total_cmp(&right)
}

fn integer<T: std::str::FromStr>(text: &str) -> Result<T, EvalError> {
    text.parse().map_err(|_| EvalError)
}

/// As Java reads a double: blanks around it and a type's letter behind it do no harm, and the names of what is no
/// number are case-sensitive. Hexadecimal ones are not read.
fn double(text: &str) -> Result<f64, EvalError> {
    let text = text.trim_matches(|c| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = match unsigned {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => "inf",
        _ => unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned),
    };
    if digits != "inf" && !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(EvalError);
    }
    let value: f64 = digits.parse().map_err(|_| EvalError)?;
    Ok(if text.starts_with('-') { -value } else { value })
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Like {
    fn holds(self, value: &str, text: &str) -> bool {
        match self {
            Self::Contains => value.contains(text),
            Self::StartsWith => value.starts_with(text),
            Self::EndsWith => value.ends_with(text),
        }
    }
}
