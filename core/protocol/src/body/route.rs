//! Where a topic is, and who forms a cluster.

use std::collections::{BTreeMap, BTreeSet};

use ferromq_model::topic::Permission;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loose::or_default;

/// The answer to a route query: all that a client has to know to send to a topic or read from it.
///
/// Two clients parse it in ways of their own: Go takes `brokerAddrs` apart without a JSON parser, so there must be no
/// blanks; Java takes the version of the request as a promise to read standard JSON, see
/// [`Style::of_route`](super::Style::of_route).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicRouteData {
    /// The brokers.
    #[serde(default, deserialize_with = "or_default")]
    pub broker_datas: Vec<BrokerData>,
    /// Historical; always written.
    #[serde(default, deserialize_with = "or_default")]
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// For ordered topics: `broker-a:4;broker-b:4`, which clients take in place of the queues below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// What each broker has of the topic.
    #[serde(default, deserialize_with = "or_default")]
    pub queue_datas: Vec<QueueData>,
    /// For topics whose queues can move: where they are, by broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_by_broker: Option<BTreeMap<String, Value>>,
}

/// A broker and its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerData {
    /// The addresses for clients, by broker id; 0 is the master.
    #[serde(default, deserialize_with = "or_default")]
    pub broker_addrs: BTreeMap<u64, String>,
    /// The name that a master and its replicas share.
    #[serde(default, deserialize_with = "or_default")]
    pub broker_name: String,
    /// The cluster.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster: String,
    /// Whether a replica may stand in for the master.
    #[serde(default, deserialize_with = "or_default")]
    pub enable_acting_master: bool,
    /// The broker's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

/// What a broker has of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueData {
    /// The broker.
    pub broker_name: String,
    /// What clients may do.
    pub perm: Permission,
    /// Queues that consumers read.
    pub read_queue_nums: u32,
    /// The topic's flags; old writers call it `topicSynFlag`.
    #[serde(default, alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
    /// Queues that producers write.
    pub write_queue_nums: u32,
}

/// All brokers and all clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfo {
    /// Each broker, by name.
    #[serde(default, deserialize_with = "or_default")]
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// The names of each cluster's brokers.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster_addr_table: BTreeMap<String, BTreeSet<String>>,
}

/// The answer to a query for one broker's replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerMemberGroupBody {
    /// The replicas; absent when nobody knows the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_member_group: Option<BrokerMemberGroup>,
}

/// A broker's replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerMemberGroup {
    /// The addresses for clients, by broker id; 0 is the master.
    #[serde(default, deserialize_with = "or_default")]
    pub broker_addrs: BTreeMap<u64, String>,
    /// The name that a master and its replicas share.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
}
