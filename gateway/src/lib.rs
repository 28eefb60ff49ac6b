//! The listeners of FerroMQ, and the front-ends that turn each protocol into calls of the engines.
//!
//! This is the only room that accepts connections. A front-end decodes a request, makes one call, and encodes the
//! answer; it holds no state that outlives its connection.

pub mod config;
pub mod credentials;
pub mod http;
pub mod metrics;
pub mod mqtt;
pub mod otlp;
pub mod remoting;
mod scram;
pub mod spans;
pub mod tls;
pub mod traffic;
