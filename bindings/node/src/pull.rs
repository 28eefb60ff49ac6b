//! Consumers that are asked for messages, queue by queue.

use std::path::PathBuf;
use std::sync::Arc;

use ferromq_bindings::{Fault, Open};
use ferromq_client::{self as core, MessageQueue, PullConsumerBuilder, QueueOffset, Timestamp};
use napi_derive::napi;
use serde::Deserialize;

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::client::Client;
use crate::errors::thrown;
use crate::joining::Joining;
use crate::message::{QueueOf, queues_json};
use crate::options::{From, Ms, Place, Wanted, limit, read, strategy, topics};
use crate::packed::Writer;

/// How a consumer is asked. What is none stays as it is in the client.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    offsets_in: Option<PathBuf>,
    consume_from: Option<From>,
    strategy: Option<String>,
    auto_commit: Option<AutoCommit>,
    fetch_batch: Option<u32>,
    max_buffered: Option<usize>,
    max_buffered_bytes: Option<usize>,
    max_polled: Option<usize>,
}

/// How often positions are committed; `false` for never.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "allowed is a time, true or false")]
enum AutoCommit {
    Switch(bool),
    Every(Ms),
}

impl Options {
    fn apply(self, mut to: PullConsumerBuilder) -> Result<PullConsumerBuilder, Fault> {
        type B = PullConsumerBuilder;
        to = self.offsets_in.into_iter().fold(to, B::offsets_in);
        to = self.consume_from.into_iter().fold(to, |to, from| to.consume_from(from.start()));
        if let Some(name) = self.strategy {
            to = to.strategy(strategy(&name)?);
        }
        to = match self.auto_commit {
            None | Some(AutoCommit::Switch(true)) => to,
            Some(AutoCommit::Switch(false)) => to.auto_commit(None),
            Some(AutoCommit::Every(time)) => to.auto_commit(Some(time.0)),
        };
        to = self.fetch_batch.into_iter().fold(to, B::fetch_batch);
        to = self.max_buffered.into_iter().fold(to, B::max_buffered);
        to = self.max_buffered_bytes.into_iter().fold(to, B::max_buffered_bytes);
        Ok(self.max_polled.into_iter().fold(to, B::max_polled))
    }
}

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

fn queues_of(json: &str) -> Result<Vec<MessageQueue>, Fault> {
    read::<Vec<QueueOf>>(json)?.iter().map(QueueOf::queue).collect()
}

#[napi]
impl PullConsumer {
    #[napi(constructor)]
    pub fn new(client: &Client, group: String, subscribed: String, options: String) -> napi::Result<Self> {
        let build = || {
            let builder = read::<Options>(&options)?.apply(client.open()?.pull_consumer(&group))?;
            let subscribe = |builder: PullConsumerBuilder, (topic, filter): (String, _)| {
                builder.subscribe(&topic, filter)
            };
            Ok::<_, Fault>(topics(&subscribed)?.into_iter().fold(builder, subscribe))
        };
        Ok(Self { joining: Joining::new(build().map_err(thrown)?) })
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

    /// The next messages.
    #[napi]
    pub fn poll(&self, bridge: &Bridge, id: u32, milliseconds: Option<f64>) {
        let consumer = self.open();
        bridge.run_until_aborted(id, async move {
            Ok(Batch::of_messages(consumer?.poll(limit(milliseconds)?).await?))
        });
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
            let from = QueueOffset(offset as u64);
            Ok(consumer.pull(&queue, &filter, from, most, Ms::of(wait)?.0).await?)
        });
    }

    /// Goes on at an offset, or at `first`, `last` or a time.
    #[napi]
    pub fn seek(&self, bridge: &Bridge, id: u32, queue: String, to: String) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            match read(&to)? {
                Target::Offset(offset) => consumer.seek(&queue, QueueOffset(offset))?,
                Target::At(From::Place(Place::First)) => consumer.seek_to_first(&queue).await?,
                Target::At(From::Place(Place::Last)) => consumer.seek_to_end(&queue).await?,
                Target::At(From::Time(time)) => consumer.seek_to_time(&queue, Timestamp(time as i64)).await?,
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
            Ok(consumer.commit_at(&queue, QueueOffset(offset as u64)).await?)
        });
    }

    /// The offset of a queue's oldest message, of its end, or of the first message stored at a time or later.
    #[napi]
    pub fn offset_of(&self, bridge: &Bridge, id: u32, queue: String, place: String) {
        let asked = self.with_queue(&queue);
        bridge.run(id, async move {
            let (consumer, queue) = asked?;
            Ok(Some(match read(&place)? {
                From::Place(Place::First) => consumer.min_offset(&queue).await?,
                From::Place(Place::Last) => consumer.max_offset(&queue).await?,
                From::Time(time) => consumer.offset_of(&queue, Timestamp(time as i64)).await?,
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
    Offset(u64),
    At(From),
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
