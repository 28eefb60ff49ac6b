//! Which messages may be sent now: those of one sharding key one behind the other, all others at once.
//!
//! Always true: of a key, one message or one batch is on its way, and what comes next waits in the order of its coming.

use std::collections::{HashMap, VecDeque};

use ferromq_client::Message;
use ferromq_model::message::property;

/// The most messages of a key that travel together.
const MAX_BATCH: usize = 64;

/// A message, and the line that it was made of.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) line: u64,
    pub(super) message: Message,
}

impl Item {
    /// Its sharding key.
    pub(super) fn key(&self) -> Option<&str> {
        self.message.property(property::SHARDING_KEY)
    }
}

/// Keys of which something is on its way, and what waits behind it. The caller bounds how much that is.
#[derive(Debug)]
pub(super) struct Lanes {
    waiting: HashMap<String, VecDeque<Item>>,
    max_batch: usize,
}

impl Lanes {
    /// `batches`: whether messages may travel together at all.
    pub(super) fn new(batches: bool) -> Self {
        Self { waiting: HashMap::new(), max_batch: if batches { MAX_BATCH } else { 1 } }
    }

    /// Takes a message in, or gives it back if it may be sent now.
    pub(super) fn admit(&mut self, item: Item) -> Option<Item> {
        let Some(key) = item.key() else { return Some(item) };
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.push_back(item);
            return None;
        }
        self.waiting.insert(key.to_owned(), VecDeque::new());
        Some(item)
    }

    /// What was on its way of a key no longer is: returns what may be sent now.
    pub(super) fn next(&mut self, key: &str) -> Vec<Item> {
        let Some(waiting) = self.waiting.get_mut(key) else { return Vec::new() };
        let count = waiting.len().min(self.max_batch);
        let items: Vec<_> = waiting.drain(..count).collect();
        if items.is_empty() {
            self.waiting.remove(key);
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(line: u64, key: Option<&str>) -> Item {
        let message = Message::builder("T").body("x");
        let message = key.into_iter().fold(message, |message, key| message.sharding_key(key));
        Item { line, message: message.build().unwrap() }
    }

    fn lines(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.line).collect()
    }

    #[test]
    fn of_a_key_one_is_on_its_way_and_the_others_follow_together_in_their_order() {
        let mut lanes = Lanes::new(true);
        assert!(lanes.admit(item(1, Some("a"))).is_some());
        assert!(lanes.admit(item(2, Some("b"))).is_some());
        assert!(lanes.admit(item(3, None)).is_some());
        assert!(lanes.admit(item(4, Some("a"))).is_none());
        assert!(lanes.admit(item(5, Some("a"))).is_none());
        assert_eq!(lines(&lanes.next("b")), [0; 0]);
        assert_eq!(lines(&lanes.next("a")), [4, 5]);
        assert!(lanes.admit(item(6, Some("a"))).is_none());
        assert_eq!(lines(&lanes.next("a")), [6]);
        assert_eq!(lines(&lanes.next("a")), [0; 0]);
        assert!(lanes.waiting.is_empty(), "keys are forgotten");
    }

    #[test]
    fn messages_that_cannot_be_batched_follow_one_by_one() {
        let mut lanes = Lanes::new(false);
        let admitted = (1..=3).filter(|line| lanes.admit(item(*line, Some("a"))).is_some()).count();
        assert_eq!(admitted, 1);
        assert_eq!(lines(&lanes.next("a")), [2]);
        assert_eq!(lines(&lanes.next("a")), [3]);
    }
}
