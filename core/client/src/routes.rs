//! Where topics are: what NameServers say, kept and read anew.
//!
//! Always true:
//! * a route is read when it is first needed, every [`route_refresh`](crate::ClientBuilder::route_refresh) while it is in
//!   use, and at once when a call shows that it is wrong;
//! * many callers that need the same route wait for one request;
//! * one NameServer is asked as long as it answers; then the next. What it answers is believed, also that there is no
//!   such topic;
//! * a route that cannot be read anew stays as it was, also when a NameServer does not know the topic any more: brokers go
//!   on while NameServers are gone or have just been started.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferromq_model::name::AUTO_CREATE_TOPIC;
use ferromq_model::topic::Permission;
use ferromq_model::{QueueId, TopicName};
use ferromq_protocol::body::{self, TopicRouteData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::GetRoute;
use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::Inner;
use crate::error::{CallError, RouteError};
use crate::queue::MessageQueue;
use crate::wire::Frame;

/// A topic that is to be created by the first message gets at most so many queues, as official clients ask for.
const AUTO_CREATED_QUEUES: u32 = 4;
/// How long the route of a topic that is still to be created counts.
const BORROWED: Duration = Duration::from_secs(1);
/// A route that has just been read is not read again because of an error.
const FRESH: Duration = Duration::from_secs(1);
/// A route that nobody has asked for in this time is forgotten.
const UNUSED: Duration = Duration::from_secs(3600);
/// The most topics whose routes are kept; beyond them routes are read each time.
const MAX_ROUTES: usize = 100_000;
/// The most queues that are believed to belong to one topic on one broker.
const MAX_QUEUES: u32 = 1 << 16;

/// Where a topic is.
#[derive(Clone, Debug, Default)]
pub struct TopicRoute {
    /// Queues that may be written, sorted.
    pub writable: Arc<[MessageQueue]>,
    /// Queues that may be read, sorted.
    pub readable: Arc<[MessageQueue]>,
    /// Addresses of each broker by its id, 0 for the master, by broker name.
    pub brokers: HashMap<Arc<str>, BTreeMap<u64, Arc<str>>>,
    /// The clusters of the brokers.
    pub clusters: HashMap<Arc<str>, Arc<str>>,
}

impl TopicRoute {
    /// The address of a broker's master.
    #[must_use]
    pub fn master(&self, broker: &str) -> Option<&Arc<str>> {
        self.brokers.get(broker)?.get(&0)
    }

    /// The address of a broker with this id; failing that the master's, failing that any.
    #[must_use]
    pub fn member(&self, broker: &str, id: u64) -> Option<&Arc<str>> {
        let members = self.brokers.get(broker)?;
        members.get(&id).or_else(|| members.get(&0)).or_else(|| members.values().next())
    }

    /// Reads what a NameServer said of `topic`.
    fn read(topic: &TopicName, data: TopicRouteData) -> Self {
        let mut route = Self::default();
        for broker in data.broker_datas {
            let name: Arc<str> = broker.broker_name.into();
            route.clusters.insert(Arc::clone(&name), broker.cluster.into());
            let members = broker.broker_addrs.into_iter().map(|(id, addr)| (id, addr.into())).collect();
            route.brokers.insert(name, members);
        }
        let (mut writable, mut readable) = (Vec::new(), Vec::new());
        for queues in &data.queue_datas {
            let Some((broker, _)) = route.brokers.get_key_value(&*queues.broker_name) else { continue };
            if queues.perm.0 & Permission::READ != 0 {
                push(&mut readable, topic, broker, queues.read_queue_nums);
            }
            if queues.perm.0 & Permission::WRITE != 0 && route.master(broker).is_some() {
                push(&mut writable, topic, broker, queues.write_queue_nums);
            }
        }
        if let Some(ordered) = data.order_topic_conf.as_deref().filter(|conf| !conf.is_empty()) {
            writable = route.ordered(topic, ordered);
        }
        writable.sort();
        readable.sort();
        route.writable = writable.into();
        route.readable = readable.into();
        route
    }

    /// The queues of an ordered topic, which stay the same when a broker is gone: `broker-a:4;broker-b:4`.
    fn ordered(&self, topic: &TopicName, conf: &str) -> Vec<MessageQueue> {
        let mut queues = Vec::new();
        for part in conf.split(';') {
            let Some((broker, count)) = part.split_once(':') else { continue };
            let count = count.parse().unwrap_or(0);
            let name = self.brokers.get_key_value(broker).map(|(name, _)| Arc::clone(name));
            push(&mut queues, topic, &name.unwrap_or_else(|| broker.into()), count);
        }
        queues
    }

    /// This route, of the topic whose settings new topics take over, for a new one.
    fn lent_to(&self, topic: &TopicName) -> Self {
        let few = |queue: &&MessageQueue| queue.id.0 < AUTO_CREATED_QUEUES;
        let lent = |queue: &MessageQueue| MessageQueue { topic: topic.clone(), ..queue.clone() };
        Self {
            writable: self.writable.iter().filter(few).map(lent).collect(),
            readable: Arc::new([]),
            brokers: self.brokers.clone(),
            clusters: self.clusters.clone(),
        }
    }
}

fn push(queues: &mut Vec<MessageQueue>, topic: &TopicName, broker: &Arc<str>, count: u32) {
    queues.extend((0..count.min(MAX_QUEUES)).map(|id| MessageQueue {
        topic: topic.clone(),
        broker: Arc::clone(broker),
        id: QueueId(id),
    }));
}

type Fetch = Shared<BoxFuture<'static, Result<Arc<TopicRoute>, RouteError>>>;

/// The routes that are known.
pub(crate) struct Routes {
    name_servers: Vec<Arc<str>>,
    /// Which of them is asked.
    current: AtomicUsize,
    table: RwLock<HashMap<TopicName, Known>>,
    /// What is being asked for.
    fetching: Mutex<HashMap<TopicName, Fetch>>,
    changes: watch::Sender<u64>,
}

struct Known {
    route: Arc<TopicRoute>,
    read: Instant,
    /// The topic is still to be created.
    borrowed: bool,
    used: AtomicUsedAt,
}

/// When something was last used, in seconds since the table was made.
type AtomicUsedAt = std::sync::atomic::AtomicU32;

impl Routes {
    /// No routes yet. The first NameServer that is asked is any of them, so that clients spread.
    pub(crate) fn new(name_servers: Vec<Arc<str>>, first: usize) -> Self {
        let first = first % name_servers.len();
        Self {
            name_servers,
            current: AtomicUsize::new(first),
            table: RwLock::default(),
            fetching: Mutex::default(),
            changes: watch::Sender::default(),
        }
    }

    pub(crate) fn name_servers(&self) -> &[Arc<str>] {
        &self.name_servers
    }

    /// The route that is known; for sending, also one that is borrowed until the topic exists.
    pub(crate) fn known(&self, topic: &str, for_sending: bool) -> Option<Arc<TopicRoute>> {
        let table = self.table.read();
        let known = table.get(topic)?;
        if known.borrowed && (!for_sending || known.read.elapsed() > BORROWED) {
            return None;
        }
        known.used.store(seconds(), Ordering::Relaxed);
        Some(Arc::clone(&known.route))
    }

    /// The route that was known last, however old.
    fn whatever_is_known(&self, topic: &TopicName) -> Option<Arc<TopicRoute>> {
        Some(Arc::clone(&self.table.read().get(topic)?.route))
    }

    /// Every topic whose route is kept and in use.
    fn topics(&self) -> Vec<TopicName> {
        let now = seconds();
        let unused = UNUSED.as_secs() as u32;
        let mut table = self.table.write();
        table.retain(|_, known| now.saturating_sub(known.used.load(Ordering::Relaxed)) < unused);
        table.keys().cloned().collect()
    }

    /// Every broker of every route that is kept: its name, its id and its address.
    pub(crate) fn brokers(&self) -> HashSet<(Arc<str>, u64, Arc<str>)> {
        let table = self.table.read();
        let members = table.values().flat_map(|known| &known.route.brokers);
        members
            .flat_map(|(name, members)| {
                members.iter().map(|(&id, addr)| (Arc::clone(name), id, Arc::clone(addr)))
            })
            .collect()
    }

    /// The address of a broker, wherever it is mentioned.
    pub(crate) fn master(&self, broker: &str) -> Option<Arc<str>> {
        self.table.read().values().find_map(|known| known.route.master(broker).cloned())
    }

    fn is_fresh(&self, topic: &TopicName) -> Option<Arc<TopicRoute>> {
        let table = self.table.read();
        let known = table.get(topic)?;
        (!known.borrowed && known.read.elapsed() < FRESH).then(|| Arc::clone(&known.route))
    }

    fn note(&self, topic: &TopicName, route: &Arc<TopicRoute>, borrowed: bool) {
        let mut table = self.table.write();
        if table.len() >= MAX_ROUTES && !table.contains_key(topic) {
            return;
        }
        // Reading a route anew is no use of it.
        let used = table.get(topic).map_or_else(seconds, |known| known.used.load(Ordering::Relaxed));
        let changed = table.get(topic).is_none_or(|known| known.route.readable != route.readable);
        let known =
            Known { route: Arc::clone(route), read: Instant::now(), borrowed, used: AtomicUsedAt::new(used) };
        table.insert(topic.clone(), known);
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Changes whenever the queues of a topic have.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Seconds since the first call.
fn seconds() -> u32 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs() as u32
}

/// Somebody waits for a route that is being asked for, until this is dropped.
struct Waiting<'a> {
    routes: &'a Routes,
    topic: &'a TopicName,
    fetch: Fetch,
}

impl Drop for Waiting<'_> {
    /// What is answered, or what nobody waits for any more, is asked anew by the next.
    fn drop(&mut self) {
        let mut fetching = self.routes.fetching.lock();
        // That in the table, and this one; none once it is answered.
        let unused = self.fetch.strong_count().is_none_or(|count| count == 2);
        if unused && fetching.get(self.topic).is_some_and(|known| known.ptr_eq(&self.fetch)) {
            fetching.remove(self.topic);
        }
    }
}

