//! What a client is sent: first what an earlier connection left, then retained messages, then what its subscriptions have,
//! in turns.

use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::filter::MessageFilter;
use ferromq_model::message::{find_property, property};
use ferromq_model::record::Record;
use ferromq_model::{QueueOffset, Timestamp, light};
use ferromq_mqtt::topic::{Filter, Name};
use ferromq_mqtt::{
    Ack, Delivery, EncodeError, Packet, PacketId, Publish, PublishTopic, QoS, ReasonCode, SubscriptionId,
    TopicAlias,
};
use ferromq_store::{Read, ReadLimit};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, OUT_ENOUGH, ToSend};
use crate::config::QueueFullPolicy;
use crate::mqtt::figures::Drop;
use crate::mqtt::mailbox::SubscriptionKey;
use crate::mqtt::message::View;
use crate::mqtt::session::Subscription;
use crate::mqtt::state::{Change, Phase, Source};
use crate::mqtt::sys;

/// What one subscription may read in its turn.
const TURN: ReadLimit = ReadLimit { messages: 64, bytes: 256 << 10 };

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sends what there is to be sent, as far as socket and window take it.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        self.repeat();
        self.fill_with_retained().await?;
        self.session.subscriptions.collect_arrivals();
        let mut turns = self.session.subscriptions.ready.len();
        while turns > 0
            && self.out.len() < OUT_ENOUGH
            && self.retained.is_empty()
            && !self.session.window.repeats()
        {
            turns -= 1;
            let Some(key) = self.session.subscriptions.ready.pop_front() else { break };
            let Some(subscription) = self.session.subscriptions.get(key) else { continue };
            let may_send = subscription.options.qos == QoS::AtMostOnce || self.session.window.room() > 0;
            if !may_send {
                subscription.group.iter().for_each(|group| group.pass());
                self.session.subscriptions.ready.push_back(key);
                continue;
            }
            let went_on = self.turn(key).await?;
            let Some(subscription) = self.session.subscriptions.get(key) else { continue };
            let has_more = subscription.has_more();
            // One that has no window for the next message does not go on now.
            turns += usize::from(has_more && went_on);
            if has_more {
                self.session.subscriptions.ready.push_back(key);
            }
        }
        // What cannot be sent now, other members of its group may have.
        for key in self.session.subscriptions.ready.iter().take(turns) {
            if let Some(group) = self.session.subscriptions.get(*key).and_then(|one| one.group.as_ref()) {
                group.pass();
            }
        }
        if self.limit_queue() > 0 && self.server.config().queue_full == QueueFullPolicy::Disconnect {
            return Err(End::Told(ReasonCode::QuotaExceeded));
        }
        Ok(())
    }

    /// Sends again what an earlier connection did not complete.
    fn repeat(&mut self) {
        while self.out.len() < OUT_ENOUGH
            && let Some((id, outbound)) = self.session.window.repeat()
        {
            if outbound.phase == Phase::Released {
                let packet = Packet::PubRel(Ack::new(id));
                let _ = self.out.push(&packet, self.peer.version, self.peer.max_packet);
                continue;
            }
            let found = self.server.find(&outbound.source);
            if found.is_none() {
                self.drop(Drop::Deleted, 1);
            }
            let found = found.filter(|view| self.session.may_read(&view.topic));
            let delivery = if outbound.qos == QoS::ExactlyOnce as u8 {
                Delivery::ExactlyOnce { id, dup: true }
            } else {
                Delivery::AtLeastOnce { id, dup: true }
            };
            let sent = found.and_then(|view| {
                let subscription = match &outbound.source {
                    Source::Queue { filter, .. } => self.session.subscriptions.find(filter),
                    Source::Retained { .. } => None,
                };
                let as_published = subscription
                    .and_then(|key| self.session.subscriptions.get(key))
                    .is_some_and(|subscription| subscription.options.retain_as_published);
                let retain =
                    matches!(outbound.source, Source::Retained { .. }) || as_published && view.retain;
                self.send(view, delivery, retain, Vec::new()).ok()
            });
            if sent.is_none() {
                // It is no longer there, and nobody waits for it.
                self.give_up(id);
            }
        }
    }

    /// A message is not sent: it counts as complete.
    fn give_up(&mut self, id: PacketId) {
        let done = self.session.window.complete(id);
        self.no_longer_lent(done);
        let session = self.session.number;
        self.server.state().later([Change::Complete { session, packet_id: id.value() }]);
    }

    /// Lets a subscription have the retained messages that it matches.
    pub(super) fn send_retained(&mut self, filter: &Filter, subscription: SubscriptionKey) {
        let found = self.server.state().retained_matching(filter.as_str(), Timestamp::now());
        let of_ours = sys::matching(&self.server, filter);
        let to_send = found.into_iter().chain(of_ours).map(|(topic, retained)| ToSend {
            topic,
            retained,
            subscription,
        });
        self.retained.extend(to_send);
    }

    async fn fill_with_retained(&mut self) -> Result<(), End> {
        let mut changes = Vec::new();
        let mut must_be_kept = false;
        let mut waiting = Vec::new();
        while self.out.len() < OUT_ENOUGH && !self.session.window.repeats() {
            let Some(ToSend { topic, retained, subscription }) = self.retained.front() else { break };
            let Some(subscription) = self.session.subscriptions.get(*subscription) else {
                self.retained.pop_front();
                continue;
            };
            let view = View::of_retained(topic, retained);
            let Some(view) = view.filter(|view| self.session.may_have(subscription, &view.topic)) else {
                self.retained.pop_front();
                continue;
            };
            let qos = view.qos.min(subscription.options.qos);
            if qos != QoS::AtMostOnce && self.session.window.room() == 0 {
                break;
            }
            let identifiers = subscription.identifier.into_iter().collect();
            let source = Source::Retained { topic: Arc::clone(topic), at: retained.at };
            let delivery = self.session.window.begin(qos, source, self.session.number, &mut changes);
            must_be_kept |= qos == QoS::ExactlyOnce;
            waiting.push((view, delivery, true, identifiers));
            self.retained.pop_front();
        }
        self.send_all(changes, must_be_kept, waiting).await
    }

    /// Says what is on its way, waits until that is kept if it must be, and sends it.
    async fn send_all(
        &mut self,
        changes: Vec<Change>,
        must_be_kept: bool,
        messages: Vec<ToDeliver>,
    ) -> Result<(), End> {
        // What is of a session that ends with its connection is not kept; what is of a group is.
        if !changes.is_empty() {
            if must_be_kept && !self.session.number.is_transient() {
                // Boxed, as few have to wait for it.
                Box::pin(self.server.state().commit(changes).wait()).await?;
            } else {
                self.server.state().later(changes);
            }
        }
        for (view, delivery, retain, identifiers) in messages {
            if self.send(view, delivery, retain, identifiers).is_err()
                && let Some(id) = delivery.id()
            {
                // Larger than the client takes, or expired: as if it had been sent.
                self.give_up(id);
            }
        }
        Ok(())
    }

    /// Reads and sends some messages of one subscription; whether it got any further.
    async fn turn(&mut self, key: SubscriptionKey) -> Result<bool, End> {
        let subscription = self.session.subscriptions.get_mut(key).expect("asked for");
        let room = if subscription.options.qos == QoS::AtMostOnce {
            TURN.messages
        } else {
            TURN.messages.min(self.session.window.room() as u32)
        };
        let group = subscription.group.clone();
        let (from, room) = match &group {
            None => (subscription.next, room),
            Some(group) => match group.take(room as usize) {
                Some((from, count)) => (from, count as u32),
                None => return Ok(false),
            },
        };
        let store = self.server.broker().store();
        let limit = ReadLimit { messages: room, ..TURN };
        let queue = subscription.queue.queue();
        let found = match store.read(queue, from, limit, &MessageFilter::All) {
            Ok(Read::Found(found)) => found,
            Ok(Read::Before { min }) => {
                if group.is_none() {
                    subscription.next = min;
                }
                self.drop(Drop::Deleted, min.0 - from.0);
                return Ok(true);
            }
            Ok(Read::NoMatch { next }) | Ok(Read::Beyond { max: next }) => {
                subscription.next = next;
                return Ok(true);
            }
            Ok(Read::AtEnd | Read::Empty) => return Ok(group.is_some()),
            Err(error) => {
                tracing::error!(%error, ?queue, "a queue of MQTT messages cannot be read");
                return Err(End::Told(ReasonCode::ImplementationSpecificError));
            }
        };
        let mut at = QueueOffset(found.next.0 - u64::from(found.count));
        let mut changes = Vec::new();
        let mut must_be_kept = false;
        let mut waiting = Vec::new();
        for piece in &found.records {
            let mut rest = piece.clone();
            while let Some(len) = Record::decode(&rest).ok().map(|record| record.len) {
                let one = rest.split_to(len);
                if let Some((view, qos, identifiers, retain)) = self.wanted(key, &one) {
                    let text = Arc::clone(&self.session.subscriptions.get(key).expect("there").text);
                    let source = Source::Queue { filter: text, offset: at };
                    let delivery = self.session.window.begin(qos, source, self.session.number, &mut changes);
                    must_be_kept |= qos == QoS::ExactlyOnce;
                    if let Some(group) = &group
                        && qos == QoS::AtLeastOnce
                        && self.session.number.is_transient()
                    {
                        group.lend(at);
                    }
                    waiting.push((view, delivery, retain, identifiers));
                }
                at = at.plus(1);
            }
        }
        let subscription = self.session.subscriptions.get_mut(key).expect("there");
        match &group {
            None => {
                subscription.next = found.next;
                if self.session.number.is_transient() {
                    return self.send_all(changes, must_be_kept, waiting).await.map(|()| true);
                }
                changes.push(Change::Subscription {
                    session: self.session.number,
                    filter: Arc::clone(&subscription.text),
                    subscription: subscription.kept(),
                });
            }
            Some(group) => {
                // Bytes, too, are limited: what was not read goes to whoever comes next.
                (found.next.0..from.0 + u64::from(room)).for_each(|at| group.give_back(QueueOffset(at)));
                changes.extend(group.change());
            }
        }
        self.send_all(changes, must_be_kept, waiting).await?;
        Ok(true)
    }
}

