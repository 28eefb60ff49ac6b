//! The way to a collector: one POST, one answer.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::config::Endpoint;

/// How long an export may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of the file of headers.
const MAX_HEADERS: u64 = 64 << 10;

/// The file of headers cannot be used. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum HeadersError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is too long.
    #[error("it has more than {MAX_HEADERS} bytes")]
    TooLong,
    /// A line is no header. It is not quoted, as it may hold a secret.
    #[error("line {0} is not `name: value`")]
    Line(usize),
}

/// Reads the headers for requests to a collector. Blocks.
///
/// # Errors
/// [`HeadersError`].
pub fn read_headers(path: &Path) -> Result<HeaderMap, HeadersError> {
    if std::fs::metadata(path)?.len() > MAX_HEADERS {
        return Err(HeadersError::TooLong);
    }
    parse_headers(&std::fs::read_to_string(path)?)
}

fn parse_headers(text: &str) -> Result<HeaderMap, HeadersError> {
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = header.ok_or(HeadersError::Line(number))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Why the collector has not got something.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or what answers does not speak HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// Its answer is too long, or broke off.
    #[error("its answer cannot be read: {0}")]
    Answer(#[source] HttpError),
    /// It took too long.
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    /// It does not want it.
    #[error("refused with {0}")]
    Refused(StatusCode),
    /// The process ends.
    #[error("stopped")]
    Stopped,
}

/// A collector.
#[derive(Clone, Debug)]
pub struct Collector {
    endpoint: Endpoint,
    headers: HeaderMap,
    /// Where requests run: traces are exported from a thread of their own.
    runtime: Handle,
    /// Whether the last one failed, which the log tells once.
    failing: Arc<AtomicBool>,
}

impl Collector {
    /// The collector at `endpoint`, reached from the runtime of the caller.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(endpoint: Endpoint, headers: HeaderMap) -> Self {
        Self { endpoint, headers, runtime: Handle::current(), failing: Arc::default() }
    }

    /// The address for one kind of data, such as `traces`.
    pub(super) fn address(&self, of: &str) -> String {
        format!("http://{}{}/v1/{of}", self.endpoint.authority, self.endpoint.path)
    }

    /// Gives it a message.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(super) async fn post(&self, of: &str, body: Bytes) -> Result<(), ExportError> {
        let request = Request::post(self.address(of)).header(CONTENT_TYPE, "application/x-protobuf");
        let request = request.body(body).expect("an endpoint is an address");
        self.exchange(request).await.map(drop)
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExportError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange_in_time(request));
        let outcome = match exchange.await.unwrap_or(Err(ExportError::Timeout)) {
            Ok(answer) if !answer.status().is_success() => Err(ExportError::Refused(answer.status())),
            outcome => outcome,
        };
        self.note(outcome.as_ref().err());
        outcome
    }

    /// One line when it begins to fail and one when that ends, not one for each export.
    fn note(&self, error: Option<&ExportError>) {
        let was_failing = self.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_failing => {
                tracing::warn!(%error, "the collector (otlpEndpoint) gets nothing, will keep trying");
            }
            None if was_failing => {
                tracing::info!("the collector (otlpEndpoint) gets metrics and traces again");
            }
            _ => {}
        }
    }

    async fn exchange_in_time(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExportError> {
        let stream = TcpStream::connect(&self.endpoint.authority).await.map_err(ExportError::Connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = request.map(Full::new);
        // A connection knows no host: it asks for a path.
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(http::Uri::from).unwrap_or_default();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Ok(host) = HeaderValue::from_str(&self.endpoint.authority) {
            headers.insert(HOST, host);
        }
        let answering = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(ExportError::Answer)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::pin!(answering);
        tokio::select! {
            answer = &mut answering => answer,
            // What is left to say has been read by then.
            ended = connection => { ended?; answering.await }
        }
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let this = self.clone();
        let exchange = self.runtime.spawn(async move { this.exchange(request).await });
        Box::pin(async move { Ok(exchange.await.map_err(|_| ExportError::Stopped)??) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_a_wrong_one_is_not_quoted() {
        let headers = parse_headers("# for the vendor\nauthorization: Bearer a:b\n\nx-scope: 1\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert!(!format!("{headers:?}").contains("Bearer"), "secrets are not shown");
        let error = parse_headers("x: 1\nsecret").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not `name: value`");
    }
}
