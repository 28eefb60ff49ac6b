//! How many connections there are, by protocol: shared by all listeners of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RocketMQ's remoting, to the broker or the NameServer.
    Remoting,
    /// HTTP.
    Http,
    /// MQTT.
    Mqtt,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Remoting, Self::Http, Self::Mqtt];

    /// What it is called in metrics and in the HTTP API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Remoting => "remoting",
            Self::Http => "http",
            Self::Mqtt => "mqtt",
        }
    }
}

/// Counts connections.
#[derive(Debug, Default)]
pub struct Traffic {
    open: [AtomicU64; Protocol::ALL.len()],
    accepted: [AtomicU64; Protocol::ALL.len()],
}

impl Traffic {
    /// Counts a connection for as long as what is returned lives.
    #[must_use]
    pub fn enter(self: &Arc<Self>, protocol: Protocol) -> Present {
        self.accepted[protocol as usize].fetch_add(1, Ordering::Relaxed);
        self.open[protocol as usize].fetch_add(1, Ordering::Relaxed);
        Present { traffic: Arc::clone(self), protocol }
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self, protocol: Protocol) -> u64 {
        self.open[protocol as usize].load(Ordering::Relaxed)
    }

    /// Connections that were accepted since the start.
    #[must_use]
    pub fn accepted(&self, protocol: Protocol) -> u64 {
        self.accepted[protocol as usize].load(Ordering::Relaxed)
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub struct Present {
    traffic: Arc<Traffic>,
    protocol: Protocol,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.traffic.open[self.protocol as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
