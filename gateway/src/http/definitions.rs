//! All topics and groups as a JSON document, and making a server like one.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::Broker;
use ferromq_broker::definitions::{self, Change, DefineError};
use ferromq_model::group::SubscriptionGroupConfig;
use ferromq_model::topic::{Permission, TopicConfig};
use ferromq_model::{GroupName, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Json, Query};
use super::groups::GroupSettings;
use super::problem::{Kind, Problem, ProblemBody};
use super::topics::May;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export, import))
}

/// A topic as it is defined.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopicDefinition {
    /// Its name.
    name: String,
    /// Queues that consumers read.
    #[schema(maximum = 65536)]
    read_queues: u32,
    /// Queues that producers write.
    #[schema(maximum = 65536)]
    write_queues: u32,
    /// What clients may do.
    permission: May,
    /// Whether clients keep the number of queues fixed, for ordering.
    #[serde(default)]
    order: bool,
    /// Its attributes; those of a topic that is there stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

impl TopicDefinition {
    fn of(config: TopicConfig) -> Self {
        Self {
            name: config.topic_name.to_string(),
            read_queues: config.read_queue_nums,
            write_queues: config.write_queue_nums,
            permission: May::of(config.perm),
            order: config.order,
            attributes: config.attributes,
        }
    }

    fn config(self, broker: &Broker) -> Result<TopicConfig, Problem> {
        let name = TopicName::new(&self.name)?;
        let before = broker.topics().find(&self.name);
        let mut config = match before {
            Some(before) => before.config().clone(),
            None => TopicConfig { attributes: self.attributes, ..TopicConfig::new(name, 0) },
        };
        config.read_queue_nums = self.read_queues;
        config.write_queue_nums = self.write_queues;
        config.perm = Permission(config.perm.0 & Permission::INHERIT | self.permission.bits());
        config.order = self.order;
        Ok(config)
    }
}

/// A group as it is defined.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupDefinition {
    /// Its name.
    name: String,
    /// Its settings; those left out are as by default, or stay as they are.
    #[serde(default)]
    settings: GroupSettings,
}

impl GroupDefinition {
    fn config(&self, broker: &Broker) -> Result<SubscriptionGroupConfig, Problem> {
        let name = GroupName::new(&self.name)?;
        let before = broker.groups().find(&self.name);
        let mut config =
            before.map_or_else(|| SubscriptionGroupConfig::new(name), |before| (*before).clone());
        self.settings.apply(&mut config)?;
        Ok(config)
    }
}

/// Topics and groups, but those of the broker's own and those that are made for groups.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Definitions {
    /// Topics.
    #[serde(default)]
    topics: Vec<TopicDefinition>,
    /// Groups.
    #[serde(default)]
    groups: Vec<GroupDefinition>,
}

/// Export definitions
#[utoipa::path(get, path = "/v1/definitions", tag = "cluster", operation_id = "export_definitions",
    responses(
        (status = 200, description = "All topics and groups.", body = Definitions),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn export(State(api): State<Api>) -> Result<Response, Problem> {
    api.blocking(|broker| {
        let definitions = broker.definitions();
        let groups = definitions.groups.iter().map(|config| GroupDefinition {
            name: config.group_name.to_string(),
            settings: GroupSettings::of(config),
        });
        let topics = definitions.topics.into_iter().map(TopicDefinition::of);
        Ok(api::json(StatusCode::OK, &Definitions { topics: topics.collect(), groups: groups.collect() }))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct ImportQuery {
    /// Only says what would change.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    dry_run: bool,
}

/// Whether it is a topic or a group.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Of {
    Topic,
    Group,
}

#[derive(Debug, Serialize, ToSchema)]
struct Named {
    /// What it is.
    kind: Of,
    /// Its name.
    name: String,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Imported {
    /// What is new.
    created: Vec<Named>,
    /// What has other settings.
    changed: Vec<Named>,
    /// What is there, just so.
    unchanged: Vec<Named>,
}

/// Import definitions
///
/// Creates and changes topics and groups until they are as defined: all of them, or none if one may not be. Those that
/// the document does not name stay.
#[utoipa::path(post, path = "/v1/definitions", tag = "cluster", operation_id = "import_definitions",
    params(ImportQuery), request_body = Definitions,
    responses(
        (status = 200, description = "What changed.", body = Imported),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn import(
    State(api): State<Api>,
    Query(query): Query<ImportQuery>,
    Json(wanted): Json<Definitions>,
) -> Result<Response, Problem> {
    api.blocking(move |broker| {
        let Definitions { topics, groups } = wanted;
        check_once("topic", topics.iter().map(|topic| &topic.name))?;
        check_once("group", groups.iter().map(|group| &group.name))?;
        let topic_names = topics.iter().map(|topic| (Of::Topic, topic.name.clone()));
        let names: Vec<_> =
            topic_names.chain(groups.iter().map(|group| (Of::Group, group.name.clone()))).collect();
        let definitions = definitions::Definitions {
            topics: topics.into_iter().map(|topic| topic.config(broker)).collect::<Result<_, _>>()?,
            groups: groups.iter().map(|group| group.config(broker)).collect::<Result<_, _>>()?,
        };
        let defined = broker.define(definitions, query.dry_run)?;
        let mut imported = Imported::default();
        for ((kind, name), change) in names.into_iter().zip(defined.topics.into_iter().chain(defined.groups))
        {
            let list = match change {
                Change::Created => &mut imported.created,
                Change::Changed => &mut imported.changed,
                Change::Unchanged => &mut imported.unchanged,
            };
            list.push(Named { kind, name });
        }
        Ok(api::json(StatusCode::OK, &imported))
    })
    .await
}

fn check_once<'a>(kind: &str, names: impl Iterator<Item = &'a String>) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(Kind::BadRequest.because(format!("the {kind} {name:?} is defined twice"))),
        None => Ok(()),
    }
}

impl From<DefineError> for Problem {
    fn from(error: DefineError) -> Self {
        let text = error.to_string();
        match error {
            DefineError::Topic(error) => error.into(),
            DefineError::Group(error) => error.into(),
            DefineError::BuiltIn(_) => Kind::Forbidden.because(text),
        }
    }
}
