//! The NameServer's engine: brokers register what they have, clients ask where it is, the silent are evicted.
//!
//! [`NameServer`] is a cheap handle with typed methods; it listens to nobody and starts nothing. Whoever owns it
//! * calls [`NameServer::scan`] every [`scan_interval`](NamesrvConfig::scan_interval),
//! * tells it of connections that end ([`NameServer::channel_closed`]).
//!
//! ```text
//!   register, unregister, heartbeat ──┐                       ┌── route, cluster, topic lists
//!   scan, channel_closed ─────────────┴─► route table ────────┤
//!                          put, delete ─► key-value pairs ────┘   (order configuration)
//! ```
//! Always true:
//! * no NameServer knows of another: each has what brokers told it, and after a restart nothing until they do again;
//! * a lock is held for memory work only; time comes in as a parameter;
//! * reading a route shares what is in the table, so that thousands of polling clients cost a lookup each.

pub mod config;
mod kv;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ferromq_model::config::{Applies, SetError, Settings};
use ferromq_model::topic::{DataVersion, Permission};
use parking_lot::RwLock;
use tracing::{info, warn};

pub use config::NamesrvConfig;
pub use ferromq_state::StateError;
use kv::KvConfig;
pub use kv::{KvError, MAX_FILE_LEN, Pairs};
use table::RouteTable;
pub use table::{
    BrokerId, BrokerIdentity, BrokerSet, ChannelId, DEFAULT_SILENCE, Gone, KnownVersion, MAX_SILENCE,
    MasterAddrs, RegisterError, Registered, Registration, Route, TopicOffer, UnitTopics,
};

/// The namespace of key-value pairs that says how many queues an ordered topic has on each broker.
pub const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

/// The NameServer; clones are the same one.
#[derive(Clone, Debug)]
pub struct NameServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: RwLock<RouteTable>,
    kv: KvConfig,
    config: RwLock<NamesrvConfig>,
    /// When routes may be given out.
    ready_at: Instant,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No broker that is alive has the topic.
    #[error("no broker has the topic")]
    UnknownTopic,
    /// Brokers are still being waited for, as configured.
    #[error("name server not ready")]
    NotReady,
}

/// The operator keeps this list to himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("disable")]
pub struct ListDisabled;

/// Why a setting was not changed at run time. Nothing else was changed with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Where files are is not for remote hands.
    #[error("Can not update config in black list.")]
    Forbidden {
        /// The key.
        key: String,
    },
    /// It would only take effect with the next start, and this change would not last until then.
    #[error("{key} cannot be changed while running: set it in the configuration file and restart")]
    NotLive {
        /// The key.
        key: String,
    },
    /// No such key, or a value that is not allowed.
    #[error("{key}: {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong.
        reason: SetError,
    },
}

/// All cluster and broker names, and one broker to start from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemNames {
    /// Cluster names, then broker names. Each is a topic that its brokers have.
    pub names: Vec<Arc<str>>,
    /// `host:port` of some broker.
    pub broker_addr: Option<Arc<str>>,
}

impl NameServer {
    /// A NameServer that knows no broker yet, started at `now`, with the pairs of its key-value file.
    ///
    /// # Errors
    /// [`StateError`] when that file exists and neither it nor its backup can be read.
    pub fn open(config: NamesrvConfig, now: Instant) -> Result<Self, StateError> {
        let kv = KvConfig::open(config.kv_path.clone())?;
        let wait =
            if config.wait_for_service { config.wait_span.millis().duration() } else { Default::default() };
        Ok(Self {
            inner: Arc::new(Inner {
                table: RwLock::default(),
                kv,
                config: RwLock::new(config),
                ready_at: now + wait,
            }),
        })
    }

    /// Lists a broker with its topics, or renews it.
    ///
    /// * Topics count from the master, or from the lowest-numbered slave that knows about acting masters; such a slave's
    ///   topics cannot be written to where its set wants an acting master.
    /// * A topic that is not named is kept, unless `deleteTopicWithBrokerRegistration` is set and all were sent.
    ///
    /// # Errors
    /// [`RegisterError`]: nothing was changed, and the broker has to send all of its topics.
    pub fn register(&self, registration: Registration, now: Instant) -> Result<Registered, RegisterError> {
        let forget_missing = self.inner.config.read().delete_unregistered_topics;
        let broker = registration.broker.clone();
        let (outcome, is_new) = {
            let mut table = self.inner.table.write();
            let is_new = !table.is_alive(&broker);
            (table.register(registration, now, forget_missing), is_new)
        };
        match &outcome {
            Ok(Registered::Listed { .. }) if is_new => info!(%broker, "broker registered"),
            Ok(Registered::Listed { .. }) => {}
            Ok(Registered::Superseded { by }) => warn!(%broker, %by, "a newer broker holds this id"),
            Err(error) => warn!(%error, "registration refused"),
        }
        outcome
    }

