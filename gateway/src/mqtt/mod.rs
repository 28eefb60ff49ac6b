//! The MQTT front-end.

pub mod state;
