//! Which messages of a topic a consumer wants.

use std::sync::Arc;

use ferromq_model::filter::{FilterError, MessageFilter, SQL92, TAG};
use ferromq_model::message::java_hash;
use ferromq_model::{Timestamp, TopicName};
use ferromq_protocol::body::SubscriptionData;

use crate::received::Received;

/// Which messages are wanted. Cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    All,
    Tags(Arc<[Box<str>]>),
    Sql(Arc<str>),
}

impl Filter {
    /// Every message.
    #[must_use]
    pub fn all() -> Self {
        Self(Kind::All)
    }

    /// Messages with one of these tags: `TagA || TagB`. Empty and `*` mean every message.
    #[must_use]
    pub fn tags(expression: &str) -> Self {
        let expression = expression.trim();
        if expression.is_empty() || expression == "*" {
            return Self::all();
        }
        let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
        Self(Kind::Tags(tags.map(Into::into).collect()))
    }

    /// Messages whose properties satisfy a SQL92 expression, which the broker evaluates: it needs
    /// `enablePropertyFilter=true` there, as it is by default here and is not by default in RocketMQ.
    ///
    /// # Errors
    /// [`FilterError::Syntax`].
    pub fn sql(expression: &str) -> Result<Self, FilterError> {
        MessageFilter::compile(SQL92, expression)?;
        Ok(Self(Kind::Sql(expression.into())))
    }

    /// Whether a message that the broker let through is wanted: it only compares hashes of tags.
    pub(crate) fn wants(&self, message: &Received) -> bool {
        match &self.0 {
            Kind::All | Kind::Sql(_) => true,
            Kind::Tags(tags) => message.tag().is_some_and(|tag| tags.iter().any(|wanted| **wanted == *tag)),
        }
    }

    /// Whether brokers have to be asked whether they can evaluate it.
    pub(crate) fn is_sql(&self) -> bool {
        matches!(self.0, Kind::Sql(_))
    }

    /// What brokers are told.
    pub(crate) fn subscription(&self, topic: &TopicName, version: Timestamp) -> SubscriptionData {
        let (expression_type, sub_string, tags): (_, _, &[Box<str>]) = match &self.0 {
            Kind::All => (TAG, "*".to_owned(), &[]),
            Kind::Tags(tags) => (TAG, tags.join(" || "), tags),
            Kind::Sql(expression) => (SQL92, expression.to_string(), &[]),
        };
        SubscriptionData {
            class_filter_mode: false,
            code_set: tags.iter().map(|tag| java_hash(tag)).collect(),
            expression_type: Some(expression_type.to_owned()),
            sub_string,
            sub_version: version.0,
            tags_set: tags.iter().map(|tag| tag.to_string()).collect(),
            topic: topic.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_told_to_brokers_as_official_clients_do() {
        let topic = TopicName::new("T1").unwrap();
        let told = Filter::tags(" TagA||TagB ").subscription(&topic, Timestamp(7));
        assert_eq!((told.sub_string.as_str(), told.sub_version), ("TagA || TagB", 7));
        assert_eq!((told.code_set, told.tags_set.len()), (vec![2_598_919, 2_598_920], 2));
        assert_eq!(Filter::tags("*"), Filter::all());
        assert!(matches!(Filter::sql("a >"), Err(FilterError::Syntax(_))));
        let told = Filter::sql("a > 1").unwrap().subscription(&topic, Timestamp(7));
        assert_eq!((told.expression_type.as_deref(), told.sub_string.as_str()), (Some("SQL92"), "a > 1"));
    }
}
