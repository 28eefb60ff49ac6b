//! Taking a timer message back before it is delivered.
//!
//! Its sender was answered with a handle. Whoever brings the handle has a mark stored that waits in the same slot of the
//! timing wheel; when the slot is read, marked messages are left out. The mark travels as a message does, so it is as
//! safe as one, and needs no table.

use std::net::SocketAddr;

use ferromq_model::message::{SysFlag, property, push_property};
use ferromq_model::{QueueId, Timestamp};
use ferromq_store::Placed;

use crate::broker::Broker;
use crate::send::{Send, SendBatch, SendError};

/// The only version of handles that there is.
const VERSION: &str = "v1";
/// The tag of marks.
const TAG: &str = "_RECALL_TAG_";
/// The longest handle that is looked at: topic, broker name and unique key are far shorter together.
const MAX_HANDLE_LEN: usize = 2048;

/// What a recall asks for.
#[derive(Clone, Copy, Debug)]
pub struct Recall<'a> {
    /// The producer's group, if it says so.
    pub group: Option<&'a str>,
    /// The topic that the message is for.
    pub topic: &'a str,
    /// What the message's sender was answered with.
    pub handle: &'a str,
    /// Who asks.
    pub from: SocketAddr,
}

/// A message is marked as taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The unique key of the message.
    pub unique_key: String,
    /// Where the mark lies.
    pub placed: Placed,
}

/// A message cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// Switched off.
    #[error("recall failed, operation is forbidden")]
    Forbidden,
    /// The broker takes nothing.
    #[error("recall failed, broker service not available")]
    Unavailable,
    /// The topic does not exist.
    #[error("recall failed, the topic[{0}] not exist")]
    NoTopic(String),
    /// The handle is none, or not of this topic, this broker or this time.
    #[error("recall failed, {0}")]
    Handle(&'static str),
    /// The mark could not be stored.
    #[error("recall failed, {0}")]
    Store(#[from] SendError),
}

/// Which message is meant by a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallHandle<'a> {
    topic: &'a str,
    broker: &'a str,
    /// A time that falls into the slot of the message.
    deliver: Timestamp,
    unique_key: &'a str,
}

impl<'a> RecallHandle<'a> {
    /// The handle of a message that waits in `slot`.
    #[must_use]
    pub fn of(topic: &'a str, broker: &'a str, slot: Timestamp, unique_key: &'a str) -> Self {
        // A slot's own time falls into the slot before.
        Self { topic, broker, deliver: Timestamp(slot.0 + 1), unique_key }
    }

    /// As it is given out: URL-safe base64 with padding.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { topic, broker, deliver, unique_key } = self;
        base64::encode(format!("{VERSION} {topic} {broker} {} {unique_key}", deliver.0).as_bytes())
    }

    /// Reads the text inside of a handle.
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let (topic, broker, deliver, unique_key) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let deliver = Timestamp(deliver.parse().ok()?);
        (words.next().is_none() && is_plain(text)).then_some(Self { topic, broker, deliver, unique_key })
    }
}

