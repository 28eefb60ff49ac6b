//! Storing messages: prepared and appended without a pause, then waited for until they are safe.

use std::net::SocketAddr;
use std::time::Instant;

use ferromq_broker::Broker;
use ferromq_broker::send::{QUEUES_OF_TEMPLATE, Send, SendBatch, Ticket};
use ferromq_broker::stats::Stage;
use ferromq_model::message::{SysFlag, find_property, property};
use ferromq_model::name::AUTO_CREATE_TOPIC;
use ferromq_model::{PhysicalOffset, Timestamp};
use ferromq_store::AppendError;
use serde::Serialize;
use utoipa::ToSchema;

use super::gather;
use super::idempotency::{Claim, Key};
use super::outgoing::Outgoing;
use crate::http::api::Api;
use crate::http::problem::{Kind, Problem};

/// What messages are sent to, and who sends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) topic: &'a str,
    pub(super) peer: SocketAddr,
    /// Of the request.
    pub(super) key: Option<Key<'a>>,
}

/// A single message is stored.
pub(super) struct Stored {
    pub(super) sent: Sent,
    /// By an earlier request of the same key.
    pub(super) again: bool,
}

/// A message is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Sent {
    /// The id that the message is known by to every client.
    pub(in crate::http) message_id: String,
    /// Where it lies, as RocketMQ writes it; of a message that comes later, where it waits.
    pub(in crate::http) offset_message_id: String,
    /// The queue that it is in.
    pub(in crate::http) queue_id: u32,
    /// Which message of the queue it is, from 0; of a message that comes later, of the queue where it waits.
    pub(in crate::http) queue_offset: u64,
    /// By what it can be taken back until it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) recall_handle: Option<String>,
}

/// Stores one message; returns once it is safe.
pub(super) async fn one(api: &Api, target: Target<'_>, mut message: Outgoing<'_>) -> Result<Stored, Problem> {
    let in_hand = match claim(api, target, 0, &mut message).await? {
        Some(Claim::Again(done)) => {
            safe(api, done.end).await?;
            return Ok(Stored { sent: done.sent, again: true });
        }
        Some(Claim::New(in_hand)) => Some(in_hand),
        None => None,
    };
    let broker = api.broker();
    let stored = gather::store(
        broker,
        |batch| prepare(broker, target, batch, &message),
        |batch, ticket, refused| sent(broker, batch, ticket, given_id(&message), refused),
    );
    let (sent, end) = stored.await??;
    if let Some(in_hand) = in_hand {
        in_hand.done(&sent, end, api.broker().store().now());
    }
    stored_safe(api, end, 1).await?;
    Ok(Stored { sent, again: false })
}

/// Stores messages in their order, but those that are refused; returns once they are safe.
pub(super) async fn many(
    api: &Api,
    target: Target<'_>,
    mut messages: Vec<Result<Outgoing<'_>, Problem>>,
) -> Result<Vec<Result<Sent, Problem>>, Problem> {
    // First of all, since it takes time: what of them is there already.
    let mut claims = Vec::new();
    if target.key.is_some() {
        for (number, message) in messages.iter_mut().enumerate() {
            claims.push(match message {
                Ok(message) => claim(api, target, number, message).await?,
                Err(_) => None,
            });
        }
    }
    let mut end = PhysicalOffset::ZERO;
    let mut results = Vec::with_capacity(messages.len());
    let stored = {
        let mut batch = SendBatch::new();
        let mut appending = Appending::new(api.broker(), target, &mut batch);
        for (number, message) in messages.into_iter().enumerate() {
            if let Some(Some(Claim::Again(done))) = claims.get(number) {
                appending.commit(&mut |result| results.push(result));
                end = end.max(done.end);
                results.push(Ok(done.sent.clone()));
            } else {
                appending.take(message, &mut |result| results.push(result));
            }
        }
        appending.commit(&mut |result| results.push(result));
        end = end.max(appending.end);
        appending.stored
    };
    let now = api.broker().store().now();
    for (claim, result) in claims.into_iter().zip(&results) {
        if let (Some(Claim::New(in_hand)), Ok(sent)) = (claim, result) {
            in_hand.done(sent, end, now);
        }
    }
    stored_safe(api, end, stored).await?;
    Ok(results)
}

/// What the request's key says of its message of this number; if it is new, the message carries the key's mark from now on.
async fn claim<'a>(
    api: &'a Api,
    target: Target<'_>,
    number: usize,
    message: &mut Outgoing<'_>,
) -> Result<Option<Claim<'a>>, Problem> {
    let Some(key) = target.key else { return Ok(None) };
    let mark = key.mark(target.topic, number);
    let claim = api.idempotency().claim(api.broker(), target.topic, mark, &message.body).await?;
    if let Claim::New(in_hand) = &claim {
        message.properties.add_key(in_hand.mark().as_str());
    }
    Ok(Some(claim))
}

