//! What a client sends, packet by packet.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferromq_broker::send::{SendBatch, Ticket};
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use ferromq_mqtt::topic::{AnyFilter, Filter, Name};
use ferromq_mqtt::{
    Ack, Delivery, Packet, PacketId, Publish, PublishTopic, QoS, ReasonCode, RetainHandling, SessionExpiry,
    SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe, Version, encode,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, Held};
use crate::mqtt::message::Published;
use crate::mqtt::reason;
use crate::mqtt::server::ToRetain;
use crate::mqtt::state::{self, Change, Inbound, Phase, Publishing, Source};

/// Messages on their way into the log: empty but while packets that came together are handled.
pub(super) struct Appends {
    sends: SendBatch,
    /// Of the message that is being prepared: used again.
    properties: String,
}

impl Default for Appends {
    fn default() -> Self {
        Self { sends: SendBatch::with_marks(), properties: String::new() }
    }
}

/// The answers to packets that came together.
#[derive(Default)]
pub(super) struct Answers {
    items: Vec<Item>,
    /// What has to be kept before any of them may be given.
    changes: Vec<Change>,
    /// What is kept when there is time.
    lazy: Vec<Change>,
    /// They wait until the log is safe up to here.
    log: Option<PhysicalOffset>,
    /// Held from before a message is stored that recovery has to know of until that is said.
    publishing: Option<Publishing>,
}

enum Item {
    Packet(Packet),
    Stored { message: Message, ticket: Ticket, placed: Option<PhysicalOffset> },
}

