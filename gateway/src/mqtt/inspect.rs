//! What operators are shown of MQTT, and what they do to it.
//!
//! Always true: a session that has a connection is told of by the connection, which alone knows it; one that has none, by
//! what is kept of it. Nothing here holds up anybody but who asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferromq_model::histogram::Times;
use ferromq_model::{QueueOffset, Timestamp};
use ferromq_mqtt::topic::{AnyFilter, Name};
use ferromq_mqtt::{ReasonCode, SubscriptionId, Text};
use tokio::time::timeout;

use super::figures::{Amount, Drop};
use super::hub::Visitor;
use super::server::{NOBODY, Server};
use super::session::Subscription;
use super::state::{self, Expiry, LoadError, Presence, Retained};
use super::{Mqtt, wills};

/// How long a connection may take to say how it stands.
const ANSWER: Duration = Duration::from_secs(2);

/// A client that has a session.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Arc<str>,
    /// What it speaks: `3.1.1` or `5.0`.
    pub(crate) version: &'static str,
    /// Its connection, if it has one.
    pub(crate) connection: Option<Connected>,
    /// Since when it has none.
    pub(crate) away_since: Option<Timestamp>,
    /// For how many seconds its session outlives a connection; `None` is for ever.
    pub(crate) expiry: Option<u32>,
    /// When the session ends unless it comes back.
    pub(crate) ends: Option<Timestamp>,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) since: Timestamp,
}

impl From<&Visitor> for Connected {
    fn from(visitor: &Visitor) -> Self {
        Self { address: visitor.address, user: visitor.user.clone(), since: visitor.since }
    }
}

/// How a session stands.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order of their filters.
    pub(crate) subscriptions: Vec<Subscribed>,
    /// Messages on their way to the client that are not complete.
    pub(crate) sent: usize,
    /// Messages of the client that are not complete.
    pub(crate) received: usize,
    /// Retained messages that wait to be sent.
    pub(crate) retained: usize,
    /// Bytes that wait for the socket.
    pub(crate) unwritten: usize,
    /// Messages that it was to have on this connection and was not sent.
    pub(crate) dropped: u64,
}

impl Report {
    /// Messages that wait, without those that it shares with others.
    pub(crate) fn waiting(&self) -> u64 {
        self.subscriptions.iter().filter(|one| !one.is_shared).map(|one| one.waiting).sum()
    }
}

/// One subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// As the client wrote it.
    pub(crate) filter: Arc<str>,
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<u32>,
    pub(crate) is_shared: bool,
    /// The next message of the filter's queue that it is to have; of a shared one, what its group stands at is told of the
    /// group.
    pub(crate) next: QueueOffset,
    /// How many messages wait; of a shared one, for the group.
    pub(crate) waiting: u64,
}

impl From<&Subscription> for Subscribed {
    fn from(one: &Subscription) -> Self {
        Self {
            filter: Arc::clone(&one.text),
            qos: one.options.qos as u8,
            no_local: one.options.no_local,
            retain_as_published: one.options.retain_as_published,
            identifier: one.identifier.map(SubscriptionId::value),
            is_shared: one.group.is_some(),
            next: one.next,
            waiting: one.waiting(),
        }
    }
}

/// A group of shared subscriptions.
#[derive(Debug)]
pub(crate) struct SharedGroup {
    pub(crate) name: String,
    pub(crate) filter: String,
    /// Clients that are connected.
    pub(crate) members: Vec<Text>,
    /// Sessions without a connection.
    pub(crate) away: usize,
    /// Messages that no member has.
    pub(crate) waiting: u64,
}

/// A topic and its retained message.
pub(crate) type RetainedOf = (Arc<str>, Arc<Retained>);

