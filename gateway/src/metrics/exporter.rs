//! The figures that dashboards made for the official `rocketmq-exporter` show, under its names and labels.
//!
//! The exporter asks brokers by remoting and works some figures out itself; what it would find out of this broker stands
//! here. One thing is told as it is meant instead: bytes, where the exporter loses the unit of the broker's answer.

use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_broker::inspect::Lag;
use ferromq_broker::stats::{Amount, Counter, Period, Rates, Series};
use ferromq_broker::topics::Topic;
use ferromq_model::Timestamp;
use ferromq_model::name::DLQ_PREFIX;
use ferromq_model::subscription::MessageModel;
use ferromq_protocol::frame::VERSION;
use ferromq_store::host::DiskUsage;

use super::broker::age;
use super::sheet::{MAX_SERIES, Scope, Sheet};
use super::table::{self, Metric};
use crate::remoting::VERSION_NAME;

/// Everything but lags.
pub(super) fn collect(broker: &Broker, topics: &[Arc<Topic>], sheet: &mut Sheet) {
    let config = broker.config();
    let host = broker.store_host().to_string();
    let mut scope = sheet.scope(&[&config.cluster, &host, &config.name]);
    scope.put(&table::E_BROKER_TPS, &[], rate(broker.stats().puts(), Amount::Messages));
    scope.put(&table::E_BROKER_QPS, &[], rate(broker.stats().got.series(), Amount::Messages));

    let mut scope = sheet.scope(&[&config.cluster, &config.name]);
    for topic in topics {
        of_topic(broker, topic, &mut scope);
    }
    for (group, members) in broker.members().all_producers() {
        scope.put(&table::E_PRODUCER_COUNT, &[group.as_str()], members.len());
    }
    for group in broker.members().consumer_groups(MAX_SERIES) {
        sheet.put(&table::E_GROUP_COUNT, &[&group], broker.members().consumer_ids(&group).len());
    }
    let (started, version) = (broker.started().to_string(), VERSION.to_string());
    let labels = [&*config.cluster, &host, "", VERSION_NAME, &started, &version];
    state(broker, &mut sheet.scope(&labels));
}

/// The average of a second of the last minute.
fn rate(series: Option<Series>, amount: Amount) -> f64 {
    series.map_or(0.0, |series| series.figures(Period::Minute, amount).per_second)
}

fn of_topic(broker: &Broker, topic: &Topic, scope: &mut Scope<'_>) {
    let name = topic.name().as_str();
    let ever: u64 = broker.store().queues_of(name).iter().map(|queue| queue.max().0).sum();
    if let Some(group) = name.strip_prefix(DLQ_PREFIX) {
        scope.put(&table::E_DLQ_OFFSET, &[group], ever);
        return;
    }
    if topic.name().retry_group().is_some() {
        scope.put(&table::E_RETRY_OFFSET, &[name], ever);
    } else {
        scope.put(&table::E_PRODUCER_OFFSET, &[name], ever);
        if let Some(puts) = topic.stats().puts() {
            scope.put(&table::E_PRODUCER_TPS, &[name], rate(Some(puts.clone()), Amount::Messages));
            scope.put(&table::E_PRODUCER_SIZE, &[name], rate(Some(puts), Amount::Bytes));
        }
    }
    for (group, stats) in topic.stats().groups() {
        let mut put = |metric: &'static Metric, counter: &Counter, amount| {
            if let Some(series) = counter.series() {
                scope.put(metric, &[name, &group], rate(Some(series), amount));
            }
        };
        put(&table::E_CONSUMER_TPS, &stats.got, Amount::Messages);
        put(&table::E_CONSUMER_SIZE, &stats.got, Amount::Bytes);
        put(&table::E_SEND_BACK, &stats.sent_back, Amount::Messages);
    }
}

/// How far groups are behind.
pub(super) fn lags(broker: &Broker, lags: &[Lag], now: Timestamp, sheet: &mut Sheet) {
    let config = broker.config();
    for lag in lags {
        let topic = lag.topic.name().as_str();
        if topic.starts_with(DLQ_PREFIX) {
            continue;
        }
        let mut scope = sheet.scope(&[&config.cluster, &config.name]);
        scope.put(&table::E_CONSUMER_OFFSET, &[topic, &lag.group], lag.next);
        let model = broker.members().model_of(&lag.group).unwrap_or(MessageModel::Clustering);
        if model == MessageModel::Broadcasting {
            continue;
        }
        scope.put(&table::E_GROUP_LATENCY, &[topic, &lag.group], age(lag, now));
        let metric = match lag.topic.name().retry_group() {
            Some(_) => &table::E_GROUP_RETRY_DIFF,
            None => &table::E_GROUP_DIFF,
        };
        let members = broker.members().consumer_ids(&lag.group).len().to_string();
        // The number of the model in the reference's list of them.
        sheet.put(metric, &[&lag.group, topic, &members, "1"], lag.messages);
    }
}

