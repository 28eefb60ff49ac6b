//! Messages that came together, and what may be said of them.
//!
//! ```text
//! count │ where each begins │ header, body, properties │ header, body, properties │ …
//! ```
//! Their contents cross as one piece of memory, of which JavaScript reads what it is asked for. What is rarely asked for
//! stays here and is asked for by the message's place. A batch that JavaScript forgets is dropped: what was not settled
//! of it comes again.

use std::sync::Arc;

use ferromq_bindings::Fault;
use ferromq_client::{Delivery, Leased, MessageQueue, Outcome, Received};
use futures_util::FutureExt as _;
use napi::Env;
use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::errors::thrown;
use crate::message::write_queue;
use crate::options::Ms;
use crate::packed::Writer;

/// Messages that came together.
#[napi]
pub struct Batch {
    entries: Mutex<Vec<Entry>>,
}

enum Entry {
    /// Of a pull, or settled: only read.
    Plain(Received),
    /// Of a stream. Dropped unsettled, it is delivered again.
    Open(Delivery),
    /// Of a pop. It is another lease once it is prolonged.
    Leased(Arc<Mutex<Leased>>),
}

impl Entry {
    fn message(&self) -> Received {
        match self {
            Self::Plain(message) => message.clone(),
            Self::Open(delivery) => delivery.message().clone(),
            Self::Leased(leased) => leased.lock().message().clone(),
        }
    }

    /// Takes the delivery, to settle it.
    fn settle(&mut self) -> Result<Delivery, Fault> {
        match self {
            Self::Open(delivery) => {
                let message = delivery.message().clone();
                match std::mem::replace(self, Self::Plain(message)) {
                    Self::Open(delivery) => Ok(delivery),
                    Self::Plain(_) | Self::Leased(_) => Err(Fault::settled()),
                }
            }
            Self::Plain(_) | Self::Leased(_) => Err(Fault::settled()),
        }
    }
}

impl Batch {
    pub(crate) fn of_deliveries(deliveries: Vec<Delivery>) -> Self {
        Self { entries: Mutex::new(deliveries.into_iter().map(Entry::Open).collect()) }
    }

    pub(crate) fn of_messages(messages: Vec<Received>) -> Self {
        Self { entries: Mutex::new(messages.into_iter().map(Entry::Plain).collect()) }
    }

    pub(crate) fn of_leases(leases: Vec<Leased>) -> Self {
        let leased = |leased| Entry::Leased(Arc::new(Mutex::new(leased)));
        Self { entries: Mutex::new(leases.into_iter().map(leased).collect()) }
    }

    /// A message.
    pub(crate) fn message(&self, place: u32) -> Result<Received, Fault> {
        self.entries.lock().get(place as usize).map(Entry::message).ok_or_else(no_message)
    }

    /// A lease.
    pub(crate) fn lease(&self, place: u32) -> Result<Arc<Mutex<Leased>>, Fault> {
        match self.entries.lock().get(place as usize) {
            Some(Entry::Leased(leased)) => Ok(Arc::clone(leased)),
            _ => Err(no_message()),
        }
    }
}

