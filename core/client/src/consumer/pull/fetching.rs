//! The tasks of a consumer that is asked: its share, fetching ahead, positions, what brokers ask.
//!
//! Always true:
//! * one task fetches from each queue, and ends when the queue is given up or the consumer is closed or dropped;
//! * a queue that has something to hand out is listed once: polls take turns among the listed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{GroupName, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{self, ConsumerStatusBody, SubscriptionData};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::fetch::{FETCH_AGAIN, FETCH_WAIT, Fetch, Fetched, FetchedKind};
use super::super::filter::Filter;
use super::super::offsets::Offsets;
use super::super::requests::{QueueState, code, moved_to, running_info, with_command};
use super::super::share::Sharing;
use super::config::Settings;
use super::window::{Wanted, Window};
use crate::backoff::Backoff;
use crate::client::Inner;
use crate::queue::MessageQueue;
use crate::received::Received;
use crate::spans;
use crate::wire::Request;

/// What a consumer and its tasks share.
pub(super) struct Shared {
    pub(super) inner: Arc<Inner>,
    pub(super) group: GroupName,
    pub(super) settings: Settings,
    /// Empty while the application assigns queues.
    pub(super) subscriptions: BTreeMap<TopicName, Filter>,
    /// When the subscriptions were made: their version.
    pub(super) subscribed: Timestamp,
    pub(super) offsets: Offsets,
    pub(super) queues: Mutex<HashMap<MessageQueue, Arc<Assigned>>>,
    pub(super) ready: Ready,
    /// What the last poll returned messages of.
    pub(super) last_polled: Mutex<Vec<Arc<Assigned>>>,
    /// Told when the group has changed.
    pub(super) changed: Notify,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

/// A queue that is fetched from.
pub(super) struct Assigned {
    pub(super) queue: MessageQueue,
    filter: Filter,
    /// What is told with each request; none if heartbeats tell it.
    told: Option<SubscriptionData>,
    pub(super) window: Window,
}

/// Queues that have something to hand out.
#[derive(Default)]
pub(super) struct Ready {
    listed: Mutex<VecDeque<Arc<Assigned>>>,
    came: Notify,
}

impl Ready {
    pub(super) fn list(&self, assigned: Arc<Assigned>) {
        self.listed.lock().push_back(assigned);
        self.came.notify_one();
    }

    /// Waits until something was listed since this was last waited for.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }

    fn next(&self) -> Option<Arc<Assigned>> {
        self.listed.lock().pop_front()
    }

