//! The HTTP API over a broker in this process: what each path answers, refusals included.

#[path = "../support/mod.rs"]
mod support;

mod guard;
mod rig;
mod sends;
