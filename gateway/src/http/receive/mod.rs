//! Receiving: messages for a consumer group, each leased for a while, by requests that wait or by streams.
//!
//! ```text
//! poll, SSE, WebSocket ─▶ members: which queues ─▶ lease: pop ─▶ client ─▶ settle: ack, nack, extend
//!                                                                             └▶ streams: room for more
//! ```
//! Always true:
//! * a message that nobody got, as its client went away, comes again at once; one that was sent comes again unless it is
//!   acknowledged before its lease ends;
//! * nothing is taken for who does not read: streams take what their socket has room for;
//! * messages and acknowledgements are answered once their records are as safe as the flush mode promises.
//!
//! | file | what it is about |
//! |---|---|
//! | `lease` | taking messages, and giving them back |
//! | `receipt` | what a client shows to acknowledge |
//! | `settle` | acknowledging, giving back, extending |
//! | `streams` | who receives, and what they have out |
//! | `sse`, `socket` | both streams |
//! | `members` | sharing a group with other protocols |

mod lease;
pub(super) mod members;
mod receipt;
mod settle;
mod socket;
mod sse;
pub(super) mod streams;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use ferromq_model::Millis;
use hyper::body::{Body as HyperBody, Bytes, Frame, SizeHint};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::lease::{Ask, Filter, MAX_MESSAGES, Place, Taken, take};
use self::settle::{Act, Settled, SettledBody, settle};
use self::streams::Way;
use super::api::{self, Api};
use super::extract::{Json, Path, Query};
use super::guard::Peer;
use super::message::{BodyForm, Shown};
use super::problem::{Kind, Problem, ProblemBody};
use super::units::Span;

/// How long a request may wait.
const MAX_WAIT: Duration = Duration::from_secs(120);
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
const DEFAULT_MAX: usize = 10;
/// The longest filter expression.
const MAX_FILTER_LEN: usize = 16 << 10;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(receive))
        .routes(routes!(acknowledge))
        .routes(routes!(give_back))
        .routes(routes!(extend))
        .merge(sse::routes())
        .merge(socket::routes())
}

/// What all ways to receive ask for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ReceiveQuery {
    /// How many messages at most, 1 to 32.
    max: Option<usize>,
    /// How long to wait for the first of them, up to 2 minutes.
    #[param(value_type = Option<String>, example = "20s")]
    wait: Option<Span>,
    /// How long they are kept from others, up to 3 days.
    #[param(value_type = Option<String>, example = "30s")]
    lease: Option<Span>,
    /// Which: tags with `||` between them.
    tag: Option<String>,
    /// Which: an expression of SQL92 over properties.
    sql: Option<String>,
    /// How bodies are shown.
    #[serde(default)]
    body: BodyForm,
}

/// What a stream asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    /// How many messages may be out without an acknowledgement, 1 to 10,000.
    unacked: Option<usize>,
    /// How long they are kept from others, up to 3 days.
    #[param(value_type = Option<String>, example = "30s")]
    lease: Option<Span>,
    /// Which: tags with `||` between them.
    tag: Option<String>,
    /// Which: an expression of SQL92 over properties.
    sql: Option<String>,
    /// How bodies are shown.
    #[serde(default)]
    body: BodyForm,
}

/// Messages under a lease.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Received)]
struct Received<'a> {
    /// They are in the order of their queues. Each has its receipt.
    messages: Vec<Shown<'a>>,
}

/// Messages that are done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acks {
    /// Up to 1,000.
    receipts: Vec<String>,
}

/// Messages that shall come again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nacks {
    /// Up to 1,000.
    receipts: Vec<String>,
    /// When; at once if it is not given.
    #[schema(value_type = Option<String>, example = "10s")]
    delay: Option<Span>,
}

/// Messages that take longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Extensions {
    /// Up to 1,000.
    receipts: Vec<String>,
    /// The lease from now on.
    #[schema(value_type = String, example = "60s")]
    lease: Span,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SettledAll)]
struct SettledAll<'a> {
    /// In the order of the receipts.
    results: Vec<SettledBody<'a>>,
}

