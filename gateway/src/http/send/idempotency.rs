//! `Idempotency-Key`: a repeated request is answered with the first result, and nothing is stored twice.
//!
//! ```text
//! key ─▶ mark ─┬─ in hand: wait and ask again
//!              ├─ just done, in this table: its result
//!              ├─ in the store's index, within the window: the message that carries the mark, and so its result
//!              └─ new: stored with the mark among its KEYS
//! ```
//! Always true:
//! * the mark is part of the message, so that after a crash there is either both or neither;
//! * a mark leaves the table only once the index has it: at any moment one of the two knows it;
//! * what is answered again is as safe as what is answered first.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use ferromq_broker::Broker;
use ferromq_broker::recall::RecallHandle;
use ferromq_model::message::{MessageId, find_property, property};
use ferromq_model::name::TIMER_TOPIC;
use ferromq_model::record::{Record, checksum};
use ferromq_model::{Millis, PhysicalOffset, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::append::Sent;
use crate::http::problem::{Kind, Problem};

/// What the word begins with that a message carries among its keys.
pub(in crate::http) const PREFIX: &str = "idempotency-";
/// The longest key.
const MAX_KEY: usize = 255;
/// Results that are kept at hand, beyond those that the index does not have yet.
const MAX_KEPT: usize = 1 << 16;
/// Keys that are in hand, or that the index does not have yet, at most.
const MAX_WAITING: usize = 1 << 18;
/// How long a start may take to read into its index what the last run left.
const INDEX_PATIENCE: Duration = Duration::from_secs(10);

/// A key as its client wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        if text.is_empty() || text.len() > MAX_KEY {
            let why = format!("the header Idempotency-Key has 1 to {MAX_KEY} characters");
            return Err(Kind::BadRequest.because(why));
        }
        Ok(Self(text))
    }

    /// The word that the request's message of this number carries among its keys.
    pub(super) fn mark(self, topic: &str, number: usize) -> Mark {
        let hash = Sha256::new().chain_update(topic).chain_update([0]).chain_update(self.0);
        let hash = hash.chain_update([0]).chain_update(number.to_be_bytes()).finalize();
        let mut word = String::with_capacity(PREFIX.len() + 32);
        word.push_str(PREFIX);
        for byte in &hash[..16] {
            let _ = write!(word, "{byte:02x}");
        }
        Mark(word)
    }
}

/// What a message of a request with a key is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message that was stored, and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) sent: Sent,
    /// It is safe once the log is, up to here.
    pub(super) end: PhysicalOffset,
    /// Of the body.
    crc: u32,
    at: Timestamp,
}

#[derive(Debug)]
enum Entry {
    InHand,
    Done(Done),
}

/// Keys of this process.
pub(in crate::http) struct Idempotency {
    window: Millis,
    /// Where the log ended when this began: what lies before may be marked, and is looked up in the index alone.
    began: PhysicalOffset,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Mark, Entry>,
    /// Marks that are done, the oldest first.
    done: VecDeque<Mark>,
}

/// What a key stands for.
pub(super) enum Claim<'a> {
    /// Nothing yet: whoever has this stores it.
    New(InHand<'a>),
    /// Something that is stored.
    Again(Done),
}

/// A mark that is being stored. Dropped without a result, it is free again.
pub(super) struct InHand<'a> {
    of: &'a Idempotency,
    mark: Mark,
    crc: u32,
}

impl Idempotency {
    pub(in crate::http) fn new(broker: &Broker, window: Millis) -> Self {
        let began = broker.store().stats().log_max;
        Self { window, began, table: Mutex::default() }
    }

