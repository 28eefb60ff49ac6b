//! Deleting: topics and groups with all that is noted about them, and what operators' clean-ups find.
//!
//! Always true:
//! * settings go first, so that nobody finds what is about to be deleted, and positions last, so that none is noted
//!   meanwhile that the next topic of the name would be read from;
//! * a deletion is answered once it survives a crash, positions included: one that came back would hide the first
//!   messages of the next topic of the name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ferromq_model::light::{LIGHT_QUEUE, is_light};
use ferromq_model::{QueueId, TopicName};

use crate::broker::Broker;
use crate::groups::GroupError;
use crate::topics::TopicError;

impl Broker {
    /// Deletes a topic: its settings, its queues, what is handed out of it, and what groups noted about it.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn delete_topic(&self, topic: &TopicName) -> Result<(), TopicError> {
        let is_light = self.topics().find(topic.as_str()).is_some_and(|topic| topic.is_light());
        if self.store().find_queue(topic.as_str(), LIGHT_QUEUE).is_some_and(|queue| queue.is_of_filter()) {
            // Who subscribes holds it.
            return Err(TopicError::System(topic.clone()));
        }
        match self.topics().remove(topic) {
            Err(TopicError::System(_)) if is_light => {}
            // Tools delete on every broker, also where the topic never was.
            Err(TopicError::Unknown(_)) => return Ok(()),
            other => other?,
        }
        self.forget_topic(topic)?;
        for retries in self.pop_retry_topics_of(topic.as_str()) {
            self.topics().remove(&retries)?;
            self.forget_topic(&retries)?;
        }
        Ok(())
    }

    /// Forgets a group and what is handed out to it; if asked to, also where it stood and the topics of its pops' retries.
    ///
    /// # Errors
    /// [`GroupError::Save`].
    pub fn delete_group(&self, group: &str, with_offsets: bool) -> Result<(), GroupError> {
        self.groups().remove(group)?;
        self.topics().all().iter().for_each(|topic| topic.stats().forget_group(group));
        self.pops().forget(|_, gone| gone == group, self.store().now())?;
        self.request_modes().forget(|_, gone| gone == group)?;
        if with_offsets {
            if self.offsets().forget_group(group) {
                self.offsets().save()?;
            }
            for retries in self.pop_retry_topics_for(group) {
                match self.topics().remove(&retries) {
                    Ok(()) => self.forget_topic(&retries)?,
                    Err(error) => {
                        tracing::warn!(topic = %retries, %error, "a retry topic of the group stays");
                    }
                }
            }
        }
        Ok(())
    }

    fn forget_topic(&self, topic: &TopicName) -> io::Result<()> {
        let deleted = self.forget_queues_of(topic);
        // Who sent meanwhile made a topic of the same name, with queues that were about to go.
        self.topics().renew(topic);
        deleted
    }

    fn forget_queues_of(&self, topic: &TopicName) -> io::Result<()> {
        let deleted = self.store().delete_topic(topic);
        self.pops().forget(|gone, _| gone == topic.as_str(), self.store().now())?;
        self.request_modes().forget(|gone, _| gone == topic.as_str())?;
        if self.offsets().forget_topic(topic.as_str()) {
            self.offsets().save()?;
        }
        deleted
    }

    /// Deletes queues that have no messages any more because their log files are deleted, with what groups noted about
    /// them; those of the broker's own topics stay. Returns how many. Their next message is number 0.
    ///
    /// # Errors
    /// As [`Store::delete_expired_queues`](ferromq_store::Store::delete_expired_queues).
    pub fn delete_expired_queues(&self) -> io::Result<usize> {
        let may_go = |topic: &TopicName| is_light(topic.as_str()) || !self.topics().is_reserved(topic);
        let gone = self.store().delete_expired_queues(may_go)?;
        let mut by_topic: BTreeMap<&str, BTreeSet<QueueId>> = BTreeMap::new();
        for (topic, id) in &gone {
            tracing::info!(%topic, queue = %id, "deleted a queue whose messages are all gone");
            by_topic.entry(topic.as_str()).or_default().insert(*id);
        }
        let mut topics: Vec<_> = gone.iter().map(|(topic, _)| topic).collect();
        topics.dedup();
        topics.into_iter().for_each(|topic| self.topics().renew(topic));
        // A position in what was before would hide the first messages of what comes.
        if self.offsets().forget_queues(&by_topic) {
            self.offsets().save()?;
        }
        Ok(gone.len())
    }

    /// Deletes the queues of topic filters that nobody holds any more. [`Broker::run`] does so by itself. Blocks.
    pub fn sweep_filters(&self) {
        let has_settings =
            |topic: &TopicName| self.topics().find(topic.as_str()).is_some_and(|topic| !topic.is_light());
        match self.fanout().sweep(has_settings) {
            // Clients may have looked at them by their names.
            Ok(gone) if self.store().config().light_queues => {
                gone.iter().for_each(|topic| self.topics().renew(topic));
                let forgotten =
                    gone.iter().filter(|topic| self.offsets().forget_topic(topic.as_str())).count();
                if forgotten > 0
                    && let Err(error) = self.offsets().save()
                {
                    tracing::error!(%error, "cannot save consumer offsets");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "cannot delete the queues of topic filters"),
        }
    }

    /// Deletes the queues of topics that do not exist, such as a deletion that failed half-way leaves. Returns of how
    /// many topics.
    ///
    /// # Errors
    /// As [`Store::delete_topic`](ferromq_store::Store::delete_topic).
    pub fn delete_unknown_topics(&self) -> io::Result<usize> {
        let mut deleted = 0;
        for topic in self.store().topics() {
            if topic.is_system() || is_light(topic.as_str()) {
                continue;
            }
            let Some(outcome) = self.topics().while_unknown(&topic, || self.forget_queues_of(&topic)) else {
                continue;
            };
            outcome?;
            tracing::info!(%topic, "deleted the queues of a topic that does not exist");
            deleted += 1;
        }
        Ok(deleted)
    }
}
