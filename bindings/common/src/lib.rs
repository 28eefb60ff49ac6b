//! What the bindings of several languages have in common, so that each fact is in one place.
//!
//! ```text
//! bindings/python   bindings/node     a language's values, its waiting, its errors
//!        └───────┬───────┘
//!         bindings/common             this: nothing of any language
//!                │
//!           core/client
//! ```
//! | file | what it is about |
//! |---|---|
//! | `fault` | what went wrong: one table of kinds, of which a language makes classes or codes |
//! | `options` | what clients, producers and consumers can be given: one table of options for each, and topics |
//! | `open` | what is used until it is closed, and what is settled once |
//! | `checks` | what brokers ask about transactions, for a language that comes and asks |
//! | [`admin`] | administration: one table of operations, which are called by name |

pub mod admin;
mod checks;
mod fault;
mod open;
mod options;

pub use checks::{Check, Checks, MAX_CHECKS};
pub use fault::{Fault, FaultKind};
pub use open::{Open, Unsettled};
pub use options::{Configure, OptionError, Subscribe, SwitchOrDuration, TlsFiles, Value};
