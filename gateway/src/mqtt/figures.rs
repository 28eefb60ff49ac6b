//! What MQTT counts of itself, for `$SYS`, metrics and the HTTP API.
//!
//! Always true: counting costs a relaxed addition or two a message; everything else happens when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ferromq_mqtt::{PacketType, QoS, ReasonCode};

/// Why a message that a client was to have was not sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drop {
    /// It expired.
    Expired,
    /// It is larger than the client takes.
    TooLarge,
    /// More waited than may.
    QueueFull,
    /// The log no longer has it.
    Deleted,
}

impl Drop {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Expired, Self::TooLarge, Self::QueueFull, Self::Deleted];

    /// What it is called in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::QueueFull => "queue_full",
            Self::Deleted => "deleted",
        }
    }
}

/// Messages, and bytes of their payloads.
#[derive(Debug, Default)]
struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// The same, read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// Messages by their quality of service.
#[derive(Debug, Default)]
pub(super) struct ByQoS([Flow; 3]);

impl ByQoS {
    pub(super) fn count(&self, qos: QoS, bytes: usize) {
        let flow = &self.0[qos as usize];
        flow.messages.fetch_add(1, Ordering::Relaxed);
        flow.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Of QoS 0, 1 and 2.
    pub(super) fn read(&self) -> [Amount; 3] {
        self.0.each_ref().map(|flow| Amount {
            messages: flow.messages.load(Ordering::Relaxed),
            bytes: flow.bytes.load(Ordering::Relaxed),
        })
    }

    pub(super) fn messages(&self) -> u64 {
        self.read().iter().map(|amount| amount.messages).sum()
    }
}

/// What is counted since the start, but for the numbers of what there is now.
#[derive(Debug)]
pub(super) struct Counters {
    /// Messages that clients published and that are stored.
    pub(super) received: ByQoS,
    /// Messages that were sent to clients, with the quality that they were sent with.
    pub(super) sent: ByQoS,
    dropped: [AtomicU64; Drop::ALL.len()],
    /// By the code of the reason.
    refused: [AtomicU64; 256],
    /// Subscriptions of all sessions that there are.
    pub(super) subscriptions: AtomicUsize,
    /// Of these, those to filters that begin with `$SYS`.
    pub(super) listeners: AtomicUsize,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: ByQoS::default(),
            sent: ByQoS::default(),
            dropped: Default::default(),
            refused: [const { AtomicU64::new(0) }; 256],
            subscriptions: AtomicUsize::new(0),
            listeners: AtomicUsize::new(0),
        }
    }
}

impl Counters {
    /// Messages were not sent.
    pub(super) fn drop(&self, why: Drop, count: u64) {
        self.dropped[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, why: Drop) -> u64 {
        self.dropped[why as usize].load(Ordering::Relaxed)
    }

    /// A CONNECT was refused.
    pub(super) fn refuse(&self, why: ReasonCode) {
        self.refused[usize::from(why.code())].fetch_add(1, Ordering::Relaxed);
    }

    /// CONNECTs that were refused, by each reason that there can be.
    pub(super) fn refused(&self) -> impl Iterator<Item = (ReasonCode, u64)> {
        let can_be = |why: &&ReasonCode| why.is_failure() && why.is_allowed_in(PacketType::ConnAck);
        let count = |why: &ReasonCode| self.refused[usize::from(why.code())].load(Ordering::Relaxed);
        ReasonCode::ALL.iter().filter(can_be).map(move |why| (*why, count(why)))
    }
}
