//! Any bytes, as packets of both versions and from both sides: `cargo +nightly fuzz run packets` in `core/mqtt`.
//!
//! Always true: what is checked is the same as in the tests with random input, which run in every build.

#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::packets(bytes);
});
