//! Acknowledgements of several pops, and who gets which queues.

use ferromq_model::{QueueId, QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};

use super::MessageQueue;
use super::loose::{number, or_default};

/// Acknowledges messages of several pops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAckRequest {
    /// One for each pop and queue.
    #[serde(default, deserialize_with = "or_default")]
    pub acks: Vec<BatchAck>,
    /// The broker that was popped from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_name: Option<String>,
}

/// Acknowledges messages of one pop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAck {
    /// The messages, as the bits of a `java.util.BitSet` in base64: bit `n` is the offset `so + n`.
    #[serde(rename = "b", alias = "bitSet", default, deserialize_with = "or_default")]
    pub bits: String,
    /// The group.
    #[serde(rename = "c", alias = "consumerGroup", default, deserialize_with = "or_default")]
    pub group: String,
    /// How long the messages are invisible, in milliseconds.
    #[serde(rename = "it", alias = "invisibleTime", default, deserialize_with = "number")]
    pub invisible: i64,
    /// When they were popped.
    #[serde(rename = "pt", alias = "popTime", default)]
    pub popped: Timestamp,
    /// The queue.
    #[serde(rename = "q", alias = "queueId", default)]
    pub queue: QueueId,
    /// `0` for messages of the topic itself, `1` and `2` for those of retry topics.
    #[serde(rename = "r", alias = "retry", default, deserialize_with = "or_default")]
    pub retry: String,
    /// The queue of the revive topic.
    #[serde(rename = "rq", alias = "reviveQueueId", default)]
    pub revive_queue: u32,
    /// Where the pop started.
    #[serde(rename = "so", alias = "startOffset", default)]
    pub start: QueueOffset,
    /// The topic that was popped.
    #[serde(rename = "t", alias = "topic", default, deserialize_with = "or_default")]
    pub topic: String,
}

impl BatchAck {
    /// The messages, at most `max` of them; `None` if the bits are not readable.
    #[must_use]
    pub fn offsets(&self, max: usize) -> Option<Vec<QueueOffset>> {
        let bytes = from_base64(&self.bits)?;
        let bits = bytes.iter().enumerate().flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| at as u64 * 8 + bit)
        });
        bits.take(max).map(|bit| self.start.0.checked_add(bit).map(QueueOffset)).collect()
    }
}

/// Reads base64, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

/// Sets how a group consumes a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetMessageRequestMode {
    /// The topic.
    #[serde(default, deserialize_with = "or_default")]
    pub topic: String,
    /// The group.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_group: String,
    /// `PULL` or `POP`.
    #[serde(default, deserialize_with = "or_default")]
    pub mode: String,
    /// With `POP`, how many of the members behind it each member shares queues with; 0 for all.
    #[serde(default)]
    pub pop_share_queue_num: i32,
}

/// Asks which queues a member of a group gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryAssignmentRequest {
    /// The member.
    #[serde(default, deserialize_with = "or_default")]
    pub client_id: String,
    /// Its group.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_group: String,
    /// `CLUSTERING`, or `BROADCASTING`.
    #[serde(default, deserialize_with = "or_default")]
    pub message_model: String,
    /// `AVG`, or `AVG_BY_CIRCLE`.
    #[serde(default, deserialize_with = "or_default")]
    pub strategy_name: String,
    /// The topic.
    #[serde(default, deserialize_with = "or_default")]
    pub topic: String,
}

/// The queues of a member; none at all if they cannot be told now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryAssignmentResponse {
    /// The queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_queue_assignments: Option<Vec<Assignment>>,
}

/// A queue that a member gets. Its number may be -1, for any queue of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The queue.
    pub message_queue: AssignedQueue,
    /// `PULL` or `POP`.
    pub mode: String,
}

/// A queue whose number may be -1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedQueue {
    /// The broker.
    pub broker_name: String,
    /// The queue.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

impl From<MessageQueue> for AssignedQueue {
    fn from(queue: MessageQueue) -> Self {
        let MessageQueue { broker_name, queue_id, topic } = queue;
        Self { broker_name, queue_id: queue_id.0 as i32, topic }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{decode, encode};

    #[test]
    fn a_batch_of_acknowledgements_is_javas() {
        let text = r#"{"acks":[{"b":"AQI=","c":"CG","it":60000,"pt":1700000000000,"q":0,"r":"0","rq":3,"so":100,"t":"T1"}],"brokerName":"broker-a"}"#;
        let request: BatchAckRequest = decode(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(encode(&request)).unwrap(), text);
        let offsets = |ack: &BatchAck, max| {
            ack.offsets(max).map(|list| list.iter().map(|offset| offset.0).collect::<Vec<_>>())
        };
        let ack = &request.acks[0];
        assert_eq!((offsets(ack, 32), offsets(ack, 1)), (Some(vec![100, 109]), Some(vec![100])));
        let bits = |bits: &str| offsets(&BatchAck { bits: bits.to_owned(), ..BatchAck::default() }, 64);
        assert_eq!(bits("/////w"), Some((0..32).collect()));
        assert_eq!((bits(""), bits("A*=")), (Some(vec![]), None));
        let far = BatchAck { bits: "/w==".into(), start: QueueOffset(u64::MAX - 1), ..BatchAck::default() };
        assert_eq!(far.offsets(64), None);
    }

    #[test]
    fn long_names_are_read() {
        let text = r#"{"acks":[{"bitSet":"AQ==","consumerGroup":"CG","invisibleTime":1,"popTime":2,"queueId":3,"retry":"1","reviveQueueId":4,"startOffset":5,"topic":"T"}]}"#;
        let request: BatchAckRequest = decode(text.as_bytes()).unwrap();
        let ack = &request.acks[0];
        assert_eq!((&*ack.group, &*ack.retry, ack.queue, ack.revive_queue), ("CG", "1", QueueId(3), 4));
        assert_eq!((ack.popped, ack.start, ack.invisible), (Timestamp(2), QueueOffset(5), 1));
    }
}
