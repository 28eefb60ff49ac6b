//! Dealing the queues of a topic out to the members of a group.
//!
//! Both lists are sorted, and the same for every member: so are the shares, and without popping they do not overlap.
//! Source: RocketMQ's `AllocateMessageQueueAveragely`, `AllocateMessageQueueAveragelyByCircle`, `QueryAssignmentProcessor`.

use std::ops::Range;

use super::Assigned;

/// How queues are dealt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Each member gets neighbours (`AVG`).
    Average,
    /// Each member gets one in turn (`AVG_BY_CIRCLE`).
    Circle,
}

impl Strategy {
    /// The strategy of this name, which the reference gives.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "AVG" => Some(Self::Average),
            "AVG_BY_CIRCLE" => Some(Self::Circle),
            _ => None,
        }
    }

    /// What `client` gets of `queues` for itself; nothing if it is no member.
    pub(super) fn share(self, queues: &[Assigned], members: &[String], client: &str) -> Vec<Assigned> {
        match place(members, client) {
            Some(place) => self.of_place(queues, members.len(), place).cloned().collect(),
            None => Vec::new(),
        }
    }

    /// What `client` may pop of `queues`, with the `others` members behind it.
    pub(super) fn shared(
        self,
        queues: &[Assigned],
        members: &[String],
        client: &str,
        others: i32,
    ) -> Vec<Assigned> {
        let others = usize::try_from(others).unwrap_or_default();
        if others == 0 || others >= members.len() - 1 {
            let mut brokers: Vec<_> = queues.iter().map(|queue| &queue.broker).collect();
            brokers.dedup();
            return brokers
                .into_iter()
                .map(|broker| Assigned { broker: broker.clone(), queue: None })
                .collect();
        }
        let Some(place) = place(members, client) else { return Vec::new() };
        if members.len() > queues.len() {
            // Nobody goes without: several members pop the same queue.
            return queues.get(place % queues.len().max(1)).cloned().into_iter().collect();
        }
        let mut share: Vec<_> = (place..=place + others)
            .flat_map(|place| self.of_place(queues, members.len(), place % members.len()))
            .cloned()
            .collect();
        share.sort();
        share
    }

    /// What the member at `place` of `members` gets.
    fn of_place(self, queues: &[Assigned], members: usize, place: usize) -> impl Iterator<Item = &Assigned> {
        let (range, step) = match self {
            Self::Average => (neighbours(queues.len(), members, place), 1),
            Self::Circle => (place.min(queues.len())..queues.len(), members),
        };
        queues[range].iter().step_by(step)
    }
}

fn place(members: &[String], client: &str) -> Option<usize> {
    members.iter().position(|member| member == client)
}

/// The first members get one more where it does not come out even.
fn neighbours(queues: usize, members: usize, place: usize) -> Range<usize> {
    let (each, more) = (queues / members, queues % members);
    let start = place * each + place.min(more);
    start..start + each + usize::from(place < more)
}

#[cfg(test)]
mod tests {
    use ferromq_model::QueueId;
    use proptest::prelude::{Just, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn queues(count: u32) -> Vec<Assigned> {
        (0..count).map(|id| Assigned { broker: "a".into(), queue: Some(QueueId(id)) }).collect()
    }

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:03}")).collect()
    }

    fn ids(share: &[Assigned]) -> Vec<u32> {
        share.iter().map(|assigned| assigned.queue.unwrap().0).collect()
    }

    #[test]
    fn shares_are_those_that_clients_compute() {
        let three = members(3);
        let of = |strategy: Strategy, client| ids(&strategy.share(&queues(8), &three, client));
        assert_eq!(of(Strategy::Average, "000"), [0, 1, 2]);
        assert_eq!(of(Strategy::Average, "001"), [3, 4, 5]);
        assert_eq!(of(Strategy::Average, "002"), [6, 7]);
        assert_eq!(of(Strategy::Circle, "000"), [0, 3, 6]);
        assert_eq!(of(Strategy::Circle, "002"), [2, 5]);
        assert_eq!(of(Strategy::Average, "nobody"), [0u32; 0]);
    }

    #[test]
    fn members_that_pop_share_with_those_behind_them() {
        let four = members(4);
        let of = |count, client, others| Strategy::Average.shared(&queues(count), &four, client, others);
        assert_eq!(ids(&of(8, "000", 1)), [0, 1, 2, 3]);
        assert_eq!(ids(&of(8, "003", 1)), [0, 1, 6, 7]);
        assert_eq!(ids(&of(3, "003", 1)), [0], "nobody goes without");
        assert!(of(0, "003", 1).is_empty());
        let any = [Assigned { broker: "a".into(), queue: None }];
        for everybody in [-1, 0, 3, 4] {
            assert_eq!(of(8, "001", everybody), any, "{everybody}");
        }
    }

    proptest! {
        #[test]
        fn every_queue_goes_to_exactly_one_member(
            count in 0u32..200,
            size in 1usize..50,
            strategy in prop_oneof![Just(Strategy::Average), Just(Strategy::Circle)],
        ) {
            let (queues, members) = (queues(count), members(size));
            let shares: Vec<_> =
                members.iter().map(|client| strategy.share(&queues, &members, client)).collect();
            let sizes = shares.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            let mut all = shares.concat();
            all.sort();
            prop_assert_eq!(all, queues);
        }
    }
}