/// A message that is on its way: how, whether as retained, and with which identifiers.
type ToDeliver = (View, Delivery, bool, Vec<SubscriptionId>);

/// A message as one subscription wants it: with which quality, with which identifiers, and whether as retained.
type Wanted = (View, QoS, Vec<SubscriptionId>, bool);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// What of a stored message this subscription is to send, if it is.
    fn wanted(&self, key: SubscriptionKey, record: &Bytes) -> Option<Wanted> {
        let view = View::of(record)?;
        let subscriptions = &self.session.subscriptions;
        let subscription = subscriptions.get(key)?;
        if !self.session.may_have(subscription, &view.topic) {
            return None;
        }
        let is_own = view.client.as_ref() == Some(&self.session.client);
        let mut qos = subscription.options.qos;
        let mut retain = subscription.options.retain_as_published;
        let mut identifiers: Vec<_> = subscription.identifier.into_iter().collect();
        if subscription.group.is_none() && !subscription.is_own && subscriptions.may_overlap() {
            // One copy, by the subscription with the highest quality among those whose queues have the message.
            let others: Vec<_> = subscriptions
                .matching(&view.topic)
                .filter(|(_, other)| !(other.options.no_local && is_own))
                .filter(|(other, subscription)| *other == key || has(subscription, record))
                .collect();
            let best =
                others.iter().max_by_key(|(key, other)| (other.options.qos, std::cmp::Reverse(*key)))?;
            if best.0 != key {
                return None;
            }
            qos = best.1.options.qos;
            retain = others.iter().any(|(_, other)| other.options.retain_as_published);
            identifiers = others.iter().filter_map(|(_, other)| other.identifier).collect();
        } else if subscription.options.no_local && is_own {
            return None;
        }
        let retain = retain && view.retain;
        Some((view.clone(), view.qos.min(qos), identifiers, retain))
    }

    /// Adds a message to what is on its way.
    pub(super) fn send(
        &mut self,
        view: View,
        delivery: Delivery,
        retain: bool,
        identifiers: Vec<SubscriptionId>,
    ) -> Result<(), EncodeError> {
        let View { topic, mut properties, payload, expires, .. } = view;
        if let Some(expires) = expires {
            let left = expires.0 - Timestamp::now().0;
            if left <= 0 {
                self.drop(Drop::Expired, 1);
                return Err(EncodeError::Illegal("an expired message"));
            }
            // Rounded up: what has something left has not expired.
            properties.message_expiry = Some(u32::try_from((left + 999) / 1000).unwrap_or(u32::MAX));
        }
        if !identifiers.is_empty() {
            properties.subscription_ids = identifiers;
        }
        let topic = match self.aliases_out.get(&topic) {
            Some(&alias) => PublishTopic::Alias(alias),
            None => {
                let next =
                    u16::try_from(self.aliases_out.len() + 1).ok().filter(|&next| next <= self.peer.aliases);
                match next.and_then(TopicAlias::new) {
                    Some(alias) => {
                        let own = Name::try_from(topic.as_str()).expect("a name");
                        self.aliases_out.insert(own, alias);
                        PublishTopic::Define(topic, alias)
                    }
                    None => PublishTopic::Name(topic),
                }
            }
        };
        let publish = Publish { topic, delivery, retain, properties, payload };
        let sent = self.out.publish(&publish, self.peer.version, self.peer.max_packet);
        if sent.is_ok() {
            self.server.counters.sent.count(delivery.qos(), publish.payload.len());
        } else {
            if let PublishTopic::Define(name, _) = &publish.topic {
                // The client was not told.
                self.aliases_out.remove(name);
            }
            self.drop(Drop::TooLarge, 1);
        }
        sent
    }
}

/// Whether the message lies in the part of a subscription's queue that it reads.
fn has(subscription: &Subscription, record: &Bytes) -> bool {
    let Ok(record) = Record::decode(record) else { return false };
    let find = |name| find_property(record.properties, name).unwrap_or_default();
    let (queues, places) = (find(property::INNER_MULTI_DISPATCH), find(property::INNER_MULTI_QUEUE_OFFSET));
    let name = subscription.queue.queue().topic().as_str();
    light::stored_queues(queues, places).any(|(queue, at)| queue == name && at >= subscription.since)
}
