//! Messages that may be handed out now, and those of a queue that wait for their turn.
//!
//! Always true:
//! * what is made ready first is handed out first, and once;
//! * of a lane one message is out at a time: the next one is handed out when that is done with.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::queues::Assigned;
use crate::received::Received;

/// A message to be handed out.
pub(super) struct Item {
    pub(super) message: Received,
    pub(super) from: Arc<Assigned>,
}

/// Messages that may be handed out now.
#[derive(Default)]
pub(super) struct Ready {
    state: Mutex<ReadyState>,
}

#[derive(Default)]
struct ReadyState {
    items: VecDeque<Item>,
    waiting: Vec<Waker>,
    closed: bool,
}

impl Ready {
    pub(super) fn push_all(&self, items: impl Iterator<Item = Item>) {
        let mut state = self.state.lock();
        let before = state.items.len();
        state.items.extend(items);
        let came = state.items.len() - before;
        let woken = came.min(state.waiting.len());
        let kept = state.waiting.len() - woken;
        // Who waited last is woken first: it is the warmest, and one wakes often enough.
        for waker in state.waiting.drain(kept..) {
            waker.wake();
        }
    }

    /// The next message; `None` once closed.
    pub(super) async fn next(&self) -> Option<Item> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.state.lock();
        if state.closed {
            return Poll::Ready(None);
        }
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if !state.waiting.iter().any(|known| known.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Hands nothing out any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.items.clear();
        state.waiting.drain(..).for_each(Waker::wake);
    }
}

/// Messages of a queue that are handed out one at a time.
#[derive(Default)]
pub(super) struct Lane {
    waiting: VecDeque<Received>,
    /// One is handed out, or waits to be handed out again.
    busy: bool,
}

impl Lane {
    /// Adds messages; returns the one to hand out now.
    pub(super) fn add(&mut self, messages: impl Iterator<Item = Received>) -> Option<Received> {
        self.waiting.extend(messages);
        if self.busy { None } else { self.next() }
    }

    pub(super) fn next(&mut self) -> Option<Received> {
        let next = self.waiting.pop_front();
        self.busy = next.is_some();
        next
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }
}
