//! Order locks: which client may consume a queue in order. One holder a queue and group, for as long as it renews.

use std::collections::HashMap;

use ferromq_model::{Millis, QueueId, Timestamp};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// A lock that was not renewed for this long can be taken over (RocketMQ's value; clients renew every 20 s).
pub const LOCK_TIMEOUT: Millis = Millis::secs(60);
/// Queues that one request may name.
pub const MAX_QUEUES_A_REQUEST: usize = 65_536;
/// Locks that a broker keeps; more are not given.
pub const MAX_LOCKS: usize = 1 << 20;
/// Longest text that a lock keeps: a group, a client's id, a broker, a topic.
pub const MAX_TEXT_LEN: usize = 1024;

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

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<String, ByQueue, RandomState>,
    /// Locks in `groups`.
    count: usize,
}

/// Order locks of a broker. They live in memory: after a restart every client asks again.
#[derive(Debug, Default)]
pub struct OrderLocks {
    table: Mutex<Table>,
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
        let fits = |text: &str| text.len() <= MAX_TEXT_LEN;
        if !fits(group) || !fits(client) || queues.is_empty() {
            return Vec::new();
        }
        let mut table = self.table.lock();
        let Table { groups, count } = &mut *table;
        let held = groups.entry(group.to_owned()).or_default();
        let mut got = Vec::new();
        for queue in queues.into_iter().take(MAX_QUEUES_A_REQUEST) {
            match held.get_mut(&queue) {
                Some(holder) if holder.client == client => holder.renewed = now,
                Some(holder) if now.since(holder.renewed) > LOCK_TIMEOUT => {
                    *holder = Holder { client: client.to_owned(), renewed: now };
                }
                Some(_) => continue,
                None if *count >= MAX_LOCKS || !fits(&queue.broker) || !fits(&queue.topic) => continue,
                None => {
                    held.insert(queue.clone(), Holder { client: client.to_owned(), renewed: now });
                    *count += 1;
                }
            }
            got.push(queue);
        }
        got
    }

    /// Gives locks back; those of others stay.
    pub fn unlock(&self, group: &str, client: &str, queues: &[LockedQueue]) {
        let mut table = self.table.lock();
        let Table { groups, count } = &mut *table;
        if let Some(held) = groups.get_mut(group) {
            for queue in queues {
                if held.get(queue).is_some_and(|holder| holder.client == client) {
                    held.remove(queue);
                    *count -= 1;
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
        let table = self.table.lock();
        table
            .groups
            .get(group)
            .is_some_and(|held| held.values().any(|holder| now.since(holder.renewed) <= LOCK_TIMEOUT))
    }

    /// Forgets locks that expired.
    pub fn expire(&self, now: Timestamp) {
        let mut table = self.table.lock();
        for held in table.groups.values_mut() {
            held.retain(|_, holder| now.since(holder.renewed) <= LOCK_TIMEOUT);
        }
        table.groups.retain(|_, held| !held.is_empty());
        table.count = table.groups.values().map(HashMap::len).sum();
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
