//! `CONSISTENT_HASH`: the ring of official clients, to the bit.
//!
//! A place on the ring is the first four bytes of an MD5: of `<member>-<n>` for the members, of Java's text form of a
//! queue for the queues. A queue belongs to the member at its place or the next one after it.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::queue::MessageQueue;

/// Places of each member on the ring, in official clients.
pub const DEFAULT_VIRTUAL_NODES: u32 = 10;

pub(super) fn part<'q>(
    queues: &[&'q MessageQueue],
    members: &[&str],
    index: usize,
    virtual_nodes: u32,
) -> Vec<&'q MessageQueue> {
    // Of two members at one place, the later one has it: official clients put them into a map in this order.
    let ring: BTreeMap<u32, usize> = members
        .iter()
        .enumerate()
        .flat_map(|(at, member)| (0..virtual_nodes).map(move |n| (place(&format!("{member}-{n}")), at)))
        .collect();
    let owner = |queue: &MessageQueue| {
        let MessageQueue { topic, broker, id } = queue;
        let from = place(&format!("MessageQueue [topic={topic}, brokerName={broker}, queueId={id}]"));
        ring.range(from..).next().or_else(|| ring.first_key_value()).map(|(_, &at)| at)
    };
    queues.iter().filter(|queue| owner(queue) == Some(index)).copied().collect()
}

fn place(text: &str) -> u32 {
    let digest: [u8; 16] = Md5::digest(text).into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
