//! Answers on their way out: small ones written into one buffer, large bodies passed on without a copy.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces that one vectored write takes; the kernel's own limit is 1024.
pub(crate) const MAX_SLICES: usize = 512;
/// Bodies below this are copied: a piece of its own costs more than copying so few bytes.
const COPY_BELOW: usize = 64;

/// What waits to be written, in order.
#[derive(Default)]
pub struct Outbox {
    /// Before `open`.
    chunks: VecDeque<Bytes>,
    /// Where small answers are appended.
    open: BytesMut,
    /// Bytes in `chunks`.
    chunked: usize,
}

impl Outbox {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunked + self.open.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where frame headers and small answers are appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// Adds bytes without copying them, unless they are very few.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW {
            self.open.extend_from_slice(&bytes);
            return;
        }
        if !self.open.is_empty() {
            let open = self.open.split().freeze();
            self.chunked += open.len();
            self.chunks.push_back(open);
        }
        self.chunked += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Moves all that waits in `other` behind what waits here, without copying it.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            // Both keep a buffer, so that neither needs a new one the next time.
            std::mem::swap(self, other);
            return;
        }
        if other.is_empty() {
            return;
        }
        if !self.open.is_empty() {
            let open = self.open.split().freeze();
            self.chunked += open.len();
            self.chunks.push_back(open);
        }
        self.chunked += other.chunked;
        self.chunks.append(&mut other.chunks);
        other.chunked = 0;
        std::mem::swap(&mut self.open, &mut other.open);
    }

    /// The pieces to write next; returns how many were filled in.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.chunks.iter().map(|chunk| &chunk[..]).chain(std::iter::once(&self.open[..]));
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Notes that `count` bytes were written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.chunks.front_mut() {
            let step = count.min(first.len());
            self.chunked -= step;
            count -= step;
            if step < first.len() {
                first.advance(step);
                return;
            }
            self.chunks.pop_front();
        }
        if count == self.open.len() {
            // Keeps the buffer, which `advance` would use up bit by bit.
            self.open.clear();
        } else {
            self.open.advance(count);
        }
    }

    /// Gives memory back that a burst took.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_leaves_behind_what_was_there() {
        let filled = |range: std::ops::Range<u8>| {
            let mut outbox = Outbox::default();
            for i in range {
                outbox.buffer().extend_from_slice(&[i; 3]);
                outbox.push(vec![i; 100].into());
                outbox.buffer().extend_from_slice(&[i]);
            }
            outbox
        };
        let mut outbox = Outbox::default();
        for mut other in [filled(0..0), filled(0..2), filled(2..3), filled(0..0)] {
            outbox.append(&mut other);
            assert!(other.is_empty());
        }
        let mut slices = [IoSlice::new(&[]); 32];
        let count = outbox.slices(&mut slices);
        let flat: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).collect();
        let expected: Vec<u8> = (0..3u8).flat_map(|i| [i; 104]).collect();
        assert_eq!((flat, outbox.len()), (expected, 312));
    }

    #[test]
    fn bytes_leave_in_order_however_writes_are_cut() {
        for step in [1, 3, 64, 1000] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for i in 0..50u8 {
                outbox.buffer().extend_from_slice(&[i; 3]);
                expected.extend_from_slice(&[i; 3]);
                let body = vec![i; usize::from(i) * 5];
                expected.extend_from_slice(&body);
                outbox.push(body.into());
            }
            let mut written = Vec::new();
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = outbox.slices(&mut slices);
                let flat: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).collect();
                let took = flat.len().min(step);
                written.extend_from_slice(&flat[..took]);
                outbox.advance(took);
            }
            assert_eq!(written, expected);
        }
    }
}
