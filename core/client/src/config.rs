//! What a client is built with.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::error::ConfigError;
use crate::signature::Credentials;
use crate::trace::{TraceConfig, Tracer};
use crate::wire::Tls;

/// Builds a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    name_servers: String,
    pub(crate) instance_name: Option<String>,
    pub(crate) unit_name: Option<String>,
    pub(crate) sticky: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Option<Credentials>,
    trace: Option<TraceConfig>,
    pub(crate) timing: Timing,
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) call: Duration,
    pub(crate) connect: Duration,
    pub(crate) route_refresh: Duration,
    pub(crate) heartbeat: Duration,
}

impl ClientBuilder {
    pub(crate) fn new(name_servers: &str) -> Self {
        Self {
            name_servers: name_servers.to_owned(),
            instance_name: None,
            unit_name: None,
            sticky: true,
            tls: None,
            credentials: None,
            trace: None,
            timing: Timing {
                call: Duration::from_secs(3),
                connect: Duration::from_secs(3),
                route_refresh: Duration::from_secs(30),
                heartbeat: Duration::from_secs(30),
            },
        }
    }

    /// The part of the client's id behind its address. Two clients of one host need different ones; by default it is
    /// made of the process id and the time.
    #[must_use]
    pub fn instance_name(mut self, name: &str) -> Self {
        self.instance_name = Some(name.to_owned());
        self
    }

    /// A further part of the client's id, which official clients call unit name; none by default.
    #[must_use]
    pub fn unit_name(mut self, name: &str) -> Self {
        self.unit_name = Some(name.to_owned());
        self
    }

    /// Whether this client's consumers share queues by [`Strategy::Sticky`](crate::Strategy::Sticky), which they do by
    /// default as soon as every member of their group says the same. Members tell by the end of the client's id,
    /// `@STICKY`, which this turns on or off; beside official clients everybody shares as those do.
    #[must_use]
    pub fn sticky(mut self, sticky: bool) -> Self {
        self.sticky = sticky;
        self
    }

    /// Encrypts every connection; not by default.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Signs every request; not by default.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Tells the trace topic what producers send and consumers handle; not by default.
    #[must_use]
    pub fn trace(mut self, config: TraceConfig) -> Self {
        self.trace = Some(config);
        self
    }

    /// How long a call to a server may take: 3 s by default. Pulls and what else waits at the server take theirs on
    /// top.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.timing.call = timeout;
        self
    }

    /// How long connecting may take, TLS included: 3 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timing.connect = timeout;
        self
    }

    /// How often routes are read anew: every 30 s by default; after an error at once.
    #[must_use]
    pub fn route_refresh(mut self, every: Duration) -> Self {
        self.timing.route_refresh = every;
        self
    }

    /// How often brokers are told that the client is there: every 30 s by default. They forget it after 120 s.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.timing.heartbeat = every;
        self
    }

    /// Builds the client. It connects when there is something to ask, not before. Has to be called within a tokio
    /// runtime, which runs the client's tasks.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn build(self) -> Result<Client, ConfigError> {
        let name_servers = addresses(&self.name_servers)?;
        let whole = [
            ("call_timeout", self.timing.call, 10),
            ("connect_timeout", self.timing.connect, 10),
            ("route_refresh", self.timing.route_refresh, 100),
            ("heartbeat", self.timing.heartbeat, 100),
        ];
        for (key, value, least) in whole {
            if value < Duration::from_millis(least) || value > Duration::from_secs(3600) {
                let value = format!("{} ms", value.as_millis());
                return Err(ConfigError::OutOfRange {
                    key,
                    value,
                    allowed: "10 ms (intervals: 100 ms) to 1 h",
                });
            }
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ConfigError::NoRuntime);
        }
        let tracer = self.trace.as_ref().map(Tracer::new).transpose()?;
        Ok(Client::start(self, name_servers, tracer))
    }
}

/// Reads `a:9876;b:9876`. Commas and blanks between them do too.
fn addresses(text: &str) -> Result<Vec<Arc<str>>, ConfigError> {
    let parts = text.split([';', ',', ' ']).map(str::trim).filter(|part| !part.is_empty());
    let addresses: Vec<Arc<str>> = parts
        .map(|part| {
            // Java clients take a scheme before the address.
            let part = part.strip_prefix("http://").unwrap_or(part);
            let port = part
                .rsplit_once(':')
                .and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok()).flatten());
            port.map(|_| part.into()).ok_or_else(|| ConfigError::NotAnAddress { text: part.to_owned() })
        })
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() { Err(ConfigError::NoNameServer) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_official_clients_write_them() {
        let read = |text: &str| addresses(text).map(|found| found.join("|"));
        assert_eq!(read("a:9876;b:9877").unwrap(), "a:9876|b:9877");
        assert_eq!(read("http://[::1]:9876, b:1;").unwrap(), "[::1]:9876|b:1");
        assert!(matches!(read(" ; "), Err(ConfigError::NoNameServer)));
        for text in ["a", "a:", "a:x", ":9876", "a:99999"] {
            assert!(matches!(read(text), Err(ConfigError::NotAnAddress { .. })), "{text}");
        }
    }
}
