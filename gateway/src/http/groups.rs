//! Consumer groups: listed, shown, created, changed, deleted; who is in them, and how far behind they are.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::Broker;
use ferromq_broker::groups::Groups;
use ferromq_broker::lag::{QueueLag, TopicLag};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::subscription::{ConsumeType, MessageModel};
use ferromq_model::{GroupName, Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Json, Path, Query};
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Kind, Problem, ProblemBody};
use super::units::Time;

/// Groups that brokers own have names that begin so.
const SYSTEM_PREFIX: &str = "CID_RMQ_SYS_";

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one, put, delete))
        .routes(routes!(members))
        .routes(routes!(lag))
        .routes(routes!(rebalances))
}

/// Refuses groups that do not exist.
pub(super) fn must_exist(broker: &Broker, group: &str) -> Result<(), Problem> {
    match broker.groups().find(group) {
        Some(_) => Ok(()),
        None => Err(Kind::NoGroup.because(format!("group {group:?} does not exist on this broker"))),
    }
}

fn is_system(group: &str) -> bool {
    Groups::is_built_in(group) || group.starts_with(SYSTEM_PREFIX)
}

fn check_not_system(group: &str) -> Result<(), Problem> {
    if is_system(group) {
        return Err(Kind::Forbidden.because(format!("the group {group} belongs to the broker")));
    }
    Ok(())
}

/// Seconds since a time, if there is one.
fn seconds(since: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    since.map(|since| now.since(since).0 as f64 / 1_000.0)
}

/// How members of a group fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Fetches {
    /// The application pulls.
    Pull,
    /// The client library pulls and calls a handler.
    Push,
    /// The broker hands out leases.
    Pop,
}

/// How members of a group share messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Shares {
    /// Every member gets every message.
    Broadcasting,
    /// Each message goes to one member.
    Clustering,
}

/// Settings of a group; those left out stay as they are, or are as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct GroupSettings {
    /// Whether its members may consume at all: yes by default.
    consume_enable: Option<bool>,
    /// Whether its members may each get every message: yes by default.
    broadcast_enable: Option<bool>,
    /// Whether messages are handed out in order, where the broker hands them out: no by default.
    orderly: Option<bool>,
    /// Whether members are told when others come and go: yes by default.
    notify_members: Option<bool>,
    /// Queues of the topic of messages that come again; 0 for a group whose messages never do: 1 by default.
    #[schema(maximum = 1024)]
    retry_queues: Option<u32>,
    /// How often a message comes again before it becomes a dead letter: 16 by default.
    #[schema(minimum = -1, maximum = 10000)]
    retry_max: Option<i32>,
    /// Minutes after which client libraries give up on a handler: 15 by default.
    #[schema(maximum = 100000)]
    consume_timeout_minutes: Option<u32>,
}

impl GroupSettings {
    pub(super) fn of(config: &SubscriptionGroupConfig) -> Self {
        Self {
            consume_enable: Some(config.consume_enable),
            broadcast_enable: Some(config.consume_broadcast_enable),
            orderly: Some(config.consume_message_orderly),
            notify_members: Some(config.notify_consumer_ids_changed_enable),
            retry_queues: Some(config.retry_queue_nums),
            retry_max: Some(config.retry_max_times),
            consume_timeout_minutes: Some(config.consume_timeout_minute),
        }
    }