impl Inner {
    /// Where a topic is, as known, or else as a NameServer says.
    pub(crate) async fn route(self: &Arc<Self>, topic: &TopicName) -> Result<Arc<TopicRoute>, RouteError> {
        match self.routes.known(topic.as_str(), false) {
            Some(route) => Ok(route),
            None => self.fetch(topic).await,
        }
    }

    /// The same for sending: a topic that does not exist is sent to brokers that create topics by themselves.
    pub(crate) async fn route_for_sending(
        self: &Arc<Self>,
        topic: &TopicName,
    ) -> Result<Arc<TopicRoute>, RouteError> {
        if let Some(route) = self.routes.known(topic.as_str(), true) {
            return Ok(route);
        }
        let missing = match self.fetch(topic).await {
            Err(missing @ RouteError::NoSuchTopic { .. }) => missing,
            Err(gone @ RouteError::NoNameServer { .. }) => {
                // What was lent last time still counts: the topic may exist by now, and nobody says otherwise.
                let lent = self.routes.whatever_is_known(topic).ok_or(gone)?;
                self.routes.note(topic, &lent, true);
                return Ok(lent);
            }
            found => return found,
        };
        let template = TopicName::new(AUTO_CREATE_TOPIC).expect("a valid name");
        let Ok(template) = self.route(&template).await else { return Err(missing) };
        let route = Arc::new(template.lent_to(topic));
        self.routes.note(topic, &route, true);
        Ok(route)
    }

