//! From an accepted socket to a session: CONNECT, who may come in, what was left of last time.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use ferromq_broker::fanout::AttachError;
use ferromq_model::{PhysicalOffset, Timestamp};
use ferromq_mqtt::topic::{AnyFilter, Filter};
use ferromq_mqtt::{
    ConnAck, Connect, Packet, PacketId, QoS, ReasonCode, RetainHandling, SessionExpiry, Text, Version,
    decode_connect,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Caller;
use super::acl::Permissions;
use super::auth::{Refused, Shown, authenticate};
use super::connection::{Connection, End, Peer, linger, poll_read};
use super::hub::{Present, Visitor};
use super::message::Published;
use super::out::Out;
use super::server::Server;
use super::session::{Session, Subscriptions, Window};
use super::state::{self, ConnectError, Connected, Expiry, Loaded};
use super::wills;

/// How long a new connection may take for its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Serves one connection from its first byte to its last.
///
/// What happens once in its life is boxed for as long as it lasts: a connection that is idle has no room for it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(server: Arc<Server>, stream: S, caller: Caller) {
    let Some(begun) = Box::pin(begin(server, stream, caller)).await else { return };
    let Begun { mut connection, present, refused } = begun;
    let end = match refused {
        Some(end) => end,
        None => connection.serve(&present.seat()).await,
    };
    Box::pin(finish(connection, present, end)).await;
}

/// A connection behind its CONNECT.
struct Begun<S> {
    connection: Box<Connection<S>>,
    present: Present,
    /// It ends at once, if it is to.
    refused: Option<End>,
}

/// What becomes of a connection, if its client may come in.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    server: Arc<Server>,
    mut stream: S,
    Caller { from, certified }: Caller,
) -> Option<Begun<S>> {
    let mut input = BytesMut::new();
    let mut out = Out::default();
    let connect = match timeout(CONNECT_WITHIN, read_connect(&server, &mut stream, &mut input)).await {
        Ok(Some(Ok(connect))) => connect,
        Ok(Some(Err(error))) => {
            tracing::debug!(%from, %error, "MQTT connection refused");
            let answer = error.answer();
            let reason = answer.as_ref().map_or(ReasonCode::MalformedPacket, |(_, answer)| answer.reason);
            server.counters.refuse(reason);
            if let Some((version, answer)) = answer {
                let _ = out.push(&Packet::ConnAck(Box::new(answer)), version, u32::MAX);
            }
            let _ = linger(&mut stream, &mut out).await;
            return None;
        }
        Ok(None) | Err(_) => return None,
    };
    let version = connect.version;
    let most = connect.maximum_packet_size();
    let shown = timeout(CONNECT_WITHIN, authenticate(&server, &connect, &mut stream, (&mut input, &mut out)));
    let outcome = match shown.await {
        Ok(Ok(shown)) => admit(&server, &connect, from, certified, shown).await,
        Ok(Err(Refused::Because(reason))) => Err(reason),
        Ok(Err(Refused::Gone)) | Err(_) => return None,
    };
    match outcome {
        Ok(admitted) => attend(server, stream, from, connect, admitted, (input, out)).await,
        Err(reason) => {
            tracing::debug!(%from, client = %connect.client_id, %reason, "MQTT connection refused");
            server.counters.refuse(reason);
            let answer = Packet::ConnAck(Box::new(ConnAck::refused(reason)));
            // 3.1.1 has no word for every reason: it is closed then without one.
            let _ = out.push(&answer, version, most);
            let _ = linger(&mut stream, &mut out).await;
            None
        }
    }
}

async fn read_connect<S: AsyncRead + Unpin>(
    server: &Server,
    stream: &mut S,
    input: &mut BytesMut,
) -> Option<Result<Connect, ferromq_mqtt::ConnectError>> {
    let limits = server.limits();
    loop {
        match decode_connect(input, &limits) {
            Ok(Some(connect)) => return Some(Ok(connect)),
            Ok(None) => poll_fn(|cx| poll_read(stream, input, cx)).await.ok()?,
            Err(error) => return Some(Err(error)),
        }
    }
}

