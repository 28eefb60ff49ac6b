//! Groups of shared subscriptions: one position for all members, each message to one of them.
//!
//! ```text
//! light queue of the filter:  .. done .. | lent | lent | returned | next ▶ ..
//!                                           │      │
//!                                     member a   member b, as far as their windows go
//! ```
//! Always true:
//! * a message is lent to one member at a time, and goes to another only when the session of the first has ended before it
//!   said that it has it, and not at all if that was of QoS 2;
//! * an arrival wakes one member; it passes on to the next what it cannot take;
//! * a group lives as long as the session of one of its members.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use ferromq_broker::fanout::FilterQueue;
use ferromq_model::QueueOffset;
use ferromq_mqtt::Text;
use ferromq_store::{Queue, Watcher};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::mailbox::{Mailbox, SubscriptionKey};
use super::state::{Change, SharedGroup};

/// All groups, by their whole filters.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Mutex<HashMap<Arc<str>, Arc<Group>, RandomState>>,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    /// `$share/…`.
    text: Arc<str>,
    queue: Arc<FilterQueue>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The next message that no member had.
    next: QueueOffset,
    /// Below it, those that a member gave back.
    returned: BTreeSet<QueueOffset>,
    /// Below it, those that members have whose windows are not kept: after a crash they count as given back.
    lent: BTreeSet<QueueOffset>,
    /// Members that are connected, in the order of their turns.
    present: Vec<Member>,
    turn: usize,
    /// Subscriptions, of sessions with and without a connection.
    users: u32,
    /// Of those, how many outlive their connections: without one nothing is kept.
    lasting: u32,
    /// Whether the queue tells of the next arrival.
    watches: bool,
    /// How many members passed what is there on, since one took something or more came.
    passes: usize,
}

#[derive(Debug)]
struct Member {
    client: Text,
    mailbox: Weak<Mailbox>,
    key: SubscriptionKey,
}

impl Groups {
    /// Adds a subscription of a session, which outlives its connection or not.
    pub(super) fn enter(&self, text: &Arc<str>, queue: &Arc<FilterQueue>, lasts: bool) -> Arc<Group> {
        let mut all = self.all.lock();
        let group = all.entry(Arc::clone(text)).or_insert_with(|| {
            Arc::new(Group {
                text: Arc::clone(text),
                queue: Arc::clone(queue),
                inner: Mutex::new(Inner {
                    next: queue.queue().next(),
                    returned: BTreeSet::new(),
                    lent: BTreeSet::new(),
                    present: Vec::new(),
                    turn: 0,
                    users: 0,
                    lasting: 0,
                    watches: false,
                    passes: 0,
                }),
            })
        });
        let mut inner = group.inner.lock();
        inner.users += 1;
        inner.lasting += u32::from(lasts);
        drop(inner);
        Arc::clone(group)
    }

    /// Takes one away again, and with the last the group.
    pub(super) fn leave(&self, group: &Group, lasts: bool) -> Change {
        let mut all = self.all.lock();
        let mut inner = group.inner.lock();
        inner.users -= 1;
        inner.lasting -= u32::from(lasts);
        if inner.users == 0 {
            all.remove(&group.text);
        }
        Change::Group { filter: Arc::clone(&group.text), group: inner.kept() }
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.all.lock().keys().cloned().collect()
    }

    pub(super) fn find(&self, text: &str) -> Option<Arc<Group>> {
        self.all.lock().get(text).cloned()
    }
}

impl Inner {
    fn kept(&self) -> Option<SharedGroup> {
        (self.lasting > 0).then(|| SharedGroup {
            next: self.next,
            returned: self.returned.union(&self.lent).copied().collect(),
        })
    }

    /// The member whose turn it is.
    fn wake_next(&mut self) {
        for _ in 0..self.present.len() {
            self.turn = (self.turn + 1) % self.present.len();
            let Member { mailbox, key, .. } = &self.present[self.turn];
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.put(*key);
                return;
            }
        }
    }
}

