//! What MQTT 3.1.1 and 5.0 say a server must do, each statement shown by a test with hand-written bytes.
//!
//! Each test runs against mosquitto, which shows that the test is right, and against our server. Which statement is shown by
//! which test is listed in `tests/src/mqtt/statements`, where mosquitto differs in `tests/src/mqtt/differences.rs`;
//! docs/mqtt-conformance.md is printed from both.

mod auth;
mod connect;
mod flow;
mod format;
mod keep_alive;
mod properties;
mod publish;
mod retained;
mod sessions;
mod shared;
mod subscribe;
mod topics;
mod websocket;
mod wills;
