//! Not written yet.

pub mod config;
pub mod remoting;
