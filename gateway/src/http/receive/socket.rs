//! A WebSocket that receives and acknowledges, in frames of JSON.
//!
//! ```text
//! client   {"credit":10}   {"ack":[receipts]}   {"nack":[receipts],"delay":"5s"}   {"extend":[receipts],"lease":"30s"}
//! server   {"messages":[…]}   {"results":[…]} for each of the other three, in order   {"error":problem}
//! ```
//! Nothing is sent without credit: a message costs one. What is not acknowledged when the socket ends comes again at once.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lease::{self, Ask, MAX_MESSAGES, Taken, take};
use super::settle::{Act, MAX_RECEIPTS, Settled, settle};
use super::streams::{MAX_UNACKED, Open, Way};
use super::{Received, SettledAll, StreamQuery, ask, lease_of, millis, one_to, receipt};
use crate::http::api::Api;
use crate::http::extract::{Path, Query};
use crate::http::guard::Peer;
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::units::Span;

/// How long one wait for messages takes.
const WAIT: Duration = Duration::from_secs(15);
/// How often the client is asked whether it lives.
const PING: Duration = Duration::from_secs(15);
/// A client that says nothing for so long, answers to pings included, is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client may take to read what is sent before it counts as gone.
const MAX_SEND: Duration = Duration::from_secs(60);
/// How long a pause is when as many receivers wait as may.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest frame of a client: as many receipts as there may be.
const MAX_FRAME: usize = MAX_RECEIPTS * (receipt::TEXT_LEN + 8) + 1024;
const BUFFER: usize = 8 << 10;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(socket))
}

/// Receive messages by WebSocket
///
/// Frames are JSON. The client gives credit for messages with `{"credit":10}`, and settles them with `{"ack":[…]}`,
/// `{"nack":[…],"delay":"5s"}` or `{"extend":[…],"lease":"30s"}`; the server sends `{"messages":[…]}`, `{"results":[…]}` for
/// each settling, and `{"error":…}` for a frame that it does not understand. What is not settled when the socket ends comes
/// again at once.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}/groups/{group}/socket",
    tag = "receive",
    params(
        ("topic" = String, Path, description = "The topic."),
        ("group" = String, Path, description = "The consumer group."),
        StreamQuery,
    ),
    responses(
        (status = 101, description = "A WebSocket from here on."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ),
)]
async fn socket(
    State(api): State<Api>,
    Path(of): Path<(String, String)>,
    Query(query): Query<StreamQuery>,
    Extension(Peer(peer)): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Kind::BadRequest.because(error.body_text()))?;
    let unacked = one_to(MAX_UNACKED, query.unacked.unwrap_or(MAX_UNACKED), "unacked")?;
    let ask = ask(of, query.lease, query.tag, query.sql, query.body)?;
    ask.check(&api)?;
    let open = api.streams().open(&ask.place, peer, Way::Socket)?;
    let session = Session { api, ask, unacked, open, credit: 0, taking: None };
    let upgrade = upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .read_buffer_size(BUFFER)
        .write_buffer_size(0);
    // The server's end waits for its place among the streams.
    Ok(upgrade.on_upgrade(|socket| session.run(socket)))
}

/// What a client says.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Said {
    Credit { credit: usize },
    Ack { ack: Vec<String> },
    Nack { nack: Vec<String>, delay: Option<Span> },
    Extend { extend: Vec<String>, lease: Span },
}

#[derive(Serialize)]
struct Failed<'a> {
    error: ProblemBody<'a>,
}

type Taking = Pin<Box<dyn Future<Output = Result<Taken, Problem>> + Send>>;

struct Session {
    api: Api,
    ask: Arc<Ask>,
    unacked: usize,
    open: Open,
    /// Messages that the client takes as of now.
    credit: usize,
    /// The wait for messages, which goes on while the client speaks.
    taking: Option<Taking>,
}

/// The socket is of no use any more.
struct Gone;

