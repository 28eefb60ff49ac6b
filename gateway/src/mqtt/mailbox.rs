//! Which of a connection's subscriptions have something to read: appends take note here, the connection looks.

use std::sync::{Arc, Weak};

use ferromq_store::{Queue, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Names a subscription within its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SubscriptionKey(pub(super) u32);

/// Subscriptions that something arrived for.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    arrived: Mutex<Vec<SubscriptionKey>>,
    woken: Notify,
}

impl Mailbox {
    /// Takes those that something arrived for since the last call.
    pub(super) fn take(&self, into: &mut impl Extend<SubscriptionKey>) {
        into.extend(self.arrived.lock().drain(..));
    }

    /// Returns once something arrived.
    pub(super) async fn arrival(&self) {
        self.woken.notified().await;
    }

    /// Something arrived for a subscription.
    pub(super) fn put(&self, key: SubscriptionKey) {
        let mut arrived = self.arrived.lock();
        arrived.push(key);
        // It is awake, or about to be.
        if arrived.len() == 1 {
            drop(arrived);
            self.woken.notify_one();
        }
    }
}

/// Watches one subscription's queue.
#[derive(Debug)]
pub(super) struct Watch {
    mailbox: Arc<Mailbox>,
    key: SubscriptionKey,
}

impl Watch {
    pub(super) fn new(mailbox: &Arc<Mailbox>, key: SubscriptionKey) -> Arc<Self> {
        Arc::new(Self { mailbox: Arc::clone(mailbox), key })
    }

    pub(super) fn weak(self: &Arc<Self>) -> Weak<dyn Watcher> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }
}

impl Watcher for Watch {
    fn arrived(&self, _: &Arc<Queue>) {
        self.mailbox.put(self.key);
    }
}
