//! Batches: messages of one topic that travel together, in as few frames as their sizes allow.
//!
//! Always true:
//! * a frame holds no more than the producer's `max_message_size`, for which brokers take it as one message. A message
//!   that fills it alone travels as any other;
//! * all messages of a frame go to one queue, one after the other;
//! * what official clients refuse to batch is refused.

use std::ops::Range;

use ferromq_model::batch::{BatchItem, encode_item};
use ferromq_model::message::{SysFlag, property, push_property};
use ferromq_model::{QueueOffset, Timestamp, TopicName};
use ferromq_protocol::code::RequestCode;

use tracing::Instrument as _;

use super::deliver::{Accepted, Aim, Span};
use super::error::{BatchError, InvalidBatch, SendError};
use super::outgoing::Outgoing;
use super::receipt::SendReceipt;
use super::{Producer, Shared};
use crate::identity::UniqueId;
use crate::message::Message;
use crate::spans::{note_failure, sending};

/// Bytes of a message in a batch beside its body and its properties.
const ITEM_LEN: usize = 22;

/// Bytes that a message takes in a batch.
pub(super) fn item_len(message: &Message) -> usize {
    ITEM_LEN + message.body.len() + message.properties.len()
}

/// Appends a message.
pub(super) fn put_item(out: &mut Vec<u8>, message: &Message) {
    let item = BatchItem { flag: message.flag, body: &message.body, properties: &message.properties };
    encode_item(out, item);
}

impl Producer {
    /// Sends messages of one topic together, which is faster than one by one. They are packed by size into frames of at most
    /// [`max_message_size`](crate::ProducerBuilder::max_message_size); each frame goes to one queue, or all of them to the
    /// queue of their sharding key, which then has to be the same for all. They are not compressed.
    ///
    /// Each message is stored on its own; returned are their receipts, in order.
    ///
    /// # Errors
    /// [`BatchError`], with the receipts of the messages before the first that is not known to be stored. Batches are
    /// refused that are empty, of several topics, that mix messages that wait for the store with such that do not, or that
    /// hold delayed messages or such for retry topics.
    pub async fn send_batch(&self, messages: Vec<Message>) -> Result<Vec<SendReceipt>, BatchError> {
        let mut receipts = Vec::with_capacity(messages.len());
        let span = messages.first().map_or_else(tracing::Span::none, |first| sending(first, messages.len()));
        let sent = self.shared.send_batch(messages, &mut receipts).instrument(span.clone()).await;
        match sent {
            Ok(()) => Ok(receipts),
            Err(source) => {
                note_failure(&span, &source);
                Err(BatchError { receipts, source })
            }
        }
    }
}

impl Shared {
    async fn send_batch(
        &self,
        mut messages: Vec<Message>,
        receipts: &mut Vec<SendReceipt>,
    ) -> Result<(), SendError> {
        check(&messages)?;
        let limit = self.settings.max_message_size;
        let now = Timestamp::now();
        let mut ids = Vec::with_capacity(messages.len());
        for message in &mut messages {
            if message.body.len() > limit {
                return Err(SendError::TooLarge { len: message.body.len(), limit });
            }
            ids.push(self.label(message, now)?);
        }
        let span = Span::from_now(self.settings.send_timeout);
        let bound = self.queue_of_key(&messages[0], span).await?;
        let aim = bound.as_ref().map_or(Aim::Any, Aim::Queue);
        let lens: Vec<_> = messages.iter().map(item_len).collect();
        for frame in pack(&lens, limit) {
            let bytes = lens[frame.clone()].iter().sum();
            let _place = self.enter(frame.len(), bytes).await?;
            let span = Span::from_now(self.settings.send_timeout);
            let ids = &ids[frame.clone()];
            if bytes > limit {
                let out = self.envelope(messages[frame.start].clone(), ids[0], now).await;
                receipts.push(self.deliver(&out, aim, span).await?.receipt(&out));
                continue;
            }
            let mut body = Vec::with_capacity(bytes);
            messages[frame].iter().for_each(|message| put_item(&mut body, message));
            let out = batch(messages[0].topic.clone(), body, waits(&messages[0]), now, ids[0]);
            receipts.extend(each(&self.deliver(&out, aim, span).await?, ids));
        }
        Ok(())
    }
}