/// What there is and what was counted since the start.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Sessions of clients that are connected, and of others.
    pub(crate) connected: usize,
    pub(crate) kept: usize,
    pub(crate) subscriptions: usize,
    /// Filters that they subscribe to.
    pub(crate) filters: usize,
    pub(crate) groups: usize,
    /// By quality of service.
    pub(crate) received: [Amount; 3],
    pub(crate) sent: [Amount; 3],
    pub(crate) dropped: [(Drop, u64); Drop::ALL.len()],
    pub(crate) refused: Vec<(ReasonCode, u64)>,
    pub(crate) retained: usize,
    pub(crate) retained_bytes: usize,
    pub(crate) commits: Times,
}

impl std::fmt::Debug for Mqtt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MQTT with {} sessions", self.server.state().session_count())
    }
}

impl Mqtt {
    /// What there is and what was counted.
    pub(crate) fn figures(&self) -> Figures {
        let server = &*self.server;
        let (state, counters) = (server.state(), &server.counters);
        let connected = server.hub.len();
        let (retained, retained_bytes) = state.retained_size();
        Figures {
            connected,
            kept: state.session_count().saturating_sub(connected),
            subscriptions: counters.subscriptions.load(Ordering::Relaxed),
            filters: server.broker().fanout().len(),
            groups: server.groups.names().len(),
            received: counters.received.read(),
            sent: counters.sent.read(),
            dropped: Drop::ALL.map(|why| (why, counters.dropped(why))),
            refused: counters.refused().collect(),
            retained,
            retained_bytes,
            commits: state.commit_times(),
        }
    }

    /// Clients whose names begin with `prefix` and lie behind `after`, by name: up to `max` of them, all or only those that are
    /// connected, or are not; and whether there are more. Looks at all.
    pub(crate) fn clients(
        &self,
        prefix: &str,
        after: Option<&str>,
        connected: Option<bool>,
        max: usize,
    ) -> (Vec<Client>, bool) {
        let mut first: BTreeMap<Arc<str>, state::Session> = BTreeMap::new();
        self.server.state().each_session(|_, session| {
            let id = &session.client_id;
            let is_one = id.starts_with(prefix)
                && after.is_none_or(|after| &**id > after)
                && connected.is_none_or(|connected| connected == (session.presence == Presence::Connected));
            if is_one && (first.len() <= max || first.last_key_value().is_some_and(|(last, _)| id < last)) {
                first.insert(Arc::clone(id), session.clone());
                if first.len() > max + 1 {
                    first.pop_last();
                }
            }
        });
        let more = first.len() > max;
        (first.into_values().take(max).map(|session| self.client(session)).collect(), more)
    }

    fn client(&self, session: state::Session) -> Client {
        let seat = self.server.hub.find(&session.client_id);
        Client {
            version: if session.version == 5 { "5.0" } else { "3.1.1" },
            connection: seat.map(|seat| seat.visitor().into()),
            away_since: match session.presence {
                Presence::Connected => None,
                Presence::Away { since } => Some(since),
            },
            expiry: Some(session.expiry).filter(|expiry| *expiry != Expiry::Never).map(Expiry::interval),
            ends: session.ends(),
            id: session.client_id,
        }
    }