    /// Takes a broker out that stops; one that is not listed under its name and address is no error.
    pub fn unregister(&self, broker: &BrokerIdentity) {
        if self.inner.table.write().unregister(broker) {
            info!(%broker, "broker unregistered");
        }
    }

    /// Notes that the broker at `addr` is alive; whether it is listed.
    pub fn heartbeat(&self, addr: &str, now: Instant) -> bool {
        self.inner.table.write().heard_of(addr, now)
    }

    /// Tells the broker at `addr` whether its topics, now at `version`, differ from what it registered. If they do not,
    /// asking counts as a heartbeat.
    pub fn compare_version(&self, addr: &str, version: DataVersion, now: Instant) -> KnownVersion {
        self.inner.table.write().compare_version(addr, version, now)
    }

    /// Takes out the brokers that registered by `channel` last. Most connections are clients': this is cheap for them.
    pub fn channel_closed(&self, channel: ChannelId) {
        if !self.inner.table.read().has_channel(channel) {
            return;
        }
        let gone = self.inner.table.write().channel_closed(channel);
        for Gone { broker, .. } in gone {
            warn!(%broker, "broker's connection closed, it is no longer listed");
        }
    }

    /// Takes out the brokers that were silent for too long at `now`, and returns them: their connections should be closed.
    pub fn scan(&self, now: Instant) -> Vec<Gone> {
        let gone = self.inner.table.write().scan(now);
        for Gone { broker, .. } in &gone {
            warn!(%broker, "broker was silent for too long, it is no longer listed");
        }
        gone
    }

    /// Where `topic` is, narrowed to `zone` if one is given.
    ///
    /// # Errors
    /// [`RouteError`] when nobody has it, or when it is too early to say.
    pub fn route(&self, topic: &str, zone: Option<&str>, now: Instant) -> Result<Route, RouteError> {
        if now < self.inner.ready_at {
            return Err(RouteError::NotReady);
        }
        let (acting_master, with_order) = {
            let config = self.inner.config.read();
            (config.acting_master, config.order_routes)
        };
        let route = self.inner.table.read().route(topic, acting_master);
        let mut route = route.ok_or(RouteError::UnknownTopic)?;
        if with_order {
            route.order = self.inner.kv.read(ORDER_NAMESPACE, topic);
        }
        if let Some(zone) = zone {
            route.retain_zone(zone);
        }
        Ok(route)
    }

    /// The order configuration that a registering broker is told: `None` when there is none or it is not given out.
    #[must_use]
    pub fn order_for_brokers(&self) -> Option<Pairs> {
        let told = self.inner.config.read().order_to_brokers;
        if told { self.inner.kv.namespace(ORDER_NAMESPACE).filter(|pairs| !pairs.is_empty()) } else { None }
    }

    /// All broker sets, in order of their names.
    #[must_use]
    pub fn broker_sets(&self) -> Vec<Arc<BrokerSet>> {
        self.inner.table.read().sets().cloned().collect()
    }

    /// One broker set, if it belongs to `cluster`.
    #[must_use]
    pub fn broker_set(&self, cluster: &str, name: &str) -> Option<Arc<BrokerSet>> {
        self.inner.table.read().set(name).filter(|set| &*set.cluster == cluster).cloned()
    }

    /// Makes all topics of `broker` unwritable, as before it is taken down; returns how many.
    ///
    /// It lasts until the broker's topics change, or the broker is gone.
    pub fn wipe_write_permission(&self, broker: &str) -> usize {
        let topics =
            self.inner.table.write().change_permissions(broker, |perm| perm.without(Permission::WRITE));
        info!(broker, topics, "write permission wiped");
        topics
    }

    /// Makes all topics of `broker` readable and writable; returns how many.
    pub fn add_write_permission(&self, broker: &str) -> usize {
        let topics = self.inner.table.write().change_permissions(broker, |_| Permission::READ_WRITE);
        info!(broker, topics, "write permission added");
        topics
    }

    /// All topics, in order of their names.
    ///
    /// # Errors
    /// [`ListDisabled`] as `enableAllTopicList` says.
    pub fn topics(&self) -> Result<Vec<Arc<str>>, ListDisabled> {
        if !self.inner.config.read().all_topic_list {
            return Err(ListDisabled);
        }
        Ok(self.inner.table.read().topics())
    }

