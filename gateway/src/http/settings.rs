//! Settings: all of them with what they mean, and changing those that may change while the server runs.
//!
//! Always true: no secret is shown, and no path is set.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ferromq_broker::Broker;
use ferromq_broker::live::{ChangeError, DescribedSetting};
use ferromq_model::config::{Applies, Key, is_secret};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{self, Api};
use super::extract::Json;
use super::problem::{Kind, Problem, ProblemBody};

/// Paths of the API.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all, change))
}

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    /// The key, as it is written in a configuration file.
    key: String,
    /// Its value now; none of a secret.
    value: Option<String>,
    /// The default, as people read it.
    default: String,
    /// What part of the server it is about.
    #[schema(value_type = String, example = "broker")]
    room: &'static str,
    /// Whether it may change while the server runs.
    live: bool,
    /// What it is for, in Markdown.
    doc: String,
    /// Which values are allowed.
    allowed: String,
}

impl From<DescribedSetting> for Setting {
    fn from(DescribedSetting { room, key, value }: DescribedSetting) -> Self {
        Self {
            key: key.name.to_owned(),
            value: (!is_secret(key.name)).then_some(value),
            default: key.default(),
            room,
            live: may_change(key),
            doc: key.meaning(),
            allowed: key.allowed(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Settings {
    /// By part of the server, in the order of its documentation.
    settings: Vec<Setting>,
}

impl Settings {
    fn of(broker: &Broker) -> Self {
        Self { settings: broker.described_settings().into_iter().map(Setting::from).collect() }
    }
}

fn may_change(key: &Key) -> bool {
    key.applies == Applies::Live && key.kind != "path"
}

/// Show the settings
#[utoipa::path(get, path = "/v1/config", tag = "cluster", operation_id = "show_config",
    responses(
        (status = 200, description = "All settings.", body = Settings),
        (status = "default", description = "Refused.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn all(State(api): State<Api>) -> Result<Response, Problem> {
    api.blocking(|broker| Ok(api::json(StatusCode::OK, &Settings::of(broker)))).await
}

/// Change settings
///
/// Those that are `live`: all that are named, or none. They stay changed after a restart, until the configuration says
/// otherwise.
#[utoipa::path(patch, path = "/v1/config", tag = "cluster", operation_id = "change_config",
    request_body(content = BTreeMap<String, String>, description = "Values by key; numbers and booleans may be written as such."),
    responses(
        (status = 200, description = "All settings, as they are now.", body = Settings),
        (status = "default", description = "Refused: nothing is changed.", content_type = "application/problem+json", body = ProblemBody<'_>),
    ))]
async fn change(
    State(api): State<Api>,
    Json(changes): Json<BTreeMap<String, Value>>,
) -> Result<Response, Problem> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        Value::Bool(yes) => Ok((key, yes.to_string())),
        _ => Err(Kind::BadRequest.because(format!("{key}: the value is neither text, number nor boolean"))),
    };
    let changes = changes.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    api.blocking(move |broker| {
        let known = broker.described_settings();
        let is_path =
            |name: &str| known.iter().any(|setting| setting.key.name == name && setting.key.kind == "path");
        if let Some((key, _)) = changes.iter().find(|(key, _)| is_path(key)) {
            return Err(Kind::Forbidden
                .because(format!("{key} is a path, and is only set by whoever starts the server")));
        }
        broker.change_settings(&changes)?;
        Ok(api::json(StatusCode::OK, &Settings::of(broker)))
    })
    .await
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::Unknown(_) | ChangeError::Value { .. } | ChangeError::TooMany => {
                Kind::BadRequest.because(text)
            }
            ChangeError::NotLive { .. } => Kind::Conflict.because(text),
            ChangeError::Save(_) => Kind::Internal.because(text),
        }
    }
}
