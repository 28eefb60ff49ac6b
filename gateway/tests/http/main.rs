//! The HTTP API over a broker in this process: what each path answers, refusals included.

#[path = "../support/mod.rs"]
mod support;

mod browse;
mod cloudevents;
mod groups;
mod guard;
mod idempotency;
mod rig;
mod sends;
mod topics;
mod watch;
