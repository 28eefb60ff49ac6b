//! Being told when something arrives in a queue, without a task that waits: for readers of which there are thousands.
//!
//! Always true:
//! * a watcher is told once and then asks anew. One that is busy with what it has is not told of each further message,
//!   so a slow reader costs those who append nothing;
//! * whoever sees no message and asks to be told is told: there is no moment between the two that an arrival can hide in;
//! * watchers are told outside of the locks that appends and reads take. They should only take note: whoever
//!   appended, flushed or deleted waits meanwhile.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};

use ferromq_model::QueueOffset;
use parking_lot::Mutex;

use crate::queue::Queue;

/// Who wants to know that something arrived.
pub trait Watcher: Send + Sync {
    /// Messages of `queue` became visible, or the queue was deleted. Called by whoever made that so.
    fn arrived(&self, queue: &Arc<Queue>);
}

/// The watchers of one queue.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Whether there may be one: all that an arrival costs where there is none.
    any: AtomicBool,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    waiting: Vec<Weak<dyn Watcher>>,
    /// So many make it worth looking for those who are gone.
    prune_at: usize,
}

impl Watchers {
    /// Whether somebody is to be told. Asked behind a sequentially consistent change of what is visible.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Adds a watcher, unless `already_there` says that there is no reason to wait.
    fn add(&self, watcher: Weak<dyn Watcher>, already_there: impl FnOnce() -> bool) -> bool {
        /// Fewer are not looked through.
        const FEW: usize = 64;
        let mut list = self.list.lock();
        if list.waiting.len() >= list.prune_at.max(FEW) {
            list.waiting.retain(|watcher| watcher.strong_count() > 0);
            list.prune_at = 2 * list.waiting.len();
        }
        list.waiting.push(watcher);
        self.any.store(true, Ordering::SeqCst);
        // Either the look below sees the arrival, or the arrival sees the mark above.
        fence(Ordering::SeqCst);
        if already_there() {
            list.waiting.pop();
            return false;
        }
        true
    }

    fn take(&self) -> Vec<Weak<dyn Watcher>> {
        let mut list = self.list.lock();
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut list.waiting)
    }
}

impl Queue {
    /// Lets `watcher` be told, once, when a message at `from` or behind it may be seen, or the queue is deleted. `false`
    /// if that is so by now: it is not told then. It may be told too early, for one of a message that it saw a moment
    /// before it asked.
    #[must_use = "who is not told must look"]
    pub fn watch(&self, from: QueueOffset, watcher: Weak<dyn Watcher>) -> bool {
        self.watchers.add(watcher, || self.max() > from || self.is_retired())
    }

    /// Tells all who watch. No lock of the store may be held.
    pub(crate) fn tell(self: &Arc<Self>) {
        for watcher in self.watchers.take() {
            if let Some(watcher) = watcher.upgrade() {
                watcher.arrived(self);
            }
        }
    }
}

/// Queues whose watchers are told once locks are released.
#[derive(Default)]
pub(crate) struct ToTell(Vec<Arc<Queue>>);

impl ToTell {
    /// Shows what a queue has below `upto`, and remembers it if somebody is to be told.
    pub(crate) fn publish(&mut self, queue: &Arc<Queue>, upto: QueueOffset) {
        let listed = |last: &Arc<Queue>| Arc::ptr_eq(last, queue);
        if queue.publish(upto) && !self.0.last().is_some_and(listed) {
            self.0.push(Arc::clone(queue));
        }
    }

    /// Tells them.
    pub(crate) fn tell(&mut self) {
        self.0.drain(..).for_each(|queue| queue.tell());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Deaf;

    impl Watcher for Deaf {
        fn arrived(&self, _: &Arc<Queue>) {}
    }

    #[test]
    fn watchers_that_are_gone_take_no_room() {
        let watchers = Watchers::default();
        let stays = Arc::new(Deaf);
        for _ in 0..100 {
            let stays: Weak<Deaf> = Arc::downgrade(&stays);
            assert!(watchers.add(stays, || false));
        }
        for _ in 0..100_000 {
            let goes: Weak<Deaf> = Arc::downgrade(&Arc::new(Deaf));
            assert!(watchers.add(goes, || false));
        }
        let waiting = watchers.take();
        assert!(waiting.len() < 500, "{}", waiting.len());
        assert_eq!(waiting.iter().filter(|watcher| watcher.strong_count() > 0).count(), 100);
    }
}
