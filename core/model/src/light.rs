//! Light queues: one stored message that is in further queues beside its own, without being stored again.
//!
//! A sender names them in the property `INNER_MULTI_DISPATCH`, with commas between; the broker adds
//! `INNER_MULTI_QUEUE_OFFSET` with the place that the message got in each, in the same order. Each is the only queue, 0,
//! of a topic `%LMQ%<name>` that needs no settings.
//!
//! Those places are known only when the message is appended, and a record's length before that. So room is reserved at
//! the end of the property string, and what the numbers do not need of it is filled with separators, which every reader
//! passes over.

use crate::message::{NAME_END, PROPERTY_END, property};
use crate::name::{DLQ_PREFIX, LMQ_PREFIX, OVERFLOW_TOPIC, RETRY_PREFIX, TopicName, is_system};
use crate::record::Record;
use crate::{QueueId, QueueOffset};

/// The id of a light queue within its topic.
pub const LIGHT_QUEUE: QueueId = QueueId(0);
/// Further queues that one message may be in: each takes a moment of the append lock.
pub const MAX_FURTHER_QUEUES: usize = 256;
/// Digits reserved for each place.
const DIGITS: usize = 16;
const SEPARATOR: char = ',';
/// In place of a place.
const NO_PLACE: &[u8] = b"-1";

/// Why a list of further queues makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A name that cannot be a light queue's.
    #[error("INNER_MULTI_DISPATCH names \"{0}\", which is no name of a light queue (%LMQ%...)")]
    Name(String),
    /// It is too long.
    #[error("INNER_MULTI_DISPATCH names more than {MAX_FURTHER_QUEUES} queues")]
    TooMany,
}

/// Whether a topic is a light queue's.
#[must_use]
pub fn is_light(topic: &str) -> bool {
    topic.starts_with(LMQ_PREFIX)
}

/// Whether messages of this topic are put into further queues: those that wait or are retried are not, because they
/// were, or will be, under the topic that they are meant for.
#[must_use]
pub fn is_dispatched(topic: &str) -> bool {
    topic == OVERFLOW_TOPIC
        || !(topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX) || is_system(topic))
}

/// The topics of the queues that a value of `INNER_MULTI_DISPATCH` names.
///
/// # Errors
/// [`ListError`].
pub fn parse_queues(value: &str) -> Result<Vec<TopicName>, ListError> {
    let names: Vec<&str> = value.trim_end_matches(SEPARATOR).split(SEPARATOR).map(str::trim).collect();
    if names.len() > MAX_FURTHER_QUEUES {
        return Err(ListError::TooMany);
    }
    let topic = |name: &str| {
        let topic = TopicName::new(name).ok().filter(|_| is_light(name));
        topic.ok_or_else(|| ListError::Name(name.chars().take(128).collect()))
    };
    names.into_iter().map(topic).collect()
}

/// The further queues of a stored message and its place in each, from the values of the two properties. What makes no
/// sense is left out: a reader of the log cannot ask back.
pub fn stored_queues<'a>(queues: &'a str, offsets: &'a str) -> impl Iterator<Item = (&'a str, QueueOffset)> {
    // One list shorter than the other says nothing about either.
    let agree = queues.split(SEPARATOR).count() == offsets.split(SEPARATOR).count();
    let pairs = queues.split(SEPARATOR).zip(offsets.split(SEPARATOR)).filter(move |_| agree);
    pairs.take(MAX_FURTHER_QUEUES).filter_map(|(name, offset)| {
        let name = name.trim();
        Some((name, QueueOffset(offset.parse().ok()?))).filter(|_| is_light(name))
    })
}

/// The message of a record that stands in a light queue: the record itself, or, where it is one of [`OVERFLOW_TOPIC`], the
/// one in its body, with the position and the store time of the record around it. `None` if there is no whole one.
#[must_use]
pub fn original<'a>(record: &Record<'a>) -> Option<Record<'a>> {
    if record.topic != OVERFLOW_TOPIC {
        return Some(*record);
    }
    let inner = Record::decode(record.body).ok()?;
    Some(Record { physical_offset: record.physical_offset, stored: record.stored, ..inner })
}

