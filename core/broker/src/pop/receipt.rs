//! What a consumer shows to acknowledge a popped message: the receipt, which its client makes from the answer or finds as
//! the message's property `POP_CK`.
//!
//! ```text
//! 100 1700000000000 60000 3 0 broker-a 2 101
//! │   │             │     │ │ │        │ └ the message's offset; clients may leave it out
//! │   │             │     │ │ │        └ queue
//! │   │             │     │ │ └ broker
//! │   │             │     │ └ origin: the topic itself, or a retry topic
//! │   │             │     └ queue of the revive topic; 999 where messages are consumed in order
//! │   │             └ how long the message stays invisible, in milliseconds
//! │   └ when it was popped
//! └ where the pop started in the queue
//! ```
//! A receipt comes from a peer: nothing in it is trusted to exist.

use std::fmt;

use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};

/// The number that stands for the revive queue where messages are popped in order: there is no check point then.
pub const ORDER_QUEUE: u32 = 999;

/// Where a popped message lay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// In the topic that was asked for.
    Topic,
    /// In the retry topic `%RETRY%<group>_<topic>`.
    Retry,
    /// In the retry topic `%RETRY%<group>+<topic>`.
    RetryV2,
}

impl Origin {
    /// The digit that receipts and answers carry.
    #[must_use]
    pub const fn flag(self) -> char {
        match self {
            Self::Topic => '0',
            Self::Retry => '1',
            Self::RetryV2 => '2',
        }
    }

    /// Reads the digit.
    #[must_use]
    pub fn parse(flag: &str) -> Option<Self> {
        match flag {
            "0" => Some(Self::Topic),
            "1" => Some(Self::Retry),
            "2" => Some(Self::RetryV2),
            _ => None,
        }
    }
}

/// A receipt as its text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// Where the pop started in the queue: with the time, what the check point is found by.
    pub start: QueueOffset,
    /// When the message was popped.
    pub popped: Timestamp,
    /// How long it stays invisible from then on.
    pub invisible: Millis,
    /// The queue of the revive topic, or [`ORDER_QUEUE`].
    pub revive_queue: u32,
    /// Where the message lay.
    pub origin: Origin,
    /// The broker that it was popped from.
    pub broker: &'a str,
    /// The queue that it lay in.
    pub queue: QueueId,
    /// Which message it is.
    pub offset: Option<QueueOffset>,
}

impl<'a> Receipt<'a> {
    /// Reads a receipt; `None` if the text is none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut next = || parts.next();
        let receipt = Self {
            start: QueueOffset::from_wire(next()?.parse().ok()?)?,
            popped: Timestamp(next()?.parse().ok()?),
            invisible: Millis(next()?.parse().ok()?),
            revive_queue: next()?.parse().ok()?,
            origin: Origin::parse(next()?)?,
            broker: next()?,
            queue: QueueId(next()?.parse().ok()?),
            offset: match next() {
                Some(offset) => Some(QueueOffset::from_wire(offset.parse().ok()?)?),
                None => None,
            },
        };
        parts.next().is_none().then_some(receipt)
    }
}

impl fmt::Display for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, popped, invisible, revive_queue, origin, broker, queue, offset } = self;
        let flag = origin.flag();
        write!(f, "{start} {popped} {} {revive_queue} {flag} {broker} {queue}", invisible.0)?;
        offset.iter().try_for_each(|offset| write!(f, " {offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_and_nonsense_does_not() {
        let text = "100 1700000000000 60000 3 1 broker-a 2 101";
        let receipt = Receipt::parse(text).unwrap();
        assert_eq!((receipt.origin, receipt.broker, receipt.queue), (Origin::Retry, "broker-a", QueueId(2)));
        assert_eq!((receipt.start, receipt.offset), (QueueOffset(100), Some(QueueOffset(101))));
        assert_eq!(receipt.to_string(), text);
        let short = "100 1700000000000 60000 3 0 broker-a 2";
        assert_eq!(Receipt::parse(short).unwrap().to_string(), short);
        for bad in ["", "1 2 3", "-1 2 3 4 0 b 5", "1 2 3 4 9 b 5", "1 2 3 4 0 b 5 6 7", "a b c d e f g"] {
            assert_eq!(Receipt::parse(bad), None, "{bad}");
        }
    }
}
