//! Topics: listed, shown, created, changed, deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::Broker;
use ferromq_broker::topics::Topic;
use ferromq_model::TopicName;
use ferromq_model::name::{DLQ_PREFIX, RETRY_PREFIX};
use ferromq_model::topic::{Permission, TopicConfig};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Json, Path, Query};
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Kind, Problem, ProblemBody};

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one, put, delete)).routes(routes!(groups))
}

/// The topic, or the refusal that says that there is none.
pub(super) fn topic_named(broker: &Broker, topic: &str) -> Result<Arc<Topic>, Problem> {
    broker
        .topics()
        .find(topic)
        .ok_or_else(|| Kind::NoTopic.because(format!("topic {topic:?} does not exist on this broker")))
}

/// What clients may do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum May {
    /// Read and write.
    #[serde(rename = "rw")]
    ReadWrite,
    /// Only read.
    #[serde(rename = "r")]
    Read,
    /// Only write.
    #[serde(rename = "w")]
    Write,
    /// Neither.
    #[serde(rename = "none")]
    Nothing,
}

impl May {
    pub(super) fn of(permission: Permission) -> Self {
        match (permission.readable(), permission.writable()) {
            (true, true) => Self::ReadWrite,
            (true, false) => Self::Read,
            (false, true) => Self::Write,
            (false, false) => Self::Nothing,
        }
    }

    pub(super) fn bits(self) -> u32 {
        match self {
            Self::ReadWrite => Permission::READ | Permission::WRITE,
            Self::Read => Permission::READ,
            Self::Write => Permission::WRITE,
            Self::Nothing => 0,
        }
    }
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TopicKind {
    /// Messages of users.
    User,
    /// Messages that come again for a group.
    Retry,
    /// Dead letters of a group.
    Dlq,
    /// The broker's own.
    System,
}

impl TopicKind {
    fn of(broker: &Broker, topic: &TopicName) -> Self {
        if topic.as_str().starts_with(RETRY_PREFIX) {
            Self::Retry
        } else if topic.as_str().starts_with(DLQ_PREFIX) {
            Self::Dlq
        } else if broker.topics().is_reserved(topic) {
            Self::System
        } else {
            Self::User
        }
    }
}

/// A topic and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
#[serde(rename_all = "camelCase")]
struct Described {
    /// The topic.
    name: String,
    /// What it is for.
    kind: TopicKind,
    /// Queues that consumers read.
    read_queues: u32,
    /// Queues that producers write.
    write_queues: u32,
    /// What clients may do.
    permission: May,
    /// Whether clients keep the number of queues fixed, for ordering.
    order: bool,
    /// Its attributes.
    attributes: BTreeMap<String, String>,
    /// Messages in it.
    messages: u64,
    /// Messages a second that were put into it in the last minute.
    put_rate: f64,
    /// Groups that consume it, or have consumed it.
    groups: usize,
}

impl Described {
    fn of(broker: &Broker, topic: &Topic, groups: usize) -> Self {
        let config = topic.config();
        let queues = broker.store().queues_of(topic.name().as_str());
        Self {
            name: topic.name().to_string(),
            kind: TopicKind::of(broker, topic.name()),
            read_queues: config.read_queue_nums,
            write_queues: config.write_queue_nums,
            permission: May::of(config.perm),
            order: config.order,
            attributes: config.attributes.clone(),
            messages: queues.iter().map(|queue| queue.max().since(queue.min())).sum(),
            put_rate: broker.put_rate(topic),
            groups,
        }
    }