/// What the broker tells of its state.
fn state(broker: &Broker, scope: &mut Scope<'_>) {
    let (now, stats) = (broker.totals(), broker.stats());
    let mornings = stats.mornings();
    scope.put(&table::E_PUT_NOW, &[], now.put);
    scope.put(&table::E_GET_NOW, &[], now.got);
    scope.put(&table::E_PUT_MORNING, &[], mornings.today.put);
    scope.put(&table::E_GET_MORNING, &[], mornings.today.got);
    scope.put(&table::E_PUT_YESTERDAY, &[], mornings.yesterday.put);
    scope.put(&table::E_GET_YESTERDAY, &[], mornings.yesterday.got);
    scope.put(&table::E_PUT_TIMES, &[], now.put);
    scope.put(&table::E_PUT_SIZE, &[], now.put_bytes);
    scope.put(&table::E_PUT_AVERAGE, &[], now.put_bytes as f64 / now.put.max(1) as f64);
    rates(broker, scope);
    put_times(broker, scope);

    let log = broker.store().stats();
    scope.put(&table::E_BEHIND, &[], log.index_behind);
    scope.put(&table::E_TO_FLUSH, &[], log.log_max.since(log.flushed));
    scope.put(&table::E_LOG_MIN, &[], log.log_min.0);
    scope.put(&table::E_LOG_MAX, &[], log.log_max.0);
    scope.put(&table::E_EARLIEST, &[], broker.store().earliest_time().map_or(-1, |time| time.0));
    if let Ok(disks) = broker.store().disk_usage() {
        let used =
            |disk: DiskUsage| disk.total.saturating_sub(disk.available) as f64 / disk.total.max(1) as f64;
        scope.put(&table::E_LOG_DISK, &[], used(disks.log));
        scope.put(&table::E_QUEUE_DISK, &[], used(disks.rest));
        scope.put(&table::E_CAPACITY, &[], disks.rest.total);
        scope.put(&table::E_FREE, &[], disks.rest.available);
    }
}

fn rates(broker: &Broker, scope: &mut Scope<'_>) {
    let [ten, minute, long] = [10, 60, 600].map(|seconds| broker.stats().rates(seconds));
    type Of = fn(&Rates) -> f64;
    let rows: [(Of, [&'static Metric; 3]); 5] = [
        (|rates| rates.put, [&table::E_PUT_TPS10, &table::E_PUT_TPS60, &table::E_PUT_TPS600]),
        (|rates| rates.got, [&table::E_OUT_TPS10, &table::E_OUT_TPS60, &table::E_OUT_TPS600]),
        (|rates| rates.found, [&table::E_FOUND_TPS10, &table::E_FOUND_TPS60, &table::E_FOUND_TPS600]),
        (|rates| rates.missed, [&table::E_MISS_TPS10, &table::E_MISS_TPS60, &table::E_MISS_TPS600]),
        (
            |rates| rates.found + rates.missed,
            [&table::E_GET_TPS10, &table::E_GET_TPS60, &table::E_GET_TPS600],
        ),
    ];
    for (of, metrics) in rows {
        for (metric, rates) in metrics.into_iter().zip([&ten, &minute, &long]) {
            scope.put(metric, &[], of(rates));
        }
    }
}

fn put_times(broker: &Broker, scope: &mut Scope<'_>) {
    let report = broker.stats().put_times.report();
    scope.put(&table::E_PUT_LONGEST, &[], report.longest.as_millis() as u64);
    scope.put(&table::E_PUT_P99, &[], report.p99.as_secs_f64() * 1000.0);
    scope.put(&table::E_PUT_P999, &[], report.p999.as_secs_f64() * 1000.0);
    let classes: [&'static Metric; 13] = [
        &table::E_PMDT_0,
        &table::E_PMDT_10,
        &table::E_PMDT_50,
        &table::E_PMDT_100,
        &table::E_PMDT_200,
        &table::E_PMDT_500,
        &table::E_PMDT_1S,
        &table::E_PMDT_2S,
        &table::E_PMDT_3S,
        &table::E_PMDT_4S,
        &table::E_PMDT_5S,
        &table::E_PMDT_10S,
        &table::E_PMDT_MORE,
    ];
    for (metric, (_, count)) in classes.into_iter().zip(report.classes) {
        scope.put(metric, &[], count);
    }
}
