//! Messages that a group gave up on: looked at, and sent to their topic again.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::dead_letters::ResendError;
use ferromq_model::{GroupName, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::browse::{limit, shown};
use super::extract::{Json, Path, Query};
use super::groups::must_exist;
use super::guard::Peer;
use super::message::{BodyForm, Shown};
use super::page::MAX_MESSAGES;
use super::problem::{Kind, Problem, ProblemBody};
use super::send::append::{Sent, safe};
use super::send::{Outcome, Outcomes};

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resend))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// How many at most, 32 by default.
    #[param(minimum = 1, maximum = 256)]
    max: Option<u32>,
    /// How bodies are shown.
    #[serde(default)]
    body: BodyForm,
}

#[derive(Debug, Serialize, ToSchema)]
struct Letters<'a> {
    /// The topic that they are kept in.
    topic: String,
    /// Newest first.
    messages: Vec<Shown<'a>>,
}

/// Show a group's dead letters
///
/// Messages that came as often as they may and were never acknowledged.
#[utoipa::path(get, path = "/v1/groups/{group}/dead-letters", tag = "groups", operation_id = "list_dead_letters",
    params(("group" = String, Path, description = "The group."), ListQuery),
    responses(
        (status = 200, description = "The newest ones.", body = Letters<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn list(
    State(api): State<Api>,
    Path(group): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let limit = limit(query.max)?;
    api.blocking(move |broker| {
        let topic = TopicName::dead_letters_of(&GroupName::new(&group)?).to_string();
        // A group may be gone, and its dead letters not.
        if broker.topics().find(&topic).is_none() {
            must_exist(broker, &group)?;
        }
        let records = broker.newest(&topic, Timestamp::ZERO, Timestamp(i64::MAX), limit);
        Ok(api::json(StatusCode::OK, &Letters { topic, messages: shown(&records, query.body) }))
    })
    .await
}

/// Which message of which queue.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    /// The queue.
    queue_id: u32,
    /// Which message of it.
    queue_offset: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResendAsk {
    /// Dead letters, at most 256.
    #[schema(max_items = 256)]
    messages: Vec<Place>,
}

/// Send dead letters again
///
/// To the topic that each came from, for this group and all others that read it. The dead letters stay.
#[utoipa::path(post, path = "/v1/groups/{group}/dead-letters/resend", tag = "groups", operation_id = "resend_dead_letters",
    params(("group" = String, Path, description = "The group.")), request_body = ResendAsk,
    responses(
        (status = 200, description = "What became of each, in their order.", body = Outcomes<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn resend(
    State(api): State<Api>,
    Path(group): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    Json(ask): Json<ResendAsk>,
) -> Result<Response, Problem> {
    if ask.messages.len() > MAX_MESSAGES as usize {
        return Err(Kind::BadRequest.because(format!("no more than {MAX_MESSAGES} messages at once")));
    }
    let (results, end) = api
        .blocking(move |broker| {
            let topic = TopicName::dead_letters_of(&GroupName::new(&group)?);
            if broker.topics().find(topic.as_str()).is_none() {
                must_exist(broker, &group)?;
            }
            let mut end = PhysicalOffset::ZERO;
            let mut one = |place: &Place| {
                let (queue, offset) = (QueueId(place.queue_id), QueueOffset(place.queue_offset));
                let resent = broker.resend_dead_letter(&group, queue, offset, peer)?;
                end = end.max(resent.placed.end);
                let offset_message_id = broker.message_id(resent.placed.physical).to_string();
                Ok(Sent {
                    message_id: resent.unique_key.unwrap_or_else(|| offset_message_id.clone()),
                    offset_message_id,
                    queue_id: resent.queue.0,
                    queue_offset: resent.placed.queue_offset.0,
                    recall_handle: None,
                })
            };
            let results: Vec<Result<Sent, Problem>> = ask.messages.iter().map(&mut one).collect();
            Ok((results, end))
        })
        .await?;
    safe(&api, end).await?;
    Ok(api::json(StatusCode::OK, &Outcomes { results: results.iter().map(Outcome::from).collect() }))
}

impl From<ResendError> for Problem {
    fn from(error: ResendError) -> Self {
        let text = error.to_string();
        match error {
            ResendError::Group(error) => error.into(),
            ResendError::NoMessage { .. } => Kind::NoMessage.because(text),
            ResendError::NoOrigin => Kind::InvalidMessage.because(text),
            ResendError::NoTopic(_) => Kind::NoTopic.because(text),
            ResendError::Send(error) => error.into(),
            ResendError::Store(error) => error.into(),
        }
    }
}
