//! Prints docs/mqtt-conformance.md.

fn main() {
    print!("{}", ferromq_tests::mqtt::page::page());
}
