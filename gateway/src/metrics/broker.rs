//! Figures of the broker and its store, under our own names and those that RocketMQ 5 gives its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferromq_broker::Broker;
use ferromq_broker::groups::is_system_group;
use ferromq_broker::inspect::Lag;
use ferromq_broker::stats::Stage;
use ferromq_broker::topics::Topic;
use ferromq_model::Timestamp;
use ferromq_model::name::is_system;
use ferromq_model::subscription::ConsumeType;

use super::sheet::{MAX_SERIES, Scope, Sheet};
use super::table;

/// What the labels `storage_type` and `storage_medium` say.
const STORAGE: [&str; 2] = ["local", "disk"];

/// Everything but lags.
pub(super) fn collect(broker: &Broker, topics: &[Arc<Topic>], sheet: &mut Sheet) {
    traffic(broker, sheet);
    store(broker, sheet);
    waiting(broker, sheet);
    let config = broker.config();
    let mut scope = sheet.scope(&[&config.cluster, "broker", &config.name]);
    official_store(broker, &mut scope);
    official_traffic(topics, &mut scope);
    clients(broker, &mut scope);
    scope.put(&table::TOPICS, &[], topics.len());
    scope.put(&table::GROUPS, &[], broker.groups().snapshot().groups.len());
    scope.put(&table::PERMISSION, &[], broker.permission().0);
}

fn traffic(broker: &Broker, sheet: &mut Sheet) {
    let (totals, stats) = (broker.totals(), broker.stats());
    sheet.put(&table::PUT, &[], totals.put);
    sheet.put(&table::PUT_BYTES, &[], totals.put_bytes);
    sheet.put(&table::PUT_FAILED, &[], stats.put_times.failures());
    sheet.put(&table::GOT, &[], totals.got);
    sheet.put(&table::GOT_BYTES, &[], totals.got_bytes);
    sheet.put(&table::READS, &["found"], totals.found);
    sheet.put(&table::READS, &["none"], totals.missed);
    sheet.put(&table::PUT_SECONDS, &[], stats.put_times.reading());
    for stage in Stage::ALL {
        sheet.put(&table::STAGE_SECONDS, &[stage.name()], stats.stages.reading(stage));
    }
}

fn store(broker: &Broker, sheet: &mut Sheet) {
    let store = broker.store();
    let log = store.stats();
    sheet.put(&table::LOG_START, &[], log.log_min.0);
    sheet.put(&table::LOG_END, &[], log.log_max.0);
    sheet.put(&table::FLUSH_SECONDS, &[], store.flush_times());
    sheet.put(&table::WRITABLE, &[], store.writable().is_ok());
    if let Ok(disks) = store.disk_usage() {
        for (of, disk) in [("log", disks.log), ("rest", disks.rest)] {
            sheet.put(&table::DISK_TOTAL, &[of], disk.total);
            sheet.put(&table::DISK_AVAILABLE, &[of], disk.available);
        }
    }
}

fn waiting(broker: &Broker, sheet: &mut Sheet) {
    let timers = broker.timer_stats();
    sheet.put(&table::TIMERS_WAITING, &[], timers.waiting);
    sheet.put(&table::TIMERS_UNREAD, &[], timers.unread);
    sheet.put(&table::TIMERS_BEHIND, &[], timers.behind.0 as f64 / 1000.0);
    sheet.put(&table::TIMERS_ENQUEUED, &[], timers.enqueued);
    sheet.put(&table::TIMERS_DELIVERED, &[], timers.delivered);
    sheet.put(&table::POPS_OUT, &[], broker.messages_out());
}

fn official_store(broker: &Broker, scope: &mut Scope<'_>) {
    let log = broker.store().stats();
    scope.put(&table::STORAGE_SIZE, &STORAGE, log.log_max.since(log.log_min));
    scope.put(&table::FLUSH_BEHIND, &STORAGE, log.log_max.since(log.flushed));
    scope.put(&table::DISPATCH_BEHIND, &STORAGE, log.index_behind);
    let kept = broker.store().earliest_time().map_or(0, |oldest| broker.store().now().since(oldest).0);
    scope.put(&table::RESERVE_TIME, &STORAGE, kept);
}

fn official_traffic(topics: &[Arc<Topic>], scope: &mut Scope<'_>) {
    for topic in topics {
        let name = topic.name().as_str();
        let (mut messages, mut bytes) = (0, 0);
        for (_, appended) in topic.appended() {
            messages += appended.messages;
            bytes += appended.bytes;
        }
        if messages > 0 {
            let labels = [name, yes(is_system(name))];
            scope.put(&table::MESSAGES_IN, &labels, messages);
            scope.put(&table::THROUGHPUT_IN, &labels, bytes);
        }
        for (group, stats) in topic.stats().groups() {
            let system = yes(is_system(name) || is_system_group(&group));
            let got = stats.got.reading();
            let labels = [name, &group, is_retry(topic), system];
            scope.put(&table::MESSAGES_OUT, &labels, got.messages);
            scope.put(&table::THROUGHPUT_OUT, &labels, got.bytes);
            let dead = stats.dead_letters.reading().messages;
            if dead > 0 {
                scope.put(&table::SENT_TO_DLQ, &[name, &group, system], dead);
            }
        }
    }
}

fn clients(broker: &Broker, scope: &mut Scope<'_>) {
    let mut producers: BTreeMap<(String, i32), u64> = BTreeMap::new();
    for member in broker.members().all_producers().into_values().flatten() {
        *producers.entry((member.client.language.to_lowercase(), member.client.version)).or_default() += 1;
    }
    for ((language, version), count) in producers {
        scope.put(&table::PRODUCERS, &[&language, &version.to_string(), "remoting"], count);
    }
    for group in broker.members().consumer_groups(MAX_SERIES) {
        let Some(of) = broker.members().consumer_group(&group) else { continue };
        let mut consumers: BTreeMap<(String, i32), u64> = BTreeMap::new();
        for member in of.members {
            *consumers.entry((member.client.language.to_lowercase(), member.client.version)).or_default() +=
                1;
        }
        let mode = match of.consume_type {
            ConsumeType::Actively => "pull",
            ConsumeType::Passively => "push",
            ConsumeType::Pop => "pop",
        };
        let system = yes(is_system_group(&group));
        for ((language, version), count) in consumers {
            let version = version.to_string();
            let labels = [&*group, &language, &version, mode, "remoting", system];
            scope.put(&table::CONSUMERS, &labels, count);
        }
    }
}

/// How far groups are behind.
pub(super) fn lags(broker: &Broker, lags: &[Lag], now: Timestamp, sheet: &mut Sheet) {
    let config = broker.config();
    let mut scope = sheet.scope(&[&config.cluster, "broker", &config.name]);
    for lag in lags {
        let name = lag.topic.name().as_str();
        let system = yes(is_system(name) || is_system_group(&lag.group));
        let labels = [name, &lag.group, is_retry(&lag.topic), system];
        scope.put(&table::LAG_MESSAGES, &labels, lag.messages);
        scope.put(&table::LAG_LATENCY, &labels, age(lag, now));
    }
    for lag in lags {
        let labels = [lag.topic.name().as_str(), &lag.group];
        sheet.put(&table::LAG_SECONDS, &labels, age(lag, now) as f64 / 1000.0);
    }
}

/// Milliseconds since the oldest message was stored that the group has not consumed.
pub(super) fn age(lag: &Lag, now: Timestamp) -> u64 {
    lag.since.map_or(0, |since| now.since(since).0)
}

fn is_retry(topic: &Topic) -> &'static str {
    yes(topic.name().retry_group().is_some())
}

fn yes(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}
