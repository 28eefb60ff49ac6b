//! Reading messages without a group: by queue and offset, by time, by key, by id.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use ferromq_broker::Broker;
use ferromq_broker::browse::{BrowseFrom, BrowseLimit};
use ferromq_model::message::MessageId;
use ferromq_model::record::Record;
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Path, Query};
use super::message::{BodyForm, Shown};
use super::page::{self, DEFAULT_MESSAGES, MAX_MESSAGES};
use super::problem::{Kind, Problem, ProblemBody};
use super::topics::topic_named;
use super::units::{Time, parse_time};

/// Bytes of stored messages that one answer shows.
const MAX_BYTES: usize = 16 << 20;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(queues))
        .routes(routes!(in_queue))
        .routes(routes!(in_topic))
        .routes(routes!(one_of_topic))
        .routes(routes!(one))
}

/// As many as one answer may show.
pub(super) fn limit(max: Option<u32>) -> Result<BrowseLimit, Problem> {
    Ok(BrowseLimit { messages: page::count(max, DEFAULT_MESSAGES, MAX_MESSAGES)?, bytes: MAX_BYTES })
}

/// Stored records as JSON.
pub(super) fn shown(records: &[Bytes], form: BodyForm) -> Vec<Shown<'_>> {
    records
        .iter()
        .filter_map(|bytes| Record::decode(bytes).ok())
        .map(|record| Shown::of(&record, form))
        .collect()
}