    pub(super) fn apply(&self, config: &mut SubscriptionGroupConfig) -> Result<(), Problem> {
        const RETRIES: std::ops::RangeInclusive<i32> = -1..=10_000;
        const TIMEOUTS: std::ops::RangeInclusive<u32> = 0..=100_000;
        if let Some(retry_max) = self.retry_max.filter(|retry_max| !RETRIES.contains(retry_max)) {
            let why = format!("retryMax is {retry_max}, -1 to 10000 is allowed");
            return Err(Kind::BadRequest.because(why));
        }
        if let Some(minutes) = self.consume_timeout_minutes.filter(|minutes| !TIMEOUTS.contains(minutes)) {
            let why = format!("consumeTimeoutMinutes is {minutes}, 0 to 100000 is allowed");
            return Err(Kind::BadRequest.because(why));
        }
        config.consume_enable = self.consume_enable.unwrap_or(config.consume_enable);
        config.consume_broadcast_enable = self.broadcast_enable.unwrap_or(config.consume_broadcast_enable);
        config.consume_message_orderly = self.orderly.unwrap_or(config.consume_message_orderly);
        let notify = self.notify_members.unwrap_or(config.notify_consumer_ids_changed_enable);
        config.notify_consumer_ids_changed_enable = notify;
        config.retry_queue_nums = self.retry_queues.unwrap_or(config.retry_queue_nums);
        config.retry_max_times = self.retry_max.unwrap_or(config.retry_max_times);
        config.consume_timeout_minute = self.consume_timeout_minutes.unwrap_or(config.consume_timeout_minute);
        Ok(())
    }
}

/// A group and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
#[serde(rename_all = "camelCase")]
struct Described {
    /// The group.
    name: String,
    /// Whether any member is there.
    online: bool,
    /// Members that are there.
    members: usize,
    /// How they fetch, if any is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    consume_type: Option<Fetches>,
    /// How they share messages, if any is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_model: Option<Shares>,
    /// Topics that it consumes, or has consumed.
    topics: Vec<String>,
    /// Messages that it has not consumed, those that come again included.
    lag: u64,
    /// For how long the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// Messages a second that it got in the last minute.
    get_rate: f64,
    /// Its settings.
    settings: GroupSettings,
}

impl Described {
    fn of(broker: &Broker, config: &SubscriptionGroupConfig, topics: &BTreeSet<String>) -> Self {
        let name = config.group_name.as_str();
        let live = broker.members().consumer_group(name);
        let lags = broker.lag_in(name, topics);
        let is_plain = |topic: &&String| TopicName::new(topic).is_ok_and(|topic| !topic.is_derived());
        Self {
            name: name.to_owned(),
            online: live.is_some(),
            members: live.as_ref().map_or(0, |live| live.members.len()),
            consume_type: live.as_ref().map(|live| match live.consume_type {
                ConsumeType::Actively => Fetches::Pull,
                ConsumeType::Passively => Fetches::Push,
                ConsumeType::Pop => Fetches::Pop,
            }),
            message_model: live.as_ref().map(|live| match live.model {
                MessageModel::Broadcasting => Shares::Broadcasting,
                MessageModel::Clustering => Shares::Clustering,
            }),
            topics: topics.iter().filter(is_plain).cloned().collect(),
            lag: lags.iter().map(TopicLag::messages).sum(),
            lag_seconds: seconds(lags.iter().filter_map(TopicLag::since).min(), broker.store().now()),
            // Of no topics the sum is -0.
            get_rate: lags.iter().map(|lag| broker.get_rate(name, &lag.topic)).sum::<f64>().abs(),
            settings: GroupSettings::of(config),
        }
    }

