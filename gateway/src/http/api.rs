//! What all handlers share, and which paths there are.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use ferromq_broker::Broker;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use super::auth::Sessions;
use super::connections::Open;
use super::problem::{Kind, Problem};
use super::receive::members::Receivers;
use super::receive::streams::Streams;
use super::send::idempotency::Idempotency;
use super::{
    auth, browse, cluster, connections, cors, dashboard, dead_letters, definitions, groups, health, mqtt,
    mqtt_retained, mqtt_sessions, offsets, overview, receive, send, settings, topics,
};
use crate::config::HttpConfig;
use crate::credentials::Credentials;
use crate::metrics::Sources;
use crate::mqtt::Mqtt;
use crate::remoting::namesrv_view::NamesrvView;

/// The API's handle: the broker, and what HTTP is set to. Handles share it.
#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

struct Shared {
    sources: Sources,
    config: HttpConfig,
    credentials: Option<Credentials>,
    sessions: Sessions,
    idempotency: Idempotency,
    streams: Arc<Streams>,
    receivers: Receivers,
    stopping: watch::Sender<bool>,
    open: Arc<Open>,
    namesrvs: OnceLock<NamesrvView>,
}

impl Api {
    /// The API of a broker. Without `credentials`, nobody is asked who they are.
    #[must_use]
    pub fn new(sources: Sources, config: HttpConfig, credentials: Option<Credentials>) -> Self {
        let idempotency = Idempotency::new(&sources.broker, config.idempotency_window);
        let streams = Streams::new(config.max_streams);
        let shared = Shared {
            sources,
            config,
            credentials,
            sessions: Sessions::new(),
            idempotency,
            streams,
            receivers: Receivers::new(),
            stopping: watch::Sender::new(false),
            open: Arc::default(),
            namesrvs: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The broker.
    pub(super) fn broker(&self) -> &Broker {
        &self.shared.sources.broker
    }

    /// What there is to watch.
    pub(super) fn sources(&self) -> &Sources {
        &self.shared.sources
    }

    /// HTTP connections that are open.
    pub(super) fn open(&self) -> &Arc<Open> {
        &self.shared.open
    }

    /// Says which NameServers tell of other brokers; the first to say so stays. Without, the broker knows itself.
    pub fn ask_namesrvs(&self, namesrvs: NamesrvView) {
        let _ = self.shared.namesrvs.set(namesrvs);
    }

    /// MQTT.
    ///
    /// # Errors
    /// It is not spoken.
    pub(super) fn mqtt(&self) -> Result<&Mqtt, Problem> {
        let mqtt = self.shared.sources.mqtt.as_ref();
        mqtt.ok_or_else(|| Kind::NotEnabled.because("this server speaks no MQTT (mqttPort=0)"))
    }

    /// Who tells of other brokers.
    pub(super) fn namesrvs(&self) -> Option<&NamesrvView> {
        self.shared.namesrvs.get()
    }

    /// Makes calls of the broker that may block, on a thread for such.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Broker) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let broker = self.broker().clone();
        tokio::task::spawn_blocking(move || work(&broker))
            .await
            .unwrap_or_else(|error| Err(Kind::Internal.because(error.to_string())))
    }

    /// What HTTP is set to.
    pub(super) fn http(&self) -> &HttpConfig {
        &self.shared.config
    }

    /// Who may use it, if not everybody may.
    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.shared.credentials.as_ref()
    }

    /// What requests with a key have stored.
    pub(super) fn idempotency(&self) -> &Idempotency {
        &self.shared.idempotency
    }

    /// Who receives, and what their streams have out.
    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.shared.streams
    }

    /// The groups that HTTP receives for.
    pub(super) fn receivers(&self) -> &Receivers {
        &self.shared.receivers
    }

    /// Ends what goes on without an end: streams, and requests that wait.
    pub(super) fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Whether that was said, here or to the broker.
    pub(super) fn is_stopping(&self) -> bool {
        *self.shared.stopping.borrow() || self.broker().is_stopping()
    }

    /// Waits until that is said. Cancel safe.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.shared.stopping.subscribe();
        tokio::select! {
            // The sender lives in what is shared, so waiting can only end with the value.
            _ = stopping.wait_for(|stop| *stop) => {}
            () = self.broker().stopped() => {}
        }
    }

    /// Browsers that have logged in.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "FerroMQ",
        description = "Send, receive, browse and manage over HTTP what every other protocol of the broker shares."
    ),
    tags(
        (name = "send", description = "Storing messages."),
        (name = "receive", description = "Messages for a consumer group, each leased for a while."),
        (name = "browse", description = "Reading without a group."),
        (name = "topics"), (name = "groups"),
        (name = "mqtt", description = "Clients, sessions, shared subscriptions and retained messages of MQTT."),
        (name = "cluster"), (name = "session"),
    ),
    modifiers(&Security),
)]
struct Description;

/// Both ways to say who asks. A server without credentials asks nobody.
struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let scheme = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
        components.add_security_scheme("bearer", scheme(HttpAuthScheme::Bearer));
        components.add_security_scheme("basic", scheme(HttpAuthScheme::Basic));
        let none: [&str; 0] = [];
        openapi.security = Some(
            ["bearer", "basic"].map(|name| utoipa::openapi::SecurityRequirement::new(name, none)).to_vec(),
        );
    }
}

/// All paths that are described. A resource's file lists its own.
fn routes() -> OpenApiRouter<Api> {
    resources().into_iter().fold(OpenApiRouter::with_openapi(Description::openapi()), OpenApiRouter::merge)
}

/// The same, by what they are about.
fn resources() -> [OpenApiRouter<Api>; 16] {
    [
        send::routes(),
        receive::routes(),
        overview::routes(),
        health::routes(),
        browse::routes(),
        topics::routes(),
        groups::routes(),
        offsets::routes(),
        dead_letters::routes(),
        connections::routes(),
        mqtt_sessions::routes(),
        mqtt_retained::routes(),
        cluster::routes(),
        settings::routes(),
        definitions::routes(),
        auth::routes(),
    ]
}

/// The document at `/openapi.json`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Everything that HTTP answers.
pub(super) fn router(api: Api) -> Router {
    let (router, document) = routes().split_for_parts();
    let document: Arc<str> = document.to_json().expect("a document of strings").into();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let openapi = axum::routing::get(async move || (json, document.to_string()));
    let cors = cors::layer(&api.http().cors_origins);
    let router = router
        .route("/openapi.json", openapi)
        .route(mqtt::PATH, mqtt::route())
        .merge(dashboard::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(async || Kind::MethodNotAllowed.because("see the header Allow"))
        .with_state(api);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

async fn no_route(uri: axum::http::Uri) -> Problem {
    Kind::NoRoute.because(format!("{} is no path of this server", uri.path()))
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, body: &impl serde::Serialize) -> axum::response::Response {
    // Most are one message's.
    let mut text = Vec::with_capacity(256);
    match serde_json::to_writer(&mut text, body) {
        Ok(()) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => Kind::Internal.because(error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The last of them would stand in the document for all.
    #[test]
    fn no_two_schemas_share_a_name() {
        let mut known = BTreeMap::new();
        for resource in resources() {
            for (name, schema) in resource.into_openapi().components.unwrap_or_default().schemas {
                let text = serde_json::to_string(&schema).unwrap();
                let before = known.entry(name.clone()).or_insert_with(|| text.clone());
                assert_eq!(*before, text, "{name}");
            }
        }
    }
}
