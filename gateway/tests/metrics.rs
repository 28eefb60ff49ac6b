//! The contract of metrics: what a broker under use tells is what the table names, all of it and nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferromq_gateway::config::MqttConfig;
use ferromq_gateway::metrics::{Sources, render, table};
use ferromq_gateway::mqtt::{Access, Mqtt};
use ferromq_gateway::traffic::{Protocol, Traffic};
use ferromq_model::Millis;
use ferromq_protocol::code::RequestCode::*;
use ferromq_store::FlushMode;
use support::{Rig, heartbeat, pull_fields, send_fields};

/// Samples by name, each with its labels and its value.
type Samples = BTreeMap<String, Vec<(BTreeMap<String, String>, f64)>>;

fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once("=\"").unwrap();
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        });
        samples.entry(name.to_owned()).or_default().push((labels.collect(), value.parse().unwrap()));
    }
    samples
}

/// The value of the only sample of `name` that has `labels` among its own.
fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |of: &BTreeMap<String, String>| {
        labels.iter().all(|(name, value)| of.get(*name).is_some_and(|found| found == value))
    };
    let found: Vec<_> = samples.get(name).into_iter().flatten().filter(|(of, _)| has(of)).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].1
}

fn pass(rig: &Rig, span: Millis) {
    for _ in 0..span.0 / 1000 {
        rig.host.advance(Millis::secs(1));
        rig.broker.sample_stats();
    }
}

/// Sends, reads, sends back, gives up, and falls behind.
async fn used() -> Rig {
    let rig = Rig::new(FlushMode::Sync);
    rig.broker.sample_stats();
    let mut client = rig.connect();
    let beat = heartbeat("C", "T");
    assert_eq!(client.ask(HeartBeat.code(), &[], beat.as_bytes()).await.code, 0);
    assert_eq!(client.read().await.code, NotifyConsumerIdsChanged.code());
    for body in ["a", "b", "c"] {
        let sent = client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), body.as_bytes()).await;
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    let pulled = client.ask(PullMessage.code(), &pull_fields("T", "0", "4", "0"), b"").await;
    assert_eq!(pulled.code, 0, "{pulled:?}");
    for level in ["0", "-1"] {
        let back = [("offset", "0"), ("group", "G"), ("delayLevel", level)];
        assert_eq!(client.ask(ConsumerSendMsgBack.code(), &back, b"").await.code, 0);
    }
    for (topic, next) in [("T", "1"), ("%RETRY%G", "0")] {
        let commit = [("consumerGroup", "G"), ("topic", topic), ("queueId", "0"), ("commitOffset", next)];
        assert_eq!(client.ask(UpdateConsumerOffset.code(), &commit, b"").await.code, 0);
    }
    pass(&rig, Millis::secs(20));
    rig
}

fn scrape(rig: &Rig, traffic: &Arc<Traffic>) -> String {
    let (broker, traffic) = (rig.broker.clone(), Arc::clone(traffic));
    let access = Access::default();
    let mqtt = Mqtt::open(broker.clone(), MqttConfig::default(), access, Arc::clone(&traffic)).unwrap();
    render(&Sources {
        broker,
        mqtt: Some(mqtt),
        traffic,
        registered: tokio::sync::watch::channel(1).1,
        nameservers: 1,
    })
}

#[tokio::test]
async fn all_that_the_table_names_is_told_and_nothing_else() {
    let rig = used().await;
    let traffic = Arc::new(Traffic::default());
    let _connection = traffic.enter(Protocol::Remoting);
    let text = scrape(&rig, &traffic);
    let samples = parse(&text);
    let mut named = BTreeSet::new();
    for metric in table::all() {
        let names: Vec<String> = match metric.kind {
            table::Kind::Histogram => {
                ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", metric.name)).to_vec()
            }
            _ => vec![metric.name.to_owned()],
        };
        for name in names {
            let found = samples.get(&name).unwrap_or_else(|| panic!("{name} is not told:\n{text}"));
            for (labels, _) in found {
                let labels: BTreeSet<_> =
                    labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
                assert_eq!(labels, metric.labels.iter().copied().collect(), "labels of {name}");
            }
            named.insert(name);
        }
    }
    let unnamed: Vec<_> = samples.keys().filter(|name| !named.contains(*name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(series.insert(line.rsplit_once(' ').unwrap().0), "told twice: {line}");
    }
}

#[tokio::test]
async fn figures_are_those_of_what_happened() {
    let rig = used().await;
    let traffic = Arc::new(Traffic::default());
    let connections = [Protocol::Remoting, Protocol::Http, Protocol::Http].map(|of| traffic.enter(of));
    let samples = parse(&scrape(&rig, &traffic));
    let of = |name, labels: &[(&str, &str)]| value(&samples, name, labels);
    let (topic, group) = ([("topic", "T")], [("topic", "T"), ("group", "G")]);
    let official = [("topic", "T"), ("consumer_group", "G")];
    assert_eq!(of("rocketmq_messages_in_total", &topic), 3.0);
    assert_eq!(of("rocketmq_messages_out_total", &official), 3.0);
    assert_eq!(of("rocketmq_send_to_dlq_messages_total", &[("consumer_group", "G")]), 1.0);
    assert_eq!(of("rocketmq_producer_offset", &topic), 3.0);
    assert_eq!(of("rocketmq_topic_dlq_offset", &[("group", "G")]), 1.0);
    assert_eq!(of("rocketmq_producer_tps", &topic), 0.15, "three in twenty seconds");
    assert_eq!(of("rocketmq_consumer_tps", &group), 0.15);
    assert_eq!(of("rocketmq_consumer_lag_messages", &official), 2.0);
    assert_eq!(of("rocketmq_consumer_lag_latency", &official), 20_000.0);
    assert_eq!(of("ferromq_consumer_lag_seconds", &official), 20.0);
    let diff = [("topic", "T"), ("group", "G"), ("countOfOnlineConsumers", "1"), ("msgModel", "1")];
    assert_eq!(of("rocketmq_group_diff", &diff), 2.0);
    assert_eq!(of("rocketmq_group_get_latency_by_storetime", &group), 20_000.0);
    assert_eq!(of("rocketmq_consumer_offset", &group), 1.0);
    assert_eq!(of("rocketmq_group_count", &[("group", "G")]), 1.0);
    assert_eq!(of("rocketmq_producer_count", &[("group", "P")]), 1.0);
    assert_eq!(of("rocketmq_consumer_connections", &[("consume_mode", "push"), ("language", "java")]), 1.0);
    assert_eq!(of("ferromq_connections", &[("protocol", "http")]), 2.0);
    assert_eq!(of("ferromq_store_writable", &[]), 1.0);
    assert_eq!(of("ferromq_series_left_out", &[]), 0.0);
    assert_eq!(of("ferromq_reads_total", &[("outcome", "found")]), 1.0);
    for stage in ["decode", "queue", "append", "flush", "respond"] {
        assert_eq!(of("ferromq_stage_seconds_count", &[("stage", stage)]), 3.0, "{stage}");
    }
    assert_eq!(of("ferromq_stage_seconds_count", &[("stage", "replicate")]), 0.0);
    assert!(of("process_open_fds", &[]) > 0.0 && of("process_resident_memory_bytes", &[]) > 1e6);
    drop(connections);
    let samples = parse(&scrape(&rig, &traffic));
    assert_eq!(value(&samples, "ferromq_connections", &[("protocol", "http")]), 0.0);
    assert_eq!(value(&samples, "ferromq_connections_accepted_total", &[("protocol", "http")]), 2.0);
}
