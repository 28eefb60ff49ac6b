//! Metrics: what operators' tools read of a running broker.
//!
//! ```text
//! engines count ─▶ collect: one look at everything ─▶ sheet ─▶ Prometheus's text, or OTLP
//!                                                     └ only what the table names, and not too much of it
//! ```
//! Always true:
//! * counting on the way of messages is the engines' matter and costs a few relaxed additions a batch; everything here
//!   happens when somebody asks;
//! * what is told has a name and labels from [`table`], from which `docs/metrics.md` is printed;
//! * collecting reads records of the log, which may have to come from disk: callers are on a thread that may block.
//!
//! | file | what it is about |
//! |---|---|
//! | `table` | names, labels, meanings |
//! | `sheet` | figures of one look, and the limit on how many |
//! | `broker` | figures of the broker, under our names and RocketMQ 5's |
//! | `mqtt` | figures of MQTT |
//! | `exporter` | the same for dashboards of the official exporter |
//! | `process` | memory, files, processor |
//! | `text` | Prometheus's format |

mod broker;
mod exporter;
mod mqtt;
pub mod process;
pub mod sheet;
pub mod table;
pub mod text;

use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_protocol::frame::VERSION;
use tokio::sync::watch;

use crate::mqtt::Mqtt;
use crate::traffic::{Protocol, Traffic};
use sheet::{Family, MAX_SERIES, Sheet};

/// What there is to look at. Cheap handles.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The broker.
    pub broker: Broker,
    /// MQTT, if it is spoken.
    pub mqtt: Option<Mqtt>,
    /// Connections of all protocols.
    pub traffic: Arc<Traffic>,
    /// How many NameServers know the broker.
    pub registered: watch::Receiver<usize>,
    /// How many are to.
    pub nameservers: usize,
}

/// Looks at everything. Blocks.
#[must_use]
pub fn collect(from: &Sources) -> Vec<Family> {
    let Sources { broker, mqtt, traffic, registered, nameservers: _ } = from;
    let mut sheet = Sheet::default();
    // Light queues have topics of their own, one for each client.
    let mut topics: Vec<_> = broker.topics().all().into_iter().filter(|topic| !topic.is_light()).collect();
    topics.sort_by(|a, b| a.name().cmp(b.name()));
    broker::collect(broker, &topics, &mut sheet);
    exporter::collect(broker, &topics, &mut sheet);
    let (lags, left_out) = broker.lags(MAX_SERIES);
    sheet.leave_out(&table::LAG_MESSAGES, left_out as u64);
    let now = broker.store().now();
    broker::lags(broker, &lags, now, &mut sheet);
    exporter::lags(broker, &lags, now, &mut sheet);

    if let Some(mqtt) = mqtt {
        mqtt::collect(mqtt, &mut sheet);
    }
    for protocol in Protocol::ALL {
        sheet.put(&table::CONNECTIONS, &[protocol.name()], traffic.open(protocol));
        sheet.put(&table::ACCEPTED, &[protocol.name()], traffic.accepted(protocol));
    }
    sheet.put(&table::NAMESERVERS, &[], *registered.borrow());
    sheet.put(&table::BUILD, &[env!("CARGO_PKG_VERSION"), &VERSION.to_string()], 1u64);
    process::collect(&mut sheet);
    sheet.families()
}

/// Everything in Prometheus's text format. Blocks.
#[must_use]
pub fn render(from: &Sources) -> String {
    text::encode(&collect(from))
}
