//! How long messages take from one stage of their way to the next.
//!
//! ```text
//! frames of one read ─▶ decode ─▶ queue ─▶ append ─▶ flush ─▶ replicate ─▶ respond ─▶ bytes given to the system
//! ```
//! A batch is counted at once, with the clock read three times in all: each of its messages counts with what the batch
//! took. What is told of decoding and queueing is worked out from the time in which the batch came together: of `n`
//! messages each took an nth of it, and waited on average for half of the others.

use std::time::{Duration, Instant};

use ferromq_model::histogram::{Histogram, Times};

/// A stage on the way of a message into the store, and of its answer back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading its frame, checking it, finding its queue, encoding its record.
    Decode,
    /// Waiting for those that came with it, to be stored by one append.
    Queue,
    /// Storing it, and waiting for others that store.
    Append,
    /// Waiting for the disk; with async flush nobody does.
    Flush,
    /// Waiting for replicas, of which there are none.
    Replicate,
    /// From where nothing is left to wait for until its answer is given to the system.
    Respond,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Decode, Self::Queue, Self::Append, Self::Flush, Self::Replicate, Self::Respond];

    /// What metrics call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Queue => "queue",
            Self::Append => "append",
            Self::Flush => "flush",
            Self::Replicate => "replicate",
            Self::Respond => "respond",
        }
    }
}

/// Times of all stages.
#[derive(Debug, Default)]
pub struct Stages([Histogram; Stage::ALL.len()]);

impl Stages {
    /// Notes that a stage took so long for each of `messages`.
    pub fn took(&self, stage: Stage, time: Duration, messages: u64) {
        if messages > 0 {
            self.0[stage as usize].took(time, messages);
        }
    }

    /// Notes that `messages` came together between `began` and `ended`.
    pub(crate) fn collected(&self, began: Instant, ended: Instant, messages: u64) {
        let Ok(count @ 1..) = u32::try_from(messages) else { return };
        let each = ended.saturating_duration_since(began) / count;
        self.took(Stage::Decode, each, messages);
        self.took(Stage::Queue, each * (count - 1) / 2, messages);
    }

    /// What was counted of a stage.
    #[must_use]
    pub fn reading(&self, stage: Stage) -> Times {
        self.0[stage as usize].reading()
    }
}
