//! Which messages of a topic a consumer wants: compiled once from what its subscription says, asked for every message.
//!
//! A reader asks twice. [`MessageFilter::admits_tags`] decides by what a queue's entry holds, without a look at the
//! record; where [`MessageFilter::reads_records`] says so, [`MessageFilter::admits_properties`] decides about those that
//! are left.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::TopicName;
use crate::message::{TagsCode, find_property, java_hash, property};
use crate::sql::{Selector, SqlError};

/// Lets messages of a topic through, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageFilter {
    /// Every message.
    #[default]
    All,
    /// Messages whose tag has one of these hashes, sorted. The client compares the text again, so a collision costs
    /// bytes, never a wrong delivery.
    Tags(Vec<i32>),
    /// Messages whose properties satisfy a SQL92 expression.
    Sql(Arc<Selector>),
    /// Messages that were sent back, by what their group wants of the topic that they came from. Those of a topic that
    /// is not here pass.
    Retried(BTreeMap<TopicName, Arc<Selector>>),
}

/// An expression is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such kind of expression here.
    #[error("The broker does not support consumer to filter message by {0}")]
    UnknownKind(String),
    /// It is a Java class, which only RocketMQ 3 ever ran.
    #[error("The broker does not support consumer to filter message by a class: use tags or SQL92")]
    Class,
    /// It is not written as its kind asks.
    #[error("parse the consumer's subscription failed: {0}")]
    Syntax(#[from] SqlError),
}

/// The kind of expressions that name tags.
pub const TAG: &str = "TAG";
/// The kind of expressions over properties.
pub const SQL92: &str = "SQL92";
/// The most tags an expression may name.
pub const MAX_TAGS: usize = 1024;

impl MessageFilter {
    /// Compiles an expression of the kind that a client names; no name means `TAG`.
    ///
    /// # Errors
    /// [`FilterError`]; a `TAG` expression is never wrong.
    pub fn compile(kind: &str, expression: &str) -> Result<Self, FilterError> {
        match kind {
            "" | TAG => Ok(Self::tags(expression)),
            SQL92 => Ok(Self::Sql(Arc::new(Selector::parse(expression)?))),
            other => Err(FilterError::UnknownKind(other.to_owned())),
        }
    }

    /// Reads `TagA || TagB`; empty and `*` let everything through.
    #[must_use]
    pub fn tags(expression: &str) -> Self {
        let expression = expression.trim();
        if expression.is_empty() || expression == "*" {
            return Self::All;
        }
        let mut codes: Vec<i32> = expression
            .split("||")
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .take(MAX_TAGS)
            .map(java_hash)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        Self::Tags(codes)
    }

    /// Whether a message with this tags code may pass. Only the low 32 bits count.
    #[must_use]
    pub fn admits_tags(&self, code: TagsCode) -> bool {
        match self {
            Self::All | Self::Sql(_) | Self::Retried(_) => true,
            Self::Tags(codes) => codes.binary_search(&(code.0 as i32)).is_ok(),
        }
    }

    /// Whether records must be looked at.
    #[must_use]
    pub const fn reads_records(&self) -> bool {
        match self {
            Self::All | Self::Tags(_) => false,
            Self::Sql(_) | Self::Retried(_) => true,
        }
    }

    /// Whether a message with these properties passes, once [`MessageFilter::admits_tags`] let it through.
    #[must_use]
    pub fn admits_properties(&self, properties: &str) -> bool {
        match self {
            Self::All | Self::Tags(_) => true,
            Self::Sql(selector) => selector.admits(properties),
            Self::Retried(selectors) => find_property(properties, property::RETRY_TOPIC)
                .and_then(|topic| selectors.get(topic))
                .is_none_or(|selector| selector.admits(properties)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_expressions_admit_by_properties() {
        let filter = MessageFilter::compile(SQL92, "a > 1").unwrap();
        assert!(filter.reads_records() && filter.admits_tags(TagsCode(7)));
        assert!(filter.admits_properties("a\x012\x02") && !filter.admits_properties("a\x011\x02"));
        assert!(matches!(MessageFilter::compile(SQL92, "a >"), Err(FilterError::Syntax(_))));
        assert!(matches!(MessageFilter::compile("sql92", "a"), Err(FilterError::UnknownKind(_))));
    }

    #[test]
    fn retried_messages_are_judged_by_where_they_came_from() {
        let wanted = Arc::new(Selector::parse("a > 1").unwrap());
        let filter = MessageFilter::Retried([(TopicName::new("T").unwrap(), wanted)].into());
        for (properties, passes) in [
            ("RETRY_TOPIC\x01T\x02a\x012\x02", true),
            ("RETRY_TOPIC\x01T\x02a\x011\x02", false),
            ("RETRY_TOPIC\x01U\x02a\x011\x02", true),
            ("a\x011\x02", true),
        ] {
            assert_eq!(filter.admits_properties(properties), passes, "{properties:?}");
        }
    }

    #[test]
    fn tag_expressions_admit_by_hash() {
        let filter = MessageFilter::tags(" TagA||  TagB ");
        let admits = |tag| filter.admits_tags(TagsCode::of(tag));
        assert!(admits(Some("TagA")) && admits(Some("TagB")));
        assert!(!admits(Some("TagC")) && !admits(None));
        assert_eq!(
            (MessageFilter::tags("*"), MessageFilter::tags(" ")),
            (MessageFilter::All, MessageFilter::All)
        );
    }
}
