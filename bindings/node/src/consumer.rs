//! Consumers that are handed messages: a stream, of which JavaScript takes what is there and waits for more.
//!
//! Waiting and taking are two things: [`StreamConsumer::fill`] brings a message into a buffer and returns none,
//! [`StreamConsumer::take`] does not wait. So whoever aborts while waiting loses nothing.

use std::collections::VecDeque;

use ferromq_bindings::Open;
use ferromq_client::{Delivery, MessageStream, PushConsumer, PushConsumerBuilder};
use futures_util::FutureExt as _;
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use crate::batch::Batch;
use crate::bridge::Bridge;
use crate::client::Client;
use crate::errors::thrown;
use crate::joining::{Joining, not_started};
use crate::message::queues_json;
use crate::options::limit;

/// Bytes of bodies after which a batch takes no further message: a body that JavaScript keeps, keeps its batch.
const BATCH_BYTES: usize = 64 * 1024;

/// A consumer that is handed messages.
#[napi]
pub struct StreamConsumer {
    joining: Joining<PushConsumerBuilder, Started>,
}

struct Started {
    consumer: Open<PushConsumer>,
    /// Filled by one at a time.
    stream: AsyncMutex<MessageStream>,
    buffer: Mutex<VecDeque<Delivery>>,
}

impl Started {
    /// Waits until something is in the buffer. False at the end.
    async fn fill(&self) -> bool {
        let mut stream = self.stream.lock().await;
        if self.buffer.lock().is_empty() {
            // Nothing is taken from the stream and lost if this is dropped: it is put where it belongs before the next await.
            let Some(first) = stream.next().await else { return false };
            self.buffer.lock().push_back(first);
        }
        true
    }

    /// What is there, up to `most`.
    fn take(&self, most: usize) -> Vec<Delivery> {
        let mut taken: Vec<_> = {
            let mut buffer = self.buffer.lock();
            let count = buffer.len().min(most);
            buffer.drain(..count).collect()
        };
        let mut bytes: usize = taken.iter().map(|delivery| delivery.message().body().len()).sum();
        // Held by whoever waits for more: then there is none.
        if let Ok(mut stream) = self.stream.try_lock() {
            while taken.len() < most
                && bytes < BATCH_BYTES
                && let Some(Some(next)) = stream.next().now_or_never()
            {
                bytes += next.message().body().len();
                taken.push(next);
            }
        }
        taken
    }
}

#[napi]
impl StreamConsumer {
    #[napi(constructor)]
    pub fn new(client: &Client, group: String, subscribed: String, options: String) -> napi::Result<Self> {
        let builder = client.open().map(|client| client.push_consumer(&group));
        Ok(Self { joining: Joining::new(builder, &subscribed, &options).map_err(thrown)? })
    }

    /// Joins the group. To be called once.
    #[napi]
    pub fn start(&self, bridge: &Bridge, id: u32) {
        self.joining.start(bridge, id, |builder| async move {
            let (consumer, stream) = builder.stream().await?;
            let (consumer, stream) = (Open::new("consumer", consumer), AsyncMutex::new(stream));
            Ok(Started { consumer, stream, buffer: Mutex::default() })
        });
    }

    /// Waits for messages: 1 if there are some to take, 0 if there will be none any more, 2 if time is over.
    #[napi]
    pub fn fill(&self, bridge: &Bridge, id: u32, milliseconds: Option<f64>) {
        let started = self.joining.shared();
        bridge.run_until_aborted(id, async move {
            let limit = limit(milliseconds)?;
            let started = started.get().ok_or_else(not_started)?;
            Ok(timeout(limit, started.fill()).await.map_or(2, u8::from))
        });
    }

    /// Takes messages that are there.
    #[napi]
    pub fn take(&self, bridge: &Bridge, most: u32) -> Option<Batch> {
        let _context = bridge.runtime().enter();
        let taken = self.joining.joined().ok()?.take(most as usize);
        if taken.is_empty() { None } else { Some(Batch::of_deliveries(taken)) }
    }

    /// The queues that are this member's now, as JSON.
    #[napi(getter)]
    pub fn queues(&self) -> String {
        let queues =
            self.joining.joined().ok().and_then(|started| started.consumer.look(PushConsumer::queues));
        queues_json(&queues.unwrap_or_default())
    }

    /// Stops fetching, stores positions and leaves the group. What was not taken comes again.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        self.joining.end();
        let started = self.joining.shared();
        bridge.run(id, async move {
            if let Some(started) = started.get() {
                if let Some(consumer) = started.consumer.take() {
                    consumer.close().await;
                }
                started.buffer.lock().clear();
            }
            Ok(())
        });
    }
}