    /// The topics that brokers of `cluster` have, in order of their names.
    ///
    /// # Errors
    /// [`ListDisabled`] as `enableTopicList` says.
    pub fn topics_of_cluster(&self, cluster: &str) -> Result<Vec<Arc<str>>, ListDisabled> {
        self.list(|table| table.topics_of_cluster(cluster))
    }

    /// The topics with these unit flags, in order of their names.
    ///
    /// # Errors
    /// [`ListDisabled`] as `enableTopicList` says.
    pub fn unit_topics(&self, which: UnitTopics) -> Result<Vec<Arc<str>>, ListDisabled> {
        self.list(|table| table.unit_topics(which))
    }

    fn list(&self, list: impl FnOnce(&RouteTable) -> Vec<Arc<str>>) -> Result<Vec<Arc<str>>, ListDisabled> {
        if !self.inner.config.read().topic_list {
            return Err(ListDisabled);
        }
        Ok(list(&self.inner.table.read()))
    }

    /// The names of all clusters and brokers.
    #[must_use]
    pub fn system_names(&self) -> SystemNames {
        let table = self.inner.table.read();
        let clusters: BTreeSet<_> = table.sets().map(|set| set.cluster.clone()).collect();
        let broker_addr = table.sets().find_map(|set| set.addrs.values().next().cloned());
        SystemNames {
            names: clusters.into_iter().chain(table.sets().map(|set| set.name.clone())).collect(),
            broker_addr,
        }
    }

    /// Takes `topic` out of all routes, or out of one cluster's. A broker that still has it brings it back when its topics
    /// change.
    pub fn delete_topic(&self, topic: &str, cluster: Option<&str>) {
        self.inner.table.write().delete_topic(topic, cluster);
        info!(topic, cluster, "topic deleted from routes");
    }

    /// Adds a topic to brokers that are listed, ahead of their own registration; others are left out.
    pub fn add_topic(&self, topic: &Arc<str>, offers: Vec<(Arc<str>, TopicOffer)>) {
        self.inner.table.write().add_offers(topic, offers);
    }

    /// The value of a key-value pair.
    #[must_use]
    pub fn pair(&self, namespace: &str, key: &str) -> Option<String> {
        self.inner.kv.read(namespace, key)
    }

    /// All pairs of a namespace; `None` if it never had one.
    #[must_use]
    pub fn pairs(&self, namespace: &str) -> Option<Pairs> {
        self.inner.kv.namespace(namespace)
    }

    /// Sets a key-value pair and waits until the disk has it.
    ///
    /// # Errors
    /// [`KvError`]: the pair is as it was.
    pub fn put_pair(&self, namespace: &str, key: &str, value: &str) -> Result<(), KvError> {
        self.inner.kv.put(namespace, key, value)?;
        info!(namespace, key, value, "pair set");
        Ok(())
    }

    /// Deletes a key-value pair, which need not exist, and waits until the disk has it.
    ///
    /// # Errors
    /// [`KvError`]: the pair is as it was.
    pub fn delete_pair(&self, namespace: &str, key: &str) -> Result<(), KvError> {
        self.inner.kv.delete(namespace, key)?;
        info!(namespace, key, "pair deleted");
        Ok(())
    }

    /// The settings as they are now.
    #[must_use]
    pub fn config(&self) -> NamesrvConfig {
        self.inner.config.read().clone()
    }

    /// Changes settings that apply at once, all of them or none. They last until the next start.
    ///
    /// # Errors
    /// [`ChangeError`] names the first that cannot be changed.
    pub fn change_config<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), ChangeError> {
        /// What would let a remote hand choose which files are written. The first two are no keys of ours, but tools know them.
        const FORBIDDEN: [&str; 4] = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];
        let mut current = self.inner.config.write();
        let mut changed = current.clone();
        let mut keys = Vec::new();
        for (key, value) in changes {
            if FORBIDDEN.contains(&key) {
                return Err(ChangeError::Forbidden { key: key.to_owned() });
            }
            if changed.show(key).as_deref() == Some(value.trim()) {
                continue;
            }
            if changed.keys().iter().any(|known| known.name == key && known.applies != Applies::Live) {
                return Err(ChangeError::NotLive { key: key.to_owned() });
            }
            changed.set(key, value).map_err(|reason| ChangeError::Invalid { key: key.to_owned(), reason })?;
            keys.push(key);
        }
        for key in keys {
            info!(key, value = changed.show(key), "setting changed");
        }
        *current = changed;
        Ok(())
    }
}
