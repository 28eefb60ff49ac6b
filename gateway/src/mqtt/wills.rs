//! What is due without a client: wills, and the end of sessions that nobody came back to.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use ferromq_broker::send::{SendBatch, SendError, Ticket};
use ferromq_broker::topics::TopicError;
use ferromq_model::{PhysicalOffset, Timestamp};
use ferromq_mqtt::QoS;
use ferromq_store::AppendError;
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

/// What is left after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Nothing that is due.
    Nothing,
    /// More, or so it may be.
    More,
    /// Wills that cannot be published now.
    Wills,
}

/// Publishes wills and ends sessions when their time has come, until `stop` turns true.
pub(super) async fn look_after(server: &Server, mut stop: watch::Receiver<bool>) {
    let mut is_stuck = false;
    loop {
        let left = due(server).await;
        let was_stuck = mem::replace(&mut is_stuck, matches!(left, Ok(Left::Wills)));
        if was_stuck && !is_stuck {
            tracing::info!("MQTT wills are published again");
        }
        let wait = match left {
            Ok(Left::Nothing) => server.state().next_time().map_or(LOOK, until).min(LOOK),
            Ok(Left::More) => Duration::ZERO,
            Ok(Left::Wills) => {
                if !was_stuck {
                    tracing::warn!("MQTT wills wait until the broker takes messages");
                }
                AGAIN
            }
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

/// Does what is due.
async fn due(server: &Server) -> Result<Left, LoadError> {
    let now = Timestamp::now();
    let ended = server.state().expire(now, AT_ONCE).await?;
    ended.iter().for_each(|ended| super::forget(server, ended));
    let left = wills(server, now).await?;
    Ok(if left == Left::Nothing && ended.len() == AT_ONCE { Left::More } else { left })
}

/// Publishes the wills that are due. Those that cannot be published now are later.
pub(super) async fn publish_due(server: &Server) {
    match wills(server, Timestamp::now()).await {
        Ok(Left::Nothing) => {}
        Ok(Left::More | Left::Wills) => server.look_after_time(),
        Err(error) => tracing::error!(%error, "MQTT wills are published later"),
    }
}

async fn wills(server: &Server, now: Timestamp) -> Result<Left, LoadError> {
    let _turn = server.state().will_turn().await;
    let wills = server.state().due_wills(now, AT_ONCE).await?;
    if wills.is_empty() {
        return Ok(Left::Nothing);
    }
    if let Err(error) = server.broker().check_writable() {
        tracing::debug!(%error, "wills are published later");
        return Ok(Left::Wills);
    }
    let mut published = 0;
    for (session, will) in &wills {
        published += usize::from(publish(server, *session, will).await);
    }
    Ok(match wills.len() {
        found if published < found => Left::Wills,
        AT_ONCE => Left::More,
        _ => Left::Nothing,
    })
}

/// Whether what is refused with this may be taken later. What is not is what no client could publish either.
fn passes(error: &SendError) -> bool {
    match error {
        SendError::Store(AppendError::TooLarge { .. }) => false,
        SendError::Store(_) | SendError::Create(TopicError::Save(_)) => true,
        _ => false,
    }
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
        Err(error) if passes(&error) => return false,
        Err(error) => {
            tracing::warn!(client = %will.client_id, topic = %will.topic, %error, "a will is not published");
            server.state().later([Change::NoWill { session }]);
            return true;
        }
    };
    let Some(end) = store(server, will, properties, &mut sends, ticket) else { return false };
    server.state().later([Change::NoWill { session }]);
    drop(publishing);
    let store = server.broker().store();
    !store.flushes_before_ack() || store.flushed_to(end).await.is_ok()
}

/// Stores and retains one; where it ends in the log.
fn store(
    server: &Server,
    will: &Will,
    properties: String,
    sends: &mut SendBatch,
    ticket: Ticket,
) -> Option<PhysicalOffset> {
    let _retaining = will.retain.then(|| server.state().retaining());
    if let Err(error) = server.broker().commit(sends) {
        tracing::debug!(client = %will.client_id, %error, "a will is published later");
        return None;
    }
    let placed = sends.placed(ticket).first()?;
    if will.retain {
        let message = ToRetain {
            topic: Arc::clone(&will.topic),
            properties: properties.into(),
            payload: will.payload.clone(),
            qos: QoS::from_u8(will.qos).unwrap_or_default(),
        };
        server.retain(message, placed);
    }
    Some(placed.end)
}
