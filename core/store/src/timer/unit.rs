//! One unit of the timer log: a message that waits, and the unit before it in the same slot.
//!
//! ```text
//! 0 size = 52 4 | 4 unit before 8 | 12 kind 4 | 16 enqueued 8 | 24 slot - enqueued 4 | 28 physical offset 8
//! 36 record length 4 | 40 hash of the real topic 4 | 44 zero 8
//! ```
//! Source of the layout: RocketMQ's `TimerLog`, as of 5.3.

use ferromq_model::{PhysicalOffset, Timestamp};

/// Bytes of a unit.
pub(super) const UNIT_LEN: usize = 52;

/// A byte position in the timer log, counted across its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerPosition(pub u64);

/// What a unit is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitKind(pub u32);

impl UnitKind {
    /// A message.
    pub const MESSAGE: u32 = 1;
    /// It is due later than its slot: it is put back then.
    pub const ROLL: u32 = 2;
    /// It marks another message as taken back.
    pub const MARK: u32 = 4;

    /// What it adds to the number of messages that wait: a mark takes one of them away.
    #[must_use]
    pub const fn one(self) -> i64 {
        if self.0 & Self::MARK == 0 { 1 } else { -1 }
    }

    /// Whether the message is put back.
    #[must_use]
    pub const fn rolls(self) -> bool {
        self.0 & Self::ROLL != 0
    }

    /// Whether this is a mark, and those that it concerns are in this slot: one that rolls is a message to be put back
    /// like any other.
    #[must_use]
    pub const fn marks(self) -> bool {
        self.0 & Self::MARK != 0 && !self.rolls()
    }
}

/// A message in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The unit before it in its slot.
    pub before: Option<TimerPosition>,
    /// What it is there for.
    pub kind: UnitKind,
    /// When it was put into the slot, to the precision.
    pub enqueued: Timestamp,
    /// The slot.
    pub slot: Timestamp,
    /// Where the message's record starts.
    pub physical: PhysicalOffset,
    /// Bytes of that record.
    pub len: u32,
    /// Java's hash of the topic that the message is for.
    pub topic_hash: i32,
}

impl Unit {
    pub(super) fn encode(&self) -> [u8; UNIT_LEN] {
        let mut bytes = [0; UNIT_LEN];
        let before = self.before.map_or(-1, |at| at.0 as i64);
        bytes[0..4].copy_from_slice(&(UNIT_LEN as u32).to_be_bytes());
        bytes[4..12].copy_from_slice(&before.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.kind.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.enqueued.0.to_be_bytes());
        // As an int, like the reference: the wheel reaches no further than that.
        let delay = (self.slot.0 - self.enqueued.0) as i32;
        bytes[24..28].copy_from_slice(&delay.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.physical.0.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.len.to_be_bytes());
        bytes[40..44].copy_from_slice(&self.topic_hash.to_be_bytes());
        bytes
    }

    /// `None` if the bytes are no unit.
    pub(super) fn decode(bytes: &[u8; UNIT_LEN]) -> Option<Self> {
        let int = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let kind = int(12);
        if int(0) as usize != UNIT_LEN || kind > 15 {
            return None;
        }
        let enqueued = long(16);
        Some(Self {
            before: u64::try_from(long(4)).ok().map(TimerPosition),
            kind: UnitKind(kind),
            enqueued: Timestamp(enqueued),
            slot: Timestamp(enqueued.checked_add(i64::from(int(24) as i32))?),
            physical: PhysicalOffset(u64::try_from(long(28)).ok()?),
            len: int(36),
            topic_hash: int(40) as i32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_written_as_the_reference_writes_it() {
        let unit = Unit {
            before: None,
            kind: UnitKind(UnitKind::MESSAGE | UnitKind::MARK),
            enqueued: Timestamp(1_700_000_000_000),
            slot: Timestamp(1_700_000_005_000),
            physical: PhysicalOffset(0x0102_0304),
            len: 200,
            topic_hash: -2,
        };
        let bytes = unit.encode();
        let expected = "00000034ffffffffffffffff000000050000018bcfe56800000013880000000001020304000000c8fffffffe0000000000000000";
        assert_eq!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>(), expected);
        assert_eq!(Unit::decode(&bytes), Some(unit));
        let second = Unit { before: Some(TimerPosition(52)), ..unit };
        assert_eq!(Unit::decode(&second.encode()), Some(second));
    }

    #[test]
    fn what_was_never_written_is_no_unit() {
        assert_eq!(Unit::decode(&[0; UNIT_LEN]), None);
        let mut bytes = Unit::decode(&[0; UNIT_LEN]).map_or([0; UNIT_LEN], |unit| unit.encode());
        bytes[3] = 52;
        bytes[15] = 16;
        assert_eq!(Unit::decode(&bytes), None, "no such kind");
    }
}
