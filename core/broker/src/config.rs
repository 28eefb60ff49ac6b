//! The broker engine's settings: who it is, what it creates by itself, and how often it saves what it knows.
//!
//! Names, defaults and units are RocketMQ's.

use ferromq_model::config::Secs;
use ferromq_model::delay::DelayLevels;
use ferromq_model::topic::Permission;
use ferromq_model::{ByteSize, Millis, config_enum, config_keys};

use crate::assignment::RequestMode;

config_enum! {
    /// The part that a broker plays in replication. RocketMQ's other roles are refused rather than ignored: a
    /// `SLAVE` that served as a second master, or a `SYNC_MASTER` that did not wait, would break a promise.
    pub enum BrokerRole {
        /// Takes messages and waits for no replica.
        Master = "ASYNC_MASTER",
    }
}

config_keys! {
    /// The broker: who it is, what it creates by itself, and how often it saves what it knows.
    pub struct BrokerConfig {
        /// The cluster that the broker says it belongs to.
        "brokerClusterName" => cluster: String = "DefaultCluster".to_owned(), Restart;
        /// The broker's name, unique among the masters of a cluster.
        "brokerName" => name: String = host_name() => "the host name", Restart;
        /// 0 for a master.
        "brokerId" => id: u64 = 0, Restart;
        /// Its part in replication. `SYNC_MASTER` and `SLAVE` are refused: there is no replication yet.
        "brokerRole" => role: BrokerRole = BrokerRole::Master, Restart;
        /// What clients may do on this broker. Without write permission it drains.
        "brokerPermission" => permission: Permission = Permission::READ_WRITE, Live;

        /// Whether a send to an unknown topic creates it, with the settings of the topic `TBW102`.
        "autoCreateTopicEnable" => auto_create_topics: bool = true, Live;
        /// The most queues that such a topic gets; clients ask for 4 unless told otherwise.
        "defaultTopicQueueNums" => default_queues: u32 = 8, Restart, in 1..=1_024;
        /// Whether an unknown consumer group is created when it first asks.
        "autoCreateSubscriptionGroup" => auto_create_groups: bool = true, Live;
        /// Whether the topic with the cluster's name exists.
        "clusterTopicEnable" => cluster_topic: bool = true, Restart;
        /// Whether the topic with the broker's name exists.
        "brokerTopicEnable" => broker_topic: bool = true, Restart;
        /// Whether the topic `msgTraceTopicName` exists, to which clients send their traces.
        "traceTopicEnable" => trace_topic: bool = false, Restart;
        /// The name of that topic.
        "msgTraceTopicName" => trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".to_owned(), Restart;
        /// Told to clients with every send answer, for their traces.
        "regionId" => region: String = "DefaultRegion".to_owned(), Restart;
        /// Told to clients with every send answer: whether they are to trace.
        "traceOn" => trace_on: bool = true, Restart;

        /// The most topic filters that MQTT's subscribers hold at once; each has a queue of its own.
        "mqttMaxFilters" => max_topic_filters: u32 = 1_000_000, Restart, in 1..=10_000_000;
        /// Whether messages of the topics `{first}/p2p/{client}` go to the MQTT client of that identifier alone, which has them
        /// without a subscription, and to no other subscriber. Each MQTT session then holds a topic filter of its own.
        "mqttPointToPoint" => mqtt_point_to_point: bool = false, Restart;

        /// Whether a pull that finds nothing is held open until a message arrives, for as long as its client asks.
        /// Otherwise it is held for `shortPollingTimeMills`.
        "longPollingEnable" => long_polling: bool = true, Live;
        /// How long a pull is held open without long polling.
        "shortPollingTimeMills" => short_polling: Millis = Millis::secs(1), Live,
            in Millis(1)..=Millis::secs(30);
        /// Whether the members of a group are told at once when one joins or leaves.
        "notifyConsumerIdsChangedEnable" => notify_group_changes: bool = true, Live;
        /// How long a client may be silent before it counts as gone.
        "channelExpiredTimeout" => client_timeout: Millis = Millis::mins(2), Live,
            in Millis::secs(1)..=Millis::hours(24);
        /// How groups are moved when an operator resets their offsets: by the next pull of each queue, or by telling all
        /// members at once, who must be there then.
        "useServerSideResetOffset" => server_side_reset: bool = true, Restart;
        /// Whether replies to requests are stored beside being handed to who waits for them.
        "storeReplyMessageEnable" => store_replies: bool = true, Restart;

        /// Whether consumers may filter by properties, with SQL92 expressions. RocketMQ's default is `false`, and a
        /// consumer that asks for it does not start there; here what it costs is paid by those pulls alone.
        "enablePropertyFilter" => property_filter: bool = true, Restart;
        /// Whether the SQL92 expression of a subscription to a group's retry topic stands for those of the topics that
        /// its messages came from. Clients subscribe to their retry topic without an expression, and are not concerned.
        "filterSupportRetry" => filter_retries: bool = false, Restart;
        /// Whether transactional messages are refused.
        "rejectTransactionMessage" => reject_transactions: bool = false, Restart;
        /// How old an undecided transaction is when its producer is first asked.
        "transactionTimeOut" => transaction_timeout: Millis = Millis::secs(6), Restart,
            in Millis(0)..=Millis::hours(24);
        /// How often producers are asked about undecided transactions.
        "transactionCheckInterval" => transaction_check_interval: Millis = Millis::secs(30), Restart,
            in Millis(100)..=Millis::hours(24);
        /// How often the producer of one transaction is asked. After that its message goes to the topic
        /// `TRANS_CHECK_MAX_TIME_TOPIC`, where an operator may look at it.
        "transactionCheckMax" => transaction_check_max: u32 = 15, Restart, in 1..=1_000_000;
        /// How long the ends of transactions are collected before they are written down together.
        "transactionOpBatchInterval" => transaction_op_interval: Millis = Millis::secs(3), Restart,
            in Millis(1)..=Millis::mins(10);
        /// Bytes of such a note from which on it is written at once.
        "transactionOpMsgMaxSize" => transaction_op_size: ByteSize = ByteSize::kib(4), Restart,
            in ByteSize(1)..=ByteSize::kib(256);

        /// How many queues the topic has that notes which popped messages are not acknowledged.
        "reviveQueueNum" => revive_queues: u32 = 8, Restart, in 1..=256;
        /// How often popped messages are looked for whose time is over, and progress of pops is noted.
        "reviveInterval" => revive_interval: Millis = Millis::secs(1), Restart, in Millis(10)..=Millis::mins(1);
        /// Whether popped messages come again in `%RETRY%<group>+<topic>`, which cannot be mistaken for another pair's,
        /// rather than in `%RETRY%<group>_<topic>`.
        "enableRetryTopicV2" => retry_topic_v2: bool = false, Restart;
        /// With `enableRetryTopicV2`, whether messages are popped from the other form of retry topics, too.
        "retrieveMessageFromPopRetryTopicV1" => drain_retry_topic_v1: bool = true, Restart;
        /// In percent, how many pops look for messages that come again before they look for others, rather than behind.
        "popFromRetryProbability" => pop_from_retry_probability: u32 = 20, Restart, in 0..=100;
        /// Whether popped messages that come again carry the name of their retry topic rather than of their own.
        "popResponseReturnActualRetryTopic" => pop_returns_retry_topic: bool = false, Restart;
        /// Whether a group that pops from the newest message on begins at the oldest of a queue that is as young as this
        /// memory.
        "initPopOffsetByCheckMsgInMem" => init_pop_offset_by_memory: bool = true, Restart;
        /// Whether a queue gives out nothing more to a group that has more than `popInflightMessageThreshold` messages of
        /// it that are not acknowledged.
        "enablePopMessageThreshold" => limit_pops: bool = false, Restart;
        /// How many messages that are.
        "popInflightMessageThreshold" => pop_limit: u32 = 10_000, Restart, in 1..=1_000_000;
        /// The most pops of a group that wait on the same queue, or on any of a topic.
        "popPollingSize" => max_waiting_pops_a_queue: u32 = 1024, Restart, in 1..=1_000_000;
        /// The most pops that wait in all.
        "maxPopPollingSize" => max_waiting_pops: u32 = 100_000, Restart, in 1..=10_000_000;

        /// Whether a member that asks which queues it gets is told its share, rather than all.
        "serverLoadBalancerEnable" => server_load_balancer: bool = true, Restart;
        /// Whether a group for which nothing else is set pulls or pops, where its members ask.
        "defaultMessageRequestMode" => request_mode: RequestMode = RequestMode::Pull, Restart;
        /// With `POP`, how many of the members behind it each member shares queues with; -1 for all.
        "defaultPopShareQueueNum" => pop_share: i32 = -1, Restart;

        /// The spans that `DELAY` levels stand for, from level 1 on.
        "messageDelayLevel" => delay_levels: DelayLevels = DelayLevels::default(), Restart;
        /// How often the progress of delayed delivery is saved.
        "flushDelayOffsetInterval" => delay_offset_interval: Millis = Millis::secs(10), Restart,
            in Millis(100)..=Millis::hours(1);
        /// Whether messages may ask for a delivery time of their own (`TIMER_DELIVER_MS`, `TIMER_DELAY_MS`,
        /// `TIMER_DELAY_SEC`).
        "timerWheelEnable" => timers: bool = true, Restart;
        /// How exact delivery times are kept: 100, 200, 500 or 1000; another value counts as the next lower of them.
        "timerPrecisionMs" => timer_precision: Millis = Millis::secs(1), Restart,
            in Millis(100)..=Millis::mins(1);
        /// How far ahead a delivery time may lie, in seconds.
        "timerMaxDelaySec" => timer_max_delay: Secs = Secs(259_200), Restart, in Secs(1)..=Secs(31_536_000);
        /// How many precision units ahead messages wait in the wheel; those due later are put back once or more on their
        /// way. Outside of 2 to 604740 it is 604740.
        "timerRollWindowSlot" => timer_roll_window: u32 = 172_800, Restart;
        /// How often the progress of timers is made durable: what is delivered between that and a crash has to be
        /// recognised in the log when the broker starts again.
        "timerFlushIntervalMs" => timer_flush_interval: Millis = Millis::secs(1), Restart,
            in Millis(10)..=Millis::mins(1);
        /// Bytes per file of the timer log.
        "mappedFileSizeTimerLog" => timer_log_file_size: ByteSize = ByteSize::mib(100), NewStore,
            in ByteSize::kib(1)..=ByteSize::mib(2047);
        /// Messages of one precision unit from which on more are refused: some of them at first, all of them from twice
        /// as many on.
        "timerCongestNumEachSlot" => timer_congestion: u32 = i32::MAX as u32, Restart, in 1..=i32::MAX as u32;
        /// Whether a timer message may be taken back before it is delivered. RocketMQ's default is `false`. Nothing is
        /// opened by this: taking one back needs the handle that its sender was given, and writing to its topic.
        "recallMessageEnable" => recall: bool = true, Restart;
        /// Whether messages may be taken back on a broker that takes no messages.
        "allowRecallWhenBrokerNotWriteable" => recall_when_not_writable: bool = true, Restart;

        /// How often consumer offsets are saved.
        "flushConsumerOffsetInterval" => consumer_offset_interval: Millis = Millis::secs(5), Restart,
            in Millis(100)..=Millis::hours(1);
    }
}

impl BrokerConfig {
    /// `timerPrecisionMs` as it is kept.
    #[must_use]
    pub fn timer_precision(&self) -> Millis {
        const KEPT: [u64; 4] = [1000, 500, 200, 100];
        Millis(KEPT.into_iter().find(|&kept| kept <= self.timer_precision.0).unwrap_or(100))
    }
}

/// What the kernel calls this machine; RocketMQ's word for a nameless one otherwise.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "DEFAULT_BROKER".to_owned())
}
