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
//! | `connect` | from an accepted socket to a session, and back |
//! | `connection` | the loop of one connection; `incoming` what the client sends, `deliver` what it is sent |
//! | `session` | its subscriptions and window, while it is connected |
//! | `message` | a PUBLISH as a record, and back |
//! | `mailbox`, `out` | who has something to read, and what waits to be written |
//! | `hub` | who is connected, and how one connection ends another |
//! | `server` | what all connections share |
//! | `wills` | what is due without a client: wills, and the end of sessions |
//! | [`state`] | what sessions must not forget |

mod connect;
mod connection;
mod hub;
mod mailbox;
mod message;
mod out;
mod server;
mod session;
pub mod state;
mod wills;

use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_model::Timestamp;
use ferromq_net::{Accepted, accept_loop};
use ferromq_store::StoreConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::server::Server;
use self::state::{Ended, Options, RetainLimits, State};
use crate::config::MqttConfig;
use crate::http::Credentials;
use crate::traffic::{Protocol, Traffic};

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
        credentials: Option<Credentials>,
        traffic: Arc<Traffic>,
    ) -> Result<Self, state::OpenError> {
        let store = broker.store();
        let StoreConfig { root, flush, .. } = store.config();
        let retain = RetainLimits {
            messages: config.max_retained as usize,
            bytes: config.max_retained_size.0 as usize,
        };
        let options = Options { dir: root.join("mqtt"), flush: *flush, retain };
        let fanout = broker.fanout();
        let state = State::open(&options, Arc::new(store.clone()), Timestamp::now(), |_, filter, _| {
            if let Err(error) = fanout.attach(filter) {
                tracing::error!(%error, %filter, "a subscription gets no messages");
            }
        })?;
        fanout.drop_unheld();
        Ok(Self { server: Arc::new(Server::new(broker, state, config, credentials, traffic)) })
    }

    /// Serves `listener` until `stop` turns true; returns when the last connection has ended and everything is kept.
    pub async fn serve(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let server = self.server;
        let places = Arc::new(Semaphore::new(server.config().max_connections as usize));
        let serving = accept_loop(listener, places, "mqttMaxConnections", stop.clone(), |accepted| {
            let Accepted { stream, peer, place } = accepted;
            let server = Arc::clone(&server);
            async move {
                let _present = server.traffic.enter(Protocol::Mqtt);
                connect::serve(server, stream, peer).await;
                drop(place);
            }
        });
        let stopping = {
            let (server, mut stop) = (Arc::clone(&server), stop.clone());
            async move {
                // A sender that is gone counts as a stop.
                let _ = stop.wait_for(|stop| *stop).await;
                server.hub.stop();
            }
        };
        tokio::join!(serving, stopping, wills::look_after(&server, stop));
        let state = server.state().clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || state.close()).await {
            tracing::error!(%error, "MQTT sessions were not kept to the last");
        }
    }
}

/// Lets go of what a session had that is no more.
fn forget(server: &Server, ended: &Ended) {
    for (filter, _) in &ended.loaded.subscriptions {
        if let Some(queue) = server.broker().fanout().find(filter) {
            server.detach(&queue);
        }
    }
}
