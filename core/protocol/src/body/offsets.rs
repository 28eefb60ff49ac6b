//! Positions of groups, as tools read and move them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::loose::or_default;
use super::member::MessageQueue;
use super::object_keys::ByQueue;

/// Where a group goes on in each queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetOffsetBody {
    /// The next offsets.
    #[serde(default, deserialize_with = "or_default")]
    pub offset_table: ByQueue<i64>,
}

/// The same as C++ clients read it, who know no objects as keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetOffsetList {
    /// The next offsets.
    pub offset_table: Vec<ResetOffsetEntry>,
}

/// A queue and its next offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetOffsetEntry {
    /// The broker.
    pub broker_name: String,
    /// The next offset.
    pub offset: i64,
    /// The queue.
    pub queue_id: u32,
    /// The topic.
    pub topic: String,
}

impl ResetOffsetBody {
    /// The same as a list.
    #[must_use]
    pub fn into_list(self) -> ResetOffsetList {
        let entry = |(queue, offset): (MessageQueue, i64)| ResetOffsetEntry {
            broker_name: queue.broker_name,
            offset,
            queue_id: queue.queue_id.0,
            topic: queue.topic,
        };
        ResetOffsetList { offset_table: self.offset_table.0.into_iter().map(entry).collect() }
    }
}

/// Where members of a group are. A client fills in the second table, a broker the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerStatusBody {
    /// By client.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_table: BTreeMap<String, ByQueue<i64>>,
    /// By queue.
    #[serde(default, deserialize_with = "or_default")]
    pub message_queue_table: ByQueue<i64>,
}

/// How far all groups of a topic are, by queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CorrectionOffsets {
    /// The least offset.
    #[serde(default, deserialize_with = "or_default")]
    pub correction_offsets: BTreeMap<u32, i64>,
}
