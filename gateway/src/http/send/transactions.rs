//! Transactions: a message that is stored first and delivered once somebody says so, over HTTP.
//!
//! Nobody can be asked what became of a transaction that HTTP began: one that is not ended by the time that a producer
//! would have been asked for the last time (`transactionCheckMax`) is rolled back.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ferromq_broker::transaction::{Decision, EndTransaction, EndTransactionError, Pending, Undeliverable};
use ferromq_model::message::MessageId;
use ferromq_model::{GroupName, PhysicalOffset, QueueOffset};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Form, append, cloudevents, json, raw};
use crate::http::api::{self, Api};
use crate::http::extract::{self, Path, Query};
use crate::http::guard::Peer;
use crate::http::page::{self, DEFAULT_NAMES, MAX_NAMES};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::units::Time;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(commit))
        .routes(routes!(rollback))
        .routes(routes!(pending))
}

/// Which half message it is, and where it lies.
fn id_of(half: QueueOffset, at: PhysicalOffset) -> String {
    format!("{:x}-{:x}", half.0, at.0)
}

fn parse_id(id: &str) -> Option<(QueueOffset, PhysicalOffset)> {
    let (half, at) = id.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    Some((QueueOffset(number(half)?), PhysicalOffset(number(at)?)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BeginQuery {
    /// The producer group that the transaction is of.
    #[serde(default = "default_group")]
    #[param(value_type = Option<String>)]
    group: String,
}

fn default_group() -> String {
    "http".to_owned()
}

/// A transaction that began.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Begun {
    /// By what it is ended.
    transaction_id: String,
    /// The id of the message.
    message_id: String,
    /// Where the message waits.
    offset_message_id: String,
    /// The queue that it is for.
    queue_id: u32,
}

/// Begin a transaction
///
/// Stores one message, in any form that a send takes but a stream, and delivers it once the transaction is committed.
#[utoipa::path(post, path = "/v1/topics/{topic}/transactions", tag = "send", operation_id = "begin_transaction",
    params(("topic" = String, Path, description = "The topic."), BeginQuery),
    request_body(content((Vec<u8> = "application/octet-stream"), (json::Message<'_> = "application/json"))),
    responses(
        (status = 201, description = "The message is stored, and waits.", body = Begun),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn begin(
    State(api): State<Api>,
    Path(topic): Path<String>,
    Query(query): Query<BeginQuery>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let group = GroupName::new(&query.group)?;
    let form = Form::of(&headers, false)?;
    let body = extract::read(body, &api).await?;
    let one_only = || Kind::BadRequest.because("a transaction is of one message");
    let mut message = match form {
        Form::Raw => raw::message(&headers, &body)?,
        Form::BinaryEvent => cloudevents::binary(&headers, &body)?,
        Form::Event => cloudevents::structured(&body)?,
        Form::Events | Form::Lines => return Err(one_only()),
        Form::Json => match json::Body::parse(&body)? {
            json::Body::One(message) => message.outgoing()?,
            json::Body::Many(_) => return Err(one_only()),
        },
    };
    message.properties.half(group.as_str())?;
    let sent = append::one(&api, append::Target { topic: &topic, peer, key: None }, message).await?.sent;
    let place = MessageId::parse(&sent.offset_message_id).map_or(PhysicalOffset::ZERO, |id| id.offset);
    let begun = Begun {
        transaction_id: id_of(QueueOffset(sent.queue_offset), place),
        message_id: sent.message_id,
        offset_message_id: sent.offset_message_id,
        queue_id: sent.queue_id,
    };
    Ok(api::json(StatusCode::CREATED, &begun))
}

/// Commit a transaction
///
/// Delivers its message.
#[utoipa::path(post, path = "/v1/transactions/{id}/commit", tag = "send", operation_id = "commit_transaction",
    params(("id" = String, Path, description = "The `transactionId`.")),
    responses(
        (status = 204, description = "The message is delivered."),
        (status = "default", description = "Refused. It is a `conflict` if the transaction has ended before, one way or \
            the other.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn commit(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    end(api, id, Decision::Commit).await
}

/// Roll a transaction back
///
/// Its message is never delivered. Says nothing of one that has ended before: that stays as it is.
#[utoipa::path(post, path = "/v1/transactions/{id}/rollback", tag = "send", operation_id = "roll_transaction_back",
    params(("id" = String, Path, description = "The `transactionId`.")),
    responses(
        (status = 204, description = "The transaction has ended."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn rollback(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    end(api, id, Decision::Rollback).await
}

async fn end(api: Api, id: String, decision: Decision) -> Result<StatusCode, Problem> {
    let none = Kind::NoMessage.because(format!("there is no transaction {id:?}"));
    let Some((half, at)) = parse_id(&id) else { return Err(none) };
    let end = api
        .blocking(move |broker| {
            let Some(pending) = broker.transaction_at(half, at) else { return Err(none) };
            let ask = EndTransaction { group: &pending.group, half, at, decision, from_check: true };
            Ok(broker.end_transaction(&ask)?)
        })
        .await?;
    match (decision, end) {
        (_, Some(end)) => append::safe(&api, end).await?,
        (Decision::Rollback, None) => {}
        // By an earlier commit, or a rollback, or because nobody said anything for too long.
        (Decision::Commit, None) => {
            return Err(Kind::Conflict.because(format!("the transaction {id} has ended before")));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

impl From<EndTransactionError> for Problem {
    fn from(error: EndTransactionError) -> Self {
        let text = error.to_string();
        match error {
            EndTransactionError::NotFound
            | EndTransactionError::WrongGroup
            | EndTransactionError::WrongHalf
            | EndTransactionError::WrongPlace => Kind::NoMessage.because(text),
            EndTransactionError::Late | EndTransactionError::Busy => Kind::Conflict.because(text),
            EndTransactionError::Undeliverable(Undeliverable::NoTopic(_)) => Kind::NoTopic.because(text),
            EndTransactionError::Undeliverable(Undeliverable::Defer(error)) => error.into(),
            EndTransactionError::Store(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PendingQuery {
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

/// A transaction that has not ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    /// By what it is ended.
    transaction_id: String,
    /// The producer's group.
    group: String,
    /// The topic that the message is for.
    topic: String,
    /// The queue.
    queue_id: u32,
    /// The id that its producer gave the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// When its producer made it.
    #[schema(value_type = String, format = DateTime)]
    born_at: Time,
    /// When it was stored last: each time that its producer is asked, it is stored anew.
    #[schema(value_type = String, format = DateTime)]
    stored_at: Time,
    /// How often its producer was asked.
    checks: u32,
}

impl From<Pending> for Transaction {
    fn from(pending: Pending) -> Self {
        Self {
            transaction_id: id_of(pending.half, pending.at),
            group: pending.group,
            topic: pending.topic,
            queue_id: pending.queue.0,
            message_id: pending.unique_key,
            born_at: Time(pending.born),
            stored_at: Time(pending.stored),
            checks: pending.checks,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Transactions {
    /// Oldest first.
    transactions: Vec<Transaction>,
}

/// List transactions that have not ended
///
/// Of producers of every protocol.
#[utoipa::path(get, path = "/v1/transactions", tag = "send", operation_id = "list_transactions", params(PendingQuery),
    responses(
        (status = 200, description = "The oldest ones.", body = Transactions),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn pending(State(api): State<Api>, Query(query): Query<PendingQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    api.blocking(move |broker| {
        let transactions = broker.pending_transactions(max).into_iter().map(Transaction::from).collect();
        Ok(api::json(StatusCode::OK, &Transactions { transactions }))
    })
    .await
}
