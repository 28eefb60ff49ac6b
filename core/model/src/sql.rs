//! SQL92 selectors: `price > 10 AND region IN ('eu', 'us')`, checked once, evaluated over the property string of each
//! message where it lies.
//!
//! ```text
//! text ── lexer ──▶ tokens ── parser ──▶ checked tree ── eval ──▶ TRUE, FALSE, NULL or an error
//!                                         │                       only TRUE lets a message through
//!                                         └─ print ──▶ text that gives the same tree
//! ```
//! Always true:
//! * whatever the text, parsing ends with a tree or an error that says where: neither depth nor length can exhaust the
//!   stack or memory ([`MAX_LEN`], [`MAX_DEPTH`], [`MAX_NODES`]);
//! * evaluating allocates nothing and reads each property string once.
//!
//! Grammar, conversions and three-valued logic are the reference broker's, with one difference: it stops reading where
//! an expression is complete and passes over the rest in silence, so that `a LIKE 'x'` means `a` there, which is never
//! true. Here that is an error.

mod eval;
mod lexer;
mod parser;
mod tree;

use std::fmt;

use tree::Expr;

/// Longest selector, in bytes.
pub const MAX_LEN: usize = 64 * 1024;
/// Deepest nesting of a selector: of its parentheses and signs as of the tree that they mean.
pub const MAX_DEPTH: usize = 64;
/// Conditions, values and operators that a selector may have in all; the texts of an `IN` do not count.
pub const MAX_NODES: usize = 4096;
/// Properties that a selector may ask for.
pub const MAX_PROPERTIES: usize = 64;

/// A checked selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// Properties that the expression asks for, each once; it knows them by their place here.
    names: Vec<Box<str>>,
    expr: Expr,
}

/// No part of a tree is NaN.
impl Eq for Selector {}

/// A text is no selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for SqlError {}

impl Selector {
    /// Reads and checks a selector.
    ///
    /// # Errors
    /// [`SqlError`] names the first thing that is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        parser::parse(text)
    }
}

/// A text that gives the same selector, with a parenthesis wherever one may stand.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tree::print(f, &self.names, &self.expr)
    }
}

#[cfg(test)]
mod tests;