    /// Reads routes for a consumer that starts, so that brokers can be told what it wants before they are asked for it. The
    /// consumer tries again what fails here.
    pub(crate) async fn read_routes(self: &Arc<Self>, topics: impl IntoIterator<Item = &TopicName>) {
        for topic in topics {
            match self.route(topic).await {
                Ok(_) => {}
                Err(RouteError::NoNameServer { last }) => {
                    tracing::warn!(error = %last, "no NameServer answers: trying again");
                    return;
                }
                Err(error) => tracing::debug!(%topic, %error, "no route yet"),
            }
        }
    }

    /// Reads a route anew because a call showed that it may be wrong; one that was just read is taken as it is.
    pub(crate) async fn reread(self: &Arc<Self>, topic: &TopicName) -> Result<Arc<TopicRoute>, RouteError> {
        match self.routes.is_fresh(topic) {
            Some(route) => Ok(route),
            None => self.fetch(topic).await,
        }
    }

    /// Reads every route that is in use anew.
    pub(crate) async fn refresh_routes(self: &Arc<Self>) {
        for topic in self.routes.topics() {
            match self.fetch(&topic).await {
                // A NameServer that was just started knows no topic until brokers have come: brokers themselves say it
                // when a topic is gone.
                Ok(_) | Err(RouteError::NoSuchTopic { .. } | RouteError::NoQueue { .. }) => {}
                Err(RouteError::NoNameServer { last }) => {
                    tracing::warn!(error = %last, "no NameServer answers: going on with the routes that are known");
                    return;
                }
            }
        }
    }

