//! Refusals as `application/problem+json` (RFC 9457): one table of what can go wrong, by a code that stays.
//!
//! Always true:
//! * a code is never given another meaning: programs go by it, people by `detail` and `action`;
//! * a handler returns a [`Problem`]; the text is written in one place, `Problem::body`, where the request's id is known.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ferromq_broker::deferral::DeferError;
use ferromq_broker::groups::GroupError;
use ferromq_broker::light::LightError;
use ferromq_broker::send::SendError;
use ferromq_broker::topics::TopicError;
use ferromq_model::NameError;
use ferromq_store::AppendError;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! problems {
    ($($(#[$doc:meta])* $kind:ident = $code:literal, $status:ident, $title:literal, $action:literal;)+) => {
        /// What went wrong, in the large.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// What programs know it by.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)+ }
            }

            /// The status that it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// What it is, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            /// What to do about it.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$kind => $action,)+ }
            }
        }
    };
}

problems! {
    /// A parameter, header or body cannot be read.
    BadRequest = "bad-request", BAD_REQUEST, "the request cannot be read",
        "Correct what the detail names; /openapi.json describes every request.";
    /// Nobody, or nobody known, asks.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "who asks is not known",
        "Send the header Authorization with a token or a user of httpCredentialsFile.";
    /// It is known who asks, and they may not.
    Forbidden = "forbidden", FORBIDDEN, "this is not allowed",
        "Use another topic, or change what the detail names.";
    /// No such path.
    NoRoute = "no-route", NOT_FOUND, "there is nothing at this path",
        "See /openapi.json for all paths; a topic's or group's % is written %25 in a path.";
    /// A path without this method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "the path has no such method",
        "Use one of the methods in the header Allow.";
    /// The topic does not exist.
    NoTopic = "no-topic", NOT_FOUND, "the topic does not exist",
        "Create it with PUT /v1/topics/{topic}, or correct its name.";
    /// The topic has no such queue.
    NoQueue = "no-queue", NOT_FOUND, "the topic has no such queue",
        "Use a queue below the topic's number of queues, or leave it out.";
    /// The group does not exist.
    NoGroup = "no-group", NOT_FOUND, "the group does not exist",
        "Create it with PUT /v1/groups/{group}, or correct its name.";
    /// The MQTT client has no session, or no connection.
    NoClient = "no-client", NOT_FOUND, "there is no such MQTT client",
        "GET /v1/mqtt/clients lists those that there are.";
    /// The message is not there, or not any more.
    NoMessage = "no-message", NOT_FOUND, "there is no such message",
        "It may have expired: see the queue's minOffset.";
    /// A name that cannot be one.
    InvalidName = "invalid-name", BAD_REQUEST, "the name is not valid",
        "Names have 1 to 127 (groups: 255) of the characters A-Z a-z 0-9 _ - % |.";
    /// A message that cannot be stored as it is.
    InvalidMessage = "invalid-message", UNPROCESSABLE_ENTITY, "the message cannot be stored as it is",
        "Change what the detail names.";
    /// The body is too long.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "the body is too large",
        "Send less at once, or raise httpMaxBodySize or maxMessageSize.";
    /// A content type or encoding that is not understood.
    UnsupportedMedia = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "the body's type or encoding is not understood",
        "See /openapi.json for the types that the path takes; encodings are gzip and zstd.";
    /// The state of things does not allow it.
    Conflict = "conflict", CONFLICT, "what is there does not allow it",
        "Look at the present state, and ask again.";
    /// The key was used for another request.
    KeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "the Idempotency-Key was used for another request",
        "Use a new key for each different request.";
    /// The first request of this key is still in hand.
    KeyInUse = "idempotency-key-in-use", CONFLICT, "a request with this Idempotency-Key is in hand",
        "Wait a moment, and send it again.";
    /// The receipt is of another place, or broken.
    InvalidReceipt = "invalid-receipt", BAD_REQUEST, "the receipt is none of this topic and group",
        "Send receipts as they came, to the topic and group that they came from.";
    /// The lease ended.
    LeaseExpired = "lease-expired", GONE, "the lease ended, and the message is handed out again",
        "Ask for longer leases, or extend them in time.";
    /// The peer was too slow.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "the request did not come in time",
        "Send it without pauses longer than httpReadTimeout.";
    /// As many as may are there.
    TooMany = "too-many", TOO_MANY_REQUESTS, "as many as are allowed are there",
        "Try again later, or raise the limit that the detail names.";
    /// Stored, but not known to be on the disk.
    FlushUnconfirmed = "flush-unconfirmed", SERVICE_UNAVAILABLE, "the message is stored, but not known to be on the disk",
        "It may be lost in a power cut; with an Idempotency-Key it can be sent again without being doubled.";
    /// The broker takes no messages for now.
    NotWritable = "not-writable", SERVICE_UNAVAILABLE, "the broker takes no messages now",
        "Look at /readyz and the disk's free space, and send again.";
    /// No NameServer tells what was asked for.
    NoNameServer = "no-name-server", SERVICE_UNAVAILABLE, "no NameServer answers",
        "Look at namesrvAddr, and whether the NameServer runs.";
    /// It is stopping.
    Stopping = "stopping", SERVICE_UNAVAILABLE, "the server is stopping",
        "Connect again, or to another.";
    /// What it needs is switched off.
    NotEnabled = "not-enabled", NOT_IMPLEMENTED, "this is switched off here",
        "Set the key that the detail names.";
    /// A bug, or a disk that fails.
    Internal = "internal", INTERNAL_SERVER_ERROR, "something failed within the server",
        "See the server's log for the request id.";
}

