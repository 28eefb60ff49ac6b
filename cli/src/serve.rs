//! Puts the rooms together and runs them until they are told to stop.
//!
//! ```text
//! start:  take the ports ─▶ open the store (recovery) ─▶ serve ─▶ register with the NameServers
//! stop:   goodbye to them ─▶ accept no more, answer what is in flight ─▶ save state ─▶ flush and close the store
//! ```
//! Ports come first: a taken one should not cost a recovery. They are served only when everything behind them is ready.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferromq_broker::{Broker, StateError};
use ferromq_gateway::config::{BrokerAddressConfig, ListenConfig};
use ferromq_gateway::credentials::CredentialsError;
use ferromq_gateway::http::{self, Api};
use ferromq_gateway::metrics::Sources;
use ferromq_gateway::mqtt::{Access, Acl, AclError, Mqtt};
use ferromq_gateway::otlp::MetricsExport;
use ferromq_gateway::otlp::collector::Collector;
use ferromq_gateway::remoting::listen::Listeners;
use ferromq_gateway::remoting::namesrv_view::NamesrvView;
use ferromq_gateway::remoting::registration::{Advertised, Registration, Timing};
use ferromq_gateway::remoting::routes::Routes;
use ferromq_gateway::tls::{Tls, TlsError};
use ferromq_model::config::Settings;
use ferromq_namesrv::NameServer;
use ferromq_store::{OpenError, RecoveryReport, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::plan::{BrokerPlan, NamesrvPlan, Plan};
use crate::ports::Ports;
use crate::telemetry;

/// How long the start waits for the NameServer of the same process to know the broker.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);

/// Why serving could not begin, or not end cleanly. All of it is the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Mostly: another process has the port.
    #[error("cannot listen on {address} for {what}")]
    Listen { what: &'static str, address: SocketAddr, source: io::Error },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] OpenError),
    /// State that the broker saved, or the NameServer's pairs, cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store could not be closed cleanly: the next start recovers.
    #[error("the store was not closed cleanly; the next start recovers it")]
    Close(#[source] io::Error),
    /// Who may come in cannot be read.
    #[error("{key}")]
    Credentials { key: &'static str, source: CredentialsError },
    /// Who may do what cannot be read.
    #[error("mqttAclFile")]
    Acl(#[from] AclError),
    /// There can be no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is kept of MQTT sessions cannot be used.
    #[error("cannot open the MQTT sessions")]
    Mqtt(#[from] ferromq_gateway::mqtt::state::OpenError),
    /// A bug.
    #[error("an internal task failed")]
    Task(#[from] JoinError),
}

/// Serves what `plan` says until `stop` resolves, and tells the collector `metrics`, if there is one; then accepts no more,
/// answers what is in flight, flushes, and returns.
///
/// # Errors
/// [`StartError`] when it could not begin, in which case nothing is left running; or not end cleanly.
pub(crate) async fn run(
    plan: Plan,
    metrics: Option<Collector>,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let Plan { listen, namesrv, broker } = plan;
    let (stopping, stopped) = watch::channel(false);
    let listeners = Listeners::new(&listen, stopped.clone());
    let tls = match &broker {
        Some(plan) => Tls::load(&plan.tls)?,
        None => None,
    };
    let ports = Ports { listen: &listen, tls: tls.as_ref() };
    let namesrv_port =
        namesrv.as_ref().map(|plan| ports.take("the NameServer", plan.address.port)).transpose()?;
    let broker_ports = match &broker {
        Some(plan) => Some((
            ports.take("the broker", plan.address.port)?,
            ports.take("the broker's fast port", plan.address.port - 2)?,
        )),
        None => None,
    };
    let http = match &broker {
        Some(plan) => ports.take_http(&plan.http)?,
        None => None,
    };
    let mqtt = match &broker {
        Some(plan) => ports.take_mqtt(&plan.mqtt)?,
        None => None,
    };
    let acl = broker.as_ref().and_then(|plan| plan.mqtt.acl.as_deref()).map(Acl::load).transpose()?;

    let mut serving = JoinSet::new();
    let own_namesrv = match (namesrv, namesrv_port) {
        (Some(plan), Some(port)) => Some(start_namesrv(plan, port, &listeners, &mut serving)?),
        _ => None,
    };
    let running = match (broker, broker_ports) {
        (Some(plan), Some(ports)) => {
            let (http_config, mqtt_config) = (plan.http.clone(), plan.mqtt.clone());
            let namesrvs = plan.address.namesrvs.clone().with(own_namesrv.map(|own| own.to_string()));
            let (identity, interval) = (telemetry::identity(&plan), plan.otlp.interval.duration());
            let running = start_broker(plan, &listen, own_namesrv, ports, &listeners, &mut serving).await?;
            let (broker, registration, _) = &running;
            let mut spoken = None;
            if let Some(tls) = tls {
                serving.spawn(tls.keep_fresh(stopped.clone()));
            }
            if let Some((doors, credentials)) = mqtt {
                let (broker, traffic) = (broker.clone(), Arc::clone(listeners.traffic()));
                let access = Access::new(credentials, acl);
                // Sessions are read for as long as it takes.
                let opened = tokio::task::spawn_blocking({
                    let broker = broker.clone();
                    move || Mqtt::open(broker, mqtt_config, access, traffic)
                });
                match opened.await? {
                    Ok(opened) => {
                        serving.spawn(opened.clone().serve(doors, stopped.clone()));
                        spoken = Some(opened);
                    }
                    Err(error) => {
                        if let Err(error) = broker.store().close() {
                            error!(%error, "the store was not closed cleanly");
                        }
                        return Err(error.into());
                    }
                }
            }
            let sources = Sources {
                broker: broker.clone(),
                mqtt: spoken,
                traffic: Arc::clone(listeners.traffic()),
                registered: registration.registered(),
                nameservers: registration.nameservers(),
            };
            if let Some((doors, credentials)) = http {
                let api = Api::new(sources.clone(), http_config, credentials);
                if !namesrvs.addresses().is_empty() {
                    api.ask_namesrvs(NamesrvView::new(&namesrvs));
                }
                serving.spawn(http::listen::serve(doors, api, stopped));
            }
            if let Some(collector) = metrics {
                serving.spawn(MetricsExport::new(collector, sources, identity).run(interval));
            }
            Some(running)
        }
        _ => None,
    };
    info!("ready");

    stop.await;
    info!("stopping: no more connections, answering what is in flight");
    let running = match running {
        Some((broker, registration, tasks)) => {
            registration.stop().await;
            Some((broker, tasks))
        }
        None => None,
    };
    stopping.send_replace(true);
    if let Some((broker, _)) = &running {
        broker.stop();
    }
    let patience = Duration::from_secs(u64::from(listen.stop_timeout.0));
    if tokio::time::timeout(patience, async { while serving.join_next().await.is_some() {} }).await.is_err() {
        warn!("connections did not end within shutdownWaitTimeSeconds: closing them");
        serving.shutdown().await;
    }
    if let Some((broker, tasks)) = running {
        tasks.await?;
        info!("flushing the store");
        let closing = tokio::task::spawn_blocking(move || {
            // Consumers say how far they are until their connection ends.
            broker.save_progress();
            broker.store().close()
        });
        closing.await?.map_err(StartError::Close)?;
    }
    Ok(())
}

/// Starts the NameServer; returns where this process reaches it.
fn start_namesrv(
    plan: NamesrvPlan,
    port: TcpListener,
    listeners: &Listeners,
    serving: &mut JoinSet<()>,
) -> Result<SocketAddr, StartError> {
    let address = port.local_addr().map_err(|source| StartError::Listen {
        what: "the NameServer",
        address: SocketAddr::from(([0, 0, 0, 0], plan.address.port)),
        source,
    })?;
    let scan = plan.engine.scan_interval.duration();
    let namesrv = NameServer::open(plan.engine, std::time::Instant::now())?;
    let (this, engine) = (listeners.clone(), namesrv.clone());
    serving.spawn(async move {
        let scans = async {
            let mut ticks = tokio::time::interval(scan);
            loop {
                ticks.tick().await;
                // The engine says who is gone. A silent connection is closed by its own idle limit.
                namesrv.scan(std::time::Instant::now());
            }
        };
        tokio::select! {
            () = this.serve_namesrv(port, engine) => {}
            () = scans => {}
        }
    });
    // A wildcard is listened on, never connected to.
    Ok(if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    })
}

type Running = (Broker, Registration, JoinHandle<()>);

/// Opens store and broker, serves them, and begins to register.
async fn start_broker(
    plan: BrokerPlan,
    listen: &ListenConfig,
    own_namesrv: Option<SocketAddr>,
    (port, fast_port): (TcpListener, TcpListener),
    listeners: &Listeners,
    serving: &mut JoinSet<()>,
) -> Result<Running, StartError> {
    let BrokerPlan { address, advertised, tls, http, mqtt, engine, store, otlp } = plan;
    let host = SocketAddr::new(advertised, address.port);
    info!(store = %store.root.display(), flush = ?store.flush, "opening the store");
    // Recovery reads files for as long as it takes.
    let opened = tokio::task::spawn_blocking(move || -> Result<Broker, StartError> {
        let store = Store::open(store, &engine.delay_levels)?;
        report(store.recovery());
        match Broker::open(engine, store.clone(), host) {
            Ok(broker) => Ok(broker),
            Err(error) => {
                if let Err(error) = store.close() {
                    error!(%error, "the store was not closed cleanly");
                }
                Err(error.into())
            }
        }
    });
    let broker = opened.await??;
    let own = own_namesrv.map(|own| own.to_string());
    let address = BrokerAddressConfig { namesrvs: address.namesrvs.with(own), ..address };
    broker.show_beside([&address as &dyn Settings, listen, &tls, &http, &mqtt, &otlp]);
    for port in [port, fast_port] {
        let (this, broker) = (listeners.clone(), broker.clone());
        serving.spawn(async move { this.serve_broker(port, broker).await });
    }
    let config = broker.config();
    info!(name = config.name, cluster = config.cluster, address = %host, "broker is serving");
    let advertised = Advertised {
        cluster: config.cluster.clone(),
        name: config.name.clone(),
        id: config.id,
        addr: host.to_string(),
        ha_addr: SocketAddr::new(host.ip(), address.ha_port).to_string(),
    };
    let servers = address.namesrvs;
    if servers.addresses().is_empty() {
        warn!(
            "no NameServer is set (namesrvAddr, -n, NAMESRV_ADDR): clients cannot find this broker through one"
        );
    }
    if !servers.addresses().is_empty() {
        broker.find_routes_with(Arc::new(Routes::new(&servers)));
    }
    let timing =
        Timing { period: address.register_period.duration(), timeout: address.register_timeout.duration() };
    let topics = broker.clone();
    let snapshot = move || topics.advertised_topics();
    let registration =
        Registration::start(&servers, advertised, timing, snapshot, &broker.topics().changes());
    if own_namesrv.is_some() {
        // "ready" is to mean that a client finds its way; our own NameServer answers within milliseconds.
        let mut registered = registration.registered();
        let known = registered.wait_for(|&count| count > 0);
        if tokio::time::timeout(REGISTERED_WITHIN, known).await.is_err() {
            warn!("the NameServer of this process does not know the broker yet");
        }
    }
    let tasks = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.run().await })
    };
    Ok((broker, registration, tasks))
}

/// Says what recovery found, loudly if something is lost.
fn report(recovery: &RecoveryReport) {
    let took = recovery.took;
    if recovery.clean {
        info!(end = %recovery.end, ?took, "the store was closed cleanly");
    } else {
        info!(from = %recovery.from, end = %recovery.end, records = recovery.records, ?took, "recovered the store");
    }
    if recovery.rebuilt_queues {
        info!(records = recovery.records, "consume queues were rebuilt from the log");
    }
    for dropped in &recovery.dropped {
        warn!(at = %dropped.at, bytes = dropped.bytes, why = %dropped.why, "dropped bytes that are no whole record");
    }
}
