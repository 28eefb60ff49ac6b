//! What holds for every request: its id, who asks, from which page, and how refusals are written.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use axum::response::{IntoResponse as _, Response};
use ferromq_model::hex;
use tower::Service as _;
use tracing::Instrument as _;

use super::api::Api;
use super::auth;
use super::problem::{Kind, Problem};
use super::{mqtt, send};
use crate::mqtt::Mqtt;
use crate::spans;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What pages say of themselves when a script of theirs asks.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
/// The longest request id that is taken over.
const MAX_REQUEST_ID: usize = 128;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Answers one request.
pub(super) async fn answer(api: &Api, mut router: Router, peer: Peer, request: Request<Body>) -> Response {
    let id = request_id(request.headers());
    let from_page = request.headers().contains_key(REQUESTED_WITH);
    let mut response = match admit(api, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => {
            let span = spans::http(&request);
            // Pages of other origins need what only the router adds to an answer.
            let is_direct = api.http().cors_origins.is_empty() && send::direct_topic(&request).is_some();
            let response = if is_direct {
                send::directly(api, peer.0, request).instrument(span.clone()).await
            } else {
                let mut request = request;
                request.extensions_mut().insert(peer);
                let Ok(response) = router.call(request).instrument(span.clone()).await;
                response
            };
            span.record("http.response.status_code", response.status().as_u16());
            response
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let id = id.to_str().unwrap_or_default();
        if problem.kind.status().is_server_error() {
            tracing::warn!(peer = %peer.0, request = id, code = problem.kind.code(), detail = %problem.detail, "request failed");
        }
        let mut written = problem.answer(id);
        if from_page && let Some(ways) = written.headers_mut().get_mut(header::WWW_AUTHENTICATE) {
            // Told of Basic, a browser would ask for a password itself, over the page that has a form for it.
            *ways = HeaderValue::from_static("Bearer realm=\"ferromq\"");
        }
        // Such as Allow, which the router knows; but not the length of what stands there instead.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        for (name, value) in response.headers() {
            written.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        response = written;
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's own, if it can be shown in a log; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    /// Of the next request; the process's number stands above them, so that those of two starts differ in a log.
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(u64::from(std::process::id() & 0xFFFF) << 48));
    let is_sane = |id: &&HeaderValue| {
        let id = id.as_bytes();
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 16];
        hex::write(&number.to_be_bytes(), &mut digits);
        HeaderValue::from_bytes(&digits).expect("hex digits")
    })
}

fn admit(api: &Api, request: &Request<Body>) -> Result<(), Problem> {
    check_page(api, request.headers(), request.uri())?;
    // A browser asks before it sends what it would authorise.
    let path = request.uri().path();
    // Where MQTT asks nobody, it is at HTTP's own risk that others come in by its door.
    let asks_by_itself = path == mqtt::PATH && api.mqtt().is_ok_and(Mqtt::asks);
    if is_open(path) || asks_by_itself || request.method() == Method::OPTIONS {
        return Ok(());
    }
    auth::check(api, request.headers())
}

/// Whether whoever reaches the server may see this: the page that one logs in with, and whether the process is well.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/healthz" | "/readyz" | "/favicon.ico") || path.starts_with("/ui/")
}

/// A page of another site that a browser shows on this machine could use the API in its user's name: browsers say which
/// page asks, and it must be this server's own or one of `httpCorsOrigins`.
fn check_page(api: &Api, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(uri.authority().map(|a| a.as_str()));
    // A name that somebody else made to mean this machine's own address makes their page look like ours.
    if api.http().bind_address.is_loopback() && host.is_some_and(|host| !means_this_machine(host)) {
        return Err(Kind::Forbidden.because(
            "the header Host names another machine, and this server listens on this one's own address only \
             (httpBindAddress)",
        ));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let is_own = origin.split_once("://").is_some_and(|(_, page)| Some(page) == host);
    if is_own || super::cors::is_allowed(&api.http().cors_origins, origin) {
        return Ok(());
    }
    Err(Kind::Forbidden.because(format!("pages of {origin} are not among httpCorsOrigins")))
}

fn means_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_if_a_log_can_show_it() {
        let mut headers = HeaderMap::new();
        let made = [request_id(&headers), request_id(&headers)];
        assert_ne!(made[0], made[1]);
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(request_id(&headers), "abc-1");
        for bad in ["a b", "", &"x".repeat(129)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(bad).unwrap());
            assert_ne!(request_id(&headers), bad);
        }
    }

    #[test]
    fn names_that_another_can_point_here_do_not_mean_this_machine() {
        for own in ["localhost", "localhost:8080", "a.localhost:1", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(means_this_machine(own), "{own}");
        }
        for other in ["example.org", "example.org:8080", "localhost.example.org", ""] {
            assert!(!means_this_machine(other), "{other}");
        }
    }
}
