//! `STICKY`: balanced, and nearly at rest when members come and go, without anybody remembering anything.
//!
//! Every pair of a queue and a member has a weight that depends on these two alone. The pairs are gone through from the
//! heaviest down: the pair's queue goes to the pair's member if it is still free and the member has room. Room is
//! `queues / members`, and one more for the first `queues % members` that come to need it.
//!
//! Whether a queue moves depends on weights that did not change: a new member takes what it is heaviest on, which is a
//! fair sample of all, and only who gained or lost room by it moves a little more. On average 1.3 to 1.8 times as many
//! queues move as must (64 queues: 10.5 where 7 must, from 8 to 9 members; `AVG` moves 28).
//!
//! The weights are part of what members agree on: they must never change.

use crate::queue::MessageQueue;

/// The last part of a client id whose client shares by [`Strategy::Sticky`](super::Strategy::Sticky).
pub const STICKY_SUFFIX: &str = "@STICKY";

/// Beyond this many queues times members, `STICKY` computes as `AVG`: each pair costs 16 bytes, and time to sort.
pub const MAX_STICKY_PAIRS: usize = 1 << 20;

/// Whether all members share this way. All of them come to the same answer.
pub(super) fn applies(queues: usize, members: &[&str]) -> bool {
    queues.saturating_mul(members.len()) <= MAX_STICKY_PAIRS
        && members.iter().all(|member| member.ends_with(STICKY_SUFFIX))
}

pub(super) fn part<'q>(queues: &[&'q MessageQueue], members: &[&str], index: usize) -> Vec<&'q MessageQueue> {
    let seeds: Vec<u64> = members.iter().map(|member| mix(fnv(FNV_START, member.as_bytes()))).collect();
    let mut pairs = Vec::with_capacity(queues.len() * members.len());
    for (at, queue) in queues.iter().enumerate() {
        let queue = hash(queue);
        pairs.extend(
            seeds.iter().enumerate().map(|(member, seed)| (mix(queue ^ seed), at as u32, member as u32)),
        );
    }
    pairs.sort_unstable_by(|a, b| b.cmp(a));

    let each = queues.len() / members.len();
    let mut more = queues.len() % members.len();
    let mut counts = vec![0; members.len()];
    let mut owners = vec![None; queues.len()];
    for (_, queue, member) in pairs {
        let (owner, count) = (&mut owners[queue as usize], &mut counts[member as usize]);
        if owner.is_some() || *count > each || (*count == each && more == 0) {
            continue;
        }
        more -= usize::from(*count == each);
        *count += 1;
        *owner = Some(member as usize);
    }
    queues.iter().zip(owners).filter(|(_, owner)| *owner == Some(index)).map(|(queue, _)| *queue).collect()
}

fn hash(queue: &MessageQueue) -> u64 {
    let topic = fnv(FNV_START, queue.topic.as_str().as_bytes());
    // No name holds a zero byte, so that it ends one.
    let broker = fnv(fnv(topic, &[0]), queue.broker.as_bytes());
    mix(fnv(fnv(broker, &[0]), &queue.id.0.to_be_bytes()))
}

const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The finalizer of SplitMix64: each bit of the result depends on all bits of `x`.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
