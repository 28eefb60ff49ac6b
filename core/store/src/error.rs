//! What can go wrong, and who must act.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ferromq_model::PhysicalOffset;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("{} is in use by another process: stop it first, or choose another store directory", path.display())]
    Locked {
        /// The store directory.
        path: PathBuf,
    },
    /// A file in the log's directory is not the log's.
    #[error("{} does not belong into a commit log with files of {expected} bytes: {why}", path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// `mappedFileSizeCommitLog`.
        expected: u64,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// The system refused something.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried, as in "cannot create".
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// Messages could not be stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The sender's fault.
    #[error("message takes {len} bytes in the log, a log file holds {limit}")]
    TooLarge {
        /// Bytes of the record.
        len: usize,
        /// The most that fit.
        limit: u64,
    },
    /// Ours, for now: another broker may have room, and this one has again once space returns.
    #[error("{0}")]
    DiskFull(Arc<str>),
    /// Something below failed, so what the disk holds is unknown: only a restart with recovery ends this state.
    #[error(
        "store is read-only since writing failed at log position {at}: {source}; restart the broker once the disk is sound"
    )]
    Poisoned {
        /// Everything below is safe.
        at: PhysicalOffset,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The queue's topic was deleted meanwhile.
    #[error("topic is deleted")]
    Deleted,
    /// The store is closing.
    #[error("store is closing")]
    Closed,
}

/// Messages could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot read the queue of {topic}: {source}")]
    Io {
        /// Topic and queue.
        topic: String,
        /// The system's answer.
        source: io::Error,
    },
}
