//! Taking the ports of a process, and what the front-ends behind them ask of those who come.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use ferromq_gateway::config::{HttpConfig, ListenConfig, MqttConfig};
use ferromq_gateway::credentials::Credentials;
use ferromq_gateway::tls::{Doors, Tls};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::serve::StartError;

/// Takes ports.
pub(crate) struct Ports<'a> {
    pub(crate) listen: &'a ListenConfig,
    /// If there is a certificate.
    pub(crate) tls: Option<&'a Tls>,
}

/// A front-end that has addresses of its own, and may ask who comes.
struct FrontEnd<'a> {
    name: &'static str,
    /// In the clear, and what is listened for there.
    plain: (SocketAddr, &'static str),
    /// Over TLS.
    encrypted: (SocketAddr, &'static str),
    credentials_key: &'static str,
    credentials: Option<&'a Path>,
    /// Whether a client's certificate does where there are no credentials.
    certified: bool,
}

/// Where a front-end is served, and to whom, if not to everybody.
pub(crate) type Opened = (Doors, Option<Credentials>);

impl Ports<'_> {
    /// A port of RocketMQ's protocol.
    pub(crate) fn take(&self, what: &'static str, port: u16) -> Result<TcpListener, StartError> {
        let address = SocketAddr::new(self.listen.bind_address, port);
        let listener = self.bind(what, address)?;
        info!(%address, "listening for {what}");
        if !address.ip().is_loopback() {
            warn_of_everybody("the broker and the NameServer", address);
        }
        Ok(listener)
    }

    /// HTTP's, if it is served.
    pub(crate) fn take_http(&self, http: &HttpConfig) -> Result<Option<Opened>, StartError> {
        self.take_both(&FrontEnd {
            name: "HTTP",
            plain: ((http.bind_address, http.port).into(), "HTTP (httpPort; 0 serves none)"),
            encrypted: (
                (http.bind_address, http.tls_port).into(),
                "HTTP over TLS (httpTlsPort; 0 serves none)",
            ),
            credentials_key: "httpCredentialsFile",
            credentials: http.credentials.as_deref(),
            certified: false,
        })
    }

    /// MQTT's, if it is served.
    pub(crate) fn take_mqtt(&self, mqtt: &MqttConfig) -> Result<Option<Opened>, StartError> {
        self.take_both(&FrontEnd {
            name: "MQTT",
            plain: ((mqtt.bind_address, mqtt.port).into(), "MQTT (mqttPort; 0 serves none)"),
            encrypted: (
                (mqtt.bind_address, mqtt.tls_port).into(),
                "MQTT over TLS (mqttTlsPort; 0 serves none)",
            ),
            credentials_key: "mqttCredentialsFile",
            credentials: mqtt.credentials.as_deref(),
            certified: mqtt.certificate_user && !mqtt.allow_anonymous,
        })
    }

    fn take_both(&self, front_end: &FrontEnd<'_>) -> Result<Option<Opened>, StartError> {
        let FrontEnd { name, plain, encrypted, credentials_key, credentials, certified } = *front_end;
        let open = |(address, what): (SocketAddr, _)| {
            let listener = if address.port() > 0 { Some(self.bind(what, address)?) } else { None };
            Ok::<_, StartError>(listener)
        };
        let mut doors = Doors { plain: open(plain)?, encrypted: None };
        if let Some(tls) = self.tls {
            doors.encrypted = open(encrypted)?.map(|listener| (listener, tls.clone()));
        }
        if doors.plain.is_none() && doors.encrypted.is_none() {
            return Ok(None);
        }
        let credentials = credentials
            .map(Credentials::load)
            .transpose()
            .map_err(|source| StartError::Credentials { key: credentials_key, source })?;
        let asks = credentials.is_some() || certified;
        let (plain, encrypted) = (plain.0, encrypted.0);
        if doors.plain.is_some() {
            info!(address = %plain, "listening for {name}");
        }
        if doors.encrypted.is_some() {
            info!(address = %encrypted, "listening for {name} over TLS");
        }
        if !plain.ip().is_loopback() {
            let address = if doors.plain.is_some() { plain } else { encrypted };
            if !asks {
                warn_of_everybody(name, address);
            } else if doors.plain.is_some() {
                warn!(%address, "{name}: secrets and messages cross the network unencrypted; set tls.server.certPath, and \
                    this port to 0");
            }
        }
        Ok(Some((doors, credentials)))
    }

    fn bind(&self, what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
        let bind = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A restart must not wait for connections of the last run to time out.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(self.listen.backlog as i32)?;
            TcpListener::from_std(socket.into())
        };
        bind().map_err(|source: io::Error| StartError::Listen { what, address, source })
    }
}

fn warn_of_everybody(name: &str, address: SocketAddr) {
    warn!(%address, "{name}: whoever reaches this address may read and write, there is no authentication");
}
