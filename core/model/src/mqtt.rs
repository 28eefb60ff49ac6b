//! How MQTT's topics, filters and properties are named on RocketMQ's side. Names only: who matches what is the broker's
//! matter.
//!
//! ```text
//! MQTT topic    topic it is stored under    filter      its light queue
//! a/b           a                           a/b         %LMQ%a%b
//! /a            MQTT                        a/+/#       %LMQ%a%|2b%|23
//! $x, ä, a b/c  MQTT                        a%b         %LMQ%a|25b
//! ```
//! The catch-all topic holds whatever has no first level that can be a topic's name. A light queue's name is its filter's
//! alone; one that would be too long is replaced by its digest. Both are part of the data: they never change.

pub mod names;
mod parts;

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

pub use self::parts::{Parts, spilled};
use crate::message::{find_property, property};
use crate::name::{LMQ_PREFIX, MAX_TOPIC_LEN, TopicName};

/// The topic of MQTT messages whose own first level cannot be a topic's name.
pub const CATCH_ALL_TOPIC: &str = "MQTT";
/// Stands for the level separator: no topic name can have it.
const LEVEL_END: u8 = b'%';
/// The first level of filters of clients' own messages.
const OWN_FILTERS: &str = "$p2p";
/// Begins a byte in hex. Two of it begin a digest, which no escape looks like.
const ESCAPE: char = '|';

/// The light queue of a topic filter. No two filters have the same.
#[must_use]
pub fn light_queue_of(filter: &str) -> TopicName {
    let mut name = String::with_capacity(LMQ_PREFIX.len() + filter.len());
    name.push_str(LMQ_PREFIX);
    for &byte in filter.as_bytes() {
        match byte {
            b'/' => name.push(LEVEL_END as char),
            b if b.is_ascii_alphanumeric() || b == b'_' || b == b'-' => name.push(b as char),
            other => push_hex(&mut name, &[ESCAPE], other),
        }
        if name.len() > MAX_TOPIC_LEN {
            name.truncate(LMQ_PREFIX.len());
            name.extend([ESCAPE, ESCAPE]);
            Sha256::digest(filter).into_iter().for_each(|byte| push_hex(&mut name, &[], byte));
            break;
        }
    }
    TopicName::new(&name).expect("only characters that names have, and no more than they have")
}

fn push_hex(name: &mut String, before: &[char], byte: u8) {
    name.extend(before);
    let _ = write!(name, "{byte:02x}");
}

