//! What operators' tools are shown of topics and groups: ends of queues, positions, connections, counters.
//!
//! Brokers write these, also those of 4.x; tools read them, ours among them.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use ferromq_model::topic::DataVersion;
use ferromq_model::{QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};

use super::loose::{number, offset};
use super::member::{MessageQueue, SubscriptionData};
use super::object_keys::ByQueue;

/// Where each queue of a topic begins and ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatsTable {
    /// By queue.
    pub offset_table: ByQueue<TopicOffset>,
    /// Messages put a second. Brokers of 4.x do not tell.
    #[serde(default)]
    pub topic_put_tps: f64,
}

/// Where a queue begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicOffset {
    /// When its newest message was stored; 0 without one.
    pub last_update_timestamp: Timestamp,
    /// Behind its newest message.
    #[serde(deserialize_with = "offset")]
    pub max_offset: QueueOffset,
    /// Its oldest message.
    #[serde(deserialize_with = "offset")]
    pub min_offset: QueueOffset,
}

/// Whether a group may read a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupForbidden {
    /// The group.
    pub group: String,
    /// Whether it may.
    pub readable: bool,
    /// The topic.
    pub topic: String,
}

/// How far a group is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeStats {
    /// Messages got a second.
    pub consume_tps: f64,
    /// By queue.
    pub offset_table: ByQueue<OffsetWrapper>,
}

/// How far a group is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetWrapper {
    /// Behind the queue's newest message.
    #[serde(deserialize_with = "offset")]
    pub broker_offset: QueueOffset,
    /// Where the group goes on.
    #[serde(deserialize_with = "offset")]
    pub consumer_offset: QueueOffset,
    /// When the last message that it consumed was stored; 0 if not known.
    pub last_timestamp: Timestamp,
    /// Where the group's next pull starts. Brokers of 4.x do not tell.
    #[serde(default, deserialize_with = "offset")]
    pub pull_offset: QueueOffset,
}

/// How far all groups are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeStatsList {
    /// The broker.
    pub broker_addr: String,
    /// For each group one table a topic.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages that are not consumed. Official brokers count below 0, which is read as 0.
    #[serde(deserialize_with = "number")]
    pub total_diff: u64,
    /// Messages that are got and not consumed. Brokers of 4.x do not tell.
    #[serde(default, deserialize_with = "number")]
    pub total_inflight_diff: u64,
}

/// A client of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its address.
    pub client_addr: String,
    /// Its id.
    pub client_id: String,
    /// Its language.
    pub language: String,
    /// Its version.
    pub version: i32,
}

/// A consumer group's members and what they want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerConnection {
    /// The members.
    pub connection_set: Vec<Connection>,
    /// Where the group starts on a queue without a position.
    pub consume_from_where: ConsumeFromWhere,
    /// How the members fetch.
    pub consume_type: ConsumeType,
    /// How the members share messages.
    pub message_model: MessageModel,
    /// What the group wants, by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// A producer group's members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerConnection {
    /// The members.
    pub connection_set: Vec<Connection>,
}

/// All producers, by group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerTable {
    /// The members of each group.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// A member of a producer group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerInfo {
    /// Its id.
    pub client_id: String,
    /// Its language.
    pub language: String,
    /// When it was last heard.
    pub last_update_timestamp: Timestamp,
    /// Its address, behind a slash.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// Its version.
    pub version: i32,
}

/// A list of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupList {
    /// Their names.
    pub group_list: BTreeSet<String>,
}

/// What a group wants of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionOfGroup {
    /// The group.
    pub group: String,
    /// Absent if it does not subscribe, or nobody consumes for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// The topic.
    pub topic: String,
}

/// When a group's messages were stored, by queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeTimeSpans {
    /// One for each queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// When the messages of a queue were stored. Times are in milliseconds since 1970, −1 where there is no message, and each
/// is said once more in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueTimeSpan {
    /// The last message that the group consumed.
    pub consume_time_stamp: i64,
    /// That in words.
    pub consume_time_stamp_str: String,
    /// The age of the first message that it did not; 0 without one.
    pub delay_time: i64,
    /// The newest message.
    pub max_time_stamp: i64,
    /// That in words.
    pub max_time_stamp_str: String,
    /// The queue.
    pub message_queue: MessageQueue,
    /// The oldest message.
    pub min_time_stamp: i64,
    /// That in words.
    pub min_time_stamp_str: String,
}

/// A part of a consume queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeQueuePart {
    /// What the group's filter is, for people; absent if no group was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// Behind the queue's last entry.
    pub max_queue_index: QueueOffset,
    /// Its first entry.
    pub min_queue_index: QueueOffset,
    /// The entries; absent if there are none where they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_data: Option<Vec<ConsumeQueueEntry>>,
    /// What the group wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// An entry of a consume queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeQueueEntry {
    /// Whether the group's filter lets it pass.
    pub eval: bool,
    /// Where the record starts in the log.
    pub physic_offset: u64,
    /// How long it is.
    pub physic_size: u32,
    /// What filters go by.
    pub tags_code: i64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsData {
    /// In the last day.
    pub stats_day: StatsItem,
    /// In the last hour.
    pub stats_hour: StatsItem,
    /// In the last minute.
    pub stats_minute: StatsItem,
}

/// What was counted in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsItem {
    /// On average with one call.
    pub avgpt: f64,
    /// In all.
    pub sum: u64,
    /// A second.
    pub tps: f64,
}

/// How far each group is, for replicas and tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerOffsetTable {
    /// The version of the table.
    pub data_version: DataVersion,
    /// Historical.
    pub group_topic_map: BTreeMap<String, BTreeSet<String>>,
    /// By `topic@group` and queue.
    pub offset_table: BTreeMap<String, BTreeMap<u32, i64>>,
}

/// How replication goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaStatus {
    /// What a replica knows of its master.
    pub ha_client_runtime_info: HaClientStatus,
    /// One for each replica.
    pub ha_connection_info: Vec<HaConnectionStatus>,
    /// Replicas that keep up.
    pub in_sync_slave_nums: u32,
    /// Whether this is a master.
    pub master: bool,
    /// The end of the log.
    pub master_commit_log_max_offset: u64,
}

/// What a replica knows of its master. RocketMQ's brokers leave some of it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClientStatus {
    /// Whether it is connected.
    pub activated: bool,
    /// When it was last told something.
    pub last_read_timestamp: Timestamp,
    /// When it last said something.
    pub last_write_timestamp: Timestamp,
    /// How far the master has flushed.
    pub master_flush_offset: u64,
    /// The end of its log.
    pub max_offset: u64,
    /// Bytes a second that come in.
    pub transferred_byte_in_second: u64,
}

/// What a master knows of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaConnectionStatus {
    /// Its address.
    pub addr: String,
    /// Bytes that it is behind.
    pub diff: u64,
    /// Whether it keeps up.
    pub in_sync: bool,
    /// How far it says it is.
    pub slave_ack_offset: u64,
    /// Where the next bytes are sent from.
    pub transfer_from_where: u64,
    /// Bytes a second that go out.
    pub transferred_byte_in_second: u64,
}
