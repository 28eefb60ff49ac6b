//! The listeners' settings: addresses, ports, and the limits that keep one client from hurting another.
//!
//! Several tables, because a NameServer alone has no use for the broker's addresses, nor the other way round.
//! Names, defaults and units are RocketMQ's where it has the key; `bindAddress` differs on purpose in its default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ferromq_model::config::{Secs, Servers};
use ferromq_model::{ByteSize, Millis, config_enum, config_keys};

config_keys! {
    /// What every listener has: its address, its limits, its threads.
    pub struct ListenConfig {
        /// The address that all ports listen on: `0.0.0.0` or `::` for all of the machine's. RocketMQ listens on
        /// all by default.
        "bindAddress" => bind_address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), Restart;
        /// The largest request that is read; a connection that announces a larger one is closed.
        "maxFrameSize" => max_frame_size: ByteSize = ByteSize::mib(16), Restart,
            in ByteSize::kib(64)..=ByteSize::mib(256);
        /// The largest header within a request; a connection that announces a larger one is closed.
        "maxHeaderSize" => max_header_size: ByteSize = ByteSize::kib(64), Restart,
            in ByteSize::kib(1)..=ByteSize::mib(1);
        /// The most connections at a time; one more is closed as soon as it is accepted.
        "maxConnections" => max_connections: u32 = 20_000, Restart, in 1..=1_000_000;
        /// The most requests of one connection that may be unanswered; beyond it, nothing more is read from it.
        "maxInFlightRequests" => max_in_flight: u32 = 1_024, Restart, in 1..=65_536;
        /// After which time a connection on which nothing moves is closed.
        "serverChannelMaxIdleTimeSeconds" => max_idle: Secs = Secs(120), Restart, in Secs(1)..=Secs(86_400);
        /// How many accepted connections may wait in the kernel.
        "serverSocketBacklog" => backlog: u32 = 1_024, Restart, in 1..=65_535;
        /// Threads that serve connections.
        "serverWorkerThreads" => worker_threads: u32 = cores() => "one per core", Restart, in 1..=1_024;
        /// How long a stop waits for requests in flight to be answered.
        "shutdownWaitTimeSeconds" => stop_timeout: Secs = Secs(30), Restart, in Secs(0)..=Secs(3_600);
    }
}

config_keys! {
    /// Where the broker listens, the address it tells clients, and the NameServers that it tells it to.
    pub struct BrokerAddressConfig {
        /// The broker's port. The same is served on the port two below, which RocketMQ calls the fast or VIP port.
        "listenPort" => port: u16 = 10_911, Restart, in 3..=65_535;
        /// The port that NameServers are told for replication.
        "haListenPort" => ha_port: u16 = 10_912, Restart, in 1..=65_535;
        /// The IP address that clients are told to reach the broker at. When unset: `bindAddress`, or if that is all
        /// addresses, the one of the interface with the default route.
        "brokerIP1" => advertised: Option<IpAddr> = None, Restart;
        /// The NameServers to register with. Without one, the environment's `NAMESRV_ADDR` is used.
        "namesrvAddr" => namesrvs: Servers = Servers::default(), Restart;
        /// How often the broker registers again. NameServers forget it after 120 s of silence.
        "registerNameServerPeriod" => register_period: Millis = Millis::secs(30), Restart,
            in Millis(100)..=Millis::mins(1);
        /// How long one registration may take.
        "registerBrokerTimeoutMills" => register_timeout: Millis = Millis::secs(24), Restart,
            in Millis(100)..=Millis::mins(1);
    }
}

config_keys! {
    /// Where the NameServer listens.
    pub struct NamesrvAddressConfig {
        /// The NameServer's port. `ferromq namesrv` takes RocketMQ's spelling `listenPort` as well.
        "namesrvListenPort" => port: u16 = 9_876, Restart, in 1..=65_535;
    }
}

config_enum! {
    /// Whether clients show certificates of their own.
    pub enum ClientAuth {
        /// They are not asked for one.
        None = "none",
        /// They may.
        Optional = "optional",
        /// They must.
        Require = "require",
    }
}