#[napi]
impl Batch {
    /// The contents.
    #[napi]
    pub fn packed<'env>(&self, env: &'env Env) -> napi::Result<BufferSlice<'env>> {
        let mut writing = Writing::default();
        {
            let entries = self.entries.lock();
            writing.begin(entries.len());
            for (place, entry) in entries.iter().enumerate() {
                match entry {
                    Entry::Plain(message) => writing.message(place, message),
                    Entry::Open(delivery) => writing.message(place, delivery.message()),
                    Entry::Leased(leased) => writing.message(place, leased.lock().message()),
                }
            }
        }
        // Not memory of ours that V8 only borrows: JavaScript marks it as untransferable, and Node 24 aborts at its exit
        // where it cannot give such memory back.
        BufferSlice::copy_from(env, &writing.to.0)
    }

    /// Where a message is stored.
    #[napi]
    pub fn place(&self, place: u32) -> napi::Result<String> {
        Ok(self.message(place).map_err(thrown)?.place().to_string())
    }

    /// Who sent a message.
    #[napi]
    pub fn born_host(&self, place: u32) -> napi::Result<String> {
        Ok(self.message(place).map_err(thrown)?.born_host().to_string())
    }

    /// Deliveries are done, each of which is not settled yet.
    #[napi]
    pub fn done(&self, bridge: &Bridge, places: &[u32]) {
        let done: Vec<_> = {
            let mut entries = self.entries.lock();
            let settle = |place: &u32| entries.get_mut(*place as usize)?.settle().ok();
            places.iter().filter_map(settle).collect()
        };
        let mut settling = async move {
            for delivery in done {
                delivery.done().await;
            }
        }
        .boxed();
        let _context = bridge.runtime().enter();
        // Almost always it waits for nothing, and a task would cost more than that.
        if (&mut settling).now_or_never().is_none() {
            bridge.runtime().spawn(settling);
        }
    }

    /// A delivery failed.
    #[napi]
    pub fn failed(&self, bridge: &Bridge, id: u32, place: u32, delay_level: Option<u8>, dead_letter: bool) {
        let outcome = match delay_level {
            _ if dead_letter => Outcome::DeadLetter,
            Some(level) => Outcome::AtLevel(level),
            None => Outcome::Later,
        };
        let delivery = match self.entries.lock().get_mut(place as usize) {
            Some(entry) => entry.settle(),
            None => Err(no_message()),
        };
        match delivery {
            Ok(delivery) => bridge.run(id, async move {
                delivery.settle(outcome).await;
                Ok(())
            }),
            Err(fault) => bridge.failed(id, fault),
        }
    }

    /// Forgets the messages from a place on: deliveries that are not settled come again.
    #[napi]
    pub fn forget_from(&self, place: u32) {
        let forgotten = {
            let mut entries = self.entries.lock();
            let place = entries.len().min(place as usize);
            entries.split_off(place)
        };
        drop(forgotten);
    }

    /// A leased message is done.
    #[napi]
    pub fn ack_lease(&self, bridge: &Bridge, id: u32, place: u32) {
        match self.lease(place) {
            Ok(lease) => bridge.run(id, async move {
                let leased = lease.lock().clone();
                Ok(leased.ack().await?)
            }),
            Err(fault) => bridge.failed(id, fault),
        }
    }

    /// A leased message failed.
    #[napi]
    pub fn nack_lease(&self, bridge: &Bridge, id: u32, place: u32) {
        match self.lease(place) {
            Ok(lease) => bridge.run(id, async move {
                let leased = lease.lock().clone();
                Ok(leased.give_back().await?)
            }),
            Err(fault) => bridge.failed(id, fault),
        }
    }

    /// Lets a lease end so many milliseconds later than now.
    #[napi]
    pub fn extend_lease(&self, bridge: &Bridge, id: u32, place: u32, time: f64) {
        match self.lease(place).and_then(|lease| Ok((lease, Ms::of(time)?))) {
            Ok((lease, Ms(time))) => bridge.run(id, async move {
                let mut leased = lease.lock().clone();
                leased.change_invisible(time).await?;
                *lease.lock() = leased;
                Ok(())
            }),
            Err(fault) => bridge.failed(id, fault),
        }
    }
}

fn no_message() -> Fault {
    Fault::config("there is no such message in the batch")
}

/// Messages being written.
#[derive(Default)]
struct Writing {
    to: Writer,
    /// Queues and topics that are written already, and where.
    queues: Vec<(MessageQueue, u32)>,
    topics: Vec<(String, u32)>,
}

impl Writing {
    fn begin(&mut self, count: usize) {
        self.to.u32(count as u32);
        for _ in 0..count {
            self.to.u32(0);
        }
    }

    fn message(&mut self, place: usize, message: &Received) {
        let queue = self.queue(message.queue());
        let topic = self.topic(message.topic());
        let body = message.body();
        let to = &mut self.to;
        to.set_u32(4 + 4 * place, to.len() as u32);
        to.number(message.queue_offset().0 as f64);
        to.number(message.born().0 as f64);
        to.number(message.stored().0 as f64);
        to.i32(message.reconsume_times());
        to.i32(message.flag());
        to.u32(queue);
        to.u32(topic);
        to.bytes(body);
        let count_at = to.reserve_u32();
        let mut count = 0;
        for (name, value) in message.properties() {
            // All properties together are shorter than that.
            to.u16(name.len() as u16);
            to.0.extend_from_slice(name.as_bytes());
            to.u16(value.len() as u16);
            to.0.extend_from_slice(value.as_bytes());
            count += 1;
        }
        to.set_u32(count_at, count);
    }

    fn queue(&mut self, queue: &MessageQueue) -> u32 {
        if let Some((_, at)) = self.queues.iter().find(|(known, _)| known == queue) {
            return *at;
        }
        let at = self.to.len() as u32;
        write_queue(&mut self.to, queue);
        self.queues.push((queue.clone(), at));
        at
    }

    fn topic(&mut self, topic: &str) -> u32 {
        if let Some((_, at)) = self.topics.iter().find(|(known, _)| known == topic) {
            return *at;
        }
        let at = self.to.len() as u32;
        self.to.text(topic);
        self.topics.push((topic.to_owned(), at));
        at
    }
}
