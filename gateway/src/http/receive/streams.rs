//! Who receives at this moment, and what each stream has out: acknowledgements come on other connections, and have to
//! find the stream that they make room in.
//!
//! Always true:
//! * a message that is out is held by the stream that sent it last, and by no other;
//! * it stops counting when it is acknowledged, given back, or its lease has ended, whichever is first;
//! * no stream has more out than [`MAX_UNACKED`], and there are no more streams than `httpMaxStreams`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferromq_model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::lease::Place;
use super::receipt::{Key, Receipt};
use crate::http::problem::{Kind, Problem};

/// Messages that one stream may have out.
pub(super) const MAX_UNACKED: usize = 10_000;

/// How somebody receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Way {
    /// One request that waits.
    Poll,
    /// Server-sent events.
    Events,
    /// A WebSocket.
    Socket,
}

/// Somebody who receives, as tools see it.
#[derive(Clone, Debug)]
pub(in crate::http) struct Receiver {
    pub(in crate::http) address: SocketAddr,
    pub(in crate::http) place: Place,
}

/// All who receive.
pub(in crate::http) struct Streams {
    places: Arc<Semaphore>,
    most: u32,
    next: AtomicU64,
    receivers: Mutex<BTreeMap<u64, Receiver>>,
    /// Who has what out.
    out: Mutex<HashMap<Place, HashMap<Key, Holder>>>,
}

struct Holder {
    stream: u64,
    /// Who waits for room.
    room: Arc<Notify>,
    receipt: Receipt,
}

/// A receiver's place, given back when dropped.
pub(super) struct Open {
    streams: Arc<Streams>,
    id: u64,
    place: Place,
    room: Arc<Notify>,
    /// Keys that it once had; what is not held under them any more is dropped at the next look.
    sent: Vec<Key>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Streams {
    pub(in crate::http) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            next: AtomicU64::new(1),
            receivers: Mutex::default(),
            out: Mutex::default(),
        })
    }

    /// Opens a stream, or notes a request that waits, which its connection counts for.
    pub(super) fn open(
        self: &Arc<Self>,
        place: &Place,
        address: SocketAddr,
        way: Way,
    ) -> Result<Open, Problem> {
        let permit = match way {
            Way::Poll => None,
            Way::Events | Way::Socket => {
                Some(Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
                    Kind::TooMany.because(format!("{} streams are open (httpMaxStreams)", self.most))
                })?)
            }
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let receiver = Receiver { address, place: place.clone() };
        self.receivers.lock().insert(id, receiver);
        let (streams, place, room) = (Arc::clone(self), place.clone(), Arc::default());
        Ok(Open { streams, id, place, room, sent: Vec::new(), _permit: permit })
    }

    /// All who receive at this moment.
    pub(in crate::http) fn receivers(&self) -> Vec<Receiver> {
        self.receivers.lock().values().cloned().collect()
    }

    /// Waits until every stream has ended.
    pub(in crate::http) async fn ended(&self) {
        let _ = self.places.acquire_many(self.most).await;
    }

    /// A message is done, or given back.
    pub(super) fn settled(&self, place: &Place, key: Key) {
        let mut out = self.out.lock();
        let Some(held) = out.get_mut(place) else { return };
        if let Some(holder) = held.remove(&key) {
            holder.room.notify_one();
        }
        if held.is_empty() {
            out.remove(place);
        }
    }

    /// A message has another lease.
    pub(super) fn extended(&self, place: &Place, receipt: Receipt) {
        if let Some(holder) = self.out.lock().get_mut(place).and_then(|held| held.get_mut(&receipt.key)) {
            holder.receipt = receipt;
        }
    }
}

impl Open {
    /// Notes that messages are out.
    pub(super) fn sent(&mut self, receipts: &[Receipt]) {
        let mut out = self.streams.out.lock();
        if receipts.is_empty() {
            return;
        }
        let held = out.entry(self.place.clone()).or_default();
        for receipt in receipts {
            let holder = Holder { stream: self.id, room: Arc::clone(&self.room), receipt: *receipt };
            held.insert(receipt.key, holder);
            self.sent.push(receipt.key);
        }
    }

    /// How many are out, and when the first of their leases ends.
    pub(super) fn out(&mut self, now: Timestamp) -> (usize, Option<Timestamp>) {
        let mut first = None;
        self.keep(|receipt| {
            let end = receipt.end();
            first = Some(first.map_or(end, |first: Timestamp| first.min(end)));
            end > now
        });
        (self.sent.len(), first)
    }

    /// Waits until something that was out is not any more, other than by the end of its lease. Cancel safe.
    pub(super) async fn settled(&self) {
        self.room.notified().await;
    }

    /// Everything that is out, which is not from now on.
    pub(super) fn take_out(&mut self) -> Vec<Receipt> {
        let mut taken = Vec::new();
        self.keep(|receipt| {
            taken.push(*receipt);
            false
        });
        taken
    }

    /// Keeps those that are out and of which `keep` says so.
    fn keep(&mut self, mut keep: impl FnMut(&Receipt) -> bool) {
        if self.sent.is_empty() {
            return;
        }
        let Self { streams, id, place, sent, .. } = self;
        let mut out = streams.out.lock();
        let Some(held) = out.get_mut(place) else { return sent.clear() };
        sent.retain(|key| {
            let mine = held.get(key).filter(|holder| holder.stream == *id).map(|holder| holder.receipt);
            let kept = mine.is_some_and(|receipt| keep(&receipt));
            if mine.is_some() && !kept {
                held.remove(key);
            }
            kept
        });
        if held.is_empty() {
            out.remove(place);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.take_out();
        self.streams.receivers.lock().remove(&self.id);
    }
}
