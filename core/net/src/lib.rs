//! Connections: bytes in, frames to a [`Session`], answers out, within limits, until told to stop.
//!
//! ```text
//! socket ─▶ input buffer ─▶ Session::frame, once a frame ─▶ Session::batch_end, once for all that came together
//!    ▲                                                              │
//!    └──────── one vectored write ◀──── Outbox ◀── Session::poll_answers (what was ready later)
//! ```
//! Always true:
//! * back-pressure is not reading: a peer that does not take its answers, or has too many requests in flight, is not
//!   read from, so that no buffer grows with what peers do;
//! * what a session holds belongs to its connection's task: when the connection ends, everything it waited for is
//!   dropped with it;
//! * a stop reads nothing more, answers what is in flight, and closes.
//!
//! | file | what it is about |
//! |---|---|
//! | `connection` | the loop above |
//! | `input` | the buffer that frames are cut from |
//! | `outbox` | answers on their way out |
//! | `listener`, `pace` | accepting, the number of connections, and how many come in a second |

mod connection;
mod input;
mod listener;
mod outbox;
mod pace;

pub use connection::{Closed, ConnectionLimits, Session, serve};
pub use listener::{Accepted, accept_loop, accept_paced};
pub use outbox::Outbox;
pub use pace::Pace;
