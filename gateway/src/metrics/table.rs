//! The table of all metrics: what each is called, which labels it has, what it says. `docs/metrics.md` is printed from it.
//!
//! Names and labels are a contract with the dashboards and alerts of users: they change with a word in the CHANGELOG only.

use std::fmt::Write as _;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows until the next start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in classes.
    Histogram,
}

impl Kind {
    /// Prometheus's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    lines: &'static [&'static str],
}

impl Metric {
    /// What it says, in one line.
    #[must_use]
    pub fn help(&self) -> String {
        self.lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// Who named a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We did.
    Ours,
    /// RocketMQ 5 has it of its own.
    RocketMq,
    /// The official exporter has it.
    Exporter,
}

/// Metrics that belong together.
#[derive(Debug)]
pub struct Section {
    /// Who named them.
    pub origin: Origin,
    /// What they are about.
    pub title: &'static str,
    /// What they have in common.
    pub about: &'static str,
    /// The metrics.
    pub metrics: &'static [&'static Metric],
}

/// What all metrics of a section are labelled with, and what one of them is besides.
macro_rules! labels {
    ([$($common:ident),*] [$($label:ident),*]) => { &[$(stringify!($common),)* $(stringify!($label)),*] };
}

macro_rules! metrics {
    ($($origin:ident $title:literal, $about:literal, $common:tt { $(
        $(#[doc = $line:literal])+
        $id:ident = $kind:ident $name:literal $labels:tt;
    )+ })+) => {
        $($(
            $(#[doc = $line])+
            pub static $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: labels!($common $labels),
                lines: &[$($line),+],
            };
        )+)+
        /// All metrics.
        pub static TABLE: &[Section] =
            &[$(Section { origin: Origin::$origin, title: $title, about: $about, metrics: &[$(&$id),+] }),+];
    };
}

metrics! {
    Ours "Traffic of the broker",
    "Rates come from counters by `rate(…[1m])`, percentiles from histograms by `histogram_quantile`.", [] {
        /// Messages stored since the start, also those that the broker stores for itself.
        PUT = Counter "ferromq_messages_put_total" [];
        /// Bytes of their records.
        PUT_BYTES = Counter "ferromq_bytes_put_total" [];
        /// Messages that the store refused.
        PUT_FAILED = Counter "ferromq_messages_refused_total" [];
        /// Messages handed out since the start.
        GOT = Counter "ferromq_messages_got_total" [];
        /// Bytes of their records.
        GOT_BYTES = Counter "ferromq_bytes_got_total" [];
        /// Reads of queues by consumers, by whether there was a message.
        READS = Counter "ferromq_reads_total" [outcome];
        /// How long messages took to be stored, with sync flush until the disk had them.
        PUT_SECONDS = Histogram "ferromq_put_seconds" [];
        /// How long sent messages took in each stage of their way. `decode`: reading the frame, checking, encoding
        /// the record; `queue`: waiting for those that came in the same read; `append`: storing them; `flush`: waiting
        /// for the disk, with sync flush; `replicate`: waiting for replicas, none yet as there is no replication;
        /// `respond`: until the answer was given to the system, of remoting only.
        STAGE_SECONDS = Histogram "ferromq_stage_seconds" [stage];
        /// Age of the oldest message that a group has not consumed; 0 if there is none.
        LAG_SECONDS = Gauge "ferromq_consumer_lag_seconds" [topic, consumer_group];
    }
    RocketMq "As RocketMQ 5 tells it",
    "Named and labelled as RocketMQ 5's own metrics are, without the labels `message_type` and `aggregation`.",
    [cluster, node_type, node_id] {
        /// Messages stored in a topic since the start.
        MESSAGES_IN = Counter "rocketmq_messages_in_total" [topic, is_system];
        /// Bytes of their records.
        THROUGHPUT_IN = Counter "rocketmq_throughput_in_total" [topic, is_system];
        /// Messages handed to a group since the start.
        MESSAGES_OUT = Counter "rocketmq_messages_out_total" [topic, consumer_group, is_retry, is_system];
        /// Bytes of their records.
        THROUGHPUT_OUT = Counter "rocketmq_throughput_out_total" [topic, consumer_group, is_retry, is_system];
        /// Messages of a group that were given up on since the start.
        SENT_TO_DLQ = Counter "rocketmq_send_to_dlq_messages_total" [topic, consumer_group, is_system];
        /// Messages that a group has not consumed.
        LAG_MESSAGES = Gauge "rocketmq_consumer_lag_messages" [topic, consumer_group, is_retry, is_system];
        /// Age of the oldest message that a group has not consumed, in milliseconds; 0 if there is none.
        LAG_LATENCY = Gauge "rocketmq_consumer_lag_latency" [topic, consumer_group, is_retry, is_system];
        /// Topics.
        TOPICS = Gauge "rocketmq_topic_number" [];
        /// Consumer groups.
        GROUPS = Gauge "rocketmq_consumer_group_number" [];
        /// Clients that produce.
        PRODUCERS = Gauge "rocketmq_producer_connections" [language, version, protocol_type];
        /// Clients that consume.
        CONSUMERS = Gauge "rocketmq_consumer_connections" [consumer_group, language, version, consume_mode, protocol_type, is_system];
        /// What clients may do: 2 is write, 4 is read, 6 is both.
        PERMISSION = Gauge "rocketmq_broker_permission" [];
        /// Bytes of messages that are kept.
        STORAGE_SIZE = Gauge "rocketmq_storage_size" [storage_type, storage_medium];
        /// Bytes that a power cut would lose; with sync flush none of them is acknowledged.
        FLUSH_BEHIND = Gauge "rocketmq_storage_flush_behind_bytes" [storage_type, storage_medium];
        /// Bytes of messages that cannot be found by key yet.
        DISPATCH_BEHIND = Gauge "rocketmq_storage_dispatch_behind_bytes" [storage_type, storage_medium];
        /// How long the oldest message is kept by now, in milliseconds.
        RESERVE_TIME = Gauge "rocketmq_storage_message_reserve_time" [storage_type, storage_medium];
    }
    Ours "Store",
    "", [] {
        /// Where the log begins, counted in bytes since the store was made.
        LOG_START = Gauge "ferromq_log_start_offset" [];
        /// Where the log ends.
        LOG_END = Gauge "ferromq_log_end_offset" [];
        /// How long flushes of the log took.
        FLUSH_SECONDS = Histogram "ferromq_flush_seconds" [];
        /// Whether messages are taken (1), or refused (0) because the disk is full or broken.
        WRITABLE = Gauge "ferromq_store_writable" [];
        /// Bytes that a file system holds: that of the log, and that of everything else.
        DISK_TOTAL = Gauge "ferromq_disk_total_bytes" [of];
        /// Bytes that are free of them.
        DISK_AVAILABLE = Gauge "ferromq_disk_available_bytes" [of];
    }
    Ours "Timers and pops",
    "", [] {
        /// Messages that wait for their time.
        TIMERS_WAITING = Gauge "ferromq_timers_waiting" [];
        /// Messages with a time that are in no slot yet.
        TIMERS_UNREAD = Gauge "ferromq_timers_unread" [];
        /// How far their delivery is behind the clock.
        TIMERS_BEHIND = Gauge "ferromq_timers_behind_seconds" [];
        /// Messages put into slots since the start.
        TIMERS_ENQUEUED = Counter "ferromq_timers_enqueued_total" [];
        /// Messages whose time came since the start.
        TIMERS_DELIVERED = Counter "ferromq_timers_delivered_total" [];
        /// Messages that are lent to consumers and not acknowledged.
        POPS_OUT = Gauge "ferromq_pops_out" [];
    }
    Ours "MQTT",
    "Only of a broker that speaks it. Its connections are among `ferromq_connections`.", [] {
        /// Sessions, by whether their client is `connected` or only `kept` for it.
        MQTT_SESSIONS = Gauge "ferromq_mqtt_sessions" [state];
        /// Subscriptions of all sessions.
        MQTT_SUBSCRIPTIONS = Gauge "ferromq_mqtt_subscriptions" [];
        /// Different filters that are subscribed to: each has a queue.
        MQTT_FILTERS = Gauge "ferromq_mqtt_filters" [];
        /// Groups of shared subscriptions.
        MQTT_SHARED_GROUPS = Gauge "ferromq_mqtt_shared_groups" [];
        /// Messages that clients published and that are stored.
        MQTT_RECEIVED = Counter "ferromq_mqtt_messages_received_total" [qos];
        /// Bytes of their payloads.
        MQTT_RECEIVED_BYTES = Counter "ferromq_mqtt_bytes_received_total" [qos];
        /// Messages that were sent to clients, also those that were sent again.
        MQTT_SENT = Counter "ferromq_mqtt_messages_sent_total" [qos];
        /// Bytes of their payloads.
        MQTT_SENT_BYTES = Counter "ferromq_mqtt_bytes_sent_total" [qos];
        /// Messages that a client was to have and was not sent. `expired`: it came too late; `too_large`: larger than the
        /// client takes; `queue_full`: more waited than `mqttMaxQueuedMessages`; `deleted`: the log no longer had it.
        MQTT_DROPPED = Counter "ferromq_mqtt_messages_dropped_total" [reason];
        /// CONNECTs that were refused, by the name of 5.0's reason code.
        MQTT_REFUSED = Counter "ferromq_mqtt_connects_refused_total" [reason];
        /// Retained messages.
        MQTT_RETAINED = Gauge "ferromq_mqtt_retained_messages" [];
        /// Bytes of their topics, properties and payloads.
        MQTT_RETAINED_BYTES = Gauge "ferromq_mqtt_retained_bytes" [];
        /// How long it took to write what sessions must not forget, with sync flush until the disk had it.
        MQTT_COMMIT_SECONDS = Histogram "ferromq_mqtt_commit_seconds" [];
    }
    Ours "Connections and the process",
    "Those called `process_…` have the names that all exporters share.", [] {
        /// Connections that are open.
        CONNECTIONS = Gauge "ferromq_connections" [protocol];
        /// Connections that were accepted since the start.
        ACCEPTED = Counter "ferromq_connections_accepted_total" [protocol];
        /// NameServers that know the broker.
        NAMESERVERS = Gauge "ferromq_nameservers_registered" [];
        /// Series that are not told because a metric would have more than 2,000. Which ones is left open.
        SERIES_LEFT_OUT = Gauge "ferromq_series_left_out" [];
        /// 1, with what this binary is.
        BUILD = Gauge "ferromq_build_info" [version, rocketmq_version];
        /// Seconds of processor time used.
        CPU = Counter "process_cpu_seconds_total" [];
        /// Bytes of memory in use, mapped files included.
        RESIDENT = Gauge "process_resident_memory_bytes" [];
        /// Bytes of address space.
        VIRTUAL = Gauge "process_virtual_memory_bytes" [];
        /// Open files and connections.
        OPEN_FDS = Gauge "process_open_fds" [];
        /// How many there may be.
        MAX_FDS = Gauge "process_max_fds" [];
        /// Threads.
        THREADS = Gauge "process_threads" [];
        /// When the process started, in seconds since 1970.
        STARTED = Gauge "process_start_time_seconds" [];
    }
    Exporter "As the official exporter tells it",
    "For dashboards made for `rocketmq-exporter`: the same names and labels for what this broker has. Rates are averages \
     over the last minute. `caddr` and `localaddr` are left out, as they would make a series of every address; so are \
     thread pools, which this broker has none of, and what consumers count of themselves.", [] {
        /// Messages stored in a topic each second.
        E_PRODUCER_TPS = Gauge "rocketmq_producer_tps" [cluster, broker, topic];
        /// Bytes of their records each second.
        E_PRODUCER_SIZE = Gauge "rocketmq_producer_message_size" [cluster, broker, topic];
        /// Messages ever stored in a topic.
        E_PRODUCER_OFFSET = Gauge "rocketmq_producer_offset" [cluster, broker, topic];
        /// Messages ever stored in a group's retry topic.
        E_RETRY_OFFSET = Gauge "rocketmq_topic_retry_offset" [cluster, broker, topic];
        /// Messages ever given up on for a group.
        E_DLQ_OFFSET = Gauge "rocketmq_topic_dlq_offset" [cluster, broker, group];
        /// Clients of a producer group.
        E_PRODUCER_COUNT = Gauge "rocketmq_producer_count" [cluster, broker, group];
        /// Messages handed to a group each second.
        E_CONSUMER_TPS = Gauge "rocketmq_consumer_tps" [cluster, broker, topic, group];
        /// Bytes of their records each second.
        E_CONSUMER_SIZE = Gauge "rocketmq_consumer_message_size" [cluster, broker, topic, group];
        /// Messages that a group has consumed of a topic.
        E_CONSUMER_OFFSET = Gauge "rocketmq_consumer_offset" [cluster, broker, topic, group];
        /// Messages that a group sent back each second, to have them again.
        E_SEND_BACK = Gauge "rocketmq_send_back_nums" [cluster, broker, topic, group];
        /// Messages that a group has not consumed.
        E_GROUP_DIFF = Gauge "rocketmq_group_diff" [group, topic, countOfOnlineConsumers, msgModel];
        /// The same of its retry topic.
        E_GROUP_RETRY_DIFF = Gauge "rocketmq_group_retrydiff" [group, topic, countOfOnlineConsumers, msgModel];
        /// Consumers of a group that are connected.
        E_GROUP_COUNT = Gauge "rocketmq_group_count" [group];
        /// Age of the oldest message that a group has not consumed, in milliseconds.
        E_GROUP_LATENCY = Gauge "rocketmq_group_get_latency_by_storetime" [cluster, broker, topic, group];
        /// Messages stored each second.
        E_BROKER_TPS = Gauge "rocketmq_broker_tps" [cluster, brokerIP, broker];
        /// Messages handed out each second.
        E_BROKER_QPS = Gauge "rocketmq_broker_qps" [cluster, brokerIP, broker];
    }
    Exporter "The broker's state, as the official exporter tells it",
    "", [cluster, brokerIP, brokerHost, des, boottime, broker_version] {
        /// Messages stored since the start.
        E_PUT_NOW = Gauge "rocketmq_brokeruntime_msg_put_total_today_now" [];
        /// Messages handed out since the start.
        E_GET_NOW = Gauge "rocketmq_brokeruntime_msg_gettotal_today_now" [];
        /// Messages stored until this morning.
        E_PUT_MORNING = Gauge "rocketmq_brokeruntime_msg_puttotal_todaymorning" [];
        /// Messages handed out until this morning.
        E_GET_MORNING = Gauge "rocketmq_brokeruntime_msg_gettotal_todaymorning" [];
        /// Messages stored until the morning before.
        E_PUT_YESTERDAY = Gauge "rocketmq_brokeruntime_msg_puttotal_yesterdaymorning" [];
        /// Messages handed out until the morning before.
        E_GET_YESTERDAY = Gauge "rocketmq_brokeruntime_msg_gettotal_yesterdaymorning" [];
        /// Messages stored since the start.
        E_PUT_TIMES = Gauge "rocketmq_brokeruntime_putmessage_times_total" [];
        /// Bytes of their records.
        E_PUT_SIZE = Gauge "rocketmq_brokeruntime_put_message_size_total" [];
        /// Bytes of one record, on average.
        E_PUT_AVERAGE = Gauge "rocketmq_brokeruntime_put_message_average_size" [];
        /// The longest that a message took to be stored, in milliseconds.
        E_PUT_LONGEST = Gauge "rocketmq_brokeruntime_putmessage_entire_time_max" [];
        /// What 99 % of the last minute's messages took at most to be stored, in milliseconds.
        E_PUT_P99 = Gauge "rocketmq_brokeruntime_put_latency_99" [];
        /// What 99.9 % took at most.
        E_PUT_P999 = Gauge "rocketmq_brokeruntime_put_latency_999" [];
        /// Messages stored each second, over ten seconds.
        E_PUT_TPS10 = Gauge "rocketmq_brokeruntime_put_tps10" [];
        /// Messages stored each second, over a minute.
        E_PUT_TPS60 = Gauge "rocketmq_brokeruntime_put_tps60" [];
        /// Messages stored each second, over ten minutes.
        E_PUT_TPS600 = Gauge "rocketmq_brokeruntime_put_tps600" [];
        /// Messages handed out each second, over ten seconds.
        E_OUT_TPS10 = Gauge "rocketmq_brokeruntime_gettransfered_tps10" [];
        /// Messages handed out each second, over a minute.
        E_OUT_TPS60 = Gauge "rocketmq_brokeruntime_gettransfered_tps60" [];
        /// Messages handed out each second, over ten minutes.
        E_OUT_TPS600 = Gauge "rocketmq_brokeruntime_gettransfered_tps600" [];
        /// Reads that found messages each second, over ten seconds.
        E_FOUND_TPS10 = Gauge "rocketmq_brokeruntime_getfound_tps10" [];
        /// Reads that found messages each second, over a minute.
        E_FOUND_TPS60 = Gauge "rocketmq_brokeruntime_getfound_tps60" [];
        /// Reads that found messages each second, over ten minutes.
        E_FOUND_TPS600 = Gauge "rocketmq_brokeruntime_getfound_tps600" [];
        /// Reads that found nothing each second, over ten seconds.
        E_MISS_TPS10 = Gauge "rocketmq_brokeruntime_getmiss_tps10" [];
        /// Reads that found nothing each second, over a minute.
        E_MISS_TPS60 = Gauge "rocketmq_brokeruntime_getmiss_tps60" [];
        /// Reads that found nothing each second, over ten minutes.
        E_MISS_TPS600 = Gauge "rocketmq_brokeruntime_getmiss_tps600" [];
        /// All reads each second, over ten seconds.
        E_GET_TPS10 = Gauge "rocketmq_brokeruntime_gettotal_tps10" [];
        /// All reads each second, over a minute.
        E_GET_TPS60 = Gauge "rocketmq_brokeruntime_gettotal_tps60" [];
        /// All reads each second, over ten minutes.
        E_GET_TPS600 = Gauge "rocketmq_brokeruntime_gettotal_tps600" [];
        /// Bytes of messages that cannot be found by key yet.
        E_BEHIND = Gauge "rocketmq_brokeruntime_dispatch_behind_bytes" [];
        /// Bytes that wait to be flushed.
        E_TO_FLUSH = Gauge "rocketmq_brokeruntime_remain_howmanydata_toflush" [];
        /// Where the log begins.
        E_LOG_MIN = Gauge "rocketmq_brokeruntime_commitlog_minoffset" [];
        /// Where the log ends.
        E_LOG_MAX = Gauge "rocketmq_brokeruntime_commitlog_maxoffset" [];
        /// When the oldest message was stored, in milliseconds since 1970; -1 if there is none.
        E_EARLIEST = Gauge "rocketmq_brokeruntime_earliest_message_timestamp" [];
        /// The used share of the log's file system, from 0 to 1.
        E_LOG_DISK = Gauge "rocketmq_brokeruntime_commitlog_disk_ratio" [];
        /// The used share of the file system of everything else.
        E_QUEUE_DISK = Gauge "rocketmq_brokeruntime_consumequeue_disk_ratio" [];
        /// Bytes that the store's file system holds.
        E_CAPACITY = Gauge "rocketmq_brokeruntime_commitlogdir_capacity_total" [];
        /// Bytes that are free of them.
        E_FREE = Gauge "rocketmq_brokeruntime_commitlogdir_capacity_free" [];
        /// Messages of the last minute that were stored within a millisecond.
        E_PMDT_0 = Gauge "rocketmq_brokeruntime_pmdt_0ms" [];
        /// The same within 10 ms, and not faster than the one before; so on below.
        E_PMDT_10 = Gauge "rocketmq_brokeruntime_pmdt_0to10ms" [];
        /// Within 50 ms.
        E_PMDT_50 = Gauge "rocketmq_brokeruntime_pmdt_10to50ms" [];
        /// Within 100 ms.
        E_PMDT_100 = Gauge "rocketmq_brokeruntime_pmdt_50to100ms" [];
        /// Within 200 ms.
        E_PMDT_200 = Gauge "rocketmq_brokeruntime_pmdt_100to200ms" [];
        /// Within 500 ms.
        E_PMDT_500 = Gauge "rocketmq_brokeruntime_pmdt_200to500ms" [];
        /// Within a second.
        E_PMDT_1S = Gauge "rocketmq_brokeruntime_pmdt_500to1s" [];
        /// Within two seconds.
        E_PMDT_2S = Gauge "rocketmq_brokeruntime_pmdt_1to2s" [];
        /// Within three seconds.
        E_PMDT_3S = Gauge "rocketmq_brokeruntime_pmdt_2to3s" [];
        /// Within four seconds.
        E_PMDT_4S = Gauge "rocketmq_brokeruntime_pmdt_3to4s" [];
        /// Within five seconds.
        E_PMDT_5S = Gauge "rocketmq_brokeruntime_pmdt_4to5s" [];
        /// Within ten seconds.
        E_PMDT_10S = Gauge "rocketmq_brokeruntime_pmdt_5to10s" [];
        /// Later.
        E_PMDT_MORE = Gauge "rocketmq_brokeruntime_pmdt_10stomore" [];
    }
}

/// All metrics, one by one.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    TABLE.iter().flat_map(|section| section.metrics.iter().copied())
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Printed from the tables in the code by `cargo xtask docs`; edit those. -->

`GET /metrics` on the HTTP port answers in Prometheus's text format. Names and labels on this page are kept: a change is
announced in the CHANGELOG. Counters start at 0 with the process. A metric has at most 2,000 series; how many had to be
left out is a metric of its own. Histograms count in classes that end at 1, 2.5 and 5 times powers of ten, from 500 ns to
10 s.

A dashboard for Grafana and alerting rules for Prometheus lie in `deploy/`.
";

/// The page `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in TABLE {
        let _ = write!(page, "\n## {}\n\n", section.title);
        if !section.about.is_empty() {
            let _ = write!(page, "{}\n\n", section.about);
        }
        page.push_str("| name | type | labels | what it says |\n|---|---|---|---|\n");
        for metric in section.metrics {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (kind, labels) = (metric.kind.name(), labels.join(", "));
            let _ = writeln!(page, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_such_as_prometheus_takes() {
        let mut seen = BTreeSet::new();
        let is_name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        for metric in all() {
            assert!(seen.insert(metric.name), "{} is there twice", metric.name);
            assert!(is_name(metric.name) && metric.labels.iter().all(|label| is_name(label)), "{metric:?}");
            let labels: BTreeSet<_> = metric.labels.iter().collect();
            assert_eq!(labels.len(), metric.labels.len(), "{metric:?}");
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total") && metric.kind != Kind::Gauge
            );
            assert!(metric.help().ends_with(['.', ')']), "{metric:?}");
        }
    }
}
