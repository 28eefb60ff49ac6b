//! All consume queues, by topic and queue id.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferromq_model::light::{LIGHT_QUEUE, is_light};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::error::OpenError;
use crate::queue::Queue;
use crate::queue_file::OpenFiles;

type QueuesById = HashMap<QueueId, Arc<Queue>, RandomState>;
type ByTopic = HashMap<TopicName, QueuesById, RandomState>;

/// The queues there are. A queue comes into being when it is first asked for, and its files with its first entry.
pub(crate) struct Queues {
    root: PathBuf,
    file_len: u64,
    open: Arc<OpenFiles>,
    known: RwLock<Known>,
    /// Light queues that there may be.
    most_light: usize,
}

#[derive(Default)]
struct Known {
    by_topic: ByTopic,
    /// Topics of light queues among them, without those of filters.
    light: usize,
    /// Topics, or single queues, whose files are being deleted: none comes into being before they are gone.
    deleting: HashSet<(TopicName, Option<QueueId>)>,
}

/// Whether a topic's queue is one of those that there may be only so many of.
fn is_counted(topic: &TopicName, queues: &QueuesById) -> bool {
    is_light(topic.as_str()) && !queues.values().any(|queue| queue.is_of_filter())
}

impl Known {
    fn is_being_deleted(&self, topic: &TopicName, id: QueueId) -> bool {
        let is = |id| self.deleting.contains(&(topic.clone(), id));
        !self.deleting.is_empty() && (is(None) || is(Some(id)))
    }

    /// Whether there may be one more light queue. If not, those that somebody asked for, nobody uses and no message
    /// ever came to give way.
    fn make_room_for_light(&mut self, most: usize) -> bool {
        if self.light < most {
            return true;
        }
        // Handles are made under this lock only, so nobody can get one meanwhile.
        let unused = |queue: &Arc<Queue>| Arc::strong_count(queue) == 1 && queue.next() == QueueOffset::ZERO;
        self.by_topic.retain(|topic, queues| !is_light(topic.as_str()) || !queues.values().all(unused));
        self.light = self.by_topic.iter().filter(|(topic, queues)| is_counted(topic, queues)).count();
        self.light < most
    }
}

