//! `/mqtt`: the door by which MQTT's WebSockets come in. What they speak behind it, and who they are, is MQTT's matter.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get};

use super::api::Api;
use super::guard::Peer;
use super::listen::CertifiedUser;
use super::problem::{Kind, Problem};
use crate::mqtt::{self, Caller};

/// Where it is.
pub(super) const PATH: &str = "/mqtt";

/// The path's only method.
pub(super) fn route() -> MethodRouter<Api> {
    get(open)
}

async fn open(
    State(api): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    user: Option<Extension<CertifiedUser>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let mqtt = api.mqtt()?;
    let upgrade = upgrade.map_err(|error| Kind::BadRequest.because(error.body_text()))?;
    let place = mqtt
        .place()
        .ok_or_else(|| Kind::TooMany.because("all MQTT connections are taken (mqttMaxConnections)"))?;
    if !mqtt.is_in_time() {
        return Err(Kind::TooMany.because("too many MQTT connections in this second (mqttConnectRate)"));
    }
    let most = mqtt.max_packet_size();
    let upgrade = upgrade
        .protocols([mqtt::SUBPROTOCOL])
        .max_message_size(most)
        .max_frame_size(most)
        .write_buffer_size(0);
    let mqtt = mqtt.clone();
    let caller = Caller { from: peer, certified: user.map(|Extension(CertifiedUser(user))| user) };
    // MQTT's end waits for its place.
    Ok(upgrade.on_upgrade(move |socket| mqtt.serve_socket(socket, caller, place)))
}
