//! The manifest: which queues there were and how far each went, so that one whose files are missing is noticed.
//!
//! ```text
//! ferromq-queues 1
//! deleted 73400320 OldTopic          records of OldTopic below this log position are nobody's
//! queue 1200 98000 3 NewTopic        queue 3 of NewTopic held the messages from 1200 to one before 98000
//! sum 5f3a0c11                       CRC-32 of all lines above
//! ```
//! Always true:
//! * it is replaced as a whole, and durable before anybody relies on it;
//! * an end is at most what the queue's files durably held when it was written. Queues only grow, so an old manifest
//!   still says the truth, only less of it. It is written by a clean stop, and at a checkpoint when there are more
//!   queues than it names;
//! * a deletion is noted before the topic's files go, and before the topic can come into being again.
//!
//! RocketMQ knows no such file and leaves it alone. When it used the store in between, the ends are stale in ways that
//! nobody can tell apart from loss, and are not looked at: see [`Checkpoint::is_ours`](crate::checkpoint::Checkpoint).
//! Without a manifest a queue that lost all of its files is only noticed when recovery meets one of its messages.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ferromq_model::record::checksum;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use foldhash::fast::RandomState;

use crate::log_file::sync_dir;

const FIRST_LINE: &str = "ferromq-queues 1";

/// How far one queue went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueEnd {
    pub(crate) topic: TopicName,
    pub(crate) id: QueueId,
    pub(crate) min: QueueOffset,
    pub(crate) next: QueueOffset,
}

/// Topics that were deleted, and where the log ended then.
pub(crate) type Deletions = HashMap<TopicName, PhysicalOffset, RandomState>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) deleted: Deletions,
    pub(crate) queues: Vec<QueueEnd>,
}

pub(crate) fn path_in(root: &Path) -> PathBuf {
    root.join("ferromq-queues")
}

impl Manifest {
    /// Reads the manifest; `None` where there is none, or none that is whole.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest = Self::parse(&text);
        if manifest.is_none() {
            tracing::warn!(file = %path.display(), "the list of queues is damaged and not used");
        }
        Ok(manifest)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.strip_suffix('\n')?;
        let (_, last) = lines.rsplit_once('\n')?;
        let sum = u32::from_str_radix(last.strip_prefix("sum ")?, 16).ok()?;
        let summed = &text[..text.len() - last.len() - 1];
        if checksum(summed.as_bytes()) != sum {
            return None;
        }
        let mut lines = summed.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut manifest = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            match words.next()? {
                "deleted" => {
                    let at = PhysicalOffset(words.next()?.parse().ok()?);
                    manifest.deleted.insert(TopicName::new(words.next()?).ok()?, at);
                }
                "queue" => manifest.queues.push(QueueEnd {
                    min: QueueOffset(words.next()?.parse().ok()?),
                    next: QueueOffset(words.next()?.parse().ok()?),
                    id: QueueId(words.next()?.parse().ok()?),
                    topic: TopicName::new(words.next()?).ok()?,
                }),
                _ => return None,
            }
        }
        Some(manifest)
    }

    /// Replaces the manifest at `path`; durable when this returns.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = String::with_capacity(64 + 48 * self.queues.len());
        text.push_str(FIRST_LINE);
        text.push('\n');
        for (topic, at) in &self.deleted {
            let _ = writeln!(text, "deleted {at} {topic}");
        }
        for QueueEnd { topic, id, min, next } in &self.queues {
            let _ = writeln!(text, "queue {min} {next} {id} {topic}");
        }
        let sum = checksum(text.as_bytes());
        let _ = writeln!(text, "sum {sum:08x}");
        let staging = path.with_extension("new");
        let mut file = File::create(&staging)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&staging, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_and_a_damaged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        assert_eq!(Manifest::read(&path).unwrap(), None);
        let mut manifest = Manifest::default();
        manifest.deleted.insert(TopicName::new("Old").unwrap(), PhysicalOffset(73_400_320));
        for (id, next) in [(0, 5), (1, 1 << 40)] {
            let topic = TopicName::new("%RETRY%g|x").unwrap();
            manifest.queues.push(QueueEnd {
                topic,
                id: QueueId(id),
                min: QueueOffset(3),
                next: QueueOffset(next),
            });
        }
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap().as_ref(), Some(&manifest));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let read = Manifest::read(&path).unwrap();
            // The case of a hex digit is no damage.
            assert!(read.is_none() || read.as_ref() == Some(&manifest), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(Manifest::read(&path).unwrap(), None, "cut at {at}");
        }
    }
}