impl Broker {
    /// Marks the message of the handle as taken back. Blocks no longer than a send; the mark is durable like one, later,
    /// at [`Placed::end`].
    ///
    /// # Errors
    /// [`RecallError`]; the message comes then.
    pub fn recall(&self, ask: &Recall<'_>) -> Result<Recalled, RecallError> {
        let config = self.config();
        if !config.recall {
            return Err(RecallError::Forbidden);
        }
        if !config.permission.writable() && !config.recall_when_not_writable {
            return Err(RecallError::Unavailable);
        }
        let topic =
            self.topics().find(ask.topic).ok_or_else(|| RecallError::NoTopic(ask.topic.to_owned()))?;
        let bytes = Some(ask.handle).filter(|handle| handle.len() <= MAX_HANDLE_LEN).and_then(base64::decode);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let handle = text.as_deref().and_then(RecallHandle::parse);
        let handle = handle.ok_or(RecallError::Handle("recall handle is invalid"))?;
        if handle.topic != ask.topic {
            return Err(RecallError::Handle("topic not match"));
        }
        if handle.broker != config.name {
            return Err(RecallError::Handle("broker service not available"));
        }
        let now = self.store().now();
        if handle.deliver <= now || handle.deliver.since(now) >= config.timer_max_delay.millis() {
            return Err(RecallError::Handle("timestamp invalid"));
        }
        let mut properties = String::new();
        push_property(&mut properties, property::TAGS, TAG);
        push_property(&mut properties, property::UNIQUE_KEY, handle.unique_key);
        let key = format!("{}+{}", handle.topic, handle.unique_key);
        push_property(&mut properties, property::TIMER_DELETE_KEY, &key);
        push_property(&mut properties, property::TIMER_DELIVER_MS, &handle.deliver.0.to_string());
        if let Some(group) = ask.group.filter(|group| is_plain(group)) {
            push_property(&mut properties, property::PRODUCER_GROUP, group);
        }
        let mark = Send {
            topic: ask.topic,
            default_topic: "",
            default_queues: 0,
            queue: Some(QueueId(0)),
            sharding_key: None,
            sys_flag: SysFlag(0),
            flag: 0,
            born: now,
            born_host: ask.from,
            properties: &properties,
            reconsume_times: 0,
            max_reconsume_times: None,
            unit_mode: false,
            is_batch: false,
            body: b"0",
        };
        let mut sends = SendBatch::new();
        let ticket = self.prepare_own(&mut sends, &mark, topic, QueueId(0))?;
        self.commit(&mut sends).map_err(SendError::from)?;
        let placed = sends.placed(ticket)[0];
        Ok(Recalled { unique_key: handle.unique_key.to_owned(), placed })
    }
}

/// Whether the text holds none of the characters that would end a property in the middle.
fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_ascii_control())
}

/// URL-safe base64 with padding.
mod base64 {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    pub(super) fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let group = chunk.iter().fold(0u32, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let digit = DIGITS[(group >> (18 - 6 * i)) as usize & 63];
                text.push(if i <= chunk.len() { digit as char } else { '=' });
            }
        }
        text
    }

    /// `None` if it is not base64. Padding may be missing, and the other alphabet is understood, as Java does both.
    pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
        let digits = text.trim_end_matches('=').as_bytes();
        let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
        for chunk in digits.chunks(4) {
            let mut group = 0u32;
            for &digit in chunk {
                let digit = match digit {
                    b'+' => b'-',
                    b'/' => b'_',
                    other => other,
                };
                group = group << 6 | DIGITS.iter().position(|&d| d == digit)? as u32;
            }
            if chunk.len() == 1 {
                return None;
            }
            let group = group << (6 * (4 - chunk.len()));
            bytes.extend_from_slice(&group.to_be_bytes()[1..chunk.len()]);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_the_one_that_the_reference_gives() {
        let handle = RecallHandle::of(
            "T1",
            "broker-a",
            Timestamp(1_700_000_000_000),
            "7F00000100002A139A5500000000000A",
        );
        let text = "djEgVDEgYnJva2VyLWEgMTcwMDAwMDAwMDAwMSA3RjAwMDAwMTAwMDAyQTEzOUE1NTAwMDAwMDAwMDAwQQ==";
        assert_eq!(handle.encode(), text);
        let inside = base64::decode(text).unwrap();
        assert_eq!(RecallHandle::parse(std::str::from_utf8(&inside).unwrap()), Some(handle));
    }

    #[test]
    fn base64_is_read_back_and_what_is_none_is_refused() {
        for len in 0..20u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(251)).collect();
            assert_eq!(base64::decode(&base64::encode(&bytes)), Some(bytes));
        }
        assert_eq!(base64::decode("ab!d"), None);
        assert_eq!(base64::decode("abcde"), None);
        assert!(RecallHandle::parse("v2 T b 1 k").is_none());
        assert!(RecallHandle::parse("v1 T b x k").is_none());
        assert!(RecallHandle::parse("v1 T b 1 k more").is_none());
    }
}