impl Queues {
    pub(crate) fn new(root: PathBuf, file_len: u64, most_light: usize) -> Self {
        Self { root, file_len, open: Arc::new(OpenFiles::new()), known: RwLock::default(), most_light }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn find(&self, topic: &str, id: QueueId) -> Option<Arc<Queue>> {
        self.known.read().by_topic.get(topic)?.get(&id).cloned()
    }

    pub(crate) fn find_or_make(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        if let Some(queue) = self.find(topic.as_str(), id) {
            return queue;
        }
        let mut known = self.known.write();
        let make =
            || Arc::new(Queue::new(topic.clone(), id, &self.root, self.file_len, Arc::clone(&self.open)));
        if known.is_being_deleted(topic, id) {
            let queue = make();
            queue.retire();
            return queue;
        }
        let queues = known.by_topic.entry(topic.clone()).or_default();
        let is_new_light = queues.is_empty() && is_light(topic.as_str());
        let queue = Arc::clone(queues.entry(id).or_insert_with(make));
        known.light += usize::from(is_new_light);
        queue
    }

    /// The light queue of a topic; `None` if it would be one too many.
    pub(crate) fn find_or_make_light(&self, topic: &TopicName) -> Option<Arc<Queue>> {
        if let Some(queue) = self.find(topic.as_str(), LIGHT_QUEUE) {
            queue.note_clients();
            return Some(queue);
        }
        let room = self.known.write().make_room_for_light(self.most_light);
        room.then(|| self.find_or_make(topic, LIGHT_QUEUE)).inspect(|queue| queue.note_clients())
    }

    /// The light queue of a topic that is a filter's from now on, and not counted. Retired if one of the name is just
    /// being deleted.
    pub(crate) fn find_or_make_of_filter(&self, topic: &TopicName) -> Arc<Queue> {
        let queue = self.find_or_make(topic, LIGHT_QUEUE);
        self.set_of_filter(&queue, true);
        queue
    }

    /// Makes a light queue a filter's, or one like the others again.
    pub(crate) fn set_of_filter(&self, queue: &Arc<Queue>, is: bool) {
        let mut known = self.known.write();
        let same = |known: &Arc<Queue>| Arc::ptr_eq(known, queue);
        let there = known.by_topic.get(queue.topic()).and_then(|queues| queues.get(&LIGHT_QUEUE));
        if there.is_some_and(same) && queue.set_of_filter(is) {
            known.light = if is { known.light - 1 } else { known.light + 1 };
        }
    }

    /// The queue that a stored record belongs to; `None` if its topic is no valid name.
    pub(crate) fn of_record(&self, record: &Record<'_>) -> Option<Arc<Queue>> {
        if let Some(queue) = self.find(record.topic, record.queue_id) {
            return Some(queue);
        }
        TopicName::new(record.topic).ok().map(|topic| self.find_or_make(&topic, record.queue_id))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.known.read().by_topic.values().flat_map(|queues| queues.values().cloned()).collect()
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        let known = self.known.read();
        let mut queues: Vec<_> =
            known.by_topic.get(topic).into_iter().flat_map(|queues| queues.values().cloned()).collect();
        queues.sort_by_key(|queue| queue.id());
        queues
    }

    pub(crate) fn topics(&self) -> Vec<TopicName> {
        self.known.read().by_topic.keys().cloned().collect()
    }

    /// Takes a topic's queues out: nothing is appended to them from the next append on, and their files are left
    /// alone. They can come into being again once [`Queues::delete_files`] is done.
    pub(crate) fn begin_delete(&self, topic: &TopicName) -> Vec<Arc<Queue>> {
        let removed = {
            let mut known = self.known.write();
            known.deleting.insert((topic.clone(), None));
            let removed = known.by_topic.remove(topic);
            known.light -= usize::from(removed.as_ref().is_some_and(|queues| is_counted(topic, queues)));
            removed
        };
        let removed: Vec<_> = removed.into_iter().flat_map(HashMap::into_values).collect();
        removed.iter().for_each(Queue::retire);
        removed
    }

    /// Deletes the files of a topic whose queues were taken out. Should it fail, the topic takes no messages until
    /// the next start, which tries again.
    pub(crate) fn delete_files(&self, topic: &TopicName) -> io::Result<()> {
        let dir = self.root.join(topic.as_str());
        self.open.forget(&dir);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.known.write().deleting.remove(&(topic.clone(), None));
        Ok(())
    }

    /// As [`Queues::begin_delete`], for single queues that are retired.
    pub(crate) fn begin_delete_queues(&self, gone: &[(TopicName, QueueId)]) {
        let mut known = self.known.write();
        for (topic, id) in gone {
            known.deleting.insert((topic.clone(), Some(*id)));
            let Some(queues) = known.by_topic.get_mut(topic) else { continue };
            let counted = is_counted(topic, queues);
            queues.remove(id);
            if queues.is_empty() {
                known.by_topic.remove(topic);
                known.light -= usize::from(counted);
            }
        }
    }

    /// As [`Queues::delete_files`], for single queues.
    pub(crate) fn delete_files_of(&self, gone: &[(TopicName, QueueId)]) -> io::Result<()> {
        for (topic, id) in gone {
            let dir = self.root.join(topic.as_str()).join(id.to_string());
            self.open.forget(&dir);
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // Files that a power cut brought back would be taken for the beginning of what is appended next.
        rustix::fs::syncfs(File::open(&self.root)?)?;
        let mut known = self.known.write();
        for (topic, id) in gone {
            known.deleting.remove(&(topic.clone(), Some(*id)));
            if !known.by_topic.contains_key(topic) {
                // Nobody makes a queue of it meanwhile. With other things in it, it stays.
                let _ = std::fs::remove_dir(self.root.join(topic.as_str()));
            }
        }
        Ok(())
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

    /// Sets every queue to what its files hold of messages below `limit`. One whose older files are not whole is empty
    /// then and makes the answer no. What lies above stays until [`Queues::clear_behind`].
    pub(crate) fn restore_below(&self, limit: PhysicalOffset) -> io::Result<bool> {
        let mut whole = true;
        for queue in self.all() {
            if !queue.restore_below(limit)?.whole {
                tracing::warn!(?queue, "a consume queue has files that are cut short or not its own");
                queue.restore(QueueOffset::ZERO, QueueOffset::ZERO);
                whole = false;
            }
        }
        Ok(whole)
    }

    /// Clears what files hold behind their queue's end.
    pub(crate) fn clear_behind(&self) -> io::Result<()> {
        self.all().iter().try_for_each(|queue| queue.truncate())
    }

    pub(crate) fn count_with_messages(&self) -> usize {
        let known = self.known.read();
        known
            .by_topic
            .values()
            .flat_map(HashMap::values)
            .filter(|queue| queue.max() > QueueOffset::ZERO)
            .count()
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
