//! Lets the linker leave CPython's symbols to the interpreter, where it has to be told: on macOS.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
