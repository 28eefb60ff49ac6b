//! Sends of one connection: collected, stored by one append, answered together, with sync flush once the disk has them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use ferromq_broker::Broker;
use ferromq_broker::members::Peer;
use ferromq_broker::send::{Send as SendAsk, SendBatch, Ticket};
use ferromq_broker::stats::Stage;
use ferromq_model::message::{find_property, property};
use ferromq_model::{Millis, PhysicalOffset};
use ferromq_net::Outbox;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{Command, Head, encode_command};
use ferromq_protocol::header::{Header, SendMessage, SendMessageResponse};
use ferromq_store::{AppendError, FlushWatch, Placed};
use tokio::time::{Instant, Sleep};

use super::{Asker, HONOURS_MAX_RECONSUME, codes};
use crate::remoting::reply::Reply;
use crate::spans::{self, MAX_LINKS};

/// A send that was accepted and waits for its append.
struct Pending {
    asker: Asker,
    ticket: Ticket,
    /// The client's id of the message, in `Sends::keys`.
    key: std::ops::Range<usize>,
}

/// Sends that are stored and wait for the disk.
struct Unflushed {
    /// Safe once the log is flushed up to here.
    end: PhysicalOffset,
    since: Instant,
    sends: Vec<Stored>,
    keys: String,
}

/// A stored send whose sender waits.
struct Stored {
    asker: Asker,
    ticket: Ticket,
    first: Placed,
    /// Where further messages of a client's batch start.
    rest: Vec<PhysicalOffset>,
    key: std::ops::Range<usize>,
    /// By what a timer message can be taken back.
    recall: Option<Box<str>>,
}

type Reached = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

pub(super) struct Sends {
    batch: SendBatch,
    pending: Vec<Pending>,
    keys: String,
    unflushed: VecDeque<Unflushed>,
    /// Requests in `unflushed`.
    waiting: usize,
    flush: FlushWatch,
    /// Waits for the front of `unflushed`.
    reached: Option<Reached>,
    /// Ends the patience with a disk that does not answer.
    patience: Option<Pin<Box<Sleep>>>,
    timeout: Millis,
    text: MessageIds,
    /// When messages were last stored.
    stored: Option<std::time::Instant>,
    /// Messages whose answers are not yet written, and since when the oldest of them could be.
    answered: Option<(std::time::Instant, u64)>,
    /// Traces that messages of the batch are in, where anybody asks.
    parents: Vec<String>,
}

/// Writes message ids for answers, in one buffer.
#[derive(Default)]
struct MessageIds(Vec<u8>);

impl MessageIds {
    fn write(&mut self, broker: &Broker, first: PhysicalOffset, rest: &[PhysicalOffset]) -> &str {
        self.0.clear();
        broker.message_id(first).write_hex(&mut self.0);
        for &offset in rest {
            self.0.push(b',');
            broker.message_id(offset).write_hex(&mut self.0);
        }
        std::str::from_utf8(&self.0).expect("hex digits and commas")
    }
}

/// What a send asks for, or a reply.
pub(super) fn ask<'a>(header: &SendMessage<'a>, peer: &Peer, request: &Command<'a>) -> SendAsk<'a> {
    SendAsk {
        topic: header.topic,
        default_topic: header.default_topic,
        default_queues: header.default_queues,
        queue: header.queue,
        sharding_key: None,
        sys_flag: header.sys_flag,
        flag: header.flag,
        born: header.born,
        born_host: peer.address,
        properties: header.properties,
        reconsume_times: header.reconsume_times,
        max_reconsume_times: header.max_reconsume_times.filter(|_| request.version >= HONOURS_MAX_RECONSUME),
        unit_mode: header.unit_mode,
        is_batch: header.batch || request.request_code() == Some(RequestCode::SendBatchMessage),
        body: request.body,
    }
}

