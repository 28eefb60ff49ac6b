//! A consumer that leases messages.
//!
//! ```text
//! receive ─▶ pop at one broker of a topic after another ─▶ Leased ─┬─ ack                it is done
//!                       ▲                                          ├─ change_invisible   later, with a new receipt
//!                       └────────── the lease ended ◀──────────────┴─ nothing
//! ```
//! Always true:
//! * any number of members takes any queue's messages: nothing is shared out, and nobody waits for a slow one;
//! * while a message is leased, the broker gives it to nobody else of the group;
//! * nothing is acknowledged that the application did not acknowledge, but what its filter does not want;
//! * nothing is fetched ahead: a lease begins when the application asks;
//! * closing ends every call that waits, and the group is left, whoever still holds the consumer.
//!
//! | file | what it is about |
//! |---|---|
//! | `config` | the builder |
//! | `receipt` | receipts, and how answers say which are whose |
//! | `leased` | a leased message, acknowledging and prolonging |
//! | `error` | what can go wrong |

mod config;
mod error;
mod leased;
mod receipt;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{GroupName, Millis, QueueId, Timestamp, TopicName};
use ferromq_protocol::body::{self, ConsumerStatusBody};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{Header as _, PopMessage, PopMessageResponse};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use self::config::PopConsumerBuilder;
pub use self::error::{AckAllError, PopError};
pub use self::leased::Leased;
pub use self::receipt::Receipt;
use self::receipt::with_receipts;
use super::fetch::{FETCH_AGAIN, FETCH_WAIT};
use super::filter::Filter;
use super::requests::{code, running_info};
use crate::client::Client;
use crate::error::{CallError, Remedy};
use crate::members::Membership;
use crate::queue::MessageQueue;
use crate::received::Received;
use crate::wire::Request;

/// The most messages that brokers lease at a time.
const MAX_MESSAGES: u32 = 32;
/// How long one of several brokers may hold a pop before the next one has its turn.
const TURN: Duration = Duration::from_millis(500);
/// A round through the brokers that is over sooner did not wait, so that the client does.
const BRIEF: Duration = Duration::from_millis(20);
/// The longest that one [`PopConsumer::receive`] waits.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// A consumer that leases messages. Any number of tasks may receive at once.
pub struct PopConsumer {
    shared: Arc<Shared>,
    /// None once the group is left.
    membership: Mutex<Option<Membership>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    /// Whoever closes it first does so; the others wait for that.
    closed: OnceCell<()>,
}

/// What a consumer and its leases share.
pub(super) struct Shared {
    client: Client,
    group: GroupName,
    subscriptions: BTreeMap<TopicName, Filter>,
    /// When the subscriptions were made: their version.
    subscribed: Timestamp,
    invisible: Millis,
    from_oldest: bool,
    in_order: bool,
    /// How often was received: each time another broker is the first to be asked.
    turn: AtomicUsize,
}

/// One broker of one topic.
struct Target<'a> {
    topic: &'a TopicName,
    filter: &'a Filter,
    broker: Arc<str>,
}

impl PopConsumer {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        &self.shared.group
    }

    /// Leases up to `max` messages, 1 to 32, as soon as there are any; none if none come within `wait`, an hour at most.
    ///
    /// What a future that is dropped was about to return comes again when its leases end.
    ///
    /// # Errors
    /// [`PopError`], when no broker of any topic can be popped from. What may help itself is tried again until `wait` is
    /// over. [`PopError::Closed`], also if it is closed meanwhile.
    pub async fn receive(&self, max: u32, wait: Duration) -> Result<Vec<Leased>, PopError> {
        if !(1..=MAX_MESSAGES).contains(&max) {
            return Err(PopError::OutOfRange { key: "max", value: max.into(), allowed: "1 to 32" });
        }
        let mut stopped = self.stop.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => Err(PopError::Closed),
            received = self.shared.receive(max, wait.min(MAX_WAIT)) => received,
        }
    }

    /// Acknowledges many messages, of any topics and brokers, with few requests.
    ///
    /// # Errors
    /// [`AckAllError`] with those that are left.
    pub async fn ack_all(&self, leases: Vec<Leased>) -> Result<(), AckAllError> {
        self.shared.ack_all(leases).await
    }

    /// Leaves the group. What is leased may still be acknowledged, as long as the client is not closed. Calls that wait for
    /// messages end with [`PopError::Closed`]. A second call waits for the first.
    pub async fn close(&self) {
        self.closed.get_or_init(|| self.end()).await;
    }

    async fn end(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
        let membership = self.membership.lock().take();
        if let Some(membership) = membership {
            membership.leave().await;
        }
    }
}

