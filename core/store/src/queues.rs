//! All consume queues, by topic and queue id.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::error::OpenError;
use crate::queue::Queue;
use crate::queue_file::{OpenFiles, QueueEntry};

type ByTopic = HashMap<TopicName, HashMap<QueueId, Arc<Queue>, RandomState>, RandomState>;

/// The queues there are. A queue comes into being when it is first asked for, and its files with its first entry.
pub(crate) struct Queues {
    root: PathBuf,
    file_len: u64,
    open: Arc<OpenFiles>,
    by_topic: RwLock<ByTopic>,
}

impl Queues {
    pub(crate) fn new(root: PathBuf, file_len: u64) -> Self {
        Self { root, file_len, open: Arc::new(OpenFiles::new()), by_topic: RwLock::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn find(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.by_topic.read().get(topic)?.get(&id).cloned()
    }

    pub(crate) fn find_or_make(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        if let Some(queue) = self.find(topic.as_str(), id) {
            return queue;
        }
        let mut by_topic = self.by_topic.write();
        let queues = by_topic.entry(topic.clone()).or_default();
        let make =
            || Arc::new(Queue::new(topic.clone(), id, &self.root, self.file_len, Arc::clone(&self.open)));
        Arc::clone(queues.entry(id).or_insert_with(make))
    }

    /// The queue that a stored record belongs to; `None` if its topic is no valid name.
    pub(crate) fn of_record(&self, record: &Record<'_>) -> Option<Arc<Queue>> {
        if let Some(queue) = self.find(record.topic, record.queue_id) {
            return Some(queue);
        }
        TopicName::new(record.topic).ok().map(|topic| self.find_or_make(&topic, record.queue_id))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.by_topic.read().values().flat_map(|queues| queues.values().cloned()).collect()
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        let by_topic = self.by_topic.read();
        let mut queues: Vec<_> =
            by_topic.get(topic).into_iter().flat_map(|queues| queues.values().cloned()).collect();
        queues.sort_by_key(|queue| queue.id());
        queues
    }

    pub(crate) fn topics(&self) -> Vec<TopicName> {
        self.by_topic.read().keys().cloned().collect()
    }

    /// Takes a topic's queues out and deletes their files.
    pub(crate) fn delete_topic(&self, topic: &TopicName) -> io::Result<()> {
        let removed = self.by_topic.write().remove(topic);
        for queue in removed.iter().flat_map(HashMap::values) {
            queue.retire();
        }
        let dir = self.root.join(topic.as_str());
        self.open.forget(&dir);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    // For recovery.

    /// Makes a queue for every directory that looks like one.
    pub(crate) fn load_from_disk(&self) -> Result<(), OpenError> {
        std::fs::create_dir_all(&self.root).map_err(OpenError::io("cannot create", &self.root))?;
        for topic_dir in std::fs::read_dir(&self.root).map_err(OpenError::io("cannot list", &self.root))? {
            let topic_dir = topic_dir.map_err(OpenError::io("cannot list", &self.root))?;
            let Some(topic) = topic_dir.file_name().to_str().and_then(|name| TopicName::new(name).ok())
            else {
                tracing::warn!(dir = %topic_dir.path().display(), "directory is no topic's and is left alone");
                continue;
            };
            let path = topic_dir.path();
            if !path.is_dir() {
                continue;
            }
            for queue_dir in std::fs::read_dir(&path).map_err(OpenError::io("cannot list", &path))? {
                let queue_dir = queue_dir.map_err(OpenError::io("cannot list", &path))?;
                if let Some(id) = queue_dir.file_name().to_str().and_then(|name| name.parse().ok()) {
                    self.find_or_make(&topic, QueueId(id));
                }
            }
        }
        Ok(())
    }

    /// Sets every queue to what its files hold of messages below `limit`, and clears what lies above.
    pub(crate) fn restore_below(&self, limit: PhysicalOffset) -> io::Result<()> {
        for queue in self.all() {
            let (min, next) = queue.files().extent_below(limit)?.unwrap_or_default();
            if limit != PhysicalOffset(u64::MAX) {
                queue.files().truncate(next)?;
            }
            queue.restore(min, next);
        }
        Ok(())
    }

    /// The entry of the newest record that any queue knows.
    pub(crate) fn newest_entry(&self) -> Option<QueueEntry> {
        let newest = |queue: &Arc<Queue>| {
            let last = queue.next().0.checked_sub(1)?;
            queue.entry(QueueOffset(last)).ok()?.filter(|entry| !entry.is_filler())
        };
        self.all().iter().filter_map(newest).max_by_key(|entry| entry.physical)
    }

    pub(crate) fn write_all_out(&self) -> io::Result<()> {
        for queue in self.all() {
            queue.write_out()?;
        }
        Ok(())
    }

    /// Moves the start of every queue to the first message that the log still has.
    pub(crate) fn trim_below(&self, log_start: PhysicalOffset) -> io::Result<()> {
        for queue in self.all() {
            queue.trim_below(log_start)?;
        }
        Ok(())
    }
}
