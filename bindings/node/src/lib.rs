//! The native half of the Node package `ferromq`: converts arguments, calls `ferromq-client`, converts back.
//!
//! ```text
//! JavaScript ── call(bridge, id, …) ──▶ tokio task ──▶ Completions of its thread ──one wake-up──▶ drain: many promises
//!            ◀── throws what is wrong at once                └ ids and results, packed into one piece of memory
//! ```
//! Always true:
//! * a call that may wait takes a bridge and an id, returns at once, and is completed exactly once under that id;
//! * tokio's threads never touch JavaScript: they append to a queue, and the first to find it empty wakes its thread. So
//!   they wait for no JavaScript, and a handler that blocks delays no heartbeat;
//! * what is many crosses packed, in one call for all: messages to send, receipts, messages that came;
//! * a thread (`worker_threads`) that is gone is told nothing more: its completions are dropped;
//! * options cross as JSON. What is not known in them is refused.
//!
//! | file | what it is about |
//! |---|---|
//! | `runtime` | one runtime a process |
//! | `bridge` | completions of one JavaScript thread |
//! | `packed` | the form in which much crosses at once |
//! | `errors` | what JavaScript is told of an error |
//! | `joining` | consumers before and after they join their group |
//! | `options` | options, times and filters in JSON |
//! | `message`, `batch` | messages to send, messages that came |
//! | `client`, `producer`, `transaction`, `consumer`, `pull`, `pop`, `admin` | the client's API |
//! | `logging` | what the client logs, for JavaScript's logger |
//!
//! The JavaScript half, which is what users see and what documents it, is in `lib/`.

// A method's own documentation is in the JavaScript half.
#![allow(missing_docs)]
// Arguments come as values of Rust's own, which napi makes of JavaScript's; what it exports has to be `pub`.
#![allow(clippy::needless_pass_by_value, unreachable_pub)]

mod admin;
mod batch;
mod bridge;
mod client;
mod consumer;
mod errors;
mod joining;
mod logging;
mod message;
mod options;
mod packed;
mod pop;
mod producer;
mod pull;
mod runtime;
mod transaction;
