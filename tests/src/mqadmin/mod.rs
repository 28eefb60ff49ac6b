//! The official `mqadmin` against our server and against the official one, step by step and field by field.
//!
//! ```text
//! script() ──▶ Driver (tests/interop/mqadmin, one JVM per server) ──▶ Answers ──▶ compare() ──▶ Table
//!    │                                                                                 ▲
//!    └── what may differ in each step, and why ───────────────────────────────────────┘
//!    └──▶ page(): docs/mqadmin.md
//! ```
//!
//! Always true:
//! * every subcommand that the tool registers has a step in the [`script()`], or the comparison fails;
//! * what differs and is not accepted fails the comparison, and so does what is accepted and does not differ any more;
//! * the page is made of the script alone: the test shows it to be true, printing it needs no JVM.

mod accepted;
mod answer;
mod compare;
mod driver;
mod page;
mod script;
mod step;

pub use answer::Answer;
pub use compare::{Table, compare};
pub use driver::{Run, drive, run_tool};
pub use page::page;
pub use script::script;
pub use step::{Difference, Kind, Layout, Refusal, Step};
