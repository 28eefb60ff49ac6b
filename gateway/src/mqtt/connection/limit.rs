//! How much may wait for one client: `mqttMaxQueuedMessages`.
//!
//! What waits lies in the queues of its filters, whether anybody reads it or not. So dropping the oldest of it is moving a
//! position forward, and a session without a connection is looked at when its client comes back.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::mqtt::figures::Drop;
use crate::mqtt::mailbox::SubscriptionKey;
use crate::mqtt::state::Change;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Drops the oldest of what waits and may not. Says how many messages it were.
    pub(super) fn limit_queue(&mut self) -> u64 {
        let most = u64::from(self.server.config().max_queued);
        // A subscription that is at its end is not among those that are ready.
        let ready = &self.session.subscriptions.ready;
        if most == 0 || ready.is_empty() {
            return 0;
        }
        let mut keys: Vec<SubscriptionKey> = ready.iter().copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let waiting = |key: &SubscriptionKey| {
            let subscription = self.session.subscriptions.get(*key)?;
            subscription.group.is_none().then(|| (*key, subscription.waiting()))
        };
        let waiting: Vec<(SubscriptionKey, u64)> = keys.iter().filter_map(waiting).collect();
        let longest = longest_kept(waiting.iter().map(|(_, count)| *count).collect(), most);
        let mut dropped = 0;
        let mut changes = Vec::new();
        for (key, count) in waiting {
            let excess = count.saturating_sub(longest);
            let Some(subscription) = self.session.subscriptions.get_mut(key).filter(|_| excess > 0) else {
                continue;
            };
            // Where the queue begins by now may be further than where the session stood.
            subscription.next = subscription.next.max(subscription.queue.queue().min()).plus(excess);
            // Another one that matches them, too, is to send them.
            subscription.since = subscription.next;
            dropped += excess;
            changes.push(Change::Subscription {
                session: self.session.number,
                filter: Arc::clone(&subscription.text),
                subscription: subscription.kept(),
            });
        }
        if dropped > 0 {
            self.drop(Drop::QueueFull, dropped);
            self.server.state().later(changes);
        }
        dropped
    }

    /// Counts messages that are not sent.
    pub(super) fn drop(&mut self, why: Drop, count: u64) {
        self.dropped += count;
        self.server.counters.drop(why, count);
    }
}

/// The length to cut queues to so that together they have no more than `most`: the longest are cut first.
fn longest_kept(mut lengths: Vec<u64>, most: u64) -> u64 {
    lengths.sort_unstable();
    let mut left = most;
    for (i, length) in lengths.iter().enumerate() {
        let share = left / (lengths.len() - i) as u64;
        if *length > share {
            return share;
        }
        left -= length;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_queues_are_cut_and_none_when_all_have_room() {
        assert_eq!(longest_kept(vec![3, 4], 7), u64::MAX);
        assert_eq!(longest_kept(vec![100, 2, 50], 12), 5);
        assert_eq!(longest_kept(vec![9, 9, 9], 2), 0);
        assert_eq!(longest_kept(vec![], 2), u64::MAX);
    }
}