/// Receive messages
///
/// Waits for messages of a consumer group, and leases them: whoever does not acknowledge them before the lease ends lets
/// them come again, for whichever member of the group asks then. A group that is new starts at the beginning of the topic.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}/groups/{group}/messages",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
        ReceiveQuery,
    ),
    responses(
        (status = 200, description = "Messages, or none in the time.", body = Received<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn receive(
    State(api): State<Api>,
    Path((topic, group)): Path<(String, String)>,
    Query(query): Query<ReceiveQuery>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Result<Response, Problem> {
    let wait = query.wait.map_or(DEFAULT_WAIT, |wait| wait.0);
    if wait > MAX_WAIT {
        return Err(Kind::BadRequest.because("wait: at most 120s is taken"));
    }
    let max = one_to(MAX_MESSAGES, query.max.unwrap_or(DEFAULT_MAX), "max")?;
    let ask = ask((topic, group), query.lease, query.tag, query.sql, query.body)?;
    let _open = api.streams().open(&ask.place, peer, Way::Poll)?;
    let taken = take(&api, &ask, max, Instant::now() + wait).await?;
    let text = serde_json::to_vec(&Received { messages: taken.shown().collect() })
        .map_err(|error| Kind::Internal.because(error.to_string()))?;
    let body = axum::body::Body::new(Delivery { text: text.into(), taken: Some(taken) });
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Acknowledge messages
///
/// They are done, and never come again. Doing so twice is no error.
#[utoipa::path(
    post,
    path = "/v1/topics/{topic}/groups/{group}/acks",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
    ),
    request_body = Acks,
    responses(
        (status = 200, description = "All are.", body = SettledAll<'_>),
        (status = 207, description = "Some are, and some are refused.", body = SettledAll<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn acknowledge(
    State(api): State<Api>,
    Path((topic, group)): Path<(String, String)>,
    Json(acks): Json<Acks>,
) -> Result<Response, Problem> {
    settled(&api, (topic, group), acks.receipts, Act::Ack).await
}

/// Give messages back
///
/// They come again at once or after a delay, for whichever member of the group asks then.
#[utoipa::path(
    post,
    path = "/v1/topics/{topic}/groups/{group}/nacks",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
    ),
    request_body = Nacks,
    responses(
        (status = 200, description = "All come again.", body = SettledAll<'_>),
        (status = 207, description = "Some do, and some are refused.", body = SettledAll<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn give_back(
    State(api): State<Api>,
    Path((topic, group)): Path<(String, String)>,
    Json(nacks): Json<Nacks>,
) -> Result<Response, Problem> {
    let delay = nacks.delay.map_or(Millis(0), |delay| millis(delay.0));
    settled(&api, (topic, group), nacks.receipts, Act::Nack(delay)).await
}

/// Keep messages longer
///
/// Their leases end that long from now. Each has a new receipt, and the old one holds no more.
#[utoipa::path(
    post,
    path = "/v1/topics/{topic}/groups/{group}/extend",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
    ),
    request_body = Extensions,
    responses(
        (status = 200, description = "All are extended.", body = SettledAll<'_>),
        (status = 207, description = "Some are, and some are refused.", body = SettledAll<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn extend(
    State(api): State<Api>,
    Path((topic, group)): Path<(String, String)>,
    Json(extensions): Json<Extensions>,
) -> Result<Response, Problem> {
    let lease = lease_of(extensions.lease.0)?;
    settled(&api, (topic, group), extensions.receipts, Act::Extend(lease)).await
}

async fn settled(
    api: &Api,
    (topic, group): (String, String),
    receipts: Vec<String>,
    act: Act,
) -> Result<Response, Problem> {
    let place = Place { topic, group };
    place.check(api)?;
    let settled = settle(api, &place, receipts, act).await?;
    let all = settled.iter().all(Settled::is_ok);
    let status = if all { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Ok(api::json(status, &SettledAll { results: settled.iter().map(Settled::body).collect() }))
}

impl Place {
    /// Whether there are such a topic and group.
    fn check(&self, api: &Api) -> Result<(), Problem> {
        if api.broker().topics().find(&self.topic).is_none() {
            return Err(Kind::NoTopic.because(format!("there is no topic {}", self.topic)));
        }
        if api.broker().groups().find(&self.group).is_none() {
            return Err(Kind::NoGroup.because(format!("there is no group {}", self.group)));
        }
        Ok(())
    }
}

fn ask(
    (topic, group): (String, String),
    lease: Option<Span>,
    tag: Option<String>,
    sql: Option<String>,
    body: BodyForm,
) -> Result<Arc<Ask>, Problem> {
    let filter = match (tag, sql) {
        (Some(_), Some(_)) => return Err(Kind::BadRequest.because("either tag or sql is taken, not both")),
        (tags, None) => Filter::Tags(tags.unwrap_or_default()),
        (None, Some(sql)) => Filter::Sql(sql),
    };
    let (Filter::Tags(text) | Filter::Sql(text)) = &filter;
    if text.len() > MAX_FILTER_LEN {
        return Err(Kind::BadRequest.because(format!("a filter of {} bytes is too long", text.len())));
    }
    let lease = lease_of(lease.map_or(DEFAULT_LEASE, |lease| lease.0))?;
    Ok(Arc::new(Ask { place: Place { topic, group }, filter, lease, body }))
}

fn lease_of(span: Duration) -> Result<Millis, Problem> {
    if span.is_zero() {
        return Err(Kind::BadRequest.because("lease: a message cannot be leased for no time"));
    }
    Ok(millis(span))
}

fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn one_to(most: usize, number: usize, name: &str) -> Result<usize, Problem> {
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(Kind::BadRequest.because(format!("{name}: 1 to {most} is taken")))
}

/// An answer with messages, which come again at once if the connection ends before it takes them.
struct Delivery {
    text: Bytes,
    taken: Option<Taken>,
}

impl HyperBody for Delivery {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let taken = self.taken.take().map(Taken::delivered);
        std::task::Poll::Ready(taken.map(|()| Ok(Frame::data(std::mem::take(&mut self.text)))))
    }

    fn is_end_stream(&self) -> bool {
        self.taken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.len() as u64)
    }
}
