//! Changes to a table that is kept in one file: those that come while a version is being written share the next one, so
//! that thousands at once do not write the file thousands of times.
//!
//! Always true:
//! * a change is answered behind the write that it is part of, so never before it is durable;
//! * changes take effect in the order in which they came, one batch at a time.

use std::collections::HashMap;
use std::io;

use ferromq_state::StateFile;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// The way to one file, for changes that are `C` and are answered with `T` or refused with `E`.
#[derive(Debug)]
pub(crate) struct Changes<C, T, E> {
    waiting: Mutex<Waiting<C>>,
    /// Locked while a batch is made.
    maker: Mutex<Maker<T, E>>,
}

#[derive(Debug)]
struct Waiting<C> {
    next: u64,
    changes: Vec<(u64, C)>,
}

#[derive(Debug)]
struct Maker<T, E> {
    file: StateFile,
    /// What became of changes that were made by another one's caller.
    made: HashMap<u64, Result<T, E>, RandomState>,
}

/// Changes that are made together, in their order, and what became of them.
pub(crate) struct Together<C, T, E> {
    asked: Vec<(u64, C)>,
    made: Vec<(u64, Result<T, E>)>,
}

impl<C, T, E: From<io::Error>> Together<C, T, E> {
    /// Makes each.
    pub(crate) fn make(&mut self, mut make: impl FnMut(C) -> Result<T, E>) {
        self.made.extend(self.asked.drain(..).map(|(ticket, change)| (ticket, make(change))));
    }

    /// Tells all that they are not saved, also those that changed nothing: they may have found what others put there.
    pub(crate) fn refuse(&mut self, error: &io::Error) {
        for (_, made) in &mut self.made {
            *made = Err(io::Error::new(error.kind(), error.to_string()).into());
        }
    }
}

impl<C, T, E: From<io::Error>> Changes<C, T, E> {
    pub(crate) fn new(file: StateFile) -> Self {
        Self {
            waiting: Mutex::new(Waiting { next: 0, changes: Vec::new() }),
            maker: Mutex::new(Maker { file, made: HashMap::default() }),
        }
    }

    /// Makes a change together with all that wait: `make` makes each, and writes the file at most once. Returns what
    /// became of the caller's own. Blocks.
    pub(crate) fn make(
        &self,
        change: C,
        make: impl FnOnce(&StateFile, &mut Together<C, T, E>),
    ) -> Result<T, E> {
        blocking(|| {
            let ticket = {
                let mut waiting = self.waiting.lock();
                let ticket = waiting.next;
                waiting.next += 1;
                waiting.changes.push((ticket, change));
                ticket
            };
            let mut maker = self.maker.lock();
            if let Some(made) = maker.made.remove(&ticket) {
                return made;
            }
            let asked = std::mem::take(&mut self.waiting.lock().changes);
            let mut together = Together { made: Vec::with_capacity(asked.len()), asked };
            make(&maker.file, &mut together);
            maker.made.extend(together.made);
            maker.made.remove(&ticket).expect("what is not made yet waits, and all that waited is made")
        })
    }

    /// Does something while no change is made.
    pub(crate) fn between<R>(&self, work: impl FnOnce() -> R) -> R {
        let _maker = self.maker.lock();
        work()
    }
}

/// Runs work that waits for the disk. The other tasks of this thread go on elsewhere meanwhile: topics and groups come
/// into being in the middle of sends and heartbeats.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
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
        let double = |together: &mut Together<u32, u32, io::Error>| {
            writes.fetch_add(1, Ordering::SeqCst);
            together.make(|number| Ok(number * 2));
        };
        let make = |number| changes.make(number, |_, together| double(together)).unwrap();
        let make = &make;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                changes.make(1, |_, together| {
                    begun.wait();
                    end.wait();
                    double(together);
                })
            });
            begun.wait();
            let others: Vec<_> = (2..20).map(|n| scope.spawn(move || (n, make(n)))).collect();
            while changes.waiting.lock().changes.len() < others.len() {
                std::thread::yield_now();
            }
            end.wait();
            assert_eq!(first.join().unwrap().unwrap(), 2);
            for other in others {
                let (asked, made) = other.join().unwrap();
                assert_eq!(made, 2 * asked);
            }
        });
        assert_eq!(writes.load(Ordering::SeqCst), 2);
        assert!(changes.maker.lock().made.is_empty());
    }
}
