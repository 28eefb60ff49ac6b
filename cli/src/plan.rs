//! What a process is to serve: the settings of each role it has, checked and complete.

use std::net::IpAddr;

use ferromq_broker::config::BrokerConfig;
use ferromq_gateway::config::{
    BrokerAddressConfig, HttpConfig, ListenConfig, MqttConfig, NamesrvAddressConfig, TlsConfig,
};
use ferromq_gateway::otlp::config::OtlpConfig;
use ferromq_namesrv::config::NamesrvConfig;
use ferromq_store::config::StoreConfig;

/// What to serve. At least one of the roles is there.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// For every listener.
    pub(crate) listen: ListenConfig,
    /// The NameServer, in `standalone` and `namesrv`.
    pub(crate) namesrv: Option<NamesrvPlan>,
    /// The broker, in `standalone` and `broker`.
    pub(crate) broker: Option<BrokerPlan>,
}

/// A NameServer to serve.
#[derive(Clone, Debug)]
pub(crate) struct NamesrvPlan {
    /// Its port.
    pub(crate) address: NamesrvAddressConfig,
    /// Its engine.
    pub(crate) engine: NamesrvConfig,
}

/// A broker to serve. In `standalone` it registers with the NameServer of the same process, and with those that
/// `address.namesrvs` names besides.
#[derive(Clone, Debug)]
pub(crate) struct BrokerPlan {
    /// Its ports, and whom to register with.
    pub(crate) address: BrokerAddressConfig,
    /// The address that clients are told: never a wildcard.
    pub(crate) advertised: IpAddr,
    /// Its certificates.
    pub(crate) tls: TlsConfig,
    /// Its HTTP API.
    pub(crate) http: HttpConfig,
    /// Its MQTT.
    pub(crate) mqtt: MqttConfig,
    /// Its engine.
    pub(crate) engine: BrokerConfig,
    /// Its store.
    pub(crate) store: StoreConfig,
    /// Whom it tells metrics and traces.
    pub(crate) otlp: OtlpConfig,
}
