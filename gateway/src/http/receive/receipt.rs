//! Receipts: what shows that a message was leased, and by what it is acknowledged.
//!
//! ```text
//! version 1 | origin 1 | revive queue 4 | queue 4 | start 8 | offset 8 | popped 8 | lease 8 | of whom 8   (base64url)
//! ```
//! A receipt comes back from a peer, and nothing in it is trusted: the topic and the group are those of the request's
//! path, whose hash has to be the receipt's, and the broker looks whether there is such a queue and message. It holds
//! across a restart of the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ferromq_broker::pop::receipt::{ORDER_QUEUE, Origin, Receipt as BrokerReceipt};
use ferromq_model::{Millis, NameError, QueueId, QueueOffset, Timestamp, TopicName};
use sha2::{Digest as _, Sha256};

use super::lease::Place;
use crate::http::problem::{Kind, Problem};

const VERSION: u8 = 1;
/// Bytes of a receipt.
const LEN: usize = 1 + 1 + 4 + 4 + 8 + 8 + 8 + 8 + 8;
/// Characters of a receipt.
pub(super) const TEXT_LEN: usize = (LEN * 4).div_ceil(3);

/// One leased message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) key: Key,
    /// Where the pop started in the queue.
    pub(super) start: QueueOffset,
    pub(super) popped: Timestamp,
    pub(super) lease: Millis,
    pub(super) revive_queue: u32,
}

/// Which message of a topic and group it is, however often its lease was extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) origin: Origin,
    pub(super) queue: QueueId,
    pub(super) offset: QueueOffset,
}

impl Receipt {
    /// When the lease ends.
    pub(super) fn end(&self) -> Timestamp {
        self.popped.plus(self.lease)
    }

    /// The text that a client gets.
    pub(super) fn show(&self, place: &Place, broker: &str) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.push(VERSION);
        bytes.push(self.key.origin.flag() as u8);
        bytes.extend(self.revive_queue.to_be_bytes());
        bytes.extend(self.key.queue.0.to_be_bytes());
        bytes.extend(self.start.0.to_be_bytes());
        bytes.extend(self.key.offset.0.to_be_bytes());
        bytes.extend(self.popped.0.to_be_bytes());
        bytes.extend(self.lease.0.to_be_bytes());
        bytes.extend(whose(place, broker));
        BASE64.encode(bytes)
    }

    /// Reads a receipt of this place, and of no other.
    pub(super) fn parse(text: &str, place: &Place, broker: &str) -> Result<Self, Problem> {
        let read = |text: &str| -> Option<Self> {
            let bytes = if text.len() == TEXT_LEN { BASE64.decode(text).ok()? } else { return None };
            let mut rest = &bytes[..];
            let mut next = |len: usize| rest.split_off(..len);
            let version = *next(1)?.first()?;
            let origin = char::from(*next(1)?.first()?).to_string();
            let revive_queue = u32::from_be_bytes(next(4)?.try_into().ok()?);
            let queue = QueueId(u32::from_be_bytes(next(4)?.try_into().ok()?));
            let mut long = || Some(u64::from_be_bytes(next(8)?.try_into().ok()?));
            let (start, offset, popped, lease) = (long()?, long()?, long()?, long()?);
            let whole = version == VERSION && rest == whose(place, broker) && revive_queue != ORDER_QUEUE;
            let wire = |offset: u64| QueueOffset::from_wire(i64::try_from(offset).ok()?);
            let key = Key { origin: Origin::parse(&origin)?, queue, offset: wire(offset)? };
            let popped = Timestamp(i64::try_from(popped).ok()?);
            let lease = Millis(lease).min(ferromq_broker::pop::MAX_INVISIBLE);
            whole.then_some(Self { key, start: wire(start)?, popped, lease, revive_queue })
        };
        read(text).ok_or_else(|| {
            let shown: String = text.chars().take(TEXT_LEN).collect();
            Kind::InvalidReceipt.because(format!("{shown:?} is no receipt of this topic and group"))
        })
    }

    /// As the broker reads it.
    pub(super) fn for_broker(&self, broker: &str) -> String {
        let Self { key, start, popped, lease, revive_queue } = *self;
        let Key { origin, queue, offset } = key;
        let offset = Some(offset);
        BrokerReceipt { start, popped, invisible: lease, revive_queue, origin, broker, queue, offset }
            .to_string()
    }
}

impl Key {
    /// The topic that the message lies in.
    pub(super) fn topic(&self, place: &Place) -> Result<String, NameError> {
        let second_form = match self.origin {
            Origin::Topic => return Ok(place.topic.clone()),
            Origin::Retry => false,
            Origin::RetryV2 => true,
        };
        TopicName::pop_retry_of(&place.group, &place.topic, second_form).map(|name| name.to_string())
    }
}

/// Tells receipts of different brokers, topics and groups apart.
fn whose(place: &Place, broker: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    // No name has a zero byte.
    for name in [broker, &place.topic, &place.group] {
        hash.update(name);
        hash.update([0]);
    }
    let hash: [u8; 32] = hash.finalize().into();
    *hash.first_chunk().expect("32 are more than 8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(topic: &str, group: &str) -> Place {
        Place { topic: topic.to_owned(), group: group.to_owned() }
    }

    fn receipt() -> Receipt {
        let key = Key { origin: Origin::RetryV2, queue: QueueId(3), offset: QueueOffset(101) };
        let popped = Timestamp(1_700_000_000_000);
        Receipt { key, start: QueueOffset(100), popped, lease: Millis(30_000), revive_queue: 5 }
    }

    #[test]
    fn a_receipt_reads_back_where_it_came_from_only() {
        let text = receipt().show(&place("T", "G"), "a");
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(Receipt::parse(&text, &place("T", "G"), "a"), Ok(receipt()));
        for (topic, group, broker) in [("U", "G", "a"), ("T", "H", "a"), ("T", "G", "b"), ("TG", "", "a")] {
            let refused = Receipt::parse(&text, &place(topic, group), broker).unwrap_err();
            assert_eq!(refused.kind, Kind::InvalidReceipt);
        }
    }

    #[test]
    fn what_is_no_receipt_is_refused_whatever_it_is() {
        let text = receipt().show(&place("T", "G"), "a");
        let cut = &text[1..];
        let long = text.repeat(1000);
        let in_order = Receipt { revive_queue: ORDER_QUEUE, ..receipt() }.show(&place("T", "G"), "a");
        for bad in ["", "?", cut, &long, &in_order, &text.replace('A', "+"), &"é".repeat(TEXT_LEN / 2)] {
            assert!(Receipt::parse(bad, &place("T", "G"), "a").is_err(), "{bad}");
        }
    }
}
