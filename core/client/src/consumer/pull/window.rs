//! Messages of one queue between the broker and [`poll`](super::PullConsumer::poll).
//!
//! ```text
//!  done                position                next to fetch
//!  ────┤ by the last poll ├ waiting here ─────────┤──────────
//! ```
//! Always true:
//! * `done <= position <= next to fetch`;
//! * what was fetched before the application went elsewhere is not handed out after it;
//! * no more messages and bytes wait than the limits, but for one batch.

use std::collections::VecDeque;

use ferromq_model::QueueOffset;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::received::Received;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// One queue's messages.
pub(super) struct Window {
    limits: WindowLimits,
    state: Mutex<State>,
    /// Told when there may be something to fetch that was not before.
    room: Notify,
    /// Told when what is being fetched is not wanted any more.
    moved: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Received>,
    bytes: usize,
    /// Where fetching goes on; none until it is known where the group is.
    next: Option<QueueOffset>,
    /// What later polls than the one that handed it out have confirmed.
    done: Option<QueueOffset>,
    /// How often the application went elsewhere.
    turn: u64,
    paused: bool,
    given_up: bool,
    /// It is among those that have something to hand out.
    listed: bool,
}

/// What to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// None: it is not known where to start.
    pub(super) from: Option<QueueOffset>,
    turn: u64,
}

impl Window {
    pub(super) fn new(limits: WindowLimits) -> Self {
        Self { limits, state: Mutex::default(), room: Notify::new(), moved: Notify::new() }
    }

    /// Waits until something may be fetched; `None` once the queue is given up.
    pub(super) async fn wanted(&self) -> Option<Wanted> {
        loop {
            {
                let state = self.state.lock();
                if state.given_up {
                    return None;
                }
                let full = state.waiting.len() >= self.limits.messages || state.bytes >= self.limits.bytes;
                if !state.paused && !full {
                    return Some(Wanted { from: state.next, turn: state.turn });
                }
            }
            // One fetches from a queue at a time, so one is told, also if it does not wait yet.
            self.room.notified().await;
        }
    }

    /// Waits until what is being fetched may not be wanted any more.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Begins here, unless the application went elsewhere in the meantime.
    pub(super) fn start_at(&self, wanted: Wanted, start: QueueOffset) {
        let mut state = self.state.lock();
        if state.turn == wanted.turn && !state.given_up {
            state.next = Some(start);
            state.done = Some(start);
        }
    }

    /// Takes in what was fetched, in order, and goes on at `next`. Returns whether the queue has now something to hand
    /// out and was not listed for it.
    pub(super) fn take_in(
        &self,
        wanted: Wanted,
        messages: impl Iterator<Item = Received>,
        next: QueueOffset,
    ) -> bool {
        let mut state = self.state.lock();
        if state.turn != wanted.turn || state.given_up {
            return false;
        }
        // Nothing is waiting to be polled or confirmed: what the filter leaves out is done as it is passed.
        let idle = state.done == state.next;
        for message in messages {
            state.bytes += message.len();
            state.waiting.push_back(message);
        }
        state.next = Some(next);
        if idle {
            state.done = state.position();
        }
        state.list()
    }

    /// Adds up to `most` messages to `out`. Returns whether there are more.
    pub(super) fn hand_out(&self, most: usize, out: &mut Vec<Received>) -> bool {
        let mut state = self.state.lock();
        state.listed = false;
        if state.paused || state.given_up {
            return false;
        }
        let count = most.min(state.waiting.len());
        for message in state.waiting.drain(..count) {
            out.push(message);
        }
        let handed: usize = out[out.len() - count..].iter().map(Received::len).sum();
        state.bytes -= handed;
        self.room.notify_one();
        state.list()
    }

    /// Whether it has something to hand out. If not, it is not listed for it any more.
    pub(super) fn has_some(&self) -> bool {
        let mut state = self.state.lock();
        state.listed = !state.paused && !state.waiting.is_empty();
        state.listed
    }

    /// What was handed out is done.
    pub(super) fn confirm(&self) {
        let mut state = self.state.lock();
        if !state.given_up {
            state.done = state.position();
        }
    }

    /// Goes elsewhere, and drops what waits.
    pub(super) fn seek(&self, to: QueueOffset) {
        let mut state = self.state.lock();
        state.waiting.clear();
        state.bytes = 0;
        state.turn += 1;
        state.next = Some(to);
        state.done = Some(to);
        self.room.notify_one();
        self.moved.notify_one();
    }

    /// Hands nothing out and fetches nothing until it is resumed. What waits is kept.
    pub(super) fn pause(&self) {
        self.state.lock().paused = true;
    }

    /// Returns whether the queue has now something to hand out and was not listed for it.
    pub(super) fn resume(&self) -> bool {
        let mut state = self.state.lock();
        state.paused = false;
        self.room.notify_one();
        state.list()
    }

    /// The next message that is handed out; none until it is known where the group is.
    pub(super) fn position(&self) -> Option<QueueOffset> {
        self.state.lock().position()
    }

    /// Below this everything is done.
    pub(super) fn done(&self) -> Option<QueueOffset> {
        self.state.lock().done
    }

    /// Messages that wait, their bytes, and where fetching goes on.
    pub(super) fn held(&self) -> (usize, usize, QueueOffset) {
        let state = self.state.lock();
        (state.waiting.len(), state.bytes, state.next.unwrap_or_default())
    }

    /// Gives the queue up; returns up to where everything is done.
    pub(super) fn give_up(&self) -> Option<QueueOffset> {
        let mut state = self.state.lock();
        state.given_up = true;
        state.waiting.clear();
        state.bytes = 0;
        self.room.notify_one();
        self.moved.notify_one();
        state.done
    }
}

impl State {
    fn position(&self) -> Option<QueueOffset> {
        self.waiting.front().map(Received::queue_offset).or(self.next)
    }

    fn list(&mut self) -> bool {
        let list = !self.listed && !self.paused && !self.waiting.is_empty();
        self.listed |= list;
        list
    }
}
