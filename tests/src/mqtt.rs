//! MQTT from outside, by hand: what the conformance tests, the tests with real clients and the crash tests share.
//!
//! ```text
//! mqtt_tests! { a_rule, another_rule }     one test for each function and server: a_rule::mosquitto, a_rule::ferromq
//! fn a_rule(scene: &Scene)                 gets connections from its Scene, sends bytes, says what it expects
//! statements ─┐
//! differences ┴▶ docs/mqtt-conformance.md  which test shows which statement; where mosquitto does something else
//! ```

pub mod connection;
pub mod differences;
pub mod packet;
pub mod page;
pub mod peer;
pub mod properties;
pub mod scene;
pub mod statements;

pub use connection::Connection;
pub use packet::{BOTH, ConnAck, Connect, Packet, Publish, Version, Will};
pub use peer::{MqttServer, Peer, Setting, Setup};
pub use properties::Properties;
pub use scene::{Scene, let_pass};
