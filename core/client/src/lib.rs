//! Producers, consumers and administration for FerroMQ and Apache RocketMQ, over native remoting.

mod allocate;
#[allow(dead_code, reason = "producers and consumers, which come next, use it")]
mod compress;
#[allow(dead_code, reason = "the client, which comes next, makes ids")]
mod identity;
mod queue;
#[allow(dead_code, reason = "connections, which come next, sign")]
mod signature;

pub use allocate::{
    DEFAULT_VIRTUAL_NODES, MAX_STICKY_PAIRS, Rooms, STICKY_SUFFIX, Strategy, UnknownStrategy,
};
pub use compress::{Compression, DecompressError};
pub use identity::UniqueId;
pub use queue::MessageQueue;
pub use signature::Credentials;
