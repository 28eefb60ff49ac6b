//! Fetching from the queues that are this member's, and giving them up.
//!
//! Always true:
//! * the group is looked at every 20 s, and at once when a broker says that it has changed or a route has;
//! * a queue that goes to another member is given up before its position is stored and its lock returned, in this order:
//!   what the other one starts with is what was done here;
//! * in order, nothing is fetched or handed out without the broker's lock on the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::QueueOffset;
use ferromq_protocol::body::{self, LockBatchRequest, LockBatchResponse};
use ferromq_protocol::code::RequestCode;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::buffer::Buffer;
use super::fetch::{FETCH_AGAIN, FETCH_WAIT, Fetch, Fetched, FetchedKind};
use super::filter::Filter;
use super::push::Consumer;
use super::ready::{Item, Lane};
use super::share::Sharing;
use crate::queue::MessageQueue;
use crate::received::Received;

/// How often locks are renewed; brokers forget them after 60 s.
pub(super) const LOCK_EVERY: Duration = Duration::from_secs(20);
/// How long a lock is taken to be ours after the broker said so.
const LOCK_VALID: Duration = Duration::from_secs(30);
/// The wait before a queue that another member still has locked is tried again.
pub(super) const LOCK_AGAIN: Duration = Duration::from_secs(1);
/// How long a handler may take to end when its queue goes to another member.
const HAND_OVER: Duration = Duration::from_secs(30);

/// A queue that is this member's.
pub(super) struct Assigned {
    pub(super) buffer: Buffer,
    pub(super) lane: Mutex<Lane>,
    pub(super) filter: Filter,
    /// Told when the queue is given up.
    gone: Notify,
    /// Told when nothing of the lane is handed out.
    pub(super) idle: Notify,
    /// When the broker last said that the lock is ours.
    locked: Mutex<Option<Instant>>,
}

impl Assigned {
    pub(super) fn is_locked(&self) -> bool {
        self.locked.lock().is_some_and(|since| since.elapsed() < LOCK_VALID)
    }

    pub(super) fn give_up(&self) -> Option<QueueOffset> {
        let position = self.buffer.give_up();
        self.lane.lock().clear();
        self.gone.notify_one();
        position
    }
}

impl Consumer {
    /// Looks at the group again and again, and fetches from the queues that are ours.
    pub(super) async fn keep_share(self: Arc<Self>) {
        let mut fetching = JoinSet::new();
        let mut routes = self.inner.routes.changes();
        loop {
            routes.mark_unchanged();
            let wait = self.rebalance(&mut fetching).await;
            let changed = timeout(wait, self.changed.notified());
            tokio::pin!(changed);
            loop {
                tokio::select! {
                    _ = &mut changed => break,
                    Ok(()) = routes.changed() => break,
                    Some(ended) = fetching.join_next() => {
                        if let Err(error) = ended && error.is_panic() {
                            tracing::error!(group = %self.group, %error, "fetching from a queue failed");
                        }
                    }
                }
            }
        }
    }

    /// Looks at the group once; returns when to look again.
    async fn rebalance(self: &Arc<Self>, fetching: &mut JoinSet<()>) -> Duration {
        let topics = self.subscriptions.read().clone();
        let sharing = Sharing {
            inner: &self.inner,
            group: &self.group,
            strategy: (!self.settings.broadcasting).then_some(&self.settings.strategy),
        };
        let share = sharing.look(&topics, || self.queues.lock().keys().cloned().collect()).await;
        for (queue, filter) in &share.queues {
            self.take_on(queue, filter, fetching);
        }
        let lost: Vec<_> = {
            let mut queues = self.queues.lock();
            let lost = queues.extract_if(|queue, _| !share.queues.contains_key(queue));
            lost.map(|(_, assigned)| assigned).collect()
        };
        join_all(lost.iter().map(|assigned| self.hand_over(assigned))).await;
        share.valid_for()
    }