config_keys! {
    /// The certificates of MQTT and HTTP over TLS, which `mqttTlsPort` and `httpTlsPort` serve once there is one. The files
    /// are read again when they change.
    pub struct TlsConfig {
        /// A PEM file with the server's certificate, followed by those of the authorities between it and a known one.
        "tls.server.certPath" => certificate: Option<PathBuf> = None, Restart;
        /// A PEM file with the certificate's private key, without a password.
        "tls.server.keyPath" => key: Option<PathBuf> = None, Restart;
        /// A PEM file with the authorities whose certificates clients may show.
        "tls.server.trustCertPath" => trust: Option<PathBuf> = None, Restart;
        /// Whether clients are asked for a certificate that one of those authorities signed: `optional` asks, `require`
        /// lets nobody in by MQTT over TLS who has none. HTTP asks, and never requires: browsers have none.
        "tls.server.need.client.auth" => client_auth: ClientAuth = ClientAuth::None, Restart;
        /// How long a client may take for the handshake.
        "tlsHandshakeTimeout" => handshake_limit: Millis = Millis::secs(10), Restart,
            in Millis(100)..=Millis::mins(1);
    }
}

config_keys! {
    /// Where HTTP is served, to whom, and what one request may cost.
    pub struct HttpConfig {
        /// The port of the HTTP API and the dashboard; 0 serves none.
        "httpPort" => port: u16 = 8_080, Restart;
        /// The port of the same over TLS, served if `tls.server.certPath` is set; 0 serves none.
        "httpTlsPort" => tls_port: u16 = 8_443, Restart;
        /// The address that HTTP is served at, whatever `bindAddress` says. One that others than this machine reach needs
        /// `httpCredentialsFile`, or `httpAllowAnonymous=true`.
        "httpBindAddress" => bind_address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), Restart;
        /// A file that says who may use HTTP, a line each: `token NAME SECRET` or `user NAME PASSWORD`, where
        /// `sha256:HEX` may stand for a secret. Without it, nobody is asked who they are.
        "httpCredentialsFile" => credentials: Option<PathBuf> = None, Restart;
        /// Serve HTTP to whoever reaches an address that is not this machine's own, without asking who they are.
        "httpAllowAnonymous" => allow_anonymous: bool = false, Restart;
        /// Origins (`https://example.org`) whose pages may use the API from a browser, with semicolons between them; `*`
        /// for all. By default, only the dashboard's own page may.
        "httpCorsOrigins" => cors_origins: String = String::new(), Restart;
        /// The largest body of a request, after decompression. Streamed lines count one by one.
        "httpMaxBodySize" => max_body_size: ByteSize = ByteSize::mib(16), Restart,
            in ByteSize::kib(1)..=ByteSize::mib(256);
        /// The largest head of a request: its line and its headers.
        "httpMaxHeaderSize" => max_header_size: ByteSize = ByteSize::kib(64), Restart,
            in ByteSize::kib(8)..=ByteSize::mib(1);
        /// How long a peer may take for the head of a request, and for each next part of its body.
        "httpReadTimeout" => read_timeout: Millis = Millis::secs(60), Restart, in Millis(100)..=Millis::mins(10);
        /// The most HTTP connections at a time.
        "httpMaxConnections" => max_connections: u32 = 20_000, Restart, in 1..=1_000_000;
        /// The most event streams and WebSockets at a time.
        "httpMaxStreams" => max_streams: u32 = 10_000, Restart, in 0..=1_000_000;
        /// For how long a repeated `Idempotency-Key` is answered with the first result.
        "httpIdempotencyWindow" => idempotency_window: Millis = Millis::hours(24), Restart,
            in Millis::secs(1)..=Millis::hours(168);
    }
}

config_enum! {
    /// What happens when more waits for an MQTT client than `mqttMaxQueuedMessages` allows.
    pub enum QueueFullPolicy {
        /// The oldest of it is dropped.
        DropOldest = "dropOldest",
        /// The same, and a client that is connected is disconnected when it is next heard of: it is too slow.
        Disconnect = "disconnect",
    }
}

