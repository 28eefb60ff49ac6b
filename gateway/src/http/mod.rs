//! HTTP: one API over the same calls of the broker as every other protocol, its description, and the dashboard.
//!
//! ```text
//! listen ─▶ guard (request id, who asks, refusals) ─▶ a resource's handler: decode, one call, encode
//! ```
//! Always true:
//! * what a handler refuses is a [`Problem`](problem::Problem) of one table; no other text leaves with an error;
//! * every path of `/v1` is in `/openapi.json`, which is made from the handlers;
//! * nothing is read without a limit: heads and bodies by size, both by time, streams by number.
//!
//! | file | what it is about |
//! |---|---|
//! | `listen` | connections and their limits |
//! | `guard`, `auth`, `cors` | what holds for all requests; who asks; from which page |
//! | `api` | what all handlers share, and which paths there are |
//! | `problem` | what can go wrong |
//! | `extract`, `units` | reading parameters and bodies; times and spans |
//! | `message` | messages as JSON |
//! | `send` | storing them |
//! | `dashboard` | the page for people |
//! | `overview`, `health` | the broker at a glance; what watches it asks |
//! | `receive` | handing them out to consumer groups |
//! | `browse`, `dead_letters` | reading them without a group; those that groups gave up on |
//! | `topics`, `groups`, `offsets` | settings, who consumes, and how far |
//! | `connections`, `cluster` | who is connected; brokers and routes |
//! | `mqtt` | the door for its WebSockets |
//! | `mqtt_sessions`, `mqtt_retained` | its clients and groups; its retained messages |
//! | `settings`, `definitions` | settings; all topics and groups as a document |
//! | `page` | how much of a list one answer has |

#![allow(unused_qualifications, reason = "utoipa's macros write them")]

mod api;
mod auth;
mod browse;
mod cluster;
mod connections;
mod cors;
mod dashboard;
mod dead_letters;
mod definitions;
mod extract;
mod groups;
mod guard;
mod health;
pub mod listen;
mod message;
mod mqtt;
mod mqtt_retained;
mod mqtt_sessions;
mod offsets;
mod overview;
mod page;
pub mod problem;
mod receive;
mod send;
mod settings;
mod topics;
mod units;

pub use api::{Api, openapi};
pub(crate) use message::CONTENT_TYPE;
