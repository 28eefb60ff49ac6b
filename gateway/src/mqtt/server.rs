//! What all MQTT connections share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ferromq_broker::Broker;
use ferromq_broker::fanout::{AttachError, FilterQueue};
use ferromq_broker::send::{QUEUES_OF_TEMPLATE, Send, SendBatch, SendError, Ticket};
use ferromq_model::filter::MessageFilter;
use ferromq_model::light::LIGHT_QUEUE;
use ferromq_model::message::SysFlag;
use ferromq_model::name::AUTO_CREATE_TOPIC;
use ferromq_model::{Timestamp, mqtt};
use ferromq_mqtt::topic::{AnyFilter, Name};
use ferromq_mqtt::{Limits, QoS, ReasonCode, SessionExpiry};
use ferromq_net::Pace;
use ferromq_store::{Placed, Read, ReadLimit};
use tokio::sync::{Notify, Semaphore};

use super::Access;
use super::acl::{Granted, Permissions};
use super::auth::Method;
use super::figures::Counters;
use super::hub::Hub;
use super::message::{View, expiry};
use super::shared::{Group, Groups};
use super::state::{Retained, Source, State};
use super::sys;
use crate::config::MqttConfig;
use crate::traffic::Traffic;

/// Where messages come from that no client sends: wills, and what the server tells of itself.
pub(super) const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A message that is to be retained once it is stored.
#[derive(Debug)]
pub(super) struct ToRetain {
    pub(super) topic: Arc<str>,
    pub(super) properties: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
}

/// The broker, the sessions' state, and who is connected.
pub(super) struct Server {
    broker: Broker,
    state: State,
    config: MqttConfig,
    access: Access,
    pub(super) hub: Arc<Hub>,
    pub(super) groups: Groups,
    pub(super) counters: Counters,
    /// One for each connection that there may be.
    pub(super) places: Arc<Semaphore>,
    /// How many connections come in a second.
    pub(super) pace: Pace,
    pub(super) traffic: Arc<Traffic>,
    /// Told when a session or a will may be due earlier than the next one was.
    sooner: Notify,
}

impl Server {
    pub(super) fn new(
        broker: Broker,
        state: State,
        config: MqttConfig,
        access: Access,
        traffic: Arc<Traffic>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(config.max_connections as usize));
        let pace = Pace::per_second(config.connect_rate);
        Self {
            broker,
            state,
            config,
            access,
            hub: Arc::default(),
            groups: Groups::default(),
            counters: Counters::default(),
            places,
            pace,
            traffic,
            sooner: Notify::new(),
        }
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn config(&self) -> &MqttConfig {
        &self.config
    }

    pub(super) fn receive_maximum(&self) -> u16 {
        self.config.receive_maximum
    }

    /// How long a session may outlive its connection.
    pub(super) fn longest_expiry(&self) -> SessionExpiry {
        SessionExpiry::from_u32(self.config.max_session_expiry)
    }

    /// What a client's packets may be.
    pub(super) fn limits(&self) -> Limits {
        Limits { packet: self.config.max_packet_size.0 as u32, ..Limits::default() }
    }

    /// Says that something may be due earlier than thought.
    pub(super) fn look_after_time(&self) {
        self.sooner.notify_one();
    }

    /// Returns when somebody said so.
    pub(super) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Whether clients are asked who they are.
    pub(super) fn asks(&self) -> bool {
        self.access.credentials.is_some() || self.config.certificate_user && !self.config.allow_anonymous
    }

