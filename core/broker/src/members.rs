//! Who is connected: producers and consumers by group, what consumers subscribe to, and telling a group that it
//! changed.
//!
//! Always true:
//! * a member is bound to the connection it last spoke on: when that closes it is gone at once, and one that came back
//!   on another connection before is not;
//! * every member of a group is told of each join and leave, because all of them divide the queues by the same list;
//! * nobody is told while the table is locked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromq_model::filter::{FilterError, MessageFilter};
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, Millis, Timestamp, TopicName};
use foldhash::fast::RandomState;
use parking_lot::RwLock;

pub use crate::clients::ClientLink;
use crate::rebalances::{MAX_NAMED, Rebalance, Rebalances};

/// Memberships that one connection may have, over all its clients and groups; more are left out.
pub const MAX_MEMBERSHIPS: usize = 4096;
/// Topics that one group may subscribe to; more are left out.
pub const MAX_SUBSCRIPTIONS: usize = 4096;
/// Longest id of a client, in bytes.
pub const MAX_CLIENT_ID_LEN: usize = 1024;

/// One connection, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u64);

/// The other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// Its connection.
    pub channel: ChannelId,
    /// Its address.
    pub address: SocketAddr,
    /// The way to it.
    pub link: Arc<dyn ClientLink>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.channel, self.address)
    }
}

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its own id, unique within its groups.
    pub id: String,
    /// Its language's name, for tools.
    pub language: String,
    /// Its protocol version, for tools.
    pub version: i32,
}

/// What a consumer wants of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: TopicName,
    /// As the client wrote it, `*` for everything.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// What passes, or why the expression says nothing.
    pub filter: Result<MessageFilter, FilterError>,
    /// When the client made it; a newer one replaces an older.
    pub version: i64,
}

/// A client's membership in one consumer group.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The group.
    pub group: GroupName,
    /// How it fetches.
    pub consume_type: ConsumeType,
    /// How the group shares messages.
    pub model: MessageModel,
    /// Where it starts without an offset.
    pub from: ConsumeFromWhere,
    /// Its subscriptions; `None` when the heartbeat leaves them out because nothing changed.
    pub subscriptions: Option<Vec<Subscription>>,
}

/// One heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Who.
    pub client: ClientInfo,
    /// Groups that it produces for.
    pub producers: Vec<GroupName>,
    /// Groups that it consumes for.
    pub consumers: Vec<Consumer>,
}

#[derive(Clone, Debug)]
struct Member {
    info: ClientInfo,
    peer: Peer,
    /// When it joined on this connection.
    since: Timestamp,
    seen: Timestamp,
}

#[derive(Debug)]
struct ConsumerGroup {
    consume_type: ConsumeType,
    model: MessageModel,
    from: ConsumeFromWhere,
    subscriptions: BTreeMap<TopicName, Subscription>,
    members: BTreeMap<String, Member>,
}

#[derive(Default, Debug)]
struct Table {
    consumers: HashMap<GroupName, ConsumerGroup, RandomState>,
    producers: HashMap<GroupName, BTreeMap<String, Member>, RandomState>,
    /// Clients that are a member of any producer group: replies are handed to them by their id alone.
    producing: HashMap<String, Producing, RandomState>,
    /// Memberships by connection; none with 0.
    memberships: Memberships,
}

#[derive(Debug)]
struct Producing {
    /// Where it last spoke.
    peer: Peer,
    /// Producer groups that it is a member of; none with 0.
    groups: usize,
}

#[derive(Default, Debug)]
struct Memberships(HashMap<ChannelId, usize, RandomState>);

impl Memberships {
    /// Puts the member into `members`, in place of one with its id. `Err` if its connection has as many as it may;
    /// otherwise whether the member is new on this connection.
    fn join(&mut self, members: &mut BTreeMap<String, Member>, mut member: Member) -> Result<bool, ()> {
        let channel = member.peer.channel;
        let before = members.get(&member.info.id).map(|before| (before.peer.channel, before.since));
        if let Some((_, since)) = before.filter(|(before, _)| *before == channel) {
            member.since = since;
        }
        let before = before.map(|(channel, _)| channel);
        if before != Some(channel) {
            let count = self.0.entry(channel).or_default();
            if *count >= MAX_MEMBERSHIPS {
                return Err(());
            }
            *count += 1;
            if let Some(before) = before {
                self.left(before);
            }
        }
        members.insert(member.info.id.clone(), member);
        Ok(before != Some(channel))
    }