/// A refusal: its kind, and what it was in this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub kind: Kind,
    /// The cause, with names and figures.
    pub detail: Cow<'static, str>,
}

/// A refusal as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProblemBody<'a> {
    /// Where the code is explained: `/errors#CODE`.
    #[serde(rename = "type")]
    kind: String,
    /// What it is, in a few words.
    #[schema(value_type = String)]
    title: &'static str,
    /// The status.
    status: u16,
    /// What programs go by.
    #[schema(value_type = String, example = "no-topic")]
    code: &'static str,
    /// The cause in this case.
    #[schema(value_type = String)]
    detail: &'a str,
    /// What to do.
    #[schema(value_type = String)]
    action: &'static str,
    /// The request, as the server's log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    request_id: Option<&'a str>,
}

impl Kind {
    /// A problem of this kind.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { kind: self, detail: detail.into() }
    }
}

impl Problem {
    /// As JSON, with the request's id where it is the whole answer.
    pub(super) fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            kind: format!("/errors#{}", self.kind.code()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            code: self.kind.code(),
            detail: &self.detail,
            action: self.kind.action(),
            request_id,
        }
    }

    /// The whole answer.
    pub(super) fn answer(&self, request_id: &str) -> Response {
        let body = serde_json::to_vec(&self.body(Some(request_id))).expect("strings and a number");
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Unauthenticated {
            let ways = HeaderValue::from_static("Bearer realm=\"ferromq\", Basic realm=\"ferromq\"");
            headers.insert(header::WWW_AUTHENTICATE, ways);
        }
        response
    }
}

/// The answer is written by the guard of all requests, which knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Kind::InvalidName.because(error.to_string())
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let text = error.to_string();
        match error {
            AppendError::TooLarge { .. } => Kind::TooLarge.because(text),
            AppendError::Deleted => Kind::NoTopic.because(text),
            AppendError::DiskFull(_) | AppendError::Poisoned { .. } => Kind::NotWritable.because(text),
            AppendError::Closed => Kind::Stopping.because(text),
        }
    }
}

impl From<DeferError> for Problem {
    fn from(error: DeferError) -> Self {
        let text = error.to_string();
        match error {
            DeferError::NoTimers => Kind::NotEnabled.because(text),
            DeferError::Illegal { .. } => Kind::InvalidMessage.because(text),
            DeferError::Congested { .. } => Kind::TooMany.because(text),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Self {
        let text = error.to_string();
        match error {
            GroupError::Name(error) => error.into(),
            GroupError::Unknown(_) => Kind::NoGroup.because(text),
            GroupError::RetryQueues(_) | GroupError::Attribute(_) => Kind::BadRequest.because(text),
            GroupError::TooMany | GroupError::TooManyForbidden => Kind::TooMany.because(text),
            GroupError::Save(_) => Kind::Internal.because(text),
        }
    }
}

impl From<LightError> for Problem {
    fn from(error: LightError) -> Self {
        let text = error.to_string();
        match error {
            LightError::List(_) => Kind::InvalidMessage.because(text),
            LightError::TooMany { .. } => Kind::TooMany.because(text),
        }
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        let text = error.to_string();
        match error {
            TopicError::Name(error) => error.into(),
            TopicError::System(_) => Kind::Forbidden.because(text),
            TopicError::OutOfRange { .. } => Kind::BadRequest.because(text),
            TopicError::Unknown(_) => Kind::NoTopic.because(text),
            TopicError::TooMany => Kind::TooMany.because(text),
            TopicError::Save(_) => Kind::Internal.because(text),
        }
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::IllegalTopic(error) => error.into(),
            SendError::ForbiddenTopic(_) | SendError::NotWritable(_) => Kind::Forbidden.because(text),
            SendError::NoTopic(_) => Kind::NoTopic.because(text),
            SendError::NoQueue { .. } => Kind::NoQueue.because(text),
            SendError::Group(error) => error.into(),
            SendError::Illegal(_) => Kind::InvalidMessage.because(text),
            SendError::Defer(error) => error.into(),
            SendError::Light(error) => error.into(),
            SendError::Create(error) => error.into(),
            SendError::Store(error) => error.into(),
        }
    }
}
