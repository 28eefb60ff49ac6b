//! Brokers and routes: what this broker knows of itself, and what NameServers know of all.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::Broker;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Path, Query};
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Kind, Problem, ProblemBody};
use super::topics::{May, topic_named};
use super::units::Time;
use crate::remoting::namesrv_view::NoAnswer;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(brokers)).routes(routes!(topics)).routes(routes!(route))
}

impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        Kind::NoNameServer.because(error.to_string())
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Broker)]
#[serde(rename_all = "camelCase")]
struct Listed {
    /// The name that a master and its replicas share.
    name: String,
    /// 0 of a master.
    id: u64,
    /// The cluster.
    cluster: String,
    /// Where clients reach it.
    address: String,
    /// Its version, of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    version: Option<&'static str>,
    /// Since when it runs, of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// Whether it is this server.
    #[serde(rename = "self")]
    is_self: bool,
}

impl Listed {
    fn own(broker: &Broker) -> Self {
        let config = broker.config();
        Self {
            name: config.name.clone(),
            id: config.id,
            cluster: config.cluster.clone(),
            address: broker.store_host().to_string(),
            version: Some(env!("CARGO_PKG_VERSION")),
            started_at: Some(Time(broker.started())),
            is_self: true,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Brokers {
    /// This one first, then by name.
    brokers: Vec<Listed>,
    /// Why others could not be asked for, if they could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// List brokers
///
/// This one, and those that a NameServer knows.
#[utoipa::path(get, path = "/v1/brokers", tag = "cluster", operation_id = "list_brokers",
    responses(
        (status = 200, description = "The brokers.", body = Brokers),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn brokers(State(api): State<Api>) -> Response {
    let own = Listed::own(api.broker());
    let (own_address, mut brokers, mut missing) = (own.address.clone(), vec![own], None);
    if let Some(namesrvs) = api.namesrvs() {
        match namesrvs.brokers().await {
            Ok(known) => {
                for (name, set) in known.broker_addr_table {
                    let others = set.broker_addrs.into_iter().filter(|(_, address)| *address != own_address);
                    brokers.extend(others.map(|(id, address)| Listed {
                        name: name.clone(),
                        id,
                        cluster: set.cluster.clone(),
                        address,
                        version: None,
                        started_at: None,
                        is_self: false,
                    }));
                }
            }
            Err(error) => missing = Some(error.to_string()),
        }
    }
    api::json(StatusCode::OK, &Brokers { brokers, missing })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TopicsQuery {
    /// Only topics behind this name.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Routed {
    /// By name.
    topics: Vec<String>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List the topics that have a route
///
/// As a NameServer knows them; of a broker without one, its own.
#[utoipa::path(get, path = "/v1/routes", tag = "cluster", operation_id = "list_routes", params(TopicsQuery),
    responses(
        (status = 200, description = "Topics by name.", body = Routed),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn topics(State(api): State<Api>, Query(query): Query<TopicsQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    let names = match api.namesrvs() {
        Some(namesrvs) => namesrvs.topics().await?,
        None => api.broker().topics().all().iter().map(|topic| topic.name().to_string()).collect(),
    };
    let (topics, next) = page::of_names(names.into_iter(), query.after.as_deref(), max);
    Ok(api::json(StatusCode::OK, &Routed { topics, next }))
}

#[derive(Debug, Serialize, ToSchema)]
struct RouteBroker {
    /// The name that a master and its replicas share.
    name: String,
    /// The cluster.
    cluster: String,
    /// Where clients reach it, by id; 0 is the master.
    addresses: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RouteQueues {
    /// The broker's name.
    broker: String,
    /// Queues that consumers read.
    read_queues: u32,
    /// Queues that producers write.
    write_queues: u32,
    /// What clients may do.
    permission: May,
}

#[derive(Debug, Serialize, ToSchema)]
struct Route {
    /// The topic.
    topic: String,
    /// What each broker has of it.
    queues: Vec<RouteQueues>,
    /// The brokers.
    brokers: Vec<RouteBroker>,
}

/// Show where a topic is
///
/// As a NameServer knows it; of a broker without one, what it has itself.
#[utoipa::path(get, path = "/v1/routes/{topic}", tag = "cluster", operation_id = "show_route",
    params(("topic" = String, Path, description = "The topic.")),
    responses(
        (status = 200, description = "Its queues and their brokers.", body = Route),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn route(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, Problem> {
    let Some(namesrvs) = api.namesrvs() else {
        return own_route(api.broker(), &topic).map(|route| api::json(StatusCode::OK, &route));
    };
    let none = || Kind::NoTopic.because(format!("no broker that a NameServer knows has the topic {topic:?}"));
    let known = namesrvs.route(&topic).await?.ok_or_else(none)?;
    let queues = known.queue_datas.into_iter().map(|queues| RouteQueues {
        broker: queues.broker_name,
        read_queues: queues.read_queue_nums,
        write_queues: queues.write_queue_nums,
        permission: May::of(queues.perm),
    });
    let brokers = known.broker_datas.into_iter().map(|broker| RouteBroker {
        name: broker.broker_name,
        cluster: broker.cluster,
        addresses: broker.broker_addrs.into_iter().map(|(id, address)| (id.to_string(), address)).collect(),
    });
    let (queues, brokers) = (queues.collect(), brokers.collect());
    Ok(api::json(StatusCode::OK, &Route { topic, queues, brokers }))
}

fn own_route(broker: &Broker, topic: &str) -> Result<Route, Problem> {
    let topic = topic_named(broker, topic)?;
    let (config, of) = (topic.config(), broker.config());
    let queues = RouteQueues {
        broker: of.name.clone(),
        read_queues: config.read_queue_nums,
        write_queues: config.write_queue_nums,
        permission: May::of(config.perm),
    };
    let addresses = BTreeMap::from([(of.id.to_string(), broker.store_host().to_string())]);
    let own = RouteBroker { name: of.name.clone(), cluster: of.cluster.clone(), addresses };
    Ok(Route { topic: topic.name().to_string(), queues: vec![queues], brokers: vec![own] })
}
