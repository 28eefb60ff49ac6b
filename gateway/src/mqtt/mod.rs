//! The MQTT front-end, 3.1.1 and 5.0: devices share topics with every other protocol.
//!
//! ```text
//! PUBLISH ─▶ record in the log ─▶ light queue of each subscribed filter that matches
//!                                       ▲ a cursor for each subscription
//! ```
//! Always true:
//! * the log is the truth: a message that waits for a client that is not there costs nothing, one that is slow holds
//!   nobody up, and one that is idle is woken by the append that concerns it;
//! * what a client is told is as safe as the flush mode promises, and what it may rely on after a crash is kept before
//!   ([`state`]).
//!
//! | file | what it is about |
//! |---|---|
//! | `acl` | who may publish and subscribe to what |
//! | [`auth`] | enhanced authentication |
//! | `connect` | from an accepted socket to a session, and back |
//! | `connection` | the loop of one connection; `incoming` what the client sends, `deliver` what it is sent |
//! | `session` | its subscriptions and window, while it is connected |
//! | `shared` | groups of shared subscriptions |
//! | `message` | a PUBLISH as a record, and back |
//! | `mailbox`, `out` | who has something to read, and what waits to be written |
//! | `hub` | who is connected, how one connection ends another, and what it is doing |
//! | `figures` | what is counted |
//! | `inspect` | what operators are shown of clients, sessions, groups and retained messages, and what they do to them |
//! | `reason` | what a client is told of the broker's errors |
//! | `server` | what all connections share |
//! | `sys` | what the server tells of itself under `$SYS` |
//! | `websocket` | MQTT's bytes in frames |
//! | `wills` | what is due without a client: wills, and the end of sessions |
//! | [`state`] | what sessions must not forget |

mod acl;
pub mod auth;
mod connect;
mod connection;
mod figures;
mod hub;
pub(crate) mod inspect;
mod mailbox;
mod message;
mod out;
mod reason;
mod server;
mod session;
mod shared;
pub mod state;
mod sys;
mod websocket;
mod wills;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::ws::WebSocket;
use ferromq_broker::Broker;
use ferromq_model::Timestamp;
use ferromq_mqtt::QoS;
use ferromq_mqtt::topic::AnyFilter;
use ferromq_net::{Accepted, accept_paced};
use ferromq_store::StoreConfig;
use tokio::sync::{OwnedSemaphorePermit, watch};

pub use self::acl::{Acl, AclError};
use self::auth::Method;
use self::server::Server;
use self::shared::Group;
use self::state::{Ended, Options, Outbound, RetainLimits, Source, State};
pub(crate) use self::websocket::SUBPROTOCOL;
use self::websocket::WebSocketStream;
use crate::config::MqttConfig;
use crate::credentials::Credentials;
use crate::scram::Scram;
use crate::tls::{self, Demand, Doors};
use crate::traffic::{Protocol, Traffic};

/// The setting that says how many connections there may be.
const LIMIT: &str = "mqttMaxConnections";

/// Who is at the other end of a connection, before it has said anything.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Where it comes from.
    pub(crate) from: SocketAddr,
    /// Whom its certificate names, if it has shown one.
    pub(crate) certified: Option<String>,
}

/// Who may come in, and do what.
#[derive(Default)]
pub struct Access {
    /// Without, nobody is asked who they are.
    pub credentials: Option<Arc<Credentials>>,
    /// Without, whoever is in may do everything.
    pub acl: Option<Acl>,
    /// Ways to show who one is, besides a password.
    pub methods: Vec<Arc<dyn Method>>,
}

impl Access {
    /// With the methods that go with the credentials: SCRAM-SHA-256 if they have verifiers.
    #[must_use]
    pub fn new(credentials: Option<Credentials>, acl: Option<Acl>) -> Self {
        let credentials = credentials.map(Arc::new);
        let verifiers = credentials.as_ref().filter(|credentials| credentials.has_verifiers());
        let methods = verifiers.map(|known| Arc::new(Scram::new(Arc::clone(known))) as Arc<dyn Method>);
        Self { credentials, acl, methods: methods.into_iter().collect() }
    }
}

/// MQTT over one broker: a handle.
#[derive(Clone)]
pub struct Mqtt {
    server: Arc<Server>,
}

impl Mqtt {
    /// Opens what is kept of sessions, and holds their filters again. Blocking.
    ///
    /// # Errors
    /// [`state::OpenError`].
    pub fn open(
        broker: Broker,
        config: MqttConfig,
        access: Access,
        traffic: Arc<Traffic>,
    ) -> Result<Self, state::OpenError> {
        let store = broker.store();
        let StoreConfig { root, flush, .. } = store.config();
        let retain = RetainLimits {
            messages: config.max_retained as usize,
            bytes: config.max_retained_size.0 as usize,
        };
        let sessions = config.max_sessions as usize;
        let options = Options { dir: root.join("mqtt"), flush: *flush, sessions, retain };
        let fanout = broker.fanout();
        let mut shared = Vec::new();
        let (mut held, mut about_us) = (0, 0);
        let state = State::open(&options, Arc::new(store.clone()), Timestamp::now(), |_, text, _| {
            let filter = AnyFilter::try_from(&**text).ok()?;
            let queue = fanout.attach(filter.filter().as_str()).inspect_err(|error| {
                tracing::error!(%error, filter = %text, "a subscription gets no messages");
            });
            let queue = queue.ok()?;
            held += 1;
            about_us += usize::from(sys::is_about(queue.filter()));
            let end = queue.queue().next();
            if filter.is_shared() {
                shared.push((Arc::clone(text), queue));
            }
            Some(end)
        })?;
        fanout.drop_unheld();
        let server = Server::new(broker, state, config, access, traffic);
        server.counters.subscriptions.store(held, Ordering::Relaxed);
        server.counters.listeners.store(about_us, Ordering::Relaxed);
        for (text, queue) in shared {
            // Only sessions that outlive their connections are found.
            server.groups.enter(&text, &queue, true);
        }
        Ok(Self { server: Arc::new(server) })
    }

