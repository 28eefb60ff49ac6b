//! Numbers that look random and come again from the same seed.

use std::env;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// A stream of numbers (splitmix64). Give each thread one of its own by [`Random::fork`].
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in a range that is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.number().is_multiple_of(n)
    }

    /// A stream that goes on independently.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

/// The seed of this run: `FERROMQ_SEED`, or a new one; printed, so that a failure can be run again.
///
/// # Panics
/// When the variable is no number.
pub fn seed(test: &str) -> u64 {
    let seed = match env::var("FERROMQ_SEED") {
        Ok(text) => text.parse().expect("FERROMQ_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64),
    };
    println!("{test}: FERROMQ_SEED={seed}");
    seed
}
