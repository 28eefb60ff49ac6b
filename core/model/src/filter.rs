//! Which messages of a topic a consumer wants: compiled once from what its subscription says, asked for every message.
//!
//! A reader asks twice. [`MessageFilter::admits_tags`] decides by what a queue's entry holds, without a look at the
//! record; where [`MessageFilter::reads_records`] says so, [`MessageFilter::admits_properties`] decides about those that
//! are left.

use crate::message::{TagsCode, java_hash};

/// Lets messages of a topic through, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageFilter {
    /// Every message.
    #[default]
    All,
    /// Messages whose tag has one of these hashes, sorted. The client compares the text again, so a collision costs
    /// bytes, never a wrong delivery.
    Tags(Vec<i32>),
}

/// An expression is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such kind of expression here.
    #[error("The broker does not support consumer to filter message by {0}")]
    UnknownKind(String),
}

/// The most tags an expression may name.
pub const MAX_TAGS: usize = 1024;

impl MessageFilter {
    /// Compiles an expression of the kind that a client names; no name means `TAG`.
    ///
    /// # Errors
    /// [`FilterError`]; a `TAG` expression is never wrong.
    pub fn compile(kind: &str, expression: &str) -> Result<Self, FilterError> {
        match kind {
            "" | "TAG" => Ok(Self::tags(expression)),
            other => Err(FilterError::UnknownKind(other.to_owned())),
        }
    }

    /// Reads `TagA || TagB`; empty and `*` let everything through.
    #[must_use]
    pub fn tags(expression: &str) -> Self {
        let expression = expression.trim();
        if expression.is_empty() || expression == "*" {
            return Self::All;
        }
        let mut codes: Vec<i32> = expression
            .split("||")
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .take(MAX_TAGS)
            .map(java_hash)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        Self::Tags(codes)
    }

    /// Whether a message with this tags code may pass. Only the low 32 bits count.
    #[must_use]
    pub fn admits_tags(&self, code: TagsCode) -> bool {
        match self {
            Self::All => true,
            Self::Tags(codes) => codes.binary_search(&(code.0 as i32)).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_expressions_admit_by_hash() {
        let filter = MessageFilter::tags(" TagA||  TagB ");
        let admits = |tag| filter.admits_tags(TagsCode::of(tag));
        assert!(admits(Some("TagA")) && admits(Some("TagB")));
        assert!(!admits(Some("TagC")) && !admits(None));
        assert_eq!(
            (MessageFilter::tags("*"), MessageFilter::tags(" ")),
            (MessageFilter::All, MessageFilter::All)
        );
    }
}