    fn alone(broker: &Broker, group: &str) -> Result<Self, Problem> {
        must_exist(broker, group)?;
        let names = BTreeSet::from([group.to_owned()]);
        let topics = broker.topics_of_groups(&names).remove(group).unwrap_or_default();
        let config = broker.groups().find_or_create(group)?;
        Ok(Self::of(broker, &config, &topics))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Lists groups of the broker's own too.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    system: bool,
    /// Only groups behind this name.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupList)]
struct All {
    /// By name.
    groups: Vec<Described>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List groups
#[utoipa::path(get, path = "/v1/groups", tag = "groups", operation_id = "list_groups", params(AllQuery),
    responses(
        (status = 200, description = "Groups by name.", body = All),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>, Query(query): Query<AllQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    api.blocking(move |broker| {
        let groups = broker.groups().snapshot().groups;
        let names = groups.keys().filter(|name| query.system || !is_system(name)).cloned();
        let (names, next) = page::of_names(names, query.after.as_deref(), max);
        let names: BTreeSet<String> = names.into_iter().collect();
        let topics = broker.topics_of_groups(&names);
        let none = BTreeSet::new();
        let described = names.iter().filter_map(|name| {
            Some(Described::of(broker, groups.get(name)?, topics.get(name).unwrap_or(&none)))
        });
        Ok(api::json(StatusCode::OK, &All { groups: described.collect(), next }))
    })
    .await
}

/// Show a group
#[utoipa::path(get, path = "/v1/groups/{group}", tag = "groups", operation_id = "show_group",
    params(("group" = String, Path, description = "The group.")),
    responses(
        (status = 200, description = "The group.", body = Described),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one(State(api): State<Api>, Path(group): Path<String>) -> Result<Response, Problem> {
    api.blocking(move |broker| Ok(api::json(StatusCode::OK, &Described::alone(broker, &group)?))).await
}

/// Create or change a group
#[utoipa::path(put, path = "/v1/groups/{group}", tag = "groups", operation_id = "put_group",
    params(("group" = String, Path, description = "The group.")), request_body = GroupSettings,
    responses(
        (status = 201, description = "Created.", body = Described),
        (status = 200, description = "Changed.", body = Described),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn put(
    State(api): State<Api>,
    Path(group): Path<String>,
    Json(settings): Json<GroupSettings>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        check_not_system(&group)?;
        let before = broker.groups().find(&group);
        let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let mut config = match before {
            Some(before) => (*before).clone(),
            None => SubscriptionGroupConfig::new(GroupName::new(&group)?),
        };
        settings.apply(&mut config)?;
        broker.groups().put(config)?;
        Ok(api::json(status, &Described::alone(broker, &group)?))
    })
    .await
}

/// Delete a group
///
/// With its positions, and what is handed out to it. Members that go on create it anew, where groups are created by
/// themselves (`autoCreateSubscriptionGroup`).
#[utoipa::path(delete, path = "/v1/groups/{group}", tag = "groups", operation_id = "delete_group",
    params(("group" = String, Path, description = "The group.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn delete(State(api): State<Api>, Path(group): Path<String>) -> Result<StatusCode, Problem> {
    api.blocking(move |broker| {
        check_not_system(&group)?;
        must_exist(broker, &group)?;
        broker.delete_group(&group, true)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct Wanted {
    /// The topic.
    topic: String,
    /// Which messages, `*` for all.
    expression: String,
    /// How that is written: `TAG` or `SQL92`.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Member {
    /// Its own id.
    client_id: String,
    /// Its address.
    address: String,
    /// What it speaks.
    #[schema(value_type = String, example = "remoting")]
    protocol: &'static str,
    /// The language that it is written in.
    language: String,
    /// The version of its library, as its protocol counts them.
    version: String,
    /// When it joined on its connection.
    #[schema(value_type = String, format = DateTime)]
    connected_at: Time,
    /// What its group wants: the same of all members.
    subscriptions: Vec<Wanted>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Members)]
struct MemberList {
    /// By client.
    members: Vec<Member>,
}

/// List the members of a group
#[utoipa::path(get, path = "/v1/groups/{group}/members", tag = "groups", operation_id = "list_members",
    params(("group" = String, Path, description = "The group.")),
    responses(
        (status = 200, description = "Who is there.", body = MemberList),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn members(State(api): State<Api>, Path(group): Path<String>) -> Result<Response, Problem> {
    must_exist(api.broker(), &group)?;
    let Some(live) = api.broker().members().consumer_group(&group) else {
        return Ok(api::json(StatusCode::OK, &MemberList { members: Vec::new() }));
    };
    let wanted = live.subscriptions.into_iter().map(|wanted| Wanted {
        topic: wanted.topic.to_string(),
        expression: wanted.expression,
        kind: wanted.expression_type,
    });
    let subscriptions: Vec<_> = wanted.collect();
    let members = live.members.into_iter().map(|member| Member {
        client_id: member.client.id,
        address: member.address.to_string(),
        protocol: member.protocol,
        language: member.client.language,
        version: member.client.version.to_string(),
        connected_at: Time(member.since),
        subscriptions: subscriptions.clone(),
    });
    Ok(api::json(StatusCode::OK, &MemberList { members: members.collect() }))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LagOfQueue {
    /// The queue.
    queue_id: u32,
    /// Where the group goes on; where the queue begins if it never committed.
    committed: u64,
    /// One past the queue's newest message.
    end: u64,
    /// Messages that the group has not consumed.
    lag: u64,
    /// For how long the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LagOfTopic {
    /// The topic.
    topic: String,
    /// Messages that the group has not consumed.
    lag: u64,
    /// For how long the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// By queue.
    queues: Vec<LagOfQueue>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LagOfGroup {
    /// Messages that the group has not consumed.
    lag: u64,
    /// For how long the oldest of them has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// By topic, that of messages that come again included.
    topics: Vec<LagOfTopic>,
}

/// Show how far behind a group is
#[utoipa::path(get, path = "/v1/groups/{group}/lag", tag = "groups", operation_id = "show_lag",
    params(("group" = String, Path, description = "The group.")),
    responses(
        (status = 200, description = "By topic and queue.", body = LagOfGroup),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn lag(State(api): State<Api>, Path(group): Path<String>) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        must_exist(broker, &group)?;
        let names = BTreeSet::from([group.clone()]);
        let topics = broker.topics_of_groups(&names);
        let lags = broker.lag_in(&group, topics.get(&group).unwrap_or(&BTreeSet::new()));
        let now = broker.store().now();
        let of_queue = |queue: &QueueLag| LagOfQueue {
            queue_id: queue.id.0,
            committed: queue.committed.0,
            end: queue.end.0,
            lag: queue.messages(),
            lag_seconds: seconds(queue.since, now),
        };
        let of_topic = |lag: &TopicLag| LagOfTopic {
            topic: lag.topic.name().to_string(),
            lag: lag.messages(),
            lag_seconds: seconds(lag.since(), now),
            queues: lag.queues.iter().map(of_queue).collect(),
        };
        let whole = LagOfGroup {
            lag: lags.iter().map(TopicLag::messages).sum(),
            lag_seconds: seconds(lags.iter().filter_map(TopicLag::since).min(), now),
            topics: lags.iter().map(of_topic).collect(),
        };
        Ok(api::json(StatusCode::OK, &whole))
    })
    .await
}

#[derive(Debug, Serialize, ToSchema)]
struct Rebalance {
    /// When it was.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The members since.
    members: Vec<String>,
    /// Who joined.
    joined: Vec<String>,
    /// Who left.
    left: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rebalances)]
struct History {
    /// Newest first.
    rebalances: Vec<Rebalance>,
}

/// Show how members came and went
///
/// The last changes since the server started.
#[utoipa::path(get, path = "/v1/groups/{group}/rebalances", tag = "groups", operation_id = "list_rebalances",
    params(("group" = String, Path, description = "The group.")),
    responses(
        (status = 200, description = "Changes of its members.", body = History),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn rebalances(State(api): State<Api>, Path(group): Path<String>) -> Result<Response, Problem> {
    must_exist(api.broker(), &group)?;
    let changes = api.broker().members().rebalances(&group).into_iter();
    let rebalances = changes.map(|change| Rebalance {
        at: Time(change.at),
        members: change.members,
        joined: change.joined,
        left: change.left,
    });
    Ok(api::json(StatusCode::OK, &History { rebalances: rebalances.collect() }))
}
