//! Questions to a server's HTTP API, for what RocketMQ's protocol has no request for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where the API is, and who asks.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The server's HTTP port
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "FERROMQ_HTTP",
        default_value = "127.0.0.1:8080"
    )]
    http: String,
    /// User, if the server checks who asks; the password comes from the variable FERROMQ_HTTP_PASSWORD. Without a user, a
    /// token is taken from FERROMQ_HTTP_TOKEN
    #[arg(long, global = true, value_name = "NAME", env = "FERROMQ_HTTP_USER")]
    http_user: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody listens there, or answers.
    #[error("no answer from {at}: {why}; --http says where the server's HTTP port is")]
    Unreachable {
        /// Where.
        at: String,
        /// What was seen.
        why: String,
    },
    /// The server does not do it.
    #[error("{0}")]
    Refused(String),
}

impl Server {
    /// Asks, and returns the answer's JSON; null if it has none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(super) async fn ask(&self, method: Method, path: &str, within: Duration) -> Result<Value, ApiError> {
        let unreachable = |why: String| ApiError::Unreachable { at: self.http.clone(), why };
        match timeout(within, self.exchange(method, path)).await {
            Ok(Ok((status, body))) => answer(status, &body),
            Ok(Err(why)) => Err(unreachable(why)),
            Err(_) => Err(unreachable(format!("it took longer than {} s", within.as_secs()))),
        }
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), String> {
        let stream = TcpStream::connect(&self.http).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.http);
        if let Some(authorization) = self.authorization() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let asked = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        tokio::pin!(asked);
        tokio::select! {
            answer = &mut asked => answer,
            // It has taken the answer's last bytes when it ends well.
            ended = connection => match ended {
                Ok(()) => asked.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }

    fn authorization(&self) -> Option<String> {
        let secret = |name| std::env::var(name).ok().filter(|secret: &String| !secret.is_empty());
        match &self.http_user {
            Some(user) => {
                let password = secret("FERROMQ_HTTP_PASSWORD").unwrap_or_default();
                Some(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
            }
            None => secret("FERROMQ_HTTP_TOKEN").map(|token| format!("Bearer {token}")),
        }
    }
}

fn answer(status: StatusCode, body: &[u8]) -> Result<Value, ApiError> {
    let value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(value);
    }
    let why = value["detail"].as_str().or(value["title"].as_str());
    Err(ApiError::Refused(why.map_or_else(|| format!("the server answers {status}"), str::to_owned)))
}
