//! Topic filters, as MQTT's sessions subscribe to them: each has one light queue, which gets every message whose topic
//! matches, whatever protocol it came by. Whoever subscribes reads that queue.
//!
//! ```text
//! send to a/b ──▶ record in the log ──▶ queue of its topic
//!                        │ (one entry each)
//!                        ├──▶ light queue of the filter a/+
//!                        └──▶ light queue of the filter #
//! ```
//! Always true:
//! * a filter has one queue, however many hold it. What is prepared after [`Fanout::attach`] returned is in it, until the
//!   last one let it go: a cursor that starts at the queue's end then misses nothing;
//! * filters that were held when the process ended are filled again from the start of the next, before anybody asks;
//!   [`Fanout::drop_unheld`] then lets go of those that nobody holds any more;
//! * a queue that nobody holds is deleted a while later, entries only, unless clients use it by its name. A filter that
//!   comes again before goes on with it; what was sent in between is not in it;
//! * without filters, a send pays one load.

mod dispatch;
mod saved;
mod trie;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ferromq_model::{QueueOffset, TopicName, mqtt};
use ferromq_state::StateError;
use ferromq_store::{Queue, Store};
use foldhash::fast::RandomState;
use parking_lot::{Condvar, Mutex, RwLock};

pub(crate) use dispatch::{Dispatch, Further};
use saved::Saved;
use trie::Trie;
pub use trie::{FilterError, MAX_LEVELS};

/// A topic filter and its light queue.
pub struct FilterQueue {
    filter: Arc<str>,
    queue: Arc<Queue>,
}

impl FilterQueue {
    /// The filter, as it was attached.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Its queue. A new subscription starts at [`Queue::next`], asked after the filter is attached.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl std::fmt::Debug for FilterQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} in {:?}", self.filter, self.queue)
    }
}

/// A filter has no queue.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The subscriber's fault.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// There are as many as there may be.
    #[error("there are as many topic filters as mqttMaxFilters allows ({most})")]
    TooMany {
        /// How many.
        most: u32,
    },
    /// Ours: it cannot be noted that the filter is there.
    #[error("topic filters cannot be saved: {0}")]
    Save(#[from] io::Error),
    /// Ours: an earlier queue of the filter could not be deleted. The next start tries again.
    #[error("the last queue of this topic filter could not be deleted")]
    Undeleted,
}

/// The topic filters that are held, and their queues.
pub struct Fanout {
    store: Store,
    most: u32,
    /// Whether some topics are one client's alone.
    point_to_point: bool,
    /// Filters in the trie. Without one, nothing else is looked at.
    attached: AtomicUsize,
    /// Moves whenever the trie changes.
    generation: AtomicU64,
    trie: RwLock<Trie<Arc<FilterQueue>>>,
    book: Mutex<Book>,
    /// Tells that deletions ended.
    deleted: Condvar,
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fan-out to {} filters", self.len())
    }
}

/// Who holds what.
struct Book {
    known: HashMap<Arc<str>, Held, RandomState>,
    /// Filters that were let go since the last sweep; some may be held again.
    let_go: Vec<Arc<FilterQueue>>,
    saved: Saved,
}

struct Held {
    queue: Arc<FilterQueue>,
    users: u32,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the trie.
    Attached,
    /// Not in it any more, and about to be deleted.
    LetGo,
    /// Being deleted.
    Deleting,
    /// It could not be.
    Undeleted,
}

/// What a look for filters found, for the next message of the same topic.
#[derive(Debug, Default)]
pub(crate) struct LastLook {
    generation: u64,
    address: String,
    found: Arc<[Arc<Dispatch>]>,
}

