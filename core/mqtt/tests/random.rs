//! Bytes that nobody wrote on purpose: random ones, and packets with some bytes changed, cut, doubled and joined.
//!
//! The tests here take a second. `FERROMQ_FUZZ_SECONDS=600 cargo test --release -p ferromq-mqtt -- --ignored a_long_time`
//! goes on for as long as it says; the seed is in the failure's message, and `FERROMQ_FUZZ_SEED` takes it.

use std::time::{Duration, Instant, UNIX_EPOCH};

#[path = "../fuzz/check.rs"]
mod check;

/// As small and as good as it has to be: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A packet of less than 16 384 bytes by hand: its first byte, and what is behind its length.
fn raw(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = match body.len() {
        short @ 0..128 => vec![short as u8],
        long => vec![(long % 128) as u8 | 128, (long / 128) as u8],
    };
    [&[first][..], &length, &body].concat()
}

/// Bytes behind their length of two.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// What mutations start from: packets of all types, with all properties.
fn seeds() -> Vec<Vec<u8>> {
    let user = [&[0x26][..], &counted(b"n"), &counted(b"v")].concat();
    let of_message = [
        &[0x01, 1, 0x02, 0, 0, 0, 9, 0x08][..],
        &counted(b"re"),
        &[0x09],
        &counted(b"id"),
        &[0x03],
        &counted(b"text"),
        &user,
    ]
    .concat();
    let section = |properties: &[u8]| [&[properties.len() as u8], properties].concat();
    let of_connect = [
        &[0x11, 0, 0, 0, 9, 0x21, 0, 9, 0x27, 0, 1, 0, 0, 0x22, 0, 9, 0x19, 1, 0x17, 0, 0x15][..],
        &counted(b"m"),
        &[0x16],
        &counted(b"d"),
        &user,
    ]
    .concat();
    let of_connack = [
        &[0x24, 1, 0x25, 0, 0x12][..],
        &counted(b"id"),
        &[0x1F],
        &counted(b"why"),
        &[0x28, 1, 0x29, 1, 0x2A, 0, 0x13, 0, 9, 0x1A],
        &counted(b"info"),
        &[0x1C],
        &counted(b"other"),
    ]
    .concat();
    let why = section(&[&[0x1F][..], &counted(b"why"), &user].concat());
    let will = section(&[&[0x18, 0, 0, 0, 5][..], &of_message].concat());
    let rest = [counted(b"will/topic"), counted(b"payload"), counted(b"user"), counted(b"secret")].concat();
    let id: &[u8] = &[0, 7];
    vec![
        raw(0x10, &[&counted(b"MQTT"), &[4, 0b1110_1110, 0, 60], &counted(b"c"), &rest]),
        raw(
            0x10,
            &[
                &counted(b"MQTT"),
                &[5, 0b1110_1110, 0, 60],
                &section(&of_connect),
                &counted(b"c"),
                &will,
                &rest,
            ],
        ),
        raw(0x20, &[&[1, 0], &section(&of_connack)]),
        raw(0x30, &[&counted(b"a/b"), b"payload"]),
        raw(0x3D, &[&counted(b"a/b"), id, &section(&of_message), b"payload"]),
        raw(0x32, &[&counted(b""), id, &section(&[0x23, 0, 1, 0x0B, 0x80, 1, 0x0B, 3])]),
        raw(0x40, &[id]),
        raw(0x50, &[id, &[0x87], &why]),
        raw(0x62, &[id, &[0x92]]),
        raw(0x70, &[id, &[0], &why]),
        raw(0x82, &[id, &section(&[0x0B, 1]), &counted(b"a/+"), &[0x2D], &counted(b"$share/g/#"), &[1]]),
        raw(0x82, &[id, &counted(b"a/#"), &[1], &counted(b"#/a"), &[2]]),
        raw(0x90, &[id, &why, &[0, 1, 2, 0x8F]]),
        raw(0xA2, &[id, &section(&user), &counted(b"a/+"), &counted(b"b")]),
        raw(0xB0, &[id, &why, &[0, 0x11]]),
        raw(0xC0, &[]),
        raw(0xD0, &[]),
        raw(0xE0, &[&[0x04], &section(&[&[0x11, 0, 0, 0, 5, 0x1F][..], &counted(b"bye")].concat())]),
        raw(0xE0, &[&[0x9D], &section(&[&[0x1C][..], &counted(b"other")].concat())]),
        raw(0xF0, &[&[0x18], &section(&[&[0x15][..], &counted(b"m"), &[0x16], &counted(b"d")].concat())]),
    ]
}