impl Group {
    /// Goes on where the group stood before a restart.
    pub(super) fn resume(&self, kept: SharedGroup) {
        let mut inner = self.inner.lock();
        // A power cut may have left the queue shorter.
        let end = self.queue.queue().next();
        inner.next = kept.next.min(end);
        inner.returned = kept.returned.into_iter().filter(|&at| at < end).collect();
    }

    /// A member's connection takes part from now on.
    pub(super) fn join(&self, mailbox: &Arc<Mailbox>, key: SubscriptionKey, client: &Text) {
        let member = Member { client: client.clone(), mailbox: Arc::downgrade(mailbox), key };
        self.inner.lock().present.push(member);
    }

    /// It does no longer. What it was woken for goes to another.
    pub(super) fn part(&self, mailbox: &Arc<Mailbox>) {
        let mut inner = self.inner.lock();
        let it = Arc::downgrade(mailbox);
        inner.present.retain(|member| !member.mailbox.ptr_eq(&it));
        inner.wake_next();
    }

    /// Takes messages that lie one behind the other, at most `most` and no more than a member's share: the first and how
    /// many.
    pub(super) fn take(&self, most: usize) -> Option<(QueueOffset, usize)> {
        let mut inner = self.inner.lock();
        let taken = if let Some(at) = inner.returned.pop_first() {
            (at, 1)
        } else {
            let there = self.queue.queue().max().0.saturating_sub(inner.next.0) as usize;
            let share = there.div_ceil(inner.present.len().max(1)).min(most);
            if share == 0 {
                return None;
            }
            let at = inner.next;
            inner.next = at.plus(share as u64);
            (at, share)
        };
        inner.passes = 0;
        if !inner.returned.is_empty() || self.queue.queue().max() > inner.next {
            inner.wake_next();
        }
        Some(taken)
    }

    /// Whether there is something to take; if not, a member is woken once there is.
    pub(super) fn has_more(self: &Arc<Self>) -> bool {
        let mut inner = self.inner.lock();
        if !inner.returned.is_empty() || self.queue.queue().max() > inner.next {
            return true;
        }
        if inner.watches {
            return false;
        }
        let this: Weak<Self> = Arc::downgrade(self);
        inner.watches = self.queue.queue().watch(inner.next, this);
        !inner.watches
    }

    /// A member that cannot take anything passes its turn on. When all have, each looks again once it can.
    pub(super) fn pass(&self) {
        let mut inner = self.inner.lock();
        if inner.passes < inner.present.len() {
            inner.passes += 1;
            inner.wake_next();
        }
    }

    /// A member has messages of which a crash would know nothing.
    pub(super) fn lend(&self, at: QueueOffset) {
        self.inner.lock().lent.insert(at);
    }

    /// Such a message arrived, or is not to be sent again.
    pub(super) fn done(&self, at: QueueOffset) {
        self.inner.lock().lent.remove(&at);
    }

    /// A member did not acknowledge a message and never will.
    pub(super) fn give_back(&self, at: QueueOffset) {
        let mut inner = self.inner.lock();
        inner.lent.remove(&at);
        inner.returned.insert(at);
        inner.wake_next();
    }

    /// Clients whose connections take part, in the order of their names, and how many sessions have none.
    pub(super) fn members(&self) -> (Vec<Text>, usize) {
        let inner = self.inner.lock();
        let mut clients: Vec<_> = inner.present.iter().map(|member| member.client.clone()).collect();
        let away = (inner.users as usize).saturating_sub(clients.len());
        clients.sort_unstable();
        (clients, away)
    }

    /// How many messages no member has.
    pub(super) fn waiting(&self) -> u64 {
        let inner = self.inner.lock();
        let queue = self.queue.queue();
        queue.max().0.saturating_sub(inner.next.max(queue.min()).0) + inner.returned.len() as u64
    }

    /// What is to be kept of it now, if anything is.
    pub(super) fn change(&self) -> Option<Change> {
        let group = self.inner.lock().kept()?;
        Some(Change::Group { filter: Arc::clone(&self.text), group: Some(group) })
    }
}

impl Watcher for Group {
    fn arrived(&self, _: &Arc<Queue>) {
        let mut inner = self.inner.lock();
        inner.watches = false;
        inner.passes = 0;
        inner.wake_next();
    }
}