/// Appends the property with room for `count` places.
pub fn reserve(properties: &mut String, count: usize) {
    properties.push_str(property::INNER_MULTI_QUEUE_OFFSET);
    properties.push(NAME_END as char);
    properties.extend(std::iter::repeat_n('0', reserved_len(count) - 1));
    properties.push(PROPERTY_END as char);
}

/// Bytes of the value that [`reserve`] leaves room for, with the separator behind it.
#[must_use]
pub const fn reserved_len(count: usize) -> usize {
    count * (DIGITS + 1)
}

/// Writes the places into the room that [`reserve`] left, which is `room` to its last byte. A queue that was deleted
/// meanwhile has none, and gets what no place is.
///
/// # Panics
/// If `room` was not reserved for so many places.
pub fn write_places(room: &mut [u8], places: impl Iterator<Item = Option<QueueOffset>>) {
    let mut at = 0;
    for place in places {
        if at > 0 {
            room[at] = SEPARATOR as u8;
            at += 1;
        }
        let Some(place) = place else {
            room[at..at + NO_PLACE.len()].copy_from_slice(NO_PLACE);
            at += NO_PLACE.len();
            continue;
        };
        let first = at;
        let mut rest = place.0;
        loop {
            room[at] = b'0' + (rest % 10) as u8;
            at += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        room[first..at].reverse();
    }
    room[at..].fill(PROPERTY_END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{find_property, iter_properties, push_property};

    #[test]
    fn places_are_written_where_room_was_left_and_read_back() {
        let mut properties = String::new();
        push_property(&mut properties, property::INNER_MULTI_DISPATCH, "%LMQ%a,%LMQ%b,%LMQ%gone,%LMQ%c");
        reserve(&mut properties, 4);
        let mut bytes = properties.into_bytes();
        let room = bytes.len() - reserved_len(4)..;
        let places = [0, 1_234, (1 << 50) - 1].map(QueueOffset);
        let [a, b, c] = places.map(Some);
        write_places(&mut bytes[room], [a, b, None, c].into_iter());
        let properties = String::from_utf8(bytes).unwrap();
        let find = |name| find_property(&properties, name).unwrap();
        assert_eq!(find(property::INNER_MULTI_QUEUE_OFFSET), "0,1234,-1,1125899906842623");
        let stored: Vec<_> =
            stored_queues(find(property::INNER_MULTI_DISPATCH), find(property::INNER_MULTI_QUEUE_OFFSET))
                .collect();
        assert_eq!(stored, [("%LMQ%a", places[0]), ("%LMQ%b", places[1]), ("%LMQ%c", places[2])]);
        assert_eq!(iter_properties(&properties).count(), 2, "what is left of the room is no property");
    }

    #[test]
    fn only_light_queues_can_be_named() {
        let names = |value| {
            parse_queues(value).map(|topics| topics.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(names("%LMQ%a,%LMQ%b%c,").unwrap(), ["%LMQ%a", "%LMQ%b%c"]);
        for bad in ["T", "%LMQ%a,T", "%LMQ%a,,%LMQ%b", "%LMQ%../x", "%LMQ%a/0", ""] {
            assert!(matches!(names(bad), Err(ListError::Name(_))), "{bad:?}");
        }
        assert_eq!(names(&vec!["%LMQ%a"; MAX_FURTHER_QUEUES + 1].join(",")), Err(ListError::TooMany));
    }

    #[test]
    fn lists_that_do_not_agree_say_nothing() {
        assert_eq!(stored_queues("%LMQ%a,%LMQ%b", "1").count(), 0);
        assert_eq!(
            stored_queues("%LMQ%a,T,%LMQ%c", "1,2,x").collect::<Vec<_>>(),
            [("%LMQ%a", QueueOffset(1))]
        );
    }

    #[test]
    fn messages_that_wait_elsewhere_are_not_dispatched() {
        for topic in
            ["%RETRY%g", "%DLQ%g", "SCHEDULE_TOPIC_XXXX", "rmq_sys_wheel_timer", "RMQ_SYS_TRANS_HALF_TOPIC"]
        {
            assert!(!is_dispatched(topic), "{topic}");
        }
        assert!(is_dispatched("T") && is_dispatched("%LMQ%a"));
    }
}
