//! Receipts of leased messages, and how a pop's answer says which are whose.
//!
//! ```text
//! startOffsetInfo   0 0 12;1 3 7            from where in each queue:   origin, queue, offset
//! msgOffsetInfo     0 0 12,13;1 3 7         which messages:             origin, queue, offsets
//! orderCountInfo    0 0 1;0 qo0%13 2        handed out before so often: origin, queue or message, times
//!
//! receipt           12 1700000000000 60000 3 0 broker-a 0 13
//!                   │  │             │     │ │ │        │ └ the message; from the message itself where it is left out
//!                   │  │             │     │ │ │        └ queue
//!                   │  │             │     │ │ └ broker
//!                   │  │             │     │ └ origin: 0 the topic itself, 1 and 2 retry topics
//!                   │  │             │     └ queue of the broker's own notes; 999 in order
//!                   │  │             └ how long the lease lasts, in milliseconds
//!                   │  └ when it began, by the broker's clock
//!                   └ where the pop started in the queue
//! ```
//! What comes from a retry topic looks as if it came from the topic itself, and has its receipt as the property `POP_CK`;
//! receipts of all others are made here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ferromq_model::message::property;
use ferromq_model::{GroupName, Millis, NameError, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::header::PopMessageResponse;

use crate::received::Received;

/// Where a leased message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// In the topic that was popped.
    Topic,
    /// In `%RETRY%<group>_<topic>`.
    Retry,
    /// In `%RETRY%<group>+<topic>`.
    RetryV2,
}

impl Origin {
    const ALL: [Self; 3] = [Self::Topic, Self::Retry, Self::RetryV2];

    /// As receipts write it.
    pub(super) const fn flag(self) -> &'static str {
        match self {
            Self::Topic => "0",
            Self::Retry => "1",
            Self::RetryV2 => "2",
        }
    }

    fn parse(flag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.flag() == flag)
    }

    /// The topic in which the messages lie that `group` popped of `topic`.
    pub(super) fn topic(self, group: &GroupName, topic: &TopicName) -> Result<TopicName, NameError> {
        match self {
            Self::Topic => Ok(topic.clone()),
            Self::Retry | Self::RetryV2 => {
                TopicName::pop_retry_of(group.as_str(), topic.as_str(), self == Self::RetryV2)
            }
        }
    }
}

/// What entitles to end or prolong a lease. Its text is what official clients call the handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) start: QueueOffset,
    pub(super) popped: Timestamp,
    pub(super) invisible: Millis,
    pub(super) revive_queue: u32,
    pub(super) origin: Origin,
    pub(super) broker: Arc<str>,
    pub(super) queue: QueueId,
    pub(super) offset: QueueOffset,
}

impl Receipt {
    /// When the lease began, by the broker's clock.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.popped
    }

    /// How long it lasts from then on.
    #[must_use]
    pub fn lasts(&self) -> Millis {
        self.invisible
    }

    /// Reads a receipt of the message that lies at `offset`, which older brokers leave out; `None` if the text is none.
    pub(super) fn parse(text: &str, offset: QueueOffset) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut next = || parts.next();
        let receipt = Self {
            start: read_offset(next()?)?,
            popped: Timestamp(next()?.parse().ok()?),
            invisible: Millis(next()?.parse().ok()?),
            revive_queue: next()?.parse().ok()?,
            origin: Origin::parse(next()?)?,
            broker: next().filter(|broker| !broker.is_empty())?.into(),
            queue: QueueId(next()?.parse().ok()?),
            offset: match next() {
                Some(offset) => read_offset(offset)?,
                None => offset,
            },
        };
        parts.next().is_none().then_some(receipt)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, popped, invisible, revive_queue, origin, broker, queue, offset } = self;
        let flag = origin.flag();
        write!(f, "{start} {popped} {} {revive_queue} {flag} {broker} {queue} {offset}", invisible.0)
    }
}

fn read_offset(text: &str) -> Option<QueueOffset> {
    QueueOffset::from_wire(text.parse().ok()?)
}

type Place = (Origin, QueueId);

/// What a pop's answer says of its messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Infos {
    starts: HashMap<Place, QueueOffset>,
    offsets: HashMap<Place, Vec<QueueOffset>>,
    /// Of a whole queue, or of one message in it.
    counts: HashMap<(Place, Option<QueueOffset>), i32>,
}

