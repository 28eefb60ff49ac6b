//! Calls to servers: one connection each, many calls in flight on it.
//!
//! ```text
//! caller ── encodes ──▶ outgoing frames ──▶ connection's task ──▶ socket
//!    ▲                                            │
//!    └── wakes ── place of the call ◀── answers, all that came together at once
//! ```
//! Always true:
//! * a [`Link`] exists per server address, connected or not; its task connects when there is something to send, and
//!   fails every call in flight when the connection ends. Calls after that make a new connection;
//! * the lock of a link is held for encoding a frame or for handing out answers, never over a wait;
//! * a call ends: by its answer, by the end of the connection, or at its deadline, whichever comes first;
//! * calls in flight, bytes that wait to be sent and requests of servers that wait to be handled have limits; a caller
//!   waits at the first two, a server is told to come back at the third;
//! * a connection that says nothing while calls are in flight is probed, and given up when the probe stays unanswered:
//!   a peer that is gone without a word does not hold callers up until TCP notices.
//!
//! | file | what it is about |
//! |---|---|
//! | `calls` | the places of calls in flight, and their numbers |
//! | `link` | calling, telling and answering; the connection's task |
//! | `session` | frames that come in |
//! | `answer` | what an answer is, and sends' answers read without allocating |
//! | `dial` | TCP and TLS |

mod answer;
mod calls;
mod dial;
mod link;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use answer::{Answer, Frame};
pub use dial::{Tls, TlsError};
pub(crate) use link::{Link, LinkSettings, Request};
