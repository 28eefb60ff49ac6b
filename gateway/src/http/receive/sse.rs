//! Server-sent events: a stream of messages that every browser reads. Acknowledgements come by `POST …/acks`.
//!
//! The stream is made as the connection takes it: whoever does not read is sent no more than its socket's buffers hold, and
//! nothing further is taken for it. What was sent when the stream ends keeps its lease, as it may be acknowledged yet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lease::{Ask, MAX_MESSAGES, Taken, take};
use super::streams::{MAX_UNACKED, Open, Way};
use super::{StreamQuery, ask, one_to};
use crate::http::api::Api;
use crate::http::extract::{Path, Query};
use crate::http::guard::Peer;
use crate::http::problem::{Kind, Problem, ProblemBody};

/// A stream without messages says this often that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream pauses when as many receivers wait as may.
const PAUSE: Duration = Duration::from_secs(1);
const DEFAULT_UNACKED: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Receive messages as server-sent events
///
/// Each event `message` has a message with its receipt as data. At most `unacked` messages are out at a time: further ones
/// come once some are acknowledged, given back, or their leases have ended. A refusal that ends the stream comes as an event
/// `problem`.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}/groups/{group}/events",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
        StreamQuery,
    ),
    responses(
        (status = 200, description = "Events until the client or the server ends them.", content_type = "text/event-stream", body = String),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn events(
    State(api): State<Api>,
    Path(of): Path<(String, String)>,
    Query(query): Query<StreamQuery>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Result<Response, Problem> {
    let unacked = one_to(MAX_UNACKED, query.unacked.unwrap_or(DEFAULT_UNACKED), "unacked")?;
    let ask = ask(of, query.lease, query.tag, query.sql, query.body)?;
    ask.check(&api)?;
    let open = api.streams().open(&ask.place, peer, Way::Events)?;
    let events = Events { api, ask, unacked, open, sent: None, ended: false };
    // The first bytes go at once, so that the client knows that it is connected.
    let hello = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"retry: 1000\n\n"))]);
    let body = Body::from_stream(futures_util::StreamExt::chain(hello, unfold(events, Events::next)));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

struct Events {
    api: Api,
    ask: Arc<Ask>,
    unacked: usize,
    open: Open,
    /// What the connection was handed last. Asking for more says that it took that.
    sent: Option<Taken>,
    ended: bool,
}

impl Events {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(sent) = self.sent.take() {
            sent.delivered();
        }
        if self.ended {
            return None;
        }
        let until = Instant::now() + KEEP_ALIVE;
        let text = loop {
            if self.api.is_stopping() {
                return None;
            }
            let now = self.api.broker().store().now();
            let (out, first_end) = self.open.out(now);
            let room = self.unacked.saturating_sub(out);
            if room == 0 {
                let left = first_end.map_or(KEEP_ALIVE, |end| end.since(now).duration());
                tokio::select! {
                    () = self.open.settled() => {}
                    () = tokio::time::sleep(left.max(Duration::from_millis(1))) => {}
                    () = self.api.stopped() => {}
                    () = tokio::time::sleep_until(until) => break ALIVE,
                }
                continue;
            }
            match take(&self.api, &self.ask, room.min(MAX_MESSAGES), until).await {
                Ok(taken) if taken.is_empty() && Instant::now() < until => {
                    // As a wait may end a little early.
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = self.api.stopped() => {}
                    }
                }
                Ok(taken) if taken.is_empty() => break ALIVE,
                Ok(taken) => {
                    let text = text_of(&taken);
                    self.open.sent(&taken.receipts);
                    self.sent = Some(taken);
                    break text;
                }
                Err(problem) if problem.kind == Kind::TooMany => {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = self.api.stopped() => {}
                    }
                    if Instant::now() >= until {
                        break ALIVE;
                    }
                }
                Err(problem) => {
                    self.ended = true;
                    let data = serde_json::to_vec(&problem.body(None)).expect("strings and a number");
                    let mut text = b"event: problem\n".to_vec();
                    write_data(&data, &mut text);
                    break text.into();
                }
            }
        };
        Some((Ok(text), self))
    }
}

const ALIVE: Bytes = Bytes::from_static(b":\n\n");

fn text_of(taken: &Taken) -> Bytes {
    let mut text = Vec::new();
    for message in taken.shown() {
        text.extend(format!("event: message\nid: {}\n", one_line(&message.message_id)).into_bytes());
        write_data(&serde_json::to_vec(&message).expect("strings and numbers"), &mut text);
    }
    text.into()
}

/// An id's end of line would end the field.
fn one_line(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).collect()
}

/// JSON that was kept as it was sent may have several lines: each is a field, and the client joins them again.
fn write_data(json: &[u8], text: &mut Vec<u8>) {
    for line in json.split(|byte| matches!(byte, b'\n' | b'\r')) {
        text.extend(b"data: ");
        text.extend(line);
        text.push(b'\n');
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_several_lines_stays_one_event() {
        let mut text = Vec::new();
        write_data(b"{\"json\":{\n\"event\":\r1}}", &mut text);
        assert_eq!(text, b"data: {\"json\":{\ndata: \"event\":\ndata: 1}}\n\n");
        assert_eq!(one_line("a\nb"), "ab");
    }
}
