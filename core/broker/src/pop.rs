//! Pop consumption: the broker hands messages out of any queue for a while, and hands out again what was not
//! acknowledged in that time, through a retry topic.
//!
//! ```text
//! pop ──▶ check point ─┐                        ┌─▶ all acknowledged: gone
//!                      ├▶ revive topic ─▶ index ┤
//! ack ──▶ ack ─────────┘  (one record each)     └─▶ due: copies in the retry topic, and an ack for them
//! ```
//! The revive topic is the truth: the index is read from it, while the broker runs and at its start, by the same code.
//! Always true:
//! * a message is handed out only behind its check point, and acknowledged only behind the record of that, each as safe as
//!   the flush mode promises;
//! * a group's position is saved only once the check points below it survive a power cut, and raised at a start by those
//!   that were stored since: nothing is skipped, and only what was not acknowledged comes twice;
//! * messages that come again are stored together with the record that says so.
//!
//! A Java broker can go on with our records, and we with its: what it had handed out lies with its timer, which delivers
//! to the revive topic when that is due, and is read there like ours.
//!
//! | file | what it is about |
//! |---|---|
//! | `take`, `held` | handing out messages, and waiting for them |
//! | `ack`, `acks` | acknowledging them, one by one or together, and letting them stay out longer |
//! | `places` | where groups stand in queues |
//! | `record`, `index` | the revive topic's records, and what of them is open |
//! | `revive`, `settle` | reading them, storing messages again; saving how far that is |
//! | `order` | handing out in order |
//! | `retry_topics` | whose the topics are where messages come again |
//! | `receipt` | what a client shows to acknowledge |

mod ack;
mod acks;
mod held;
mod index;
mod order;
mod places;
pub mod receipt;
mod record;
mod retry_topics;
mod revive;
mod settle;
mod take;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferromq_model::{GroupName, NameError, QueueId, Timestamp, TopicName};
use ferromq_state::{StateError, StateFile};
use ferromq_store::{Queue, Store};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use ack::{Ack, AckError, AckSome, ChangeInvisible, Changed};
pub use acks::{AckBatch, AckTicket};
pub use held::{HeldNotice, HeldPop, Notice, Notified};
pub use order::OrderCounts;
pub use take::{Accepted, MAX_INVISIBLE, Outcome, Pop, PopError, Popped, Portion, Start};

use crate::broker::Broker;
use crate::config::BrokerConfig;
use held::Lines;
use order::OrderInfo;
use places::{Places, PopQueue};
use receipt::Origin;
use record::Target;
use revive::Revive;

/// What the broker knows of pops.
pub(crate) struct Pops {
    places: Places,
    lines: Lines,
    /// The queues of the revive topic that records are added to.
    queues: Vec<Arc<Queue>>,
    revive: Mutex<Revive>,
    /// As many messages are out as may.
    full: AtomicBool,
    orders: Mutex<StateFile>,
    orders_changed: AtomicBool,
}

/// `consumerOrderInfo.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedOrders {
    /// By `topic@group`, then queue.
    table: BTreeMap<String, BTreeMap<u32, OrderInfo>>,
}

/// The revive topic's name. A cluster whose name cannot be part of one shares the default cluster's.
pub(crate) fn revive_topic(config: &BrokerConfig) -> TopicName {
    TopicName::revive_log_of(&config.cluster).unwrap_or_else(|error| {
        tracing::warn!(%error, "the cluster's name cannot be part of a topic's");
        TopicName::revive_log_of("DefaultCluster").expect("a valid name")
    })
}

impl Pops {
    pub(crate) fn load(orders: StateFile, config: &BrokerConfig, store: &Store) -> Result<Self, StateError> {
        let name = revive_topic(config);
        let queues = (0..config.revive_queues).map(|id| store.queue(&name, QueueId(id))).collect();
        // Those that an earlier configuration had are read, too.
        let used = store.queues_of(name.as_str()).last().map_or(0, |queue| queue.id().0 + 1);
        let read = (0..used.max(config.revive_queues)).map(|id| store.queue(&name, QueueId(id))).collect();
        let saved: SavedOrders = orders.load()?.unwrap_or_default();
        let this = Self {
            places: Places::default(),
            lines: Lines::default(),
            queues,
            revive: Mutex::new(Revive::new(read)),
            full: AtomicBool::new(false),
            orders: Mutex::new(orders),
            orders_changed: AtomicBool::new(false),
        };
        for (key, infos) in saved.table {
            let names = key.split_once('@');
            let names = names.and_then(|(t, g)| Some((TopicName::new(t).ok()?, GroupName::new(g).ok()?)));
            let Some((topic, group)) = names else { continue };
            let of_topic = this.places.topic_or_new(&group, &topic);
            for (id, info) in infos {
                if let Some(at) = this.places.find_or_new(&of_topic, &group, &topic, QueueId(id)) {
                    at.lock().order = Some(info);
                }
            }
        }
        Ok(this)
    }

