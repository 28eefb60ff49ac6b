//! The remoting front-ends: RocketMQ's native protocol in, calls into the engines, answers out.

pub mod broker;
pub mod namesrv;
pub mod registration;
pub mod reply;
