//! Changes to a table that is kept in one file: those that come while a version is being written share the next one, so
//! that thousands at once do not write the file thousands of times.
//!
//! Always true:
//! * a change is answered behind the write that it is part of, so never before it is durable;
//! * changes take effect in the order in which they came, one batch at a time.

use std::collections::HashMap;

use ferromq_state::StateFile;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// The way to one file, for changes that are `C`.
#[derive(Debug)]
pub(crate) struct Changes<C> {
    waiting: Mutex<Waiting<C>>,
    /// Locked while a batch is made.
    maker: Mutex<Maker<C>>,
}

#[derive(Debug)]
struct Waiting<C> {
    next: u64,
    tickets: Vec<u64>,
    changes: Vec<C>,
}

#[derive(Debug)]
struct Maker<C> {
    file: StateFile,
    /// Changes that were made by another one's caller.
    made: HashMap<u64, C, RandomState>,
}

impl<C> Changes<C> {
    pub(crate) fn new(file: StateFile) -> Self {
        Self {
            waiting: Mutex::new(Waiting { next: 0, tickets: Vec::new(), changes: Vec::new() }),
            maker: Mutex::new(Maker { file, made: HashMap::default() }),
        }
    }

    /// Makes a change together with all that wait: `make` is given them in their order, notes in each what became of
    /// it, and writes the file at most once. Returns the caller's own.
    pub(crate) fn make(&self, change: C, make: impl FnOnce(&StateFile, &mut [C])) -> C {
        let ticket = {
            let mut waiting = self.waiting.lock();
            let ticket = waiting.next;
            waiting.next += 1;
            waiting.tickets.push(ticket);
            waiting.changes.push(change);
            ticket
        };
        let mut maker = self.maker.lock();
        if let Some(made) = maker.made.remove(&ticket) {
            return made;
        }
        let (tickets, mut changes) = {
            let mut waiting = self.waiting.lock();
            (std::mem::take(&mut waiting.tickets), std::mem::take(&mut waiting.changes))
        };
        make(&maker.file, &mut changes);
        maker.made.extend(tickets.into_iter().zip(changes));
        maker.made.remove(&ticket).expect("what is not made yet waits, and all that waited is made")
    }

    /// Does something while no change is made.
    pub(crate) fn between<T>(&self, work: impl FnOnce() -> T) -> T {
        let _maker = self.maker.lock();
        work()
    }
}

/// Runs work that waits for the disk. The other tasks of this thread go on elsewhere meanwhile: topics and groups come
/// into being in the middle of sends and heartbeats.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn changes_that_come_during_a_write_share_the_next_and_each_hears_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let changes = Changes::new(StateFile::new(dir.path(), "state.json"));
        let (writes, begun, end) = (AtomicUsize::new(0), Barrier::new(2), Barrier::new(2));
        let double = |batch: &mut [u32]| {
            writes.fetch_add(1, Ordering::SeqCst);
            batch.iter_mut().for_each(|number| *number *= 2);
        };
        let make = |number| changes.make(number, |_, batch| double(batch));
        let make = &make;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                changes.make(1, |_, batch| {
                    begun.wait();
                    end.wait();
                    double(batch);
                })
            });
            begun.wait();
            let others: Vec<_> = (2..20).map(|n| scope.spawn(move || (n, make(n)))).collect();
            while changes.waiting.lock().changes.len() < others.len() {
                std::thread::yield_now();
            }
            end.wait();
            assert_eq!(first.join().unwrap(), 2);
            for other in others {
                let (asked, made) = other.join().unwrap();
                assert_eq!(made, 2 * asked);
            }
        });
        assert_eq!(writes.load(Ordering::SeqCst), 2);
        assert!(changes.maker.lock().made.is_empty());
    }
}
