//! HTTP as a member of consumer groups: members of other protocols see it in the list by which they deal out queues, and
//! leave it its share.
//!
//! ```text
//! members that pull (Java's push consumers)    each queue is one member's: ours are those that the list gives us
//! members that pop, and HTTP                   everybody takes from every queue; the broker gives each message once
//! ```
//! All of a group's HTTP receivers are one member, which is there from the first receive until a minute after the last.
//! Members that pull go by positions that pops do not heed while they run ahead, so the two must not read the same queue:
//! where the list cannot keep them apart, receiving is refused.
//! Known limit: what HTTP gave back in a group with members that pull comes again by HTTP only, as those do not read the
//! retry topics of pops. Should HTTP leave for good, such messages wait there for the next receiver that pops.
//! Who deals: every member by itself, from the same sorted lists, as `AllocateMessageQueueAveragely` does.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferromq_broker::Broker;
use ferromq_broker::assignment::{Ask as AssignmentAsk, Strategy};
use ferromq_broker::clients::ClientLink;
use ferromq_broker::members::{
    ChannelId, ClientInfo, Consumer, GroupConnections, Heartbeat, Peer, Subscription,
};
use ferromq_model::filter::MessageFilter;
use ferromq_model::name::RETRY_PREFIX;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::{GroupName, QueueId, TopicName};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::lease::Place;
use crate::http::problem::{Kind, Problem};

/// What this protocol is called among others.
pub(in crate::http) const PROTOCOL: &str = "http";
/// Groups that HTTP may be a member of at once.
const MAX_GROUPS: usize = 65_536;
/// Topics that it may receive for one group.
const MAX_TOPICS: usize = 1_024;
/// A member says that it lives this often.
const BEAT: Duration = Duration::from_secs(20);
/// How long HTTP stays a member without anybody who receives: pollers come back, and each change costs the others a
/// new division.
const STAYS: Duration = Duration::from_secs(60);
/// How often it is looked for groups to leave.
pub(in crate::http) const SWEEP: Duration = Duration::from_secs(5);
/// Connections of the broker's other front-ends count up from 0.
const FIRST_CHANNEL: u64 = 1 << 63;

/// The groups that HTTP is a member of.
pub(in crate::http) struct Receivers {
    groups: Mutex<HashMap<String, Arc<Member>>>,
    channels: AtomicU64,
}

/// HTTP in one group.
struct Member {
    group: GroupName,
    client: String,
    peer: Peer,
    changes: watch::Sender<()>,
    state: Mutex<State>,
}

struct State {
    /// Who receives at this moment.
    users: usize,
    used: Instant,
    beat: Option<Instant>,
    topics: Vec<TopicName>,
}

/// Being a member, for as long as somebody receives.
pub(super) struct Membership(Arc<Member>);

/// What may be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Queues(Vec<QueueId>),
}

/// Rings when the group's members change.
struct Link(watch::Sender<()>);

impl ClientLink for Link {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn members_changed(&self, _: &GroupName) {
        self.0.send_replace(());
    }
}

impl Receivers {
    pub(in crate::http) fn new() -> Self {
        Self { groups: Mutex::default(), channels: AtomicU64::new(FIRST_CHANNEL) }
    }

    /// Becomes a member of the group, or stays one.
    pub(super) fn join(&self, broker: &Broker, place: &Place) -> Result<Membership, Problem> {
        let (group, topic) = (GroupName::new(&place.group)?, TopicName::new(&place.topic)?);
        let member = {
            let mut groups = self.groups.lock();
            let known = groups.get(group.as_str()).cloned();
            let member = match known {
                Some(known) => known,
                None if groups.len() >= MAX_GROUPS => {
                    return Err(Kind::TooMany.because(format!("{MAX_GROUPS} groups receive by HTTP")));
                }
                None => {
                    let new = Arc::new(self.member(broker, group));
                    groups.insert(place.group.clone(), Arc::clone(&new));
                    new
                }
            };
            // Under the lock of the groups, so that the member is not left meanwhile.
            let mut state = member.state.lock();
            if !state.topics.contains(&topic) {
                if state.topics.len() >= MAX_TOPICS {
                    return Err(
                        Kind::TooMany.because(format!("the group receives {MAX_TOPICS} topics by HTTP"))
                    );
                }
                state.topics.push(topic);
                state.beat = None;
            }
            state.users += 1;
            drop(state);
            member
        };
        Ok(Membership(member))
    }

    fn member(&self, broker: &Broker, group: GroupName) -> Member {
        let channel = ChannelId(self.channels.fetch_add(1, Ordering::Relaxed));
        let (changes, _) = watch::channel(());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let link = Arc::new(Link(changes.clone()));
        // Behind all others in the sorted list: a topic with fewer queues than members is theirs, above all the
        // group's retry topic.
        let client = format!("~http@{}", broker.config().name);
        let state = State { users: 0, used: Instant::now(), beat: None, topics: Vec::new() };
        Member { group, client, peer: Peer { channel, address, link }, changes, state: Mutex::new(state) }
    }

    /// Leaves groups that nobody receives for.
    pub(in crate::http) fn sweep(&self, broker: &Broker) {
        self.leave(broker, |state| state.users == 0 && state.used.elapsed() >= STAYS);
    }

    /// Leaves all groups.
    pub(in crate::http) fn leave_all(&self, broker: &Broker) {
        self.leave(broker, |_| true);
    }

    fn leave(&self, broker: &Broker, leaves: impl Fn(&State) -> bool) {
        let mut left = Vec::new();
        self.groups.lock().retain(|_, member| {
            let leaves = leaves(&member.state.lock());
            if leaves {
                left.push(Arc::clone(member));
            }
            !leaves
        });
        for member in left {
            member.unregister(broker);
        }
    }
}