    fn places(&self) -> &Places {
        &self.places
    }

    fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The queue of the revive topic for the next pop.
    fn next_queue(&self, broker: &Broker) -> u32 {
        broker.next_number() % self.queues.len() as u32
    }

    /// A queue of the revive topic; numbers that it does not have come round.
    fn queue(&self, id: u32) -> &Arc<Queue> {
        &self.queues[id as usize % self.queues.len()]
    }

    /// A queue of the revive topic, if it has so many.
    fn find_queue(&self, id: u32) -> Option<&Arc<Queue>> {
        self.queues.get(id as usize)
    }

    /// Whether as many messages are out as may.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Where messages of `topic` come again for `group`, the one that new ones are stored in first.
    fn retry_topics(
        &self,
        config: &BrokerConfig,
        group: &GroupName,
        topic: &TopicName,
    ) -> Result<Vec<(Origin, TopicName)>, NameError> {
        if topic.retry_group().is_some() {
            // What comes again from a retry topic comes there.
            return Ok(Vec::new());
        }
        let name = |second_form| TopicName::pop_retry_of(group.as_str(), topic.as_str(), second_form);
        let mut topics = Vec::with_capacity(2);
        if config.retry_topic_v2 {
            topics.push((Origin::RetryV2, name(true)?));
        }
        if !config.retry_topic_v2 || config.drain_retry_topic_v1 {
            topics.push((Origin::Retry, name(false)?));
        }
        Ok(topics)
    }

    /// Whether a group has as many messages of a queue as it may.
    fn is_saturated(broker: &Broker, of: &PopQueue) -> bool {
        broker.config().limit_pops && of.out() > broker.config().pop_limit
    }

    /// Notes that messages popped at `popped` are done, or come again, and wakes who waits for that.
    fn note_done(&self, broker: &Broker, of: Target<'_>, messages: u32) {
        let limit = broker.config().pop_limit;
        // Those that were out before the start are not counted.
        if !broker.config().limit_pops || of.popped < broker.started() {
            return;
        }
        if let Some(queue) = self.places.find(of.group, of.topic, of.queue) {
            let before = queue.take_out(messages);
            if before > limit && queue.out() <= limit {
                self.ring(of.group, of.topic);
            }
        }
    }

    /// Wakes who waits for messages of the topic that no arrival tells of.
    fn ring(&self, group: &str, topic: &str) {
        if let Some(of_topic) = self.places.topic(group, topic) {
            of_topic.freed.notify_waiters();
        }
    }

    fn note_order_changed(&self) {
        self.orders_changed.store(true, Ordering::Release);
    }

    /// Writes `consumerOrderInfo.json` if anything of it changed.
    pub(crate) fn save(&self, now: Timestamp) -> io::Result<()> {
        let file = self.orders.lock();
        if !self.orders_changed.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let mut saved = SavedOrders::default();
        for queue in self.places.all() {
            let mut place = queue.lock();
            place.order.take_if(|order| order.is_outdated(now));
            if let Some(order) = &place.order {
                let key = format!("{}@{}", queue.topic, queue.group);
                saved.table.entry(key).or_default().insert(queue.id.0, order.clone());
            }
        }
        file.save(&saved).inspect_err(|_| self.note_order_changed())
    }

    /// Forgets what is out of a topic, or for a group, that was deleted. What was out in order would keep back the
    /// messages of the next of that name, so that is gone from the file as well when this returns.
    pub(crate) fn forget(&self, gone: impl Fn(&str, &str) -> bool, now: Timestamp) -> io::Result<()> {
        let in_order = self.places.forget(&gone);
        self.revive.lock().forget(&gone);
        if in_order {
            self.note_order_changed();
            self.save(now)?;
        }
        Ok(())
    }
}

impl Broker {
    /// Hands out again what is due, and notes how far that is. [`Broker::run`] does so each `reviveInterval`. Blocks.
    pub fn revive(&self) {
        let pops = self.pops();
        let mut revive = pops.revive.lock();
        let now = self.store().now();
        revive.read_on(self);
        pops.full.store(revive.is_full(), Ordering::Relaxed);
        revive.store_due(self, now);
        revive.settle(self);
    }

    /// Notes all positions of pops at once, behind a flush of the log, where [`Broker::revive`] takes two rounds: a Java
    /// broker that goes on with the store knows of no others. Blocks.
    pub(crate) fn settle_pops(&self) -> io::Result<()> {
        let mut revive = self.pops().revive.lock();
        revive.read_on(self);
        // The round that waits, and then one of everything.
        for _ in 0..2 {
            self.store().flush().map_err(io::Error::other)?;
            revive.settle(self);
        }
        Ok(())
    }

    /// Messages that are handed out and not acknowledged, as of the last look.
    #[must_use]
    pub fn messages_out(&self) -> u64 {
        self.pops().revive.lock().open_messages()
    }
}