impl Session {
    async fn run(mut self, mut socket: WebSocket) {
        // Whatever ended it, what is out is for others now.
        let _ = self.talk(&mut socket).await;
        self.taking = None;
        let out = self.open.take_out();
        lease::give_back(&self.api, &self.ask.place, &out);
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Result<(), Gone> {
        let mut heard = Instant::now();
        let mut ping = tokio::time::interval_at(heard + PING, PING);
        loop {
            let now = self.api.broker().store().now();
            let (out, first_end) = self.open.out(now);
            let room = self.unacked.saturating_sub(out).min(self.credit).min(MAX_MESSAGES);
            if self.taking.is_none() && room > 0 {
                let (api, ask) = (self.api.clone(), Arc::clone(&self.ask));
                self.taking = Some(Box::pin(async move { take_or_pause(&api, &ask, room).await }));
            }
            let (full, first_end) = (self.credit > 0 && room == 0, first_end.map(|end| end.since(now)));
            let room_again = tokio::time::sleep(first_end.map_or(WAIT, |left| left.duration()));
            tokio::select! {
                said = socket.recv() => {
                    heard = Instant::now();
                    match said {
                        Some(Ok(Message::Text(text))) => self.hear(text.as_bytes(), socket).await?,
                        Some(Ok(Message::Binary(bytes))) => self.hear(&bytes, socket).await?,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                    }
                }
                taken = taken(&mut self.taking), if self.taking.is_some() => {
                    self.taking = None;
                    self.send_messages(taken, socket).await?;
                }
                () = self.open.settled(), if full => {}
                () = room_again, if full => {}
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(Gone);
                    }
                    send(socket, Message::Ping(Default::default())).await?;
                }
                () = self.api.stopped() => {
                    let close = CloseFrame { code: close_code::AWAY, reason: "the server stops".into() };
                    return send(socket, Message::Close(Some(close))).await;
                }
            }
        }
    }

    async fn send_messages(
        &mut self,
        taken: Result<Taken, Problem>,
        socket: &mut WebSocket,
    ) -> Result<(), Gone> {
        let taken = match taken {
            Ok(taken) if taken.is_empty() => return Ok(()),
            Ok(taken) => taken,
            Err(problem) => {
                send_json(socket, &Failed { error: problem.body(None) }).await?;
                let close = CloseFrame { code: close_code::ERROR, reason: problem.kind.code().into() };
                send(socket, Message::Close(Some(close))).await?;
                return Err(Gone);
            }
        };
        self.credit = self.credit.saturating_sub(taken.receipts.len());
        self.open.sent(&taken.receipts);
        send_json(socket, &Received { messages: taken.shown().collect() }).await?;
        taken.delivered();
        Ok(())
    }

    /// Does what the client says, and answers.
    async fn hear(&mut self, text: &[u8], socket: &mut WebSocket) -> Result<(), Gone> {
        let said = match serde_json::from_slice(text) {
            Ok(said) => said,
            Err(error) => {
                let why = "a frame is {\"credit\":n}, {\"ack\":[…]}, {\"nack\":[…],\"delay\":\"5s\"} or \
                           {\"extend\":[…],\"lease\":\"30s\"}";
                let problem = Kind::BadRequest.because(format!("{error}: {why}"));
                return send_json(socket, &Failed { error: problem.body(None) }).await;
            }
        };
        let (receipts, act) = match said {
            Said::Credit { credit } => {
                self.credit = self.credit.saturating_add(credit).min(MAX_UNACKED);
                return Ok(());
            }
            Said::Ack { ack } => (ack, Ok(Act::Ack)),
            Said::Nack { nack, delay } => {
                (nack, Ok(Act::Nack(delay.map_or(ferromq_model::Millis(0), |delay| millis(delay.0)))))
            }
            Said::Extend { extend, lease } => (extend, lease_of(lease.0).map(Act::Extend)),
        };
        let settled = match act {
            Ok(act) => settle(&self.api, &self.ask.place, receipts, act).await,
            Err(problem) => Err(problem),
        };
        match settled {
            Ok(settled) => {
                send_json(socket, &SettledAll { results: settled.iter().map(Settled::body).collect() }).await
            }
            Err(problem) => send_json(socket, &Failed { error: problem.body(None) }).await,
        }
    }
}

/// Ends with the wait for messages; never, where there is none.
async fn taken(taking: &mut Option<Taking>) -> Result<Taken, Problem> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

async fn take_or_pause(api: &Api, ask: &Arc<Ask>, room: usize) -> Result<Taken, Problem> {
    loop {
        match take(api, ask, room, Instant::now() + WAIT).await {
            Err(problem) if problem.kind == Kind::TooMany => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
}

async fn send_json(socket: &mut WebSocket, frame: &impl Serialize) -> Result<(), Gone> {
    let text = serde_json::to_string(frame).map_err(|_| Gone)?;
    send(socket, Message::Text(text.into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match tokio::time::timeout(MAX_SEND, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