    fn left(&mut self, channel: ChannelId) {
        if let Some(count) = self.0.get_mut(&channel) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&channel);
            }
        }
    }
}

/// A member as tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What it says of itself.
    pub client: ClientInfo,
    /// Its address.
    pub address: SocketAddr,
    /// Its connection.
    pub channel: ChannelId,
    /// What the protocol is called that it speaks.
    pub protocol: &'static str,
    /// When it joined the group on this connection.
    pub since: Timestamp,
    /// When it was last heard.
    pub seen: Timestamp,
}

/// A consumer group as tools see it.
#[derive(Clone, Debug)]
pub struct GroupConnections {
    /// How it fetches.
    pub consume_type: ConsumeType,
    /// How it shares messages.
    pub model: MessageModel,
    /// Where it starts without an offset.
    pub from: ConsumeFromWhere,
    /// Its subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// Its members.
    pub members: Vec<Connection>,
}

/// Who is connected to a broker.
#[derive(Debug)]
pub struct Members {
    table: RwLock<Table>,
    notify: AtomicBool,
    rebalances: Rebalances,
}

/// Whom to tell of which group, once the table is unlocked.
type Notices = Vec<(GroupName, Vec<Peer>)>;

impl Members {
    pub(crate) fn new(notify: bool) -> Self {
        Self { table: RwLock::default(), notify: AtomicBool::new(notify), rebalances: Rebalances::default() }
    }

    /// Whether members are told when others join or leave.
    pub(crate) fn notify_changes(&self, yes: bool) {
        self.notify.store(yes, Ordering::Relaxed);
    }

    /// Takes a heartbeat in. Returns whether any of its groups got a new member or other subscriptions.
    pub(crate) fn heartbeat(
        &self,
        peer: &Peer,
        beat: Heartbeat,
        notify_group: impl Fn(&GroupName) -> bool,
        now: Timestamp,
    ) -> bool {
        let mut notices = Notices::new();
        let mut changed = false;
        {
            let mut table = self.table.write();
            let Table { consumers, producers, producing, memberships } = &mut *table;
            let member = || Member { info: beat.client.clone(), peer: peer.clone(), since: now, seen: now };
            for group in beat.producers {
                let members = producers.entry(group).or_default();
                let before = members.len();
                if memberships.join(members, member()).is_err() {
                    break;
                }
                let joined = members.len() - before;
                match producing.get_mut(&beat.client.id) {
                    Some(client) => {
                        client.groups += joined;
                        client.peer = peer.clone();
                    }
                    None => {
                        let client = Producing { peer: peer.clone(), groups: joined };
                        producing.insert(beat.client.id.clone(), client);
                    }
                }
            }
            for consumer in beat.consumers {
                let group = consumers.entry(consumer.group.clone()).or_insert_with(|| ConsumerGroup {
                    consume_type: consumer.consume_type,
                    model: consumer.model,
                    from: consumer.from,
                    subscriptions: BTreeMap::new(),
                    members: BTreeMap::new(),
                });
                let before = group.members.len();
                let Ok(joined) = memberships.join(&mut group.members, member()) else { break };
                if group.members.len() != before {
                    let joined = vec![beat.client.id.clone()];
                    self.rebalances.note(consumer.group.as_str(), group.change(joined, Vec::new()));
                }
                group.consume_type = consumer.consume_type;
                group.model = consumer.model;
                group.from = consumer.from;
                let resubscribed = consumer.subscriptions.is_some_and(|wanted| group.subscribe(wanted));
                if joined || resubscribed {
                    changed = true;
                    if group.model == MessageModel::Clustering && notify_group(&consumer.group) {
                        notices.push((consumer.group, group.peers()));
                    }
                }
            }
            if memberships.0.get(&peer.channel).is_some_and(|&count| count >= MAX_MEMBERSHIPS) {
                tracing::warn!(
                    ?peer,
                    "a connection has {MAX_MEMBERSHIPS} memberships: further ones are left out"
                );
                table.drop_empty();
            }
        }
        self.tell(notices);
        changed
    }

