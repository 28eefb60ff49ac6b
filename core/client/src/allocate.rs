//! Who of a group consumes which queues of a topic: every member computes it by itself, from the same two sorted lists.
//!
//! ```text
//! queues  a:0 a:1 a:2 b:0 b:1     members  10.0.0.1@x  10.0.0.2@y
//! AVG            ├── first ──┤├ second ┤      the answer of each member is its own part
//! ```
//! Always true, for every member of a group that computes with the same [`Strategy`] and the same lists:
//! * the parts do not overlap, and together they are all queues ([`Strategy::MachineRoom`] and [`Strategy::Fixed`]
//!   leave out what they were told to leave out);
//! * the result depends on the arguments alone: not on time, not on what a member had before.
//!
//! Members that see different lists for a moment may both take a queue, or none: the next rebalance mends that.
//! What official clients compute is reproduced to the queue, since groups may be mixed.

mod ring;
mod sticky;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::queue::MessageQueue;

pub use ring::DEFAULT_VIRTUAL_NODES;
pub use sticky::{MAX_STICKY_PAIRS, STICKY_SUFFIX};

/// How the queues of a topic are shared among the members of a group. All members must use the same.
#[derive(Clone, Debug, Default)]
pub enum Strategy {
    /// `STICKY`, the default: counts that differ by one at most, and few queues move when a member comes or goes.
    ///
    /// It is right only if all members use it, which each says by the suffix [`STICKY_SUFFIX`] of its client id. As long
    /// as one lacks it (an official client, most likely), this computes as [`Strategy::Average`], their default.
    #[default]
    Sticky,
    /// `AVG`, the default of official clients: each member takes a run of neighbours, the first ones one more.
    Average,
    /// `AVG_BY_CIRCLE`: queues are dealt out one by one.
    AverageByCircle,
    /// `CONSISTENT_HASH`: a queue belongs to the next member on a ring of hashes. Few queues move; counts may differ
    /// much.
    ConsistentHash {
        /// Places of each member on the ring; official clients use [`DEFAULT_VIRTUAL_NODES`]. With 0, nobody gets any.
        virtual_nodes: u32,
    },
    /// `MACHINE_ROOM`: shares out only queues of brokers that are named `room@broker` with one of these rooms.
    MachineRoom(Arc<[Box<str>]>),
    /// `MACHINE_ROOM_NEARBY-…`: queues of a room with members in it are shared by these with the inner strategy, all
    /// others by all members.
    MachineRoomNearby {
        /// How the queues of one room are shared.
        inner: Box<Self>,
        /// Who stands where.
        rooms: Arc<dyn Rooms>,
    },
    /// `CONFIG`: exactly these queues, whoever else is there. The operator sees to it that every queue has its member.
    ///
    /// A retry topic of which no queue is listed is shared as by [`Strategy::Average`]: its queues are not the
    /// operator's to know, and nobody else would consume them.
    Fixed(Arc<[MessageQueue]>),
}

/// Tells in which machine room brokers and members stand. All members of a group must be told the same.
pub trait Rooms: fmt::Debug + Send + Sync {
    /// The room of a queue's broker; without one, the queue is shared by all members.
    fn of_queue<'a>(&'a self, queue: &'a MessageQueue) -> Option<&'a str>;

    /// The room of the member with this client id; without one, it takes part only in what is shared by all.
    fn of_member<'a>(&'a self, member: &'a str) -> Option<&'a str>;
}

/// The text names no strategy that needs nothing but its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no allocation strategy {0:?}: there are STICKY, AVG, AVG_BY_CIRCLE and CONSISTENT_HASH")]
pub struct UnknownStrategy(pub String);

impl Strategy {
    /// The part of `own` among `queues`; empty if it is not among `members`.
    ///
    /// Both lists are sorted, and without repetitions: the answer to "who is in the group" comes in no order.
    #[must_use]
    pub fn allocate(
        &self,
        queues: &[MessageQueue],
        members: &[impl AsRef<str>],
        own: &str,
    ) -> Vec<MessageQueue> {
        let members: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
        let queues: Vec<&MessageQueue> = queues.iter().collect();
        debug_assert!(members.is_sorted() && queues.is_sorted(), "members would disagree");
        self.part(&queues, &members, own).into_iter().cloned().collect()
    }