config_keys! {
    /// Where MQTT is served, to whom, and what one client may cost.
    pub struct MqttConfig {
        /// The port of MQTT over TCP; 0 serves none.
        "mqttPort" => port: u16 = 1_883, Restart;
        /// The port of MQTT over TLS, served if `tls.server.certPath` is set; 0 serves none.
        "mqttTlsPort" => tls_port: u16 = 8_883, Restart;
        /// The address that MQTT is served at, whatever `bindAddress` says. One that others than this machine reach needs
        /// `mqttCredentialsFile`, or `mqttAllowAnonymous=true`.
        "mqttBindAddress" => bind_address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), Restart;
        /// A file that says who may use MQTT, a line each: `user NAME PASSWORD`, where `sha256:HEX` may stand for a
        /// password, and so may SCRAM's verifier (docs/mqtt.md). Without it, nobody is asked who they are.
        "mqttCredentialsFile" => credentials: Option<PathBuf> = None, Restart;
        /// A file that says who may publish and subscribe to what, in mosquitto's words: see docs/mqtt.md. Without it, whoever
        /// comes in may do everything.
        "mqttAclFile" => acl: Option<PathBuf> = None, Restart;
        /// Whether a client that shows a certificate (`tls.server.need.client.auth`) is the user whom that names, and needs no
        /// password: its common name, or the first alternative name. Others then need `mqttCredentialsFile`, unless
        /// `mqttAllowAnonymous=true`.
        "mqttCertificateUser" => certificate_user: bool = false, Restart;
        /// Serve MQTT to whoever reaches an address that is not this machine's own, without asking who they are.
        "mqttAllowAnonymous" => allow_anonymous: bool = false, Restart;
        /// The most MQTT connections at a time.
        "mqttMaxConnections" => max_connections: u32 = 100_000, Restart, in 1..=1_000_000;
        /// The most MQTT sessions, of clients that are connected and of those that are not; a client that has none is refused
        /// beyond it.
        "mqttMaxSessions" => max_sessions: u32 = 1_000_000, Restart, in 1..=100_000_000;
        /// The most MQTT connections that are accepted in a second, a second's worth of them at once; more wait until it is
        /// their turn, WebSockets are refused. 0 is any number.
        "mqttConnectRate" => connect_rate: u32 = 0, Restart, in 0..=1_000_000;
        /// The largest packet that is read; a client that sends a larger one is disconnected.
        "mqttMaxPacketSize" => max_packet_size: ByteSize = ByteSize::mib(1), Restart,
            in ByteSize::kib(1)..=ByteSize::mib(256);
        /// The longest client identifier, in bytes.
        "mqttMaxClientIdLength" => max_client_id_len: u16 = 1_024, Restart, in 23..=65_535;
        /// How many messages of QoS 1 and 2 a client may have sent that are not acknowledged.
        "mqttReceiveMaximum" => receive_maximum: u16 = 1_024, Restart, in 1..=65_535;
        /// How many messages of QoS 1 and 2 are sent to a client before it acknowledges one, if it takes as many.
        "mqttMaxInflight" => max_inflight: u16 = 256, Restart, in 1..=65_535;
        /// The most subscriptions of one session.
        "mqttMaxSubscriptions" => max_subscriptions: u32 = 10_000, Restart, in 1..=1_000_000;
        /// How many messages may wait for a client that cannot take them now, counted once for each of its subscriptions
        /// that they match, without those of shared ones; 0 is as many as the log keeps.
        "mqttMaxQueuedMessages" => max_queued: u32 = 0, Restart;
        /// What happens when more wait: `dropOldest` drops the oldest, of the longest queues first; `disconnect` also
        /// disconnects a client that is too slow, when it is next heard of.
        "mqttQueueFullPolicy" => queue_full: QueueFullPolicy = QueueFullPolicy::DropOldest, Restart;
        /// The most levels of a topic or filter.
        "mqttMaxTopicLevels" => max_topic_levels: u16 = 128, Restart, in 1..=128;
        /// The highest topic alias, in either direction; 0 allows none.
        "mqttTopicAliasMaximum" => topic_alias_maximum: u16 = 64, Restart;
        /// The most messages that are retained.
        "mqttMaxRetained" => max_retained: u32 = 1_000_000, Restart, in 0..=100_000_000;
        /// The most memory that retained messages may take.
        "mqttMaxRetainedSize" => max_retained_size: ByteSize = ByteSize::mib(256), Restart,
            in ByteSize::kib(0)..=ByteSize::mib(65_536);
        /// For how many seconds a session may outlive its connection; 4294967295 is for ever.
        "mqttMaxSessionExpirySeconds" => max_session_expiry: u32 = u32::MAX, Restart;
        /// The longest keep alive that 5.0's clients are allowed; 0 allows every one, and none.
        "mqttMaxKeepAlive" => max_keep_alive: Secs = Secs(0), Restart, in Secs(0)..=Secs(65_535);
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(1_024) as u32)
}