    /// Reads a route, together with whoever is reading it already.
    pub(crate) async fn fetch(self: &Arc<Self>, topic: &TopicName) -> Result<Arc<TopicRoute>, RouteError> {
        let fetch = {
            let mut fetching = self.routes.fetching.lock();
            match fetching.get(topic) {
                Some(fetch) => fetch.clone(),
                None => {
                    let (inner, name) = (Arc::clone(self), topic.clone());
                    let fetch = async move { inner.fetch_alone(&name).await }.boxed().shared();
                    fetching.insert(topic.clone(), fetch.clone());
                    fetch
                }
            }
        };
        let waiting = Waiting { routes: &self.routes, topic, fetch };
        waiting.fetch.clone().await
    }

    async fn fetch_alone(self: &Arc<Self>, topic: &TopicName) -> Result<Arc<TopicRoute>, RouteError> {
        let header = GetRoute { topic: topic.as_str(), standard_json: true, zone: None, zone_only: false };
        let answer = self.ask_name_servers(RequestCode::GetRouteInfoByTopic, &header).await;
        let (frame, addr) = match answer {
            Ok(answered) => answered,
            Err(refused) if refused.code() == Some(ResponseCode::TopicNotExist) => {
                return Err(RouteError::NoSuchTopic { topic: topic.clone() });
            }
            Err(last) => return Err(RouteError::NoNameServer { last }),
        };
        let data: TopicRouteData = body::decode(&frame.body()).map_err(|error| RouteError::NoNameServer {
            last: CallError::Unreadable { addr, what: error.to_string().into() },
        })?;
        let route = Arc::new(TopicRoute::read(topic, data));
        self.routes.note(topic, &route, false);
        Ok(route)
    }

    /// Asks the current NameServer; one that is silent is passed over for the next. Returns who answered, too.
    pub(crate) async fn ask_name_servers(
        self: &Arc<Self>,
        code: RequestCode,
        header: &(impl ferromq_protocol::frame::EncodeFields + Sync),
    ) -> Result<(Frame, Arc<str>), CallError> {
        let servers = self.routes.name_servers();
        let first = self.routes.current.load(Ordering::Relaxed);
        let mut last = CallError::Closed;
        for turn in 0..servers.len() {
            let place = (first + turn) % servers.len();
            let link = self.link(&servers[place]);
            match self.call(&link, code, header, &bytes::Bytes::new()).await {
                Ok(frame) => {
                    self.routes.current.store(place, Ordering::Relaxed);
                    return Ok((frame, Arc::clone(&servers[place])));
                }
                Err(silent) if silent.is_silence() => {
                    tracing::debug!(error = %silent, "NameServer is silent");
                    last = silent;
                }
                Err(refused) => return Err(refused),
            }
        }
        Err(last)
    }
}