    /// Removes a client from its groups, as it asked.
    pub(crate) fn unregister(
        &self,
        client: &str,
        producer: Option<&str>,
        consumer: Option<&str>,
        peer: &Peer,
        notify_group: impl Fn(&str) -> bool,
    ) {
        let mut notices = Notices::new();
        {
            let mut table = self.table.write();
            let Table { consumers, producers, producing, memberships } = &mut *table;
            let own = |member: &Member| member.peer.channel == peer.channel;
            if let Some(name) = producer
                && let Some(members) = producers.get_mut(name)
                && members.get(client).is_some_and(own)
            {
                members.remove(client);
                memberships.left(peer.channel);
                left_producers(producing, client);
                if members.is_empty() {
                    producers.remove(name);
                }
            }
            if let Some(name) = consumer
                && let Some(group) = consumers.get_mut(name)
                && group.members.get(client).is_some_and(own)
            {
                group.members.remove(client);
                memberships.left(peer.channel);
                self.rebalances.note(name, group.change(Vec::new(), vec![client.to_owned()]));
                if group.members.is_empty() {
                    consumers.remove(name);
                } else if notify_group(name)
                    && let Ok(name) = GroupName::new(name)
                {
                    notices.extend(group.notice(&name));
                }
            }
        }
        self.tell(notices);
    }

    /// Removes whoever last spoke on this connection.
    pub fn channel_closed(&self, channel: ChannelId) {
        // Most connections are no member of anything, and each of them ends some day.
        if !self.table.read().memberships.0.contains_key(&channel) {
            return;
        }
        self.remove(|member| member.peer.channel == channel);
    }

    /// Removes whoever was silent for longer than `timeout`.
    pub fn expire(&self, now: Timestamp, timeout: Millis) {
        self.remove(|member| now.since(member.seen) > timeout);
    }

    fn remove(&self, gone: impl Fn(&Member) -> bool) {
        let any = {
            let table = self.table.read();
            let mut all =
                table.producers.values().chain(table.consumers.values().map(|group| &group.members));
            all.any(|members| members.values().any(&gone))
        };
        if !any {
            return;
        }
        let mut notices = Notices::new();
        {
            let mut table = self.table.write();
            let Table { consumers, producers, producing, memberships } = &mut *table;
            let mut stays = |member: &Member| {
                let gone = gone(member);
                if gone {
                    memberships.left(member.peer.channel);
                }
                !gone
            };
            for members in producers.values_mut() {
                members.retain(|id, member| {
                    let stays = stays(member);
                    if !stays {
                        left_producers(producing, id);
                    }
                    stays
                });
            }
            for (name, group) in consumers {
                let mut left = Vec::new();
                group.members.retain(|id, member| {
                    let stays = stays(member);
                    if !stays {
                        left.push(id.clone());
                    }
                    stays
                });
                if !left.is_empty() {
                    self.rebalances.note(name.as_str(), group.change(Vec::new(), left));
                    notices.extend(group.notice(name));
                }
            }
            table.drop_empty();
        }
        self.tell(notices);
    }

    fn tell(&self, notices: Notices) {
        if !self.notify.load(Ordering::Relaxed) {
            return;
        }
        for (group, peers) in notices {
            peers.iter().for_each(|peer| peer.link.members_changed(&group));
        }
    }

    /// Ids of a group's members, sorted; empty for a group that nobody consumes for.
    #[must_use]
    pub fn consumer_ids(&self, group: &str) -> Vec<String> {
        self.table
            .read()
            .consumers
            .get(group)
            .map_or_else(Vec::new, |group| group.members.keys().cloned().collect())
    }

