//! The remoting listeners: each accepted connection gets a session of its front-end and ends with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferromq_broker::Broker;
use ferromq_broker::members::ChannelId;
use ferromq_namesrv::NameServer;
use ferromq_net::{Accepted, Closed, ConnectionLimits, Session, accept_loop, serve};
use ferromq_protocol::frame::FrameLimits;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::config::ListenConfig;
use crate::remoting::broker::BrokerSession;
use crate::remoting::namesrv_session::NamesrvSession;
use crate::traffic::{Protocol, Traffic};

/// What limits the connections of all of them together.
const LIMIT: &str = "maxConnections";

/// What all listeners of a process share.
#[derive(Clone)]
pub struct Listeners {
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    channels: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
}

impl Listeners {
    /// Listeners within the limits of `config`, until `stop` turns true.
    #[must_use]
    pub fn new(config: &ListenConfig, stop: watch::Receiver<bool>) -> Self {
        let frame = FrameLimits {
            max_frame: config.max_frame_size.0 as usize,
            max_header: config.max_header_size.0 as usize,
        };
        let limits = ConnectionLimits {
            frame,
            in_flight: config.max_in_flight as usize,
            idle: Duration::from_secs(u64::from(config.max_idle.0)),
        };
        Self {
            limits,
            places: Arc::new(Semaphore::new(config.max_connections as usize)),
            stop,
            channels: Arc::new(AtomicU64::new(1)),
            traffic: Arc::default(),
        }
    }

    /// Counts of its connections, which listeners of other protocols count in as well.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Serves the broker on `listener` until the stop; returns when the last connection has ended.
    pub async fn serve_broker(&self, listener: TcpListener, broker: Broker) {
        let this = self.clone();
        accept_loop(listener, Arc::clone(&self.places), LIMIT, self.stop.clone(), move |accepted| {
            let (this, broker) = (this.clone(), broker.clone());
            async move {
                let Accepted { stream, peer, place } = accepted;
                let channel = ChannelId(this.next_channel());
                let mut session = BrokerSession::new(broker, channel, peer);
                let closed = this.run(stream, peer, &mut session).await;
                // Before the log says so, its clients are gone from their groups.
                drop(session);
                note("broker", peer, &closed);
                drop(place);
            }
        })
        .await;
    }

    /// Serves the NameServer on `listener` until the stop; returns when the last connection has ended.
    pub async fn serve_namesrv(&self, listener: TcpListener, namesrv: NameServer) {
        let this = self.clone();
        accept_loop(listener, Arc::clone(&self.places), LIMIT, self.stop.clone(), move |accepted| {
            let (this, namesrv) = (this.clone(), namesrv.clone());
            async move {
                let Accepted { stream, peer, place } = accepted;
                let mut session = NamesrvSession::new(namesrv, this.next_channel(), peer);
                let closed = this.run(stream, peer, &mut session).await;
                drop(session);
                note("NameServer", peer, &closed);
                drop(place);
            }
        })
        .await;
    }

    async fn run<S: Session>(
        &self,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        session: &mut S,
    ) -> Closed {
        tracing::debug!(%peer, "connected");
        let _present = self.traffic.enter(Protocol::Remoting);
        serve(stream, session, self.limits, self.stop.clone()).await
    }

    fn next_channel(&self) -> u64 {
        self.channels.fetch_add(1, Ordering::Relaxed)
    }
}

/// One line a connection at most: what peers do wrong is worth a warning, their coming and going is not.
fn note(what: &str, peer: SocketAddr, closed: &Closed) {
    match closed {
        Closed::Malformed(error) => {
            tracing::warn!(%peer, %error, "closed a connection to the {what}: malformed frame");
        }
        Closed::Idle(_) | Closed::WithinFrame | Closed::Broken(_) | Closed::ByPeer | Closed::Stopped => {
            tracing::debug!(%peer, %closed, "connection to the {what} ended");
        }
    }
}
