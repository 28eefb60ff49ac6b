//! Messages that came from a broker.
//!
//! Many arrive in one piece of memory and are taken apart together, by whoever received them: a message is a reference to
//! all of them and its place, so that handing it to another core moves one count and little else. The piece lives as long
//! as any of its messages, and so do their bodies, if they were compressed. A body that is kept alone keeps the piece.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::message::{MessageId, SysFlag, find_property, iter_properties, property};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};

use crate::queue::MessageQueue;
use ferromq_protocol::compress::{DEFAULT_BODY_LIMIT, decompress};

/// A message that came from a broker. Cloning shares its memory.
#[derive(Clone)]
pub struct Received {
    arrival: Arc<Arrival>,
    /// Which of its messages.
    place: usize,
    reconsume_times: i32,
}

/// Messages that came together.
struct Arrival {
    bytes: Bytes,
    /// The queue that was asked, and those beside it that messages lie in, where it was left open which.
    queues: Vec<MessageQueue>,
    messages: Vec<Parts>,
}

/// One message of an arrival, taken apart.
struct Parts {
    /// Its place among the queues of the arrival.
    queue: usize,
    /// Where it lies in the bytes.
    record: Range<usize>,
    properties: Range<usize>,
    body: Bytes,
    flag: i32,
    sys_flag: SysFlag,
    queue_offset: QueueOffset,
    physical_offset: PhysicalOffset,
    born: Timestamp,
    born_host: SocketAddr,
    stored: Timestamp,
    store_host: SocketAddr,
    reconsume_times: i32,
}

impl Arrival {
    /// Takes the messages of `bytes` apart, `most` at most, which came from `queue`. What follows a broken record is left
    /// out.
    fn read(bytes: &Bytes, queue: &MessageQueue, most: usize) -> Self {
        let mut read = Self { bytes: bytes.clone(), queues: vec![queue.clone()], messages: Vec::new() };
        let mut at = 0;
        while read.messages.len() < most
            && let Ok(record) = Record::decode(&bytes[at..])
        {
            if at == 0 {
                // The others are probably about as long.
                read.messages.reserve(most.min(bytes.len().div_ceil(record.len)));
            }
            let parts = read.parts(at, &record);
            read.messages.push(parts);
            at += record.len;
        }
        read
    }

    fn parts(&mut self, at: usize, record: &Record<'_>) -> Parts {
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - self.bytes.as_ptr() as usize;
            start..start + part.len()
        };
        let properties = place(record.properties.as_bytes());
        let body = self.bytes.slice(place(record.body));
        let body = match decompress(record.sys_flag, body.clone(), DEFAULT_BODY_LIMIT) {
            Ok(plain) => plain,
            Err(error) => {
                let queue = &self.queues[0];
                tracing::warn!(%queue, offset = %record.queue_offset, %error, "handing a body on as it came");
                body
            }
        };
        Parts {
            queue: self.queue(record.queue_id),
            record: at..at + record.len,
            properties,
            body,
            flag: record.flag,
            sys_flag: record.sys_flag,
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            born: record.born,
            born_host: record.born_host,
            stored: record.stored,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
        }
    }

    /// The place of the queue with this id. What came by another name says so: a broker's own queue of what it sends again.
    fn queue(&mut self, id: QueueId) -> usize {
        let known = self.queues.iter().position(|queue| queue.id == id);
        known.unwrap_or_else(|| {
            self.queues.push(MessageQueue { id, ..self.queues[0].clone() });
            self.queues.len() - 1
        })
    }
}

impl Received {
    /// The message that `bytes` begin with, which came from `queue`. `None` if there is no whole record.
    pub(crate) fn read(bytes: &Bytes, queue: &MessageQueue) -> Option<Self> {
        Self::all(Arrival::read(bytes, queue, 1)).next()
    }

    /// Every message of `bytes`, which came from `queue`. What follows a broken record is left out.
    pub(crate) fn read_all(
        bytes: &Bytes,
        queue: &MessageQueue,
    ) -> impl ExactSizeIterator<Item = Self> + use<> {
        Self::all(Arrival::read(bytes, queue, usize::MAX))
    }

