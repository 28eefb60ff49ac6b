//! Pulling from one queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{GroupName, Millis, QueueOffset, TopicName};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{Header, PullFlags, PullMessage, PullMessageResponse};

use crate::backoff::Backoff;
use crate::client::Inner;
use crate::error::{CallError, RouteError};
use crate::queue::MessageQueue;

/// How long a broker may hold a pull.
pub(super) const FETCH_WAIT: Duration = Duration::from_secs(15);
/// The waits after pulls that failed, one after the other.
pub(super) const FETCH_AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// The wait after a pull that a busy broker refused.
const FLOW_CONTROL: Duration = Duration::from_millis(50);

/// What to pull.
pub(super) struct Fetch<'a> {
    pub(super) group: &'a str,
    pub(super) queue: &'a MessageQueue,
    pub(super) from: QueueOffset,
    /// The most messages wanted.
    pub(super) max: u32,
    /// How long the broker may wait for messages; zero to be answered at once.
    pub(super) wait: Duration,
    /// Kind, expression and version of a filter that is told with the pull; none for the one that heartbeats tell.
    pub(super) filter: Option<(&'a str, &'a str, i64)>,
    /// The broker of the queue's brokers to ask: 0 for the master.
    pub(super) broker_id: u64,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) kind: FetchedKind,
    /// Where to go on.
    pub(super) next: QueueOffset,
    pub(super) min: QueueOffset,
    /// Behind the queue's last message.
    pub(super) max: QueueOffset,
    /// The broker of the queue's brokers to ask next.
    pub(super) broker_id: u64,
}

#[derive(Debug)]
pub(super) enum FetchedKind {
    /// Records, one behind the other.
    Found(Bytes),
    /// Nothing, or nothing that the filter lets through, up to `next`.
    Nothing,
    /// `from` is not in the queue, or the group was moved: `next` is where it goes on.
    Moved,
}

/// Why a pull did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl FetchError {
    /// Tells that a consumer does not know yet where to start in a queue.
    pub(super) fn tell_unknown_start(&self, group: &GroupName, queue: &MessageQueue) {
        let text = "where to start is not known: trying again";
        match self {
            // A consumer that is dropped ends a moment after its client.
            Self::Call(CallError::Closed)
            | Self::Route(RouteError::NoNameServer { last: CallError::Closed }) => {
                tracing::debug!(%group, %queue, error = %self, text);
            }
            _ => tracing::warn!(%group, %queue, error = %self, text),
        }
    }
}

impl Inner {
    /// Pulls once.
    pub(super) async fn fetch_messages(self: &Arc<Self>, fetch: &Fetch<'_>) -> Result<Fetched, FetchError> {
        let addr = self.address(&fetch.queue.topic, &fetch.queue.broker, fetch.broker_id).await?;
        let link = self.link(&addr);
        let mut flags = 0;
        if !fetch.wait.is_zero() {
            flags |= PullFlags::SUSPEND;
        }
        if fetch.filter.is_some() {
            flags |= PullFlags::SUBSCRIPTION;
        }
        let header = PullMessage {
            group: fetch.group,
            topic: fetch.queue.topic.as_str(),
            queue: fetch.queue.id,
            from: Some(fetch.from),
            max: fetch.max,
            flags: PullFlags(flags),
            commit: Some(QueueOffset::ZERO),
            wait: Millis(fetch.wait.as_millis() as u64),
            subscription: fetch.filter.map(|(_, expression, _)| expression),
            subscription_version: fetch.filter.map_or(0, |(_, _, version)| version),
            expression_type: fetch.filter.map(|(kind, ..)| kind),
            max_bytes: None,
            source: None,
            proxied_client: None,
        };
        // Official brokers may take five seconds longer than they are told to.
        let limit = fetch.wait + self.timing.call + Duration::from_secs(5);
        let frame = link.ask(RequestCode::PullMessage, &header, &Bytes::new(), limit).await?;
        let body = frame.body();
        let mut scratch = HeaderScratch::new();
        let answer = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
        let kind = match answer.response_code() {
            Some(ResponseCode::Success) => FetchedKind::Found(body),
            Some(ResponseCode::PullNotFound | ResponseCode::PullRetryImmediately) => FetchedKind::Nothing,
            Some(ResponseCode::PullOffsetMoved) => FetchedKind::Moved,
            _ => {
                let (code, remark) = (answer.code, answer.remark.unwrap_or_default().into());
                return Err(CallError::Refused { addr, code, remark }.into());
            }
        };
        let header = PullMessageResponse::decode(&answer.fields)
            .map_err(|error| link.unreadable(&error.to_string()))?;
        Ok(Fetched {
            kind,
            next: header.next,
            min: header.min,
            max: header.max,
            broker_id: header.next_broker,
        })
    }

    /// What a failed pull asks for; returns how long to wait.
    pub(super) async fn after_failed_fetch(
        self: &Arc<Self>,
        group: &GroupName,
        queue: &MessageQueue,
        error: &FetchError,
        again: &mut Backoff,
    ) -> Duration {
        tracing::debug!(%group, %queue, %error, "a pull failed");
        match error {
            FetchError::Call(error) => match error.code() {
                Some(ResponseCode::FlowControl) => return FLOW_CONTROL,
                Some(
                    ResponseCode::SubscriptionNotExist
                    | ResponseCode::SubscriptionNotLatest
                    | ResponseCode::FilterDataNotExist
                    | ResponseCode::FilterDataNotLatest,
                ) => {
                    // The broker has not heard what is wanted, or was restarted and has forgotten.
                    self.heartbeat().await;
                }
                Some(ResponseCode::NoPermission | ResponseCode::SubscriptionGroupNotExist) => {
                    tracing::warn!(%group, %queue, %error, "the broker refuses to hand messages out");
                }
                _ if matches!(error, CallError::Refused { .. }) => {}
                _ => drop(self.reread(&queue.topic).await),
            },
            FetchError::Route(_) => {}
        }
        again.wait()
    }

    /// The address of one of a queue's brokers.
    pub(super) async fn address(
        self: &Arc<Self>,
        topic: &TopicName,
        broker: &str,
        id: u64,
    ) -> Result<Arc<str>, RouteError> {
        let route = self.route(topic).await?;
        if let Some(addr) = route.member(broker, id) {
            return Ok(Arc::clone(addr));
        }
        let route = self.reread(topic).await?;
        let found = route.member(broker, id).cloned();
        found.ok_or_else(|| RouteError::NoQueue { topic: topic.clone(), wanted: "readable" })
    }
}
