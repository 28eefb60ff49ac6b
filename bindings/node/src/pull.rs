//! Consumers that are asked for messages, queue by queue.

use std::sync::Arc;

use ferromq_bindings::{Fault, Open};
use ferromq_client::{self as core, ConsumeFrom, MessageQueue, PullConsumerBuilder, QueueOffset};
use napi_derive::napi;
use serde::Deserialize;

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::client::Client;
use crate::errors::thrown;
use crate::joining::Joining;
use crate::message::{QueueOf, queues_json};
use crate::options::{Ms, Place, Wanted, limit, read};
use crate::packed::Writer;

/// Up to this, JavaScript's numbers are exact.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// A consumer that is asked for messages.
#[napi]
pub struct PullConsumer {
    joining: Joining<PullConsumerBuilder, Open<Arc<core::PullConsumer>>>,
}

impl PullConsumer {
    fn open(&self) -> Result<Arc<core::PullConsumer>, Fault> {
        self.joining.joined()?.handle()
    }

    fn with_queue(&self, queue: &str) -> Result<(Arc<core::PullConsumer>, MessageQueue), Fault> {
        Ok((self.open()?, read::<QueueOf>(queue)?.queue()?))
    }
}

/// An offset as JavaScript has it: a number, which may be none.
fn queue_offset(number: f64) -> Result<QueueOffset, Fault> {
    if (0.0..=MAX_EXACT).contains(&number) && number.fract() == 0.0 {
        Ok(QueueOffset(number as u64))
    } else {
        Err(Fault::config(format_args!("{number} is no offset")))
    }
}

fn queues_of(json: &str) -> Result<Vec<MessageQueue>, Fault> {
    read::<Vec<QueueOf>>(json)?.iter().map(QueueOf::queue).collect()
}

#[napi]
impl PullConsumer {
    #[napi(constructor)]
    pub fn new(client: &Client, group: String, subscribed: String, options: String) -> napi::Result<Self> {
        let builder = client.open().map(|client| client.pull_consumer(&group));
        Ok(Self { joining: Joining::new(builder, &subscribed, &options).map_err(thrown)? })
    }

    /// Starts it. To be called once.
    #[napi]
    pub fn start(&self, bridge: &Bridge, id: u32) {
        self.joining.start(bridge, id, |builder| async move {
            Ok(Open::new("consumer", Arc::new(builder.start().await?)))
        });
    }

    /// The queues of a topic that may be read.
    #[napi]
    pub fn queues(&self, bridge: &Bridge, id: u32, topic: String) {
        let consumer = self.open();
        bridge.run(id, async move { Ok(consumer?.queues(&topic).await?) });
    }

    /// The queues that are fetched from now, as JSON.
    #[napi(getter)]
    pub fn assigned(&self) -> napi::Result<String> {
        Ok(queues_json(&self.open().map_err(thrown)?.assigned()))
    }

    /// Fetches from these queues and no others.
    #[napi]
    pub fn assign(&self, bridge: &Bridge, id: u32, queues: String, filter: String) {
        let consumer = self.open();
        bridge.run(id, async move {
            let (queues, filter) = (queues_of(&queues)?, read::<Wanted>(&filter)?.filter()?);
            Ok(consumer?.assign(queues, &filter).await?)
        });
    }

    /// Waits until there are messages to take: 1 if there are, 0 if time is over. What was taken before is done.
    #[napi]
    pub fn wait(&self, bridge: &Bridge, id: u32, milliseconds: Option<f64>) {
        let consumer = self.open();
        bridge
            .run_until_aborted(id, async move { Ok(u8::from(consumer?.wait(limit(milliseconds)?).await?)) });
    }

    /// Takes messages that are there.
    #[napi]
    pub fn take(&self, bridge: &Bridge) -> napi::Result<Option<Batch>> {
        let _context = bridge.runtime().enter();
        let taken = self.open().map_err(thrown)?.take();
        Ok(if taken.is_empty() { None } else { Some(Batch::of_messages(taken)) })
    }