/// A client that may come in, with its session.
struct Admitted {
    present: Present,
    client: Text,
    /// The identifier was chosen here.
    is_assigned: bool,
    expiry: SessionExpiry,
    connected: Connected,
    /// What it may do, if not everything.
    permissions: Option<Permissions>,
    /// How it has shown who it is, if by a method of its own.
    shown: Option<Shown>,
}

async fn admit(
    server: &Arc<Server>,
    connect: &Connect,
    from: SocketAddr,
    certified: Option<String>,
    shown: Option<Shown>,
) -> Result<Admitted, ReasonCode> {
    let (user, password) = (connect.user_name.as_deref(), connect.password.as_deref());
    let known = match &shown {
        Some(shown) => Some(shown.authentication.user()),
        None => server.admit(certified, user, password)?,
    };
    if connect.client_id.len() > usize::from(server.config().max_client_id_len)
        || connect.client_id.bytes().any(|byte| byte < 0x20)
    {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    let is_assigned = connect.client_id.is_empty();
    let client =
        if is_assigned { assigned() } else { Text::try_from(connect.client_id.as_str()).expect("a text") };
    let mut permissions = server.permissions(known.as_deref(), &client);
    if let Some(will) = &connect.will {
        server.may_publish(permissions.as_mut(), &will.topic)?;
    }
    let expiry = connect.session_expiry().min(server.longest_expiry());
    let will = connect.will.as_ref().map(|will| kept_will(server, &client, will)).transpose()?;
    let visitor =
        Visitor { address: from, user: known.or_else(|| user.map(Arc::from)), since: Timestamp::now() };
    let present = server.hub.enter(&client, &visitor, ReasonCode::SessionTakenOver).await;
    let connect = state::Connect {
        client_id: client.as_str().into(),
        version: connect.version.level(),
        clean_start: connect.clean_start,
        expiry: Expiry::from_interval(expiry.as_u32()),
        will: will.map(Box::new),
    };
    let connected = server.state().connect(connect, Timestamp::now()).await.map_err(|error| match error {
        ConnectError::TooMany { .. } => {
            tracing::warn!(%error, client = %client, "an MQTT client is refused");
            ReasonCode::QuotaExceeded
        }
        ConnectError::Load(error) => {
            tracing::error!(%error, client = %client, "an MQTT session cannot be opened");
            ReasonCode::ServerUnavailable
        }
    })?;
    Ok(Admitted { present, client, is_assigned, expiry, connected, permissions, shown })
}

/// An identifier that nobody has.
fn assigned() -> Text {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Text::try_from(format!("auto-{:x}-{number:x}", Timestamp::now().0)).expect("digits")
}

fn kept_will(server: &Server, client: &Text, will: &ferromq_mqtt::Will) -> Result<state::Will, ReasonCode> {
    let properties = ferromq_mqtt::properties::PublishProperties {
        payload_format: will.properties.payload_format,
        // It counts from when it is published.
        message_expiry: None,
        response_topic: will.properties.response_topic.clone(),
        correlation_data: will.properties.correlation_data.clone(),
        subscription_ids: Vec::new(),
        content_type: will.properties.content_type.clone(),
        user: will.properties.user.clone(),
    };
    let retain = will.retain && server.may_retain(&will.topic);
    let published = Published {
        topic: &will.topic,
        client,
        qos: will.qos,
        retain,
        packet_id: None,
        properties: &properties,
        payload: &will.payload,
    };
    let mut text = String::new();
    published.write_properties(Timestamp::now(), &mut text)?;
    if let Some(seconds) = will.properties.message_expiry {
        super::message::push_expiry_to_come(&mut text, seconds);
    }
    Ok(state::Will {
        client_id: client.as_str().into(),
        topic: will.topic.as_str().into(),
        payload: will.message(),
        qos: will.qos as u8,
        retain,
        properties: text.into(),
        delay: will.properties.delay.unwrap_or(0),
        // Known when the session is.
        since: PhysicalOffset::ZERO,
    })
}

/// Opens the session of a client that may come in, and answers its CONNECT.
async fn attend<S: AsyncRead + AsyncWrite + Unpin>(
    server: Arc<Server>,
    stream: S,
    from: SocketAddr,
    connect: Connect,
    admitted: Admitted,
    (input, mut out): (BytesMut, Out),
) -> Option<Begun<S>> {
    let Admitted { present, client, is_assigned, expiry, connected, permissions, shown } = admitted;
    let Connected { number, resumed, ended, left_will, durable } = connected;
    if let Some(ended) = ended {
        super::forget(&server, &ended);
        wills::publish_due(&server).await;
    }
    if left_will {
        server.look_after_time();
    }
    let is_resumed = resumed.is_some();
    let config = server.config();
    let window = usize::from(connect.receive_maximum().min(config.max_inflight));
    let loaded = resumed.unwrap_or_default();
    let mut session = match open(&server, number, client.clone(), permissions, window, loaded).await {
        Some(session) => session,
        None => {
            server.state().disconnected(number, None, false, Timestamp::now());
            return None;
        }
    };
    let keep_alive = match config.max_keep_alive.0 as u16 {
        most if most > 0 && (connect.keep_alive == 0 || connect.keep_alive > most) => most,
        _ => connect.keep_alive,
    };
    let peer = Peer {
        version: connect.version,
        max_packet: connect.maximum_packet_size(),
        aliases: connect.topic_alias_maximum().min(config.topic_alias_maximum),
        keep_alive: Duration::from_secs(
            if connect.version == Version::V5 { keep_alive } else { connect.keep_alive }.into(),
        ),
    };
    let mut answer = ConnAck { session_present: is_resumed, ..ConnAck::default() };
    let properties = &mut answer.properties;
    properties.receive_maximum = NonZeroU16::new(server.receive_maximum());
    properties.maximum_packet_size = NonZeroU32::new(config.max_packet_size.0 as u32);
    properties.topic_alias_maximum = Some(config.topic_alias_maximum).filter(|&most| most > 0);
    properties.session_expiry = (expiry != connect.session_expiry()).then_some(expiry);
    properties.server_keep_alive = (keep_alive != connect.keep_alive).then_some(keep_alive);
    properties.assigned_client_id = is_assigned.then(|| client.clone());
    if let Some(Shown { authentication, last }) = shown {
        properties.authentication_method = connect.properties.authentication_method.clone();
        properties.authentication_data = last;
        session.authentication = Some(authentication);
    }
    let refused = if durable.wait().await.is_ok() {
        // A client that takes no packet of this size is not told what it could not be told.
        let _ = out.push(&Packet::ConnAck(Box::new(answer)), peer.version, peer.max_packet);
        tracing::debug!(%from, client = %client, version = %peer.version, is_resumed, "MQTT client connected");
        None
    } else {
        let refused = ConnAck::refused(ReasonCode::ServerUnavailable);
        let _ = out.push(&Packet::ConnAck(Box::new(refused)), peer.version, peer.max_packet);
        Some(End::Refused)
    };
    let connection = Connection::new(server, stream, from, peer, session, (input, out));
    Some(Begun { connection: Box::new(connection), present, refused })
}

/// Closes a connection, and what hangs on it.
async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Box<Connection<S>>,
    present: Present,
    end: End,
) {
    let (from, client) = (connection.from(), &connection.session().client);
    match &end {
        End::Lost(error) => tracing::debug!(%from, %client, %error, "MQTT connection lost"),
        end => tracing::debug!(%from, %client, ?end, "MQTT client disconnected"),
    }
    leave(connection.server(), connection.session(), &end).await;
    connection.say(&end).await;
    // The next connection of this client need not wait until this one has read its last words.
    drop(present);
    connection.close(&end).await;
}

