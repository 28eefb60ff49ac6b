//! Messages that are to come later: whether one is, and where it waits until then.
//!
//! ```text
//! DELAY=n               SCHEDULE_TOPIC_XXXX, queue n-1: in order, since all of them wait equally long   (delay)
//! TIMER_DELAY_SEC=s     ┐
//! TIMER_DELAY_MS=ms     ├ rmq_sys_wheel_timer, queue 0: sorted into slots by the timing wheel           (timer)
//! TIMER_DELIVER_MS=at   ┘
//! ```
//! The first of them that a message carries counts. Whoever stores a message under the topic that its sender meant asks
//! `Broker::defer` first: sends, and transactions that are committed. What has `TIMER_OUT_MS` has waited already.

use std::borrow::Cow;
use std::sync::Arc;

use ferromq_model::message::{TagsCode, find_property, property, push_property, without_properties};
use ferromq_model::name::{SCHEDULE_TOPIC, TIMER_TOPIC};
use ferromq_model::{Millis, QueueId, Timestamp, TopicName};
use ferromq_store::EntryTag;

use crate::broker::Broker;
use crate::topics::Topic;

/// By which properties a sender asks for a time.
const TIMERS: [&str; 3] = [property::TIMER_DELAY_SEC, property::TIMER_DELAY_MS, property::TIMER_DELIVER_MS];
/// Bytes that a message's properties may grow by on their way through the timing wheel: `TIMER_ENQUEUE_MS`,
/// `TIMER_DEQUEUE_MS` and `TIMER_ROLL_TIMES` with their values and separators.
pub(crate) const GROWTH_ON_THE_WAY: usize = 3 * (16 + 20 + 2);

/// A message that is to come later cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum DeferError {
    /// Switched off.
    #[error("accurate timer message is not enabled, timerWheelEnable is false")]
    NoTimers,
    /// The sender's fault.
    #[error("timer message illegal, {why}")]
    Illegal {
        /// What is wrong with the time.
        why: Cow<'static, str>,
    },
    /// Too many for the same moment; another one, or another broker, may do.
    #[error("timer message is under flow control, {waiting} messages wait for the same moment, {limit} may")]
    Congested {
        /// Messages in the slot.
        waiting: u64,
        /// `timerCongestNumEachSlot`.
        limit: u32,
    },
}

/// Where a message waits.
#[derive(Debug)]
pub(crate) struct Deferred {
    /// The topic that it is stored under meanwhile.
    pub(crate) topic: Arc<Topic>,
    /// That topic's queue.
    pub(crate) queue: QueueId,
    /// Its properties, with those that lead it back.
    pub(crate) properties: String,
    /// What its queue entry says.
    pub(crate) tag: EntryTag,
    /// For a time of its own, the slot: it is due one precision unit after this.
    pub(crate) slot: Option<Timestamp>,
}

/// Whether the properties ask for a later delivery.
pub(crate) fn is_asked_for(properties: &str) -> bool {
    let has = |name| find_property(properties, name);
    level_of(properties).is_some_and(|level| level > 0)
        || (has(property::TIMER_OUT_MS).is_none() && TIMERS.iter().any(|name| has(name).is_some()))
}

fn level_of(properties: &str) -> Option<i64> {
    find_property(properties, property::DELAY)?.trim().parse().ok()
}

impl Broker {
    /// Decides where a message for `queue` of `topic` is stored: `None` where it is meant to be, now.
    ///
    /// # Errors
    /// [`DeferError`]: it is not to be stored at all.
    pub(crate) fn defer(
        &self,
        topic: &TopicName,
        queue: QueueId,
        properties: &str,
    ) -> Result<Option<Deferred>, DeferError> {
        if let Some(level) = level_of(properties).and_then(|asked| self.config().delay_levels.resolve(asked))
        {
            return Ok(Some(self.defer_by_level(topic, queue, properties, level)));
        }
        if topic.as_str() == TIMER_TOPIC || find_property(properties, property::TIMER_OUT_MS).is_some() {
            return Ok(None);
        }
        let Some(asked) = TIMERS.iter().find(|name| find_property(properties, name).is_some()) else {
            return Ok(None);
        };
        if !self.config().timers {
            return Err(DeferError::NoTimers);
        }
        let now = self.store().now();
        let due = due_time(asked, find_property(properties, asked).unwrap_or_default(), now)?;
        let max = self.config().timer_max_delay.millis();
        if due.since(now) > max {
            let why = format!("the message is to be delivered later than the max delay {}ms allows", max.0);
            return Err(DeferError::Illegal { why: why.into() });
        }
        if due <= now {
            if find_property(properties, property::TIMER_DELETE_KEY).is_some() {
                let why = "the message to take back is due already".into();
                return Err(DeferError::Illegal { why });
            }
            return Ok(None);
        }
        let slot = slot_of(due, self.config().timer_precision());
        self.timers().admit(slot, self.next_number())?;
        self.defer_to_slot(topic, queue, properties, slot).map(Some)
    }

