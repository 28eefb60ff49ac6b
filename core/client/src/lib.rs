//! Producers, consumers and administration for FerroMQ and Apache RocketMQ, over native remoting.

mod allocate;
mod queue;

pub use allocate::{
    DEFAULT_VIRTUAL_NODES, MAX_STICKY_PAIRS, Rooms, STICKY_SUFFIX, Strategy, UnknownStrategy,
};
pub use queue::MessageQueue;