/// A time of a query.
fn time(text: &str, broker: &Broker) -> Result<Timestamp, Problem> {
    parse_time(text, broker.store().now()).map_err(|error| Kind::BadRequest.because(error))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Queue {
    /// The queue.
    queue_id: u32,
    /// Its oldest message.
    min_offset: u64,
    /// One past its newest.
    max_offset: u64,
    /// When the newest was stored, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_stored_at: Option<Time>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Queues {
    /// All of them.
    queues: Vec<Queue>,
}

/// Where the queues of a topic begin and end
#[utoipa::path(get, path = "/v1/topics/{topic}/queues", tag = "browse",
    params(("topic" = String, Path, description = "The topic.")),
    responses(
        (status = 200, description = "Its queues.", body = Queues),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn queues(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        let extents = broker.queue_extents(&topic).into_iter();
        let queues = extents.map(|extent| Queue {
            queue_id: extent.id.0,
            min_offset: extent.min.0,
            max_offset: extent.max.0,
            last_stored_at: extent.last_stored.map(Time),
        });
        Ok(api::json(StatusCode::OK, &Queues { queues: queues.collect() }))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QueueQuery {
    /// The first message wanted; the oldest, if that is newer.
    offset: Option<u64>,
    /// The first message that was stored at this time or later: RFC 3339, milliseconds since 1970, or how long ago
    /// (`-10m`). With neither, the newest messages.
    time: Option<String>,
    /// How many at most, 32 by default.
    #[param(minimum = 1, maximum = 256)]
    max: Option<u32>,
    /// How bodies are shown.
    #[serde(default)]
    body: BodyForm,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QueuePart<'a> {
    /// Messages in their order.
    messages: Vec<Shown<'a>>,
    /// Where to go on.
    next_offset: u64,
    /// The queue's oldest message.
    min_offset: u64,
    /// One past its newest.
    max_offset: u64,
}

/// Read a queue
///
/// From an offset or a time on, without a group: nothing is consumed by it.
#[utoipa::path(get, path = "/v1/topics/{topic}/queues/{queue}/messages", tag = "browse",
    params(("topic" = String, Path, description = "The topic."), ("queue" = u32, Path, description = "The queue."), QueueQuery),
    responses(
        (status = 200, description = "Some of its messages.", body = QueuePart<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn in_queue(
    State(api): State<Api>,
    Path((topic, queue)): Path<(String, u32)>,
    Query(query): Query<QueueQuery>,
) -> Result<Response, Problem> {
    let limit = limit(query.max)?;
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        let from = match (query.offset, &query.time) {
            (Some(_), Some(_)) => {
                return Err(Kind::BadRequest.because("a queue is read from an offset or a time, not both"));
            }
            (Some(offset), None) => BrowseFrom::Offset(QueueOffset(offset)),
            (None, Some(text)) => BrowseFrom::Time(time(text, broker)?),
            (None, None) => BrowseFrom::End,
        };
        let browsed = broker.browse(&topic, QueueId(queue), from, limit).ok_or_else(|| {
            Kind::NoQueue.because(format!(
                "topic {} has {} queues, and no queue {queue}",
                topic.name(),
                topic.queue_count()
            ))
        })?;
        let part = QueuePart {
            messages: shown(&browsed.records, query.body),
            next_offset: browsed.next.0,
            min_offset: browsed.min.0,
            max_offset: browsed.max.0,
        };
        Ok(api::json(StatusCode::OK, &part))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TopicQuery {
    /// One of the keys that the messages were sent with.
    key: Option<String>,
    /// Stored at this time or later: RFC 3339, milliseconds since 1970, or how long ago (`-10m`).
    from: Option<String>,
    /// Stored at this time or before.
    to: Option<String>,
    /// How many at most, 32 by default. By key, no more than 64 are found.
    #[param(minimum = 1, maximum = 256)]
    max: Option<u32>,
    /// How bodies are shown.
    #[serde(default)]
    body: BodyForm,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundMessages)]
struct Messages<'a> {
    /// Newest first.
    messages: Vec<Shown<'a>>,
}

/// Find messages
///
/// Those with a key, or those of all queues, that were stored between two times, newest first.
#[utoipa::path(get, path = "/v1/topics/{topic}/messages", tag = "browse",
    params(("topic" = String, Path, description = "The topic."), TopicQuery),
    responses(
        (status = 200, description = "What was found.", body = Messages<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn in_topic(
    State(api): State<Api>,
    Path(topic): Path<String>,
    Query(query): Query<TopicQuery>,
) -> Result<Response, Problem> {
    let limit = limit(query.max)?;
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        let name = topic.name().as_str();
        let at = |text: &Option<String>, otherwise| {
            text.as_deref().map_or(Ok(otherwise), |text| time(text, broker))
        };
        let (from, upto) = (at(&query.from, Timestamp::ZERO)?, at(&query.to, Timestamp(i64::MAX))?);
        let records = match &query.key {
            Some(key) => broker.by_key(name, key, from, upto, limit),
            None => broker.newest(name, from, upto, limit),
        };
        Ok(api::json(StatusCode::OK, &Messages { messages: shown(&records, query.body) }))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OneQuery {
    /// How the body is shown.
    #[serde(default)]
    body: BodyForm,
}

/// Show a message of a topic
#[utoipa::path(get, path = "/v1/topics/{topic}/messages/{id}", tag = "browse",
    params(("topic" = String, Path, description = "The topic."),
        ("id" = String, Path, description = "Its `messageId` or `offsetMessageId`."), OneQuery),
    responses(
        (status = 200, description = "The message.", body = Shown<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one_of_topic(
    State(api): State<Api>,
    Path((topic, id)): Path<(String, String)>,
    Query(query): Query<OneQuery>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let topic = topic_named(broker, &topic)?;
        let found = broker.by_id(topic.name().as_str(), &id);
        answer(found.as_ref(), query.body, || format!("topic {} has no message {id:?}", topic.name()))
    })
    .await
}

/// Show the message at a place
///
/// By the `offsetMessageId` alone, whatever topic it is in.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "browse",
    params(("id" = String, Path, description = "Its `offsetMessageId`."), OneQuery),
    responses(
        (status = 200, description = "The message.", body = Shown<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let found = MessageId::parse(&id).and_then(|id| broker.at_place(id));
        answer(found.as_ref(), query.body, || format!("no message lies at {id:?} on this broker"))
    })
    .await
}

fn answer(found: Option<&Bytes>, form: BodyForm, none: impl FnOnce() -> String) -> Result<Response, Problem> {
    let record = found.and_then(|bytes| Record::decode(bytes).ok());
    let record = record.ok_or_else(|| Kind::NoMessage.because(none()))?;
    Ok(api::json(StatusCode::OK, &Shown::of(&record, form)))
}
