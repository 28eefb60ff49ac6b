//! What is measured, and what each client prints about it.

use serde::{Deserialize, Serialize};

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Load {
    /// Callers that each wait for their answer.
    Sync,
    /// Messages in flight that nobody waits for.
    Async,
    /// A push consumer that drains a topic.
    Consume,
}

impl Load {
    /// As both clients are told it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Consume => "consume",
        }
    }

    /// Callers, messages in flight, or messages to drain.
    pub(crate) fn many(self, messages: u64) -> u64 {
        match self {
            Self::Sync => 64,
            Self::Async => 256,
            Self::Consume => messages,
        }
    }
}

/// What a client prints, as one line of JSON: of the measured time alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// Sent or consumed.
    pub(crate) messages: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// User and system time of the client's process.
    pub(crate) cpu_seconds: f64,
    /// Latencies of sends in microseconds.
    #[serde(flatten)]
    pub(crate) latency: Option<Latency>,
    /// What the allocator was asked for; told by our client alone.
    #[serde(flatten)]
    pub(crate) allocated: Option<Allocated>,
}

/// Percentiles in microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// Per message, by all threads of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Allocated {
    /// Calls of the allocator.
    pub(crate) allocations: f64,
    /// Bytes that they asked for.
    pub(crate) allocated_bytes: f64,
}

impl Allocated {
    /// Of so many calls and bytes for so many messages.
    pub(crate) fn per_message((calls, bytes): (u64, u64), messages: u64) -> Self {
        let per_message = |count: u64| count as f64 / messages as f64;
        Self { allocations: per_message(calls), allocated_bytes: per_message(bytes) }
    }
}
