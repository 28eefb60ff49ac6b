//! What the revive topic holds: check points, which say that messages were handed out, and acknowledgements, in the JSON
//! bodies of the Java broker, which can go on with either.
//!
//! | tag | body | says |
//! |---|---|---|
//! | `ck` | [`CheckPoint`] | these messages were popped, and come again at that time unless acknowledged |
//! | `ack` | [`Acks`] with `ao` | this one is done |
//! | `bAck` | [`Acks`] with `aol` | these are |
//!
//! Unlike Java's, ours are stored when they are made, not when they are due. A Java broker that goes on with them takes
//! the time at which records were due to be stored for how far time has come in their queue, and goes by the clock only
//! behind one that has such a time: check points therefore name, as `TIMER_DELIVER_MS`, when they were made.

use std::borrow::Cow;

use ferromq_model::message::{SysFlag, TagsCode};
use ferromq_model::record::NewRecord;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use ferromq_store::{Batch, EntryTag, MessageKeys, Queue};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::broker::Broker;

/// The tag of a check point.
const CHECK_POINT: &str = "ck";
/// The tag of an acknowledgement.
const ACK: &str = "ack";
/// The tag of several acknowledgements.
const BATCH_ACK: &str = "bAck";

/// Messages of one check point: one bit each in its bitmap.
pub(super) const MAX_MESSAGES: usize = 32;

/// Messages of one queue that were popped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckPoint<'a> {
    /// Which of them are acknowledged, one bit each.
    #[serde(rename = "bm", alias = "bitMap", default)]
    pub(super) acked: i32,
    #[serde(rename = "bn", alias = "brokerName", borrow, default)]
    pub(super) broker: Cow<'a, str>,
    #[serde(rename = "c", alias = "cid", alias = "cId", borrow)]
    pub(super) group: Cow<'a, str>,
    /// How far behind the start each lies; empty if they follow one another.
    #[serde(rename = "d", alias = "queueOffsetDiff", default)]
    pub(super) diffs: Vec<u32>,
    #[serde(rename = "it", alias = "invisibleTime")]
    pub(super) invisible: i64,
    #[serde(rename = "n", alias = "num", default)]
    pub(super) count: u8,
    #[serde(rename = "pt", alias = "popTime")]
    pub(super) popped: i64,
    #[serde(rename = "q", alias = "queueId")]
    pub(super) queue: u32,
    /// For readers of JSON: `pt` and `it` say it.
    #[serde(rename = "reviveTime", default)]
    pub(super) revive_time: i64,
    /// Java's place for what its reader notes.
    #[serde(rename = "ro", alias = "reviveOffset", default)]
    pub(super) revive_offset: i64,
    #[serde(rename = "so", alias = "startOffset")]
    pub(super) start: u64,
    #[serde(rename = "t", alias = "topic", borrow)]
    pub(super) topic: Cow<'a, str>,
}

impl CheckPoint<'_> {
    /// How far behind the start its messages lie.
    pub(super) fn distances(&self) -> impl Iterator<Item = u32> {
        let count = if self.diffs.is_empty() { usize::from(self.count) } else { self.diffs.len() };
        (0..count.min(MAX_MESSAGES)).map(|n| self.diffs.get(n).copied().unwrap_or(n as u32))
    }

    /// The offset behind its last message; the start, if it has none.
    pub(super) fn next(&self) -> QueueOffset {
        let last = self.distances().last();
        QueueOffset(self.start.saturating_add(last.map_or(0, |last| u64::from(last) + 1)))
    }
}

/// Messages of one check point that are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acks<'a> {
    /// The only one; -1 if there is a list.
    #[serde(rename = "ao", alias = "ackOffset", default)]
    pub(super) one: i64,
    #[serde(rename = "aol", alias = "ackOffsetList", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) list: Vec<u64>,
    #[serde(rename = "bn", alias = "brokerName", borrow, default)]
    pub(super) broker: Cow<'a, str>,
    #[serde(rename = "c", alias = "consumerGroup", borrow)]
    pub(super) group: Cow<'a, str>,
    #[serde(rename = "pt", alias = "popTime")]
    pub(super) popped: i64,
    #[serde(rename = "q", alias = "queueId")]
    pub(super) queue: u32,
    #[serde(rename = "so", alias = "startOffset")]
    pub(super) start: u64,
    #[serde(rename = "t", alias = "topic", borrow)]
    pub(super) topic: Cow<'a, str>,
}

impl Acks<'_> {
    /// The offsets acknowledged.
    pub(super) fn offsets(&self) -> impl Iterator<Item = QueueOffset> {
        let one = u64::try_from(self.one).ok().filter(|_| self.list.is_empty());
        one.into_iter().chain(self.list.iter().copied()).map(QueueOffset)
    }
}

