//! What others are told of what a producer does: trace records.
//!
//! Nothing here is reached unless somebody wants to know.

use bytes::Buf as _;
use ferromq_model::message::{SysFlag, find_property, property};
use ferromq_model::{Millis, Timestamp};
use ferromq_protocol::code::RequestCode;

use super::Shared;
use super::deliver::{Accepted, Aim, Span};
use super::error::SendError;
use super::outgoing::Outgoing;
use super::receipt::SendStatus;
use super::transaction::TransactionState;
use crate::client::Inner;
use crate::trace::{DEFAULT_REGION, Tracer};
use crate::trace_record::{MessageKind, TraceRecord, TracedMessage, TransactionDecision};

impl Shared {
    /// The one way by which messages, batches and replies leave, and where it shows how that ended.
    pub(super) async fn deliver(
        &self,
        out: &Outgoing,
        aim: Aim<'_>,
        span: Span,
    ) -> Result<Accepted, SendError> {
        let accepted = self.deliver_unseen(out, aim, span).await?;
        if let Some(tracer) = &self.client.inner.tracer
            && accepted.trace
            && out.topic != tracer.topic
        {
            self.trace_sent(tracer, out, &accepted, span);
        }
        Ok(accepted)
    }

    fn trace_sent(&self, tracer: &Tracer, out: &Outgoing, accepted: &Accepted, span: Span) {
        let store_host = self.client.inner.routes.master(&accepted.queue.broker).unwrap_or_default();
        let millis = span.start.elapsed().as_millis() as u64;
        let kind = if out.sys_flag.0 & SysFlag::TRANSACTION_PREPARED != 0 {
            MessageKind::Half
        } else if is_delayed(&out.properties) {
            MessageKind::Delayed
        } else {
            MessageKind::Normal
        };
        let note = |properties: &str, body_len: usize, place: Option<String>, cost: u64| {
            tracer.note(&TraceRecord::Sent {
                time: out.born,
                region: accepted.region.as_deref().unwrap_or(DEFAULT_REGION),
                group: self.group.as_str(),
                message: traced(out.topic.as_str(), properties),
                store_host: &store_host,
                body_len,
                cost: Millis(cost),
                kind,
                offset_message_id: place.as_deref().unwrap_or_default(),
                success: accepted.status == SendStatus::Stored,
            });
        };
        if out.code == RequestCode::SendBatchMessage {
            let count = accepted.places.len().max(1) as u64;
            for (turn, (properties, body_len)) in items(&out.body).enumerate() {
                let place = accepted.places.get(turn).copied().flatten();
                note(properties, body_len, place.map(|place| place.to_string()), millis / count);
            }
        } else {
            note(&out.properties, out.body.len(), accepted.place.map(|place| place.to_string()), millis);
        }
    }
}

/// A producer has told a broker what has become of a transaction.
pub(super) struct EndedTransaction<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    /// Of the half message.
    pub(super) properties: &'a str,
    pub(super) broker: &'a str,
    pub(super) transaction_id: Option<&'a str>,
    pub(super) state: TransactionState,
    pub(super) from_check: bool,
}

impl EndedTransaction<'_> {
    /// Tells it.
    pub(super) fn trace(&self, inner: &Inner) {
        let Some(tracer) = &inner.tracer else { return };
        let region = find_property(self.properties, property::MSG_REGION);
        tracer.note(&TraceRecord::TransactionEnded {
            time: Timestamp::now(),
            region: region.unwrap_or(DEFAULT_REGION),
            group: self.group,
            message: traced(self.topic, self.properties),
            store_host: self.broker,
            transaction_id: self.transaction_id,
            decision: match self.state {
                TransactionState::Commit => TransactionDecision::Commit,
                TransactionState::Rollback => TransactionDecision::Rollback,
                TransactionState::Unknown => TransactionDecision::Unknown,
            },
            from_check: self.from_check,
        });
    }
}

/// Tells that a timed message was taken back.
pub(super) fn trace_recall(inner: &Inner, group: &str, topic: &str, id: &str) {
    let Some(tracer) = &inner.tracer else { return };
    tracer.note(&TraceRecord::Recalled {
        time: Timestamp::now(),
        region: DEFAULT_REGION,
        group,
        message: TracedMessage { topic, id, tags: None, keys: None },
        success: true,
    });
}

fn traced<'a>(topic: &'a str, properties: &'a str) -> TracedMessage<'a> {
    TracedMessage {
        topic,
        id: find_property(properties, property::UNIQUE_KEY).unwrap_or_default(),
        tags: find_property(properties, property::TAGS),
        keys: find_property(properties, property::KEYS),
    }
}

fn is_delayed(properties: &str) -> bool {
    let delays =
        [property::DELAY, property::TIMER_DELIVER_MS, property::TIMER_DELAY_MS, property::TIMER_DELAY_SEC];
    delays.iter().any(|name| find_property(properties, name).is_some())
}

/// The properties of each message of a batch, and the length of its body.
fn items(mut batch: &[u8]) -> impl Iterator<Item = (&str, usize)> {
    std::iter::from_fn(move || {
        // Length, magic, checksum and flag, then body and properties, each behind its length.
        let (head, mut rest) = batch.split_at_checked(16)?;
        let len = u32::from_be_bytes(*head.first_chunk()?) as usize;
        batch = batch.get(len..)?;
        let body_len = rest.try_get_u32().ok()? as usize;
        rest = rest.get(body_len..)?;
        let properties_len = usize::from(rest.try_get_u16().ok()?);
        Some((std::str::from_utf8(rest.get(..properties_len)?).ok()?, body_len))
    })
}