impl Infos {
    /// Reads the three texts; `None` if one is not readable.
    pub(super) fn parse(starts: &str, offsets: &str, counts: &str) -> Option<Self> {
        let mut infos = Self::default();
        for (place, start) in parts(starts) {
            let (origin, queue) = place?;
            infos.starts.insert((origin, QueueId(queue.parse().ok()?)), read_offset(start)?);
        }
        for (place, list) in parts(offsets) {
            let (origin, queue) = place?;
            let list = list.split(',').map(read_offset).collect::<Option<Vec<_>>>()?;
            infos.offsets.insert((origin, QueueId(queue.parse().ok()?)), list);
        }
        for (place, count) in parts(counts) {
            let (origin, which) = place?;
            let (queue, offset) = match which.strip_prefix("qo") {
                Some(message) => {
                    let (queue, offset) = message.split_once('%')?;
                    (queue, Some(read_offset(offset)?))
                }
                None => (which, None),
            };
            let place = (origin, QueueId(queue.parse().ok()?));
            infos.counts.insert((place, offset), count.parse().ok()?);
        }
        Some(infos)
    }

    /// Where a message lies that came at `offset` of `queue`, the `at`-th of that queue's: usually there.
    fn place(&self, queue: QueueId, offset: QueueOffset, at: usize) -> Option<(Origin, QueueOffset)> {
        let of = |origin: Origin| self.offsets.get(&(origin, queue));
        let exact = Origin::ALL.into_iter().find(|origin| of(*origin).is_some_and(|l| l.contains(&offset)));
        match exact {
            Some(origin) => Some((origin, offset)),
            // A message that lies in several queues says where it is in its first.
            None => of(Origin::Topic)?.get(at).map(|offset| (Origin::Topic, *offset)),
        }
    }

    fn count(&self, receipt: &Receipt) -> Option<i32> {
        let place = (receipt.origin, receipt.queue);
        self.counts.get(&(place, Some(receipt.offset))).or_else(|| self.counts.get(&(place, None))).copied()
    }
}

/// The parts of an info: an origin and a text each, and what is said of them.
fn parts(text: &str) -> impl Iterator<Item = (Option<(Origin, &str)>, &str)> {
    text.split(';').filter(|part| !part.is_empty()).map(|part| {
        let mut words = part.split(' ');
        let (origin, place, said) = (words.next(), words.next(), words.next());
        let origin = origin.and_then(Origin::parse).filter(|_| words.next().is_none());
        (origin.zip(place).filter(|_| said.is_some()), said.unwrap_or_default())
    })
}

/// Gives each message its receipt, and leaves out those that have none: nobody could acknowledge them. `None` if the
/// answer is not readable.
pub(super) fn with_receipts(
    messages: &[Received],
    answer: &PopMessageResponse<'_>,
    broker: &Arc<str>,
) -> Option<Vec<(Received, Receipt)>> {
    let infos = Infos::parse(answer.starts, answer.offsets, answer.order_counts.unwrap_or_default())?;
    let carried = |message: &Received| {
        let text = message.property(property::POP_CK)?;
        Receipt::parse(text, message.queue_offset())
    };
    // The offsets of each queue's messages, ascending as in the answer.
    let mut of_queues: HashMap<QueueId, Vec<QueueOffset>> = HashMap::new();
    for message in messages.iter().filter(|message| carried(message).is_none()) {
        of_queues.entry(message.queue().id).or_default().push(message.queue_offset());
    }
    for offsets in of_queues.values_mut() {
        offsets.sort_unstable();
    }
    let made = |message: &Received| {
        let (queue, own) = (message.queue().id, message.queue_offset());
        let of_queue = &of_queues[&queue];
        let (origin, offset, start) = if answer.starts.is_empty() {
            // Brokers of before count from the first that they hand out.
            (Origin::Topic, own, of_queue[0])
        } else {
            let (origin, offset) = infos.place(queue, own, of_queue.binary_search(&own).ok()?)?;
            (origin, offset, *infos.starts.get(&(origin, queue))?)
        };
        Some(Receipt {
            start,
            popped: answer.popped,
            invisible: answer.invisible,
            revive_queue: answer.revive_queue,
            origin,
            broker: Arc::clone(broker),
            queue,
            offset,
        })
    };
    let with_receipt = |mut message: Received| {
        let Some(receipt) = carried(&message).or_else(|| made(&message)) else {
            tracing::warn!(?message, "a message without a receipt is left out: it comes again");
            return None;
        };
        if let Some(times) = infos.count(&receipt).filter(|times| *times > 0) {
            message.was_tried(times);
        }
        Some((message, receipt))
    };
    let leases = messages.iter().cloned().filter_map(with_receipt).collect();
    Some(leases)
}
