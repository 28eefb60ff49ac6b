//! The store: one commit log for all topics, a consume queue a queue, a key index, and what is needed to find them
//! whole again after a crash. Its files are RocketMQ's, byte for byte, so that either broker opens the other's.
//!
//! ```text
//! append ──▶ commit log ──▶ flush ──▶ visible in its queue ──▶ read
//!               │                        │
//!               └──▶ key index           └──▶ queue files, written behind
//! ```
//! The log is the truth; queues and index can be rebuilt from it. Where a change belongs:
//!
//! | file | what it is about |
//! |---|---|
//! | `commit_log`, `log_file` | the order of messages, files, flushing |
//! | `batch` | messages on their way in |
//! | `queue`, `queue_file`, `queues` | which messages are a queue's |
//! | `watch` | who is told when a queue gets one |
//! | `index`, `index_feed` | which messages carry a key |
//! | `checkpoint`, `manifest`, `recovery` | what a crash leaves, and putting it right |
//! | `retention` | what is deleted when |
//! | `health` | whether messages are taken, and why not |
//! | `timer` | which messages are due when |
//! | `store` | the handle; below it `background`, what its threads do, and `lock`, the right to the directory |

mod batch;
mod checkpoint;
mod commit_log;
pub mod config;
mod error;
mod health;
pub mod host;
mod index;
mod index_feed;
mod log_file;
mod manifest;
mod queue;
mod queue_file;
mod queues;
mod recovery;
mod retention;
mod store;
pub mod timer;
mod watch;

pub use batch::{Batch, EntryTag, MessageKeys, Placed};
pub use config::{FlushMode, StoreConfig};
pub use error::{AppendError, OpenError, ReadError};
pub use queue::{Appended, Queue};
pub use queue_file::QueueEntry;
pub use recovery::{Dropped, RecoveryReport};
pub use store::{FlushWatch, Found, Read, ReadLimit, Stats, Store, StoreDisks};
pub use watch::Watcher;
