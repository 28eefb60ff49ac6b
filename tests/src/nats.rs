//! A NATS server with JetStream, for comparisons of speed: the official one, built from its Go module.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::official::READY_LIMIT;
use crate::process::{Process, free_port, wait};
use crate::toolchain;

/// A server that serves. Dropping it kills it.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    address: SocketAddr,
}

impl Nats {
    /// Starts one with its files in `dir/nats`, and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time; the message has its log.
    pub fn start(dir: &Path) -> Self {
        let home = dir.join("nats");
        fs::create_dir_all(&home).expect("the directory of NATS can be made");
        let port = free_port(&[0]);
        let mut command = Command::new(toolchain::go_program("nats"));
        command.arg(port.to_string()).arg(home.join("store"));
        let mut process = Process::spawn("NATS", command, &home.join("server.log"));
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let ready = wait(READY_LIMIT, || process.ended().is_some() || TcpStream::connect(address).is_ok());
        if let Some(status) = process.ended() {
            panic!("NATS ended with {status} while it started\n{}", process.log_tail());
        }
        assert!(ready, "NATS is not ready after {READY_LIMIT:?}\n{}", process.log_tail());
        Self { process, address }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}
