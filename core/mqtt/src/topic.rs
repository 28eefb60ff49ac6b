//! Topic names, which messages carry, and topic filters, which subscribers give.
//!
//! ```text
//! name     sport/tennis/player1        levels between '/'; empty ones count: "/a", "a/" and "a" are three names
//! filter   sport/+/player1   sport/#   '+' is one whole level, '#' all that follow and the one before
//! shared   $share/{group}/{filter}     one of the group gets each message
//! ```
//! Always true: names and filters are as they were sent, byte by byte; nothing is added, removed, folded or decoded.

mod filter;
mod name;

pub use filter::{AnyFilter, Filter, FilterError, FilterFault, InvalidFilter, SharedFilter};
pub(crate) use name::check as check_name;
pub use name::{Name, NameError};

#[cfg(test)]
mod tests;
