//! One client's session while it is connected: what it subscribed to, and what is on its way in either direction.
//!
//! Always true:
//! * what lies below a subscription's position is complete or stands in the window;
//! * the window never holds more than the client takes, and no identifier twice;
//! * the same is said to [`State`](super::state::State), so that a restart finds it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ferromq_broker::fanout::FilterQueue;
use ferromq_model::{PhysicalOffset, QueueOffset, mqtt};
use ferromq_mqtt::topic::Filter;
use ferromq_mqtt::{Delivery, PacketId, QoS, RetainHandling, SubscriptionId, SubscriptionOptions, Text};

use super::acl::Permissions;
use super::auth::Authentication;
use super::mailbox::{Mailbox, SubscriptionKey, Watch};
use super::shared::Group;
use super::state::{self, Change, Outbound, Phase, SessionNumber};

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: SessionNumber,
    pub(super) client: Text,
    pub(super) subscriptions: Subscriptions,
    pub(super) window: Window,
    /// Identifiers of QoS 2 messages from the client that it did not release, and where those lie.
    pub(super) held: HashMap<PacketId, PhysicalOffset>,
    /// What its client may do, if not everything.
    pub(super) permissions: Option<Permissions>,
    /// How it has shown who it is, if by a method of its own.
    pub(super) authentication: Option<Authentication>,
}

impl Session {
    /// Whether its client may be sent a message that a subscription has.
    pub(super) fn may_have(&self, subscription: &Subscription, topic: &str) -> bool {
        !subscription.is_checked || self.may_read(topic)
    }

    /// Whether its client may have messages of a topic.
    pub(super) fn may_read(&self, topic: &str) -> bool {
        self.permissions.as_ref().is_none_or(|permissions| permissions.may_read(topic))
    }
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// As the client wrote it.
    pub(super) text: Arc<str>,
    pub(super) filter: Filter,
    pub(super) queue: Arc<FilterQueue>,
    /// Of a shared one: where its messages stand.
    pub(super) group: Option<Arc<Group>>,
    /// Of the messages that are the client's alone: no other subscription has any of them.
    pub(super) is_own: bool,
    pub(super) options: SubscriptionOptions,
    pub(super) identifier: Option<SubscriptionId>,
    /// The next message to be sent.
    pub(super) next: QueueOffset,
    /// The first that it was ever to have.
    pub(super) since: QueueOffset,
    /// Whether the client may not have all that it matches, so that each message has to be looked at.
    pub(super) is_checked: bool,
    watch: Arc<Watch>,
}

impl Subscription {
    /// As it is kept.
    pub(super) fn kept(&self) -> state::Subscription {
        state::Subscription {
            qos: self.options.qos as u8,
            no_local: self.options.no_local,
            retain_as_published: self.options.retain_as_published,
            retain_handling: self.options.retain_handling as u8,
            identifier: self.identifier.map(SubscriptionId::value),
            next: self.next,
            since: self.since,
        }
    }

    /// The client subscribed once more, in other words.
    pub(super) fn change(&mut self, kept: &state::Subscription) {
        (self.options, self.identifier) = asked(kept);
    }

    /// How many messages wait in its queue: of a shared one, for the group.
    pub(super) fn waiting(&self) -> u64 {
        let queue = self.queue.queue();
        match &self.group {
            Some(group) => group.waiting(),
            None => queue.max().0.saturating_sub(self.next.max(queue.min()).0),
        }
    }

    /// Whether something is there now; if not, the mailbox is told once it is.
    pub(super) fn has_more(&self) -> bool {
        if let Some(group) = &self.group {
            return group.has_more();
        }
        !self.queue.queue().watch(self.next, self.watch.weak())
    }
}

fn asked(kept: &state::Subscription) -> (SubscriptionOptions, Option<SubscriptionId>) {
    let options = SubscriptionOptions {
        qos: QoS::from_u8(kept.qos).unwrap_or_default(),
        no_local: kept.no_local,
        retain_as_published: kept.retain_as_published,
        retain_handling: match kept.retain_handling {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            _ => RetainHandling::Never,
        },
    };
    (options, kept.identifier.and_then(SubscriptionId::new))
}

/// The subscriptions of a session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Boxed, as a map has room for several as soon as it has one, and most sessions have one.
    all: BTreeMap<SubscriptionKey, Box<Subscription>>,
    by_text: HashMap<Arc<str>, SubscriptionKey>,
    last: u32,
    /// Those to the client's own messages: one at most.
    own: usize,
    /// Those that may have the same messages: neither shared nor the client's own.
    plain: usize,
    /// Of those, how many could match a topic that another matches.
    wildcards: usize,
    /// Those that may have something to read, in the order in which they take turns.
    pub(super) ready: VecDeque<SubscriptionKey>,
    mailbox: Arc<Mailbox>,
}

impl Subscriptions {
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// How many the client asked for.
    pub(super) fn asked_for(&self) -> usize {
        self.all.len() - self.own
    }

    /// Adds one of a client, which is not there yet.
    pub(super) fn add(
        &mut self,
        client: &Text,
        text: Arc<str>,
        filter: Filter,
        queue: Arc<FilterQueue>,
        group: Option<Arc<Group>>,
        kept: &state::Subscription,
    ) -> SubscriptionKey {
        self.last += 1;
        let key = SubscriptionKey(self.last);
        let is_own = mqtt::is_own_filter(&text);
        match &group {
            Some(group) => group.join(&self.mailbox, key, client),
            None if is_own => self.own += 1,
            None => {
                self.plain += 1;
                self.wildcards += usize::from(filter.has_wildcard());
            }
        }
        self.by_text.insert(Arc::clone(&text), key);
        let (options, identifier) = asked(kept);
        let watch = Watch::new(&self.mailbox, key);
        let state::Subscription { next, since, .. } = *kept;
        let subscription = Subscription {
            text,
            filter,
            queue,
            group,
            is_own,
            options,
            identifier,
            next,
            since,
            is_checked: false,
            watch,
        };
        self.all.insert(key, Box::new(subscription));
        self.ready.push_back(key);
        key
    }

