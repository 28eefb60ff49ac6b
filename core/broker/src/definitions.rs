//! All topics and groups as a document, and making a broker like one.

use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::TopicConfig;

use crate::broker::Broker;
use crate::groups::{GroupError, Groups};
use crate::topics::{TopicError, check_topic};

/// What an operator defined: not what belongs to brokers, or is made for groups by themselves.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Topics.
    pub topics: Vec<TopicConfig>,
    /// Groups.
    pub groups: Vec<SubscriptionGroupConfig>,
}

/// What definitions change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It has other settings.
    Changed,
    /// It is there, just so.
    Unchanged,
}

/// What definitions change, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defined {
    /// Of topics.
    pub topics: Vec<Change>,
    /// Of groups.
    pub groups: Vec<Change>,
}

/// Definitions were refused; nothing is changed, unless only the groups could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum DefineError {
    /// A topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Every broker has the group, and nobody changes it.
    #[error("the group[{0}] belongs to the broker")]
    BuiltIn(String),
}

impl Broker {
    /// What this broker has that an operator defined, by name.
    #[must_use]
    pub fn definitions(&self) -> Definitions {
        let (_, mut topics) = self.topics().snapshot();
        topics
            .retain(|topic| !topic.topic_name.is_derived() && !self.topics().is_reserved(&topic.topic_name));
        topics.sort_unstable_by(|a, b| a.topic_name.cmp(&b.topic_name));
        let groups = self.groups().snapshot().groups;
        let groups = groups.into_values().filter(|group| !Groups::is_built_in(group.group_name.as_str()));
        Definitions { topics, groups: groups.collect() }
    }

    /// Creates and changes topics and groups until they are as defined; others stay. With `dry_run`, only says what would
    /// change. Blocks.
    ///
    /// # Errors
    /// [`DefineError`].
    pub fn define(&self, definitions: Definitions, dry_run: bool) -> Result<Defined, DefineError> {
        let Definitions { topics, groups } = definitions;
        for topic in &topics {
            check_topic(topic)?;
            if self.topics().is_reserved(&topic.topic_name) {
                return Err(TopicError::System(topic.topic_name.clone()).into());
            }
        }
        for group in &groups {
            crate::groups::check(group)?;
            if Groups::is_built_in(group.group_name.as_str()) {
                return Err(DefineError::BuiltIn(group.group_name.to_string()));
            }
        }
        let defined = Defined {
            topics: topics
                .iter()
                .map(|topic| {
                    let before = self.topics().find(topic.topic_name.as_str());
                    change(before.map(|before| before.config() == topic))
                })
                .collect(),
            groups: groups
                .iter()
                .map(|group| {
                    let before = self.groups().find(group.group_name.as_str());
                    change(before.map(|before| *before == *group))
                })
                .collect(),
        };
        if !dry_run {
            self.put_topics(topics)?;
            self.groups().put_all(groups)?;
        }
        Ok(defined)
    }
}

fn change(is_same: Option<bool>) -> Change {
    match is_same {
        None => Change::Created,
        Some(false) => Change::Changed,
        Some(true) => Change::Unchanged,
    }
}
