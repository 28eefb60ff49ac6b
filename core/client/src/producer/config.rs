//! What a producer is built with.

use std::time::Duration;

use ferromq_model::GroupName;
use tokio::sync::mpsc;

use super::error::ProducerError;
use super::room::{MAX_BYTES, MAX_COUNT};
use super::{Producer, Shared};
use crate::client::Client;
use crate::error::ConfigError;
use crate::wire::Request;
use ferromq_protocol::compress::{Compression, DEFAULT_LEVEL, DEFAULT_THRESHOLD};

/// Builds a [`Producer`]. What is not set is as in official clients.
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    group: String,
    settings: Settings,
}

/// How a producer sends.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) send_timeout: Duration,
    pub(super) try_timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_when_not_stored: bool,
    pub(super) max_message_size: usize,
    pub(super) compression: Option<Compression>,
    pub(super) compress_over: usize,
    pub(super) compression_level: u32,
    pub(super) avoid_slow_brokers: bool,
    pub(super) topic_queues: u32,
    pub(super) linger: Option<Duration>,
    pub(super) linger_bytes: usize,
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            try_timeout: None,
            retries: 2,
            retry_when_not_stored: false,
            max_message_size: 4 << 20,
            compression: Some(Compression::default()),
            compress_over: DEFAULT_THRESHOLD,
            compression_level: DEFAULT_LEVEL,
            avoid_slow_brokers: false,
            topic_queues: 4,
            linger: None,
            linger_bytes: 32 << 10,
            max_in_flight: 10_000,
            max_in_flight_bytes: 64 << 20,
        }
    }
}

impl Client {
    /// Begins to build a producer of this group. Producers of one group stand in for each other: a broker that asks how a
    /// transaction ended asks any of them.
    #[must_use]
    pub fn producer(&self, group: &str) -> ProducerBuilder {
        ProducerBuilder { client: self.clone(), group: group.to_owned(), settings: Settings::default() }
    }
}

impl ProducerBuilder {
    /// How long sending a message may take, in all tries together: 3 s by default. Waiting for room does not count.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_timeout = timeout;
        self
    }

    /// How long one try may take (`sendMsgMaxTimeoutPerRequest`): as long as all together by default, so that a broker which
    /// is silent leaves no time for another.
    #[must_use]
    pub fn try_timeout(mut self, timeout: Duration) -> Self {
        self.settings.try_timeout = Some(timeout);
        self
    }

    /// How often a message is tried again after a failure, on another broker if there is one: 2 times by default. A message
    /// may be stored twice by this.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Whether a message that is stored, but less safely than it should be, is sent again to another broker: not by
    /// default.
    #[must_use]
    pub fn retry_another_broker_when_not_stored(mut self, retry: bool) -> Self {
        self.settings.retry_when_not_stored = retry;
        self
    }

    /// The most bytes of a body, before it is compressed: 4 MiB by default, which is what brokers take by default.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// How large bodies are compressed: zlib by default. `None` leaves all as they are.
    #[must_use]
    pub fn compression(mut self, compression: Option<Compression>) -> Self {
        self.settings.compression = compression;
        self
    }

    /// Bodies of more bytes than this are compressed: 4096 by default.
    #[must_use]
    pub fn compress_over(mut self, bytes: usize) -> Self {
        self.settings.compress_over = bytes;
        self
    }

    /// How much work is put into compressing: 5 by default; zlib has 0 to 9, Zstandard 1 to 22.
    #[must_use]
    pub fn compression_level(mut self, level: u32) -> Self {
        self.settings.compression_level = level;
        self
    }

    /// Whether brokers that were slow or failed are left alone for a while (`sendLatencyFaultEnable`): not by default. A
    /// message that was refused goes to another broker in any case.
    #[must_use]
    pub fn avoid_slow_brokers(mut self, avoid: bool) -> Self {
        self.settings.avoid_slow_brokers = avoid;
        self
    }

    /// How many queues a topic gets that does not exist and that brokers create by themselves: 4 by default.
    #[must_use]
    pub fn topic_queues(mut self, queues: u32) -> Self {
        self.settings.topic_queues = queues;
        self
    }

    /// How long a message may wait for others of its topic to travel with, 1 ms to 10 s: not at all by default. Pays where
    /// many tasks send at the same time. Messages that are delayed, compressed or in transactions do not wait.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.settings.linger = Some(time);
        self
    }

    /// As many bytes of messages travel at once, without waiting any longer: 32 KiB by default, and never more than
    /// `max_message_size`. Larger messages do not wait.
    #[must_use]
    pub fn linger_bytes(mut self, bytes: usize) -> Self {
        self.settings.linger_bytes = bytes;
        self
    }

    /// How many messages may be in flight: 10,000 by default. Further senders wait.
    #[must_use]
    pub fn max_in_flight(mut self, messages: usize) -> Self {
        self.settings.max_in_flight = messages;
        self
    }

    /// How many bytes of bodies may be in flight: 64 MiB by default. Further senders wait; a larger message goes alone.
    #[must_use]
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_in_flight_bytes = bytes;
        self
    }

    /// The producer.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub fn build(self) -> Result<Producer, ProducerError> {
        self.open().map(|(producer, _)| producer)
    }

    /// The producer, and where requests of brokers come for it.
    pub(super) fn open(self) -> Result<(Producer, mpsc::Receiver<Request>), ProducerError> {
        let group = GroupName::new(&self.group).map_err(ConfigError::from)?;
        self.settings.check()?;
        let (membership, requests) = self.client.inner.join_producers(&group)?;
        // Brokers that are known already hear of it now.
        self.client.inner.beat.notify_one();
        Ok((Producer { shared: Shared::new(self.client, group, membership, self.settings) }, requests))
    }
}

impl Settings {
    fn check(&self) -> Result<(), ConfigError> {
        let times = Duration::from_millis(10)..=Duration::from_secs(3600);
        let given = [("send_timeout", Some(self.send_timeout)), ("try_timeout", self.try_timeout)];
        for (key, time) in given {
            if let Some(time) = time.filter(|time| !times.contains(time)) {
                let value = format!("{} ms", time.as_millis());
                return Err(ConfigError::OutOfRange { key, value, allowed: "10 ms to 1 h" });
            }
        }
        if let Some(linger) = self.linger
            && !(Duration::from_millis(1)..=Duration::from_secs(10)).contains(&linger)
        {
            let value = format!("{} ms", linger.as_millis());
            return Err(ConfigError::OutOfRange { key: "linger", value, allowed: "1 ms to 10 s" });
        }
        let numbers = [
            ("retries", self.retries as usize, 0..=16, "0 to 16"),
            // Frames of 16 MiB are what servers read.
            ("max_message_size", self.max_message_size, 1..=15 << 20, "1 byte to 15 MiB"),
            ("linger_bytes", self.linger_bytes, 1..=15 << 20, "1 byte to 15 MiB"),
            ("topic_queues", self.topic_queues as usize, 1..=1024, "1 to 1024"),
            ("max_in_flight", self.max_in_flight, 1..=MAX_COUNT, "1 to 1,048,576"),
            ("max_in_flight_bytes", self.max_in_flight_bytes, 1..=MAX_BYTES, "1 byte to 16 GiB"),
        ];
        for (key, value, range, allowed) in numbers {
            if !range.contains(&value) {
                return Err(ConfigError::OutOfRange { key, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }
}
