//! Storing messages: one as the body of a request, one or many as JSON, or a stream of lines.
//!
//! ```text
//! body ─▶ Outgoing, in one of the forms ─▶ append: one append for all that came together ─▶ safe ─▶ answer
//! ```
//! Always true: what is answered as stored is as safe as the flush mode promises.
//!
//! | file | what it is about |
//! |---|---|
//! | `outgoing` | a message on its way to the broker, and what its properties may be |
//! | `raw`, `json`, `lines`, `cloudevents` | the forms that messages come in |
//! | `append` | storing them, and waiting until they are safe |
//! | `gather` | one append for those that come at the same time |
//! | `idempotency` | not storing them twice |
//! | `transactions` | storing them first, and delivering them once somebody says so |

pub(super) mod append;
mod cloudevents;
mod gather;
pub(super) mod idempotency;
mod json;
mod lines;
mod outgoing;
mod raw;
mod transactions;

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ferromq_broker::recall::{Recall, RecallError};
use serde::{Deserialize, Serialize};
use tower_http::decompression::RequestDecompressionLayer;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::append::Sent;
pub(super) use self::append::safe;
use self::idempotency::Key;
use self::outgoing::Outgoing;
use super::api::{self, Api};
use super::extract::{self, Path, Query};
use super::guard::Peer;
use super::problem::{Kind, Problem, ProblemBody};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers of a message that is a request's body.
pub(super) const REQUEST_HEADERS: [HeaderName; 8] = [
    raw::TAG,
    raw::KEYS,
    raw::PROPERTY,
    raw::DELAY,
    raw::DELIVER_AT,
    raw::SHARDING_KEY,
    raw::QUEUE,
    IDEMPOTENCY_KEY,
];

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    // What it does not know is refused by the handler, in the words of every refusal.
    let compressed = RequestDecompressionLayer::new().pass_through_unaccepted(true);
    OpenApiRouter::new()
        .routes(routes!(send))
        .layer(compressed)
        .routes(routes!(recall))
        .merge(transactions::routes())
}

/// How a body holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is the message.
    Raw,
    /// JSON of one or many.
    Json,
    /// JSON of one, a line each.
    Lines,
    /// A CloudEvent whose attributes are headers.
    BinaryEvent,
    /// A CloudEvent of JSON.
    Event,
    /// A JSON array of CloudEvents.
    Events,
}

impl Form {
    fn of(headers: &HeaderMap, raw: bool) -> Result<Self, Problem> {
        let kind = extract::header(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        Ok(if raw {
            Self::Raw
        } else if is(cloudevents::BATCH) {
            Self::Events
        } else if is(cloudevents::STRUCTURED) {
            Self::Event
        } else if headers.contains_key(cloudevents::SPEC_VERSION) {
            Self::BinaryEvent
        } else if is("application/json") {
            Self::Json
        } else if is("application/x-ndjson") || is("application/jsonl") {
            Self::Lines
        } else {
            Self::Raw
        })
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SendQuery {
    /// Takes a body of any content type as the message itself.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = Option<bool>)]
    raw: bool,
    /// What a stream of lines is answered with.
    #[serde(default)]
    results: lines::Results,
}

/// `?raw` and `?raw=true` say yes.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match &*String::deserialize(deserializer)? {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        other => Err(serde::de::Error::custom(format!("{other:?} is neither true nor false"))),
    }
}

/// What became of one message of many.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Outcome<'a> {
    /// It is stored.
    Sent(&'a Sent),
    /// It is not.
    Refused {
        /// Why.
        error: ProblemBody<'a>,
    },
}

impl<'a> From<&'a Result<Sent, Problem>> for Outcome<'a> {
    fn from(result: &'a Result<Sent, Problem>) -> Self {
        match result {
            Ok(sent) => Self::Sent(sent),
            Err(problem) => Self::Refused { error: problem.body(None) },
        }
    }
}

/// For the description only: how a send is answered, of one message or of many.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema")]
enum Stored<'a> {
    /// Of one.
    One(Sent),
    /// Of many.
    Many(Outcomes<'a>),
}

/// What became of many messages, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcomes<'a> {
    /// One for each message.
    pub(super) results: Vec<Outcome<'a>>,
}

