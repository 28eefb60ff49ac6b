//! MQTT's retained messages: listed, shown, forgotten.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_model::message::{find_property, iter_properties};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::{Path, Query};
use super::message::{BodyForm, CONTENT_TYPE, DescribedBody, ShownBody};
use super::page::{self, DEFAULT_NAMES, MAX_NAMES};
use super::problem::{Kind, Problem, ProblemBody};
use super::units::Time;
use crate::mqtt::state::Retained;

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one, forget))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetainedTopic)]
#[serde(rename_all = "camelCase")]
struct Listed {
    /// The MQTT topic.
    topic: String,
    /// The quality of service that it was published with.
    qos: u8,
    /// Bytes of its payload.
    size: usize,
    /// When it was published.
    #[schema(value_type = String, format = DateTime)]
    stored_at: Time,
    /// When it expires, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

impl Listed {
    fn of(topic: &str, retained: &Retained) -> Self {
        Self {
            topic: topic.to_owned(),
            qos: retained.qos,
            size: retained.payload.len(),
            stored_at: Time(retained.stored),
            expires_at: retained.expires.map(Time),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Only topics that begin so.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    prefix: String,
    /// Only topics behind this one.
    after: Option<String>,
    /// How many at most, 1,000 by default.
    #[param(minimum = 1, maximum = 10000)]
    max: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetainedList)]
struct All {
    /// In the order of the topics' levels.
    retained: Vec<Listed>,
    /// If there are more: `after` of the next question.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List MQTT's retained messages
#[utoipa::path(get, path = "/v1/mqtt/retained", tag = "mqtt", operation_id = "list_retained", params(AllQuery),
    responses(
        (status = 200, description = "Topics that have one.", body = All),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>, Query(query): Query<AllQuery>) -> Result<Response, Problem> {
    let max = page::count(query.max, DEFAULT_NAMES, MAX_NAMES)?;
    let mqtt = api.mqtt()?.clone();
    api.blocking(move |_| {
        let (found, more) = mqtt.retained(&query.prefix, query.after.as_deref(), max);
        let next = found.last().filter(|_| more).map(|(topic, _)| topic.to_string());
        let retained = found.iter().map(|(topic, retained)| Listed::of(topic, retained)).collect();
        Ok(api::json(StatusCode::OK, &All { retained, next }))
    })
    .await
}

/// A retained message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetainedMessage)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(flatten)]
    about: Listed,
    /// Its properties, as every protocol reads them.
    #[schema(value_type = BTreeMap<String, String>)]
    properties: BTreeMap<&'a str, &'a str>,
    /// The payload.
    #[serde(flatten)]
    #[schema(value_type = DescribedBody)]
    payload: ShownBody,
}

fn none(topic: &str) -> Problem {
    Kind::NoMessage.because(format!("no message is retained for the topic {topic:?}"))
}

/// Show a retained message of MQTT
#[utoipa::path(get, path = "/v1/mqtt/retained/{topic}", tag = "mqtt", operation_id = "show_retained",
    params(("topic" = String, Path, description = "The MQTT topic; a / in it is written %2F.")),
    responses(
        (status = 200, description = "The message.", body = Shown<'_>),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn one(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, Problem> {
    let retained = api.mqtt()?.retained_of(&topic).ok_or_else(|| none(&topic))?;
    let content_type = find_property(&retained.properties, CONTENT_TYPE);
    let shown = Shown {
        about: Listed::of(&topic, &retained),
        properties: iter_properties(&retained.properties).collect(),
        payload: ShownBody::of(&retained.payload, content_type, BodyForm::Auto),
    };
    Ok(api::json(StatusCode::OK, &shown))
}

/// Forget a retained message of MQTT
///
/// Nobody is told, and the message stays in its topic.
#[utoipa::path(delete, path = "/v1/mqtt/retained/{topic}", tag = "mqtt", operation_id = "delete_retained",
    params(("topic" = String, Path, description = "The MQTT topic; a / in it is written %2F.")),
    responses(
        (status = 204, description = "The topic has none any more."),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn forget(State(api): State<Api>, Path(topic): Path<String>) -> Result<StatusCode, Problem> {
    match api.mqtt()?.forget_retained(&topic).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(none(&topic)),
        Err(error) => Err(Kind::Internal.because(error.to_string())),
    }
}
