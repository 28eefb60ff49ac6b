//! Popping in order: a queue whose messages are handed out gives out no others before they are done or visible again,
//! except to the attempt that has them, which may ask again after its connection broke.
//!
//! There are no check points: the group's position in the queue stays at the first message that is not done.

use std::collections::BTreeMap;

use ferromq_model::{Millis, QueueOffset, Timestamp};
use serde::{Deserialize, Serialize};

/// Messages of one queue that were popped in order, in the shape of `consumerOrderInfo.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OrderInfo {
    /// Who has them.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<String>,
    /// Which are done, one bit each.
    #[serde(rename = "cm")]
    done: i64,
    /// How long they are invisible, in milliseconds.
    #[serde(rename = "i")]
    invisible: i64,
    /// When messages were last popped.
    #[serde(rename = "l")]
    last: i64,
    /// The first offset, and how far behind it the others are.
    #[serde(rename = "o")]
    offsets: Vec<u64>,
    /// How often a message was handed out before, where it was.
    #[serde(rename = "oc")]
    counts: BTreeMap<u64, u32>,
    /// When a message is visible again whose time was changed.
    #[serde(rename = "ot", skip_serializing_if = "BTreeMap::is_empty")]
    visible: BTreeMap<u64, i64>,
    /// When they were popped.
    #[serde(rename = "popTime")]
    popped: i64,
}

/// How often the messages of an answer were handed out before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// Those that were.
    pub counted: Vec<(QueueOffset, u32)>,
    /// The least of all.
    pub least: u32,
}

/// What an acknowledgement of a message popped in order comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// The group goes on there.
    To(QueueOffset),
    /// Nothing: the message was popped again since.
    Stale,
    /// The message is none of those handed out.
    Unknown,
}

impl OrderInfo {
    /// Notes that `offsets` are handed out, after `before`.
    pub(super) fn handed_out(
        before: Option<&Self>,
        attempt: Option<&str>,
        offsets: &[QueueOffset],
        now: Timestamp,
        invisible: Millis,
    ) -> Self {
        let first = offsets.first().map_or(0, |first| first.0);
        let known: Vec<_> = before.map(|before| before.all().collect()).unwrap_or_default();
        let count_of = |offset: &QueueOffset| {
            let again = known.contains(offset);
            again.then(|| before.and_then(|b| b.counts.get(&offset.0)).copied().unwrap_or(0) + 1)
        };
        Self {
            attempt: attempt.map(str::to_owned),
            done: 0,
            invisible: invisible.0 as i64,
            last: now.0,
            offsets: offsets
                .iter()
                .enumerate()
                .map(|(n, o)| if n == 0 { o.0 } else { o.0 - first })
                .collect(),
            counts: offsets.iter().filter_map(|offset| Some((offset.0, count_of(offset)?))).collect(),
            visible: BTreeMap::new(),
            popped: now.0,
        }
    }

    /// How often each was handed out before.
    pub(super) fn order_counts(&self) -> OrderCounts {
        let counted: Vec<_> = self.counts.iter().map(|(&at, &count)| (QueueOffset(at), count)).collect();
        let all = counted.len() == self.offsets.len();
        let least = counted.iter().map(|&(_, count)| count).min().filter(|_| all).unwrap_or(0);
        OrderCounts { counted, least }
    }

    fn all(&self) -> impl Iterator<Item = QueueOffset> {
        let first = self.offsets.first().copied().unwrap_or(0);
        let offsets = self.offsets.iter().enumerate();
        offsets
            .map(move |(n, &offset)| QueueOffset(if n == 0 { first } else { first.saturating_add(offset) }))
    }

    fn open(&self) -> impl Iterator<Item = QueueOffset> {
        self.all().enumerate().filter(|(n, _)| self.done & (1i64 << (n % 64)) == 0).map(|(_, offset)| offset)
    }

