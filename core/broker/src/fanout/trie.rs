//! Topic filters by their levels, so that those which match a topic are found without looking at the others.
//!
//! ```text
//! filters a/b, a/+/c, a/#, +/b        (root) ─ a ─ b *          * a filter ends here
//!                                        │     ├ + ─ c *        # a filter ends with "#" here
//!                                        │     └ #
//!                                        └ + ─ b *
//! ```
//! A level is what stands between separators, as it is: also nothing at all. `a/#` matches `a` as well. What a topic begins
//! with `$` for is not found by filters that begin with a wildcard.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Ends a level.
const LEVEL_END: char = '/';
/// A level that matches any.
const ONE_LEVEL: &str = "+";
/// A last level that matches any number of levels, none included.
const ALL_BELOW: &str = "#";
/// The most levels of a filter. Looking goes one call deeper a level.
pub const MAX_LEVELS: usize = 128;
/// The most bytes of a filter.
const MAX_FILTER_LEN: usize = 65_535;

/// Why a text is no topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It has no character, more than MQTT's strings can have, or the one that they cannot have.
    #[error("a topic filter has 1 to {MAX_FILTER_LEN} bytes, none of them zero")]
    Text,
    /// A wildcard is not a level by itself, or levels follow `#`.
    #[error("a wildcard in a topic filter is a whole level, and \"#\" the last one")]
    Wildcard,
    /// More levels than allowed.
    #[error("a topic filter has more than {MAX_LEVELS} levels")]
    TooDeep,
}

/// Checks a filter's text.
pub(crate) fn check(filter: &str) -> Result<(), FilterError> {
    if filter.is_empty() || filter.len() > MAX_FILTER_LEN || filter.contains('\0') {
        return Err(FilterError::Text);
    }
    let mut levels = filter.split(LEVEL_END).peekable();
    let mut count = 0;
    while let Some(level) = levels.next() {
        count += 1;
        let alone = level == ONE_LEVEL || (level == ALL_BELOW && levels.peek().is_none());
        if level.contains(['+', '#']) && !alone {
            return Err(FilterError::Wildcard);
        }
    }
    if count > MAX_LEVELS { Err(FilterError::TooDeep) } else { Ok(()) }
}

/// What filters stand for, by their levels.
#[derive(Debug)]
pub(crate) struct Trie<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    /// What follows a level of this name.
    named: HashMap<Box<str>, Node<T>, RandomState>,
    /// What follows any level.
    any: Option<Box<Node<T>>>,
    /// The filter that ends here.
    here: Option<T>,
    /// The filter that ends here with `#`.
    below: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { named: HashMap::default(), any: None, here: None, below: None }
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> Trie<T> {
    /// Adds a checked filter; what it stood for before, if it was there.
    pub(crate) fn insert(&mut self, filter: &str, value: T) -> Option<T> {
        debug_assert!(check(filter).is_ok());
        let mut node = &mut self.root;
        for level in filter.split(LEVEL_END) {
            node = match level {
                ALL_BELOW => return node.below.replace(value),
                ONE_LEVEL => node.any.get_or_insert_default(),
                name => node.named.entry(name.into()).or_default(),
            };
        }
        node.here.replace(value)
    }

    /// Takes a filter out, and the levels that no other has.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<T> {
        self.root.remove(Some(filter))
    }

    /// Calls `found` for each filter that matches the topic, once.
    pub(crate) fn each_match<'a>(&'a self, topic: &str, found: &mut impl FnMut(&'a T)) {
        let ours = topic.starts_with('$');
        self.root.each_match(Some(topic), !ours, found);
    }
}

