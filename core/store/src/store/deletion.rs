//! Deleting queues: those of a topic that is deleted, and those whose messages are all gone with their log files.
//!
//! Always true:
//! * nothing is appended to a queue once it is taken out, and nobody touches its files but who deletes them;
//! * the manifest no longer names a queue when its files go: a crash in between brings the queue back as it was, or
//!   leaves files of a deleted topic that recovery clears;
//! * a queue of the same name comes into being only behind that. If the files cannot be deleted it takes no messages
//!   until the next start.

use std::io;
use std::sync::Arc;

use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, TopicName};

use super::{Inner, Noted};
use crate::manifest::{self, Manifest};
use crate::queue::Queue;

impl Inner {
    pub(super) fn delete_topic(&self, topic: &TopicName) -> io::Result<()> {
        let mut noted = self.noted.lock();
        self.queues.begin_delete(topic);
        // Its messages stay in the log. Without this, recovery would bring them back, and take those of a later topic
        // of this name for repetitions.
        noted.deleted.insert(topic.clone(), self.log.settled_end());
        self.write_manifest(&mut noted)?;
        self.queues.delete_files(topic)
    }

    /// As [`Inner::delete_topic`], for many light queues at once. Of those that never had a message the log says nothing,
    /// and nothing is noted.
    pub(super) fn delete_light_queues(&self, topics: &[TopicName]) -> io::Result<()> {
        let mut noted = self.noted.lock();
        let deleted: Vec<_> = topics.iter().map(|topic| (topic, self.queues.begin_delete(topic))).collect();
        let end = self.log.settled_end();
        let had_messages =
            |queues: &[Arc<Queue>]| queues.iter().any(|queue| queue.next() > QueueOffset::ZERO);
        let used: Vec<_> = deleted.iter().filter(|(_, queues)| had_messages(queues)).collect();
        if !used.is_empty() {
            noted.deleted.extend(used.into_iter().map(|&(topic, _)| (topic.clone(), end)));
            self.write_manifest(&mut noted)?;
        }
        topics.iter().try_for_each(|topic| self.queues.delete_files(topic))
    }

    /// Deletes the queues of topics that `may_go` lets go and whose last message lay in a deleted log file.
    pub(super) fn delete_expired_queues(
        &self,
        may_go: &dyn Fn(&TopicName) -> bool,
    ) -> io::Result<Vec<(TopicName, QueueId)>> {
        let mut noted = self.noted.lock();
        let log_min = self.log.min();
        let mut expired = Vec::new();
        // A filter's queue is held by who fills it, also when it is empty.
        let may_go = |queue: &Arc<Queue>| !queue.is_of_filter() && may_go(queue.topic());
        for queue in self.queues.all().into_iter().filter(may_go) {
            if self.retire_if_expired(&queue, log_min)? {
                expired.push((queue.topic().clone(), queue.id()));
            }
        }
        if expired.is_empty() {
            return Ok(expired);
        }
        self.queues.begin_delete_queues(&expired);
        self.write_manifest(&mut noted)?;
        self.queues.delete_files_of(&expired)?;
        Ok(expired)
    }

    /// Ends the queue if it had messages and the log has none of them any more.
    fn retire_if_expired(&self, queue: &Arc<Queue>, log_min: PhysicalOffset) -> io::Result<bool> {
        queue.trim_below(log_min)?;
        let is_expired = || queue.next().0 > 0 && queue.min() == queue.next();
        if queue.is_retired() || !is_expired() {
            return Ok(false);
        }
        // Between appends: one may have come in meanwhile, and none may from here on.
        if !self.log.between_appends(|| is_expired() && queue.begin_retiring()) {
            return Ok(false);
        }
        queue.retire();
        Ok(true)
    }

    pub(super) fn write_manifest(&self, noted: &mut Noted) -> io::Result<()> {
        let queues = self.queues.all();
        let ends: Vec<_> = queues.iter().filter_map(|queue| queue.durable_end()).collect();
        noted.queues = Some(ends.len());
        let log_min = self.log.min();
        noted.deleted.retain(|_, at| *at > log_min);
        let manifest = Manifest { deleted: noted.deleted.clone(), queues: ends };
        manifest.write(&manifest::path_in(&self.config.root))
    }
}