impl std::fmt::Debug for PopConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PopConsumer").field("group", &self.shared.group).finish_non_exhaustive()
    }
}

impl Shared {
    async fn receive(self: &Arc<Self>, max: u32, wait: Duration) -> Result<Vec<Leased>, PopError> {
        let deadline = Instant::now() + wait;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        // One name for all that is tried: a broker that leases in order knows by it whose a lost answer was.
        let attempt = self.in_order.then(|| self.client.inner.unique_ids.next(Timestamp::now()).to_string());
        let mut again = FETCH_AGAIN;
        let mut looked = false;
        loop {
            let began = Instant::now();
            let mut outcome = Ok(Vec::new());
            match self.targets().await {
                Ok(targets) => {
                    let mut heard = false;
                    for place in 0..targets.len() {
                        let target = &targets[(first.wrapping_add(place)) % targets.len()];
                        let left = deadline.saturating_duration_since(Instant::now());
                        let hold = match targets.len() {
                            1 => left.min(FETCH_WAIT),
                            // All are looked at before one is waited at.
                            _ if looked => left.min(TURN),
                            _ => Duration::ZERO,
                        };
                        match self.pop(target, max, hold, attempt.as_deref()).await {
                            Ok(leases) if !leases.is_empty() => return Ok(leases),
                            Ok(_) => heard = true,
                            Err(error) => {
                                tracing::debug!(group = %self.group, topic = %target.topic, %error, "a pop failed");
                                outcome = Err(error);
                            }
                        }
                    }
                    if heard {
                        outcome = Ok(Vec::new());
                    }
                }
                Err(error) => outcome = Err(error),
            }
            looked = true;
            let now = Instant::now();
            let hopeless = outcome.as_ref().is_err_and(|error| !may_help_itself(error));
            if hopeless || now >= deadline {
                return outcome;
            }
            if now - began < BRIEF {
                sleep(again.wait().min(deadline - now)).await;
            } else {
                again.reset();
            }
        }
    }