    /// Finds out what `mark` stands for, of a message with this body.
    pub(super) async fn claim(
        &self,
        broker: &Broker,
        topic: &str,
        mark: Mark,
        body: &[u8],
    ) -> Result<Claim<'_>, Problem> {
        if !broker.store().config().index {
            let why = "keys are looked up in the index, which messageIndexEnable=false switches off";
            return Err(Kind::NotEnabled.because(why));
        }
        let crc = checksum(body);
        let now = broker.store().now();
        let from = Timestamp(now.0.saturating_sub(self.window.0 as i64));
        {
            let mut table = self.table.lock();
            match table.entries.get(&mark) {
                Some(Entry::InHand) => return Err(Kind::KeyInUse.because("it is not answered yet")),
                Some(Entry::Done(done)) if done.at >= from => return done.again(crc),
                Some(Entry::Done(_)) | None => {}
            }
            table.drop_known(broker.store().indexed());
            if table.entries.len() >= MAX_WAITING {
                return Err(Kind::TooMany.because(format!("{MAX_WAITING} keys wait for the index")));
            }
            table.entries.insert(mark.clone(), Entry::InHand);
        }
        // From here on, whatever ends this early gives the mark back.
        let claim = InHand { of: self, mark, crc };
        self.index_is_whole(broker).await?;
        match find(broker, topic, &claim.mark, from, now) {
            Some(done) => done.again(crc),
            None => Ok(Claim::New(claim)),
        }
    }

    /// Waits until the index has what was stored before this process began.
    async fn index_is_whole(&self, broker: &Broker) -> Result<(), Problem> {
        let whole = async {
            while broker.store().indexed() < self.began {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let patience = tokio::time::timeout(INDEX_PATIENCE, whole).await;
        patience.map_err(|_| {
            Kind::NotWritable.because("the index of messages is still being read after the start")
        })
    }
}

impl InHand<'_> {
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// It is stored; safe once the log is, up to `end`.
    pub(super) fn done(self, sent: &Sent, end: PhysicalOffset, at: Timestamp) {
        let mut table = self.of.table.lock();
        let done = Done { sent: sent.clone(), end, crc: self.crc, at };
        table.entries.insert(self.mark.clone(), Entry::Done(done));
        table.done.push_back(self.mark.clone());
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let mut table = self.of.table.lock();
        if matches!(table.entries.get(&self.mark), Some(Entry::InHand)) {
            table.entries.remove(&self.mark);
        }
    }
}

impl Table {
    /// Forgets the oldest of what the index has.
    fn drop_known(&mut self, indexed: PhysicalOffset) {
        while self.done.len() > MAX_KEPT {
            let Some(oldest) = self.done.front() else { return };
            match self.entries.get(oldest) {
                Some(Entry::Done(done)) if done.end > indexed => return,
                Some(Entry::Done(_)) => {
                    self.entries.remove(oldest);
                }
                Some(Entry::InHand) | None => {}
            }
            self.done.pop_front();
        }
    }
}

impl Done {
    fn again<'a>(&self, crc: u32) -> Result<Claim<'a>, Problem> {
        if self.crc != crc {
            return Err(Kind::KeyReused.because("the first request with this key had another body"));
        }
        Ok(Claim::Again(self.clone()))
    }
}

/// The message that carries the mark, where it is, or waits for its time.
fn find(broker: &Broker, topic: &str, mark: &Mark, from: Timestamp, upto: Timestamp) -> Option<Done> {
    [topic, TIMER_TOPIC].into_iter().find_map(|stored_in| {
        let found = broker.store().find_by_key(stored_in, mark.as_str(), from, upto, 1);
        done_of(broker, topic, &Record::decode(found.first()?).ok()?)
    })
}

fn done_of(broker: &Broker, topic: &str, record: &Record<'_>) -> Option<Done> {
    let property = |name| find_property(record.properties, name);
    let offset_message_id = MessageId { host: record.store_host, offset: record.physical_offset }.to_string();
    let unique = property(property::UNIQUE_KEY);
    let slot = property(property::TIMER_OUT_MS).and_then(|slot| slot.parse().ok()).map(Timestamp);
    let recall =
        slot.zip(unique).map(|(slot, unique)| RecallHandle::of(topic, &broker.config().name, slot, unique));
    let queue = property(property::REAL_QUEUE_ID).and_then(|queue| queue.parse().ok());
    Some(Done {
        sent: Sent {
            message_id: unique.map_or_else(|| offset_message_id.clone(), str::to_owned),
            offset_message_id,
            queue_id: queue.unwrap_or(record.queue_id.0),
            queue_offset: record.queue_offset.0,
            recall_handle: recall.map(|handle| handle.encode()),
        },
        end: PhysicalOffset(record.physical_offset.0 + record.len as u64),
        crc: record.body_crc,
        at: record.stored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_topics_keys_and_numbers_apart() {
        let mark = |topic, key, number| Key::parse(key).unwrap().mark(topic, number);
        let one = mark("T", "a", 0);
        assert_eq!(one, mark("T", "a", 0));
        assert_eq!(one.as_str().len(), PREFIX.len() + 32);
        for other in [mark("U", "a", 0), mark("T", "b", 0), mark("T", "a", 1)] {
            assert_ne!(one, other);
        }
        assert!(Key::parse("").is_err() && Key::parse(&"x".repeat(256)).is_err());
    }
}