    fn take_on(self: &Arc<Self>, queue: &MessageQueue, filter: &Filter, fetching: &mut JoinSet<()>) {
        let mut queues = self.queues.lock();
        if queues.contains_key(queue) {
            return;
        }
        tracing::debug!(group = %self.group, %queue, "ours now");
        let assigned = Arc::new(Assigned {
            buffer: Buffer::new(queue.clone(), self.settings.limits),
            lane: Mutex::default(),
            filter: filter.clone(),
            gone: Notify::new(),
            idle: Notify::new(),
            locked: Mutex::new(None),
        });
        queues.insert(queue.clone(), Arc::clone(&assigned));
        fetching.spawn(Arc::clone(self).fetch_until_gone(assigned));
    }

    /// Gives a queue to whoever has it now.
    async fn hand_over(&self, assigned: &Assigned) {
        let queue = &assigned.buffer.queue;
        tracing::debug!(group = %self.group, %queue, "no longer ours");
        // In order the handler has to end first: the next member must not begin with a message that is still handled.
        if self.settings.in_order && assigned.lane.lock().is_busy() {
            assigned.lane.lock().clear();
            let _ = timeout(HAND_OVER, assigned.idle.notified()).await;
        }
        if let Some(position) = assigned.give_up()
            && let Err(error) = self.offsets.store_one(queue, position).await
        {
            tracing::warn!(%queue, %position, %error, "position not stored: the next member does some of it again");
        }
        self.offsets.forget(queue);
        if self.settings.needs_locks() {
            self.lock(std::slice::from_ref(queue), RequestCode::UnlockBatchMq).await;
        }
    }

    /// Gives every queue up, on closing: nothing is handled any more, and positions are stored.
    pub(super) async fn give_all_up(&self) {
        let all: Vec<_> = self.queues.lock().drain().map(|(_, assigned)| assigned).collect();
        for assigned in &all {
            assigned.give_up();
        }
        if self.settings.needs_locks() {
            let queues: Vec<_> = all.iter().map(|assigned| assigned.buffer.queue.clone()).collect();
            self.lock(&queues, RequestCode::UnlockBatchMq).await;
        }
    }

    async fn fetch_until_gone(self: Arc<Self>, assigned: Arc<Assigned>) {
        let moved = tokio::select! {
            moved = self.fetch(&assigned) => moved,
            () = assigned.gone.notified() => None,
        };
        // Not while fetching: giving the queue up ends that.
        if let Some(next) = moved {
            self.begin_anew(&assigned, next).await;
        }
    }

    /// Fetches until the queue is given up; returns where the broker sends the group, if it does.
    async fn fetch(&self, assigned: &Arc<Assigned>) -> Option<QueueOffset> {
        let queue = &assigned.buffer.queue;
        if self.settings.needs_locks() {
            self.wait_for_lock(assigned).await;
        }
        let mut again = FETCH_AGAIN;
        loop {
            match self.offsets.start_of(queue, self.settings.from).await {
                Ok(start) => {
                    assigned.buffer.start_at(start);
                    break;
                }
                Err(error) => {
                    error.tell_unknown_start(&self.group, queue);
                    sleep(again.wait()).await;
                }
            }
        }
        let mut broker_id = 0;
        while assigned.buffer.room().await {
            if self.settings.needs_locks() && !assigned.is_locked() {
                self.wait_for_lock(assigned).await;
            }
            let fetch = Fetch {
                group: self.group.as_str(),
                queue,
                from: assigned.buffer.next(),
                max: self.settings.batch,
                wait: FETCH_WAIT,
                filter: None,
                broker_id,
            };
            match self.inner.fetch_messages(&fetch).await {
                Ok(fetched) => {
                    again.reset();
                    broker_id = fetched.broker_id;
                    if matches!(fetched.kind, FetchedKind::Moved) {
                        return Some(fetched.next);
                    }
                    self.take_in(assigned, fetched);
                }
                Err(error) => {
                    let wait = self.inner.after_failed_fetch(&self.group, queue, &error, &mut again).await;
                    broker_id = 0;
                    sleep(wait).await;
                }
            }
        }
        None
    }

