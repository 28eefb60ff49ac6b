//! Saving how far pops and their records are: in rounds, each of which notes positions, waits until the log is flushed up
//! to where it stood, and then commits them to the offsets table.
//!
//! ```text
//! round n    note positions, log end ─────────▶ flushed? commit ─┐
//! round n+1                                                      └ note positions, log end ─▶ …
//! ```
//! What the table says of groups is then true of a log that a power cut has shortened, and what it says of the revive
//! topic, too. Two numbers are kept of each revive queue: the last record that needs no reading again, as the Java broker
//! keeps it, and how far records have been read, so that only later ones raise positions at a start. An operator's reset
//! is not undone by what was popped before it.

use std::sync::Arc;

use ferromq_model::{PhysicalOffset, QueueId, QueueOffset};

use super::places::PopQueue;
use super::revive::Revive;
use crate::broker::Broker;

/// The Java broker's group: it has the last record that is done with, not the next one.
pub(super) const DONE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";
/// Ours: it has the next record whose check points raise positions.
pub(super) const READ_GROUP: &str = "CID_RMQ_SYS_REVIVE_READ";

/// Positions that are committed once the log is flushed up to `upto`.
pub(super) struct Round {
    upto: PhysicalOffset,
    positions: Vec<(Arc<PopQueue>, QueueOffset)>,
    /// Of each revive queue.
    queues: Vec<QueueNote>,
}

struct QueueNote {
    done: Option<QueueOffset>,
    read: QueueOffset,
}

impl Revive {
    /// Commits the last round if the log is flushed that far, and begins the next one.
    pub(super) fn settle(&mut self, broker: &Broker) {
        let stats = broker.store().stats();
        match self.round.take() {
            Some(round) if round.upto > stats.flushed => {
                self.round = Some(round);
                return;
            }
            Some(round) => self.commit(broker, round),
            None => {}
        }
        // First how far records are read, then positions: each record below belongs to a position that is taken.
        let note = |(id, queue): (usize, &super::revive::ReviveQueue)| {
            let next = self.index.oldest(id as u32).unwrap_or(queue.next);
            QueueNote { done: next.0.checked_sub(1).map(QueueOffset), read: queue.next }
        };
        let queues = self.queues.iter().enumerate().map(note).collect();
        let positions = broker.pops().places().take_changed();
        self.round = Some(Round { upto: broker.store().stats().log_max, positions, queues });
    }

    fn commit(&self, broker: &Broker, round: Round) {
        let offsets = broker.offsets();
        for (queue, next) in round.positions {
            broker.pops().places().commit(&queue, next, offsets);
        }
        let topic = self.topic();
        for (id, note) in round.queues.iter().enumerate() {
            let id = QueueId(id as u32);
            if let Some(done) = note.done {
                offsets.commit(DONE_GROUP, topic, id, done);
            }
            if note.read > QueueOffset::ZERO {
                offsets.commit(READ_GROUP, topic, id, note.read);
            }
        }
        broker.pops().places().forget_idle(broker.store().now());
    }
}