    fn part<'q>(&self, queues: &[&'q MessageQueue], members: &[&str], own: &str) -> Vec<&'q MessageQueue> {
        let Some(index) = members.iter().position(|&member| member == own) else { return Vec::new() };
        match self {
            Self::Sticky if sticky::applies(queues.len(), members) => sticky::part(queues, members, index),
            Self::Sticky | Self::Average => average(queues, members.len(), index),
            Self::AverageByCircle => queues.iter().skip(index).step_by(members.len()).copied().collect(),
            Self::ConsistentHash { virtual_nodes } => ring::part(queues, members, index, *virtual_nodes),
            Self::MachineRoom(rooms) => {
                let of_room = |queue: &&&MessageQueue| {
                    broker_room(&queue.broker).is_some_and(|room| rooms.iter().any(|one| **one == *room))
                };
                machine_room(
                    &queues.iter().filter(of_room).copied().collect::<Vec<_>>(),
                    members.len(),
                    index,
                )
            }
            Self::MachineRoomNearby { inner, rooms } => nearby(inner, &**rooms, queues, members, own),
            Self::Fixed(fixed) => {
                let topic = queues.first().map(|queue| &queue.topic);
                let listed = fixed.iter().any(|one| Some(&one.topic) == topic);
                if !listed && topic.is_some_and(|topic| topic.retry_group().is_some()) {
                    return average(queues, members.len(), index);
                }
                queues.iter().filter(|queue| fixed.contains(queue)).copied().collect()
            }
        }
    }
}

impl fmt::Display for Strategy {
    /// The official name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sticky => "STICKY",
            Self::Average => "AVG",
            Self::AverageByCircle => "AVG_BY_CIRCLE",
            Self::ConsistentHash { .. } => "CONSISTENT_HASH",
            Self::MachineRoom(_) => "MACHINE_ROOM",
            Self::MachineRoomNearby { inner, .. } => return write!(f, "MACHINE_ROOM_NEARBY-{inner}"),
            Self::Fixed(_) => "CONFIG",
        })
    }
}

/// Reads the names of those that need nothing else.
impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Ok(match name {
            "STICKY" => Self::Sticky,
            "AVG" => Self::Average,
            "AVG_BY_CIRCLE" => Self::AverageByCircle,
            "CONSISTENT_HASH" => Self::ConsistentHash { virtual_nodes: DEFAULT_VIRTUAL_NODES },
            other => return Err(UnknownStrategy(other.to_owned())),
        })
    }
}

/// A run of neighbours for each; the first `queues % members` get one more.
fn average<'q>(queues: &[&'q MessageQueue], members: usize, index: usize) -> Vec<&'q MessageQueue> {
    let (each, more) = (queues.len() / members, queues.len() % members);
    let start = index * each + index.min(more);
    queues[start..start + each + usize::from(index < more)].to_vec()
}

/// A run of neighbours for each, all of the same length; then what is left over, one for each of the first.
fn machine_room<'q>(queues: &[&'q MessageQueue], members: usize, index: usize) -> Vec<&'q MessageQueue> {
    let each = queues.len() / members;
    let run = &queues[index * each..(index + 1) * each];
    run.iter().chain(queues.get(each * members + index)).copied().collect()
}

/// `room` of `room@broker`, as Java's `split("@")` with two parts, which sees no empty parts at the end.
fn broker_room(broker: &str) -> Option<&str> {
    let (room, name) = broker.trim_end_matches('@').split_once('@')?;
    (!name.contains('@')).then_some(room)
}

fn nearby<'q>(
    inner: &Strategy,
    rooms: &dyn Rooms,
    queues: &[&'q MessageQueue],
    members: &[&str],
    own: &str,
) -> Vec<&'q MessageQueue> {
    let in_room = |room| -> Vec<&'q MessageQueue> {
        queues.iter().filter(|queue| rooms.of_queue(queue) == room).copied().collect()
    };
    let mut part = Vec::new();
    if let Some(room) = rooms.of_member(own) {
        let neighbours: Vec<&str> =
            members.iter().filter(|member| rooms.of_member(member) == Some(room)).copied().collect();
        part = inner.part(&in_room(Some(room)), &neighbours, own);
    }
    let mut deserted: Vec<Option<&str>> = queues.iter().map(|queue| rooms.of_queue(queue)).collect();
    deserted.sort_unstable();
    deserted.dedup();
    deserted.retain(|room| room.is_none() || members.iter().all(|member| rooms.of_member(member) != *room));
    for room in deserted {
        part.extend(inner.part(&in_room(room), members, own));
    }
    part
}

#[cfg(test)]
mod tests;