impl Member {
    fn unregister(&self, broker: &Broker) {
        broker.unregister(&self.peer, &self.client, None, Some(self.group.as_str()));
        self.state.lock().beat = None;
    }

    /// Says that it lives, if that is due.
    fn beat(&self, broker: &Broker) {
        let topics = {
            let mut state = self.state.lock();
            if state.beat.is_some_and(|beat| beat.elapsed() < BEAT) {
                return;
            }
            state.beat = Some(Instant::now());
            state.topics.clone()
        };
        let others = self.others(broker);
        let subscription = |topic| Subscription {
            topic,
            expression: "*".to_owned(),
            expression_type: "TAG".to_owned(),
            filter: Ok(MessageFilter::All),
            // Older than anybody else's.
            version: 1,
        };
        let consumer = Consumer {
            group: self.group.clone(),
            // Where there are others, the group is as they say.
            consume_type: others.as_ref().map_or(ConsumeType::Pop, |group| group.consume_type),
            model: others.as_ref().map_or(MessageModel::Clustering, |group| group.model),
            from: others.as_ref().map_or(ConsumeFromWhere::FirstOffset, |group| group.from),
            subscriptions: others.is_none().then(|| topics.into_iter().map(subscription).collect()),
        };
        let client = ClientInfo { id: self.client.clone(), language: "HTTP".to_owned(), version: 0 };
        let beat = Heartbeat { client, producers: Vec::new(), consumers: vec![consumer] };
        broker.heartbeat(&self.peer, beat);
    }

    /// The group's other members, if there are any.
    fn others(&self, broker: &Broker) -> Option<GroupConnections> {
        let mut group = broker.members().consumer_group(self.group.as_str())?;
        group.members.retain(|member| member.client.id != self.client);
        (!group.members.is_empty()).then_some(group)
    }
}

impl Membership {
    /// Ends when the group's members change from now on.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + use<> {
        let mut changes = self.0.changes.subscribe();
        async move {
            // Its sender lives as long as the member.
            let _ = changes.changed().await;
        }
    }

    /// What may be taken from, as of now.
    pub(super) async fn share(&self, broker: &Broker, place: &Place) -> Result<Share, Problem> {
        let member = &*self.0;
        let pulling = |group: &GroupConnections| {
            group.model == MessageModel::Clustering && group.consume_type != ConsumeType::Pop
        };
        let Some(others) = member.others(broker).filter(pulling) else {
            member.beat(broker);
            return Ok(Share::All);
        };
        if let Err(why) = self.may_share(broker, place, &others).await {
            // Nobody is to leave us queues that we do not read.
            member.unregister(broker);
            return Err(Kind::Conflict.because(why));
        }
        member.beat(broker);
        let queues = broker.topics().find(&place.topic).map_or(0, |topic| topic.config().read_queue_nums);
        let members = broker.members().consumer_ids(&place.group);
        Ok(Share::Queues(average(queues, &members, &member.client)))
    }

    /// Whether every queue that the others leave us is read: they deal out all topics that they subscribe to.
    async fn may_share(
        &self,
        broker: &Broker,
        place: &Place,
        others: &GroupConnections,
    ) -> Result<(), String> {
        let group = &place.group;
        let topics = others.subscriptions.iter().map(|subscription| subscription.topic.as_str());
        let other =
            topics.into_iter().find(|topic| *topic != place.topic && !topic.starts_with(RETRY_PREFIX));
        if let Some(other) = other {
            return Err(format!(
                "other members of {group} pull {other}, too: HTTP shares a group with them only if all read the same \
                 one topic"
            ));
        }
        if self.0.state.lock().topics.len() > 1 {
            return Err(format!("{group} has members that pull, and receives several topics by HTTP"));
        }
        let retries = TopicName::retry_of(&self.0.group);
        let retries = broker.topics().find(retries.as_str());
        let retries = retries.map_or(0, |topic| topic.config().read_queue_nums as usize);
        if retries > others.members.len() {
            return Err(format!(
                "{group} has {retries} queues for retries and {} members that pull: HTTP would be left some",
                others.members.len()
            ));
        }
        let ask = AssignmentAsk {
            group,
            topic: &place.topic,
            client: &self.0.client,
            model: MessageModel::Broadcasting,
            strategy: Some(Strategy::Average),
        };
        let all = broker.assign(ask).await.map(|(_, queues)| queues).unwrap_or_default();
        if all.iter().any(|queue| queue.broker != broker.config().name) {
            return Err(format!(
                "{} has queues on several brokers, and {group} members that pull: HTTP is a member of one broker only",
                place.topic
            ));
        }
        Ok(())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.users -= 1;
        state.used = Instant::now();
    }
}

/// The neighbours that a member gets of so many queues; the first members get one more where it does not come out even.
fn average(queues: u32, members: &[String], client: &str) -> Vec<QueueId> {
    let mut members: Vec<_> = members.iter().map(String::as_str).collect();
    members.sort_unstable();
    let Some(place) = members.iter().position(|member| *member == client) else { return Vec::new() };
    let (place, members) = (place as u32, members.len() as u32);
    let (each, more) = (queues / members, queues % members);
    let start = place * each + place.min(more);
    (start..start + each + u32::from(place < more)).map(QueueId).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_the_others_leave() {
        let members = ["127.0.0.1@a".to_owned(), "~http@b".to_owned(), "192.168.0.1@c".to_owned()];
        let ids = |queues| average(queues, &members, "~http@b").iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ids(8), [6, 7]);
        assert_eq!(ids(1), [0u32; 0], "the only queue is another's");
        assert_eq!(average(8, &members, "nobody"), []);
    }
}
