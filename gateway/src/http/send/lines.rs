//! A stream of messages, a line of JSON each, answered a line each, in order.
//!
//! ```text
//! body ─▶ reading: lines ─▶ append, a piece of the body at a time ─▶ safe ─▶ results ─▶ channel ─▶ answer
//! ```
//! Reading is a task of its own, so that it goes on while the peer does not read results yet: many send everything before
//! they read anything. It may be [`MAX_UNREAD`] pieces ahead; after that it waits for the peer. The answer owns the task:
//! it ends with it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use ferromq_broker::send::SendBatch;
use ferromq_model::PhysicalOffset;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::ToSchema;

use super::Outcome;
use super::append::{self, Appending, Sent, Target};
use super::json;
use crate::http::api::Api;
use crate::http::extract::parse_json;
use crate::http::problem::{Kind, Problem};

/// Pieces of results that may wait for the peer to read them. One is as large as the results of what came at once, some
/// 100 KiB.
const MAX_UNREAD: usize = 256;

/// What a stream is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Results {
    /// A line for each line.
    #[default]
    All,
    /// A line for each line that was refused, with its number, and a last one that counts. For peers that send much before
    /// they read.
    Errors,
}

/// A line of [`Results::Errors`].
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Refused {
        line: u64,
        #[serde(flatten)]
        outcome: Outcome<'a>,
    },
    Count {
        stored: u64,
        refused: u64,
    },
}

/// Begins the answer; the rest comes as the body does.
pub(super) fn answer(api: Api, topic: String, peer: SocketAddr, body: Body, results: Results) -> Response {
    let (sender, receiver) = mpsc::channel(MAX_UNREAD);
    let reading =
        Reading { api, topic, peer, body, buffer: Vec::new(), report: Report::new(results), sender };
    let task = tokio::spawn(reading.run());
    let body = Body::new(Answer { receiver, task });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// The results' body. The reading ends when this is dropped, that is with the connection.
struct Answer {
    receiver: mpsc::Receiver<Bytes>,
    task: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.receiver.poll_recv(cx).map(|piece| piece.map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}

struct Reading {
    api: Api,
    topic: String,
    peer: SocketAddr,
    body: Body,
    /// The beginning of a line whose end has not come yet.
    buffer: Vec<u8>,
    report: Report,
    sender: mpsc::Sender<Bytes>,
}

impl Reading {
    async fn run(mut self) {
        let mut batch = SendBatch::new();
        let problem = loop {
            let timeout = self.api.http().read_timeout.duration();
            let frame = match tokio::time::timeout(timeout, self.body.frame()).await {
                Err(_) => break Some(Kind::RequestTimeout.because("the body stopped coming")),
                Ok(Some(Err(error))) => {
                    break Some(Kind::BadRequest.because(format!("the body broke off: {error}")));
                }
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    let last = std::mem::take(&mut self.buffer);
                    if let Err(gone) = self.store(&last, &mut batch).await {
                        break gone;
                    }
                    break None;
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            let Some(end) = memchr::memrchr(b'\n', &data) else {
                // Its end may never come.
                if self.buffer.len() + data.len() > self.api.http().max_body_size.0 as usize {
                    break Some(too_long(&self.api));
                }
                self.buffer.extend_from_slice(&data);
                continue;
            };
            let (whole, rest) = data.split_at(end + 1);
            let stored = if self.buffer.is_empty() {
                self.store(whole, &mut batch).await
            } else {
                let mut lines = std::mem::take(&mut self.buffer);
                lines.extend_from_slice(whole);
                self.store(&lines, &mut batch).await
            };
            if let Err(gone) = stored {
                break gone;
            }
            self.buffer.extend_from_slice(rest);
        };
        if let Some(problem) = problem {
            self.report.add(&Err(problem));
        }
        self.report.end();
        // Whoever does not read it has gone.
        let _ = self.sender.send(self.report.take()).await;
    }

    /// Stores whole lines, and sends their results once they are safe. An error ends the stream: nobody reads any more, or
    /// with a problem to tell them last.
    async fn store(&mut self, lines: &[u8], batch: &mut SendBatch) -> Result<(), Option<Problem>> {
        let (end, stored) = self.append(lines, batch);
        if let Err(problem) = append::stored_safe(&self.api, end, stored).await {
            // These lines have no result but this one.
            self.report.text.clear();
            return Err(Some(problem));
        }
        let results = self.report.take();
        if results.is_empty() {
            return Ok(());
        }
        self.sender.send(results).await.map_err(|_| None)
    }

    /// Where they end, and how many they are.
    fn append(&mut self, lines: &[u8], batch: &mut SendBatch) -> (PhysicalOffset, u64) {
        let Self { api, topic, peer, report, .. } = self;
        let mut appending = Appending::new(api.broker(), Target { topic, peer: *peer, key: None }, batch);
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', lines).chain((!lines.ends_with(b"\n")).then_some(lines.len()));
        for end in ends {
            let line = lines[start..end].trim_ascii();
            start = end + 1;
            if !line.is_empty() {
                let message = if line.len() > api.http().max_body_size.0 as usize {
                    Err(too_long(api))
                } else {
                    parse_json(line).and_then(json::Message::outgoing)
                };
                appending.take(message, &mut |result| report.add(&result));
            }
        }
        appending.commit(&mut |result| report.add(&result));
        (appending.end, appending.stored)
    }
}

fn too_long(api: &Api) -> Problem {
    Kind::TooLarge.because(format!("a line is above {} (httpMaxBodySize)", api.http().max_body_size))
}

/// Results as they are written.
struct Report {
    results: Results,
    text: Vec<u8>,
    stored: u64,
    refused: u64,
}

impl Report {
    fn new(results: Results) -> Self {
        Self { results, text: Vec::new(), stored: 0, refused: 0 }
    }

    fn add(&mut self, result: &Result<Sent, Problem>) {
        if result.is_ok() {
            self.stored += 1;
        } else {
            self.refused += 1;
        }
        match self.results {
            Results::All => self.write(&Outcome::from(result)),
            Results::Errors if result.is_ok() => {}
            Results::Errors => {
                self.write(&Line::Refused { line: self.stored + self.refused, outcome: result.into() });
            }
        }
    }

    fn end(&mut self) {
        if self.results == Results::Errors {
            self.write(&Line::Count { stored: self.stored, refused: self.refused });
        }
    }

    fn write(&mut self, line: &impl Serialize) {
        serde_json::to_writer(&mut self.text, line).expect("strings and numbers");
        self.text.push(b'\n');
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.text).into()
    }
}