    /// Groups that have members, at most `most`, in no order.
    #[must_use]
    pub fn consumer_groups(&self, most: usize) -> Vec<String> {
        self.table.read().consumers.keys().take(most).map(ToString::to_string).collect()
    }

    /// A consumer group and its members.
    #[must_use]
    pub fn consumer_group(&self, group: &str) -> Option<GroupConnections> {
        let table = self.table.read();
        let group = table.consumers.get(group)?;
        Some(GroupConnections {
            consume_type: group.consume_type,
            model: group.model,
            from: group.from,
            subscriptions: group.subscriptions.values().cloned().collect(),
            members: group.members.values().map(Member::connection).collect(),
        })
    }

    /// Who joined and left a consumer group lately, newest first.
    #[must_use]
    pub fn rebalances(&self, group: &str) -> Vec<Rebalance> {
        self.rebalances.of(group)
    }

    /// All consumers by group, sorted.
    #[must_use]
    pub fn all_consumers(&self) -> BTreeMap<GroupName, Vec<Connection>> {
        let table = self.table.read();
        let group = |(name, group): (&GroupName, &ConsumerGroup)| {
            (name.clone(), group.members.values().map(Member::connection).collect())
        };
        table.consumers.iter().map(group).collect()
    }

    /// Members of a producer group.
    #[must_use]
    pub fn producers(&self, group: &str) -> Vec<Connection> {
        let table = self.table.read();
        table.producers.get(group).into_iter().flatten().map(|(_, member)| member.connection()).collect()
    }

    /// The way to one member of a consumer group, and what it says of itself.
    #[must_use]
    pub fn consumer(&self, group: &str, client: &str) -> Option<(ClientInfo, Peer)> {
        self.table.read().consumers.get(group)?.members.get(client).map(Member::reach)
    }

    /// The same for all members of a consumer group.
    #[must_use]
    pub fn consumers(&self, group: &str) -> Vec<(ClientInfo, Peer)> {
        let table = self.table.read();
        table
            .consumers
            .get(group)
            .map_or_else(Vec::new, |group| group.members.values().map(Member::reach).collect())
    }

    /// The way to a member of a producer group, another one for each `turn`.
    #[must_use]
    pub fn producer(&self, group: &str, turn: u32) -> Option<Peer> {
        let table = self.table.read();
        let members = table.producers.get(group).filter(|members| !members.is_empty())?;
        members.values().nth(turn as usize % members.len()).map(|member| member.peer.clone())
    }

    /// The way to a client that is a member of any producer group.
    #[must_use]
    pub fn producing_client(&self, client: &str) -> Option<Peer> {
        self.table.read().producing.get(client).map(|client| client.peer.clone())
    }

    /// All producers by group, sorted.
    #[must_use]
    pub fn all_producers(&self) -> BTreeMap<GroupName, Vec<Connection>> {
        let table = self.table.read();
        let group = |(name, members): (&GroupName, &BTreeMap<String, Member>)| {
            (name.clone(), members.values().map(Member::connection).collect())
        };
        table.producers.iter().map(group).collect()
    }

    /// Live groups that subscribe to `topic`.
    #[must_use]
    pub fn subscribers(&self, topic: &str) -> Vec<String> {
        let table = self.table.read();
        let subscribes = |group: &ConsumerGroup| group.subscriptions.contains_key(topic);
        table
            .consumers
            .iter()
            .filter(|(_, group)| subscribes(group))
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// How a live group shares messages; `None` if nobody consumes for it.
    #[must_use]
    pub fn model_of(&self, group: &str) -> Option<MessageModel> {
        self.table.read().consumers.get(group).map(|group| group.model)
    }

    /// What a live group wants of `topic`: `Err` if nobody consumes for it, `Ok(None)` if it does not subscribe.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Result<Option<Subscription>, ()> {
        let table = self.table.read();
        let group = table.consumers.get(group).ok_or(())?;
        Ok(group.subscriptions.get(topic).cloned())
    }
}

/// Notes that a client left one of its producer groups.
fn left_producers(producing: &mut HashMap<String, Producing, RandomState>, client: &str) {
    if let Some(known) = producing.get_mut(client) {
        known.groups -= 1;
        if known.groups == 0 {
            producing.remove(client);
        }
    }
}

