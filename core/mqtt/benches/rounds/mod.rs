//! Many short rounds of one thing, and what the best and the median of them took.
//!
//! Always true: what is measured says whether it worked, so that nothing is fast by failing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;

const ROUNDS: usize = 300;
/// About what a connection reads at once.
const PACKETS: usize = 200;

/// Reads packets off a buffer of many of them. Filling the buffer is not counted, dropping the packets is.
pub(crate) fn reading(name: &str, packet: &[u8], mut read: impl FnMut(&mut BytesMut) -> bool) {
    let many = packet.repeat(PACKETS);
    let mut buffer = BytesMut::new();
    measure("read", name, || {
        buffer.extend_from_slice(&many);
        let start = Instant::now();
        for _ in 0..PACKETS {
            assert!(read(black_box(&mut buffer)));
        }
        start.elapsed()
    });
}

/// Writes packets to a buffer that has the room.
pub(crate) fn writing(name: &str, mut write: impl FnMut(&mut BytesMut) -> bool) {
    let mut out = BytesMut::with_capacity(1 << 20);
    measure("write", name, || {
        out.clear();
        let start = Instant::now();
        for _ in 0..PACKETS {
            assert!(write(black_box(&mut out)));
        }
        start.elapsed()
    });
}

fn measure(what: &str, name: &str, mut round: impl FnMut() -> Duration) {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_unstable();
    let each = |round: Duration| round.as_nanos() as f64 / PACKETS as f64;
    let (best, median) = (each(rounds[0]), each(rounds[ROUNDS / 2]));
    println!("  {what:5} {name:30} best {best:6.1} ns   median {median:6.1} ns");
}
