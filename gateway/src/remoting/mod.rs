//! The remoting front-ends: RocketMQ's native protocol in, calls into the engines, answers out.

pub mod broker;
pub mod compatibility;
pub mod listen;
pub mod namesrv;
mod namesrv_link;
mod namesrv_session;
pub mod namesrv_view;
pub mod registration;
pub mod reply;
pub mod routes;

/// RocketMQ's name for the version that is told to peers, [`ferromq_protocol::frame::VERSION`].
pub(crate) const VERSION_NAME: &str = "V5_3_3";