    /// Every broker of every topic; an error if there is none.
    async fn targets(&self) -> Result<Vec<Target<'_>>, PopError> {
        let mut targets = Vec::new();
        let mut failed = None;
        for (topic, filter) in &self.subscriptions {
            match self.client.inner.route(topic).await {
                Ok(route) => {
                    let brokers: BTreeSet<_> = route.readable.iter().map(|queue| &queue.broker).collect();
                    targets.extend(brokers.into_iter().map(|broker| Target {
                        topic,
                        filter,
                        broker: Arc::clone(broker),
                    }));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if targets.is_empty() => Err(error.into()),
            _ => Ok(targets),
        }
    }

    /// Pops once, and acknowledges what the filter does not want.
    async fn pop(
        self: &Arc<Self>,
        target: &Target<'_>,
        max: u32,
        hold: Duration,
        attempt: Option<&str>,
    ) -> Result<Vec<Leased>, PopError> {
        let leases = match self.pop_all(target, max, hold, attempt).await {
            Ok(leases) => leases,
            Err(error) => {
                if error.asks_for_route() {
                    let _ = self.client.inner.reread(target.topic).await;
                }
                return Err(error);
            }
        };
        let leases = leases.into_iter().map(|(message, receipt)| Leased {
            message,
            receipt,
            consumer: Arc::clone(self),
        });
        let (wanted, unwanted): (Vec<_>, Vec<_>) = leases.partition(|l| target.filter.wants(&l.message));
        if !unwanted.is_empty()
            && let Err(error) = self.ack_all(unwanted).await
        {
            tracing::debug!(group = %self.group, %error, "what the filter does not want comes again");
        }
        Ok(wanted)
    }

    async fn pop_all(
        &self,
        target: &Target<'_>,
        max: u32,
        hold: Duration,
        attempt: Option<&str>,
    ) -> Result<Vec<(Received, Receipt)>, PopError> {
        let inner = &self.client.inner;
        let addr = inner.address(target.topic, &target.broker, 0).await?;
        let link = inner.link(&addr);
        let told = target.filter.subscription(target.topic, self.subscribed);
        let header = PopMessage {
            group: self.group.as_str(),
            topic: target.topic.as_str(),
            queue: None,
            max,
            invisible: self.invisible,
            wait: Millis(hold.as_millis() as u64),
            // When it arrives: the clocks need not agree.
            born: Timestamp(0),
            start: i32::from(!self.from_oldest),
            expression_kind: told.expression_type.as_deref().unwrap_or_default(),
            expression: &told.sub_string,
            order: self.in_order,
            attempt,
        };
        let limit = hold + inner.timing.call + Duration::from_secs(5);
        let frame = link.ask(RequestCode::PopMessage, &header, &Bytes::new(), limit).await?;
        let mut scratch = HeaderScratch::new();
        let answer = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
        match answer.response_code() {
            Some(ResponseCode::Success) => {}
            Some(ResponseCode::PollingFull | ResponseCode::PollingTimeout | ResponseCode::PullNotFound) => {
                return Ok(Vec::new());
            }
            _ => {
                let (code, remark) = (answer.code, answer.remark.unwrap_or_default().into());
                return Err(CallError::Refused { addr, code, remark }.into());
            }
        }
        let said = PopMessageResponse::decode(&answer.fields)
            .map_err(|error| link.unreadable(&error.to_string()))?;
        let queue =
            MessageQueue { topic: target.topic.clone(), broker: Arc::clone(&target.broker), id: QueueId(0) };
        let messages: Vec<_> = Received::read_all(&frame.body(), &queue).collect();
        let leases = with_receipts(&messages, &said, &target.broker)
            .ok_or_else(|| link.unreadable("the offsets of popped messages"))?;
        Ok(leases)
    }

    /// Answers what brokers ask, until the consumer is closed.
    async fn answer_requests(self: Arc<Self>, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            match code(&request) {
                // Nothing is shared out, and no position is kept here.
                Some(RequestCode::NotifyConsumerIdsChanged | RequestCode::ResetConsumerClientOffset) => {}
                Some(RequestCode::GetConsumerStatusFromClient) => {
                    let status = body::encode(&ConsumerStatusBody::default());
                    request.answer(ResponseCode::Success, None, &status.into());
                }
                Some(RequestCode::GetConsumerRunningInfo) => {
                    let about = [
                        ("PROP_CONSUMEORDERLY", self.in_order.to_string()),
                        ("PROP_CONSUME_TYPE", "CONSUME_POP".to_owned()),
                    ];
                    let inner = &self.client.inner;
                    let info =
                        running_info(inner, about, &self.subscriptions, self.subscribed, std::iter::empty());
                    request.answer(ResponseCode::Success, None, &info);
                }
                _ => {
                    let why = "the consumer takes messages when it likes: it cannot be handed one";
                    request.answer(ResponseCode::RequestCodeNotSupported, Some(why), &Bytes::new());
                }
            }
        }
    }
}

/// Whether to go on although no broker could be popped from.
fn may_help_itself(error: &PopError) -> bool {
    // A topic that is still to be created, or whose broker is still to come.
    matches!(error, PopError::Route(_)) || error.remedy() == Remedy::Retry
}