    /// Asks for messages of any queue, once.
    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn pull(
        &self,
        bridge: &Bridge,
        id: u32,
        queue: String,
        offset: f64,
        most: u32,
        filter: String,
        wait: f64,
    ) {
        let asked = self.with_queue(&queue);
        bridge.run_until_aborted(id, async move {
            let (consumer, queue) = asked?;
            let filter = read::<Wanted>(&filter)?.filter()?;
            Ok(consumer.pull(&queue, &filter, queue_offset(offset)?, most, Ms::of(wait)?.0).await?)
        });
    }

    /// Goes on at an offset, or at `first`, `last` or a time.
    #[napi]
    pub fn seek(&self, bridge: &Bridge, id: u32, queue: String, to: String) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            match read(&to)? {
                Target::Offset(offset) => consumer.seek(&queue, queue_offset(offset)?)?,
                Target::At(Place(ConsumeFrom::First)) => consumer.seek_to_first(&queue).await?,
                Target::At(Place(ConsumeFrom::Last)) => consumer.seek_to_end(&queue).await?,
                Target::At(Place(ConsumeFrom::Time(time))) => consumer.seek_to_time(&queue, time).await?,
            }
            Ok(())
        });
    }

    /// Hands nothing of these queues out.
    #[napi]
    pub fn pause(&self, queues: String) -> napi::Result<()> {
        let pause = || Ok::<_, Fault>(self.open()?.pause(&queues_of(&queues)?)?);
        pause().map_err(thrown)
    }

    /// Goes on with these queues.
    #[napi]
    pub fn resume(&self, queues: String) -> napi::Result<()> {
        let resume = || Ok::<_, Fault>(self.open()?.resume(&queues_of(&queues)?)?);
        resume().map_err(thrown)
    }

    /// The offset of the next message of a queue.
    #[napi]
    pub fn position(&self, queue: String) -> napi::Result<Option<f64>> {
        let position = || {
            let (consumer, queue) = self.with_queue(&queue)?;
            Ok::<_, Fault>(consumer.position(&queue)?.map(|offset| offset.0 as f64))
        };
        position().map_err(thrown)
    }

    /// What is committed of a queue.
    #[napi]
    pub fn committed(&self, bridge: &Bridge, id: u32, queue: String) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            Ok(consumer.committed(&queue).await?)
        });
    }

    /// Commits what was polled.
    #[napi]
    pub fn commit(&self, bridge: &Bridge, id: u32) {
        let consumer = self.open();
        bridge.run(id, async move { Ok(consumer?.commit().await?) });
    }

    /// Commits a position of one queue.
    #[napi]
    pub fn commit_at(&self, bridge: &Bridge, id: u32, queue: String, offset: f64) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            Ok(consumer.commit_at(&queue, queue_offset(offset)?).await?)
        });
    }

    /// The offset of a queue's oldest message, of its end, or of the first message stored at a time or later.
    #[napi]
    pub fn offset_of(&self, bridge: &Bridge, id: u32, queue: String, place: String) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            Ok(Some(match read(&place)? {
                Place(ConsumeFrom::First) => consumer.min_offset(&queue).await?,
                Place(ConsumeFrom::Last) => consumer.max_offset(&queue).await?,
                Place(ConsumeFrom::Time(time)) => consumer.offset_of(&queue, time).await?,
            }))
        });
    }

    /// Stops, commits and leaves the group.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        let consumer = self.joining.end().and_then(Open::take);
        bridge.run(id, async move {
            if let Some(consumer) = consumer {
                consumer.close().await;
            }
            Ok(())
        });
    }
}

/// Where to go on.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    Offset(f64),
    At(Place),
}

impl Answer for core::Pulled {
    fn write(self, to: &mut Writer, batches: &mut Vec<Batch>) {
        to.number(self.next.0 as f64);
        to.number(self.min.0 as f64);
        to.number(self.max.0 as f64);
        batches.push(Batch::of_messages(self.messages));
    }
}

/// An offset, or none: no offset is below zero.
impl Answer for Option<QueueOffset> {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.number(self.map_or(-1.0, |offset| offset.0 as f64));
    }
}
