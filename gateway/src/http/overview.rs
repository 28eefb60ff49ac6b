//! The broker at a glance: what a dashboard opens with.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::groups::is_system_group;
use ferromq_broker::stats::history::Point;
use ferromq_broker::topics::Topic;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{Api, json};
use super::problem::{Kind, Problem, ProblemBody};
use super::units::Time;
use crate::metrics::process::resident_bytes;
use crate::traffic::Protocol;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(overview))
}

/// The broker at a glance
///
/// How the last five minutes went is told in steps of two seconds, so that charts are full from the start.
#[utoipa::path(get, path = "/v1/overview", tag = "cluster",
    responses(
        (status = 200, description = "The broker, now and in the last five minutes.", body = Overview),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn overview(State(api): State<Api>) -> Result<Response, Problem> {
    // It asks the file system, and looks at all groups.
    let overview = tokio::task::spawn_blocking(move || Overview::of(&api));
    let overview = overview.await.map_err(|error| Kind::Internal.because(error.to_string()))?;
    Ok(json(StatusCode::OK, &overview))
}

/// The broker at a glance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Overview {
    name: String,
    cluster: String,
    version: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    #[schema(value_type = String, format = DateTime)]
    now: Time,
    /// `sync` or `async`: whether an acknowledged message survives a power cut.
    flush: &'static str,
    disk: Disk,
    /// Bytes of memory in use, mapped files included.
    memory: Option<u64>,
    /// Topics that are neither the broker's own nor made for a group.
    topics: usize,
    /// Consumer groups that are not the broker's own.
    groups: usize,
    connections: Connections,
    /// Over the last two seconds.
    rates: Rates,
    latency: Latency,
    /// Messages that groups have not consumed, together.
    lag: u64,
    /// From the oldest step on.
    history: Vec<Step>,
}

/// The file system of the messages, in bytes.
#[derive(Serialize, ToSchema)]
struct Disk {
    used: u64,
    total: u64,
    /// Of that, messages.
    log: u64,
}

/// Connections that are open.
#[derive(Serialize, ToSchema)]
struct Connections {
    remoting: u64,
    http: u64,
}

/// What happens each second.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Rates {
    put_per_second: f64,
    get_per_second: f64,
    put_bytes_per_second: f64,
    get_bytes_per_second: f64,
}

/// What things take.
#[derive(Serialize, ToSchema)]
struct Latency {
    put: Quantiles,
}

/// What half and 99 % of all take at most, in seconds; null where there was nothing.
#[derive(Serialize, ToSchema)]
struct Quantiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

/// Two seconds: rates a second, and how long messages took to be stored, in seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Step {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    put: f64,
    get: f64,
    put_bytes: f64,
    get_bytes: f64,
    p50: Option<f64>,
    p99: Option<f64>,
}

impl From<Point> for Step {
    fn from(point: Point) -> Self {
        let Point { at, put, got, put_bytes, got_bytes, p50, p99 } = point;
        let [p50, p99] = [p50, p99].map(|time| time.map(|time| time.as_secs_f64()));
        Self { at: Time(at), put, get: got, put_bytes, get_bytes: got_bytes, p50, p99 }
    }
}

impl Overview {
    /// Blocks.
    fn of(api: &Api) -> Self {
        let (broker, traffic) = (api.broker(), &api.sources().traffic);
        let (config, store) = (broker.config(), broker.store());
        let log = store.stats();
        let disk = store.disk_usage().map(|disks| disks.log).ok();
        let history: Vec<Step> = broker.stats().history().into_iter().map(Step::from).collect();
        let last = history.last();
        let rate = |of: fn(&Step) -> f64| last.map_or(0.0, of);
        let reserved = broker.topics().reserved();
        let is_users = |topic: &Topic| {
            let name = topic.name();
            !topic.is_light() && !name.is_derived() && !reserved.contains(name.as_str())
        };
        let topics = broker.topics().all().iter().filter(|topic| is_users(topic)).count();
        Self {
            name: config.name.clone(),
            cluster: config.cluster.clone(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: Time(broker.started()),
            now: Time(store.now()),
            flush: if store.flushes_before_ack() { "sync" } else { "async" },
            disk: Disk {
                used: disk.map_or(0, |disk| disk.total.saturating_sub(disk.available)),
                total: disk.map_or(0, |disk| disk.total),
                log: log.log_max.since(log.log_min),
            },
            memory: resident_bytes(),
            topics,
            groups: broker.groups().snapshot().groups.keys().filter(|group| !is_system_group(group)).count(),
            connections: Connections {
                remoting: traffic.open(Protocol::Remoting),
                http: traffic.open(Protocol::Http),
            },
            rates: Rates {
                put_per_second: rate(|step| step.put),
                get_per_second: rate(|step| step.get),
                put_bytes_per_second: rate(|step| step.put_bytes),
                get_bytes_per_second: rate(|step| step.get_bytes),
            },
            latency: Latency {
                put: Quantiles { p50: last.and_then(|step| step.p50), p99: last.and_then(|step| step.p99) },
            },
            lag: broker.total_lag(),
            history,
        }
    }
}
