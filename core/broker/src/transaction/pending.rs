//! What an operator sees of transactions: those that nobody has ended yet, and who may end one.

use std::collections::BTreeMap;

use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset, Timestamp};

use super::half::Half;
use crate::broker::Broker;

/// Half messages that one look goes through.
const MAX_LOOKED_AT: u64 = 100_000;

/// A transaction that is not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which message of the half topic it is.
    pub half: QueueOffset,
    /// Where that lies in the log.
    pub at: PhysicalOffset,
    /// The producer's group.
    pub group: String,
    /// The topic that the message is for.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
    /// The id that its producer gave the message.
    pub unique_key: Option<String>,
    /// When its producer made it.
    pub born: Timestamp,
    /// When it was stored last: each check stores it anew.
    pub stored: Timestamp,
    /// How often the producer was asked.
    pub checks: u32,
}

impl Pending {
    fn of(half: &Half<'_>) -> Self {
        Self {
            half: half.record.queue_offset,
            at: half.record.physical_offset,
            group: half.group.to_owned(),
            topic: half.real_topic().to_owned(),
            queue: half.real_queue(),
            unique_key: half.unique_key.map(str::to_owned),
            born: half.record.born,
            stored: half.record.stored,
            checks: half.checks,
        }
    }
}

impl Broker {
    /// Transactions that are not ended, oldest first, at most `most`. Blocks.
    #[must_use]
    pub fn pending_transactions(&self, most: usize) -> Vec<Pending> {
        let transactions = self.transactions();
        let (begin, end) = {
            let state = transactions.state.lock();
            (state.next.max(transactions.half.min()), transactions.half.max())
        };
        // Each check leaves a copy behind: the last one of a transaction tells.
        let mut pending = BTreeMap::new();
        let mut at = begin;
        while at < end && at.since(begin) < MAX_LOOKED_AT {
            if let Some(bytes) = self.message_at(&transactions.half, at)
                && let Some(half) = Record::decode(&bytes).ok().and_then(Half::of)
                && !transactions.state.lock().ended.contains(half.first)
                && (pending.len() < most || pending.contains_key(&half.first))
            {
                pending.insert(half.first, Pending::of(&half));
            }
            at = at.plus(1);
        }
        pending.into_values().collect()
    }

    /// The half message at a place, ended or not; `None` if the half topic has none there.
    #[must_use]
    pub fn transaction_at(&self, half: QueueOffset, at: PhysicalOffset) -> Option<Pending> {
        let bytes = self.store().record_at(at)?;
        let found = self.half_message(&bytes, at).filter(|found| found.record.queue_offset == half)?;
        Some(Pending::of(&found))
    }
}