/// A record of the revive topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// Messages were popped.
    Popped(CheckPoint<'a>),
    /// Messages are done.
    Acked(Acks<'a>),
}

impl<'a> Entry<'a> {
    /// Reads a record by its tag; `None` if it is neither.
    pub(super) fn decode(tag: &str, body: &'a [u8]) -> Option<Result<Self, serde_json::Error>> {
        match tag {
            CHECK_POINT => Some(serde_json::from_slice(body).map(Self::Popped)),
            ACK | BATCH_ACK => Some(serde_json::from_slice(body).map(Self::Acked)),
            _ => None,
        }
    }

    fn tag(&self) -> &'static str {
        match self {
            Self::Popped(_) => CHECK_POINT,
            Self::Acked(acks) if acks.list.is_empty() => ACK,
            Self::Acked(_) => BATCH_ACK,
        }
    }

    /// Adds the record to `batch`, for `queue` of the revive topic.
    pub(super) fn push(&self, broker: &Broker, queue: &Arc<Queue>, batch: &mut Batch, now: Timestamp) {
        let body = match self {
            Self::Popped(point) => serde_json::to_vec(point),
            Self::Acked(acks) => serde_json::to_vec(acks),
        };
        let tag = self.tag();
        let made = now.0.to_string();
        let due = ["TAGS\u{1}", tag, "\u{2}TIMER_DELIVER_MS\u{1}", &made, "\u{2}"];
        let properties: &[&str] = match self {
            Self::Popped(_) => &due,
            Self::Acked(_) => &["TAGS\u{1}", tag, "\u{2}"],
        };
        let record = NewRecord {
            topic: queue.topic().as_str(),
            queue_id: queue.id(),
            flag: 0,
            sys_flag: SysFlag(0),
            born: now,
            born_host: broker.store_host(),
            store_host: broker.store_host(),
            reconsume_times: 0,
            prepared_offset: PhysicalOffset::ZERO,
            body: &body.expect("texts and numbers"),
            properties,
        };
        let code = TagsCode::of(Some(tag));
        batch.push_with_keys(Arc::clone(queue), &record, EntryTag::Tags(code), MessageKeys::default());
    }
}

/// Which check point an acknowledgement is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) queue: QueueId,
    pub(super) start: QueueOffset,
    pub(super) popped: Timestamp,
}

impl<'a> Target<'a> {
    /// Says that the messages at `offsets` are done.
    pub(super) fn acked(self, broker: &'a Broker, offsets: &[QueueOffset]) -> Entry<'a> {
        let one = match offsets {
            [one] => one.0 as i64,
            _ => -1,
        };
        Entry::Acked(Acks {
            one,
            list: if one < 0 { offsets.iter().map(|offset| offset.0).collect() } else { Vec::new() },
            broker: Cow::Borrowed(&broker.config().name),
            group: Cow::Borrowed(self.group),
            popped: self.popped.0,
            queue: self.queue.0,
            start: self.start.0,
            topic: Cow::Borrowed(self.topic),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CK: &str = r#"{"bm":0,"bn":"broker-a","c":"GROUP","d":[0,1],"it":60000,"n":2,"pt":1700000000000,"q":3,"reviveTime":1700000060000,"ro":0,"so":100,"t":"TOPIC"}"#;

    #[test]
    fn bodies_are_the_java_brokers() {
        let Some(Ok(Entry::Popped(point))) = Entry::decode("ck", CK.as_bytes()) else { panic!("{CK}") };
        assert_eq!(serde_json::to_string(&point).unwrap(), CK);
        assert_eq!(point.distances().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(point.next(), QueueOffset(102));
        let ack = r#"{"ao":101,"bn":"broker-a","c":"GROUP","pt":1700000000000,"q":3,"so":100,"t":"TOPIC"}"#;
        let list = r#"{"ao":-1,"aol":[101,102],"bn":"broker-a","c":"GROUP","pt":1700000000000,"q":3,"so":100,"t":"TOPIC"}"#;
        for (tag, text, offsets) in [("ack", ack, &[101][..]), ("bAck", list, &[101, 102])] {
            let Some(Ok(Entry::Acked(acks))) = Entry::decode(tag, text.as_bytes()) else { panic!("{text}") };
            assert_eq!(serde_json::to_string(&acks).unwrap(), text);
            assert_eq!(acks.offsets().map(|offset| offset.0).collect::<Vec<_>>(), offsets);
        }
    }

    #[test]
    fn long_names_lists_without_distances_and_what_is_new_are_read() {
        let text = r#"{"startOffset":7,"popTime":1,"invisibleTime":2,"num":3,"queueId":0,"topic":"T","cid":"G","rp":"1","x":{}}"#;
        let Some(Ok(Entry::Popped(point))) = Entry::decode("ck", text.as_bytes()) else { panic!("{text}") };
        assert_eq!((point.distances().count(), point.next(), &*point.broker), (3, QueueOffset(10), ""));
        let merged = r#"{"ao":0,"aol":[7],"c":"G","pt":1,"q":0,"so":7,"t":"T"}"#;
        let Some(Ok(Entry::Acked(acks))) = Entry::decode("bAck", merged.as_bytes()) else {
            panic!("{merged}")
        };
        assert_eq!(acks.offsets().collect::<Vec<_>>(), [QueueOffset(7)]);
        assert!(Entry::decode("other", b"{}").is_none());
        assert!(Entry::decode("ck", b"{").unwrap().is_err());
    }
}
