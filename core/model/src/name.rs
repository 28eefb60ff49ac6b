//! Topic and group names: valid once built, so that nothing behind the decoder checks them again and no name can
//! ever become a path that leaves the store.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Messages that consumers of a group send back land in `%RETRY%<group>`.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Messages that used up their retries land in `%DLQ%<group>`.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Queues that a message joins beside its own (light message queues).
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Everything with this prefix belongs to the broker.
pub const SYSTEM_PREFIX: &str = "rmq_sys_";
/// Where brokers of a cluster keep which popped messages are not acknowledged: `rmq_sys_REVIVE_LOG_<cluster>`.
pub const REVIVE_PREFIX: &str = "rmq_sys_REVIVE_LOG_";
/// The topic by whose route the brokers of one name find each other: `rmq_sys_SYNC_BROKER_MEMBER_<broker>`.
pub const MEMBER_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// The template topic whose settings auto-created topics inherit.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Where delayed messages wait, one queue a level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where half messages wait for their transaction.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where the ends of transactions are noted.
pub const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// The group whose offsets tell how far both are looked through.
pub const TRANSACTION_GROUP: &str = "CID_RMQ_SYS_TRANS";
/// Where messages go whose transaction was checked too often.
pub const TRANS_CHECK_MAX_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// A broker's check of its own send path.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Used by benchmark tools.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Notices of consumers whose offset had to move.
pub const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
/// Message traces.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Where timer messages wait.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// Where messages are stored once more that are in more light queues than one record can name.
pub const OVERFLOW_TOPIC: &str = "rmq_sys_LMQ_OVERFLOW";
/// A name that stores use internally and no topic may have.
pub const CHECKPOINT_TOPIC: &str = "CHECKPOINT_TOPIC";
/// Topics that brokers own, beside those with [`SYSTEM_PREFIX`].
pub const SYSTEM_TOPICS: [&str; 11] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    HALF_TOPIC,
    OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TOPIC,
    SELF_TEST_TOPIC,
    BENCHMARK_TOPIC,
    OFFSET_MOVED_TOPIC,
    TRACE_TOPIC,
    TIMER_TOPIC,
    CHECKPOINT_TOPIC,
];

/// Longest topic name, in bytes (RocketMQ: `maxTopicLength`).
pub const MAX_TOPIC_LEN: usize = 127;
/// Longest retry or dead-letter topic name, in bytes.
pub const MAX_DERIVED_TOPIC_LEN: usize = 255;
/// Longest group name, in bytes; older clients allow this much.
pub const MAX_GROUP_LEN: usize = 255;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or only blanks.
    #[error("the {kind} is blank")]
    Blank {
        /// "topic" or "group".
        kind: &'static str,
    },
    /// More bytes than allowed.
    #[error("the {kind} is {len} bytes long, the limit is {limit}")]
    TooLong {
        /// "topic" or "group".
        kind: &'static str,
        /// Bytes that the text has.
        len: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// A character outside of `%|a-zA-Z0-9_-`.
    #[error("the {kind}[{text}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Illegal {
        /// "topic" or "group".
        kind: &'static str,
        /// The text, for the sender to recognise.
        text: String,
    },
}

fn check(kind: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Blank { kind });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { kind, len: text.len(), limit });
    }
    // The second form of pop's retry topics parts group and topic by a character that neither can have.
    let joined = kind == "topic" && text.starts_with(RETRY_PREFIX);
    let legal =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-') || (joined && b == b'+');
    if !text.bytes().all(legal) {
        return Err(NameError::Illegal { kind, text: text.to_owned() });
    }
    Ok(())
}

/// As [`TopicName::is_system`], for a name that is not built.
#[must_use]
pub fn is_system(topic: &str) -> bool {
    topic.starts_with(SYSTEM_PREFIX) || SYSTEM_TOPICS.contains(&topic)
}

