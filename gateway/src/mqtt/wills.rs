//! What is due without a client: wills, and the end of sessions that nobody came back to.

use std::sync::Arc;
use std::time::Duration;

use ferromq_broker::send::SendBatch;
use ferromq_model::Timestamp;
use ferromq_mqtt::QoS;
use tokio::sync::watch;
use tokio::time::sleep;

use super::message::published_at;
use super::server::{NOBODY, Server, ToRetain};
use super::state::{Change, LoadError, SessionNumber, Will};

/// The most that are looked after at once.
const AT_ONCE: usize = 256;
/// The longest wait: clocks are set, and messages refused.
const LOOK: Duration = Duration::from_secs(10);
/// The wait after something failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Publishes wills and ends sessions when their time has come, until `stop` turns true.
pub(super) async fn look_after(server: &Server, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match due(server).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => server.state().next_time().map_or(LOOK, until).min(LOOK),
            Err(error) => {
                tracing::error!(%error, "MQTT wills and sessions are not looked after");
                AGAIN
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = server.sooner() => {}
            // A sender that is gone counts as a stop.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn until(time: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.0 - Timestamp::now().0).unwrap_or(0).max(1))
}

/// Does what is due; whether there may be more.
async fn due(server: &Server) -> Result<bool, LoadError> {
    let now = Timestamp::now();
    let ended = server.state().expire(now, AT_ONCE).await?;
    ended.iter().for_each(|ended| super::forget(server, ended));
    let (found, published) = wills(server, now).await?;
    if published < found {
        sleep(AGAIN).await;
    }
    Ok(ended.len() == AT_ONCE || found == AT_ONCE)
}

/// Publishes the wills that are due. Those that cannot be published now are later.
pub(super) async fn publish_due(server: &Server) {
    if let Err(error) = wills(server, Timestamp::now()).await {
        tracing::error!(%error, "MQTT wills are published later");
    }
}

/// Publishes the will of a client that comes back, if it is due: only a connection in time revokes it.
pub(super) async fn publish_before_return(server: &Server, client: &str) {
    let now = Timestamp::now();
    while server.state().has_due_will(client, now) {
        match wills(server, now).await {
            // Others may have been due before it.
            Ok((found, published)) if published == found => {}
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, client, "an MQTT client's will is not published");
                return;
            }
        }
    }
}

/// How many wills were due, and how many of them are published now.
async fn wills(server: &Server, now: Timestamp) -> Result<(usize, usize), LoadError> {
    // A will is due until it is published: two who look would both publish it.
    let _one_at_a_time = server.publishing_wills.lock().await;
    let wills = server.state().due_wills(now, AT_ONCE).await?;
    let mut published = 0;
    for (session, will) in &wills {
        published += usize::from(publish(server, *session, will).await);
    }
    Ok((wills.len(), published))
}

/// Publishes one; whether it needs no second try.
async fn publish(server: &Server, session: SessionNumber, will: &Will) -> bool {
    let now = Timestamp::now();
    let properties = published_at(&will.properties, &session.mark(), now);
    let publishing = server.state().publishing();
    let mut sends = SendBatch::with_marks();
    let body = if will.payload.is_empty() { super::message::EMPTY_BODY } else { &will.payload };
    let ticket = match server.prepare(&mut sends, &will.topic, &properties, body, now, NOBODY) {
        Ok(ticket) => ticket,
        Err(reason) => {
            tracing::warn!(client = %will.client_id, topic = %will.topic, %reason, "a will is not published");
            server.state().later([Change::NoWill { session }]);
            return true;
        }
    };
    if let Err(error) = server.broker().commit(&mut sends) {
        tracing::warn!(client = %will.client_id, %error, "a will is published later");
        return false;
    }
    let Some(placed) = sends.placed(ticket).first() else { return false };
    if will.retain {
        let message = ToRetain {
            topic: Arc::clone(&will.topic),
            properties: properties.into(),
            payload: will.payload.clone(),
            qos: QoS::from_u8(will.qos).unwrap_or_default(),
        };
        server.retain(message, placed);
    }
    server.state().later([Change::NoWill { session }]);
    drop(publishing);
    let store = server.broker().store();
    !store.flushes_before_ack() || store.flushed_to(placed.end).await.is_ok()
}
