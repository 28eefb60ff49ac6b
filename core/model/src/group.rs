//! A consumer group's settings, in the shape that `subscriptionGroup.json` and admin tools share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::GroupName;

/// How often a message is redelivered before it becomes a dead letter.
pub const DEFAULT_RETRY_MAX_TIMES: i32 = 16;

const fn yes() -> bool {
    true
}
const fn consume_timeout_minutes() -> u32 {
    15
}
const fn one() -> u32 {
    1
}
const fn retry_max_times() -> i32 {
    DEFAULT_RETRY_MAX_TIMES
}
const fn slow_reader_broker() -> i64 {
    1
}

/// The settings of one consumer group on one broker. Members that a writer leaves out have RocketMQ's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionGroupConfig {
    /// Attributes by name.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The broker that serves the group; 0 = the master.
    #[serde(default)]
    pub broker_id: i64,
    /// Whether its members may consume in broadcasting mode.
    #[serde(default = "yes")]
    pub consume_broadcast_enable: bool,
    /// Whether its members may consume at all.
    #[serde(default = "yes")]
    pub consume_enable: bool,
    /// Kept for tools; the client decides where a group starts.
    #[serde(default = "yes")]
    pub consume_from_min_enable: bool,
    /// Whether the group consumes orderly (server-side consumers only).
    #[serde(default)]
    pub consume_message_orderly: bool,
    /// Minutes after which clients give up on a handler.
    #[serde(default = "consume_timeout_minutes")]
    pub consume_timeout_minute: u32,
    /// The group.
    pub group_name: GroupName,
    /// How waits between retries grow (server-side consumers only).
    #[serde(default)]
    pub group_retry_policy: RetryPolicy,
    /// Flags handed to clients with each pull.
    #[serde(default)]
    pub group_sys_flag: i32,
    /// Whether members are told of joins and leaves.
    #[serde(default = "yes")]
    pub notify_consumer_ids_changed_enable: bool,
    /// Redeliveries before a message becomes a dead letter.
    #[serde(default = "retry_max_times")]
    pub retry_max_times: i32,
    /// Queues of `%RETRY%<group>`.
    #[serde(default = "one")]
    pub retry_queue_nums: u32,
    /// Fixed subscriptions, kept untouched for tools that set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<serde_json::Value>,
    /// The broker that slow readers are sent to.
    #[serde(default = "slow_reader_broker")]
    pub which_broker_when_consume_slowly: i64,
}

impl SubscriptionGroupConfig {
    /// RocketMQ's defaults for `group`.
    #[must_use]
    pub fn new(group: GroupName) -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: consume_timeout_minutes(),
            group_name: group,
            group_retry_policy: RetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: DEFAULT_RETRY_MAX_TIMES,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// How waits between redeliveries grow; honoured by server-side consumers only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// `CUSTOMIZED` or `EXPONENTIAL`.
    #[serde(rename = "type", default = "customized")]
    pub kind: String,
    /// `{"next":[ms…]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<serde_json::Value>,
    /// `{"initial":ms,"max":ms,"multiplier":n}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<serde_json::Value>,
}

fn customized() -> String {
    "CUSTOMIZED".to_owned()
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { kind: customized(), customized_retry_policy: None, exponential_retry_policy: None }
    }
}
