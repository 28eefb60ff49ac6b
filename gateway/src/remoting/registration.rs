//! The broker's registration: tells every NameServer what the broker has, at the start, every period, when its topics
//! change, and at the end that it is gone.
//!
//! ```text
//! topics changed ──┐
//! period passed ───┼──► one task per NameServer ──► one connection: all topics │ the changed ones │ goodbye
//! connection lost ─┤
//! stop ────────────┘
//! ```
//! Always true:
//! * a NameServer that is down, slow or wrong delays no other, and keeps the broker from nothing: it serves all who
//!   know its address;
//! * a connection starts with all topics; changed ones alone go only to a NameServer that took all of them before on the
//!   same connection;
//! * changes that come in while one is being sent go out together next;
//! * the log has one line per change of a NameServer's state, however often it is tried.
//!
//! NameServers forget a broker as soon as its connection closes. So the connection stays open between registrations, and
//! is watched: when a NameServer restarts, the broker is there again as soon as it can be reached.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::TopicName;
use ferromq_model::config::Servers;
use ferromq_model::topic::{DataVersion, TopicConfig};
use ferromq_protocol::body::{self, RegisterBrokerBody, TopicConfigWrapper};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::{RegisterBroker, UnregisterBroker};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::namesrv_link::{Failure, Link};

/// How long a goodbye may hold up the stop of the broker.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// The longest wait: clients of a NameServer that comes back do not find the broker for so long.
const LAST_RETRY: Duration = Duration::from_secs(5);
/// A connection that held for so long was sound: its failure begins a new row of them.
const SOUND: Duration = Duration::from_secs(1);

/// Who the broker is, as NameServers and through them clients are told.
#[derive(Clone, Debug)]
pub struct Advertised {
    /// The cluster.
    pub cluster: String,
    /// The broker set.
    pub name: String,
    /// Its number in the set; 0 is the master.
    pub id: u64,
    /// `host:port` for clients.
    pub addr: String,
    /// `host:port` for replicas.
    pub ha_addr: String,
}

/// When to register.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time between two registrations when nothing changes.
    pub period: Duration,
    /// How long one may take.
    pub timeout: Duration,
}

/// The running registration, until [`stop`](Registration::stop); when dropped, it ends without a goodbye.
#[derive(Debug)]
pub struct Registration {
    stop: watch::Sender<bool>,
    registered: watch::Receiver<usize>,
    tasks: JoinSet<()>,
}

impl Registration {
    /// Begins to register with `servers`. It returns at once and never fails: what does not work is tried again.
    ///
    /// `snapshot` gives all topics with their version, which is another one after every change, and is called for each
    /// registration; `changes` moves on after each change.
    pub fn start(
        servers: &Servers,
        advertised: Advertised,
        timing: Timing,
        snapshot: impl Fn() -> (DataVersion, Vec<TopicConfig>) + Send + Sync + 'static,
        changes: &watch::Receiver<DataVersion>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (counter, registered) = watch::channel(0);
        let snapshot = Box::new(snapshot);
        let about = Arc::new(About { advertised, timing, snapshot, registered: counter });
        let mut tasks = JoinSet::new();
        let mut started: Vec<&String> = Vec::new();
        for server in servers.addresses() {
            if !started.contains(&server) {
                started.push(server);
                let registrar = Registrar {
                    server: server.clone(),
                    about: about.clone(),
                    changes: changes.clone(),
                    link: None,
                    told: None,
                    standing: Standing::Untried,
                    all_due: Instant::now(),
                    registered_at: Instant::now(),
                    retry: FIRST_RETRY,
                };
                tasks.spawn(registrar.run(stopped.clone()));
            }
        }
        Self { stop, registered, tasks }
    }

    /// How many NameServers know the broker now. What changes between two looks is missed.
    #[must_use]
    pub fn registered(&self) -> watch::Receiver<usize> {
        self.registered.clone()
    }

    /// How many NameServers are to know it.
    #[must_use]
    pub fn nameservers(&self) -> usize {
        self.tasks.len()
    }

    /// Says goodbye to the NameServers that can be reached, and returns within about a second.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What all registrars share.
struct About {
    advertised: Advertised,
    timing: Timing,
    snapshot: Box<dyn Fn() -> (DataVersion, Vec<TopicConfig>) + Send + Sync>,
    registered: watch::Sender<usize>,
}

/// Keeps the broker registered with one NameServer.
struct Registrar {
    server: String,
    about: Arc<About>,
    changes: watch::Receiver<DataVersion>,
    link: Option<Link>,
    /// The topics that this NameServer took on this connection.
    told: Option<Vec<TopicConfig>>,
    standing: Standing,
    /// When everything is to be told again.
    all_due: Instant,
    /// When it began to list the broker, if it does.
    registered_at: Instant,
    /// The wait after the next failure.
    retry: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Untried,
    Registered,
    Failing,
}

/// Why a round is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// The start, or the period has passed: tell everything.
    All,
    /// Topics changed: tell those.
    Changes,
}

impl Registrar {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        // An error means that the handle was dropped: that is a stop as well.
        tokio::select! {
            () = self.keep_registered() => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        if *stopped.borrow() {
            self.say_goodbye().await;
        }
    }

