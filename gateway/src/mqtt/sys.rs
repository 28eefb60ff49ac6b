//! `$SYS`: what the server tells of itself, under the topics that other servers have for it.
//!
//! Nothing is stored for nobody: whoever subscribes gets every value at once, as a retained message, and from then on those
//! that changed, as long as somebody subscribes to one of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ferromq_broker::send::SendBatch;
use ferromq_model::{PhysicalOffset, Timestamp};
use ferromq_mqtt::QoS;
use ferromq_mqtt::properties::PublishProperties;
use ferromq_mqtt::topic::{Filter, Name};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::Drop;
use super::message::Published;
use super::server::{NOBODY, Server};
use super::state::Retained;
use crate::traffic::Protocol;

/// How often values that changed are published.
const INTERVAL: Duration = Duration::from_secs(10);

/// Whether a filter can match any of it: one that begins with a wildcard cannot.
pub(super) fn is_about(filter: &str) -> bool {
    filter.split('/').next() == Some("$SYS")
}

/// The topics and what they say now.
fn values(server: &Server) -> Vec<(Name, String)> {
    let counters = &server.counters;
    let dropped: u64 = Drop::ALL.iter().map(|why| counters.dropped(*why)).sum();
    let connected = server.traffic.open(Protocol::Mqtt);
    let known = server.state().session_count() as u64;
    let (retained, retained_bytes) = server.state().retained_size();
    let uptime = (Timestamp::now().0 - server.broker().started().0) / 1_000;
    let topic = |name: &'static str| Name::from_static(name);
    vec![
        (topic("$SYS/broker/version"), concat!("FerroMQ ", env!("CARGO_PKG_VERSION")).to_owned()),
        (topic("$SYS/broker/uptime"), format!("{uptime} seconds")),
        (topic("$SYS/broker/clients/connected"), connected.to_string()),
        (topic("$SYS/broker/clients/total"), known.max(connected).to_string()),
        (topic("$SYS/broker/clients/disconnected"), known.saturating_sub(connected).to_string()),
        (topic("$SYS/broker/clients/delayed"), server.pace.delayed().to_string()),
        (topic("$SYS/broker/messages/publish/received"), counters.received.messages().to_string()),
        (topic("$SYS/broker/messages/publish/sent"), counters.sent.messages().to_string()),
        (topic("$SYS/broker/messages/publish/dropped"), dropped.to_string()),
        (topic("$SYS/broker/subscriptions/filters"), server.broker().fanout().len().to_string()),
        (topic("$SYS/broker/retained messages/count"), retained.to_string()),
        (topic("$SYS/broker/retained messages/bytes"), retained_bytes.to_string()),
    ]
}

/// What a new subscription gets, as if it were retained.
pub(super) fn matching(server: &Server, filter: &Filter) -> Vec<(Arc<str>, Arc<Retained>)> {
    if !is_about(filter.as_str()) {
        return Vec::new();
    }
    let matching = values(server).into_iter().filter(|(topic, _)| filter.matches(topic));
    let message = |(topic, value): (Name, String)| {
        let retained = Retained {
            at: PhysicalOffset::ZERO,
            stored: Timestamp::now(),
            expires: None,
            qos: QoS::AtMostOnce as u8,
            properties: "".into(),
            payload: Bytes::from(value),
        };
        (Arc::from(topic.as_str()), Arc::new(retained))
    };
    matching.map(message).collect()
}

/// Publishes what changed while somebody listens, until `stop` turns true.
pub(super) async fn publish(server: &Server, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = HashMap::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            // A sender that is gone counts as a stop.
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if server.counters.listeners.load(Ordering::Relaxed) > 0 {
            publish_changed(server, &mut told);
        }
    }
}

fn publish_changed(server: &Server, told: &mut HashMap<Name, String>) {
    let now = Timestamp::now();
    let mut sends = SendBatch::new();
    for (topic, value) in values(server) {
        if told.get(&topic) == Some(&value) {
            continue;
        }
        let published = Published {
            topic: &topic,
            client: "",
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: None,
            properties: &PublishProperties::default(),
            payload: value.as_bytes(),
        };
        let mut properties = String::new();
        match published.write_properties(now, &mut properties) {
            // It notes itself why it takes no message.
            Ok(()) => drop(server.prepare(&mut sends, &topic, &properties, published.body(), now, NOBODY)),
            Err(reason) => tracing::debug!(%topic, %reason, "a value of $SYS is not published"),
        }
        told.insert(topic, value);
    }
    if let Err(error) = server.broker().commit(&mut sends) {
        tracing::debug!(%error, "the values of $SYS are not published");
    }
}
