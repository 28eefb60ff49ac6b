//! The HTTP API over a broker in this process: what each path answers, refusals included.

#[path = "../support/mod.rs"]
mod support;

mod cloudevents;
mod guard;
mod idempotency;
mod rig;
mod sends;
mod watch;
