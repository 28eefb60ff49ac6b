//! Lists and tables of topics, groups and settings. The table of all topics of a broker is a part of what it
//! registers: [`TopicConfigWrapper`](super::TopicConfigWrapper).

use std::collections::BTreeMap;

use ferromq_model::GroupName;
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::{DataVersion, TopicConfig};
use serde::{Deserialize, Serialize};

use super::loose::or_default;

/// One namespace of the NameServer's key-value table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvTable {
    /// Values by key.
    #[serde(default, deserialize_with = "or_default")]
    pub table: BTreeMap<String, String>,
}

/// A list of topics, or of what is listed like them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicList {
    /// One broker's address, for tools to ask further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// The names.
    #[serde(default, deserialize_with = "or_default")]
    pub topic_list: Vec<String>,
}

/// Topics to create or change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicConfigList {
    /// Their settings.
    #[serde(default, deserialize_with = "or_default")]
    pub topic_config_list: Vec<TopicConfig>,
}

/// Groups to create or change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupConfigList {
    /// Their settings.
    #[serde(default, deserialize_with = "or_default")]
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

/// All groups of a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionGroupWrapper {
    /// The version of the table.
    #[serde(default, deserialize_with = "or_default")]
    pub data_version: DataVersion,
    /// What groups may not do, one bit each, by group and topic.
    #[serde(default, deserialize_with = "or_default")]
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i64>>,
    /// Settings by group.
    #[serde(default, deserialize_with = "or_default")]
    pub subscription_group_table: BTreeMap<GroupName, SubscriptionGroupConfig>,
}
