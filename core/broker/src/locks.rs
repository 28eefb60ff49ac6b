//! Order locks: which client may consume a queue in order. One holder a queue and group, for as long as it renews.

use std::collections::HashMap;

use ferromq_model::{Millis, QueueId, Timestamp};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// A lock that was not renewed for this long can be taken over (RocketMQ's value; clients renew every 20 s).
pub const LOCK_TIMEOUT: Millis = Millis::secs(60);
/// Queues that one request may name.
pub const MAX_QUEUES_A_REQUEST: usize = 65_536;
/// Locks that one group may hold.
const MAX_LOCKS_A_GROUP: usize = 1 << 20;

/// A queue as clients name it. All three parts are echoed as they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockedQueue {
    /// The broker's name as the client knows it.
    pub broker: String,
    /// The topic.
    pub topic: String,
    /// The queue id.
    pub queue: QueueId,
}

#[derive(Debug)]
struct Holder {
    client: String,
    renewed: Timestamp,
}

type ByQueue = HashMap<LockedQueue, Holder, RandomState>;

/// Order locks of a broker. They live in memory: after a restart every client asks again.
#[derive(Debug, Default)]
pub struct OrderLocks {
    groups: Mutex<HashMap<String, ByQueue, RandomState>>,
}

impl OrderLocks {
    /// Takes or renews the locks that `client` can have; returns those.
    pub fn lock(
        &self,
        group: &str,
        client: &str,
        queues: Vec<LockedQueue>,
        now: Timestamp,
    ) -> Vec<LockedQueue> {
        let mut groups = self.groups.lock();
        let held = groups.entry(group.to_owned()).or_default();
        let mut got = Vec::new();
        for queue in queues.into_iter().take(MAX_QUEUES_A_REQUEST) {
            let free =
                held.get(&queue).is_none_or(|h| h.client == client || now.since(h.renewed) > LOCK_TIMEOUT);
            if free && (held.len() < MAX_LOCKS_A_GROUP || held.contains_key(&queue)) {
                held.insert(queue.clone(), Holder { client: client.to_owned(), renewed: now });
                got.push(queue);
            }
        }
        got
    }

    /// Gives locks back; those of others stay.
    pub fn unlock(&self, group: &str, client: &str, queues: &[LockedQueue]) {
        let mut groups = self.groups.lock();
        if let Some(held) = groups.get_mut(group) {
            for queue in queues {
                if held.get(queue).is_some_and(|holder| holder.client == client) {
                    held.remove(queue);
                }
            }
            if held.is_empty() {
                groups.remove(group);
            }
        }
    }

    /// Whether anyone in `group` holds a lock that has not expired.
    #[must_use]
    pub fn any_held(&self, group: &str, now: Timestamp) -> bool {
        let groups = self.groups.lock();
        groups
            .get(group)
            .is_some_and(|held| held.values().any(|holder| now.since(holder.renewed) <= LOCK_TIMEOUT))
    }

    /// Forgets locks that expired.
    pub fn expire(&self, now: Timestamp) {
        let mut groups = self.groups.lock();
        for held in groups.values_mut() {
            held.retain(|_, holder| now.since(holder.renewed) <= LOCK_TIMEOUT);
        }
        groups.retain(|_, held| !held.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_until_it_is_given_back_or_expires() {
        let locks = OrderLocks::default();
        let queue = LockedQueue { broker: "b".into(), topic: "T".into(), queue: QueueId(0) };
        let ask = |client: &str, now| locks.lock("G", client, vec![queue.clone()], Timestamp(now)).len();
        assert_eq!((ask("a", 0), ask("b", 1), ask("a", 50_000), ask("b", 100_000)), (1, 0, 1, 0));
        assert_eq!(ask("b", 110_001), 1, "60 s after the last renewal");
        locks.unlock("G", "a", std::slice::from_ref(&queue));
        assert!(locks.any_held("G", Timestamp(110_002)), "only the holder gives it back");
        locks.unlock("G", "b", std::slice::from_ref(&queue));
        assert!(!locks.any_held("G", Timestamp(110_002)));
    }
}
