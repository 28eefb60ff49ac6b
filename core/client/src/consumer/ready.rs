//! Messages that may be handed out now, and those of a queue that wait for their turn.
//!
//! Always true:
//! * what is made ready first is handed out first, and once;
//! * as long as something is ready, somebody who waits was woken for it;
//! * of a lane one message is out at a time: the next one is handed out when that is done with.

use std::collections::{BTreeMap, VecDeque};
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

/// What may be handed out now.
pub(super) struct Ready<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    waiting: Waiting,
    closed: bool,
}

/// Those who wait, in the order in which they began to.
#[derive(Default)]
struct Waiting {
    wakers: BTreeMap<u64, Waker>,
    began: u64,
}

impl Waiting {
    fn begin(&mut self, waker: &Waker) -> u64 {
        self.began += 1;
        self.wakers.insert(self.began, waker.clone());
        self.began
    }

    /// Wakes whoever waited last: it is the warmest, and one wakes often enough.
    fn wake_one(&mut self) {
        if let Some((_, waker)) = self.wakers.pop_last() {
            waker.wake();
        }
    }
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        let state = State { items: VecDeque::new(), waiting: Waiting::default(), closed: false };
        Self { state: Mutex::new(state) }
    }
}

impl<T> Ready<T> {
    pub(super) fn push_all(&self, items: impl Iterator<Item = T>) {
        let mut state = self.state.lock();
        let before = state.items.len();
        state.items.extend(items);
        for _ in before..state.items.len() {
            state.waiting.wake_one();
        }
    }

    /// Hands nothing out any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.items.clear();
        std::mem::take(&mut state.waiting.wakers).into_values().for_each(Waker::wake);
    }
}

/// One who takes what is ready.
///
/// Who stops waiting is forgotten, so that a thousand waits that end in vain leave nothing behind; who was woken and takes
/// nothing wakes another.
pub(super) struct Taker<T> {
    ready: Arc<Ready<T>>,
    /// Since when it waits, as [`Waiting`] counts. What was woken is not there any more.
    since: Option<u64>,
}

impl<T> Taker<T> {
    pub(super) fn of(ready: &Arc<Ready<T>>) -> Self {
        Self { ready: Arc::clone(ready), since: None }
    }

    /// The next one; `None` once closed.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.ready.state.lock();
        let state = &mut *state;
        if state.closed || !state.items.is_empty() {
            if let Some(since) = self.since.take() {
                state.waiting.wakers.remove(&since);
            }
            return Poll::Ready(if state.closed { None } else { state.items.pop_front() });
        }
        match self.since.and_then(|since| state.waiting.wakers.get_mut(&since)) {
            Some(known) => known.clone_from(cx.waker()),
            None => self.since = Some(state.waiting.begin(cx.waker())),
        }
        Poll::Pending
    }

    /// Waits no more.
    pub(super) fn leave(&mut self) {
        let Some(since) = self.since.take() else { return };
        let mut state = self.ready.state.lock();
        let was_woken = state.waiting.wakers.remove(&since).is_none();
        if was_woken && !state.items.is_empty() {
            state.waiting.wake_one();
        }
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.leave();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that waits.
    struct Task {
        taker: Taker<u32>,
        woken: Arc<Woken>,
    }

    impl Task {
        fn of(ready: &Arc<Ready<u32>>) -> Self {
            Self { taker: Taker::of(ready), woken: Arc::default() }
        }

        fn poll(&mut self) -> Poll<Option<u32>> {
            let waker = Waker::from(Arc::clone(&self.woken));
            self.taker.poll_next(&Context::from_waker(&waker))
        }

        fn times_woken(&self) -> usize {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    fn waiting(ready: &Ready<u32>) -> usize {
        ready.state.lock().waiting.wakers.len()
    }

    #[test]
    fn a_wait_that_ends_in_vain_leaves_nothing_behind() {
        let ready = Arc::<Ready<u32>>::default();
        let mut task = Task::of(&ready);
        for _ in 0..1000 {
            assert_eq!(task.poll(), Poll::Pending);
            assert_eq!(task.poll(), Poll::Pending);
            assert_eq!(waiting(&ready), 1);
            task.taker.leave();
            assert_eq!((waiting(&ready), Arc::strong_count(&task.woken)), (0, 1));
        }
        assert_eq!(task.poll(), Poll::Pending);
        drop(task);
        assert_eq!(waiting(&ready), 0);
    }

    #[test]
    fn a_task_that_is_polled_with_another_waker_is_woken_by_that_one() {
        let ready = Arc::<Ready<u32>>::default();
        let mut task = Task::of(&ready);
        assert_eq!(task.poll(), Poll::Pending);
        let before = std::mem::take(&mut task.woken);
        assert_eq!(task.poll(), Poll::Pending);
        ready.push_all([1].into_iter());
        assert_eq!((before.0.load(Ordering::Relaxed), task.times_woken()), (0, 1));
    }

    #[test]
    fn who_is_woken_and_takes_nothing_wakes_another() {
        let ready = Arc::<Ready<u32>>::default();
        let mut tasks: Vec<_> = (0..3).map(|_| Task::of(&ready)).collect();
        for task in &mut tasks {
            assert_eq!(task.poll(), Poll::Pending);
        }
        ready.push_all([7].into_iter());
        let woken = |tasks: &[Task]| tasks.iter().map(Task::times_woken).collect::<Vec<_>>();
        assert_eq!(woken(&tasks), [0, 0, 1]);
        drop(tasks.pop());
        assert_eq!(woken(&tasks), [0, 1]);
        tasks[1].taker.leave();
        assert_eq!(woken(&tasks), [1, 1]);
        assert_eq!(tasks[0].poll(), Poll::Ready(Some(7)));
        assert_eq!(waiting(&ready), 0);
    }

    #[test]
    fn who_takes_without_being_woken_waits_no_more() {
        let ready = Arc::<Ready<u32>>::default();
        let (mut first, mut last) = (Task::of(&ready), Task::of(&ready));
        assert_eq!(first.poll(), Poll::Pending);
        assert_eq!(last.poll(), Poll::Pending);
        ready.push_all([7].into_iter());
        assert_eq!(first.poll(), Poll::Ready(Some(7)));
        assert_eq!(waiting(&ready), 0);
        // Who was woken for it waits again.
        assert_eq!(last.poll(), Poll::Pending);
        ready.close();
        assert_eq!((last.poll(), last.times_woken()), (Poll::Ready(None), 2));
    }
}