    fn all(arrival: Arrival) -> impl ExactSizeIterator<Item = Self> {
        let arrival = Arc::new(arrival);
        (0..arrival.messages.len()).map(move |place| Self {
            reconsume_times: arrival.messages[place].reconsume_times,
            place,
            arrival: Arc::clone(&arrival),
        })
    }

    fn parts(&self) -> &Parts {
        &self.arrival.messages[self.place]
    }

    /// The topic that it was sent to, also when it came again by the retry topic of its group. A dead letter's is the topic
    /// of dead letters.
    #[must_use]
    pub fn topic(&self) -> &str {
        let lies_in = self.stored_topic();
        let sent_to = lies_in.retry_group().and_then(|_| self.property(property::RETRY_TOPIC));
        sent_to.unwrap_or(lies_in.as_str())
    }

    /// The queue that it lies in, which may be one of a retry topic.
    #[must_use]
    pub fn queue(&self) -> &MessageQueue {
        &self.arrival.queues[self.parts().queue]
    }

    /// Its number in that queue.
    #[must_use]
    pub fn queue_offset(&self) -> QueueOffset {
        self.parts().queue_offset
    }

    /// What was sent, decompressed; as it came, where that was not possible.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.parts().body
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.property(property::TAGS)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.property(property::KEYS).unwrap_or_default().split_ascii_whitespace()
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        find_property(self.property_string(), name)
    }

    /// Every property with its value, those of clients and brokers included.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        iter_properties(self.property_string())
    }

    /// All properties as they travel.
    pub(crate) fn property_string(&self) -> &str {
        // The decoder saw that it is text.
        std::str::from_utf8(&self.arrival.bytes[self.parts().properties.clone()]).unwrap_or_default()
    }

    /// The id that its producer gave it: the same however often it is stored again. The place of the record, if its
    /// producer gave it none.
    #[must_use]
    pub fn message_id(&self) -> String {
        self.property(property::UNIQUE_KEY).map_or_else(|| self.place().to_string(), str::to_owned)
    }

    /// Where the record lies, on which broker.
    #[must_use]
    pub fn place(&self) -> MessageId {
        MessageId { host: self.parts().store_host, offset: self.parts().physical_offset }
    }

    /// How often it was delivered before.
    #[must_use]
    pub fn reconsume_times(&self) -> i32 {
        self.reconsume_times
    }

    /// When its producer made it, by the producer's clock.
    #[must_use]
    pub fn born(&self) -> Timestamp {
        self.parts().born
    }

    /// Who sent it.
    #[must_use]
    pub fn born_host(&self) -> SocketAddr {
        self.parts().born_host
    }

    /// When the broker stored it, by the broker's clock.
    #[must_use]
    pub fn stored(&self) -> Timestamp {
        self.parts().stored
    }

    /// The application's number.
    #[must_use]
    pub fn flag(&self) -> i32 {
        self.parts().flag
    }

    /// What the message is, in the protocol's bits.
    #[must_use]
    pub fn sys_flag(&self) -> SysFlag {
        self.parts().sys_flag
    }

    /// The body as it is stored, compressed or not.
    pub(crate) fn stored_body(&self) -> Bytes {
        let record = &self.arrival.bytes[self.parts().record.clone()];
        let body = Record::decode(record).map(|record| record.body).unwrap_or_default();
        self.arrival.bytes.slice_ref(body)
    }

    /// It is handed out once more by this process.
    pub(crate) fn tried_again(&mut self) {
        self.reconsume_times += 1;
    }

    /// The broker says beside the message how often it was delivered before.
    pub(crate) fn was_tried(&mut self, times: i32) {
        self.reconsume_times = times;
    }

    /// Bytes that it takes in memory; for limits of what is buffered.
    pub(crate) fn len(&self) -> usize {
        self.parts().record.len()
    }

    /// The topic that it lies in.
    pub(crate) fn stored_topic(&self) -> &TopicName {
        &self.queue().topic
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("queue", &format_args!("{}", self.queue()))
            .field("offset", &self.queue_offset().0)
            .field("id", &self.message_id())
            .field("bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}
