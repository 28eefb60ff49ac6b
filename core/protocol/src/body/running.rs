//! What a consumer is doing, as it tells operators' tools through its broker. Brokers relay the bytes.

use std::collections::BTreeMap;

use ferromq_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::loose::{boolean, number, or_default};
use super::member::SubscriptionData;
use super::object_keys::ByQueue;

/// What a consumer is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerRunningInfo {
    /// What its threads are doing, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jstack: Option<String>,
    /// The queues that it reads by pops.
    #[serde(default, deserialize_with = "or_default")]
    pub mq_pop_table: ByQueue<PoppedQueueInfo>,
    /// The queues that it reads by pulls.
    #[serde(default, deserialize_with = "or_default")]
    pub mq_table: ByQueue<PulledQueueInfo>,
    /// Its settings, and `PROP_…` entries: NameServers, version, start.
    #[serde(default, deserialize_with = "or_default")]
    pub properties: BTreeMap<String, String>,
    /// How fast it is, by topic.
    #[serde(default, deserialize_with = "or_default")]
    pub status_table: BTreeMap<String, ConsumeRates>,
    /// What it wants.
    #[serde(default, deserialize_with = "or_default")]
    pub subscription_set: Vec<SubscriptionData>,
    /// What the application says of itself.
    #[serde(default, deserialize_with = "or_default")]
    pub user_consumer_info: BTreeMap<String, String>,
}

/// A queue that a consumer reads by pulls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PulledQueueInfo {
    /// Messages that are not handled yet.
    #[serde(default, deserialize_with = "number")]
    pub cached_msg_count: i64,
    /// The last of them.
    #[serde(default, deserialize_with = "number")]
    pub cached_msg_max_offset: i64,
    /// The first of them.
    #[serde(default, deserialize_with = "number")]
    pub cached_msg_min_offset: i64,
    /// Their size.
    #[serde(default, deserialize_with = "number")]
    pub cached_msg_size_in_mi_b: i64,
    /// The position that the consumer has committed.
    #[serde(default, deserialize_with = "number")]
    pub commit_offset: i64,
    /// Whether the queue was taken away. The name is spelled like this.
    #[serde(default, deserialize_with = "boolean")]
    pub droped: bool,
    /// When a message was last handled.
    #[serde(default)]
    pub last_consume_timestamp: Timestamp,
    /// When the lock was last got.
    #[serde(default)]
    pub last_lock_timestamp: Timestamp,
    /// When the queue was last pulled.
    #[serde(default)]
    pub last_pull_timestamp: Timestamp,
    /// Whether the consumer has the queue's lock.
    #[serde(default, deserialize_with = "boolean")]
    pub locked: bool,
    /// Messages that are being handled in order.
    #[serde(default, deserialize_with = "number")]
    pub transaction_msg_count: i64,
    /// The last of them.
    #[serde(default, deserialize_with = "number")]
    pub transaction_msg_max_offset: i64,
    /// The first of them.
    #[serde(default, deserialize_with = "number")]
    pub transaction_msg_min_offset: i64,
    /// How often giving the lock back was tried.
    #[serde(default, deserialize_with = "number")]
    pub try_unlock_times: i64,
}

/// A queue that a consumer reads by pops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoppedQueueInfo {
    /// Whether the queue was taken away. The name is spelled like this.
    #[serde(default, deserialize_with = "boolean")]
    pub droped: bool,
    /// When the queue was last popped.
    #[serde(default)]
    pub last_pop_timestamp: Timestamp,
    /// Messages that are not acknowledged.
    #[serde(default, deserialize_with = "number")]
    pub wait_ack_count: i64,
}

/// How fast a consumer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeRates {
    /// Messages that failed in the last hour.
    pub consume_failed_msgs: i64,
    /// Messages a second that failed.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages a second that were handled.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// Milliseconds that handling a message takes.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// Milliseconds that a pull takes.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages a second that come in.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::decode;

    #[test]
    fn what_an_official_consumer_says_is_read() {
        let text = r#"{"mqPopTable":{},"mqTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"cachedMsgCount":3,
            "cachedMsgMaxOffset":12,"cachedMsgMinOffset":10,"cachedMsgSizeInMiB":1,"commitOffset":10,"droped":false,
            "lastConsumeTimestamp":1700000000000,"locked":true}},"properties":{"PROP_CLIENT_VERSION":"V5_3_3"},
            "statusTable":{"T":{"consumeFailedMsgs":0,"consumeFailedTPS":0.0,"consumeOKTPS":1.5,"consumeRT":2.0,
            "pullRT":3.0,"pullTPS":4.0}},"subscriptionSet":[{"subString":"*","topic":"T"}],"userConsumerInfo":null}"#;
        let info: ConsumerRunningInfo = decode(text.as_bytes()).unwrap();
        let queue = info.mq_table.0.values().next().unwrap();
        assert_eq!((queue.cached_msg_count, queue.cached_msg_size_in_mi_b, queue.commit_offset), (3, 1, 10));
        assert!(queue.locked && !queue.droped);
        assert_eq!(info.status_table["T"].consume_ok_tps, 1.5);
        assert_eq!(info.subscription_set[0].topic, "T");
    }
}
