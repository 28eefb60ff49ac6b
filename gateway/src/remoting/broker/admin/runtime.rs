//! The broker's state and settings.
//!
//! The state is a table of texts whose names and forms tools rely on: they fail over one that is missing. What this broker
//! has no notion of, such as queues of thread pools, is 0.

use std::collections::BTreeMap;

use ferromq_broker::Broker;
use ferromq_broker::stats::Rates;
use ferromq_model::Millis;
use ferromq_model::config::properties;
use ferromq_protocol::body::KvTable;
use ferromq_protocol::body::stats::HaStatus;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::{Command, VERSION};
use ferromq_protocol::header::admin::VersionResponse;
use ferromq_store::host::DiskUsage;

use super::{Asker, Outcome, json, whole};
use crate::remoting::VERSION_NAME;
use crate::remoting::broker::codes;
use crate::remoting::broker::requests::blocking;
use crate::remoting::reply::Reply;

/// Seconds that the three numbers of a rate are averages over.
const RATE_SPANS: [usize; 3] = [10, 60, 600];
/// Things that this broker has none of.
const NOTHING: &[&str] = &[
    "EndTransactionQueueSize",
    "EndTransactionThreadPoolQueueCapacity",
    "ackThreadPoolQueueCapacity",
    "ackThreadPoolQueueHeadWaitTimeMills",
    "ackThreadPoolQueueSize",
    "dispatchMaxBuffer",
    "getMessageEntireTimeMax",
    "litePullThreadPoolQueueCapacity",
    "litePullThreadPoolQueueHeadWaitTimeMills",
    "litePullThreadPoolQueueSize",
    "pageCacheLockTimeMills",
    "pullThreadPoolQueueCapacity",
    "pullThreadPoolQueueHeadWaitTimeMills",
    "pullThreadPoolQueueSize",
    "queryThreadPoolQueueCapacity",
    "queryThreadPoolQueueHeadWaitTimeMills",
    "queryThreadPoolQueueSize",
    "sendThreadPoolQueueCapacity",
    "sendThreadPoolQueueHeadWaitTimeMills",
    "sendThreadPoolQueueSize",
    "startAcceptSendRequestTimeStamp",
];

/// How the broker is.
pub(super) fn state(broker: &Broker, asker: Asker) -> Outcome {
    let broker = broker.clone();
    blocking(asker, move || {
        let mut table = Table::default();
        NOTHING.iter().for_each(|name| table.put(name, 0));
        identity(&broker, &mut table);
        traffic(&broker, &mut table);
        store(&broker, &mut table);
        delays(&broker, &mut table);
        whole(&KvTable { table: table.0 })
    })
}

#[derive(Default)]
struct Table(BTreeMap<String, String>);

impl Table {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }
}

fn identity(broker: &Broker, table: &mut Table) {
    table.put("brokerVersionDesc", VERSION_NAME);
    table.put("brokerVersion", VERSION);
    table.put("brokerActive", true);
    table.put("bootTimestamp", broker.started());
    table.put("runtime", span(broker.store().now().since(broker.started())));
}

fn span(time: Millis) -> String {
    let seconds = time.0 / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    format!("[ {days} days, {} hours, {} minutes, {} seconds ]", hours % 24, minutes % 60, seconds % 60)
}

/// As Java writes a `double`: with a fraction in any case.
fn double(value: f64) -> String {
    format!("{value:?}")
}

fn traffic(broker: &Broker, table: &mut Table) {
    let stats = broker.stats();
    let rates = RATE_SPANS.map(|seconds| stats.rates(seconds));
    let mut rate = |name: &str, of: fn(&Rates) -> f64| {
        table.put(name, rates.each_ref().map(|rates| double(of(rates))).join(" "));
    };
    rate("putTps", |rates| rates.put);
    rate("getFoundTps", |rates| rates.found);
    rate("getMissTps", |rates| rates.missed);
    rate("getTotalTps", |rates| rates.found + rates.missed);
    // The second is what 4.x called it.
    rate("getTransferredTps", |rates| rates.got);
    rate("getTransferedTps", |rates| rates.got);

    let (now, mornings) = (broker.totals(), stats.mornings());
    table.put("msgPutTotalYesterdayMorning", mornings.yesterday.put);
    table.put("msgPutTotalTodayMorning", mornings.today.put);
    table.put("msgPutTotalTodayNow", now.put);
    table.put("msgGetTotalYesterdayMorning", mornings.yesterday.got);
    table.put("msgGetTotalTodayMorning", mornings.today.got);
    table.put("msgGetTotalTodayNow", now.got);
    table.put("putMessageTimesTotal", now.put);
    table.put("putMessageSizeTotal", now.put_bytes);
    table.put("putMessageAverageSize", double(now.put_bytes as f64 / now.put.max(1) as f64));

    let puts = stats.put_times.report();
    table.put("putMessageFailedTimes", puts.failed);
    table.put("putMessageEntireTimeMax", puts.longest.as_millis());
    table.put(
        "putMessageDistributeTime",
        puts.classes.map(|(class, count)| format!("{class}:{count} ")).concat(),
    );
    table.put("putLatency99", format!("{:.2}", puts.p99.as_secs_f64() * 1000.0));
    table.put("putLatency999", format!("{:.2}", puts.p999.as_secs_f64() * 1000.0));
}