impl Fanout {
    /// Goes on with the filters that were held when the store was last open.
    pub(crate) fn open(store: &Store, most: u32, point_to_point: bool) -> Result<Self, StateError> {
        let dir = store.config_dir();
        let (saved, filters) = Saved::open(&dir).map_err(|source| StateError::Io { path: dir, source })?;
        let book = Book { known: HashMap::default(), let_go: Vec::new(), saved };
        let fanout = Self {
            store: store.clone(),
            most,
            point_to_point,
            attached: AtomicUsize::new(0),
            // A look that never was has generation 0.
            generation: AtomicU64::new(1),
            trie: RwLock::default(),
            book: Mutex::new(book),
            deleted: Condvar::new(),
        };
        {
            let mut book = fanout.book.lock();
            for filter in filters.into_iter().filter(|filter| trie::check(filter).is_ok()) {
                let queue = store.filter_queue(&mqtt::light_queue_of(&filter));
                let queue = Arc::new(FilterQueue { filter: filter.into(), queue });
                fanout.put(&queue);
                let held = Held { queue: Arc::clone(&queue), users: 0, stage: Stage::Attached };
                book.known.insert(Arc::clone(&queue.filter), held);
            }
        }
        Ok(fanout)
    }

    /// How many filters are filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attached.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Holds a filter. Each call counts: [`Fanout::detach`] is to follow as often, but for those that are to be held
    /// again after a restart. Waits for the disk for a moment when the filter is new, and longer when its last queue is
    /// just being deleted.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(&self, filter: &str) -> Result<Arc<FilterQueue>, AttachError> {
        trie::check(filter)?;
        let mut book = self.book.lock();
        while let Some(held) = book.known.get_mut(filter) {
            match held.stage {
                Stage::Attached => {
                    held.users += 1;
                    return Ok(Arc::clone(&held.queue));
                }
                Stage::LetGo => {
                    (held.stage, held.users) = (Stage::Attached, 1);
                    self.put(&held.queue);
                    return Ok(Arc::clone(&held.queue));
                }
                Stage::Deleting => self.deleted.wait(&mut book),
                Stage::Undeleted => return Err(AttachError::Undeleted),
            }
        }
        if book.known.len() >= self.most as usize {
            return Err(AttachError::TooMany { most: self.most });
        }
        let queue = self.store.filter_queue(&mqtt::light_queue_of(filter));
        if queue.is_retired() {
            // An operator deletes it at this moment, or could not.
            return Err(AttachError::Undeleted);
        }
        if queue.next() > QueueOffset::ZERO {
            // It was there before: somebody else made it.
            queue.note_clients();
        }
        book.saved.add(filter)?;
        let queue = Arc::new(FilterQueue { filter: filter.into(), queue });
        self.put(&queue);
        let held = Held { queue: Arc::clone(&queue), users: 1, stage: Stage::Attached };
        book.known.insert(Arc::clone(&queue.filter), held);
        Ok(queue)
    }

    /// The queue of a filter that is held.
    #[must_use]
    pub fn find(&self, filter: &str) -> Option<Arc<FilterQueue>> {
        let book = self.book.lock();
        let held = book.known.get(filter).filter(|held| held.users > 0)?;
        Some(Arc::clone(&held.queue))
    }

    /// Lets go of a filter that was attached once.
    pub fn detach(&self, filter: &FilterQueue) {
        let mut book = self.book.lock();
        let Book { known, let_go, .. } = &mut *book;
        let held = known.get_mut(&filter.filter).filter(|held| held.users > 0);
        let Some(held) = held else {
            debug_assert!(false, "{filter:?} is let go more often than it was attached");
            return;
        };
        held.users -= 1;
        if held.users == 0 {
            held.stage = Stage::LetGo;
            let_go.push(Arc::clone(&held.queue));
            self.take(&filter.filter);
        }
    }

    /// Lets go of the filters that were held before the start and that nobody has attached since. To be called once,
    /// when all who hold some have said so.
    pub fn drop_unheld(&self) {
        let mut book = self.book.lock();
        let Book { known, let_go, .. } = &mut *book;
        for held in known.values_mut().filter(|held| held.users == 0 && held.stage == Stage::Attached) {
            held.stage = Stage::LetGo;
            let_go.push(Arc::clone(&held.queue));
            self.take(&held.queue.filter);
        }
    }

    /// Fills a filter's queue from now on. The book is locked.
    fn put(&self, queue: &Arc<FilterQueue>) {
        let mut trie = self.trie.write();
        let before = trie.insert(&queue.filter, Arc::clone(queue));
        debug_assert!(before.is_none());
        self.attached.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// No longer fills it. The book is locked.
    fn take(&self, filter: &str) {
        let mut trie = self.trie.write();
        let before = trie.remove(filter);
        debug_assert!(before.is_some());
        self.attached.fetch_sub(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Deletes the queues that were let go and are not held again, and tells which. Those that clients use, or are of a
    /// topic with settings, are left to them. [`Broker::run`](crate::Broker::run) does so by itself. Blocks.
    pub(crate) fn sweep(&self, has_settings: impl Fn(&TopicName) -> bool) -> io::Result<Vec<TopicName>> {
        let of_clients = |queue: &Queue| queue.is_of_clients() || has_settings(queue.topic());
        let gone = self.begin_deleting(of_clients);
        let topics: Vec<_> = gone.iter().map(|gone| gone.queue.topic().clone()).collect();
        let outcome = if gone.is_empty() { Ok(()) } else { self.store.delete_light_queues(&topics) };
        let mut book = self.book.lock();
        let Book { known, saved, .. } = &mut *book;
        let filters = || gone.iter().map(|gone| &*gone.filter);
        match outcome {
            Ok(()) if gone.is_empty() => {}
            Ok(()) => {
                filters().for_each(|filter| drop(known.remove(filter)));
                self.deleted.notify_all();
                saved.remove(filters())?;
            }
            Err(error) => {
                for queue in &gone {
                    known.entry(Arc::clone(&queue.filter)).and_modify(|held| held.stage = Stage::Undeleted);
                }
                self.deleted.notify_all();
                return Err(error);
            }
        }
        saved.sync(known.len(), known.keys().map(|filter| &**filter))?;
        Ok(topics)
    }

    /// Which queues are to be deleted now.
    fn begin_deleting(&self, of_clients: impl Fn(&Queue) -> bool) -> Vec<Arc<FilterQueue>> {
        let mut book = self.book.lock();
        let Book { known, let_go, saved } = &mut *book;
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        for queue in let_go.drain(..) {
            let Some(held) = known.get_mut(&queue.filter).filter(|held| held.stage == Stage::LetGo) else {
                continue;
            };
            if of_clients(&queue.queue) {
                self.store.leave_filter_queue(&queue.queue);
                known.remove(&queue.filter);
                left.push(queue);
            } else {
                held.stage = Stage::Deleting;
                gone.push(queue);
            }
        }
        if !left.is_empty()
            && let Err(error) = saved.remove(left.iter().map(|queue| &*queue.filter))
        {
            tracing::warn!(%error, "cannot note that topic filters are gone");
        }
        gone
    }

    /// What a message sent to `address` is put into: nothing if no filter matches.
    pub(crate) fn matching(&self, address: &str) -> Arc<[Arc<Dispatch>]> {
        let mut queues = Vec::new();
        let own = mqtt::client_of(address).filter(|_| self.point_to_point).and_then(mqtt::own_filter_of);
        let address = own.as_deref().unwrap_or(address);
        self.trie.read().each_match(address, &mut |found| queues.push(Arc::clone(&found.queue)));
        Dispatch::split(queues).into()
    }

    /// The same, for who asks again and again.
    pub(crate) fn matching_again(&self, address: &str, last: &mut LastLook) -> Arc<[Arc<Dispatch>]> {
        // From before the look: what changes meanwhile is looked up again.
        let generation = self.generation.load(Ordering::Acquire);
        if last.generation != generation || last.address != address {
            last.found = self.matching(address);
            last.generation = generation;
            last.address.clear();
            last.address.push_str(address);
        }
        Arc::clone(&last.found)
    }
}
