//! Heartbeats, members of groups, queue locks.

use ferromq_model::QueueId;
use ferromq_model::subscription::{ConsumeFromWhere, ConsumeType, MessageModel};
use serde::{Deserialize, Serialize};

use super::loose::{boolean, fallback, name, number, numbers, or_default};

/// What a client says of itself every 30 seconds, on each broker that it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatData {
    /// The client.
    #[serde(rename = "clientID", default, deserialize_with = "or_default")]
    pub client_id: String,
    /// The consumer groups that it is a member of.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// A hash of all this, by which a client of 5.x says that nothing has changed; 0 without.
    #[serde(default, deserialize_with = "number")]
    pub heartbeat_fingerprint: i32,
    /// The producer groups that it is a member of.
    #[serde(default, deserialize_with = "or_default")]
    pub producer_data_set: Vec<ProducerData>,
    /// Whether subscriptions are left out because they have not changed; they must be kept then.
    #[serde(default, deserialize_with = "boolean")]
    pub without_sub: bool,
}

/// A consumer group, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerData {
    /// Where the group starts on a queue without a position.
    #[serde(default = "fallback", deserialize_with = "name")]
    pub consume_from_where: ConsumeFromWhere,
    /// How the member fetches.
    #[serde(default = "fallback", deserialize_with = "name")]
    pub consume_type: ConsumeType,
    /// The group.
    #[serde(default, deserialize_with = "or_default")]
    pub group_name: String,
    /// How members share messages.
    #[serde(default = "fallback", deserialize_with = "name")]
    pub message_model: MessageModel,
    /// What the member wants.
    #[serde(default, deserialize_with = "or_default")]
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether new retry topics get the unit flag.
    #[serde(default, deserialize_with = "boolean")]
    pub unit_mode: bool,
}

/// What a member wants of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionData {
    /// Historical.
    #[serde(default, deserialize_with = "boolean")]
    pub class_filter_mode: bool,
    /// Java hashes of the tags. Some clients leave them out: make them anew from the expression.
    #[serde(default, deserialize_with = "numbers")]
    pub code_set: Vec<i32>,
    /// `TAG` or `SQL92`; absent and empty stand for `TAG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// The expression; empty stands for `*`.
    #[serde(default, deserialize_with = "or_default")]
    pub sub_string: String,
    /// When the client made it; the newest counts.
    #[serde(default, deserialize_with = "number")]
    pub sub_version: i64,
    /// The tags of the expression.
    #[serde(default, deserialize_with = "or_default")]
    pub tags_set: Vec<String>,
    /// The topic.
    #[serde(default, deserialize_with = "or_default")]
    pub topic: String,
}

/// A producer group, as one member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerData {
    /// The group.
    #[serde(default, deserialize_with = "or_default")]
    pub group_name: String,
}

/// The members of a consumer group. Each must see the same list, for each works out its share alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerList {
    /// The clients' ids.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_id_list: Vec<String>,
}

/// One queue of a topic on a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueue {
    /// The broker.
    pub broker_name: String,
    /// The queue.
    pub queue_id: QueueId,
    /// The topic.
    pub topic: String,
}

/// Asks for locks on queues, or gives them back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockBatchRequest {
    /// The client.
    #[serde(default, deserialize_with = "or_default")]
    pub client_id: String,
    /// Its group.
    #[serde(default, deserialize_with = "or_default")]
    pub consumer_group: String,
    /// The queues.
    #[serde(default, deserialize_with = "or_default")]
    pub mq_set: Vec<MessageQueue>,
    /// Whether replicas are left out.
    #[serde(default, deserialize_with = "boolean")]
    pub only_this_broker: bool,
}

/// The queues that a client has locked now, as it named them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockBatchResponse {
    /// The queues.
    #[serde(rename = "lockOKMQSet", default, deserialize_with = "or_default")]
    pub locked: Vec<MessageQueue>,
}
