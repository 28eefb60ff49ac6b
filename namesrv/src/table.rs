//! The route table: which broker processes are alive, how they form broker sets, and what they offer of each topic.
//!
//! ```text
//! topic "orders" ─┬─ broker-a: 4 read, 4 write, rw-        set "broker-a" ─┬─ 0 ─ 10.0.0.1:10911 ─ alive: channel, last heard,
//!                 └─ broker-b: 8 read, 8 write, rw-                        └─ 1 ─ 10.0.0.2:10911          data version, HA address
//! ```
//! Always true:
//! * an address stands for one process: a set lists it under an id exactly if it is alive under that name and id;
//! * no set is empty, and no topic is: the last broker takes its topics with it;
//! * a topic is offered only by sets that exist;
//! * time is a parameter, and nothing here waits or does I/O.
//!
//! The rules of registration are RocketMQ's, since its brokers rely on them, with two additions: an address that comes
//! back under another broker name leaves its old one at once, and a registration that is refused changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ferromq_model::Millis;
use ferromq_model::topic::{DataVersion, Permission};

/// How long a broker may be silent that did not say so itself.
pub const DEFAULT_SILENCE: Millis = Millis::secs(120);

/// The most that a broker's own wish for [`Registration::silence`] counts: nobody stays in routes for days unheard.
pub const MAX_SILENCE: Millis = Millis::hours(1);

/// Topics with this prefix are how the members of a broker set find each other: their route is never dressed up.
const MEMBERS_TOPIC_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// A connection as its owner numbers it; the engine only compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// A broker's number in its set; the lowest stands in for a missing master where that is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub u64);

impl BrokerId {
    /// The one that producers send to.
    pub const MASTER: Self = Self(0);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One broker process, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerIdentity {
    /// The cluster that its set belongs to.
    pub cluster: Arc<str>,
    /// The set: a master and its slaves share this name.
    pub name: Arc<str>,
    /// `host:port` that clients are told.
    pub addr: Arc<str>,
    /// Its number in the set.
    pub id: BrokerId,
}

impl fmt::Display for BrokerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}] at {}", self.cluster, self.name, self.id, self.addr)
    }
}

/// What one broker offers of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOffer {
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Queues that producers write.
    pub write_queues: u32,
    /// What clients may do.
    pub perm: Permission,
    /// Bit 0: unit topic; bit 1: has unit subscribers.
    pub sys_flag: i32,
    /// For a topic whose queues can move between brokers: where they are, as the broker wrote it. Clients are told
    /// without a look at it.
    pub mapping: Option<Arc<str>>,
}

/// What a broker says of itself, at start, every now and then, and when its topics change.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Who it is.
    pub broker: BrokerIdentity,
    /// `host:port` where its replicas connect.
    pub ha_addr: Arc<str>,
    /// The connection that it came by: when that closes, the broker is gone.
    pub channel: ChannelId,
    /// How long it may be silent; [`DEFAULT_SILENCE`] unless it says so, at most [`MAX_SILENCE`].
    pub silence: Option<Millis>,
    /// Whether its lowest-numbered slave stands in for a missing master; `None` from brokers that do not know of that.
    pub acting_master: Option<bool>,
    /// The zone that it serves, for clients that stay within theirs.
    pub zone: Option<Arc<str>>,
    /// The version of its topics.
    pub version: DataVersion,
    /// All its topics, or those that changed. Names are what the broker uses: its own name may be one, dots and all.
    pub topics: Vec<(Arc<str>, TopicOffer)>,
    /// Addresses of filter servers that belong to it; hardly any broker has one.
    pub filter_servers: Vec<String>,
}

/// What a registering broker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is in the table.
    Listed {
        /// The master of its set, when it is not the master itself and one is alive.
        master: Option<MasterAddrs>,
    },
    /// Another process with a newer controller epoch holds its id: it is not listed, and it is no error either, since
    /// the controller will tell it what to become.
    Superseded {
        /// The address that keeps the id.
        by: Arc<str>,
    },
}

/// Where a slave finds its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddrs {
    /// `host:port` of its main listener.
    pub addr: Arc<str>,
    /// `host:port` that replicas connect to.
    pub ha_addr: Arc<str>,
}

