//! The client: what producers, consumers and administration of one process share.
//!
//! ```text
//! Client ─┬─ links      one connection a server, made when it is needed
//!         ├─ routes     where topics are
//!         ├─ members    which groups this client is in: told to brokers, and found when a broker asks for one
//!         └─ tasks      routes are read anew, heartbeats sent, requests of brokers handed to the group they are for
//! ```
//! Always true:
//! * all groups of a client share its connections and its id;
//! * the client's tasks end when it is closed, or when nothing uses it any more; [`Client::close`] waits for them.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::TopicName;
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::EncodeFields;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::config::{ClientBuilder, Timing};
use crate::error::{CallError, RouteError};
use crate::identity::{UniqueIds, client_id, instance_name, local_ip};
use crate::members::Members;
use crate::routes::{Routes, TopicRoute};
use crate::trace::Tracer;
use crate::wire::{Frame, Link, LinkSettings, Request};

/// Requests of servers that may wait to be handed on.
const MAX_REQUESTS: usize = 1024;

/// A handle to what producers, consumers and administration share. Cloning it shares that.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    _alive: Arc<Alive>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.inner.routes.name_servers();
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("name_servers", &servers)
            .finish_non_exhaustive()
    }
}

/// Stops the client's tasks when the last handle is gone.
struct Alive(watch::Sender<bool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

pub(crate) struct Inner {
    id: Arc<str>,
    pub(crate) unique_ids: UniqueIds,
    pub(crate) timing: Timing,
    pub(crate) routes: Routes,
    pub(crate) members: Members,
    /// None unless messages are to be traced.
    pub(crate) tracer: Option<Tracer>,
    links: RwLock<HashMap<Arc<str>, Arc<Link>>>,
    link_settings: Arc<LinkSettings>,
    /// Told when a group has joined or changed, or when a server was connected to, which may have forgotten us: so that
    /// brokers hear of it now.
    pub(crate) beat: Arc<Notify>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Client {
    /// Begins to build a client of these NameServers: `host:port`, several with `;` between.
    #[must_use]
    pub fn builder(name_servers: &str) -> ClientBuilder {
        ClientBuilder::new(name_servers)
    }

    pub(crate) fn start(config: ClientBuilder, name_servers: Vec<Arc<str>>, tracer: Option<Tracer>) -> Self {
        let ip = own_address(&name_servers[0]);
        let instance = config.instance_name.unwrap_or_else(instance_name);
        let id = client_id(ip, &instance, config.unit_name.as_deref(), config.sticky);
        let (stop, _) = watch::channel(false);
        let (inbox, requests) = mpsc::channel(MAX_REQUESTS);
        let told = Arc::new(Notify::new());
        let link_settings = LinkSettings {
            connect_limit: config.timing.connect,
            tls: config.tls,
            credentials: config.credentials,
            inbox,
            connected: Arc::clone(&told),
        };
        let spread = ferromq_model::Timestamp::now().0 as usize;
        let inner = Arc::new(Inner {
            id: id.into(),
            unique_ids: UniqueIds::new(ip),
            timing: config.timing,
            routes: Routes::new(name_servers, spread),
            members: Members::default(),
            tracer,
            links: RwLock::default(),
            link_settings: Arc::new(link_settings),
            beat: told,
            stop: stop.clone(),
            tasks: Mutex::default(),
        });
        {
            let mut tasks = inner.tasks.lock();
            tasks.spawn(until(stop.subscribe(), refresh(Arc::clone(&inner))));
            tasks.spawn(until(stop.subscribe(), beat(Arc::clone(&inner))));
            tasks.spawn(until(stop.subscribe(), hand_on(Arc::clone(&inner), requests)));
            if inner.tracer.is_some() {
                tasks.spawn(until(stop.subscribe(), trace(Arc::clone(&inner))));
            }
        }
        Self { inner, _alive: Arc::new(Alive(stop)) }
    }

    /// What brokers know the client by: `ip@instanceName[@unitName]`, as official clients build it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Where a topic is, as known, or else as a NameServer says.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn route(&self, topic: &TopicName) -> Result<Arc<TopicRoute>, RouteError> {
        self.inner.route(topic).await
    }

    /// How many [trace](crate::ClientBuilder::trace) records could not be told so far: none if the client does not trace.
    #[must_use]
    pub fn lost_trace_records(&self) -> u64 {
        self.inner.tracer.as_ref().map_or(0, Tracer::lost)
    }

    /// Ends the client's connections and tasks, and waits for them. Close its producers and consumers first: what they
    /// still have in flight fails.
    pub async fn close(self) {
        if let Some(tracer) = &self.inner.tracer {
            tracer.close(&self.inner).await;
        }
        self.inner.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the client failed");
            }
        }
    }
}

impl Inner {
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The link to a server, made if there is none.
    pub(crate) fn link(self: &Arc<Self>, addr: &Arc<str>) -> Arc<Link> {
        if let Some(link) = self.links.read().get(addr) {
            return Arc::clone(link);
        }
        let mut links = self.links.write();
        let link = links.entry(Arc::clone(addr)).or_insert_with(|| {
            let link = Link::new(Arc::clone(addr), Arc::clone(&self.link_settings));
            self.tasks.lock().spawn(Arc::clone(&link).run(self.stop.subscribe()));
            link
        });
        Arc::clone(link)
    }

    /// Calls a server and waits for its answer as long as calls may take.
    pub(crate) async fn call(
        &self,
        link: &Link,
        code: RequestCode,
        fields: &(impl EncodeFields + Sync),
        body: &Bytes,
    ) -> Result<Frame, CallError> {
        link.call(code, fields, body, self.timing.call).await
    }
}

/// The address that this machine has on the way to its NameServers; without a way to them, or for a name that would have
/// to be looked up first, the one on the way to anywhere else.
fn own_address(name_server: &str) -> IpAddr {
    const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9876);
    let towards = name_server.parse().unwrap_or(ANYWHERE);
    local_ip(towards).or_else(|_| local_ip(ANYWHERE)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Runs `task` until `stop` turns true.
async fn until(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn refresh(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(inner.timing.route_refresh).await;
        inner.refresh_routes().await;
    }
}

async fn beat(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.beat.notified() => {}
            () = tokio::time::sleep(inner.timing.heartbeat) => {}
        }
        inner.heartbeat().await;
    }
}

async fn trace(inner: Arc<Inner>) {
    if let Some(tracer) = &inner.tracer {
        tracer.run(&inner).await;
    }
}

async fn hand_on(inner: Arc<Inner>, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        inner.members.hand_on(request);
    }
}