/// The filter that [`light_queue_of`] named, or a RocketMQ client meant; `None` for a digest, and what is no such name.
#[must_use]
pub fn filter_of(light_queue: &str) -> Option<String> {
    let mut rest = light_queue.strip_prefix(LMQ_PREFIX)?.bytes();
    let mut filter = Vec::with_capacity(rest.len());
    while let Some(byte) = rest.next() {
        filter.push(match byte {
            LEVEL_END => b'/',
            b if b == ESCAPE as u8 => {
                let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16));
                (digit()? << 4 | digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(filter).ok().filter(|filter| !filter.is_empty())
}

/// Whether messages of a topic, which is none of the broker's own, are for MQTT's subscribers as well: traces and the like
/// are not.
#[must_use]
pub fn is_published(topic: &str) -> bool {
    !topic.starts_with("RMQ_SYS_")
}

/// The topic that messages of an MQTT topic are stored under.
#[must_use]
pub fn stored_under(mqtt_topic: &str) -> TopicName {
    let first = mqtt_topic.split('/').next().unwrap_or_default();
    let name = TopicName::new(first).ok();
    let plain = name.filter(|name| !name.is_system() && is_published(first) && !first.starts_with('%'));
    plain.unwrap_or_else(|| TopicName::new(CATCH_ALL_TOPIC).expect("a name"))
}

/// The MQTT topic of a message, stored or about to be, that has this topic and these parts: what its sender says, or the
/// first light queue that it names without a wildcard, or its topic's own name.
#[must_use]
pub fn address<'a>(topic: &'a str, parts: &Parts<'a>) -> Cow<'a, str> {
    if let Some(origin) = parts.find(property::ORIGIN_MQTT_TOPIC) {
        return Cow::Borrowed(origin);
    }
    if let Some(aimed_at) = aimed_at(parts.properties) {
        return Cow::Owned(aimed_at);
    }
    match filter_of(topic) {
        Some(light) => Cow::Owned(light),
        None => Cow::Borrowed(topic),
    }
}

/// What a RocketMQ producer aims at that names light queues by itself.
fn aimed_at(properties: &str) -> Option<String> {
    let names = find_property(properties, property::INNER_MULTI_DISPATCH)?;
    // With places the list is what a broker made of an earlier message, which somebody passes on.
    if find_property(properties, property::INNER_MULTI_QUEUE_OFFSET).is_some() {
        return None;
    }
    let mut aimed_at = names.split(',').filter_map(|name| filter_of(name.trim()));
    let mut topic = aimed_at.find(|topic| !topic.contains(['+', '#', '\0']))?;
    // Apache's gateway ends each topic of several levels with a separator, which its clients never write.
    if topic.len() > 1 && topic.ends_with('/') {
        topic.pop();
    }
    Some(topic)
}

/// Whose alone the messages of a topic are: `{first}/p2p/{client}`, whatever the first level is.
#[must_use]
pub fn client_of(mqtt_topic: &str) -> Option<&str> {
    let (_, rest) = mqtt_topic.split_once('/')?;
    rest.strip_prefix("p2p/").filter(|client| !client.is_empty())
}

/// The filter that has the messages that are a client's alone. No wildcard matches its first level, and no client may
/// subscribe to it by itself. `None` for a client whose identifier no topic can hold.
#[must_use]
pub fn own_filter_of(client: &str) -> Option<String> {
    let is_sound = !client.is_empty() && !client.contains(['+', '#', '\0']);
    is_sound.then(|| format!("{OWN_FILTERS}/{client}"))
}

/// Whether a filter, or a topic, is one of those, or would match one.
#[must_use]
pub fn is_own_filter(filter: &str) -> bool {
    filter.split('/').next() == Some(OWN_FILTERS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::push_property;

    #[test]
    fn a_topic_is_one_clients_alone_by_its_second_level_and_only_filters_that_say_so_have_it() {
        assert_eq!(client_of("plant/p2p/c"), Some("c"));
        assert_eq!(client_of("/p2p/c/d"), Some("c/d"));
        for topic in ["p2p/c", "plant/p2p", "plant/p2p/", "plant/x/p2p/c", "plant/P2P/c"] {
            assert_eq!(client_of(topic), None, "{topic}");
        }
        assert_eq!(own_filter_of("c/d").as_deref(), Some("$p2p/c/d"));
        for client in ["", "+", "a/#"] {
            assert_eq!(own_filter_of(client), None, "{client}");
        }
        assert!(is_own_filter("$p2p/c") && is_own_filter("$p2p") && is_own_filter("$p2p/+"));
        assert!(!is_own_filter("$p2px/c") && !is_own_filter("p2p/c"));
    }

    #[test]
    fn light_queues_are_named_as_documented() {
        for (filter, name) in [
            ("a/b", "%LMQ%a%b"),
            ("a", "%LMQ%a"),
            ("a/", "%LMQ%a%"),
            ("/a//b", "%LMQ%%a%%b"),
            ("a/+/#", "%LMQ%a%|2b%|23"),
            ("a%b", "%LMQ%a|25b"),
            ("a|b", "%LMQ%a|7cb"),
            ("$SYS/ü b", "%LMQ%|24SYS%|c3|bc|20b"),
        ] {
            assert_eq!(light_queue_of(filter).as_str(), name);
            assert_eq!(filter_of(name).as_deref(), Some(filter));
        }
        let long = light_queue_of(&"x".repeat(123));
        assert_eq!(
            long.as_str(),
            // sha256sum's answer.
            "%LMQ%||5bc55890493627a065efbb2990e2a34a92efeb1429ab3f3d7d1c2246f2114e23"
        );
        assert_eq!(light_queue_of(&"x".repeat(122)).as_str().len(), MAX_TOPIC_LEN);
        assert_eq!(filter_of(long.as_str()), None);
    }

    #[test]
    fn topics_that_can_be_a_topics_name_are_stored_under_it() {
        for (topic, under) in [
            ("a/b", "a"),
            ("a", "a"),
            ("a|b-C_1/", "a|b-C_1"),
            ("MQTT/x", "MQTT"),
            ("/a", "MQTT"),
            ("$x/y", "MQTT"),
            ("a b/c", "MQTT"),
            ("ä", "MQTT"),
            ("%RETRY%g/x", "MQTT"),
            ("%LMQ%g", "MQTT"),
            ("a%b", "a%b"),
            ("SCHEDULE_TOPIC_XXXX/0", "MQTT"),
            ("rmq_sys_x", "MQTT"),
            ("RMQ_SYS_TRACE_TOPIC", "MQTT"),
            ("TBW102/x", "MQTT"),
            ("..", "MQTT"),
            (&"x".repeat(128), "MQTT"),
        ] {
            assert_eq!(stored_under(topic).as_str(), under, "{topic}");
        }
    }

    #[test]
    fn a_message_says_where_it_was_sent_to() {
        let with = |pairs: &[(&str, &str)]| {
            let mut properties = String::new();
            pairs.iter().for_each(|(name, value)| push_property(&mut properties, name, value));
            properties
        };
        let names = property::INNER_MULTI_DISPATCH;
        for (topic, properties, expected) in [
            ("a", with(&[]), "a"),
            ("a", with(&[(property::ORIGIN_MQTT_TOPIC, "a/b/"), (names, "%LMQ%x%y")]), "a/b/"),
            ("a", with(&[(names, "%LMQ%a%b%")]), "a/b"),
            ("a", with(&[(names, "%LMQ%a%+,%LMQ%a%|23,%LMQ%a%c,%LMQ%a%d")]), "a/c"),
            ("a", with(&[(names, "%LMQ%a%+")]), "a"),
            ("a", with(&[(names, "%LMQ%b"), (property::INNER_MULTI_QUEUE_OFFSET, "7")]), "a"),
            ("%LMQ%a%b", with(&[]), "a/b"),
        ] {
            assert_eq!(address(topic, &Parts::of(&properties, b"")), expected, "{topic} {properties:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_filters_share_a_light_queue(one in "[a-b/%|+#0-9$ü]{0,40}", other in "[a-b/%|+#0-9$ü]{0,40}") {
            let names = [&one, &other].map(|filter| light_queue_of(filter));
            prop_assert_eq!(names[0] == names[1], one == other);
        }

        #[test]
        fn a_light_queue_says_whose_it_is_or_is_a_digest(filter in "\\PC{1,60}") {
            let name = light_queue_of(&filter);
            let digest = name.as_str().starts_with("%LMQ%||");
            prop_assert_eq!(filter_of(name.as_str()), (!digest).then_some(filter));
        }

        #[test]
        fn any_text_is_taken_for_a_light_queue_without_harm(name in "%LMQ%[%|a-f0-9_-]{0,40}") {
            if let Some(filter) = filter_of(&name) {
                prop_assert!(!filter.is_empty());
            }
        }
    }
}