/// Why a registration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// One topic from a broker that is not in the table is a change to something that we never saw: it has to send
    /// all of them. A broker has more than one from its start on.
    #[error("{broker} is unknown here and has to register all of its topics, not one")]
    ChangeOfUnknown {
        /// Who registered.
        broker: BrokerIdentity,
    },
}

/// A master and its slaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSet {
    /// The cluster.
    pub cluster: Arc<str>,
    /// The name that the members share.
    pub name: Arc<str>,
    /// The zone that it serves.
    pub zone: Option<Arc<str>>,
    /// Whether its lowest-numbered slave stands in for a missing master.
    pub acting_master: bool,
    /// `host:port` of each member.
    pub addrs: BTreeMap<BrokerId, Arc<str>>,
}

impl BrokerSet {
    fn has_master(&self) -> bool {
        self.addrs.contains_key(&BrokerId::MASTER)
    }

    /// The same with its lowest-numbered member published as the master.
    fn with_acting_master(&self) -> Self {
        let mut set = self.clone();
        if let Some((_, addr)) = set.addrs.pop_first() {
            set.addrs.insert(BrokerId::MASTER, addr);
        }
        set
    }
}

/// Where a topic's queues are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The sets that have the topic, by name.
    pub brokers: Vec<Arc<BrokerSet>>,
    /// What each of them offers, by the set's name.
    pub offers: Vec<(Arc<str>, TopicOffer)>,
    /// Filter servers by the broker's address.
    pub filter_servers: Vec<(Arc<str>, Vec<String>)>,
    /// How many queues each broker has for ordered messages, as in `broker-a:4;broker-b:4`, where that is kept fixed.
    pub order: Option<String>,
}

impl Route {
    /// Keeps what clients of `zone` should use: the sets of that zone in any case, and sets without a master.
    pub(crate) fn retain_zone(&mut self, zone: &str) {
        let in_zone = |set: &BrokerSet| {
            !set.has_master() || set.zone.as_deref().is_some_and(|z| z.eq_ignore_ascii_case(zone))
        };
        let (kept, dropped): (Vec<_>, Vec<_>) = self.brokers.drain(..).partition(|set| in_zone(set));
        self.brokers = kept;
        self.offers.retain(|(name, _)| !dropped.iter().any(|set| set.name == *name));
        self.filter_servers
            .retain(|(addr, _)| !dropped.iter().any(|set| set.addrs.values().any(|a| a == addr)));
    }
}

/// What a broker learns when it asks whether its topics are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// Whether it should register again.
    pub changed: bool,
    /// The version that is known here.
    pub known: Option<DataVersion>,
}

/// A broker that was taken out, and the connection that it last registered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Who it was.
    pub broker: BrokerIdentity,
    /// The connection, which may still be open.
    pub channel: ChannelId,
}

/// A broker that was heard of, and when it last was.
#[derive(Debug)]
struct Alive {
    name: Arc<str>,
    id: BrokerId,
    channel: ChannelId,
    last_heard: Instant,
    silence: Millis,
    version: DataVersion,
    ha_addr: Arc<str>,
    filter_servers: Vec<String>,
}

/// Which topics have a system flag set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitTopics {
    /// Topics of a unit.
    Unit,
    /// Topics with subscribers in units.
    UnitSubscribed,
    /// Topics with subscribers in units that are of no unit themselves.
    UnitSubscribedOnly,
}

impl UnitTopics {
    const UNIT: i32 = 1;
    const UNIT_SUBSCRIBED: i32 = 2;