    /// A client's session and how it stands; without the latter if its connection does not say so.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn find(&self, client: &str) -> Result<Option<(Client, Option<Report>)>, LoadError> {
        let server = &*self.server;
        let Some(number) = server.state().find(client) else { return Ok(None) };
        let Some(session) = server.state().session(number) else { return Ok(None) };
        let report = match server.hub.find(client) {
            Some(seat) => timeout(ANSWER, seat.ask()).await.ok().flatten(),
            None => Some(kept(server, server.state().load(number).await?)),
        };
        Ok(Some((self.client(session), report)))
    }

    /// Ends a client's connection; whether it had one.
    pub(crate) async fn kick(&self, client: &str) -> bool {
        self.server.hub.dismiss(client, ReasonCode::AdministrativeAction).await
    }

    /// Ends a client's connection and its session, for good; whether it had one. Its will is published.
    ///
    /// # Errors
    /// [`LoadError`]: the session is still there.
    pub(crate) async fn purge(&self, client: &str) -> Result<bool, LoadError> {
        let server = &*self.server;
        let Ok(name) = Text::try_from(client) else { return Ok(false) };
        if server.state().find(client).is_none() {
            return Ok(false);
        }
        // Nobody else has the session while its place is taken.
        let nobody = Visitor { address: NOBODY, user: None, since: Timestamp::now() };
        let place = server.hub.enter(&name, &nobody, ReasonCode::AdministrativeAction).await;
        if let Some(number) = server.state().find(client)
            && let Some(ended) = server.state().end(number, Timestamp::now()).await?
        {
            super::forget(server, &ended);
        }
        drop(place);
        server.state().flush().wait().await?;
        wills::publish_due(server).await;
        Ok(true)
    }

    /// Groups of shared subscriptions behind `after`, by their whole filters: up to `max`, and the next `after` if there are more.
    pub(crate) fn shared_groups(
        &self,
        after: Option<&str>,
        max: usize,
    ) -> (Vec<SharedGroup>, Option<String>) {
        let mut names = self.server.groups.names();
        names.retain(|name| after.is_none_or(|after| &**name > after));
        names.sort_unstable();
        let more = names.len() > max;
        names.truncate(max);
        let next = names.last().filter(|_| more).map(ToString::to_string);
        let shown = names.iter().filter_map(|name| {
            let group = self.server.groups.find(name)?;
            let Ok(AnyFilter::Shared(shared)) = AnyFilter::try_from(&**name) else { return None };
            let (members, away) = group.members();
            let (name, filter) = (shared.group().to_owned(), shared.filter().as_str().to_owned());
            Some(SharedGroup { name, filter, members, away, waiting: group.waiting() })
        });
        (shown.collect(), next)
    }

    /// Retained messages of topics that begin with `prefix`, behind the topic `after`, in the order of the topics' levels: up to
    /// `max`, and whether there are more.
    pub(crate) fn retained(&self, prefix: &str, after: Option<&str>, max: usize) -> (Vec<RetainedOf>, bool) {
        let mut page = self.server.state().retained_page(prefix, after, Timestamp::now(), max + 1);
        let more = page.len() > max;
        page.truncate(max);
        (page, more)
    }

    /// The retained message of a topic.
    pub(crate) fn retained_of(&self, topic: &str) -> Option<Arc<Retained>> {
        self.server.state().retained(&topic.into(), Timestamp::now())
    }

    /// Forgets the retained message of a topic, as if a client had published an empty one; whether there was one.
    ///
    /// # Errors
    /// Nothing is kept any more.
    pub(crate) async fn forget_retained(&self, topic: &str) -> Result<bool, state::Stopped> {
        let state = self.server.state();
        let topic: Arc<str> = topic.into();
        let found = Name::try_from(&*topic).is_ok() && state.retained(&topic, Timestamp::now()).is_some();
        if found {
            state.clear_retained(&topic, state.log_end());
            state.flush().wait().await?;
        }
        Ok(found)
    }
}

/// How a session without a connection stands.
fn kept(server: &Server, loaded: state::Loaded) -> Report {
    let subscriptions = loaded.subscriptions.into_iter().filter_map(|(text, kept)| {
        let filter = AnyFilter::try_from(&*text).ok()?;
        let is_shared = filter.is_shared();
        let waiting = match server.group_of(&text) {
            Some(group) => group.waiting(),
            None => server.broker().fanout().find(filter.filter().as_str()).map_or(0, |found| {
                let queue = found.queue();
                queue.max().0.saturating_sub(kept.next.max(queue.min()).0)
            }),
        };
        Some(Subscribed {
            filter: text,
            qos: kept.qos,
            no_local: kept.no_local,
            retain_as_published: kept.retain_as_published,
            identifier: kept.identifier,
            is_shared,
            next: kept.next,
            waiting,
        })
    });
    Report {
        subscriptions: subscriptions.collect(),
        sent: loaded.outbound.len(),
        received: loaded.inbound.len(),
        ..Report::default()
    }
}