    /// When the queue gives out messages again for others: `None` if it does now.
    pub(super) fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let usual = self.popped.saturating_add(self.invisible);
        let visible = self.open().map(|offset| self.visible.get(&offset.0).copied().unwrap_or(usual));
        visible.max().map(Timestamp).filter(|&until| until > now)
    }

    /// Whether `attempt` may have the same messages again.
    pub(super) fn is_of(&self, attempt: Option<&str>) -> bool {
        attempt.is_some() && self.attempt.as_deref() == attempt
    }

    /// Notes that a message is done.
    pub(super) fn ack(&mut self, offset: QueueOffset, popped: Timestamp) -> Advance {
        if popped.0 != self.popped {
            return Advance::Stale;
        }
        let Some(n) = self.all().position(|known| known == offset) else { return Advance::Unknown };
        self.done |= 1i64 << (n % 64);
        let behind = || self.all().last().map_or(offset, |last| last).plus(1);
        Advance::To(self.open().next().unwrap_or_else(behind))
    }

    /// Changes when a message is visible again. No if it is none of those handed out.
    pub(super) fn set_visible(&mut self, offset: QueueOffset, popped: Timestamp, at: Timestamp) -> bool {
        let known = popped.0 == self.popped && self.all().any(|known| known == offset);
        if known {
            self.visible.insert(offset.0, at.0);
        }
        known
    }

    /// Whether nothing was popped for so long that it says nothing any more.
    pub(super) fn is_outdated(&self, now: Timestamp) -> bool {
        now.since(Timestamp(self.last)) > Millis::hours(24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(list: &[u64]) -> Vec<QueueOffset> {
        list.iter().map(|&offset| QueueOffset(offset)).collect()
    }

    #[test]
    fn a_queue_is_blocked_until_all_is_done_or_visible_again() {
        let mut info =
            OrderInfo::handed_out(None, Some("a"), &offsets(&[10, 11, 13]), Timestamp(1000), Millis(500));
        assert_eq!(info.blocked_until(Timestamp(1499)), Some(Timestamp(1500)));
        assert_eq!(info.blocked_until(Timestamp(1500)), None);
        assert!(info.is_of(Some("a")) && !info.is_of(Some("b")) && !info.is_of(None));
        assert_eq!(info.ack(QueueOffset(11), Timestamp(1000)), Advance::To(QueueOffset(10)));
        assert_eq!(info.ack(QueueOffset(12), Timestamp(1000)), Advance::Unknown);
        assert_eq!(info.ack(QueueOffset(10), Timestamp(999)), Advance::Stale);
        assert!(info.set_visible(QueueOffset(13), Timestamp(1000), Timestamp(9000)));
        assert_eq!(info.ack(QueueOffset(10), Timestamp(1000)), Advance::To(QueueOffset(13)));
        assert_eq!(info.blocked_until(Timestamp(2000)), Some(Timestamp(9000)));
        assert_eq!(info.ack(QueueOffset(13), Timestamp(1000)), Advance::To(QueueOffset(14)));
        assert_eq!(info.blocked_until(Timestamp(0)), None);
    }

    #[test]
    fn messages_handed_out_again_are_counted() {
        let first = OrderInfo::handed_out(None, None, &offsets(&[1, 2]), Timestamp(0), Millis(1));
        assert_eq!(first.order_counts(), OrderCounts::default());
        let again = OrderInfo::handed_out(Some(&first), None, &offsets(&[1, 2]), Timestamp(0), Millis(1));
        assert_eq!(again.order_counts().least, 1);
        let third = OrderInfo::handed_out(Some(&again), None, &offsets(&[2, 3]), Timestamp(0), Millis(1));
        let counts = OrderCounts { counted: vec![(QueueOffset(2), 2)], least: 0 };
        assert_eq!(third.order_counts(), counts);
    }

    #[test]
    fn the_reference_brokers_file_is_read() {
        let text = r#"{"a":"attemptId","cm":3,"i":60000,"l":1700000000000,"o":[10,1,2],"oc":{"10":1},"ot":{"10":1700000060000},"popTime":1700000000000}"#;
        let info: OrderInfo = serde_json::from_str(text).unwrap();
        assert_eq!(info.open().collect::<Vec<_>>(), offsets(&[12]));
        assert_eq!(serde_json::to_string(&info).unwrap(), text);
    }
}