/// The frame of a batch. It has no id: brokers up to 5.3.3 would give it to each of its messages.
pub(super) fn batch(
    topic: TopicName,
    body: Vec<u8>,
    waits: bool,
    born: Timestamp,
    first: UniqueId,
) -> Outgoing {
    let mut properties = String::new();
    push_property(&mut properties, property::WAIT, if waits { "true" } else { "false" });
    Outgoing {
        code: RequestCode::SendBatchMessage,
        topic,
        body: body.into(),
        properties,
        flag: 0,
        sys_flag: SysFlag(0),
        born,
        id: first,
    }
}

/// The receipts of the messages of a frame.
pub(super) fn each(accepted: &Accepted, ids: &[UniqueId]) -> impl Iterator<Item = SendReceipt> {
    ids.iter().enumerate().map(|(turn, id)| nth(accepted, turn, *id))
}

/// The receipt of one message of a frame.
pub(super) fn nth(accepted: &Accepted, turn: usize, id: UniqueId) -> SendReceipt {
    SendReceipt {
        status: accepted.status,
        message_id: id,
        queue: accepted.queue.clone(),
        offset: QueueOffset(accepted.offset.0 + turn as u64),
        place: accepted.places.get(turn).copied().flatten(),
        recall_handle: None,
    }
}

/// Whether the producer is answered only when the message is safe.
pub(super) fn waits(message: &Message) -> bool {
    message.property(property::WAIT) != Some("false")
}

fn check(messages: &[Message]) -> Result<(), InvalidBatch> {
    let Some(first) = messages.first() else { return Err(InvalidBatch::Empty) };
    let key = |message: &Message| message.property(property::SHARDING_KEY).map(str::to_owned);
    let (first_key, first_waits) = (key(first), waits(first));
    for message in messages {
        if message.is_delayed() {
            return Err(InvalidBatch::Delayed);
        }
        if message.topic.retry_group().is_some() {
            return Err(InvalidBatch::RetryTopic { topic: message.topic.clone() });
        }
        if message.topic != first.topic {
            return Err(InvalidBatch::Topics { one: first.topic.clone(), other: message.topic.clone() });
        }
        if waits(message) != first_waits {
            return Err(InvalidBatch::Waiting);
        }
        if key(message) != first_key {
            return Err(InvalidBatch::ShardingKeys);
        }
    }
    Ok(())
}

/// Which messages go together: as many as fit, in order, and at least one.
fn pack(lens: &[usize], limit: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = *lens.get(start)?;
        let mut bytes = first;
        let more = lens[start + 1..].iter().take_while(|len| {
            bytes += **len;
            bytes <= limit
        });
        let frame = start..start + 1 + more.count();
        start = frame.end;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_hold_as_many_messages_as_fit_in_order() {
        let packed = |lens: &[usize]| pack(lens, 100).collect::<Vec<_>>();
        assert_eq!(packed(&[40, 40, 20, 1, 99]), [0..3, 3..5]);
        assert_eq!(packed(&[101, 100, 1, 200]), [0..1, 1..2, 2..3, 3..4]);
        assert!(packed(&[]).is_empty());
    }

    #[test]
    fn what_official_clients_refuse_to_batch_is_refused() {
        let plain = || Message::builder("T").body("x");
        let build = |builder: crate::MessageBuilder| builder.build().unwrap();
        let refused = |other: Message| check(&[build(plain()), other]).unwrap_err();
        assert_eq!(check(&[]), Err(InvalidBatch::Empty));
        assert_eq!(refused(build(plain().delay_level(1))), InvalidBatch::Delayed);
        assert_eq!(refused(build(plain().deliver_at(Timestamp(1)))), InvalidBatch::Delayed);
        assert_eq!(refused(build(plain().without_waiting_for_store())), InvalidBatch::Waiting);
        assert_eq!(refused(build(plain().sharding_key("k"))), InvalidBatch::ShardingKeys);
        let other = build(Message::builder("U").body("x"));
        assert!(matches!(refused(other), InvalidBatch::Topics { .. }));
        let retry = build(Message::builder("%RETRY%G").body("x"));
        assert!(matches!(refused(retry), InvalidBatch::RetryTopic { .. }));
        assert_eq!(check(&[build(plain()), build(plain().tag("a"))]), Ok(()));
    }
}
