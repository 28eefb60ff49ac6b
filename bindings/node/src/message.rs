//! Messages to send, as JavaScript packs them, and what it is told of those that are stored.

use std::time::Duration;

use ferromq_bindings::Fault;
use ferromq_client::{
    Message, MessageBuilder, MessageQueue, QueueId, SendReceipt, SendStatus, Timestamp, TopicName,
};
use serde::Deserialize;

use crate::batch::Batch;
use crate::bridge::Answer;
use crate::packed::{Reader, Writer};

/// What a packed message has: bits of the number that it begins with.
mod has {
    /// Another topic than the one before.
    pub(super) const TOPIC: u32 = 1;
    pub(super) const TAG: u32 = 1 << 1;
    pub(super) const KEYS: u32 = 1 << 2;
    pub(super) const SHARDING_KEY: u32 = 1 << 3;
    pub(super) const DELAY_LEVEL: u32 = 1 << 4;
    pub(super) const DELIVER_AT: u32 = 1 << 5;
    pub(super) const DELIVER_AFTER: u32 = 1 << 6;
    pub(super) const FLAG: u32 = 1 << 7;
    pub(super) const NO_WAIT: u32 = 1 << 8;
    pub(super) const PROPERTIES: u32 = 1 << 9;
    /// A queue that it is to go to.
    pub(super) const QUEUE: u32 = 1 << 10;
}

/// Messages that JavaScript packed one behind the other.
pub(crate) struct Outgoing {
    packed: Reader,
    /// The topic of the message before: its name, or the text that is none.
    topic: Result<TopicName, String>,
}

/// A message, and where it is to go.
type Sent = (Message, Option<MessageQueue>);

impl Outgoing {
    /// Copies them.
    pub(crate) fn copy_of(packed: &[u8]) -> Self {
        Self { packed: Reader::copy_of(packed), topic: Err(String::new()) }
    }

    /// The next message; before it are the id of its call and its length, so that what cannot be read of it leaves those
    /// behind it as they are.
    pub(crate) fn next_call(&mut self) -> Option<(u32, Result<Sent, Fault>)> {
        let id = self.packed.u32()?;
        let end = self.packed.u32()? as usize + self.packed.at();
        let message = self.next().unwrap_or_else(|| Err(unreadable()));
        self.packed.go_to(end);
        Some((id, message))
    }

    /// The only message.
    pub(crate) fn one(&mut self) -> Result<Message, Fault> {
        self.next().unwrap_or_else(|| Err(unreadable())).map(|(message, _)| message)
    }

    /// All messages.
    pub(crate) fn all(&mut self) -> Result<Vec<Message>, Fault> {
        let mut all = Vec::new();
        while !self.packed.is_at_end() {
            all.push(self.one()?);
        }
        Ok(all)
    }

    /// The next message; none if there is none that can be read. One that cannot be sent is read to its end.
    fn next(&mut self) -> Option<Result<Sent, Fault>> {
        let packed = &mut self.packed;
        let has = packed.u32()?;
        if has & has::TOPIC != 0 {
            let topic = packed.text()?;
            self.topic = TopicName::new(topic).map_err(|_| topic.to_owned());
        }
        let builder = match &self.topic {
            Ok(topic) => Message::builder_of(topic),
            Err(text) => Message::builder(text),
        };
        let body = packed.bytes()?;
        let mut builder = builder.body(body);
        if has & has::TAG != 0 {
            builder = builder.tag(packed.text()?);
        }
        if has & has::KEYS != 0 {
            builder = builder.key(packed.text()?);
        }
        if has & has::SHARDING_KEY != 0 {
            builder = builder.sharding_key(packed.text()?);
        }
        if has & has::DELAY_LEVEL != 0 {
            builder = builder.delay_level(packed.u8()?);
        }
        if has & has::DELIVER_AT != 0 {
            builder = builder.deliver_at(Timestamp(packed.number()? as i64));
        }
        if has & has::DELIVER_AFTER != 0 {
            builder = builder.deliver_after(Duration::from_millis(packed.number()? as u64));
        }
        if has & has::FLAG != 0 {
            builder = builder.flag(packed.i32()?);
        }
        if has & has::NO_WAIT != 0 {
            builder = builder.without_waiting_for_store();
        }
        if has & has::PROPERTIES != 0 {
            for _ in 0..packed.u32()? {
                builder = property(builder, packed)?;
            }
        }
        let queue = if has & has::QUEUE != 0 { Some(queue(packed)?) } else { None };
        let message = builder.build().map_err(Fault::from);
        Some(message.and_then(|message| Ok((message, queue.transpose()?))))
    }
}

/// A property: its name and, if it is not left out, its value.
fn property(builder: MessageBuilder, packed: &mut Reader) -> Option<MessageBuilder> {
    let name = packed.text()?.to_owned();
    Some(builder.property(&name, packed.text()?))
}

fn queue(packed: &mut Reader) -> Option<Result<MessageQueue, Fault>> {
    let topic = packed.text()?.to_owned();
    let broker = packed.text()?.to_owned();
    let id = packed.u32()?;
    Some(QueueOf { topic, broker, id }.queue())
}

fn unreadable() -> Fault {
    Fault::config("no message where one was expected")
}

/// A queue as JavaScript names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueOf {
    topic: String,
    broker: String,
    id: u32,
}

impl QueueOf {
    pub(crate) fn queue(&self) -> Result<MessageQueue, Fault> {
        let topic = TopicName::new(&self.topic).map_err(Fault::config)?;
        Ok(MessageQueue { topic, broker: self.broker.as_str().into(), id: QueueId(self.id) })
    }
}

/// Writes a queue.
pub(crate) fn write_queue(to: &mut Writer, queue: &MessageQueue) {
    to.text(queue.topic.as_str());
    to.text(&queue.broker);
    to.u32(queue.id.0);
}

fn write_receipt(to: &mut Writer, receipt: &SendReceipt) {
    let at = to.reserve_u32();
    let start = to.len();
    to.u8(match receipt.status {
        SendStatus::Stored => 0,
        SendStatus::FlushDiskTimeout => 1,
        SendStatus::FlushSlaveTimeout => 2,
        SendStatus::SlaveNotAvailable => 3,
    });
    to.number(receipt.offset.0 as f64);
    to.text(receipt.message_id.as_str());
    write_queue(to, &receipt.queue);
    to.shown_if_any(receipt.place);
    to.shown_if_any(receipt.recall_handle.as_deref());
    to.set_u32(at, (to.len() - start) as u32);
}

/// Writes receipts: how many, and each after its length, so that they can be read one by one.
pub(crate) fn write_receipts(to: &mut Writer, receipts: &[SendReceipt]) {
    to.u32(receipts.len() as u32);
    for receipt in receipts {
        write_receipt(to, receipt);
    }
}

impl Answer for SendReceipt {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        write_receipt(to, &self);
    }
}

impl Answer for Vec<SendReceipt> {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        write_receipts(to, &self);
    }
}

impl Answer for Vec<MessageQueue> {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.u32(self.len() as u32);
        for queue in &self {
            write_queue(to, queue);
        }
    }
}

/// Queues as JavaScript reads them at once.
pub(crate) fn queues_json(queues: &[MessageQueue]) -> String {
    let queues: Vec<_> =
        queues.iter().map(|queue| (queue.topic.as_str(), &queue.broker, queue.id.0)).collect();
    serde_json::to_string(&queues).expect("texts and numbers are always JSON")
}