/// The first level, and what follows it.
fn split(levels: &str) -> (&str, Option<&str>) {
    match levels.split_once(LEVEL_END) {
        Some((level, rest)) => (level, Some(rest)),
        None => (levels, None),
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.any.is_none() && self.here.is_none() && self.below.is_none()
    }

    fn remove(&mut self, levels: Option<&str>) -> Option<T> {
        let Some(levels) = levels else { return self.here.take() };
        match split(levels) {
            (ALL_BELOW, _) => self.below.take(),
            (ONE_LEVEL, rest) => {
                let node = self.any.as_mut()?;
                let removed = node.remove(rest);
                if node.is_empty() {
                    self.any = None;
                }
                removed
            }
            (name, rest) => {
                let node = self.named.get_mut(name)?;
                let removed = node.remove(rest);
                if node.is_empty() {
                    self.named.remove(name);
                }
                removed
            }
        }
    }

    fn each_match<'a>(&'a self, levels: Option<&str>, wildcards: bool, found: &mut impl FnMut(&'a T)) {
        if let Some(below) = self.below.as_ref().filter(|_| wildcards) {
            found(below);
        }
        let Some(levels) = levels else {
            if let Some(here) = &self.here {
                found(here);
            }
            return;
        };
        let (name, rest) = split(levels);
        if let Some(node) = self.named.get(name) {
            node.each_match(rest, true, found);
        }
        if let Some(node) = self.any.as_ref().filter(|_| wildcards) {
            node.each_match(rest, true, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(filters: &[&str], topic: &str) -> Vec<String> {
        let mut trie = Trie::default();
        for filter in filters {
            trie.insert(filter, (*filter).to_owned());
        }
        let mut found = Vec::new();
        trie.each_match(topic, &mut |filter: &String| found.push(filter.clone()));
        found.sort();
        found
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, yes, no) in [
            ("a/#", &["a", "a/", "a/b", "a/b/c"][..], &["b", "ab", "/a"][..]),
            ("a/+", &["a/b", "a/"], &["a", "a/b/c", "a/b/"]),
            ("+", &["a", "x y"], &["/x", "a/", "$a"]),
            ("/+", &["/x", "/"], &["x", "//"]),
            ("+/+", &["/x", "a/b", "/"], &["a", "$a/b"]),
            ("#", &["a", "/", "a/b"], &["$SYS", "$SYS/x"]),
            ("+/x", &["a/x", "/x"], &["$SYS/x"]),
            ("$SYS/#", &["$SYS/x", "$SYS"], &["a", "$SYSX"]),
            ("$SYS/+", &["$SYS/x"], &["$SYS"]),
            ("a/$x/+", &["a/$x/y"], &["a/x/y"]),
            ("a//b", &["a//b"], &["a/b"]),
            ("A", &["A"], &["a"]),
            ("ü/ß b", &["ü/ß b"], &["ü/ß"]),
        ] {
            yes.iter().for_each(|topic| assert_eq!(matches(&[filter], topic), [filter], "{topic}"));
            no.iter().for_each(|topic| assert!(matches(&[filter], topic).is_empty(), "{filter} {topic}"));
        }
        let all = ["#", "+/#", "+/+", "+/b", "a/#", "a/+", "a/b", "a/b/#"];
        assert_eq!(matches(&all, "a/b"), all);
    }

    #[test]
    fn a_text_that_is_no_filter_is_told_by_why() {
        for good in ["a", "/", "#", "+", "+/+", "a/#", "/#", "$share/g/a", &"/".repeat(MAX_LEVELS - 1)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", FilterError::Text),
            ("a\0", FilterError::Text),
            (&"x".repeat(65_536), FilterError::Text),
            ("a#", FilterError::Wildcard),
            ("#/a", FilterError::Wildcard),
            ("a/#/", FilterError::Wildcard),
            ("a+/b", FilterError::Wildcard),
            ("++", FilterError::Wildcard),
            (&"/".repeat(MAX_LEVELS), FilterError::TooDeep),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:.20}");
        }
    }

    /// The standard's words, for one filter and one topic.
    fn agrees(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (mut wanted, mut levels) = (filter.split('/'), topic.split('/'));
        loop {
            match (wanted.next(), levels.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => "[ab]", 1 => Just("+".to_owned()), 1 => Just(String::new()), 1 => Just("$".to_owned())];
        let filter = (proptest::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, all)| {
            levels.extend(all.then(|| "#".to_owned()));
            levels.join("/")
        });
        filter.prop_filter("a filter has a character", |filter| !filter.is_empty())
    }

    proptest! {
        #[test]
        fn the_trie_finds_what_filters_say_one_by_one(
            filters in proptest::collection::btree_set(filter(), 1..40),
            gone in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
            topics in proptest::collection::vec("[ab$]?(/[ab$]?){0,4}", 1..20),
        ) {
            let mut trie = Trie::default();
            let all: Vec<_> = filters.iter().cloned().collect();
            let mut left = filters;
            for filter in &all {
                prop_assert!(trie.insert(filter, filter.clone()).is_none());
            }
            for gone in gone {
                let gone = gone.get(&all);
                prop_assert_eq!(trie.remove(gone).is_some(), left.remove(gone));
            }
            for topic in topics {
                let mut found = Vec::new();
                trie.each_match(&topic, &mut |filter: &String| found.push(filter.clone()));
                found.sort();
                let expected: Vec<_> = left.iter().filter(|filter| agrees(filter, &topic)).cloned().collect();
                prop_assert_eq!(found, expected, "{}", topic);
            }
            left.iter().for_each(|filter| drop(trie.remove(filter)));
            prop_assert!(trie.root.is_empty(), "levels that no filter has are gone");
        }
    }
}
