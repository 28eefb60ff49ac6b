//! Moving groups to other positions.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::resets::{Reset, ResetError};
use ferromq_model::{QueueId, QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Json, Path};
use super::groups::must_exist;
use super::problem::{Kind, Problem, ProblemBody};
use super::units::parse_time;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(reset))
}

/// Where to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum To {
    /// At this message of one queue.
    Offset(u64),
    /// At the `first` message that is there, behind the `last` one, or at the first one that was stored at a time or
    /// later: RFC 3339, or how long ago (`-10m`).
    #[schema(example = "first")]
    Text(String),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResetAsk {
    /// The topic.
    topic: String,
    /// Where the group is to go on.
    to: To,
    /// The queue; all of them without.
    queue_id: Option<u32>,
    /// Only says where it would go on.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Moved {
    /// The queue.
    queue_id: u32,
    /// Where the group was; 0 if it never committed.
    from: u64,
    /// Where it goes on.
    to: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct AllMoved {
    /// By queue.
    queues: Vec<Moved>,
}

/// Move a group
///
/// To another position in a topic. Its members go on there with their next pull.
#[utoipa::path(post, path = "/v1/groups/{group}/offsets/reset", tag = "groups", operation_id = "reset_offsets",
    params(("group" = String, Path, description = "The group.")), request_body = ResetAsk,
    responses(
        (status = 200, description = "Where it goes on.", body = AllMoved),
        (status = "default", description = "Refused: it stays where it is.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn reset(
    State(api): State<Api>,
    Path(group): Path<String>,
    Json(ask): Json<ResetAsk>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        must_exist(broker, &group)?;
        let wrong = |error: String| Kind::BadRequest.because(error);
        let queue = ask.queue_id.map(QueueId);
        let (time, offset) = match &ask.to {
            To::Offset(_) if queue.is_none() => {
                return Err(wrong("an offset is one queue's: name it with queueId".to_owned()));
            }
            To::Offset(offset) => (None, Some(QueueOffset(*offset))),
            To::Text(text) if text == "first" => (Some(Timestamp::ZERO), None),
            To::Text(text) if text == "last" => (None, None),
            To::Text(text) => (Some(parse_time(text, broker.store().now()).map_err(wrong)?), None),
        };
        let reset = Reset { group: &group, topic: &ask.topic, time, force: true, queue, offset };
        let moves = broker.move_group(&reset, ask.dry_run)?.into_iter();
        let queues = moves.map(|moved| Moved {
            queue_id: moved.queue.0,
            from: moved.from.unwrap_or_default().0,
            to: moved.to.0,
        });
        Ok(api::json(StatusCode::OK, &AllMoved { queues: queues.collect() }))
    })
    .await
}

impl From<ResetError> for Problem {
    fn from(error: ResetError) -> Self {
        let text = error.to_string();
        match error {
            ResetError::NoTopic(_) => Kind::NoTopic.because(text),
            ResetError::NoGroup(_) => Kind::NoGroup.because(text),
            ResetError::NoQueue { .. } => Kind::NoQueue.because(text),
            ResetError::OutOfRange { .. } => Kind::BadRequest.because(text),
            ResetError::NeverConsumed(_) | ResetError::NotOnline { .. } => Kind::Conflict.because(text),
        }
    }
}
