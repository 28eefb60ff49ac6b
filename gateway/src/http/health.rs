//! What watches a process asks: whether it lives, whether it is of use, and its metrics.
//!
//! Metrics are looked at by one request at a time: what a look costs grows with topics and groups, and a second one would
//! only find the same.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Api, json};
use super::problem::{Kind, Problem, ProblemBody};
use crate::metrics;

pub(super) fn routes() -> OpenApiRouter<Api> {
    let looks = Arc::new(Semaphore::new(1));
    let described = OpenApiRouter::new().routes(routes!(lives)).routes(routes!(ready));
    described.merge(OpenApiRouter::new().routes(routes!(tell)).layer(axum::Extension(looks)))
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "cluster", security(()),
    responses((status = 200, description = "It does.", body = Lives)))]
async fn lives() -> Response {
    json(StatusCode::OK, &Lives { status: "ok" })
}

/// That it answers.
#[derive(Serialize, ToSchema)]
struct Lives {
    /// `ok`
    status: &'static str,
}

/// Whether the broker is of use
///
/// It is when its store takes messages, it does not stop, and a NameServer knows it where one is set.
#[utoipa::path(get, path = "/readyz", tag = "cluster", security(()),
    responses(
        (status = 200, description = "It is.", body = Readiness),
        (status = 503, description = "It is not, for the reasons given.", body = Readiness),
    ))]
async fn ready(State(api): State<Api>) -> Response {
    let readiness = Readiness::of(&api);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &readiness)
}

/// Whether the broker is of use, and why not.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Empty if it is.
    reasons: Vec<Reason>,
}

/// Why the broker is of no use now.
#[derive(Debug, Serialize, ToSchema)]
struct Reason {
    /// `stopping`, `store` or `nameservers`.
    code: &'static str,
    /// What it is, and what to do.
    detail: String,
}

impl Readiness {
    fn of(api: &Api) -> Self {
        let mut reasons = Vec::new();
        let mut not = |code, detail| reasons.push(Reason { code, detail });
        let (broker, sources) = (api.broker(), api.sources());
        if broker.is_stopping() {
            not("stopping", "the process is asked to stop".to_owned());
        }
        if let Err(error) = broker.store().writable() {
            not("store", error.to_string());
        }
        if sources.nameservers > 0 && *sources.registered.borrow() == 0 {
            not("nameservers", format!("none of {} NameServers (namesrvAddr) knows it", sources.nameservers));
        }
        Self { ready: reasons.is_empty(), reasons }
    }
}

/// Metrics, as Prometheus reads them
///
/// Names and labels are listed in docs/metrics.md.
#[utoipa::path(get, path = "/metrics", tag = "cluster",
    responses(
        (status = 200, description = "All figures, in the text format.", content_type = "text/plain", body = String),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn tell(
    State(api): State<Api>,
    axum::Extension(looks): axum::Extension<Arc<Semaphore>>,
) -> Result<Response, Problem> {
    let failed = |error: &dyn std::error::Error| Kind::Internal.because(error.to_string());
    let look = looks.acquire_owned().await.map_err(|error| failed(&error))?;
    let sources = api.sources().clone();
    let text = tokio::task::spawn_blocking(move || {
        let text = metrics::render(&sources);
        drop(look);
        text
    });
    let text = text.await.map_err(|error| failed(&error))?;
    Ok(([(header::CONTENT_TYPE, metrics::text::CONTENT_TYPE)], text).into_response())
}