/// The session's connection ends: its will is published, unless that has to wait, before anybody can see that it did.
async fn leave(server: &Server, session: &Session, end: &End) {
    let (keep_will, expiry) = match end {
        End::Goodbye { with_will, expiry } => (*with_will, *expiry),
        End::Lost(_) | End::Broken(_) | End::Told(_) => (true, None),
        End::Refused => (false, None),
    };
    let expiry = expiry.map(|expiry| Expiry::from_interval(expiry.min(server.longest_expiry()).as_u32()));
    for group in session.subscriptions.iter().filter_map(|(_, subscription)| subscription.group.as_ref()) {
        group.part(session.subscriptions.mailbox());
    }
    save_positions(server, session);
    if server.state().disconnected(session.number, expiry, keep_will, Timestamp::now()) {
        let mut changes = Vec::new();
        for (_, subscription) in session.subscriptions.iter() {
            server.detach(&subscription.queue);
            if let Some(group) = &subscription.group {
                super::give_back(group, &subscription.text, session.window.iter());
                changes.push(server.groups.leave(group, !session.number.is_transient()));
            }
        }
        server.state().later(changes);
    }
    wills::publish_due(server).await;
    server.look_after_time();
}

/// Builds the session from what was kept of it.
async fn open(
    server: &Server,
    number: state::SessionNumber,
    client: Text,
    permissions: Option<Permissions>,
    window: usize,
    loaded: Loaded,
) -> Option<Session> {
    let mut subscriptions = Subscriptions::default();
    for (text, kept) in loaded.subscriptions {
        let Ok(wanted) = AnyFilter::try_from(&*text) else { continue };
        let filter = wanted.filter();
        // Rules change while nobody is connected.
        let granted = server.may_subscribe(permissions.as_ref(), &wanted);
        match server.attach(filter.as_str()).await {
            Ok(queue) => {
                // The session holds it already.
                server.detach(&queue);
                let group = server.group_of(&text);
                if let Some(group) = &group
                    && granted.is_err()
                {
                    // It would take from the others what it may not have.
                    server.detach(&queue);
                    let left = server.groups.leave(group, !number.is_transient());
                    let ended = state::Change::Unsubscribed { session: number, filter: text };
                    server.state().later([left, ended]);
                    continue;
                }
                // Rules say who may send it something.
                let is_own = server.is_own_filter(filter.as_str());
                let key = subscriptions.add(&client, text, filter, queue, group, &kept);
                subscriptions.get_mut(key).expect("added").is_checked = granted != Ok(false) && !is_own;
            }
            Err(error) => {
                tracing::error!(%error, filter = %text, "a subscription cannot be resumed");
                return None;
            }
        }
    }
    listen_for_own(server, number, &client, &mut subscriptions).await?;
    let id = |(id, outbound)| Some((PacketId::new(id)?, outbound));
    let window = Window::new(window, loaded.outbound.into_iter().filter_map(id));
    let held = loaded.inbound.into_iter().filter_map(|(id, at)| Some((PacketId::new(id)?, at))).collect();
    Some(Session { number, client, subscriptions, window, held, permissions, authentication: None })
}