    /// Ends only when it is dropped.
    async fn keep_registered(&mut self) {
        let mut round = Round::All;
        loop {
            let outcome = match timeout(self.about.timing.timeout, self.register(round)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::Timeout(self.about.timing.timeout)),
            };
            let next = match outcome {
                Ok(()) => {
                    self.succeeded(round);
                    self.next_round().await
                }
                Err(failure) => Err(failure),
            };
            round = match next {
                Ok(round) => round,
                Err(failure) => {
                    self.failed(&failure);
                    sleep(self.retry).await;
                    self.retry = (self.retry * 2).min(LAST_RETRY.min(self.about.timing.period));
                    Round::All
                }
            };
        }
    }

    /// Waits for a reason to register again; fails when the connection does.
    async fn next_round(&mut self) -> Result<Round, Failure> {
        let link = self.link.as_mut().ok_or(Failure::Closed)?;
        tokio::select! {
            failure = link.closed() => Err(failure),
            () = sleep_until(self.all_due) => Ok(Round::All),
            () = changed(&mut self.changes) => Ok(Round::Changes),
        }
    }

    async fn register(&mut self, round: Round) -> Result<(), Failure> {
        // What changes from here on wakes the next round, whether or not this snapshot has it already.
        self.changes.mark_unchanged();
        let (version, topics) = (self.about.snapshot)();
        // The link comes back only after a whole exchange: one that is given up halfway must not be used again.
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                self.told = None;
                Link::connect(&self.server).await?
            }
        };
        let changed = match (round, &self.told) {
            (Round::Changes, Some(told)) => changed_topics(told, &topics),
            _ => None,
        };
        let about = &self.about.advertised;
        let taken = match changed {
            // Not a change of what NameServers keep.
            Some(changed) if changed.is_empty() => true,
            Some(changed) => match tell_topics(&mut link, about, version, &changed).await {
                Ok(()) => true,
                Err(Failure::Refused { code, remark }) => {
                    debug!(namesrv = self.server, code, remark, "changed topics were refused, sending all");
                    false
                }
                Err(failure) => return Err(failure),
            },
            None => false,
        };
        if !taken {
            tell_topics(&mut link, about, version, &topics).await?;
        }
        self.link = Some(link);
        self.told = Some(topics);
        Ok(())
    }

    fn succeeded(&mut self, round: Round) {
        if round == Round::All {
            self.all_due = Instant::now() + self.about.timing.period;
        }
        if self.standing != Standing::Registered {
            self.standing = Standing::Registered;
            self.registered_at = Instant::now();
            self.about.registered.send_modify(|servers| *servers += 1);
            info!(namesrv = self.server, broker = self.about.advertised.name, "registered");
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.link = None;
        if self.standing == Standing::Registered {
            self.about.registered.send_modify(|servers| *servers -= 1);
            if self.registered_at.elapsed() >= SOUND {
                self.retry = FIRST_RETRY;
            }
        }
        if self.standing != Standing::Failing {
            self.standing = Standing::Failing;
            warn!(namesrv = self.server, reason = %failure, "not registered, will keep trying");
        }
    }

    async fn say_goodbye(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        match timeout(GOODBYE_TIMEOUT, say_gone(&mut link, &self.about.advertised)).await {
            Ok(Ok(())) => info!(namesrv = self.server, "unregistered"),
            // It forgets us as soon as the connection closes, which is now.
            Ok(Err(failure)) => debug!(namesrv = self.server, reason = %failure, "goodbye failed"),
            Err(_) => debug!(namesrv = self.server, "goodbye was not answered"),
        }
    }
}

/// Resolves with the next change; never when whoever makes them is gone.
async fn changed(changes: &mut watch::Receiver<DataVersion>) {
    if changes.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// The topics of `now` that are not the same in `told`; `None` when topics were deleted, which only a registration of all
/// can tell.
fn changed_topics(told: &[TopicConfig], now: &[TopicConfig]) -> Option<Vec<TopicConfig>> {
    let mut known: HashMap<&TopicName, &TopicConfig> =
        told.iter().map(|topic| (&topic.topic_name, topic)).collect();
    let differs = |topic: &&TopicConfig| known.remove(&topic.topic_name) != Some(*topic);
    let changed = now.iter().filter(differs).cloned().collect();
    known.is_empty().then_some(changed)
}

/// Tells `topics` as what the broker has, or has changed: it sounds the same.
async fn tell_topics(
    link: &mut Link,
    broker: &Advertised,
    version: DataVersion,
    topics: &[TopicConfig],
) -> Result<(), Failure> {
    let body = body::encode(&RegisterBrokerBody {
        topic_config_serialize_wrapper: TopicConfigWrapper {
            data_version: version,
            topic_config_table: topics
                .iter()
                .map(|topic| (topic.topic_name.clone(), topic.clone()))
                .collect(),
            ..TopicConfigWrapper::default()
        },
        ..RegisterBrokerBody::default()
    });
    let header = RegisterBroker {
        broker: &broker.name,
        addr: &broker.addr,
        cluster: &broker.cluster,
        ha_addr: &broker.ha_addr,
        broker_id: broker.id,
        timeout: None,
        acting_master: Some(false),
        compressed: false,
        body_crc: body::checksum(&body),
        zone: None,
    };
    link.call(RequestCode::RegisterBroker, &header, &body).await.map(drop)
}

async fn say_gone(link: &mut Link, broker: &Advertised) -> Result<(), Failure> {
    let header = UnregisterBroker {
        broker: &broker.name,
        addr: &broker.addr,
        cluster: &broker.cluster,
        broker_id: broker.id,
    };
    link.call(RequestCode::UnregisterBroker, &header, &[]).await.map(drop)
}

#[cfg(test)]
mod tests;
