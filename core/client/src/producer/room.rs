//! How much may be in flight at once: so many messages, so many bytes. Senders wait for room, first come first served.
//!
//! Always true:
//! * what is in flight is within both limits. What is larger than a limit counts as all of it, and so goes alone;
//! * nobody overtakes a sender that waits;
//! * while there is room, entering and leaving are one atomic change each: no lock, no allocation.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify};

/// Bits that count bytes; those above count messages.
const BYTE_BITS: u32 = 40;
const BYTES: u64 = (1 << BYTE_BITS) - 1;

/// The most messages that may be allowed in flight.
pub(super) const MAX_COUNT: usize = 1 << 20;
/// The most bytes that may be allowed in flight.
pub(super) const MAX_BYTES: usize = 16 << 30;

/// The room for what is in flight.
pub(super) struct Room {
    max_count: u64,
    max_bytes: u64,
    /// Messages and bytes in flight.
    taken: AtomicU64,
    closed: AtomicBool,
    /// How many wait.
    waiting: AtomicUsize,
    /// Whoever has it is the next to enter.
    next: Mutex<()>,
    /// Told when somebody left while others wait.
    left: Notify,
}

/// Room that was taken by somebody who passed it on: see [`Place::keep`].
#[derive(Default)]
pub(super) struct Taken(u64);

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, more: Self) {
        self.0 += more.0;
    }
}

/// Nobody may enter any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Room {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        debug_assert!(max_count <= MAX_COUNT && max_bytes <= MAX_BYTES, "checked by the builder");
        Self {
            max_count: max_count as u64,
            max_bytes: max_bytes as u64,
            taken: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            next: Mutex::new(()),
            left: Notify::new(),
        }
    }

    /// Waits for room for `count` messages of `bytes` together.
    pub(super) async fn enter(&self, count: usize, bytes: usize) -> Result<Place<'_>, Closed> {
        let size = (count as u64).min(self.max_count) << BYTE_BITS | (bytes as u64).min(self.max_bytes);
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(place) = self.take(size)
        {
            return self.unless_closed(place);
        }
        let _waiting = Waiting::new(&self.waiting);
        let _turn = self.next.lock().await;
        loop {
            if let Some(place) = self.take(size) {
                return self.unless_closed(place);
            }
            if self.is_shut() {
                return Err(Closed);
            }
            self.left.notified().await;
        }
    }

    /// Lets nobody in any more.
    pub(super) fn shut(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.left.notify_one();
    }

    /// Waits until all have left.
    pub(super) async fn emptied(&self) {
        let _waiting = Waiting::new(&self.waiting);
        let _turn = self.next.lock().await;
        while self.taken.load(Ordering::SeqCst) != 0 {
            self.left.notified().await;
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Room that was kept is given back with the place.
    pub(super) fn resume(&self, Taken(size): Taken) -> Place<'_> {
        Place { room: self, size }
    }

    /// Whoever shuts it looks for what is taken after that, so that either side sees the other.
    fn unless_closed<'r>(&self, place: Place<'r>) -> Result<Place<'r>, Closed> {
        if self.is_shut() { Err(Closed) } else { Ok(place) }
    }

    fn take(&self, size: u64) -> Option<Place<'_>> {
        let grown = |taken: u64| {
            let bytes = (taken & BYTES) + (size & BYTES);
            let count = (taken >> BYTE_BITS) + (size >> BYTE_BITS);
            (bytes <= self.max_bytes && count <= self.max_count).then_some(taken + size)
        };
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, grown);
        taken.is_ok().then(|| Place { room: self, size })
    }
}

/// Room that is taken, until this is dropped.
pub(super) struct Place<'r> {
    room: &'r Room,
    size: u64,
}

impl Place<'_> {
    /// Leaves the room taken until it is [resumed](Room::resume).
    pub(super) fn keep(self) -> Taken {
        let size = self.size;
        std::mem::forget(self);
        Taken(size)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.size, Ordering::SeqCst);
        if self.room.waiting.load(Ordering::SeqCst) > 0 {
            self.room.left.notify_one();
        }
    }
}

/// Somebody waits, until this is dropped.
struct Waiting<'r>(&'r AtomicUsize);

impl<'r> Waiting<'r> {
    fn new(waiting: &'r AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_and_enters_in_the_order_of_coming() {
        let room = Room::new(2, 100);
        let first = room.enter(1, 60).await.unwrap();
        let mut large = Box::pin(room.enter(1, 60));
        assert!(large.as_mut().now_or_never().is_none(), "the bytes are used up");
        let mut small = Box::pin(room.enter(1, 1));
        assert!(small.as_mut().now_or_never().is_none(), "it would fit, but another waits");
        drop(first);
        assert!(small.as_mut().now_or_never().is_none());
        let large = large.await.unwrap();
        let small = small.await.unwrap();
        assert!(room.enter(1, 1).now_or_never().is_none(), "two are in flight");
        drop((large, small));
        let whole = room.enter(1, 1000).await.expect("what is too large goes alone");
        assert!(room.enter(1, 1).now_or_never().is_none());
        drop(whole);
        room.enter(1, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_sender_that_stops_waiting_holds_nobody_up() {
        let room = Room::new(1, 100);
        let first = room.enter(1, 1).await.unwrap();
        let mut gone = Box::pin(room.enter(1, 1));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = Box::pin(room.enter(1, 1));
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        drop(gone);
        next.await.unwrap();
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_in_flight_and_refuses_who_waits() {
        let room = Room::new(1, 100);
        let first = room.enter(1, 1).await.unwrap();
        let mut waiting = Box::pin(room.enter(1, 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut close = Box::pin(async {
            room.shut();
            room.emptied().await;
        });
        assert!(close.as_mut().now_or_never().is_none());
        assert_eq!(waiting.await.err(), Some(Closed));
        assert!(close.as_mut().now_or_never().is_none());
        drop(first);
        close.await;
        assert_eq!(room.enter(1, 1).await.err(), Some(Closed));
    }
}