    fn holds(self, sys_flag: i32) -> bool {
        let unit = sys_flag & Self::UNIT != 0;
        let subscribed = sys_flag & Self::UNIT_SUBSCRIBED != 0;
        match self {
            Self::Unit => unit,
            Self::UnitSubscribed => subscribed,
            Self::UnitSubscribedOnly => subscribed && !unit,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// By topic; what each set offers, by the set's name, which is a list of one to a few.
    topics: HashMap<Arc<str>, Vec<(Arc<str>, TopicOffer)>>,
    sets: BTreeMap<Arc<str>, Arc<BrokerSet>>,
    /// By address.
    alive: HashMap<Arc<str>, Alive>,
}

impl RouteTable {
    /// Lists a broker or renews it. With `forget_missing`, topics that a full registration no longer names are gone.
    pub(crate) fn register(
        &mut self,
        registration: Registration,
        now: Instant,
        forget_missing: bool,
    ) -> Result<Registered, RegisterError> {
        let Registration { broker, version, .. } = &registration;
        let holder = self.sets.get(&broker.name).and_then(|set| set.addrs.get(&broker.id)).cloned();
        let id_is_new = holder.is_none();
        if id_is_new && registration.topics.len() == 1 {
            return Err(RegisterError::ChangeOfUnknown { broker: registration.broker });
        }
        if let Some(by) = holder.filter(|addr| *addr != broker.addr) {
            if self.alive.get(&by).is_some_and(|old| old.version.state_version > version.state_version) {
                self.remove(&broker.addr.clone());
                return Ok(Registered::Superseded { by });
            }
            // The id moved to another address. Its set is about to have the id again, so nothing of it goes.
            self.alive.remove(&by);
        }
        let was = self.alive.get(&broker.addr).map(|alive| (alive.name.clone(), alive.id, alive.version));
        let topics_are_new = match &was {
            Some((name, _, known)) => *name != broker.name || known != version,
            None => true,
        };
        match was {
            Some((name, _, _)) if name != broker.name => self.remove(&registration.broker.addr.clone()),
            // Another number in the same set, as when a slave becomes the master: the set must not fall empty meanwhile.
            Some((_, id, _)) if id != broker.id => {
                if let Some(set) = self.sets.get_mut(&broker.name) {
                    Arc::make_mut(set).addrs.remove(&id);
                }
            }
            _ => {}
        }

        let Registration {
            broker,
            ha_addr,
            channel,
            silence,
            acting_master,
            zone,
            version,
            topics,
            filter_servers,
        } = registration;
        let set = self.sets.entry(broker.name.clone()).or_insert_with(|| {
            Arc::new(BrokerSet {
                cluster: broker.cluster.clone(),
                name: broker.name.clone(),
                zone: None,
                acting_master: false,
                addrs: BTreeMap::new(),
            })
        });
        let acts = acting_master.unwrap_or(false);
        let is_listed = set.addrs.get(&broker.id) == Some(&broker.addr)
            && set.acting_master == acts
            && set.zone == zone
            && set.cluster == broker.cluster;
        if !is_listed {
            // Routes that were handed out share the set: they keep the one they have.
            let set = Arc::make_mut(set);
            set.cluster = broker.cluster;
            set.zone = zone;
            set.acting_master = acts;
            set.addrs.insert(broker.id, broker.addr.clone());
        }
        let leads = set.addrs.keys().next() == Some(&broker.id);
        let is_master = broker.id == BrokerId::MASTER;
        if is_master || (leads && acting_master.is_some()) {
            // A stand-in serves what is there and takes nothing new.
            let denied = if !is_master && acts { Permission::WRITE } else { 0 };
            self.offer_topics(&broker.name, topics, denied, id_is_new || topics_are_new, forget_missing);
        }

        let alive = Alive {
            name: broker.name.clone(),
            id: broker.id,
            channel,
            last_heard: now,
            silence: silence.unwrap_or(DEFAULT_SILENCE).min(MAX_SILENCE),
            version,
            ha_addr,
            filter_servers,
        };
        self.alive.insert(broker.addr, alive);
        let master = if is_master { None } else { self.master_of(&broker.name) };
        Ok(Registered::Listed { master })
    }

    fn offer_topics(
        &mut self,
        broker: &Arc<str>,
        topics: Vec<(Arc<str>, TopicOffer)>,
        denied: u32,
        all_are_new: bool,
        forget_missing: bool,
    ) {
        // One topic alone is a change and says nothing about the others. And a broker whose queues can move may have handed
        // over a topic that is still asked for here: the reference forgets nothing of such a broker.
        let some_move = topics.iter().any(|(_, offer)| offer.mapping.is_some());
        if forget_missing && topics.len() > 1 && !some_move {
            let named: BTreeSet<&str> = topics.iter().map(|(topic, _)| &**topic).collect();
            self.retain_offers(|topic, name| name != &**broker || named.contains(topic));
        }
        for (topic, offer) in topics {
            let offer = TopicOffer { perm: offer.perm.without(denied), ..offer };
            let offers = self.topics.entry(topic).or_default();
            match offers.binary_search_by(|(name, _)| name.cmp(broker)) {
                // What is known of an unchanged version may have been narrowed since, by an operator who wiped the write
                // permission: that must outlive the next registration.
                Ok(at) if all_are_new => offers[at].1 = offer,
                Ok(_) => {}
                Err(at) => offers.insert(at, (broker.clone(), offer)),
            }
        }
    }

    /// Whether exactly this process is listed.
    pub(crate) fn is_alive(&self, broker: &BrokerIdentity) -> bool {
        self.alive.get(&broker.addr).is_some_and(|alive| alive.name == broker.name && alive.id == broker.id)
    }

    /// Whether a broker registered by `channel` last.
    pub(crate) fn has_channel(&self, channel: ChannelId) -> bool {
        self.alive.values().any(|alive| alive.channel == channel)
    }

    /// Keeps the offers for which `keep(topic, broker name)` holds.
    fn retain_offers(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.topics.retain(|topic, offers| {
            offers.retain(|(broker, _)| keep(topic, broker));
            !offers.is_empty()
        });
    }

    fn master_of(&self, broker: &str) -> Option<MasterAddrs> {
        let addr = self.sets.get(broker)?.addrs.get(&BrokerId::MASTER)?;
        let alive = self.alive.get(addr)?;
        Some(MasterAddrs { addr: addr.clone(), ha_addr: alive.ha_addr.clone() })
    }

    /// Takes a broker out that says goodbye; whether it was listed under that name.
    pub(crate) fn unregister(&mut self, broker: &BrokerIdentity) -> bool {
        let listed = self.alive.get(&broker.addr).is_some_and(|alive| alive.name == broker.name);
        if listed {
            self.remove(&broker.addr);
        }
        listed
    }

    /// Takes out whoever is alive at `addr`.
    fn remove(&mut self, addr: &str) {
        let Some(gone) = self.alive.remove(addr) else { return };
        let Some(set) = self.sets.get_mut(&gone.name) else { return };
        Arc::make_mut(set).addrs.remove(&gone.id);
        if set.addrs.is_empty() {
            self.sets.remove(&gone.name);
            self.retain_offers(|_, broker| broker != &*gone.name);
        } else if set.acting_master && !set.has_master() {
            for offer in offers_of(&mut self.topics, &gone.name) {
                offer.perm = offer.perm.without(Permission::WRITE);
            }
        }
    }

    /// Takes out who came by `channel`; returns them.
    pub(crate) fn channel_closed(&mut self, channel: ChannelId) -> Vec<Gone> {
        self.remove_where(|alive| alive.channel == channel)
    }

    /// Takes out who was silent for too long at `now`; returns them.
    pub(crate) fn scan(&mut self, now: Instant) -> Vec<Gone> {
        self.remove_where(|alive| now.saturating_duration_since(alive.last_heard) > alive.silence.duration())
    }

    fn remove_where(&mut self, is_gone: impl Fn(&Alive) -> bool) -> Vec<Gone> {
        let gone: Vec<_> = self
            .alive
            .iter()
            .filter(|(_, alive)| is_gone(alive))
            .map(|(addr, alive)| Gone {
                broker: BrokerIdentity {
                    cluster: self.sets[&alive.name].cluster.clone(),
                    name: alive.name.clone(),
                    addr: addr.clone(),
                    id: alive.id,
                },
                channel: alive.channel,
            })
            .collect();
        for Gone { broker, .. } in &gone {
            self.remove(&broker.addr);
        }
        gone
    }

    /// Notes that the broker at `addr` was heard of; whether it is listed.
    pub(crate) fn heard_of(&mut self, addr: &str, now: Instant) -> bool {
        self.alive.get_mut(addr).map(|alive| alive.last_heard = now).is_some()
    }

    /// Compares `version` with what the broker at `addr` registered, and notes that it was heard of when they agree.
    pub(crate) fn compare_version(&mut self, addr: &str, version: DataVersion, now: Instant) -> KnownVersion {
        let known = self.alive.get(addr).map(|alive| alive.version);
        let changed = known != Some(version);
        if !changed {
            self.heard_of(addr, now);
        }
        KnownVersion { changed, known }
    }

    /// Where `topic` is; `None` when no broker has it.
    pub(crate) fn route(&self, topic: &str, acting_master: bool) -> Option<Route> {
        let offers = self.topics.get(topic)?;
        let acting_master = acting_master && !topic.starts_with(MEMBERS_TOPIC_PREFIX);
        let mut route = Route { offers: offers.clone(), ..Route::default() };
        for (name, offer) in offers {
            let set = &self.sets[name];
            for addr in set.addrs.values() {
                let servers = &self.alive[addr].filter_servers;
                if !servers.is_empty() {
                    route.filter_servers.push((addr.clone(), servers.clone()));
                }
            }
            let stands_in = acting_master && set.acting_master && !set.has_master() && !offer.perm.writable();
            route.brokers.push(if stands_in { Arc::new(set.with_acting_master()) } else { set.clone() });
        }
        Some(route)
    }

    /// All sets, by name.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Arc<BrokerSet>> {
        self.sets.values()
    }

    pub(crate) fn set(&self, broker: &str) -> Option<&Arc<BrokerSet>> {
        self.sets.get(broker)
    }

    /// Topics for which `wanted(offers)` holds, in order of their names.
    fn topics_where(&self, wanted: impl Fn(&[(Arc<str>, TopicOffer)]) -> bool) -> Vec<Arc<str>> {
        let mut topics: Vec<_> =
            self.topics.iter().filter(|(_, offers)| wanted(offers)).map(|(topic, _)| topic.clone()).collect();
        topics.sort_unstable();
        topics
    }

    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.topics_where(|_| true)
    }