    fn defer_by_level(&self, topic: &TopicName, queue: QueueId, properties: &str, level: u32) -> Deferred {
        let mut kept = without_properties(properties, &[property::DELAY]);
        push_property(&mut kept, property::DELAY, &level.to_string());
        kept = without_properties(&led_back(&kept, topic, queue), &TIMERS);
        Deferred {
            topic: self.topics().find(SCHEDULE_TOPIC).expect("each broker has it, and nobody may delete it"),
            queue: QueueId(level - 1),
            properties: kept,
            tag: EntryTag::DueAfter(self.config().delay_levels.span(level)),
            slot: None,
        }
    }

    fn defer_to_slot(
        &self,
        topic: &TopicName,
        queue: QueueId,
        properties: &str,
        slot: Timestamp,
    ) -> Result<Deferred, DeferError> {
        // What a sender says about the way that the message has yet to go would be believed on that way.
        let forged = [property::TIMER_ENQUEUE_MS, property::TIMER_DEQUEUE_MS, property::TIMER_ROLL_TIMES];
        let mut kept = led_back(&without_properties(properties, &forged), topic, queue);
        push_property(&mut kept, property::TIMER_OUT_MS, &slot.0.to_string());
        let tags = TagsCode::of(find_property(&kept, property::TAGS));
        Ok(Deferred {
            topic: self.topics().find(TIMER_TOPIC).ok_or(DeferError::NoTimers)?,
            queue: QueueId(0),
            properties: kept,
            tag: EntryTag::Tags(tags),
            slot: Some(slot),
        })
    }
}

/// The properties with the way back to where the message is meant to be.
fn led_back(properties: &str, topic: &TopicName, queue: QueueId) -> String {
    let mut kept = without_properties(properties, &[property::REAL_TOPIC, property::REAL_QUEUE_ID]);
    push_property(&mut kept, property::REAL_TOPIC, topic.as_str());
    push_property(&mut kept, property::REAL_QUEUE_ID, &queue.to_string());
    kept
}

/// When a message is due that says `name = value`.
fn due_time(name: &str, value: &str, now: Timestamp) -> Result<Timestamp, DeferError> {
    let number: i64 = value.parse().map_err(|_| DeferError::Illegal {
        why: format!("{name} is \"{value}\", which is no number").into(),
    })?;
    let from_now = |span: Option<i64>| Timestamp(now.0.saturating_add(span.unwrap_or(i64::MAX)));
    Ok(match name {
        property::TIMER_DELAY_SEC => from_now(number.checked_mul(1000)),
        property::TIMER_DELAY_MS => from_now(Some(number)),
        _ => Timestamp(number),
    })
}

/// The slot of messages due at `due`, which is read one unit after the time that it is called by: so none comes early.
fn slot_of(due: Timestamp, precision: Millis) -> Timestamp {
    let unit = precision.0 as i64;
    Timestamp((due.0 - 1).div_euclid(unit) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_covers_the_unit_behind_its_name_and_that_units_end() {
        for (due, slot) in [(10_000, 9_000), (10_001, 10_000), (10_999, 10_000), (11_000, 10_000)] {
            assert_eq!(slot_of(Timestamp(due), Millis::secs(1)), Timestamp(slot), "{due}");
        }
    }

    #[test]
    fn times_that_are_no_numbers_or_overflow_are_told_apart() {
        let now = Timestamp(1_000_000);
        assert_eq!(due_time(property::TIMER_DELAY_SEC, "5", now).unwrap(), Timestamp(1_005_000));
        assert_eq!(due_time(property::TIMER_DELAY_MS, "5", now).unwrap(), Timestamp(1_000_005));
        assert_eq!(due_time(property::TIMER_DELIVER_MS, "5", now).unwrap(), Timestamp(5));
        let far = i64::MAX.to_string();
        assert_eq!(due_time(property::TIMER_DELAY_SEC, &far, now).unwrap(), Timestamp(i64::MAX));
        assert!(due_time(property::TIMER_DELAY_SEC, "5.5", now).is_err());
    }
}