/// Changes a few bytes; mostly keeps the length of the packet true, so that what is behind it is reached.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const TELLING: [u8; 12] = [0, 1, 2, 3, 4, 0x0B, 0x26, 0x7F, 0x80, 0x81, 0xFE, 0xFF];
    let seed = &seeds[random.below(seeds.len())];
    let behind_length = if seed[1] < 128 { 2 } else { 3 };
    let (mut first, mut body) = (seed[0], seed[behind_length..].to_vec());
    for _ in 0..=random.below(4) {
        let at = random.below(body.len());
        match random.below(8) {
            0 if !body.is_empty() => body[at] = random.next() as u8,
            1 if !body.is_empty() => body[at] = TELLING[random.below(TELLING.len())],
            2 if !body.is_empty() => body[at] ^= 1 << random.below(8),
            3 if !body.is_empty() => drop(body.remove(at)),
            4 => body.truncate(at),
            5 => body.insert(at, random.next() as u8),
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = 2 + random.below(other.len() - 2);
                body.splice(at..at, other[from.min(other.len())..].iter().copied());
            }
            _ => first ^= 1 << random.below(4),
        }
    }
    let mut bytes = raw(first, &[&body]);
    if random.below(10) == 0 {
        // And sometimes what is wrong is the length.
        let at = random.below(bytes.len());
        bytes[at] = TELLING[random.below(TELLING.len())];
    }
    bytes
}

/// Runs for a time and says how many packets it took, and how many of them were packets.
fn run(seed: u64, time: Duration) -> (u64, u64) {
    let seeds = seeds();
    let (start, mut packets, mut legal) = (Instant::now(), 0, 0);
    loop {
        for _ in 0..1_000 {
            let state = seed.wrapping_add(packets).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = Random(state);
            let bytes = match random.below(10) {
                0 => {
                    let length = random.below(64);
                    random.bytes(length)
                }
                1 => {
                    let (first, length) = (random.next() as u8, random.below(64));
                    raw(first, &[&random.bytes(length)])
                }
                _ => mutated(&seeds, &mut random),
            };
            match std::panic::catch_unwind(|| check::packets(&bytes)) {
                Ok(found) => legal += u64::from(found > 0),
                Err(_) => panic!("FERROMQ_FUZZ_SEED={} gives {bytes:02X?}", seed.wrapping_add(packets)),
            }
            packets += 1;
        }
        if start.elapsed() >= time {
            return (packets, legal);
        }
    }
}

#[test]
fn the_seeds_are_packets() {
    for seed in seeds() {
        assert!(check::packets(&seed) > 0, "{seed:02X?}");
    }
}

#[test]
fn random_and_changed_packets_do_no_harm() {
    let (packets, legal) = run(1, Duration::from_secs(1));
    assert!(legal > packets / 100, "{legal} of {packets} were packets: nothing was tested");
}

#[test]
#[ignore = "runs for as long as FERROMQ_FUZZ_SECONDS says"]
fn random_and_changed_packets_do_no_harm_in_a_long_time() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seconds = number("FERROMQ_FUZZ_SECONDS").unwrap_or(60);
    let seed =
        number("FERROMQ_FUZZ_SEED").unwrap_or_else(|| UNIX_EPOCH.elapsed().map_or(1, |now| now.as_secs()));
    let (packets, legal) = run(seed, Duration::from_secs(seconds));
    println!("{packets} inputs, {legal} of them packets, none of them harmful, from seed {seed}");
}
