//! A message's properties and payload, where its record has no room for all of its properties: those then lie in front of
//! the payload.
//!
//! ```text
//! properties  mqttHead=<n> | TAGS=… | what is kept | what the broker adds
//! body        n bytes of properties, in the same form | payload
//! ```
//! Always true:
//! * `mqttHead` is the first property, so that a message without it is told by a comparison;
//! * the marks that recovery trusts ([`names::MARKS`]) stay among the record's own properties, where brokers look after
//!   them: a head that somebody else made says nothing that its sender could not say without it;
//! * a body that does not begin with such a head has none.

use std::borrow::Cow;

use super::names;
use crate::message::{
    NAME_END, PROPERTY_END, SysFlag, find_property, iter_entries, property, push_property, without_properties,
};
use crate::record::Record;

/// Bytes of properties that a record is given: the rest of what it can have is for what brokers add.
const ROOM: usize = 30_000;

/// A message's properties and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The record's properties.
    pub properties: &'a str,
    /// Those in front of the payload; mostly none.
    pub head: &'a str,
    /// What is behind them: the body, as others see it.
    pub body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Of a record with these properties and this body, which is not compressed.
    #[must_use]
    #[inline]
    pub fn of(properties: &'a str, body: &'a [u8]) -> Self {
        let whole = Self { properties, head: "", body };
        match properties.strip_prefix(names::HEAD) {
            Some(rest) => Self::behind(rest, body).map_or(whole, |(head, body)| Self { head, body, ..whole }),
            None => whole,
        }
    }

    /// The same. What is compressed has no head.
    #[must_use]
    pub fn of_record(record: &Record<'a>) -> Self {
        if record.sys_flag.has(SysFlag::COMPRESSED) {
            return Self { properties: record.properties, head: "", body: record.body };
        }
        Self::of(record.properties, record.body)
    }

    fn behind(rest: &'a str, body: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let (len, _) = rest.strip_prefix(NAME_END as char)?.split_once(PROPERTY_END as char)?;
        let (head, payload) = body.split_at_checked(len.parse().ok()?)?;
        Some((std::str::from_utf8(head).ok()?, payload))
    }

    /// The value of a property, as [`find_property`] finds it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a str> {
        let found = find_property(self.properties, name);
        if self.head.is_empty() { found } else { found.or_else(|| find_property(self.head, name)) }
    }

    /// Every entry that has a separator, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = iter_entries(self.properties).filter(|(name, _)| *name != names::HEAD);
        own.chain(iter_entries(self.head))
    }

    /// All properties as one string.
    #[must_use]
    pub fn all(&self) -> Cow<'a, str> {
        if self.head.is_empty() {
            return Cow::Borrowed(self.properties);
        }
        let mut all = without_properties(self.properties, &[names::HEAD]);
        all.push_str(self.head);
        Cow::Owned(all)
    }
}

/// The properties and the body of a record for a message whose properties a record has no room for; `None` if it has.
#[must_use]
pub fn spilled(properties: &str, body: &[u8]) -> Option<(String, Vec<u8>)> {
    if properties.len() <= ROOM {
        return None;
    }
    let (mut kept, mut head) = (String::new(), String::with_capacity(properties.len() + body.len()));
    for (name, value) in iter_entries(properties) {
        let stays = name == property::TAGS || names::MARKS.contains(&name);
        push_property(if stays { &mut kept } else { &mut head }, name, value);
    }
    let mut own = String::new();
    push_property(&mut own, names::HEAD, &head.len().to_string());
    own.push_str(&kept);
    let mut whole = head.into_bytes();
    whole.extend_from_slice(body);
    Some((own, whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(pairs: &[(&str, &str)]) -> String {
        let mut properties = String::new();
        pairs.iter().for_each(|(name, value)| push_property(&mut properties, name, value));
        properties
    }

    #[test]
    fn properties_that_a_record_has_no_room_for_lie_in_front_of_the_payload() {
        let long = "t".repeat(65_535);
        let pairs = [
            (property::ORIGIN_MQTT_TOPIC, long.as_str()),
            (property::TAGS, "A"),
            (names::PACKET_ID, "7"),
            ("b", "1"),
            ("a", "2"),
        ];
        let (properties, body) = spilled(&string(&pairs), b"payload").unwrap();
        assert!(properties.len() < 100, "{properties}");
        let parts = Parts::of(&properties, &body);
        assert_eq!(parts.body, b"payload");
        assert_eq!(
            find_property(parts.properties, names::PACKET_ID),
            Some("7"),
            "where brokers look after it"
        );
        for (name, value) in pairs {
            assert_eq!(parts.find(name), Some(value));
        }
        let expected = ["TAGS", "mqttPacketId", "originMqttTopic", "b", "a"];
        assert!(parts.entries().map(|(name, _)| name).eq(expected));
        assert!(iter_entries(&parts.all()).eq(parts.entries()));
    }

    #[test]
    fn most_messages_have_no_head() {
        let properties = string(&[("a", "b")]);
        assert_eq!(spilled(&properties, b"x"), None);
        assert_eq!(Parts::of(&properties, b"x"), Parts { properties: &properties, head: "", body: b"x" });
    }

    proptest! {
        #[test]
        fn a_head_that_is_none_leaves_the_body_whole(len in "[0-9a-]{0,6}", end in "[\u{1}\u{2}x]{0,2}", body in any::<[u8; 6]>()) {
            let properties = format!("{}\u{1}{len}{end}", names::HEAD);
            let parts = Parts::of(&properties, &body);
            prop_assert_eq!([parts.head.as_bytes(), parts.body].concat(), body);
        }
    }
}