/// What is left of a message that is being stored.
struct Message {
    delivery: Delivery,
    /// Of its payload.
    bytes: usize,
    refused: Option<ReasonCode>,
    retain: Option<Box<ToRetain>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Handles one packet.
    pub(super) async fn handle(&mut self, packet: Packet, answers: &mut Answers) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => return self.publish(&publish, answers),
            Packet::PubAck(ack) => self.acknowledged(ack.id, QoS::AtLeastOnce, answers),
            Packet::PubComp(ack) => self.acknowledged(ack.id, QoS::ExactlyOnce, answers),
            Packet::PubRec(ack) => self.received(&ack, answers),
            Packet::PubRel(ack) => self.released(ack.id, answers),
            Packet::Subscribe(subscribe) => {
                // Boxed, as connections wait for this seldom, and for other things all the time.
                let answer = Box::pin(self.subscribe(subscribe, answers)).await;
                answers.items.push(Item::Packet(answer));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let answer = self.unsubscribe(&unsubscribe, answers);
                answers.items.push(Item::Packet(answer));
            }
            Packet::PingReq => answers.items.push(Item::Packet(Packet::PingResp)),
            Packet::Disconnect(disconnect) => {
                let expiry = disconnect.properties.session_expiry;
                if self.session.number.is_transient() && expiry.is_some_and(|e| e != SessionExpiry::AT_CLOSE)
                {
                    return Err(End::Told(ReasonCode::ProtocolError));
                }
                return Err(End::Goodbye { with_will: disconnect.reason != ReasonCode::Success, expiry });
            }
            Packet::Auth(auth) => {
                // Only if a method was agreed on with CONNECT.
                let authentication = self.session.authentication.as_mut();
                let authentication = authentication.ok_or(End::Told(ReasonCode::ProtocolError))?;
                let answer = authentication.answer(&auth).map_err(End::Told)?;
                answers.items.push(Item::Packet(Packet::Auth(answer)));
            }
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => unreachable!("the decoder takes none of them from a client"),
        }
        Ok(())
    }

    fn publish(&mut self, publish: &Publish, answers: &mut Answers) -> Result<(), End> {
        let topic = self.topic_of(&publish.topic)?;
        let delivery = publish.delivery;
        let known = delivery.id().is_some_and(|id| self.session.held.contains_key(&id));
        if delivery.qos() == QoS::ExactlyOnce && known {
            let id = delivery.id().expect("of QoS 2");
            answers.items.push(Item::Packet(Packet::PubRec(Ack::new(id))));
            return Ok(());
        }
        if delivery.qos() != QoS::AtMostOnce {
            if self.unanswered + self.session.held.len() >= usize::from(self.server.receive_maximum()) {
                return Err(End::Told(ReasonCode::ReceiveMaximumExceeded));
            }
            self.unanswered += 1;
        }
        let permissions = self.session.permissions.as_mut();
        let outcome = self.server.may_publish(permissions, &topic).and_then(|()| {
            if !publish.has_the_format_it_says() {
                return Err(ReasonCode::PayloadFormatInvalid);
            }
            self.prepare(publish, &topic, answers)
        });
        match outcome {
            Ok((ticket, retain)) => {
                let message = Message { delivery, bytes: publish.payload.len(), refused: None, retain };
                answers.items.push(Item::Stored { message, ticket, placed: None });
            }
            Err(refused) => self.refuse(delivery, refused, answers)?,
        }
        if self.appends.as_ref().is_some_and(|appends| appends.sends.is_full()) {
            self.store(answers);
        }
        Ok(())
    }

    /// The name that a client means, by its alias or not.
    fn topic_of(&mut self, topic: &PublishTopic) -> Result<Name, End> {
        let most = self.server.config().topic_alias_maximum;
        if topic.alias().is_some_and(|alias| alias.value() > most) {
            return Err(End::Told(ReasonCode::TopicAliasInvalid));
        }
        match topic {
            PublishTopic::Name(name) => Ok(name.clone()),
            PublishTopic::Define(name, alias) => {
                // Not a slice of a packet that it would keep.
                let own = Name::try_from(name.as_str()).expect("a name");
                self.aliases_in.insert(*alias, own);
                Ok(name.clone())
            }
            PublishTopic::Alias(alias) => {
                self.aliases_in.get(alias).cloned().ok_or(End::Told(ReasonCode::ProtocolError))
            }
        }
    }

    /// Encodes a message into the append to come.
    fn prepare(
        &mut self,
        publish: &Publish,
        topic: &Name,
        answers: &mut Answers,
    ) -> Result<(Ticket, Option<Box<ToRetain>>), ReasonCode> {
        let retain = publish.retain && self.server.may_retain(topic);
        let published = Published {
            topic,
            client: &self.session.client,
            qos: publish.qos(),
            retain,
            packet_id: match publish.delivery {
                Delivery::ExactlyOnce { id, .. } => Some(id.value()),
                Delivery::AtMostOnce | Delivery::AtLeastOnce { .. } => None,
            },
            properties: &publish.properties,
            payload: &publish.payload,
        };
        let now = Timestamp::now();
        let Appends { sends, properties } = &mut **self.appends.get_or_insert_default();
        properties.clear();
        published.write_properties(now, properties)?;
        if published.packet_id.is_some() || retain {
            answers.publishing.get_or_insert_with(|| self.server.state().publishing());
        }
        let properties = properties.as_str();
        let ticket = self
            .server
            .prepare(sends, topic, properties, published.body(), now, self.from)
            .map_err(|error| reason::of_send(&error))?;
        let retain = retain.then(|| {
            Box::new(ToRetain {
                topic: topic.as_str().into(),
                properties: properties.into(),
                // Not a slice of a packet that it would keep.
                payload: Bytes::copy_from_slice(&publish.payload),
                qos: publish.qos(),
            })
        });
        Ok((ticket, retain))
    }

    /// Answers a message that is not stored. 3.1.1 has no word for that, so its client has to go.
    fn refuse(&mut self, delivery: Delivery, reason: ReasonCode, answers: &mut Answers) -> Result<(), End> {
        if self.peer.version == Version::V3 {
            return Err(End::Told(reason));
        }
        let answer = match delivery {
            Delivery::AtMostOnce => return Ok(()),
            Delivery::AtLeastOnce { id, .. } => Packet::PubAck(Ack::with_reason(id, reason)),
            Delivery::ExactlyOnce { id, .. } => Packet::PubRec(Ack::with_reason(id, reason)),
        };
        self.unanswered -= 1;
        answers.items.push(Item::Packet(answer));
        Ok(())
    }

    /// Stores what was prepared.
    pub(super) fn store(&mut self, answers: &mut Answers) {
        let Some(Appends { sends, .. }) = self.appends.as_deref_mut() else { return };
        if sends.is_empty() {
            return;
        }
        let retains = |item: &Item| matches!(item, Item::Stored { message, .. } if message.retain.is_some());
        let _retaining = answers.items.iter().any(retains).then(|| self.server.state().retaining());
        let outcome = self.server.broker().commit(sends);
        for item in &mut answers.items {
            let Item::Stored { message, ticket, placed } = item else { continue };
            if placed.is_some() || message.refused.is_some() {
                continue;
            }
            let Some(at) = sends.placed(*ticket).first() else {
                message.refused = Some(match &outcome {
                    Err(error) => reason::of_append(error),
                    Ok(()) => ReasonCode::UnspecifiedError,
                });
                continue;
            };
            *placed = Some(at.physical);
            self.server.counters.received.count(message.delivery.qos(), message.bytes);
            if let Some(retain) = message.retain.take() {
                self.server.retain(*retain, at);
            }
            if message.delivery.qos() != QoS::AtMostOnce {
                answers.log = answers.log.max(Some(at.end));
            }
            if let Delivery::ExactlyOnce { id, .. } = message.delivery {
                self.session.held.insert(id, at.physical);
                answers.lazy.push(Change::Inbound {
                    session: self.session.number,
                    packet_id: id.value(),
                    inbound: Inbound::Held(at.physical),
                });
            }
        }
        sends.clear();
    }

    /// Gives the answers, now or once they are true.
    pub(super) fn answer(&mut self, answers: Answers) -> Result<(), End> {
        let Answers { items, changes, lazy, log, publishing } = answers;
        if !lazy.is_empty() {
            self.server.state().later(lazy);
        }
        drop(publishing);
        let state = (!changes.is_empty()).then(|| self.server.state().commit(changes));
        if items.is_empty() {
            return Ok(());
        }
        let mut packets = BytesMut::new();
        for item in items {
            let packet = match item {
                Item::Packet(packet) => packet,
                Item::Stored { message: Message { delivery, refused, .. }, .. } => {
                    if delivery.qos() != QoS::AtMostOnce {
                        self.unanswered -= 1;
                    }
                    if refused.is_some() && self.peer.version == Version::V3 {
                        return Err(End::Told(ReasonCode::UnspecifiedError));
                    }
                    let reason = refused.unwrap_or_default();
                    match delivery {
                        Delivery::AtMostOnce => continue,
                        Delivery::AtLeastOnce { id, .. } => Packet::PubAck(Ack::with_reason(id, reason)),
                        Delivery::ExactlyOnce { id, .. } => Packet::PubRec(Ack::with_reason(id, reason)),
                    }
                }
            };
            if let Err(error) = encode(&packet, self.peer.version, self.peer.max_packet, &mut packets) {
                tracing::debug!(%error, client = %self.session.client, "an answer cannot be given");
                return Err(End::Told(ReasonCode::PacketTooLarge));
            }
        }
        let store = self.server.broker().store();
        let log = log.filter(|&end| store.flushes_before_ack() && end > self.flushed.upto());
        if log.is_none() && state.is_none() && self.held.is_empty() {
            self.out.append(&packets);
        } else {
            self.held.push_back(Held { answers: packets, log, state });
        }
        Ok(())
    }

    /// PUBACK or PUBCOMP came.
    fn acknowledged(&mut self, id: PacketId, qos: QoS, answers: &mut Answers) {
        // One that belongs to nothing may be late: of a message that a restart forgot.
        if self.session.window.get(id).is_some_and(|sent| sent.qos == qos as u8) {
            let done = self.session.window.complete(id);
            answers.lazy.push(Change::Complete { session: self.session.number, packet_id: id.value() });
            self.no_longer_lent(done);
        }
    }

    /// A message of a group that a crash would have given back is not to be.
    pub(super) fn no_longer_lent(&self, done: Option<state::Outbound>) {
        if self.session.number.is_transient()
            && let Some(Source::Queue { filter, offset }) = done.map(|done| done.source)
            && let Some(group) = self.server.group_of(&filter)
        {
            group.done(offset);
        }
    }

    /// PUBREC came.
    fn received(&mut self, ack: &Ack, answers: &mut Answers) {
        let (id, session) = (ack.id, self.session.number);
        if ack.reason as u8 >= 0x80 {
            return self.acknowledged(id, QoS::ExactlyOnce, answers);
        }
        let reason = match self.session.window.release(id) {
            Some(outbound) => {
                debug_assert_eq!(outbound.phase, Phase::Released);
                let outbound = outbound.clone();
                answers.changes.push(Change::Outbound { session, packet_id: id.value(), outbound });
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        answers.items.push(Item::Packet(Packet::PubRel(Ack::with_reason(id, reason))));
    }

    /// PUBREL came.
    fn released(&mut self, id: PacketId, answers: &mut Answers) {
        // It may have come with the message itself.
        self.store(answers);
        let reason = match self.session.held.remove(&id) {
            Some(at) => {
                answers.changes.push(Change::Inbound {
                    session: self.session.number,
                    packet_id: id.value(),
                    inbound: Inbound::Released(at),
                });
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        answers.items.push(Item::Packet(Packet::PubComp(Ack::with_reason(id, reason))));
    }

    async fn subscribe(&mut self, subscribe: Subscribe, answers: &mut Answers) -> Packet {
        // What came before it is not for it.
        self.store(answers);
        let identifier = subscribe.properties.subscription_id.map(|id| id.value());
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        for Subscription { filter, options } in subscribe.filters {
            let granted = match filter {
                Ok(filter) => {
                    let kept = state::Subscription {
                        qos: options.qos as u8,
                        no_local: options.no_local,
                        retain_as_published: options.retain_as_published,
                        retain_handling: options.retain_handling as u8,
                        identifier,
                        next: QueueOffset::ZERO,
                        since: QueueOffset::ZERO,
                    };
                    self.subscribe_to(filter, kept, options.retain_handling, answers).await
                }
                Err(_) => Err(ReasonCode::TopicFilterInvalid),
            };
            reasons.push(match granted {
                Ok(()) => [ReasonCode::Success, ReasonCode::GrantedQoS1, ReasonCode::GrantedQoS2]
                    [options.qos as usize],
                Err(reason) => reason,
            });
        }
        Packet::SubAck(SubAck::new(subscribe.id, reasons))
    }

    async fn subscribe_to(
        &mut self,
        wanted: AnyFilter,
        mut kept: state::Subscription,
        retained: RetainHandling,
        answers: &mut Answers,
    ) -> Result<(), ReasonCode> {
        let filter = wanted.filter();
        let is_checked = self.server.may_subscribe(self.session.permissions.as_ref(), &wanted)?;
        let text: Arc<str> = wanted.as_str().into();
        let subscriptions = &mut self.session.subscriptions;
        let is_new = match subscriptions.find(&text) {
            Some(key) => {
                let subscription = subscriptions.get_mut(key).expect("found");
                (kept.next, kept.since) = (subscription.next, subscription.since);
                subscription.change(&kept);
                false
            }
            None => {
                if subscriptions.asked_for() >= self.server.config().max_subscriptions as usize {
                    return Err(ReasonCode::QuotaExceeded);
                }
                let queue =
                    self.server.attach(filter.as_str()).await.map_err(|error| reason::of_attach(&error))?;
                kept.since = queue.queue().next();
                kept.next = kept.since;
                let lasts = !self.session.number.is_transient();
                let group = wanted.is_shared().then(|| self.server.groups.enter(&text, &queue, lasts));
                if let Some(change) = group.as_ref().and_then(|group| group.change()) {
                    answers.changes.push(change);
                }
                // Not a slice of a packet that it would keep.
                let own = Filter::try_from(filter.as_str()).expect("a filter");
                let client = self.session.client.clone();
                self.session.subscriptions.add(&client, Arc::clone(&text), own, queue, group, &kept);
                true
            }
        };
        let key = self.session.subscriptions.find(&text).expect("it is there now");
        self.session.subscriptions.get_mut(key).expect("found").is_checked = is_checked;
        let wants_retained =
            retained == RetainHandling::Always || retained == RetainHandling::IfNew && is_new;
        if wants_retained && !wanted.is_shared() {
            self.send_retained(&filter, key);
        }
        let session = self.session.number;
        answers.changes.push(Change::Subscription { session, filter: text, subscription: kept });
        Ok(())
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, answers: &mut Answers) -> Packet {
        let reasons = unsubscribe.filters.iter().map(|filter| {
            let text = match filter {
                Ok(filter) if self.server.is_own_filter(filter.as_str()) => return ReasonCode::NotAuthorized,
                Ok(filter) => filter.as_str(),
                Err(_) => return ReasonCode::TopicFilterInvalid,
            };
            match self.session.subscriptions.remove(text) {
                Some(removed) => {
                    self.server.detach(&removed.queue);
                    let session = self.session.number;
                    if let Some(group) = &removed.group {
                        answers.changes.push(self.server.groups.leave(group, !session.is_transient()));
                    }
                    answers.changes.push(Change::Unsubscribed { session, filter: removed.text });
                    ReasonCode::Success
                }
                None => ReasonCode::NoSubscriptionExisted,
            }
        });
        let reasons = reasons.collect();
        Packet::UnsubAck(UnsubAck::new(unsubscribe.id, reasons))
    }
}
