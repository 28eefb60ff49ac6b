//! Producers, consumers and administration for FerroMQ and Apache RocketMQ, over native remoting.

mod queue;

pub use queue::MessageQueue;