    pub(crate) fn topics_of_cluster(&self, cluster: &str) -> Vec<Arc<str>> {
        self.topics_where(|offers| offers.iter().any(|(broker, _)| &*self.sets[broker].cluster == cluster))
    }

    pub(crate) fn unit_topics(&self, which: UnitTopics) -> Vec<Arc<str>> {
        self.topics_where(|offers| offers.iter().any(|(_, offer)| which.holds(offer.sys_flag)))
    }

    /// Takes `topic` from all brokers, or from those of one cluster.
    pub(crate) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(offers) = self.topics.get_mut(topic) else { return };
        offers.retain(|(broker, _)| cluster.is_some_and(|cluster| *self.sets[broker].cluster != *cluster));
        if offers.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Adds offers to a topic, or replaces them; those of unknown brokers are left out.
    pub(crate) fn add_offers(&mut self, topic: &Arc<str>, offers: Vec<(Arc<str>, TopicOffer)>) {
        for (broker, offer) in offers {
            if self.sets.contains_key(&broker) {
                self.offer_topics(&broker, vec![(topic.clone(), offer)], 0, true, false);
            }
        }
    }

    /// Changes the permission of all that `broker` offers; returns how many topics that are.
    pub(crate) fn change_permissions(
        &mut self,
        broker: &str,
        change: impl Fn(Permission) -> Permission,
    ) -> usize {
        offers_of(&mut self.topics, broker).map(|offer| offer.perm = change(offer.perm)).count()
    }
}