    /// With groups, which take a look at all positions.
    fn alone(broker: &Broker, topic: &Topic) -> Self {
        Self::of(broker, topic, broker.groups_of(topic.name().as_str()).len())
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Lists retry, dead-letter and system topics too.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    system: bool,
    /// Only topics behind this name.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicList)]
struct All {
    /// By name.
    topics: Vec<Described>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List topics
#[utoipa::path(get, path = "/v1/topics", tag = "topics", operation_id = "list_topics", params(AllQuery),
    responses(
        (status = 200, description = "Topics by name.", body = All),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>, Query(query): Query<AllQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    api.blocking(move |broker| {
        let all = broker.topics().all();
        let listed =
            |topic: &&Arc<Topic>| query.system || TopicKind::of(broker, topic.name()) == TopicKind::User;
        let names = all.iter().filter(listed).map(|topic| topic.name().to_string());
        let (names, next) = page::of_names(names, query.after.as_deref(), max);
        let names: BTreeSet<String> = names.into_iter().collect();
        let groups = broker.groups_of_topics(&names);
        let topics = names.iter().filter_map(|name| {
            let topic = broker.topics().find(name)?;
            Some(Described::of(broker, &topic, groups.get(name).map_or(0, BTreeSet::len)))
        });
        Ok(api::json(StatusCode::OK, &All { topics: topics.collect(), next }))
    })
    .await
}

/// Show a topic
#[utoipa::path(get, path = "/v1/topics/{topic}", tag = "topics", operation_id = "show_topic",
    params(("topic" = String, Path, description = "The topic.")),
    responses(
        (status = 200, description = "The topic.", body = Described),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        Ok(api::json(StatusCode::OK, &Described::alone(broker, &topic)))
    })
    .await
}

/// Settings of a topic; those left out stay as they are, or are as by default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct TopicSettings {
    /// Queues that consumers read: as many as `writeQueues` if only that is given, else `defaultTopicQueueNums`.
    #[schema(maximum = 65536)]
    read_queues: Option<u32>,
    /// Queues that producers write.
    #[schema(maximum = 65536)]
    write_queues: Option<u32>,
    /// What clients may do: `rw` by default.
    permission: Option<May>,
    /// Whether clients keep the number of queues fixed, for ordering: no by default.
    order: Option<bool>,
}

impl TopicSettings {
    fn apply(self, config: &mut TopicConfig) {
        config.read_queue_nums = self.read_queues.unwrap_or(config.read_queue_nums);
        config.write_queue_nums = self.write_queues.unwrap_or(config.write_queue_nums);
        config.order = self.order.unwrap_or(config.order);
        if let Some(may) = self.permission {
            // Whether new topics take over its settings stays.
            config.perm = Permission(config.perm.0 & Permission::INHERIT | may.bits());
        }
    }
}

/// Create or change a topic
#[utoipa::path(put, path = "/v1/topics/{topic}", tag = "topics", operation_id = "put_topic",
    params(("topic" = String, Path, description = "The topic.")), request_body = TopicSettings,
    responses(
        (status = 201, description = "Created.", body = Described),
        (status = 200, description = "Changed.", body = Described),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn put(
    State(api): State<Api>,
    Path(topic): Path<String>,
    Json(settings): Json<TopicSettings>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let name = TopicName::new(&topic)?;
        let before = broker.topics().find(&topic);
        let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let mut config = match before {
            Some(before) => before.config().clone(),
            None => {
                let queues = settings.write_queues.or(settings.read_queues);
                TopicConfig::new(name, queues.unwrap_or(broker.config().default_queues))
            }
        };
        settings.apply(&mut config);
        broker.put_topic(config)?;
        let topic = topic_named(broker, &topic)?;
        Ok(api::json(status, &Described::alone(broker, &topic)))
    })
    .await
}

/// Delete a topic
///
/// With its messages, and what groups noted about it.
#[utoipa::path(delete, path = "/v1/topics/{topic}", tag = "topics", operation_id = "delete_topic",
    params(("topic" = String, Path, description = "The topic.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn delete(State(api): State<Api>, Path(topic): Path<String>) -> Result<StatusCode, Problem> {
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        broker.delete_topic(topic.name())?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupNames)]
struct Names {
    /// By name.
    groups: BTreeSet<String>,
}

/// List the groups of a topic
///
/// Those that consume it now, or have consumed it.
#[utoipa::path(get, path = "/v1/topics/{topic}/groups", tag = "topics", operation_id = "list_groups_of_topic",
    params(("topic" = String, Path, description = "The topic.")),
    responses(
        (status = 200, description = "Names of groups.", body = Names),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn groups(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        Ok(api::json(StatusCode::OK, &Names { groups: broker.groups_of(topic.name().as_str()) }))
    })
    .await
}
