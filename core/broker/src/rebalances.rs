//! Who joined and left consumer groups lately: the last changes, in memory only.

use std::collections::VecDeque;

use ferromq_model::Timestamp;
use parking_lot::Mutex;

/// Changes that are kept of all groups together.
const MAX_KEPT: usize = 2048;
/// Changes that are kept of one group, so that one whose members come and go does not displace all others.
const MAX_PER_GROUP: usize = 64;
/// Members that one change names at most.
pub const MAX_NAMED: usize = 256;

/// One change of a group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// When it was.
    pub at: Timestamp,
    /// Ids of its members since, at most [`MAX_NAMED`].
    pub members: Vec<String>,
    /// Who joined, at most [`MAX_NAMED`].
    pub joined: Vec<String>,
    /// Who left, at most [`MAX_NAMED`].
    pub left: Vec<String>,
}

/// The last changes of all groups.
#[derive(Debug, Default)]
pub(crate) struct Rebalances {
    /// The group and its change, oldest first.
    kept: Mutex<VecDeque<(String, Rebalance)>>,
}

impl Rebalances {
    pub(crate) fn note(&self, group: &str, change: Rebalance) {
        let mut kept = self.kept.lock();
        let mut of_group = kept.iter().enumerate().filter(|(_, (of, _))| of == group).map(|(index, _)| index);
        let oldest = of_group.next();
        let gone = if 1 + of_group.count() >= MAX_PER_GROUP { oldest } else { None };
        match gone {
            Some(index) => drop(kept.remove(index)),
            None if kept.len() >= MAX_KEPT => drop(kept.pop_front()),
            None => {}
        }
        kept.push_back((group.to_owned(), change));
    }

    /// Those of a group, newest first.
    pub(crate) fn of(&self, group: &str) -> Vec<Rebalance> {
        let kept = self.kept.lock();
        kept.iter().rev().filter(|(of, _)| of == group).map(|(_, change)| change.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_never_rests_does_not_displace_the_others() {
        let rebalances = Rebalances::default();
        let change = |at| Rebalance { at: Timestamp(at), members: vec![], joined: vec![], left: vec![] };
        rebalances.note("calm", change(0));
        for at in 1..=5_000 {
            rebalances.note("restless", change(at));
        }
        assert_eq!(rebalances.of("calm").len(), 1);
        let restless = rebalances.of("restless");
        assert_eq!((restless.len(), restless[0].at), (MAX_PER_GROUP, Timestamp(5_000)));
    }
}
