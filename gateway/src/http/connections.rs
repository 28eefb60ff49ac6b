//! Who is connected, by whatever protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::members;
use ferromq_model::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::Query;
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Problem, ProblemBody};
use super::receive::members::PROTOCOL;
use super::units::Time;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all))
}

/// HTTP connections that are open; as many at most as the listener takes.
#[derive(Debug, Default)]
pub(super) struct Open {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, (SocketAddr, Timestamp)>,
}

impl Open {
    /// Notes a connection for as long as what is returned lives.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Entry {
        let mut table = self.table.lock();
        table.last += 1;
        let id = table.last;
        table.open.insert(id, (peer, Timestamp::now()));
        Entry { open: Arc::clone(self), id }
    }
}

/// An open connection.
pub(super) struct Entry {
    open: Arc<Open>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.table.lock().open.remove(&self.id);
    }
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    Producer,
    Consumer,
    /// Both.
    Both,
    /// It asks, each time for itself.
    Requests,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Connection {
    /// What tells it from others.
    id: String,
    /// Where it comes from.
    address: String,
    /// What it speaks.
    #[schema(value_type = String, example = "remoting")]
    protocol: &'static str,
    /// The client's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The language that the client is written in.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The version of its library, as its protocol counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Time,
    /// Groups that it produces or consumes for.
    groups: Vec<String>,
    /// What it does.
    kind: Role,
}

impl Connection {
    fn of(member: members::Connection, role: Role) -> Self {
        Self {
            id: format!("{}-{}-{}", member.protocol, member.channel.0, member.client.id),
            address: member.address.to_string(),
            protocol: member.protocol,
            client_id: Some(member.client.id),
            language: Some(member.client.language),
            version: Some(member.client.version.to_string()),
            since: Time(member.since),
            groups: Vec::new(),
            kind: role,
        }
    }

    /// The same client in one more group.
    fn joins(&mut self, group: String, role: Role, since: Timestamp) {
        if self.kind != role {
            self.kind = Role::Both;
        }
        self.since = Time(self.since.0.min(since));
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Only connections behind this id.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionList)]
struct Connections {
    /// By id.
    connections: Vec<Connection>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List connections
///
/// Clients that have said who they are, and connections of HTTP.
#[utoipa::path(get, path = "/v1/connections", tag = "cluster", operation_id = "list_connections", params(AllQuery),
    responses(
        (status = 200, description = "Who is there.", body = Connections),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>, Query(query): Query<AllQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    let (open, streams) = (Arc::clone(api.open()), Arc::clone(api.streams()));
    api.blocking(move |broker| {
        let mut known = BTreeMap::new();
        // Who receives by HTTP is listed as the connection that it is, not as the member that all of them are together.
        let mut receiving: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
        for receiver in streams.receivers() {
            let groups = receiving.entry(receiver.address).or_default();
            if !groups.contains(&receiver.place.group) {
                groups.push(receiver.place.group);
            }
        }
        let consumers = broker.members().all_consumers().into_iter().map(|group| (group, Role::Consumer));
        let producers = broker.members().all_producers().into_iter().map(|group| (group, Role::Producer));
        for ((group, members), role) in consumers.chain(producers) {
            for member in members.into_iter().filter(|member| member.protocol != PROTOCOL) {
                let since = member.since;
                let new = Connection::of(member, role);
                let known = known.entry(new.id.clone()).or_insert(new);
                known.joins(group.to_string(), role, since);
            }
        }
        for (id, (address, since)) in &open.table.lock().open {
            let id = format!("{PROTOCOL}-{id}");
            let groups = receiving.remove(address).unwrap_or_default();
            let connection = Connection {
                id: id.clone(),
                address: address.to_string(),
                protocol: PROTOCOL,
                client_id: None,
                language: None,
                version: None,
                since: Time(*since),
                kind: if groups.is_empty() { Role::Requests } else { Role::Consumer },
                groups,
            };
            known.insert(id, connection);
        }
        let (ids, next) = page::of_names(known.keys().cloned(), query.after.as_deref(), max);
        let connections = ids.iter().filter_map(|id| known.remove(id)).collect();
        Ok(api::json(StatusCode::OK, &Connections { connections, next }))
    })
    .await
}