    /// Who a client is that says this of itself, or `None` if nobody asks.
    ///
    /// # Errors
    /// What it is told if it may not come in.
    pub(super) fn admit(
        &self,
        certified: Option<String>,
        user: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<Option<Arc<str>>, ReasonCode> {
        if self.config.certificate_user
            && let Some(user) = certified
        {
            return Ok(Some(user.into()));
        }
        let Some(credentials) = &self.access.credentials else {
            return if self.asks() { Err(ReasonCode::NotAuthorized) } else { Ok(None) };
        };
        let password = password.and_then(|password| std::str::from_utf8(password).ok());
        let known = user.zip(password).and_then(|(user, password)| credentials.user(user, password));
        known.map(|user| Some(user.into())).ok_or(ReasonCode::BadUserNameOrPassword)
    }

    /// A method of enhanced authentication.
    pub(super) fn method(&self, name: &str) -> Option<Arc<dyn Method>> {
        self.access.methods.iter().find(|method| method.name() == name).cloned()
    }

    /// What a client may do, if not everything.
    pub(super) fn permissions(&self, user: Option<&str>, client: &str) -> Option<Permissions> {
        self.access.acl.as_ref().map(|acl| acl.of(user, client))
    }

    /// The filter whose messages a client has without a subscription, and nobody else.
    pub(super) fn own_filter_of(&self, client: &str) -> Option<String> {
        if self.broker.config().mqtt_point_to_point { mqtt::own_filter_of(client) } else { None }
    }

    /// Whether a topic or filter is such a one by itself, which no client may name.
    pub(super) fn is_own_filter(&self, name: &str) -> bool {
        self.broker.config().mqtt_point_to_point && mqtt::is_own_filter(name)
    }

    /// Whether messages of a topic may be retained: not those that are one client's alone.
    pub(super) fn may_retain(&self, topic: &str) -> bool {
        !self.broker.config().mqtt_point_to_point || mqtt::client_of(topic).is_none()
    }

    /// Whether a client may publish to a topic.
    ///
    /// # Errors
    /// What it is told.
    pub(super) fn may_publish(
        &self,
        permissions: Option<&mut Permissions>,
        topic: &Name,
    ) -> Result<(), ReasonCode> {
        if topic.starts_with("$SYS/") || topic.as_str() == "$SYS" || self.is_own_filter(topic) {
            return Err(ReasonCode::NotAuthorized);
        }
        if topic.levels().count() > self.config.max_topic_levels as usize {
            return Err(ReasonCode::TopicNameInvalid);
        }
        if permissions.is_some_and(|permissions| !permissions.may_publish(topic)) {
            return Err(ReasonCode::NotAuthorized);
        }
        Ok(())
    }

    /// Whether a client may subscribe to a filter, and if so, whether each message has to be looked at.
    ///
    /// # Errors
    /// What it is told.
    pub(super) fn may_subscribe(
        &self,
        permissions: Option<&Permissions>,
        wanted: &AnyFilter,
    ) -> Result<bool, ReasonCode> {
        let filter = wanted.filter();
        if self.is_own_filter(filter.as_str()) {
            return Err(ReasonCode::NotAuthorized);
        }
        if filter.levels().count() > self.config.max_topic_levels as usize {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        match permissions.map_or(Granted::Whole, |permissions| permissions.may_subscribe(&filter)) {
            Granted::Whole => Ok(false),
            // Of a group, another member might be lost what this one may not have.
            Granted::Partly if !wanted.is_shared() => Ok(true),
            Granted::Partly | Granted::Not => Err(ReasonCode::NotAuthorized),
        }
    }

    /// Encodes a message into an append to come.
    ///
    /// # Errors
    /// What its publisher is told.
    pub(super) fn prepare(
        &self,
        sends: &mut SendBatch,
        topic: &str,
        properties: &str,
        body: &[u8],
        born: Timestamp,
        from: SocketAddr,
    ) -> Result<Ticket, SendError> {
        let stored_under = mqtt::stored_under(topic);
        let spilled = mqtt::spilled(properties, body);
        let (properties, body) =
            spilled.as_ref().map_or((properties, body), |(properties, body)| (properties, body));
        let send = Send {
            topic: stored_under.as_str(),
            default_topic: AUTO_CREATE_TOPIC,
            default_queues: QUEUES_OF_TEMPLATE,
            queue: None,
            // Whoever reads the queues of the topic finds one MQTT topic's messages in their order.
            sharding_key: Some(topic),
            sys_flag: SysFlag(0),
            flag: 0,
            born,
            born_host: from,
            properties,
            reconsume_times: 0,
            max_reconsume_times: None,
            unit_mode: false,
            is_batch: false,
            body,
        };
        self.broker
            .prepare(sends, &send)
            .inspect_err(|error| tracing::debug!(%error, topic, "an MQTT message is not taken"))
    }

    /// Retains a message that is stored now, in place of the topic's; an empty one removes that.
    pub(super) fn retain(&self, message: ToRetain, placed: &Placed) {
        let ToRetain { topic, properties, payload, qos } = message;
        if payload.is_empty() {
            return self.state.clear_retained(&topic, placed.physical);
        }
        let expires = expiry(&properties);
        let retained = Retained {
            at: placed.physical,
            stored: placed.stored,
            expires,
            qos: qos as u8,
            properties,
            payload,
        };
        if let Err(error) = self.state.retain(&topic, retained) {
            tracing::warn!(%topic, %error, "an MQTT message is not retained");
        }
    }

    /// Holds a filter: its queue gets what matches from now on.
    ///
    /// # Errors
    /// [`AttachError`].
    pub(super) async fn attach(&self, filter: &str) -> Result<Arc<FilterQueue>, AttachError> {
        let (broker, filter) = (self.broker.clone(), filter.to_owned());
        let is_about_us = sys::is_about(&filter);
        // A new filter is noted on disk.
        let attached = tokio::task::spawn_blocking(move || broker.fanout().attach(&filter)).await;
        let attached = attached.expect("no panic in it")?;
        self.counters.listeners.fetch_add(usize::from(is_about_us), Ordering::Relaxed);
        self.counters.subscriptions.fetch_add(1, Ordering::Relaxed);
        Ok(attached)
    }

    /// The group of a shared subscription.
    pub(super) fn group_of(&self, text: &str) -> Option<Arc<Group>> {
        text.starts_with("$share/").then(|| self.groups.find(text)).flatten()
    }

    /// Lets go of one.
    pub(super) fn detach(&self, queue: &FilterQueue) {
        self.counters.subscriptions.fetch_sub(1, Ordering::Relaxed);
        self.counters.listeners.fetch_sub(usize::from(sys::is_about(queue.filter())), Ordering::Relaxed);
        self.broker.fanout().detach(queue);
    }

    /// A message that was sent before, if the log still has it.
    pub(super) fn find(&self, source: &Source) -> Option<View> {
        match source {
            Source::Queue { filter, offset } => {
                let filter = AnyFilter::try_from(&**filter).ok()?.filter();
                let queue = self
                    .broker
                    .store()
                    .find_queue(mqtt::light_queue_of(filter.as_str()).as_str(), LIGHT_QUEUE)?;
                let limit = ReadLimit { messages: 1, bytes: 0 };
                match self.broker.store().read(&queue, *offset, limit, &MessageFilter::All) {
                    Ok(Read::Found(found)) => View::of(found.records.first()?),
                    _ => None,
                }
            }
            Source::Retained { topic, at } => match self.state.retained(topic, Timestamp::now()) {
                Some(retained) if retained.at == *at => View::of_retained(topic, &retained),
                _ => View::of(&self.broker.store().record_at(*at)?),
            },
        }
    }
}
