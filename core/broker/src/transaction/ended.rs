//! Which of the latest half messages are ended: one bit each, since their offsets are dense.

use std::collections::VecDeque;

use ferromq_model::QueueOffset;

/// Half messages of one window, in 64-bit words: 64 million of them, in 8 MiB. What ends beyond it while the oldest is
/// still open is not noted, and comes again when it is looked at.
const MAX_WORDS: usize = 1 << 20;
/// Ended half messages that are remembered behind those that are looked at: a client that ends one twice is told from
/// one that is late.
const KEPT_WORDS: u64 = 1 << 16;
const BITS: u64 = u64::BITS as u64;

/// A window of half messages.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The number of the first word: half messages before it are not known.
    first: u64,
    words: VecDeque<u64>,
}

impl Ended {
    /// None so far, of a queue that is looked at from `next` on.
    pub(super) fn from(next: QueueOffset) -> Self {
        Self { first: (next.0 / BITS).saturating_sub(KEPT_WORDS), words: VecDeque::new() }
    }

    pub(super) fn contains(&self, half: QueueOffset) -> bool {
        self.word(half.0 / BITS) & 1 << (half.0 % BITS) != 0
    }

    pub(super) fn insert(&mut self, half: QueueOffset) {
        let Some(at) = (half.0 / BITS).checked_sub(self.first).map(|at| at as usize) else { return };
        if at >= MAX_WORDS {
            return;
        }
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (half.0 % BITS);
    }

    /// The first half message from `from` on that is open; `end` if none is before it.
    pub(super) fn next_open(&self, from: QueueOffset, end: QueueOffset) -> QueueOffset {
        let mut at = from.0;
        while at < end.0 {
            let open = !self.word(at / BITS) >> (at % BITS);
            if open != 0 {
                return QueueOffset(at + u64::from(open.trailing_zeros())).min(end);
            }
            at = (at / BITS + 1) * BITS;
        }
        end
    }

    /// Forgets what lies far behind `next`.
    pub(super) fn advance(&mut self, next: QueueOffset) {
        let first = (next.0 / BITS).saturating_sub(KEPT_WORDS);
        while self.first < first {
            if self.words.pop_front().is_none() {
                self.first = first;
                break;
            }
            self.first += 1;
        }
    }

    fn word(&self, number: u64) -> u64 {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ones_are_found_between_ended_ones() {
        let mut ended = Ended::from(QueueOffset(0));
        for half in (0..200).filter(|half| ![0, 63, 64, 130].contains(half)) {
            ended.insert(QueueOffset(half));
        }
        let next = |from| ended.next_open(QueueOffset(from), QueueOffset(1000)).0;
        assert_eq!((next(0), next(1), next(64), next(65), next(131)), (0, 63, 64, 130, 200));
        assert_eq!(ended.next_open(QueueOffset(131), QueueOffset(150)), QueueOffset(150));
        assert!(ended.contains(QueueOffset(199)) && !ended.contains(QueueOffset(200)));
    }

    #[test]
    fn what_lies_far_behind_is_forgotten_and_memory_is_bounded() {
        let behind = KEPT_WORDS * BITS;
        let mut ended = Ended::from(QueueOffset(10 * behind));
        ended.insert(QueueOffset(3));
        assert!(!ended.contains(QueueOffset(3)), "long decided");
        ended.insert(QueueOffset(10 * behind));
        ended.advance(QueueOffset(11 * behind));
        assert!(ended.contains(QueueOffset(10 * behind)), "the last {behind} are remembered");
        ended.advance(QueueOffset(11 * behind + BITS));
        assert!(!ended.contains(QueueOffset(10 * behind)));
        ended.insert(QueueOffset(u64::MAX));
        assert!(ended.words.len() <= MAX_WORDS && !ended.contains(QueueOffset(u64::MAX)));
        ended.advance(QueueOffset(1 << 60));
        assert!(ended.words.is_empty());
        ended.insert(QueueOffset(1 << 60));
        assert!(ended.contains(QueueOffset(1 << 60)));
    }
}
