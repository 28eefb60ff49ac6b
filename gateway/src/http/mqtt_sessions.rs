//! MQTT's clients and their sessions: listed, shown, disconnected, ended; and groups of shared subscriptions.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Path, Query};
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Kind, Problem, ProblemBody};
use super::units::Time;
use crate::mqtt::inspect::{Client, Report, SharedGroup, Subscribed};

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one, purge))
        .routes(routes!(kick))
        .routes(routes!(groups))
        .routes(routes!(overview))
}

/// A client that has a session, with or without a connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttClient)]
#[serde(rename_all = "camelCase")]
struct Described {
    /// Its identifier.
    client_id: String,
    /// The version of MQTT that it speaks, or spoke last: `3.1.1` or `5.0`.
    #[schema(value_type = String)]
    version: &'static str,
    /// Whether it has a connection.
    connected: bool,
    /// Where that comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Its user; where nobody is asked who they are, what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Since when it is connected, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// For how many seconds its session outlives its connection; null is for ever.
    expiry_seconds: Option<u32>,
    /// When the session ends, unless it comes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Time>,
}

impl From<Client> for Described {
    fn from(client: Client) -> Self {
        let Client { id, version, connection, away_since, expiry, ends } = client;
        Self {
            client_id: id.to_string(),
            version,
            connected: connection.is_some(),
            address: connection.as_ref().map(|connection| connection.address.to_string()),
            since: connection.as_ref().map(|connection| connection.since).or(away_since).map(Time),
            user: connection.and_then(|connection| connection.user).map(|user| user.to_string()),
            expiry_seconds: expiry,
            ends_at: ends.map(Time),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Only clients whose identifiers begin so.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    prefix: String,
    /// Only those that are connected, or are not.
    connected: Option<bool>,
    /// Only clients behind this identifier.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttClientList)]
struct All {
    /// By identifier.
    clients: Vec<Described>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List MQTT clients
///
/// Those that are connected, and those that have a session to come back to.
#[utoipa::path(get, path = "/v1/mqtt/clients", tag = "mqtt", operation_id = "list_mqtt_clients", params(AllQuery),
    responses(
        (status = 200, description = "Clients by identifier.", body = All),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>, Query(query): Query<AllQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    let mqtt = api.mqtt()?.clone();
    api.blocking(move |_| {
        let (found, more) = mqtt.clients(&query.prefix, query.after.as_deref(), query.connected, max);
        let next = found.last().filter(|_| more).map(|client| client.id.to_string());
        let clients = found.into_iter().map(Described::from).collect();
        Ok(api::json(StatusCode::OK, &All { clients, next }))
    })
    .await
}

/// One subscription of a session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttSubscription)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    /// The filter, as the client wrote it.
    filter: String,
    /// The highest quality of service.
    qos: u8,
    /// Whether the client is not sent what it published itself.
    no_local: bool,
    /// Whether the mark of retained messages stays.
    retain_as_published: bool,
    /// What the client calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<u32>,
    /// Whether it is shared with others: then what waits does so for its group.
    shared: bool,
    /// The next message of the filter's queue that the session is to have; of a shared one, see its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// Messages behind it.
    lag: u64,
}

impl From<&Subscribed> for Subscription {
    fn from(one: &Subscribed) -> Self {
        Self {
            filter: one.filter.to_string(),
            qos: one.qos,
            no_local: one.no_local,
            retain_as_published: one.retain_as_published,
            identifier: one.identifier,
            shared: one.is_shared,
            position: (!one.is_shared).then_some(one.next.0),
            lag: one.waiting,
        }
    }
}

/// How a session stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttSession)]
#[serde(rename_all = "camelCase")]
struct Session {
    /// By filter; how many there are may change at any time.
    subscriptions: Vec<Subscription>,
    /// Messages on their way to the client that it did not acknowledge to the end.
    inflight_out: usize,
    /// Messages of the client that it was not acknowledged to the end.
    inflight_in: usize,
    /// Messages that wait for it: one that several of its subscriptions match counts once for each. Those of shared ones
    /// are not among them.
    queued: u64,
    /// Retained messages that are still to be sent.
    retained_waiting: usize,
    /// Bytes that wait for its connection.
    unwritten_bytes: usize,
    /// Messages that it was to have on this connection and was not sent.
    dropped: u64,
}

impl From<Report> for Session {
    fn from(report: Report) -> Self {
        let mut subscriptions: Vec<_> = report.subscriptions.iter().map(Subscription::from).collect();
        subscriptions.sort_by(|a, b| a.filter.cmp(&b.filter));
        Self {
            subscriptions,
            inflight_out: report.sent,
            inflight_in: report.received,
            queued: report.waiting(),
            retained_waiting: report.retained,
            unwritten_bytes: report.unwritten,
            dropped: report.dropped,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttClientDetail)]
struct Detail {
    #[serde(flatten)]
    client: Described,
    /// How its session stands; absent when its connection is too busy to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

fn no_session(client: &str) -> Problem {
    Kind::NoClient.because(format!("the MQTT client {client:?} has no session"))
}

/// Show an MQTT client and its session
#[utoipa::path(get, path = "/v1/mqtt/clients/{client}", tag = "mqtt", operation_id = "show_mqtt_client",
    params(("client" = String, Path, description = "The client's identifier.")),
    responses(
        (status = 200, description = "The client.", body = Detail),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one(State(api): State<Api>, Path(client): Path<String>) -> Result<Response, Problem> {
    match api.mqtt()?.find(&client).await {
        Ok(Some((client, report))) => {
            let detail = Detail { client: client.into(), session: report.map(Session::from) };
            Ok(api::json(StatusCode::OK, &detail))
        }
        Ok(None) => Err(no_session(&client)),
        Err(error) => Err(Kind::Internal.because(error.to_string())),
    }
}

/// End an MQTT client's connection and session
///
/// Its subscriptions, and what waited for it, are gone for good. Its will is published.
#[utoipa::path(delete, path = "/v1/mqtt/clients/{client}", tag = "mqtt", operation_id = "purge_mqtt_client",
    params(("client" = String, Path, description = "The client's identifier.")),
    responses(
        (status = 204, description = "There is none any more. It may connect again, to a new one."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn purge(State(api): State<Api>, Path(client): Path<String>) -> Result<StatusCode, Problem> {
    match api.mqtt()?.purge(&client).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(no_session(&client)),
        Err(error) => Err(Kind::Internal.because(error.to_string())),
    }
}

/// End an MQTT client's connection
///
/// It is told so (0x98, administrative action), and its will is published. Its session stays as long as it would after a
/// failure of the network; it may connect again.
#[utoipa::path(delete, path = "/v1/mqtt/clients/{client}/connection", tag = "mqtt", operation_id = "kick_mqtt_client",
    params(("client" = String, Path, description = "The client's identifier.")),
    responses(
        (status = 204, description = "It has none any more."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn kick(State(api): State<Api>, Path(client): Path<String>) -> Result<StatusCode, Problem> {
    if api.mqtt()?.kick(&client).await {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Kind::NoClient.because(format!("the MQTT client {client:?} is not connected")))
}

/// A group of shared subscriptions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttSharedGroup)]
#[serde(rename_all = "camelCase")]
struct Group {
    /// Its name.
    group: String,
    /// The filter that its members share: another is another group.
    filter: String,
    /// Members that are connected, by identifier.
    members: Vec<String>,
    /// Members that are not.
    members_away: usize,
    /// Messages that no member has.
    lag: u64,
}

impl From<SharedGroup> for Group {
    fn from(group: SharedGroup) -> Self {
        Self {
            group: group.name,
            filter: group.filter,
            members: group.members.iter().map(|client| client.as_str().to_owned()).collect(),
            members_away: group.away,
            lag: group.waiting,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GroupsQuery {
    /// Only groups behind this one, as `next` named it.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttSharedGroupList)]
struct Groups {
    /// By name and filter.
    groups: Vec<Group>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List groups of MQTT's shared subscriptions
#[utoipa::path(get, path = "/v1/mqtt/shared", tag = "mqtt", operation_id = "list_shared_groups", params(GroupsQuery),
    responses(
        (status = 200, description = "Groups by name and filter.", body = Groups),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn groups(State(api): State<Api>, Query(query): Query<GroupsQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    let mqtt = api.mqtt()?.clone();
    api.blocking(move |_| {
        let (found, next) = mqtt.shared_groups(query.after.as_deref(), max);
        let groups = found.into_iter().map(Group::from).collect();
        Ok(api::json(StatusCode::OK, &Groups { groups, next }))
    })
    .await
}

/// MQTT at a glance. What is counted is so since the start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MqttOverview)]
#[serde(rename_all = "camelCase")]
struct Overview {
    /// Clients that are connected.
    connected: usize,
    /// Sessions of clients that are not.
    kept: usize,
    /// Subscriptions of all sessions.
    subscriptions: usize,
    /// Different filters that are subscribed to.
    filters: usize,
    /// Groups of shared subscriptions.
    shared_groups: usize,
    /// Messages that clients published.
    received: u64,
    /// Messages that were sent to clients.
    sent: u64,
    /// Messages that clients were to have and were not sent.
    dropped: u64,
    /// Retained messages.
    retained: usize,
    /// Bytes of them.
    retained_bytes: usize,
}

/// MQTT at a glance
#[utoipa::path(get, path = "/v1/mqtt", tag = "mqtt", operation_id = "mqtt_overview",
    responses(
        (status = 200, description = "What there is, and what was counted since the start.", body = Overview),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn overview(State(api): State<Api>) -> Result<Response, Problem> {
    let figures = api.mqtt()?.figures();
    let overview = Overview {
        connected: figures.connected,
        kept: figures.kept,
        subscriptions: figures.subscriptions,
        filters: figures.filters,
        shared_groups: figures.groups,
        received: figures.received.iter().map(|amount| amount.messages).sum(),
        sent: figures.sent.iter().map(|amount| amount.messages).sum(),
        dropped: figures.dropped.iter().map(|(_, count)| count).sum(),
        retained: figures.retained,
        retained_bytes: figures.retained_bytes,
    };
    Ok(api::json(StatusCode::OK, &overview))
}