impl Member {
    fn reach(&self) -> (ClientInfo, Peer) {
        (self.info.clone(), self.peer.clone())
    }

    fn connection(&self) -> Connection {
        Connection {
            client: self.info.clone(),
            address: self.peer.address,
            channel: self.peer.channel,
            protocol: self.peer.link.protocol(),
            since: self.since,
            seen: self.seen,
        }
    }
}

impl Table {
    fn drop_empty(&mut self) {
        self.producers.retain(|_, members| !members.is_empty());
        self.consumers.retain(|_, group| !group.members.is_empty());
    }
}

impl ConsumerGroup {
    /// Takes subscriptions over; whether that changed anything that members must divide anew.
    fn subscribe(&mut self, mut wanted: Vec<Subscription>) -> bool {
        let mut changed = false;
        wanted.truncate(MAX_SUBSCRIPTIONS);
        let topics: BTreeSet<TopicName> =
            wanted.iter().map(|subscription| subscription.topic.clone()).collect();
        for subscription in wanted {
            match self.subscriptions.get_mut(&subscription.topic) {
                None => {
                    changed = true;
                    self.subscriptions.insert(subscription.topic.clone(), subscription);
                }
                Some(known) if known.version < subscription.version => *known = subscription,
                Some(_) => {}
            }
        }
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| topics.contains(topic));
        changed || self.subscriptions.len() != before
    }

    /// A change that just happened.
    fn change(&self, mut joined: Vec<String>, mut left: Vec<String>) -> Rebalance {
        joined.truncate(MAX_NAMED);
        left.truncate(MAX_NAMED);
        let members = self.members.keys().take(MAX_NAMED).cloned().collect();
        Rebalance { at: Timestamp::now(), members, joined, left }
    }

    fn peers(&self) -> Vec<Peer> {
        self.members.values().map(|member| member.peer.clone()).collect()
    }

    fn notice(&self, name: &GroupName) -> Option<(GroupName, Vec<Peer>)> {
        (self.model == MessageModel::Clustering && !self.members.is_empty())
            .then(|| (name.clone(), self.peers()))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl ClientLink for Told {
        fn members_changed(&self, group: &GroupName) {
            self.0.lock().push(group.to_string());
        }
    }

    fn peer(channel: u64) -> (Peer, Arc<Told>) {
        let told = Arc::new(Told::default());
        let link: Arc<dyn ClientLink> = told.clone();
        (Peer { channel: ChannelId(channel), address: "127.0.0.1:1".parse().unwrap(), link }, told)
    }

    fn beat(id: &str, topics: Option<&[&str]>) -> Heartbeat {
        let subscriptions = topics.map(|topics| {
            let all = |topic: &&str| Subscription {
                topic: TopicName::new(topic).unwrap(),
                expression: "*".into(),
                expression_type: "TAG".into(),
                filter: Ok(MessageFilter::All),
                version: 1,
            };
            topics.iter().map(all).collect()
        });
        Heartbeat {
            client: ClientInfo { id: id.into(), language: "JAVA".into(), version: 479 },
            producers: vec![],
            consumers: vec![Consumer {
                group: GroupName::new("G").unwrap(),
                consume_type: ConsumeType::Passively,
                model: MessageModel::Clustering,
                from: ConsumeFromWhere::LastOffset,
                subscriptions,
            }],
        }
    }

    #[test]
    fn every_member_is_told_of_joins_leaves_and_new_subscriptions() {
        let members = Members::new(true);
        let ((a, told_a), (b, told_b)) = (peer(1), peer(2));
        let now = Timestamp(1000);
        assert!(members.heartbeat(&a, beat("a", Some(&["T"])), |_| true, now));
        assert!(!members.heartbeat(&a, beat("a", Some(&["T"])), |_| true, now), "nothing new");
        assert!(members.heartbeat(&b, beat("b", Some(&["T"])), |_| true, now));
        assert_eq!(members.consumer_ids("G"), ["a", "b"]);
        assert_eq!((told_a.0.lock().len(), told_b.0.lock().len()), (2, 1));
        members.channel_closed(ChannelId(2));
        assert_eq!((told_a.0.lock().len(), members.consumer_ids("G")), (3, vec!["a".to_owned()]));
        assert!(members.heartbeat(&a, beat("a", Some(&["T", "U"])), |_| true, now));
        assert_eq!(told_a.0.lock().len(), 4);
    }

    #[test]
    fn a_closed_connection_does_not_remove_who_came_back_on_another() {
        let members = Members::new(true);
        let ((old, _), (new, _)) = (peer(1), peer(2));
        members.heartbeat(&old, beat("a", Some(&["T"])), |_| true, Timestamp(0));
        members.heartbeat(&new, beat("a", Some(&["T"])), |_| true, Timestamp(0));
        members.channel_closed(ChannelId(1));
        assert_eq!(members.consumer_ids("G"), ["a"]);
        members.unregister("a", None, Some("G"), &old, |_| true);
        assert_eq!(members.consumer_ids("G"), ["a"]);
        members.expire(Timestamp(120_001), Millis::secs(120));
        assert_eq!(members.consumer_ids("G"), Vec::<String>::new());
    }

    #[test]
    fn a_connection_has_only_so_many_memberships() {
        let members = Members::new(true);
        let (greedy, _) = peer(1);
        let joins = |from: usize| Heartbeat {
            producers: (from..from + 3000).map(|n| GroupName::new(&format!("P{n}")).unwrap()).collect(),
            consumers: vec![],
            ..beat("a", None)
        };
        members.heartbeat(&greedy, joins(0), |_| true, Timestamp(0));
        members.heartbeat(&greedy, joins(0), |_| true, Timestamp(0));
        members.heartbeat(&greedy, joins(3000), |_| true, Timestamp(0));
        assert_eq!(members.table.read().producers.len(), MAX_MEMBERSHIPS);
        let (other, _) = peer(2);
        assert!(members.heartbeat(&other, beat("b", Some(&["T"])), |_| true, Timestamp(0)), "others go on");
        members.channel_closed(ChannelId(1));
        members.unregister("b", None, Some("G"), &other, |_| true);
        let table = members.table.read();
        assert!(table.producers.is_empty() && table.consumers.is_empty() && table.memberships.0.is_empty());
        assert!(table.producing.is_empty());
    }

    #[test]
    fn a_producing_client_is_found_where_it_last_spoke_until_it_left_its_last_group() {
        let members = Members::new(true);
        let beat = |groups: &[&str]| Heartbeat {
            producers: groups.iter().map(|group| GroupName::new(group).unwrap()).collect(),
            consumers: vec![],
            ..beat("a", None)
        };
        let found = || members.producing_client("a").map(|peer| peer.channel.0);
        let ((old, _), (new, _)) = (peer(1), peer(2));
        members.heartbeat(&old, beat(&["P", "Q"]), |_| true, Timestamp(0));
        members.heartbeat(&old, beat(&["P", "Q"]), |_| true, Timestamp(1));
        assert_eq!(found(), Some(1));
        members.heartbeat(&new, beat(&["P"]), |_| true, Timestamp(2));
        assert_eq!(found(), Some(2));
        members.channel_closed(ChannelId(1));
        assert_eq!(found(), Some(2), "it is still a member of P");
        assert_eq!(members.producer("P", 7).unwrap().channel, ChannelId(2));
        assert!(members.producer("Q", 0).is_none());
        members.unregister("a", Some("P"), None, &new, |_| true);
        assert_eq!(found(), None);
    }

    #[test]
    fn a_heartbeat_without_subscriptions_keeps_them() {
        let members = Members::new(true);
        let (a, _) = peer(1);
        members.heartbeat(&a, beat("a", Some(&["T"])), |_| true, Timestamp(0));
        members.heartbeat(&a, beat("a", None), |_| true, Timestamp(0));
        assert!(members.subscription("G", "T").unwrap().is_some());
        assert!(members.subscription("G", "U").unwrap().is_none());
        assert!(members.subscription("H", "T").is_err());
    }
}