impl Sends {
    pub(super) fn new(broker: &Broker) -> Self {
        Self {
            batch: SendBatch::new(),
            pending: Vec::new(),
            keys: String::new(),
            unflushed: VecDeque::new(),
            waiting: 0,
            flush: broker.store().flush_watch(),
            reached: None,
            patience: None,
            timeout: broker.store().config().sync_flush_timeout,
            text: MessageIds::default(),
            stored: None,
            answered: None,
            parents: Vec::new(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.pending.len() + self.waiting
    }

    /// Takes one send in, or refuses it. Frames were decoded from `since` on.
    pub(super) fn prepare(
        &mut self,
        broker: &Broker,
        peer: &Peer,
        request: &Command<'_>,
        since: std::time::Instant,
        out: &mut Outbox,
    ) {
        if self.batch.is_full() {
            self.commit(broker, out);
        }
        if self.batch.is_empty() {
            // What came before the last append is counted with it.
            self.batch.came(self.stored.map_or(since, |stored| since.max(stored)));
        }
        let asker = Asker::of(request);
        let header = match SendMessage::decode(&request.fields) {
            Ok(header) => header,
            Err(error) => return asker.answer(error.into(), out),
        };
        let send = ask(&header, peer, request);
        match broker.prepare(&mut self.batch, &send) {
            Ok(ticket) => {
                if spans::are_wanted() && self.parents.len() < MAX_LINKS {
                    self.parents.extend(spans::parent_of(header.properties).map(str::to_owned));
                }
                let start = self.keys.len();
                if !asker.oneway && !send.is_batch {
                    let given = find_property(header.properties, property::UNIQUE_KEY);
                    let key = given.filter(|key| !key.is_empty()).or_else(|| self.batch.made_key(ticket));
                    self.keys.push_str(key.unwrap_or_default());
                }
                self.pending.push(Pending { asker, ticket, key: start..self.keys.len() });
            }
            Err(error) => asker.answer(with_origin(broker, codes::send(&error)), out),
        }
    }

    /// Stores what was taken in, and answers what need not wait.
    pub(super) fn commit(&mut self, broker: &Broker, out: &mut Outbox) {
        if self.pending.is_empty() {
            return;
        }
        let span = spans::append(self.batch.len(), &self.parents);
        self.parents.clear();
        let outcome = span.in_scope(|| broker.commit(&mut self.batch));
        drop(span);
        self.stored = self.batch.stored();
        let mut answered = 0;
        let waits = broker.store().flushes_before_ack();
        let mut unflushed: Option<Unflushed> = None;
        let mut pending = std::mem::take(&mut self.pending);
        for pending in pending.drain(..) {
            let Pending { asker, ticket, key } = pending;
            let placed = self.batch.placed(ticket);
            let (Some(first), true) = (placed.first(), placed.len() == ticket.count() as usize) else {
                let error = outcome.as_ref().err().cloned().unwrap_or(AppendError::Closed);
                asker.answer(with_origin(broker, codes::append(&error)), out);
                continue;
            };
            if asker.oneway {
                continue;
            }
            let rest: Vec<_> = placed[1..].iter().map(|placed| placed.physical).collect();
            if waits && ticket.wait {
                let end = placed.last().unwrap_or(first).end;
                let group = unflushed.get_or_insert_with(|| Unflushed {
                    end,
                    since: Instant::now(),
                    sends: Vec::new(),
                    keys: String::new(),
                });
                group.end = end;
                let start = group.keys.len();
                group.keys.push_str(&self.keys[key]);
                let key = start..group.keys.len();
                let recall = self.batch.recall_handle(ticket).map(Box::from);
                group.sends.push(Stored { asker, ticket, first: *first, rest, key, recall });
            } else {
                let ids = self.text.write(broker, first.physical, &rest);
                let names = Names { ids, key: &self.keys[key], recall: self.batch.recall_handle(ticket) };
                answer_stored(broker, asker, ResponseCode::Success, ticket, first, names, out);
                answered += u64::from(ticket.count());
            }
        }
        if let Some(stored) = self.stored {
            self.answers(stored, answered);
        }
        self.pending = pending;
        self.keys.clear();
        self.batch.clear();
        if let Some(group) = unflushed {
            self.waiting += group.sends.len();
            self.unflushed.push_back(group);
        }
    }

    /// Answers sends that the disk has by now.
    pub(super) fn poll(&mut self, broker: &Broker, cx: &mut Context<'_>, out: &mut Outbox) {
        while let Some(front) = self.unflushed.front() {
            if self.flush.upto() >= front.end {
                self.answer_front(broker, &Ok(ResponseCode::Success), out);
                continue;
            }
            let end = front.end;
            let since = front.since;
            let reached = self.reached.get_or_insert_with(|| {
                let mut flush = self.flush.clone();
                Box::pin(async move { flush.reached(end).await })
            });
            match reached.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => self.reached = None,
                Poll::Ready(Err(error)) => {
                    self.reached = None;
                    self.answer_front(broker, &Err(error), out);
                }
                Poll::Pending => {
                    if !self.is_patience_over(since, cx) {
                        return;
                    }
                    self.answer_front(broker, &Ok(ResponseCode::FlushDiskTimeout), out);
                }
            }
        }
        self.reached = None;
    }

    fn is_patience_over(&mut self, since: Instant, cx: &mut Context<'_>) -> bool {
        let over = since + self.timeout.duration();
        let sleep = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(over)));
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= over {
                self.patience = None;
                return true;
            }
            // It was set for sends that are answered by now.
            sleep.as_mut().reset(over);
        }
        false
    }

    /// Notes that `messages` are answered since `at`.
    fn answers(&mut self, at: std::time::Instant, messages: u64) {
        if messages > 0 {
            self.answered.get_or_insert((at, 0)).1 += messages;
        }
    }

    /// Notes that all answers were given to the system.
    pub(super) fn written(&mut self, broker: &Broker, at: std::time::Instant) {
        if let Some((since, messages)) = self.answered.take() {
            broker.stats().stages.took(Stage::Respond, at.saturating_duration_since(since), messages);
        }
    }

    fn answer_front(
        &mut self,
        broker: &Broker,
        outcome: &Result<ResponseCode, AppendError>,
        out: &mut Outbox,
    ) {
        let Some(group) = self.unflushed.pop_front() else { return };
        self.waiting -= group.sends.len();
        let messages = group.sends.iter().map(|send| u64::from(send.ticket.count())).sum();
        let (took, now) = (group.since.elapsed(), std::time::Instant::now());
        broker.stats().put_times.took(took, messages);
        broker.stats().stages.took(Stage::Flush, took, messages);
        self.answers(now, messages);
        for send in group.sends {
            match outcome {
                Ok(code) => {
                    let ids = self.text.write(broker, send.first.physical, &send.rest);
                    let names = Names { ids, key: &group.keys[send.key], recall: send.recall.as_deref() };
                    answer_stored(broker, send.asker, *code, send.ticket, &send.first, names, out);
                }
                Err(error) => send.asker.answer(with_origin(broker, codes::append(error)), out),
            }
        }
    }
}

