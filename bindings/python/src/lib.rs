//! The native half of the Python package `ferromq`: converts arguments, calls `ferromq-client`, converts back.
//!
//! ```text
//! Python thread ──▶ call ─┬─ no bridge: waits here, detached from the interpreter, in turns so that Ctrl-C gets through
//!                         └─ a bridge:  tokio task ──▶ Queue of its event loop ──one wake-up──▶ drain: many futures done
//! ```
//! Always true:
//! * tokio's threads never touch the interpreter: they push to a queue and write one byte. So they wait for no Python code,
//!   a handler that blocks delays no heartbeat, and nothing of theirs can disturb the interpreter's end;
//! * handlers, checkers and loggers are Python threads or tasks that ask for the next thing to do;
//! * after a fork nothing of the parent is used or dropped in the child: see `runtime`;
//! * every method that may wait takes a bridge as its first argument, or `None` to wait.
//!
//! | file | what it is about |
//! |---|---|
//! | `runtime` | one runtime a process; forks; the interpreter's end; waiting |
//! | `bridge` | awaiting: completions of one event loop |
//! | `errors` | which exception a fault is |
//! | `convert` | times and texts |
//! | `message`, `received` | messages to send, messages that came |
//! | `client`, `producer`, `transaction`, `consumer`, `pull`, `pop`, `admin` | the client's API |
//! | `logging` | what the client logs, for Python's loggers |

// A method's own documentation is in the Python package.
#![allow(missing_docs)]

mod admin;
mod bridge;
mod client;
mod consumer;
mod convert;
mod errors;
mod logging;
mod message;
mod pop;
mod producer;
mod pull;
mod received;
mod runtime;
mod transaction;

#[pyo3::pymodule]
mod _ferromq {
    #[pymodule_export]
    use super::admin::Admin;
    #[pymodule_export]
    use super::bridge::Bridge;
    #[pymodule_export]
    use super::client::{Client, Credentials, Tls};
    #[pymodule_export]
    use super::consumer::StreamConsumer;
    #[pymodule_export]
    use super::errors::error_names;
    #[pymodule_export]
    use super::logging::{next_log_records, set_log_level};
    #[pymodule_export]
    use super::message::{Filter, Message, MessageQueue, SendReceipt};
    #[pymodule_export]
    use super::pop::PopConsumer;
    #[pymodule_export]
    use super::producer::{Producer, Reply};
    #[pymodule_export]
    use super::pull::{PullConsumer, Pulled};
    #[pymodule_export]
    use super::received::{AsyncDelivery, AsyncLease, Delivery, Lease, ReceivedMessage};
    #[pymodule_export]
    use super::runtime::leave;
    #[pymodule_export]
    use super::transaction::{Check, Checks, Transaction, TransactionProducer};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
