//! The retained message of each topic, all of them in memory.
//!
//! Topics are kept in the order of their levels: `a`, `a/b`, `a/b/c`, `a-b`. What a filter matches is found by jumping in
//! that order from one candidate to the next, so that it costs as much as it matches, however many topics there are and
//! however many levels they have.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use ferromq_model::{PhysicalOffset, Timestamp};

use super::values::Retained;

/// How many topics' removals are remembered before those that no longer matter are looked for.
const CLEARED: usize = 1024;

/// How much may be retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of topics, properties and payloads.
    pub bytes: usize,
}

/// Why a message is not retained. The topic has no retained message then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more than {} messages and {} bytes are retained", .0.messages, .0.bytes)]
pub struct RetainError(pub RetainLimits);

/// A topic in the order of its levels: `/` comes before every other character.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByLevel(Arc<str>);

impl Ord for ByLevel {
    fn cmp(&self, other: &Self) -> Ordering {
        // No topic has a zero byte.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        self.0.as_bytes().iter().map(rank).cmp(other.0.as_bytes().iter().map(rank))
    }
}

impl PartialOrd for ByLevel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All retained messages.
#[derive(Debug)]
pub(super) struct RetainedMessages {
    topics: BTreeMap<ByLevel, Arc<Retained>>,
    expiries: BTreeSet<(Timestamp, ByLevel)>,
    bytes: usize,
    limits: RetainLimits,
    /// Where topics lost their messages, while messages from before may still come.
    cleared: HashMap<Arc<str>, PhysicalOffset>,
}

/// What became of a message that was to be retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The topic's message is this one now.
    Kept,
    /// A later one had come already.
    Late,
    /// There is no room, so that the topic has none.
    NoRoom,
}

fn size(topic: &str, message: &Retained) -> usize {
    topic.len() + message.properties.len() + message.payload.len()
}

impl RetainedMessages {
    pub(super) fn new(limits: RetainLimits) -> Self {
        Self { topics: BTreeMap::new(), expiries: BTreeSet::new(), bytes: 0, limits, cleared: HashMap::new() }
    }

