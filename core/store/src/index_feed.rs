//! Keys on their way from the append to the index: hashed where the message was encoded and still in the cache, so that
//! the indexer need not read every message again.
//!
//! Always true: the feed knows every key of the stretch `from..upto` of the log that the indexer has not taken. What lies
//! before `from` the indexer reads from the log: after a start, and where it fell behind by more than [`LIMIT`] keys,
//! which empties the feed.

use ferromq_model::{PhysicalOffset, Timestamp};
use parking_lot::Mutex;

/// Keys that wait at most; 24 bytes each.
const LIMIT: usize = 1 << 20;

/// One key of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) hash: u32,
    pub(crate) physical: PhysicalOffset,
    pub(crate) stored: Timestamp,
}

#[derive(Debug)]
struct State {
    from: PhysicalOffset,
    upto: PhysicalOffset,
    keys: Vec<Keyed>,
}

#[derive(Debug)]
pub(crate) struct IndexFeed {
    state: Mutex<State>,
}

/// What the indexer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read the log up to there.
    ReadUpTo(PhysicalOffset),
    /// Put these in; everything below the offset is indexed then.
    Put(Vec<Keyed>, PhysicalOffset),
}

impl IndexFeed {
    /// An empty feed behind a log that ends at `end`.
    pub(crate) fn new(end: PhysicalOffset) -> Self {
        Self { state: Mutex::new(State { from: end, upto: end, keys: Vec::new() }) }
    }

    /// Adds the keys of everything up to `upto`. The holder of the append lock calls this, before `written` moves.
    pub(crate) fn extend(&self, keys: impl Iterator<Item = Keyed>, upto: PhysicalOffset) {
        let mut state = self.state.lock();
        state.keys.extend(keys);
        state.upto = upto;
        if state.keys.len() > LIMIT {
            state.keys.clear();
            state.from = upto;
        }
    }

    /// What an indexer has to do that is done up to `indexed` and may look at what lies below `readable`.
    pub(crate) fn next(&self, indexed: PhysicalOffset, readable: PhysicalOffset) -> Next {
        let mut state = self.state.lock();
        if indexed < state.from {
            return Next::ReadUpTo(state.from.min(readable));
        }
        let upto = readable.min(state.upto).max(indexed);
        let ready = state.keys.partition_point(|key| key.physical < upto);
        let later = state.keys.split_off(ready);
        let keys = std::mem::replace(&mut state.keys, later);
        state.from = upto;
        Next::Put(keys, upto)
    }

    /// The keys taken last could not be put in: what lies before `upto` has to be read from the log.
    pub(crate) fn give_up(&self, upto: PhysicalOffset) {
        let mut state = self.state.lock();
        state.from = state.from.max(upto);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u64>) -> impl Iterator<Item = Keyed> {
        range.map(|i| Keyed { hash: i as u32, physical: PhysicalOffset(i), stored: Timestamp(1) })
    }

    #[test]
    fn the_indexer_gets_each_key_once_whatever_it_may_look_at() {
        let feed = IndexFeed::new(PhysicalOffset(100));
        feed.extend(keys(100..110), PhysicalOffset(110));
        assert_eq!(feed.next(PhysicalOffset(40), PhysicalOffset(110)), Next::ReadUpTo(PhysicalOffset(100)));
        let next = feed.next(PhysicalOffset(100), PhysicalOffset(104));
        assert_eq!(next, Next::Put(keys(100..104).collect(), PhysicalOffset(104)));
        let next = feed.next(PhysicalOffset(104), PhysicalOffset(999));
        assert_eq!(next, Next::Put(keys(104..110).collect(), PhysicalOffset(110)));
        assert_eq!(
            feed.next(PhysicalOffset(110), PhysicalOffset(110)),
            Next::Put(vec![], PhysicalOffset(110))
        );
    }

    #[test]
    fn an_indexer_that_fell_too_far_behind_reads_the_log_instead() {
        let feed = IndexFeed::new(PhysicalOffset(0));
        let many = LIMIT as u64 + 1;
        feed.extend(keys(0..many), PhysicalOffset(many));
        assert_eq!(feed.next(PhysicalOffset(0), PhysicalOffset(many)), Next::ReadUpTo(PhysicalOffset(many)));
        feed.extend(keys(many..many + 2), PhysicalOffset(many + 2));
        let next = feed.next(PhysicalOffset(many), PhysicalOffset(many + 2));
        assert_eq!(next, Next::Put(keys(many..many + 2).collect(), PhysicalOffset(many + 2)));
    }
}
