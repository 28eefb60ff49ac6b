//! The remoting front-ends: RocketMQ's native protocol in, calls into the engines, answers out.

pub mod reply;