    fn take_in(&self, assigned: &Arc<Assigned>, fetched: Fetched) {
        match fetched.kind {
            FetchedKind::Found(records) => {
                let queue = &assigned.buffer.queue;
                let messages: Vec<Received> = Received::read_all(&records, queue).collect();
                let taken = messages.iter().map(|message| (message.queue_offset(), message.len()));
                if !assigned.buffer.take_in(taken, fetched.next) {
                    return;
                }
                // The broker compares hashes of tags: what only has the same hash is not wanted.
                let wanted = messages.into_iter().filter(|message| {
                    let wanted = assigned.filter.wants(message);
                    if !wanted {
                        assigned.buffer.done(message.queue_offset());
                    }
                    wanted
                });
                let item = |message| Item { message, from: Arc::clone(assigned) };
                if self.settings.in_order {
                    let next = assigned.lane.lock().add(wanted);
                    self.ready.push_all(next.into_iter().map(item));
                } else {
                    self.ready.push_all(wanted.map(item));
                }
            }
            FetchedKind::Nothing | FetchedKind::Moved => assigned.buffer.go_on_at(fetched.next),
        }
    }

    /// Drops what is buffered of a queue and takes it on again from `next`: the position is not in the queue, or an
    /// operator has moved the group.
    pub(super) async fn begin_anew(&self, assigned: &Assigned, next: QueueOffset) {
        let queue = &assigned.buffer.queue;
        tracing::warn!(group = %self.group, %queue, to = %next, "going on elsewhere in the queue");
        assigned.give_up();
        if let Err(error) = self.offsets.store_one(queue, next).await {
            tracing::warn!(group = %self.group, %queue, %next, %error, "the new position could not be stored");
        }
        self.queues.lock().remove(queue);
        self.changed.notify_one();
    }

    /// Notes how far every queue is. What becomes of one that is given up, whoever gave it up says.
    pub(super) fn note_positions(&self) {
        let queues = self.queues.lock();
        for assigned in queues.values().filter(|assigned| !assigned.buffer.is_given_up()) {
            if let Some(position) = assigned.buffer.position() {
                self.offsets.reach(&assigned.buffer.queue, position);
            }
        }
    }

    /// Locks a queue, however long another member takes to give it up.
    async fn wait_for_lock(&self, assigned: &Assigned) {
        let queue = &assigned.buffer.queue;
        loop {
            let locked = self.lock(std::slice::from_ref(queue), RequestCode::LockBatchMq).await;
            if locked.contains(queue) {
                *assigned.locked.lock() = Some(Instant::now());
                return;
            }
            sleep(LOCK_AGAIN).await;
        }
    }

    /// Renews the locks of all our queues.
    pub(super) async fn renew_locks(&self) {
        let all: HashMap<MessageQueue, Arc<Assigned>> = self.queues.lock().clone();
        let queues: Vec<_> = all.keys().cloned().collect();
        for queue in self.lock(&queues, RequestCode::LockBatchMq).await {
            if let Some(assigned) = all.get(&queue) {
                *assigned.locked.lock() = Some(Instant::now());
            }
        }
    }

    /// Locks or unlocks queues at their brokers; returns those that are locked.
    async fn lock(&self, queues: &[MessageQueue], code: RequestCode) -> Vec<MessageQueue> {
        let mut brokers: HashMap<&str, Vec<&MessageQueue>> = HashMap::new();
        for queue in queues {
            brokers.entry(&queue.broker).or_default().push(queue);
        }
        let mut locked = Vec::new();
        for (broker, queues) in brokers {
            let Some(addr) = self.inner.routes.master(broker) else { continue };
            let request = LockBatchRequest {
                client_id: self.inner.id().to_string(),
                consumer_group: self.group.to_string(),
                mq_set: queues.iter().map(|queue| queue.to_body()).collect(),
                only_this_broker: false,
            };
            let link = self.inner.link(&addr);
            match self.inner.call(&link, code, &(), &body::encode(&request).into()).await {
                Ok(frame) if code == RequestCode::LockBatchMq => {
                    let answer: LockBatchResponse = body::decode(&frame.body()).unwrap_or_default();
                    let is_in = |queue: &&MessageQueue| answer.locked.contains(&queue.to_body());
                    locked.extend(queues.into_iter().filter(is_in).cloned());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, broker, "locks not changed"),
            }
        }
        locked
    }
}
