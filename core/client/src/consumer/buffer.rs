//! Messages of one queue between their arrival and their end.
//!
//! ```text
//!  committed        handled out of order            next to fetch
//!  ───────┤ 17 done │ 18 │ 19 done │ 20 │ 21 ├───────
//!         └ position: the lowest that is not done; what is committed never passes it
//! ```
//! Always true:
//! * the position is never beyond a message that is not done: what is lost with this process comes again;
//! * no more messages and bytes are in it than its limits, but for one batch: who fetches waits for room;
//! * a queue that was given up takes no more messages, and its position does not change any more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromq_model::QueueOffset;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::queue::MessageQueue;

/// How much may be buffered of one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferLimits {
    /// Messages that are not done.
    pub(super) messages: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Offsets between the first and the last of them: one that takes long must not let the others run ahead without
    /// end, which all come again if this process ends.
    pub(super) span: u64,
}

/// One queue's messages.
pub(super) struct Buffer {
    pub(super) queue: MessageQueue,
    limits: BufferLimits,
    state: Mutex<State>,
    /// As in the state, for whom it is enough to see it a little later: each message is asked about before it is handled.
    given_up: AtomicBool,
    /// Told when there is room again, or when the queue is given up.
    room: Notify,
}

struct State {
    /// What came and is not below the position, in order.
    window: VecDeque<Entry>,
    open: usize,
    bytes: usize,
    /// Where fetching goes on.
    next: QueueOffset,
    /// Whether it is known where this member starts: before that there is no position.
    started: bool,
    given_up: bool,
}

struct Entry {
    offset: QueueOffset,
    len: u32,
    done: bool,
}

impl Buffer {
    /// An empty buffer; [`Buffer::start_at`] says from where the queue is fetched.
    pub(super) fn new(queue: MessageQueue, limits: BufferLimits) -> Self {
        let next = QueueOffset::ZERO;
        let state =
            State { window: VecDeque::new(), open: 0, bytes: 0, next, started: false, given_up: false };
        Self {
            queue,
            limits,
            state: Mutex::new(state),
            given_up: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Takes in what was fetched: offsets and lengths in order; goes on at `next`. Returns whether the queue is still
    /// ours.
    pub(super) fn take_in(
        &self,
        messages: impl Iterator<Item = (QueueOffset, usize)>,
        next: QueueOffset,
    ) -> bool {
        let mut state = self.state.lock();
        if state.given_up {
            return false;
        }
        for (offset, len) in messages {
            debug_assert!(state.window.back().is_none_or(|last| last.offset < offset), "in order");
            state.window.push_back(Entry { offset, len: len as u32, done: false });
            state.open += 1;
            state.bytes += len;
        }
        state.next = next;
        true
    }

    /// Fetches from here on.
    pub(super) fn start_at(&self, start: QueueOffset) {
        let mut state = self.state.lock();
        state.next = start;
        state.started = true;
    }

    /// Goes on elsewhere; what is buffered stays.
    pub(super) fn go_on_at(&self, next: QueueOffset) {
        self.state.lock().next = next;
    }

    /// The message is done with. Whether it was one of this buffer's, and not done before.
    pub(super) fn done(&self, offset: QueueOffset) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Ok(place) = state.window.binary_search_by_key(&offset, |entry| entry.offset) else {
            return false;
        };
        let entry = &mut state.window[place];
        if std::mem::replace(&mut entry.done, true) {
            return false;
        }
        let len = entry.len as usize;
        let was_full = state.is_full(&self.limits);
        state.open -= 1;
        state.bytes -= len;
        while state.window.front().is_some_and(|entry| entry.done) {
            state.window.pop_front();
        }
        if was_full && !state.is_full(&self.limits) {
            self.room.notify_one();
        }
        true
    }

    /// The group's position: everything below it is done. `None` before it is known where this member starts.
    pub(super) fn position(&self) -> Option<QueueOffset> {
        self.state.lock().position()
    }

    /// Where fetching goes on.
    pub(super) fn next(&self) -> QueueOffset {
        self.state.lock().next
    }

    /// Messages that are not done, and their bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.open, state.bytes)
    }

