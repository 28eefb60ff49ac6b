//! Lets the linker leave Node-API's symbols to the process, where it has to be told: on macOS.

fn main() {
    napi_build::setup();
}