/// As [`safe`], for `messages` that the caller has stored: how long they wait is counted.
pub(super) async fn stored_safe(api: &Api, end: PhysicalOffset, messages: u64) -> Result<(), Problem> {
    let began = Instant::now();
    safe(api, end).await?;
    if api.broker().store().flushes_before_ack() {
        let (took, stats) = (began.elapsed(), api.broker().stats());
        stats.put_times.took(took, messages);
        stats.stages.took(Stage::Flush, took, messages);
    }
    Ok(())
}

/// Waits until everything below `end` is as safe as the flush mode promises.
pub(in crate::http) async fn safe(api: &Api, end: PhysicalOffset) -> Result<(), Problem> {
    let store = api.broker().store();
    if !store.flushes_before_ack() || end == PhysicalOffset::ZERO {
        return Ok(());
    }
    let patience = store.config().sync_flush_timeout;
    match tokio::time::timeout(patience.duration(), store.flushed_to(end)).await {
        Ok(flushed) => Ok(flushed?),
        Err(_) => {
            let why = format!("the disk did not take it within {patience} (syncFlushTimeout)");
            Err(Kind::FlushUnconfirmed.because(why))
        }
    }
}

/// Messages on their way into the log.
pub(super) struct Appending<'a> {
    broker: &'a Broker,
    target: Target<'a>,
    batch: &'a mut SendBatch,
    /// What was taken since the last commit: a ticket and the sender's own id of the message, or why it was refused.
    taken: Vec<Result<(Ticket, Option<String>), Problem>>,
    /// Everything that was stored lies below.
    pub(super) end: PhysicalOffset,
    /// Messages stored.
    pub(super) stored: u64,
}

impl<'a> Appending<'a> {
    pub(super) fn new(broker: &'a Broker, target: Target<'a>, batch: &'a mut SendBatch) -> Self {
        batch.clear();
        Self { broker, target, batch, taken: Vec::new(), end: PhysicalOffset::ZERO, stored: 0 }
    }

    /// Takes one in. Results come with the commit, which this is when enough was taken.
    pub(super) fn take(
        &mut self,
        message: Result<Outgoing<'_>, Problem>,
        results: &mut impl FnMut(Result<Sent, Problem>),
    ) {
        if self.batch.is_full() {
            self.commit(results);
        }
        let taken = message.and_then(|message| Ok((self.prepare(&message)?, given_id(&message))));
        self.taken.push(taken);
    }

    /// Stores what was taken in, and gives the results in its order.
    pub(super) fn commit(&mut self, results: &mut impl FnMut(Result<Sent, Problem>)) {
        let outcome = if self.batch.is_empty() { Ok(()) } else { self.broker.commit(self.batch) };
        for taken in std::mem::take(&mut self.taken) {
            results(taken.and_then(|(ticket, id)| self.sent(ticket, id, outcome.as_ref().err().cloned())));
        }
        self.batch.clear();
    }

    fn prepare(&mut self, message: &Outgoing<'_>) -> Result<Ticket, Problem> {
        prepare(self.broker, self.target, self.batch, message)
    }

    fn sent(
        &mut self,
        ticket: Ticket,
        given: Option<String>,
        refused: Option<AppendError>,
    ) -> Result<Sent, Problem> {
        let (sent, end) = sent(self.broker, self.batch, ticket, given, refused)?;
        self.end = self.end.max(end);
        self.stored += 1;
        Ok(sent)
    }
}

fn prepare(
    broker: &Broker,
    target: Target<'_>,
    batch: &mut SendBatch,
    message: &Outgoing<'_>,
) -> Result<Ticket, Problem> {
    let properties = message.properties.as_str();
    let send = Send {
        topic: target.topic,
        default_topic: AUTO_CREATE_TOPIC,
        default_queues: QUEUES_OF_TEMPLATE,
        queue: message.queue,
        sharding_key: find_property(properties, property::SHARDING_KEY),
        sys_flag: SysFlag(0),
        flag: 0,
        born: Timestamp::now(),
        born_host: target.peer,
        properties,
        reconsume_times: 0,
        max_reconsume_times: None,
        unit_mode: false,
        is_batch: false,
        body: &message.body,
    };
    Ok(broker.prepare(batch, &send)?)
}

/// What became of a message of a batch that was stored, and where it ends; or why it was refused.
fn sent(
    broker: &Broker,
    batch: &SendBatch,
    ticket: Ticket,
    given: Option<String>,
    refused: Option<AppendError>,
) -> Result<(Sent, PhysicalOffset), Problem> {
    let Some(placed) = batch.placed(ticket).first() else {
        return Err(refused.unwrap_or(AppendError::Closed).into());
    };
    let offset_message_id = broker.message_id(placed.physical).to_string();
    let made = given.or_else(|| batch.made_key(ticket).map(str::to_owned));
    let sent = Sent {
        message_id: made.unwrap_or_else(|| offset_message_id.clone()),
        offset_message_id,
        queue_id: ticket.queue.0,
        queue_offset: placed.queue_offset.0,
        recall_handle: batch.recall_handle(ticket).map(str::to_owned),
    };
    Ok((sent, placed.end))
}

fn given_id(message: &Outgoing<'_>) -> Option<String> {
    find_property(message.properties.as_str(), property::UNIQUE_KEY).map(str::to_owned)
}