    pub(super) fn find(&self, text: &str) -> Option<SubscriptionKey> {
        self.by_text.get(text).copied()
    }

    pub(super) fn get(&self, key: SubscriptionKey) -> Option<&Subscription> {
        self.all.get(&key).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        self.all.get_mut(&key).map(Box::as_mut)
    }

    pub(super) fn remove(&mut self, text: &str) -> Option<Subscription> {
        let removed = *self.all.remove(&self.by_text.remove(text)?)?;
        match &removed.group {
            Some(group) => group.part(&self.mailbox),
            None if removed.is_own => self.own -= 1,
            None => {
                self.plain -= 1;
                self.wildcards -= usize::from(removed.filter.has_wildcard());
            }
        }
        Some(removed)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SubscriptionKey, &Subscription)> {
        self.all.iter().map(|(&key, subscription)| (key, &**subscription))
    }

    /// Takes over what the mailbox was told.
    pub(super) fn collect_arrivals(&mut self) {
        self.mailbox.take(&mut self.ready);
    }

    /// Whether two of them, shared ones aside, may match one topic.
    pub(super) fn may_overlap(&self) -> bool {
        self.wildcards > 0 && self.plain > 1
    }

    /// The subscriptions that match a topic, but shared ones.
    pub(super) fn matching<'a>(
        &'a self,
        topic: &'a str,
    ) -> impl Iterator<Item = (SubscriptionKey, &'a Subscription)> {
        self.iter().filter(move |(_, one)| one.group.is_none() && !one.is_own && one.filter.matches(topic))
    }
}

/// Messages that were sent under an identifier and are not complete.
#[derive(Debug)]
pub(super) struct Window {
    sent: BTreeMap<PacketId, Outbound>,
    last: Option<PacketId>,
    order: u64,
    /// The most that this connection takes at a time.
    most: usize,
    /// Those that this connection was sent: the others are left from an earlier one.
    on_wire: usize,
    /// What is left from an earlier connection and to be sent again, in the order in which it was sent first.
    again: VecDeque<PacketId>,
}

impl Window {
    pub(super) fn new(most: usize, resumed: impl IntoIterator<Item = (PacketId, Outbound)>) -> Self {
        let mut again = VecDeque::new();
        let mut order = 0;
        let in_order = resumed.into_iter().inspect(|(id, outbound)| {
            again.push_back(*id);
            order = order.max(outbound.order + 1);
        });
        let sent = in_order.collect();
        Self { sent, last: None, order, most, on_wire: 0, again }
    }

    /// How many are not complete.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// How many more may be sent.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_sub(self.on_wire)
    }

    /// Whether something is to be sent again before anything new.
    pub(super) fn repeats(&self) -> bool {
        !self.again.is_empty()
    }

    /// What is to be sent again next, if there is room for it.
    pub(super) fn repeat(&mut self) -> Option<(PacketId, Outbound)> {
        loop {
            let id = *self.again.front()?;
            let Some(outbound) = self.sent.get(&id) else {
                self.again.pop_front();
                continue;
            };
            if self.room() == 0 {
                return None;
            }
            self.again.pop_front();
            self.on_wire += 1;
            return Some((id, outbound.clone()));
        }
    }

    /// How a message is to be sent that comes from `source`: under an identifier, for which there is room, if it is to be
    /// acknowledged. That is added to `changes`.
    pub(super) fn begin(
        &mut self,
        qos: QoS,
        source: state::Source,
        session: SessionNumber,
        changes: &mut Vec<Change>,
    ) -> Delivery {
        if qos == QoS::AtMostOnce {
            return Delivery::AtMostOnce;
        }
        let (id, outbound) = self.take(qos, source);
        if !session.is_transient() {
            changes.push(Change::Outbound { session, packet_id: id.value(), outbound: outbound.clone() });
        }
        match qos {
            QoS::ExactlyOnce => Delivery::ExactlyOnce { id, dup: false },
            QoS::AtMostOnce | QoS::AtLeastOnce => Delivery::AtLeastOnce { id, dup: false },
        }
    }

    fn take(&mut self, qos: QoS, source: state::Source) -> (PacketId, &Outbound) {
        let mut id = self.last.map_or(PacketId::FIRST, PacketId::next);
        while self.sent.contains_key(&id) {
            id = id.next();
        }
        self.last = Some(id);
        let outbound = Outbound { order: self.order, qos: qos as u8, phase: Phase::Sent, source };
        self.order += 1;
        self.on_wire += 1;
        (id, self.sent.entry(id).or_insert(outbound))
    }

    /// What stands under an identifier.
    pub(super) fn get(&self, id: PacketId) -> Option<&Outbound> {
        self.sent.get(&id)
    }

    /// PUBREC came: what stands there now, if it waited for one.
    pub(super) fn release(&mut self, id: PacketId) -> Option<&Outbound> {
        let outbound = self.sent.get_mut(&id).filter(|outbound| outbound.qos == QoS::ExactlyOnce as u8)?;
        outbound.phase = Phase::Released;
        Some(outbound)
    }

    /// A message is complete: what it was.
    pub(super) fn complete(&mut self, id: PacketId) -> Option<Outbound> {
        let outbound = self.sent.remove(&id)?;
        self.on_wire = self.on_wire.saturating_sub(1);
        Some(outbound)
    }

    /// Everything that is not complete.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Outbound> {
        self.sent.values()
    }
}
