//! Leased messages, and how leases end or are prolonged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{self, BatchAck, BatchAckRequest};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::{EncodeFields, HeaderScratch};
use ferromq_protocol::header::{AckMessage, ChangeInvisibleTime, ChangeInvisibleTimeResponse, Header as _};
use futures_util::future::join_all;

use super::Shared;
use super::error::{AckAllError, PopError};
use super::receipt::{Origin, Receipt};
use crate::backoff::pop_wait;
use crate::error::CallError;
use crate::received::Received;
use crate::wire::{Frame, Link};

/// How often an acknowledgement is tried; to acknowledge twice does no harm.
const ACK_TRIES: u32 = 2;
/// The most messages that one request acknowledges.
const MAX_ACKS: usize = 1024;
/// How far behind the start of its pop a message may lie to be acknowledged with others: that many bits travel.
const MAX_SPAN: u64 = 1 << 13;
/// For how long a lease may be prolonged.
const PROLONGED: std::ops::RangeInclusive<u64> = 1_000..=43_200_000;

/// A message that nobody else of the group is given for a while. Dropping it changes nothing: it comes again when the
/// lease ends.
#[derive(Clone)]
pub struct Leased {
    pub(super) message: Received,
    pub(super) receipt: Receipt,
    pub(super) consumer: Arc<Shared>,
}

impl Leased {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Received {
        &self.message
    }

    /// What entitles to it.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The message is done: it does not come again. To say so twice does no harm.
    ///
    /// # Errors
    /// [`PopError`]. A message of which it is not known comes again, at worst.
    pub async fn ack(&self) -> Result<(), PopError> {
        let topic = self.stored_in()?;
        let header = AckMessage {
            group: self.consumer.group.as_str(),
            topic: topic.as_str(),
            queue: Some(self.receipt.queue),
            receipt: &self.receipt.to_string(),
            offset: Some(self.receipt.offset),
        };
        self.consumer.ack_at(self, RequestCode::AckMessage, &header, &Bytes::new()).await
    }

    /// Lets the lease end in `time` from now instead: 1 s to 12 h. The receipt is a new one then.
    ///
    /// # Errors
    /// [`PopError`]. After one with [`Remedy::Retry`](crate::Remedy::Retry) it is not known when the lease ends.
    pub async fn change_invisible(&mut self, time: Duration) -> Result<(), PopError> {
        let invisible = Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        if !PROLONGED.contains(&invisible.0) {
            let (key, value) = ("the time", invisible.0);
            return Err(PopError::OutOfRange { key, value, allowed: "1000 ms to 43200000 ms" });
        }
        let topic = self.stored_in()?;
        let header = ChangeInvisibleTime {
            group: self.consumer.group.as_str(),
            topic: topic.as_str(),
            queue: Some(self.receipt.queue),
            receipt: &self.receipt.to_string(),
            offset: Some(self.receipt.offset),
            invisible,
        };
        let link = self.link().await?;
        let limit = self.consumer.client.inner.timing.call;
        let frame = link.call(RequestCode::ChangeMessageInvisibleTime, &header, &Bytes::new(), limit).await?;
        let answer = read_change(&link, &frame)?;
        self.receipt.start = self.receipt.offset;
        self.receipt.popped = answer.popped;
        self.receipt.invisible = answer.invisible;
        self.receipt.revive_queue = answer.revive_queue;
        Ok(())
    }

    /// The message could not be consumed: it comes again after a wait, which is 10 s the first time and grows to 2 h, as
    /// with official clients.
    ///
    /// # Errors
    /// As [`Leased::change_invisible`].
    pub async fn give_back(mut self) -> Result<(), PopError> {
        let times = u32::try_from(self.message.reconsume_times()).unwrap_or(0);
        self.change_invisible(Duration::from_millis(pop_wait(times).0)).await
    }

    fn stored_in(&self) -> Result<TopicName, PopError> {
        Ok(self.receipt.origin.topic(&self.consumer.group, self.message.stored_topic())?)
    }

    async fn link(&self) -> Result<Arc<Link>, PopError> {
        let inner = &self.consumer.client.inner;
        let addr = inner.address(self.message.stored_topic(), &self.receipt.broker, 0).await?;
        Ok(inner.link(&addr))
    }
}

impl std::fmt::Debug for Leased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leased")
            .field("message", &self.message)
            .field("receipt", &format_args!("{}", self.receipt))
            .finish_non_exhaustive()
    }
}

