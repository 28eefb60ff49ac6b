//! The HTTP API over a broker in this process: what each path answers, refusals included.

#[path = "../support/mod.rs"]
mod support;

mod browse;
mod cloudevents;
mod groups;
mod guard;
mod idempotency;
mod manage;
mod receives;
mod rig;
mod sends;
mod streams;
mod topics;
mod transactions;
mod watch;