fn store(broker: &Broker, table: &mut Table) {
    let store = broker.store();
    let log = store.stats();
    // An empty log begins nowhere.
    if log.log_max == log.log_min {
        table.put("commitLogMinOffset", -1);
    } else {
        table.put("commitLogMinOffset", log.log_min);
    }
    table.put("commitLogMaxOffset", log.log_max);
    table.put("dispatchBehindBytes", log.index_behind);
    table.put("remainHowManyDataToFlush", bytes(log.log_max.since(log.flushed)));
    // There is no pool of buffers between messages and the log: none can run short.
    table.put("remainTransientStoreBufferNumbs", i32::MAX);
    table.put("earliestMessageTimeStamp", store.earliest_time().map_or(-1, |time| time.0));
    // What cannot be told is -1, as in the reference.
    let (log_used, rest_used) = match store.disk_usage() {
        Ok(disks) => {
            let text =
                format!("Total : {}, Free : {}.", bytes(disks.rest.total), bytes(disks.rest.available));
            table.put("commitLogDirCapacity", text);
            (used(disks.log), used(disks.rest))
        }
        Err(_) => {
            table.put("commitLogDirCapacity", "");
            (-1.0, -1.0)
        }
    };
    table.put("commitLogDiskRatio", double(log_used));
    table.put(&format!("commitLogDiskRatio_{}", store.log_dir().display()), double(log_used));
    table.put("consumeQueueDiskRatio", double(rest_used));
}

/// The used share of a disk.
fn used(disk: DiskUsage) -> f64 {
    disk.total.saturating_sub(disk.available) as f64 / disk.total.max(1) as f64
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut count_in_unit = count as f64;
    let mut unit = None;
    for next in UNITS {
        if count_in_unit < 1024.0 {
            break;
        }
        count_in_unit /= 1024.0;
        unit = Some(next);
    }
    unit.map_or_else(|| format!("{count} B"), |unit| format!("{count_in_unit:.1} {unit}"))
}

fn delays(broker: &Broker, table: &mut Table) {
    for level in broker.delay_levels_used() {
        table.put(&format!("scheduleMessageOffset_{}", level.level), format!("{},{}", level.next, level.end));
    }
    let timers = broker.timer_stats();
    table.put("timerReadBehind", timers.behind.0 / 1000);
    table.put("timerOffsetBehind", timers.unread);
    table.put("timerCongestNum", timers.waiting);
    table.put("timerEnqueueTps", double(timers.enqueue_rate));
    table.put("timerDequeueTps", double(timers.deliver_rate));
}

/// Changes settings.
pub(super) fn change_settings(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let entries = properties::parse(request.body)
        .map_err(|error| Reply::error(ResponseCode::SystemError, format!("line {}: {error}", error.line)))?;
    let changes: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let broker = broker.clone();
    blocking(asker, move || match broker.change_settings(&changes) {
        Ok(()) => Reply::success(),
        Err(error) => codes::change(&error),
    })
}

/// How replication goes: this broker is a master without replicas.
pub(super) fn replication(broker: &Broker) -> Outcome {
    let end = broker.store().stats().log_max.0;
    json(&HaStatus { master: true, master_commit_log_max_offset: end, ..HaStatus::default() })
}

/// All settings.
pub(super) fn settings(broker: &Broker) -> Outcome {
    let (version, settings) = broker.settings();
    let text: String =
        settings.iter().map(|(key, value)| format!("{key}={}\n", properties::escape(value))).collect();
    let version = serde_json::to_string(&version).unwrap_or_default();
    Ok(Reply::success().with_fields(&VersionResponse { version: &version }).with_body(text).into())
}
