//! Messages that came from a broker.
//!
//! Many arrive in one piece of memory, which each of them shares: taking one apart allocates nothing, unless its body is
//! compressed. The piece lives as long as any of its messages.

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use ferromq_model::message::{MessageId, SysFlag, find_property, iter_properties, property};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp, TopicName};

use crate::compress::{DEFAULT_BODY_LIMIT, decompress};
use crate::queue::MessageQueue;

/// A message that came from a broker. Cloning shares its memory.
#[derive(Clone)]
pub struct Received {
    queue: MessageQueue,
    record: Bytes,
    body: Bytes,
    properties: Range<usize>,
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

impl Received {
    /// Takes the record at `at` of `bytes`, which came from `queue`; returns it with its length. `None` if there is no
    /// whole record.
    pub(crate) fn read(bytes: &Bytes, at: usize, queue: &MessageQueue) -> Option<(Self, usize)> {
        let record = Record::decode(bytes.get(at..)?).ok()?;
        let len = record.len;
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - bytes.as_ptr() as usize - at;
            start..start + part.len()
        };
        let whole = bytes.slice(at..at + len);
        let (body, properties) = (place(record.body), place(record.properties.as_bytes()));
        let body = whole.slice(body);
        let body = match decompress(record.sys_flag, body.clone(), DEFAULT_BODY_LIMIT) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::warn!(%queue, offset = %record.queue_offset, %error, "handing a body on as it came");
                body
            }
        };
        let read = Self {
            // What came by another name says so: a broker's own queue of what it sends again.
            queue: MessageQueue { id: record.queue_id, ..queue.clone() },
            body,
            properties,
            flag: record.flag,
            sys_flag: record.sys_flag,
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            born: record.born,
            born_host: record.born_host,
            stored: record.stored,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            record: whole,
        };
        Some((read, len))
    }

    /// Every message of `bytes`, which came from `queue`. What follows a broken record is left out.
    pub(crate) fn read_all(bytes: &Bytes, queue: &MessageQueue) -> impl Iterator<Item = Self> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (read, len) = Self::read(bytes, at, queue)?;
            at += len;
            Some(read)
        })
    }

    /// The topic that it was sent to, also when it came again by the retry topic of its group. A dead letter's is the topic
    /// of dead letters.
    #[must_use]
    pub fn topic(&self) -> &str {
        let lies_in = &self.queue.topic;
        let sent_to = lies_in.retry_group().and_then(|_| self.property(property::RETRY_TOPIC));
        sent_to.unwrap_or(lies_in.as_str())
    }

    /// The queue that it lies in, which may be one of a retry topic.
    #[must_use]
    pub fn queue(&self) -> &MessageQueue {
        &self.queue
    }

    /// Its number in that queue.
    #[must_use]
    pub fn queue_offset(&self) -> QueueOffset {
        self.queue_offset
    }

    /// What was sent, decompressed; as it came, where that was not possible.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
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
        std::str::from_utf8(&self.record[self.properties.clone()]).unwrap_or_default()
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
        MessageId { host: self.store_host, offset: self.physical_offset }
    }

    /// How often it was delivered before.
    #[must_use]
    pub fn reconsume_times(&self) -> i32 {
        self.reconsume_times
    }

    /// When its producer made it, by the producer's clock.
    #[must_use]
    pub fn born(&self) -> Timestamp {
        self.born
    }

    /// Who sent it.
    #[must_use]
    pub fn born_host(&self) -> SocketAddr {
        self.born_host
    }

    /// When the broker stored it, by the broker's clock.
    #[must_use]
    pub fn stored(&self) -> Timestamp {
        self.stored
    }

    /// The application's number.
    #[must_use]
    pub fn flag(&self) -> i32 {
        self.flag
    }

    /// What the message is, in the protocol's bits.
    #[must_use]
    pub fn sys_flag(&self) -> SysFlag {
        self.sys_flag
    }

    /// The body as it is stored, compressed or not.
    pub(crate) fn stored_body(&self) -> Bytes {
        let record = Record::decode(&self.record).map(|record| record.body).unwrap_or_default();
        self.record.slice_ref(record)
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
        self.record.len()
    }

    /// The topic that it lies in.
    pub(crate) fn stored_topic(&self) -> &TopicName {
        &self.queue.topic
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("queue", &format_args!("{}", self.queue))
            .field("offset", &self.queue_offset.0)
            .field("id", &self.message_id())
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