/// Send messages
///
/// The body is a message of any content type, with headers that say more of it; or JSON of one message or of
/// `{"messages": […]}`; or a stream of such messages, a line each (`application/x-ndjson`), answered a line each, in
/// order; or CloudEvents 1.0 in binary, structured or batched mode. Bodies may be compressed (gzip, zstd). Messages are stored in the order in which they come, and answered once they are as safe as the server's flush
/// mode promises. A topic that does not exist is created where the server is set to (`autoCreateTopicEnable`).
#[utoipa::path(
    post,
    path = "/v1/topics/{topic}/messages",
    tag = "send",
    params(
        ("topic" = String, Path, description = "The topic."),
        SendQuery,
        ("FerroMQ-Tag" = Option<String>, Header, description = "The tag of a raw message."),
        ("FerroMQ-Keys" = Option<String>, Header, description = "Its keys, with blanks between them."),
        ("FerroMQ-Property" = Option<String>, Header,
            description = "`name=value`, percent-encoded where it is not plain text; may be repeated."),
        ("FerroMQ-Delay" = Option<String>, Header, description = "It comes after this span, such as `10s`."),
        ("FerroMQ-Deliver-At" = Option<String>, Header,
            description = "It comes at this time: RFC 3339, or milliseconds since 1970."),
        ("FerroMQ-Sharding-Key" = Option<String>, Header,
            description = "Messages of the same key are in the same queue, in order."),
        ("FerroMQ-Queue" = Option<u32>, Header, description = "The queue that it is for."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "A request that is repeated with the same key within `httpIdempotencyWindow` is answered with the \
                           first result, and nothing is stored twice. Not for streams."),
    ),
    request_body(content(
        (Vec<u8> = "application/octet-stream"),
        (json::Either<'_> = "application/json"),
        (String = "application/x-ndjson"),
        (serde_json::Value = "application/cloudevents+json"),
        (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 201, description = "Stored: one message, or all of many.", body = Stored<'_>),
        (status = 200, description = "The results of a stream, a line each.", content_type = "application/x-ndjson", body = String),
        (status = 207, description = "Some of many messages are stored, and some are not.", body = Outcomes<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn send(
    State(api): State<Api>,
    Path(topic): Path<String>,
    Query(query): Query<SendQuery>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let target = Destination { topic: &topic, peer };
    accept(&api, target, &query, &headers, body).await
}

/// Where a request's messages go, and whose they are.
#[derive(Clone, Copy, Debug)]
struct Destination<'a> {
    topic: &'a str,
    peer: SocketAddr,
}

/// The topic of a request that [`directly`] answers as the router would: without parameters, and with a body and a path
/// that need no decoding.
pub(super) fn direct_topic(request: &Request<Body>) -> Option<&str> {
    let uri = request.uri();
    if request.method() != Method::POST
        || uri.query().is_some()
        || request.headers().contains_key(header::CONTENT_ENCODING)
    {
        return None;
    }
    let topic = uri.path().strip_prefix("/v1/topics/")?.strip_suffix("/messages")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (!topic.is_empty() && topic.bytes().all(plain)).then_some(topic)
}

/// Answers a send past the router, whose work for a small message is twice that of storing it.
pub(super) async fn directly(api: &Api, peer: SocketAddr, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let topic = &path["/v1/topics/".len()..path.len() - "/messages".len()];
    let target = Destination { topic, peer };
    accept(api, target, &SendQuery::default(), &parts.headers, body).await.into_response()
}

async fn accept(
    api: &Api,
    Destination { topic, peer }: Destination<'_>,
    query: &SendQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // Those that are known are decoded by now.
    if let Some(encoding) = extract::header(headers, &header::CONTENT_ENCODING)?.filter(|e| *e != "identity")
    {
        return Err(Kind::UnsupportedMedia.because(format!("the body's encoding is {encoding}")));
    }
    let form = Form::of(headers, query.raw)?;
    let key = extract::header(headers, &IDEMPOTENCY_KEY)?.map(Key::parse).transpose()?;
    if form == Form::Lines {
        if key.is_some() {
            let why = "a stream of lines takes no Idempotency-Key; send its messages as one body of JSON";
            return Err(Kind::BadRequest.because(why));
        }
        return Ok(lines::answer(api.clone(), topic.to_owned(), peer, body, query.results));
    }
    let body = extract::read(body, api).await?;
    let target = append::Target { topic, peer, key };
    match form {
        Form::Raw => one(api, target, raw::message(headers, &body)?).await,
        Form::BinaryEvent => one(api, target, cloudevents::binary(headers, &body)?).await,
        Form::Event => one(api, target, cloudevents::structured(&body)?).await,
        Form::Events => many(api, target, cloudevents::batch(&body)?).await,
        Form::Json | Form::Lines => match json::Body::parse(&body)? {
            json::Body::One(message) => one(api, target, message.outgoing()?).await,
            json::Body::Many(messages) => {
                many(api, target, messages.into_iter().map(json::Message::outgoing).collect()).await
            }
        },
    }
}

async fn one(api: &Api, target: append::Target<'_>, message: Outgoing<'_>) -> Result<Response, Problem> {
    let stored = append::one(api, target, message).await?;
    let mut response = api::json(StatusCode::CREATED, &stored.sent);
    if stored.again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn many(
    api: &Api,
    target: append::Target<'_>,
    messages: Vec<Result<Outgoing<'_>, Problem>>,
) -> Result<Response, Problem> {
    let results = append::many(api, target, messages).await?;
    let all = results.iter().all(Result::is_ok);
    let status = if all { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
    Ok(api::json(status, &Outcomes { results: results.iter().map(Outcome::from).collect() }))
}

/// Take a message back
///
/// Takes back a message that was sent with a delay or a delivery time and has not come yet, by the `recallHandle` that
/// the send was answered with.
#[utoipa::path(
    delete,
    path = "/v1/topics/{topic}/recalls/{handle}",
    tag = "send",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("handle" = String, Path, description = "The `recallHandle`."),
    ),
    responses(
        (status = 204, description = "It will not come."),
        (status = "default", description = "Refused: it comes.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn recall(
    State(api): State<Api>,
    Path((topic, handle)): Path<(String, String)>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Result<StatusCode, Problem> {
    let ask = Recall { group: None, topic: &topic, handle: &handle, from: peer };
    let recalled = api.broker().recall(&ask)?;
    append::stored_safe(&api, recalled.placed.end, 1).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<RecallError> for Problem {
    fn from(error: RecallError) -> Self {
        let text = error.to_string();
        match error {
            RecallError::Forbidden => Kind::NotEnabled.because(text),
            RecallError::Unavailable => Kind::NotWritable.because(text),
            RecallError::NoTopic(_) => Kind::NoTopic.because(text),
            RecallError::Handle(_) => Kind::BadRequest.because(text),
            RecallError::Store(error) => error.into(),
        }
    }
}