/// All that `broker` offers.
fn offers_of<'a>(
    topics: &'a mut HashMap<Arc<str>, Vec<(Arc<str>, TopicOffer)>>,
    broker: &'a str,
) -> impl Iterator<Item = &'a mut TopicOffer> {
    topics.values_mut().flatten().filter(move |(name, _)| **name == *broker).map(|(_, offer)| offer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    impl RouteTable {
        /// What the first screen of this file promises.
        fn check(&self) {
            let mut listed = 0;
            for (name, set) in &self.sets {
                assert!(*name == set.name && !set.addrs.is_empty(), "{set:?}");
                for (id, addr) in &set.addrs {
                    let alive = &self.alive[addr];
                    assert!(alive.name == *name && alive.id == *id, "{set:?} {alive:?}");
                    listed += 1;
                }
            }
            assert_eq!(listed, self.alive.len(), "everyone alive is in one set");
            for (topic, offers) in &self.topics {
                assert!(!offers.is_empty(), "{topic}");
                assert!(offers.is_sorted_by(|(a, _), (b, _)| a < b), "{topic}: {offers:?}");
                assert!(
                    offers.iter().all(|(broker, _)| self.sets.contains_key(broker)),
                    "{topic}: {offers:?}"
                );
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Register {
            identity: (u8, u8, u8, u8),
            channel: u8,
            epoch: i64,
            topics: Vec<u8>,
            acting: Option<bool>,
            forget: bool,
        },
        Unregister {
            identity: (u8, u8, u8, u8),
        },
        Close {
            channel: u8,
        },
        Scan {
            after_secs: u64,
        },
        DeleteTopic {
            topic: u8,
            cluster: Option<u8>,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let identity = || (0..2u8, 0..3u8, 0..3u8, 0..4u8);
        let register = (
            identity(),
            0..4u8,
            0..3i64,
            prop::collection::vec(0..5u8, 0..4),
            prop::option::of(any::<bool>()),
            any::<bool>(),
        )
            .prop_map(|(identity, channel, epoch, topics, acting, forget)| Step::Register {
                identity,
                channel,
                epoch,
                topics,
                acting,
                forget,
            });
        let step = prop_oneof![
            6 => register,
            1 => identity().prop_map(|identity| Step::Unregister { identity }),
            1 => (0..4u8).prop_map(|channel| Step::Close { channel }),
            1 => (0..200u64).prop_map(|after_secs| Step::Scan { after_secs }),
            1 => (0..5u8, prop::option::of(0..2u8)).prop_map(|(topic, cluster)| Step::DeleteTopic { topic, cluster }),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn broker((cluster, name, id, addr): (u8, u8, u8, u8)) -> BrokerIdentity {
        BrokerIdentity {
            cluster: format!("c{cluster}").into(),
            name: format!("b{name}").into(),
            addr: format!("h{addr}:1").into(),
            id: BrokerId(id.into()),
        }
    }

    proptest! {
        #[test]
        fn whatever_brokers_do_the_table_stays_consistent(steps in steps()) {
            let mut table = RouteTable::default();
            let mut now = Instant::now();
            for step in steps {
                match step {
                    Step::Register { identity, channel, epoch, topics, acting, forget } => {
                        let offer = TopicOffer { read_queues: 1, write_queues: 1, perm: Permission::READ_WRITE, sys_flag: 0, mapping: None };
                        let registration = Registration {
                            broker: broker(identity),
                            ha_addr: "".into(),
                            channel: ChannelId(channel.into()),
                            silence: None,
                            acting_master: acting,
                            zone: None,
                            version: DataVersion { state_version: epoch, ..DataVersion::default() },
                            topics: topics.iter().map(|topic| (format!("t{topic}").into(), offer.clone())).collect(),
                            filter_servers: Vec::new(),
                        };
                        let BrokerIdentity { name, addr, id, .. } = registration.broker.clone();
                        if let Ok(Registered::Listed { .. }) = table.register(registration, now, forget) {
                            prop_assert_eq!(table.set(&name).unwrap().addrs.get(&id), Some(&addr));
                        }
                    }
                    Step::Unregister { identity } => {
                        table.unregister(&broker(identity));
                    }
                    Step::Close { channel } => {
                        table.channel_closed(ChannelId(channel.into()));
                        prop_assert!(!table.has_channel(ChannelId(channel.into())));
                    }
                    Step::Scan { after_secs } => {
                        now += Duration::from_secs(after_secs);
                        table.scan(now);
                    }
                    Step::DeleteTopic { topic, cluster } => {
                        table.delete_topic(&format!("t{topic}"), cluster.map(|c| format!("c{c}")).as_deref());
                    }
                }
                table.check();
                for topic in table.topics() {
                    prop_assert!(table.route(&topic, true).is_some());
                }
            }
        }
    }
}
