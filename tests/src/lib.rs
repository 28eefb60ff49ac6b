//! What the cross-room tests share: servers and official clients as processes, the way a user runs them.
//!
//! ```text
//! Launch ──start──▶ Server            ours (`ferromq standalone`) or the official Java NameServer and broker,
//!   ▲                 │               on free ports of 127.0.0.1, with a store in a directory of the test
//!   └──stop / kill────┘
//! Client::run(namesrv, scenarios) ──▶ Report    an official client, unmodified, running tests/interop
//! JavaMember::join(namesrv, topic, group)       an official client as a member of a group with others
//! suite! { scenarios }                          our own client, running the same scenarios against every server
//! FaultyNetwork::around(launch)                 proxies between a server and its clients, which fail when told to
//! ```
//!
//! Always true:
//! * whatever is needed and missing fails the test with what to install; nothing is skipped;
//! * readiness is asked for, never slept for, and every wait has a limit;
//! * a process started here dies with the value that owns it, by its own pid;
//! * what is downloaded or compiled for the tests is kept outside of the checkout ([`toolchain::cache`]).
//!
//! It panics instead of returning errors: its callers are tests, and every failure ends them.

pub mod client;
pub mod http;
pub mod kafka;
pub mod member;
pub mod mqadmin;
pub mod mqtt;
pub mod nats;
pub mod official;
pub mod process;
pub mod proxy;
pub mod random;
pub mod remoting;
pub mod server;
pub mod suite;
pub mod toolchain;

pub use client::{Client, Report};
pub use kafka::Kafka;
pub use member::{Got, JavaMember};
pub use nats::Nats;
pub use official::{GrpcProxy, Pace};
pub use proxy::{FaultyNetwork, Proxy};
pub use random::Random;
pub use server::{Kind, Launch, Server};
pub use suite::Scene;