/// Lets a client have the messages that are its alone.
async fn listen_for_own(
    server: &Server,
    number: state::SessionNumber,
    client: &Text,
    subscriptions: &mut Subscriptions,
) -> Option<()> {
    let Some(text) = server.own_filter_of(client).filter(|text| subscriptions.find(text).is_none()) else {
        return Some(());
    };
    // A client's identifier may have more levels than there may be.
    let Ok(filter) = Filter::try_from(text.as_str()) else { return Some(()) };
    let queue = match server.attach(&text).await {
        Ok(queue) => queue,
        Err(AttachError::Filter(_)) => return Some(()),
        Err(error) => {
            tracing::error!(%error, client = %client, "a client gets no messages of its own");
            return None;
        }
    };
    let next = queue.queue().next();
    let kept = state::Subscription {
        // As they are published.
        qos: QoS::ExactlyOnce as u8,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Never as u8,
        identifier: None,
        next,
        since: next,
    };
    let text: Arc<str> = text.into();
    subscriptions.add(client, Arc::clone(&text), filter, queue, None, &kept);
    let change = state::Change::Subscription { session: number, filter: text, subscription: kept };
    server.state().commit([change]).wait().await.ok()
}

/// Notes how far each subscription was read.
fn save_positions(server: &Server, session: &Session) {
    if session.number.is_transient() {
        return;
    }
    let positions = session.subscriptions.iter().map(|(_, subscription)| state::Change::Subscription {
        session: session.number,
        filter: Arc::clone(&subscription.text),
        subscription: subscription.kept(),
    });
    server.state().later(positions.collect::<Vec<_>>());
}
