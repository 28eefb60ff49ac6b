//! Producers.

use bytes::Bytes;
use ferromq_bindings::{Fault, Open};
use ferromq_client::{self as core, Reply};
use napi_derive::napi;

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::client::Client;
use crate::errors::thrown;
use crate::message::Outgoing;
use crate::options::{Ms, configured};
use crate::packed::Writer;

/// Sends messages.
#[napi]
pub struct Producer(Open<core::Producer>);

impl Producer {
    pub(crate) fn of(producer: core::Producer) -> Self {
        Self(Open::new("producer", producer))
    }
}

#[napi]
impl Producer {
    #[napi(constructor)]
    pub fn new(bridge: &Bridge, client: &Client, group: String, options: String) -> napi::Result<Self> {
        let build = || {
            let builder = configured(&options, client.open()?.producer(&group))?;
            let _context = bridge.runtime().enter();
            Ok::<_, Fault>(builder.build()?)
        };
        Ok(Self::of(build().map_err(thrown)?))
    }

    /// Sends messages, each a call of its own.
    #[napi]
    pub fn send(&self, bridge: &Bridge, packed: &[u8]) {
        let producer = self.0.handle();
        let mut messages = Outgoing::copy_of(packed);
        while let Some((id, message)) = messages.next_call() {
            let producer = producer.as_ref().map_err(|fault| Fault::closed(&fault.text));
            match producer.and_then(|producer| Ok((producer.clone(), message?))) {
                Ok((producer, (message, queue))) => bridge.run(id, async move {
                    Ok(match queue {
                        Some(queue) => producer.send_to(&queue, message).await,
                        None => producer.send(message).await,
                    }?)
                }),
                Err(fault) => bridge.failed(id, fault),
            }
        }
    }

    /// Sends messages of one topic together.
    #[napi]
    pub fn send_many(&self, bridge: &Bridge, id: u32, packed: &[u8]) {
        let sent = self.0.handle().and_then(|producer| Ok((producer, Outgoing::copy_of(packed).all()?)));
        bridge.run(id, async move {
            let (producer, messages) = sent?;
            Ok(producer.send_batch(messages).await?)
        });
    }

    /// Sends a message and does not wait for an answer.
    #[napi]
    pub fn send_oneway(&self, bridge: &Bridge, id: u32, packed: &[u8]) {
        let sent = self.0.handle().and_then(|producer| Ok((producer, Outgoing::copy_of(packed).one()?)));
        bridge.run(id, async move {
            let (producer, message) = sent?;
            Ok(producer.send_oneway(message).await?)
        });
    }

    /// Takes back a timed message.
    #[napi]
    pub fn recall(&self, bridge: &Bridge, id: u32, topic: String, handle: String) {
        let producer = self.0.handle();
        bridge.run(id, async move { Ok(producer?.recall(&topic, &handle).await?) });
    }

    /// Sends a question and waits for the reply.
    #[napi]
    pub fn request(&self, bridge: &Bridge, id: u32, packed: &[u8], timeout: f64) {
        let sent = self.0.handle().and_then(|producer| Ok((producer, Outgoing::copy_of(packed).one()?)));
        bridge.run_until_aborted(id, async move {
            let (producer, question) = sent?;
            Ok(producer.request(question, Ms::of(timeout)?.0).await?)
        });
    }

    /// Replies to a question, which is a message of a batch.
    #[napi]
    pub fn reply(&self, bridge: &Bridge, id: u32, batch: &Batch, place: u32, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        let sent = self.0.handle().and_then(|producer| Ok((producer, batch.message(place)?)));
        bridge.run(id, async move {
            let (producer, question) = sent?;
            Ok(producer.reply(&question, body).await?)
        });
    }

    /// Waits for what is in flight, and leaves the group.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        let producer = self.0.take();
        bridge.run(id, async move {
            if let Some(producer) = producer {
                producer.close().await;
            }
            Ok(())
        });
    }
}

impl Answer for Reply {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.number(self.born().0 as f64);
        to.bytes(self.body());
        to.u32(self.properties().count() as u32);
        for (name, value) in self.properties() {
            to.text(name);
            to.text(value);
        }
    }
}
