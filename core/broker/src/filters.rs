//! Filters of subscriptions and pulls: each expression is compiled once, however often it is named.
//!
//! Clients repeat their subscriptions with every heartbeat, and some send the expression with every pull. Compiled
//! selectors are therefore kept by their text, up to [`MAX_KEPT`] and [`MAX_KEPT_BYTES`]; beyond that the table starts
//! over, which costs one compilation for each that is still in use.

use std::collections::HashMap;
use std::sync::Arc;

use ferromq_model::TopicName;
use ferromq_model::filter::{FilterError, MessageFilter, SQL92};
use ferromq_model::name::RETRY_PREFIX;
use ferromq_model::sql::Selector;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::members::Subscription;

/// Selectors that are kept at most.
pub const MAX_KEPT: usize = 4096;
/// Bytes of their texts at most.
pub const MAX_KEPT_BYTES: usize = 4 << 20;

/// Compiles expressions.
pub struct Filters {
    sql: bool,
    judges_retries: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    selectors: HashMap<Box<str>, Arc<Selector>, RandomState>,
    bytes: usize,
}

impl Filters {
    pub(crate) fn new(sql: bool, judges_retries: bool) -> Self {
        Self { sql, judges_retries, kept: Mutex::default() }
    }

    /// The filter that an expression of this kind stands for; no name means `TAG`.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn compile(&self, kind: &str, expression: &str) -> Result<MessageFilter, FilterError> {
        if kind != SQL92 {
            return MessageFilter::compile(kind, expression);
        }
        if !self.sql {
            return Err(FilterError::UnknownKind(kind.to_owned()));
        }
        if let Some(known) = self.kept.lock().selectors.get(expression) {
            return Ok(MessageFilter::Sql(Arc::clone(known)));
        }
        let selector = Arc::new(Selector::parse(expression)?);
        let mut kept = self.kept.lock();
        if kept.selectors.len() >= MAX_KEPT || kept.bytes + expression.len() > MAX_KEPT_BYTES {
            *kept = Kept::default();
        }
        if kept.selectors.insert(expression.into(), Arc::clone(&selector)).is_none() {
            kept.bytes += expression.len();
        }
        Ok(MessageFilter::Sql(selector))
    }

    /// What a SQL filter becomes on a group's retry topic: messages there are judged by what the group wants of the
    /// topic that they came from (`filterSupportRetry`).
    pub(crate) fn on_topic(
        &self,
        topic: &str,
        filter: MessageFilter,
        subscriptions: impl FnOnce() -> Vec<Subscription>,
    ) -> MessageFilter {
        let MessageFilter::Sql(_) = filter else { return filter };
        if !self.judges_retries || !topic.starts_with(RETRY_PREFIX) {
            return filter;
        }
        let of_topic = |subscription: Subscription| -> Option<(TopicName, Arc<Selector>)> {
            match subscription.filter {
                Ok(MessageFilter::Sql(selector)) => Some((subscription.topic, selector)),
                _ => None,
            }
        };
        MessageFilter::Retried(subscriptions().into_iter().filter_map(of_topic).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_compiled_once() {
        let filters = Filters::new(true, false);
        let compiled = || match filters.compile(SQL92, "a > 1") {
            Ok(MessageFilter::Sql(selector)) => selector,
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&compiled(), &compiled()));
        assert!(matches!(filters.compile(SQL92, "a >"), Err(FilterError::Syntax(_))));
        assert!(matches!(Filters::new(false, false).compile(SQL92, "a"), Err(FilterError::UnknownKind(_))));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let filters = Filters::new(true, false);
        for n in 0..MAX_KEPT + 10 {
            filters.compile(SQL92, &format!("a = {n}")).unwrap();
        }
        assert_eq!(filters.kept.lock().selectors.len(), 10);
        let long = "x".repeat(ferromq_model::sql::MAX_LEN / 2);
        for n in 0..200 {
            filters.compile(SQL92, &format!("a = '{long}{n}'")).unwrap();
            assert!(filters.kept.lock().bytes <= MAX_KEPT_BYTES);
        }
    }
}