fn read_change(link: &Link, frame: &Frame) -> Result<ChangeInvisibleTimeResponse, CallError> {
    let mut scratch = HeaderScratch::new();
    let answer = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
    ChangeInvisibleTimeResponse::decode(&answer.fields).map_err(|error| link.unreadable(&error.to_string()))
}

impl Shared {
    /// Acknowledges at the broker that `leased` came from.
    async fn ack_at(
        &self,
        leased: &Leased,
        code: RequestCode,
        header: &(impl EncodeFields + Sync),
        body: &Bytes,
    ) -> Result<(), PopError> {
        let inner = &self.client.inner;
        let mut tries = 1;
        loop {
            let link = leased.link().await?;
            match inner.call(&link, code, header, body).await {
                Ok(_) => return Ok(()),
                Err(silent) if silent.is_silence() && tries < ACK_TRIES => {
                    tracing::debug!(error = %silent, "acknowledging once more");
                    tries += 1;
                    let _ = inner.reread(leased.message.stored_topic()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Acknowledges with as few requests as possible.
    pub(super) async fn ack_all(&self, leases: Vec<Leased>) -> Result<(), AckAllError> {
        let mut by_broker: BTreeMap<Arc<str>, Vec<Leased>> = BTreeMap::new();
        for leased in leases {
            by_broker.entry(Arc::clone(&leased.receipt.broker)).or_default().push(leased);
        }
        let brokers = by_broker.into_values().map(|leases| async move {
            let mut failed = Vec::new();
            for some in leases.chunks(MAX_ACKS) {
                self.ack_some(some, &mut failed).await;
            }
            failed
        });
        let failed = join_all(brokers).await.into_iter().flatten();
        let (left, errors): (Vec<_>, Vec<_>) = failed.unzip();
        errors.into_iter().next_back().map_or(Ok(()), |source| Err(AckAllError { left, source }))
    }

    /// Acknowledges messages of one broker, and adds what it could not to `failed`.
    async fn ack_some(&self, leases: &[Leased], failed: &mut Vec<(Leased, PopError)>) {
        let (alone, together): (Vec<_>, Vec<_>) = leases.iter().partition(|leased| bit(leased).is_none());
        let mut alone = alone;
        if together.len() > 1 {
            let request = BatchAckRequest {
                broker_name: Some(together[0].receipt.broker.to_string()),
                acks: batches(self.group.as_str(), &together),
            };
            let body = body::encode(&request).into();
            match self.ack_at(together[0], RequestCode::BatchAckMessage, &(), &body).await {
                Ok(()) => {}
                // Brokers of before 5.1 take them one by one.
                Err(PopError::NotSupported { .. }) => alone.extend(together),
                Err(error) => failed.extend(together.into_iter().map(|l| (l.clone(), error.clone()))),
            }
        } else {
            alone.extend(together);
        }
        for leased in alone {
            if let Err(error) = leased.ack().await {
                failed.push((leased.clone(), error));
            }
        }
    }
}

/// Which bit stands for a message; none for one that lies too far from the start of its pop.
fn bit(leased: &Leased) -> Option<usize> {
    let receipt = &leased.receipt;
    receipt.offset.0.checked_sub(receipt.start.0).filter(|bit| *bit < MAX_SPAN).map(|bit| bit as usize)
}

/// What messages that are acknowledged together have in common.
type Pop<'a> = (&'a str, Origin, QueueId, QueueOffset, Timestamp, Millis, u32);

/// One acknowledgement for each pop and queue.
fn batches(group: &str, leases: &[&Leased]) -> Vec<BatchAck> {
    let mut pops: HashMap<Pop<'_>, Vec<u8>> = HashMap::new();
    for leased in leases {
        let Receipt { start, popped, invisible, revive_queue, origin, queue, .. } = leased.receipt;
        let Some(bit) = bit(leased) else { continue };
        let topic = leased.message.stored_topic().as_str();
        let bits = pops.entry((topic, origin, queue, start, popped, invisible, revive_queue)).or_default();
        if bits.len() <= bit / 8 {
            bits.resize(bit / 8 + 1, 0);
        }
        bits[bit / 8] |= 1 << (bit % 8);
    }
    let acks =
        pops.into_iter().map(|((topic, origin, queue, start, popped, invisible, rq), bits)| BatchAck {
            bits: STANDARD.encode(bits),
            group: group.to_owned(),
            invisible: invisible.0 as i64,
            popped,
            queue,
            retry: origin.flag().to_owned(),
            revive_queue: rq,
            start,
            topic: topic.to_owned(),
        });
    acks.collect()
}