    /// A place among the connections, if one is free.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.server.places).try_acquire_owned().ok()
    }

    /// Whether another connection may come now.
    pub(crate) fn is_in_time(&self) -> bool {
        self.server.pace.try_take()
    }

    /// Whether clients are asked who they are.
    pub(crate) fn asks(&self) -> bool {
        self.server.asks()
    }

    /// The largest packet that a client may send, in bytes.
    pub(crate) fn max_packet_size(&self) -> usize {
        self.server.config().max_packet_size.0 as usize
    }

    /// Serves a WebSocket, to its end.
    pub(crate) async fn serve_socket(self, socket: WebSocket, caller: Caller, place: OwnedSemaphorePermit) {
        let _present = self.server.traffic.enter(Protocol::Mqtt);
        connect::serve(self.server, WebSocketStream::new(socket), caller).await;
        drop(place);
    }

    /// Serves `doors` until `stop` turns true; returns when the last connection has ended and everything is kept.
    pub async fn serve(self, doors: impl Into<Doors>, stop: watch::Receiver<bool>) {
        let server = self.server;
        match server.state().groups().await {
            Ok(groups) => {
                for (text, kept) in groups {
                    if let Some(group) = server.groups.find(&text) {
                        group.resume(kept);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "groups of shared subscriptions begin anew"),
        }
        let stopping = {
            let (server, mut stop) = (Arc::clone(&server), stop.clone());
            async move {
                // A sender that is gone counts as a stop.
                let _ = stop.wait_for(|stop| *stop).await;
                server.hub.stop();
            }
        };
        tokio::join!(
            connections(&server, doors.into(), &stop),
            stopping,
            wills::look_after(&server, stop.clone()),
            sys::publish(&server, stop.clone())
        );
        // WebSockets are no connections of this listener.
        let _ = server.places.acquire_many(server.config().max_connections).await;
        let state = server.state().clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || state.close()).await {
            tracing::error!(%error, "MQTT sessions were not kept to the last");
        }
    }
}

/// Serves the connections that come by either door until `stop` turns true; returns when the last has ended.
async fn connections(server: &Arc<Server>, Doors { plain, encrypted }: Doors, stop: &watch::Receiver<bool>) {
    let in_the_clear = async {
        let Some(listener) = plain else { return };
        accept_paced(listener, Arc::clone(&server.places), LIMIT, &server.pace, stop.clone(), |accepted| {
            let Accepted { stream, peer, place } = accepted;
            let server = Arc::clone(server);
            async move {
                let _present = server.traffic.enter(Protocol::Mqtt);
                connect::serve(server, stream, Caller { from: peer, certified: None }).await;
                drop(place);
            }
        })
        .await;
    };
    let over_tls = async {
        let Some((listener, tls)) = encrypted else { return };
        accept_paced(listener, Arc::clone(&server.places), LIMIT, &server.pace, stop.clone(), |accepted| {
            let Accepted { stream, peer, place } = accepted;
            let (server, tls) = (Arc::clone(server), tls.clone());
            async move {
                match tls.accept(stream, Demand::AsSet).await {
                    Ok(stream) => {
                        let _present = server.traffic.enter(Protocol::Mqtt);
                        let caller = Caller { from: peer, certified: tls::certified_user(&stream) };
                        connect::serve(server, stream, caller).await;
                    }
                    Err(error) => tracing::debug!(%peer, %error, "no TLS with an MQTT client"),
                }
                drop(place);
            }
        })
        .await;
    };
    tokio::join!(in_the_clear, over_tls);
}

/// Lets go of what a session had that is no more, and lasted longer than its connection.
fn forget(server: &Server, ended: &Ended) {
    let lasts = !ended.number.is_transient();
    let mut changes = Vec::new();
    for (text, _) in &ended.loaded.subscriptions {
        let Ok(filter) = AnyFilter::try_from(&**text) else { continue };
        if let Some(queue) = server.broker().fanout().find(filter.filter().as_str()) {
            server.detach(&queue);
        }
        if let Some(group) = server.group_of(text) {
            give_back(&group, text, ended.loaded.outbound.iter().map(|(_, outbound)| outbound));
            changes.push(server.groups.leave(&group, lasts));
        }
    }
    server.state().later(changes);
}

/// What a member of a group was sent and did not acknowledge goes to another, but for QoS 2.
fn give_back<'a>(group: &Group, text: &str, outbound: impl Iterator<Item = &'a Outbound>) {
    for one in outbound {
        if let Source::Queue { filter, offset } = &one.source
            && **filter == *text
        {
            if one.qos == QoS::AtLeastOnce as u8 {
                group.give_back(*offset);
            } else {
                group.done(*offset);
            }
        }
    }
}