/// What a stored message is called.
#[derive(Clone, Copy)]
struct Names<'a> {
    /// Where it lies, as clients write it.
    ids: &'a str,
    /// What its client calls it; empty for none.
    key: &'a str,
    /// By what it can be taken back.
    recall: Option<&'a str>,
}

fn answer_stored(
    broker: &Broker,
    asker: Asker,
    code: ResponseCode,
    ticket: Ticket,
    first: &Placed,
    names: Names<'_>,
    out: &mut Outbox,
) {
    let header = SendMessageResponse {
        message_id: names.ids,
        queue: ticket.queue,
        offset: first.queue_offset,
        transaction_id: Some(names.key).filter(|key| !key.is_empty()),
        batch_id: None,
        recall_handle: names.recall,
        region: &broker.config().region,
        trace: broker.config().trace_on,
    };
    let head = Head::response_to(asker.serialization, asker.opaque, code);
    if encode_command(out.buffer(), &head, &header, 0).is_err() {
        // A batch of so many messages that their ids fill a header: it is stored, and must be told so.
        let header = SendMessageResponse { message_id: "", ..header };
        encode_command(out.buffer(), &head, &header, 0).expect("a header without ids fits");
    }
}

/// Clients read region and trace switch from refusals too.
fn with_origin(broker: &Broker, reply: Reply) -> Reply {
    let trace = if broker.config().trace_on { "true" } else { "false" };
    reply.with_fields(&[(property::MSG_REGION, broker.config().region.as_str()), (property::TRACE_ON, trace)])
}