/// A valid topic name. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `text` as RocketMQ's validator does: its characters, and at most 127 bytes (255 for retry and
    /// dead-letter topics).
    ///
    /// # Errors
    /// [`NameError`] says what is wrong; the name was chosen by whoever sent it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::validate(text)?;
        Ok(Self(text.into()))
    }

    /// The check of [`TopicName::new`] alone.
    ///
    /// # Errors
    /// As [`TopicName::new`].
    pub fn validate(text: &str) -> Result<(), NameError> {
        let derived = text.starts_with(RETRY_PREFIX) || text.starts_with(DLQ_PREFIX);
        check("topic", text, if derived { MAX_DERIVED_TOPIC_LEN } else { MAX_TOPIC_LEN })
    }

    /// `%RETRY%<group>`.
    #[must_use]
    pub fn retry_of(group: &GroupName) -> Self {
        Self(format!("{RETRY_PREFIX}{group}").into())
    }

    /// `%DLQ%<group>`.
    #[must_use]
    pub fn dead_letters_of(group: &GroupName) -> Self {
        Self(format!("{DLQ_PREFIX}{group}").into())
    }

    /// Where messages of `topic` come again that `group` popped and did not acknowledge: `%RETRY%<group>_<topic>`,
    /// or `%RETRY%<group>+<topic>` in the second form, which cannot be mistaken for another pair's.
    ///
    /// # Errors
    /// [`NameError::TooLong`] if both names together are no topic's.
    pub fn pop_retry_of(group: &str, topic: &str, second_form: bool) -> Result<Self, NameError> {
        let between = if second_form { '+' } else { '_' };
        Self::new(&format!("{RETRY_PREFIX}{group}{between}{topic}"))
    }

    /// The topic whose messages come again for `group` in this one, if it is of the kind that
    /// [`TopicName::pop_retry_of`] names.
    #[must_use]
    pub fn popped_origin<'a>(topic: &'a str, group: &str) -> Option<&'a str> {
        topic.strip_prefix(RETRY_PREFIX)?.strip_prefix(group)?.strip_prefix(['+', '_'])
    }

    /// Where the broker of `cluster` keeps which popped messages are not acknowledged.
    ///
    /// # Errors
    /// [`NameError`] if the cluster's name cannot be part of a topic's.
    pub fn revive_log_of(cluster: &str) -> Result<Self, NameError> {
        Self::new(&format!("{REVIVE_PREFIX}{cluster}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The group that a retry topic belongs to.
    #[must_use]
    pub fn retry_group(&self) -> Option<&str> {
        self.0.strip_prefix(RETRY_PREFIX)
    }

    /// Whether this is `%RETRY%…` or `%DLQ%…`, the topics that brokers make for groups.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX) || self.0.starts_with(DLQ_PREFIX)
    }

    /// Whether brokers own the topic: nobody may create or delete it by request.
    #[must_use]
    pub fn is_system(&self) -> bool {
        is_system(&self.0)
    }

    /// Whether clients are kept from sending to it.
    #[must_use]
    pub fn is_send_forbidden(&self) -> bool {
        const FORBIDDEN: [&str; 7] = [
            SCHEDULE_TOPIC,
            TIMER_TOPIC,
            HALF_TOPIC,
            OP_HALF_TOPIC,
            TRANS_CHECK_MAX_TOPIC,
            SELF_TEST_TOPIC,
            OFFSET_MOVED_TOPIC,
        ];
        FORBIDDEN.contains(&&*self.0)
    }
}

/// A valid consumer or producer group name. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Checks the characters and a length of at most 255 bytes.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check("group", text, MAX_GROUP_LEN)?;
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}
text_traits!(TopicName);
text_traits!(GroupName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_a_directory_are_refused() {
        for bad in ["", "  ", "../../x", "a/b", "a.b", "a b", "ä", "a\0b", "a+b", &"x".repeat(128)] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
        for good in [
            "T",
            "%RETRY%g",
            "%RETRY%g+T",
            "a|b",
            "A_b-1",
            &"x".repeat(127),
            &format!("%DLQ%{}", "x".repeat(250)),
        ] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
    }
}
