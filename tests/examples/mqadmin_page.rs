//! Prints docs/mqadmin.md.

fn main() {
    print!("{}", ferromq_tests::mqadmin::page());
}