    pub(super) fn limits(&self) -> RetainLimits {
        self.limits
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Replaces the message of a topic, unless that one came later. `certain` is where nothing from before can come any
    /// more.
    pub(super) fn put(
        &mut self,
        topic: &Arc<str>,
        message: Arc<Retained>,
        certain: PhysicalOffset,
    ) -> Outcome {
        if self.is_late(topic, message.at) {
            return Outcome::Late;
        }
        self.remove(topic);
        let size = size(topic, &message);
        if self.topics.len() >= self.limits.messages || self.bytes.saturating_add(size) > self.limits.bytes {
            self.note_cleared(topic, message.at, certain);
            return Outcome::NoRoom;
        }
        self.cleared.remove(topic);
        self.bytes += size;
        let key = ByLevel(Arc::clone(topic));
        self.expiries.extend(message.expires.map(|at| (at, key.clone())));
        self.topics.insert(key, message);
        Outcome::Kept
    }

    /// Removes the message of a topic by one that lies at `at`, unless that one came later.
    pub(super) fn clear(&mut self, topic: &Arc<str>, at: PhysicalOffset, certain: PhysicalOffset) -> bool {
        if self.is_late(topic, at) {
            return false;
        }
        self.note_cleared(topic, at, certain);
        self.remove(topic);
        true
    }

    fn note_cleared(&mut self, topic: &Arc<str>, at: PhysicalOffset, certain: PhysicalOffset) {
        if self.cleared.len() >= CLEARED {
            self.cleared.retain(|_, at| *at >= certain);
        }
        self.cleared.insert(Arc::clone(topic), at);
    }

    fn is_late(&self, topic: &Arc<str>, at: PhysicalOffset) -> bool {
        let kept = self.topics.get(&ByLevel(Arc::clone(topic))).map(|message| message.at);
        kept.max(self.cleared.get(topic).copied()).is_some_and(|newest| newest > at)
    }

    fn remove(&mut self, topic: &Arc<str>) -> Option<Arc<Retained>> {
        let (key, message) = self.topics.remove_entry(&ByLevel(Arc::clone(topic)))?;
        self.bytes -= size(topic, &message);
        if let Some(at) = message.expires {
            self.expiries.remove(&(at, key));
        }
        Some(message)
    }

    /// Takes up to `limit` topics out whose messages have expired.
    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> Vec<Arc<str>> {
        let due = self.expiries.iter().take_while(|(at, _)| *at <= now).take(limit);
        let expired: Vec<_> = due.map(|(_, topic)| Arc::clone(&topic.0)).collect();
        for topic in &expired {
            self.remove(topic);
        }
        expired
    }

    /// The message of one topic.
    pub(super) fn of(&self, topic: &Arc<str>, now: Timestamp) -> Option<Arc<Retained>> {
        let message = self.topics.get(&ByLevel(Arc::clone(topic)))?;
        is_current(message, now).then(|| Arc::clone(message))
    }

    /// Up to `max` messages of topics that begin with `prefix`, behind the topic `after`, in the order of their levels.
    pub(super) fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        now: Timestamp,
        max: usize,
    ) -> Vec<(Arc<str>, Arc<Retained>)> {
        let first = ByLevel(prefix.into());
        let from = match after.map(|after| ByLevel(after.into())) {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        // In this order, too, those that begin alike lie together.
        let topics = self.topics.range((from, Bound::Unbounded));
        let alike = topics.take_while(|(topic, _)| topic.0.starts_with(prefix));
        let current = alike.filter(|(_, message)| is_current(message, now));
        current.take(max).map(|(topic, message)| (Arc::clone(&topic.0), Arc::clone(message))).collect()
    }

    /// The messages of all topics that a filter matches, in the order of their levels.
    pub(super) fn matching(&self, filter: &str, now: Timestamp) -> Vec<(Arc<str>, Arc<Retained>)> {
        let mut found = Vec::new();
        let mut from = Bound::Included(ByLevel("".into()));
        while let Some((topic, message)) = self.topics.range((from, Bound::Unbounded)).next() {
            from = match judge(filter, &topic.0) {
                Judged::Matches => {
                    if is_current(message, now) {
                        found.push((Arc::clone(&topic.0), Arc::clone(message)));
                    }
                    Bound::Excluded(topic.clone())
                }
                Judged::Next => Bound::Excluded(topic.clone()),
                Judged::From(next) => Bound::Included(ByLevel(next.into())),
                Judged::Done => break,
            };
        }
        found
    }
}

fn is_current(message: &Retained, now: Timestamp) -> bool {
    message.expires.is_none_or(|at| at > now)
}

/// What a topic says about where the next one that matches can be.
#[derive(Debug, PartialEq, Eq)]
enum Judged<'a> {
    Matches,
    /// Behind this one.
    Next,
    /// Not before this.
    From(Cow<'a, str>),
    /// Nowhere behind this one.
    Done,
}

/// Compares a topic with a filter level by level.
fn judge<'a>(filter: &'a str, topic: &str) -> Judged<'a> {
    // What comes behind the topic that ends here, and behind all that it is a part of.
    let behind = |end: usize| Judged::From(format!("{}\u{1}", &topic[..end]).into());
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Judged::From("%".into());
    }
    // Where the last level ends that the filter leaves open: what comes behind that may match.
    let mut open = None;
    let mut rest = Some(topic);
    let mut at = 0;
    for wanted in filter.split('/') {
        if wanted == "#" {
            return Judged::Matches;
        }
        let Some(levels) = rest else { return Judged::Next };
        let level = levels.split('/').next().unwrap_or(levels);
        let end = at + level.len();
        rest = topic.get(end + 1..);
        if wanted == "+" {
            open = Some(end);
        } else {
            match level.cmp(wanted) {
                Ordering::Equal => {}
                Ordering::Less => return Judged::From(format!("{}{wanted}", &topic[..at]).into()),
                Ordering::Greater => return open.map_or(Judged::Done, behind),
            }
        }
        at = end + 1;
    }
    match rest {
        None => Judged::Matches,
        // All that the filter names is a part of the topic.
        Some(_) => behind(at - 1),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RetainLimits = RetainLimits { messages: 100, bytes: 100_000 };
    const START: PhysicalOffset = PhysicalOffset::ZERO;

    #[test]
    fn a_page_has_the_topics_that_begin_alike_and_goes_on_behind_its_last() {
        let mut all = RetainedMessages::new(LIMITS);
        for topic in ["a", "a/b", "a/c", "ab", "a-", "b"] {
            all.put(&topic.into(), message(1), START);
        }
        let page = |prefix, after, max| {
            let found = all.page(prefix, after, Timestamp(2), max).into_iter();
            found.map(|(topic, _)| topic.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(page("a", None, 3), ["a", "a/b", "a/c"]);
        assert_eq!(page("a", Some("a/c"), 3), ["a-", "ab"]);
        assert_eq!(page("a/", Some("Z"), 9), ["a/b", "a/c"]);
        assert_eq!(page("", None, 9).len(), 6);
        assert!(page("c", None, 9).is_empty());
    }

    fn message(at: u64) -> Arc<Retained> {
        Arc::new(Retained {
            at: PhysicalOffset(at),
            stored: Timestamp(1),
            expires: None,
            qos: 1,
            properties: "".into(),
            payload: Bytes::from_static(b"x"),
        })
    }

    fn retained(topics: &[&str]) -> RetainedMessages {
        let mut all = RetainedMessages::new(LIMITS);
        for (at, topic) in topics.iter().enumerate() {
            assert_eq!(all.put(&(*topic).into(), message(at as u64), START), Outcome::Kept);
        }
        all
    }

    fn matches(all: &RetainedMessages, filter: &str) -> Vec<String> {
        all.matching(filter, Timestamp(0)).iter().map(|(topic, _)| topic.to_string()).collect()
    }

    #[test]
    fn filters_find_the_topics_that_they_match() {
        let all = retained(&[
            "a",
            "a/b",
            "a/b/c",
            "a/",
            "a-b",
            "/a",
            "/",
            "$SYS/a",
            "$SYS",
            "b/b",
            "a/\u{1}/c",
            "ä/b",
        ]);
        assert_eq!(matches(&all, "a"), ["a"]);
        assert_eq!(matches(&all, "a/#"), ["a", "a/", "a/\u{1}/c", "a/b", "a/b/c"]);
        assert_eq!(matches(&all, "a/+"), ["a/", "a/b"]);
        assert_eq!(matches(&all, "+/b"), ["a/b", "b/b", "ä/b"]);
        assert_eq!(matches(&all, "+"), ["a", "a-b"]);
        assert_eq!(matches(&all, "+/+"), ["/", "/a", "a/", "a/b", "b/b", "ä/b"]);
        assert_eq!(matches(&all, "/+"), ["/", "/a"]);
        assert_eq!(matches(&all, "+/+/c"), ["a/\u{1}/c", "a/b/c"]);
        assert_eq!(matches(&all, "$SYS/#"), ["$SYS", "$SYS/a"]);
        assert_eq!(matches(&all, "$SYS/+"), ["$SYS/a"]);
        assert_eq!(matches(&all, "#").len(), 10, "all but those of $SYS");
        assert_eq!(matches(&all, "a/b/c/d"), [""; 0]);
        assert_eq!(matches(&RetainedMessages::new(LIMITS), "#"), [""; 0]);
    }

    #[test]
    fn a_topic_of_very_many_levels_is_found_without_deep_calls() {
        let deep = "/".repeat(65_535);
        let all = retained(&[&deep]);
        assert_eq!(matches(&all, "#"), [deep.as_str()]);
        assert_eq!(matches(&all, &format!("{}#", "+/".repeat(60_000))), [deep.as_str()]);
    }

    #[test]
    fn the_message_that_lies_highest_wins_in_whatever_order_they_come() {
        let mut all = RetainedMessages::new(LIMITS);
        let topic: Arc<str> = "t".into();
        assert_eq!(all.put(&topic, message(5), START), Outcome::Kept);
        assert_eq!(all.put(&topic, message(4), START), Outcome::Late);
        assert!(!all.clear(&topic, PhysicalOffset(3), START));
        assert!(all.clear(&topic, PhysicalOffset(7), START));
        assert_eq!(all.put(&topic, message(6), START), Outcome::Late);
        assert_eq!((all.len(), all.bytes()), (0, 0));
        assert_eq!(all.put(&topic, message(8), START), Outcome::Kept);
    }

    #[test]
    fn what_has_no_room_also_ends_what_it_was_to_replace() {
        let mut all = RetainedMessages::new(RetainLimits { messages: 2, bytes: 100 });
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        assert_eq!(all.put(&one, message(1), START), Outcome::Kept);
        assert_eq!(all.put(&two, message(2), START), Outcome::Kept);
        assert_eq!(all.put(&"three".into(), message(3), START), Outcome::NoRoom);
        assert_eq!(all.put(&two, message(4), START), Outcome::Kept, "in the place of the one before");
        let large = Arc::new(Retained { payload: Bytes::from(vec![0; 100]), ..(*message(5)).clone() });
        assert_eq!(all.put(&one, large, START), Outcome::NoRoom);
        assert_eq!(matches(&all, "#"), ["two"]);
        assert_eq!(all.put(&one, message(4), START), Outcome::Late, "nor does an older one come back");
    }

    #[test]
    fn an_expired_message_is_not_found_and_can_be_taken_out() {
        let mut all = RetainedMessages::new(LIMITS);
        let topic: Arc<str> = "t".into();
        let expiring =
            |at, expires| Arc::new(Retained { expires: Some(Timestamp(expires)), ..(*message(at)).clone() });
        assert_eq!(all.put(&topic, expiring(1, 10), START), Outcome::Kept);
        assert!(all.of(&topic, Timestamp(9)).is_some());
        assert!(all.of(&topic, Timestamp(10)).is_none() && all.matching("#", Timestamp(10)).is_empty());
        assert_eq!(all.put(&topic, expiring(2, 20), START), Outcome::Kept);
        assert_eq!(all.expire(Timestamp(15), 9), []);
        assert_eq!(all.expire(Timestamp(20), 9), [topic]);
        assert_eq!((all.len(), all.bytes()), (0, 0));
    }

    /// The rules as they are written, level by level.
    fn by_the_book(filter: &str, topic: &str) -> bool {
        fn levels(filter: &[&str], topic: &[&str]) -> bool {
            match (filter, topic) {
                (["#"], _) | ([], []) => true,
                (["+", filter @ ..], [_, topic @ ..]) => levels(filter, topic),
                ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && levels(filter, topic),
                _ => false,
            }
        }
        !(topic.starts_with('$') && filter.starts_with(['+', '#']))
            && levels(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn jumping_finds_what_looking_at_every_topic_finds(
            topics in proptest::collection::btree_set("[ab$\u{1} -]{0,2}(/[ab-]{0,2}){0,3}", 1..60),
            levels in proptest::collection::vec("[+]|[ab$-]{0,2}", 1..4),
            deep in any::<bool>(),
        ) {
            let filter = levels.join("/") + if deep { "/#" } else { "" };
            let topics: Vec<_> = topics.iter().filter(|topic| !topic.is_empty()).map(String::as_str).collect();
            let all = retained(&topics);
            let mut found = matches(&all, &filter);
            found.sort();
            let expected: Vec<_> =
                topics.iter().filter(|topic| by_the_book(&filter, topic)).map(|topic| topic.to_string()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
