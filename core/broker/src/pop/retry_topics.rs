//! The topics where popped messages come again: whose they are, for when a topic or a group is deleted.
//!
//! `%RETRY%a_b` may belong to the group `a` that pops from `b`, or be what the group `a_b` sends back to. It counts as the
//! latter while there is such a group.

use ferromq_model::TopicName;
use ferromq_model::name::RETRY_PREFIX;

use crate::broker::Broker;

impl Broker {
    /// Retry topics of all groups that pop from `topic`.
    pub(crate) fn pop_retry_topics_of(&self, topic: &str) -> Vec<TopicName> {
        self.pop_retry_topics(|names| {
            let group = names.strip_suffix(topic).and_then(|group| group.strip_suffix(['_', '+']));
            group.is_some_and(|group| names[group.len()..].starts_with('+') || self.is_group(group))
        })
    }

    /// Retry topics of `group`, for all topics that it pops from.
    pub(crate) fn pop_retry_topics_for(&self, group: &str) -> Vec<TopicName> {
        self.pop_retry_topics(|names| {
            let Some(rest) = names.strip_prefix(group) else { return false };
            rest.starts_with('+')
                || rest.strip_prefix('_').is_some_and(|topic| self.topics().find(topic).is_some())
        })
    }

    /// Retry topics whose name behind the prefix is as wanted, and which no group sends back to.
    fn pop_retry_topics(&self, wanted: impl Fn(&str) -> bool) -> Vec<TopicName> {
        let (_, topics) = self.topics().snapshot();
        let names = topics.into_iter().map(|config| config.topic_name);
        let is_theirs = |name: &TopicName| {
            let names = name.as_str().strip_prefix(RETRY_PREFIX);
            names.is_some_and(|names| wanted(names) && !self.is_group(names))
        };
        names.filter(is_theirs).collect()
    }

    fn is_group(&self, name: &str) -> bool {
        self.groups().find(name).is_some()
    }
}