    /// Gives the queue up; returns its last position.
    pub(super) fn give_up(&self) -> Option<QueueOffset> {
        let mut state = self.state.lock();
        state.given_up = true;
        self.given_up.store(true, Ordering::Release);
        self.room.notify_one();
        state.position()
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Waits until there is room for more, or the queue is given up; whether it is still ours.
    pub(super) async fn room(&self) -> bool {
        loop {
            {
                let state = self.state.lock();
                if state.given_up {
                    return false;
                }
                if !state.is_full(&self.limits) {
                    return true;
                }
            }
            // One fetches from a queue at a time, so one is told, also if it does not wait yet.
            self.room.notified().await;
        }
    }
}

impl State {
    fn position(&self) -> Option<QueueOffset> {
        self.started.then(|| self.lowest())
    }

    fn lowest(&self) -> QueueOffset {
        self.window.front().map_or(self.next, |entry| entry.offset)
    }

    fn is_full(&self, limits: &BufferLimits) -> bool {
        self.open >= limits.messages
            || self.bytes >= limits.bytes
            || self.next.since(self.lowest()) >= limits.span
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ferromq_model::{QueueId, TopicName};
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn buffer(messages: usize) -> Buffer {
        let queue = MessageQueue { topic: TopicName::new("T").unwrap(), broker: "b".into(), id: QueueId(0) };
        let buffer = Buffer::new(queue, BufferLimits { messages, bytes: 1000, span: 50 });
        assert_eq!(buffer.position(), None);
        buffer.start_at(QueueOffset(10));
        buffer
    }

    fn offsets(offsets: &[u64]) -> impl Iterator<Item = (QueueOffset, usize)> {
        offsets.iter().map(|&offset| (QueueOffset(offset), 100))
    }

    #[test]
    fn the_position_waits_for_the_lowest_that_is_not_done() {
        let buffer = buffer(100);
        assert_eq!(buffer.position(), Some(QueueOffset(10)));
        assert!(buffer.take_in(offsets(&[10, 12, 13]), QueueOffset(15)));
        assert!(buffer.done(QueueOffset(13)) && buffer.done(QueueOffset(10)));
        assert!(!buffer.done(QueueOffset(10)) && !buffer.done(QueueOffset(11)));
        assert_eq!((buffer.position(), buffer.held()), (Some(QueueOffset(12)), (1, 100)));
        assert!(buffer.done(QueueOffset(12)));
        assert_eq!((buffer.position(), buffer.held()), (Some(QueueOffset(15)), (0, 0)));
    }

    #[test]
    fn who_fetches_waits_at_each_limit() {
        let by_count = buffer(2);
        by_count.take_in(offsets(&[10, 11]), QueueOffset(12));
        assert!(by_count.room().now_or_never().is_none());
        by_count.done(QueueOffset(11));
        assert_eq!(by_count.room().now_or_never(), Some(true));
        let by_bytes = buffer(100);
        by_bytes.take_in(offsets(&[10, 11, 12, 13, 14, 15, 16, 17, 18, 19]), QueueOffset(20));
        assert!(by_bytes.room().now_or_never().is_none());
        let by_span = buffer(100);
        by_span.take_in(offsets(&[10]), QueueOffset(60));
        assert!(by_span.room().now_or_never().is_none());
        by_span.give_up();
        assert_eq!(by_span.room().now_or_never(), Some(false));
        assert!(!by_span.take_in(offsets(&[60]), QueueOffset(61)));
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_done_is_ever_below_the_position(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
            let buffer = buffer(100);
            let all: Vec<u64> = (0..40).collect();
            buffer.take_in(offsets(&all), QueueOffset(40));
            let mut open: BTreeSet<u64> = all.into_iter().collect();
            for offset in order {
                buffer.done(QueueOffset(offset));
                open.remove(&offset);
                let lowest = open.first().copied().unwrap_or(40);
                prop_assert_eq!(buffer.position(), Some(QueueOffset(lowest)));
            }
        }
    }
}