    /// Whether a queue that is listed still has something to hand out; those before it are listed no more. Whoever else
    /// waits is to look, too: the one that is told that there is something may not come for it.
    pub(super) fn has_some(&self) -> bool {
        let mut listed = self.listed.lock();
        while let Some(first) = listed.front() {
            if first.window.has_some() {
                self.came.notify_one();
                return true;
            }
            listed.pop_front();
        }
        false
    }
}

impl Shared {
    /// Begins a task that ends with the consumer at the latest.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.stopped.clone();
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(group = %self.group, %error, "a task of the consumer failed");
            }
        }
        tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }

    /// Looks at the group again and again.
    pub(super) async fn keep_share(self: Arc<Self>) {
        loop {
            let sharing =
                Sharing { inner: &self.inner, group: &self.group, strategy: Some(&self.settings.strategy) };
            let held = || self.queues.lock().keys().cloned().collect();
            let share = sharing.look(&self.subscriptions, held).await;
            self.take_on(&share.queues).await;
            let _ = timeout(share.valid_for(), self.changed.notified()).await;
        }
    }

    /// Fetches from these queues and no others.
    pub(super) async fn take_on(self: &Arc<Self>, wanted: &BTreeMap<MessageQueue, Filter>) {
        let mut taken = Vec::new();
        let lost: Vec<_> = {
            let mut queues = self.queues.lock();
            let unwanted = |queue: &MessageQueue, assigned: &mut Arc<Assigned>| {
                wanted.get(queue).is_none_or(|filter| *filter != assigned.filter)
            };
            let lost = queues.extract_if(unwanted).map(|(_, assigned)| assigned).collect();
            for (queue, filter) in wanted {
                if !queues.contains_key(queue) {
                    let assigned = Arc::new(self.assigned(queue, filter));
                    queues.insert(queue.clone(), Arc::clone(&assigned));
                    taken.push(assigned);
                }
            }
            lost
        };
        // Positions first: a queue that is taken on anew, with another filter, starts where it was given up.
        for assigned in &lost {
            self.give_up(assigned).await;
        }
        for assigned in taken {
            tracing::debug!(group = %self.group, queue = %assigned.queue, "fetching");
            self.spawn(Arc::clone(self).fetch(assigned));
        }
    }

    fn assigned(&self, queue: &MessageQueue, filter: &Filter) -> Assigned {
        let told = self.subscriptions.is_empty().then(|| filter.subscription(&queue.topic, self.subscribed));
        let window = Window::new(self.settings.limits);
        Assigned { queue: queue.clone(), filter: filter.clone(), told, window }
    }

    async fn give_up(&self, assigned: &Assigned) {
        let queue = &assigned.queue;
        tracing::debug!(group = %self.group, %queue, "no longer fetching");
        if let Some(done) = assigned.window.give_up()
            && self.settings.commit_every.is_some()
            && let Err(error) = self.offsets.store_one(queue, done).await
        {
            tracing::warn!(%queue, position = %done, %error, "position not stored: some of it comes again");
        }
        self.offsets.forget(queue);
    }

    async fn fetch(self: Arc<Self>, assigned: Arc<Assigned>) {
        let queue = &assigned.queue;
        let mut broker_id = 0;
        let mut again = FETCH_AGAIN;
        while let Some(wanted) = assigned.window.wanted().await {
            let Some(from) = wanted.from else {
                self.find_start(&assigned, wanted, &mut again).await;
                continue;
            };
            let fetch = Fetch {
                group: self.group.as_str(),
                queue,
                from,
                max: self.settings.batch,
                wait: FETCH_WAIT,
                filter: assigned.told.as_ref().map(as_told),
                broker_id,
            };
            let fetched = tokio::select! {
                fetched = self.inner.fetch_messages(&fetch) => fetched,
                () = assigned.window.moved() => continue,
            };
            match fetched {
                Ok(fetched) => {
                    again.reset();
                    broker_id = fetched.broker_id;
                    self.take_in(&assigned, wanted, fetched);
                }
                Err(error) => {
                    broker_id = 0;
                    let wait = self.inner.after_failed_fetch(&self.group, queue, &error, &mut again).await;
                    sleep(wait).await;
                }
            }
        }
    }

    async fn find_start(&self, assigned: &Assigned, wanted: Wanted, again: &mut Backoff) {
        let queue = &assigned.queue;
        let start = tokio::select! {
            start = self.offsets.start_of(queue, self.settings.from) => start,
            () = assigned.window.moved() => return,
        };
        match start {
            Ok(start) => assigned.window.start_at(wanted, start),
            Err(error) => {
                error.tell_unknown_start(&self.group, queue);
                let _ = timeout(again.wait(), assigned.window.moved()).await;
            }
        }
    }

    fn take_in(&self, assigned: &Arc<Assigned>, wanted: Wanted, fetched: Fetched) {
        let Assigned { queue, filter, window, .. } = &**assigned;
        let list = match fetched.kind {
            FetchedKind::Found(records) => {
                // The broker compares hashes of tags: what only has the same hash is not wanted.
                let messages = Received::read_all(&records, queue).filter(|message| filter.wants(message));
                window.take_in(wanted, messages, fetched.next)
            }
            FetchedKind::Nothing => window.take_in(wanted, std::iter::empty(), fetched.next),
            FetchedKind::Moved => {
                tracing::warn!(group = %self.group, %queue, to = %fetched.next, "going on elsewhere in the queue");
                window.seek(fetched.next);
                false
            }
        };
        if list {
            self.ready.list(Arc::clone(assigned));
        }
    }

    /// Up to `most` messages of the queues whose turn it is. What earlier calls returned is done.
    pub(super) fn take(&self, most: usize) -> Vec<Received> {
        let mut polled = Vec::new();
        let mut from = Vec::new();
        while polled.len() < most
            && let Some(assigned) = self.ready.next()
        {
            let before = polled.len();
            if assigned.window.hand_out(most - before, &mut polled) {
                self.ready.list(Arc::clone(&assigned));
            }
            for message in &polled[before..] {
                spans::received(self.group.as_str(), message);
            }
            if polled.len() > before {
                from.push(assigned);
            }
        }
        self.last_polled.lock().extend(from);
        polled
    }

    /// What was polled so far is done.
    pub(super) fn confirm(&self) {
        for assigned in self.last_polled.lock().drain(..) {
            assigned.window.confirm();
        }
    }

    /// Notes how far every queue is done.
    pub(super) fn note_positions(&self) {
        for assigned in self.queues.lock().values() {
            if let Some(done) = assigned.window.done() {
                self.offsets.reach(&assigned.queue, done);
            }
        }
    }

    pub(super) async fn store_positions(self: Arc<Self>, every: Duration) {
        self.offsets.store_every(every, self.stopped.clone(), || self.note_positions()).await;
    }

    /// Answers what brokers ask of a member.
    pub(super) async fn answer_requests(self: Arc<Self>, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            match code(&request) {
                Some(RequestCode::NotifyConsumerIdsChanged) => self.changed.notify_one(),
                Some(RequestCode::ResetConsumerClientOffset) => {
                    for (queue, offset) in moved_to(&request) {
                        if let Some(assigned) = self.queues.lock().get(&queue) {
                            assigned.window.seek(offset);
                        }
                    }
                }
                Some(RequestCode::GetConsumerStatusFromClient) => {
                    let topic =
                        with_command(&request, |command| command.fields.find("topic").map(str::to_owned));
                    let status = body::encode(&self.status(topic.flatten().as_deref()));
                    request.answer(ResponseCode::Success, None, &status.into());
                }
                Some(RequestCode::GetConsumerRunningInfo) => {
                    request.answer(ResponseCode::Success, None, &self.running_info());
                }
                _ => {
                    let why = "the consumer takes messages when it likes: it cannot be handed one";
                    request.answer(ResponseCode::RequestCodeNotSupported, Some(why), &Bytes::new());
                }
            }
        }
    }

    fn status(&self, topic: Option<&str>) -> ConsumerStatusBody {
        let queues = self.queues.lock();
        let wanted = queues.values().filter(|a| topic.is_none_or(|topic| a.queue.topic.as_str() == topic));
        let positions =
            wanted.filter_map(|assigned| Some((assigned.queue.to_body(), assigned.window.done()?.0 as i64)));
        ConsumerStatusBody { message_queue_table: positions.collect(), ..ConsumerStatusBody::default() }
    }

    fn running_info(&self) -> Bytes {
        let queues = self.queues.lock();
        let states = queues.values().map(|assigned| {
            let (messages, bytes, next) = assigned.window.held();
            let position = assigned.window.position().unwrap_or(QueueOffset::ZERO);
            QueueState {
                queue: &assigned.queue,
                messages,
                bytes,
                position,
                next,
                given_up: false,
                locked: false,
            }
        });
        let about = [("PROP_CONSUME_TYPE", "CONSUME_ACTIVELY".to_owned())];
        running_info(&self.inner, about, &self.subscriptions, self.subscribed, states)
    }
}

/// A filter as it goes with a request.
pub(super) fn as_told(told: &SubscriptionData) -> (&str, &str, i64) {
    (told.expression_type.as_deref().unwrap_or_default(), &told.sub_string, told.sub_version)
}
