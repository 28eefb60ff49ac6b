//! The JSON bodies of requests and responses.
//!
//! Always true:
//! * what is written has Java's bytes: compact, members in alphabetical order, absent ones left out;
//! * what is read may come from a client in any language: unknown members are skipped, missing and null ones are
//!   defaults, enums may be names in any case or ordinals, numbers and booleans may be texts;
//! * maps with numbers for keys are written with bare keys (`{0:…}`), the form that every Java version reads, unless
//!   [`Style::Standard`] is asked for; both forms are read.
//!
//! | module | bodies |
//! |---|---|
//! | [`route`] | where a topic is, who forms a cluster |
//! | [`register`] | what a broker tells NameServers |
//! | [`member`] | heartbeats, members of groups, queue locks |
//! | [`pop`] | acknowledgements of pops, shares of queues |
//! | [`table`] | lists and tables of topics, groups and settings |
//! | [`offsets`] | positions of groups, as tools read and move them |
//! | [`running`] | what a consumer is doing |
//! | [`stats`] | what tools are shown: ends of queues, positions, connections, counters |
//! | [`object_keys`] | maps from queues and other objects |

mod json;
mod loose;
pub mod member;
pub mod object_keys;
pub mod offsets;
pub mod pop;
pub mod register;
pub mod route;
pub mod running;
pub mod stats;
pub mod table;

use ferromq_model::dialect;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use member::{
    ConsumerData, ConsumerList, HeartbeatData, LockBatchRequest, LockBatchResponse, MessageQueue,
    ProducerData, SubscriptionData,
};
pub use object_keys::{ByQueue, ObjectKeyed};
pub use offsets::{ConsumerStatusBody, CorrectionOffsets, ResetOffsetBody};
pub use pop::{
    AssignedQueue, Assignment, BatchAck, BatchAckRequest, QueryAssignmentRequest, QueryAssignmentResponse,
    SetMessageRequestMode,
};
pub use register::{RegisterBrokerBody, TopicConfigWrapper};
pub use route::{
    BrokerData, BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, QueueData, TopicRouteData,
};
pub use table::{GroupConfigList, KvTable, SubscriptionGroupWrapper, TopicConfigList, TopicList};

/// How a body is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// Number keys are bare; text beyond ASCII is written as it is.
    #[default]
    Java,
    /// JSON that every parser reads, in ASCII.
    Standard,
}

impl Style {
    /// From this version on (4.9.4) a client reads standard JSON where it has to choose.
    pub const STANDARD_FROM: i32 = 401;

    /// How to write a route for a client of this version, which may say that it reads standard JSON only.
    #[must_use]
    pub const fn of_route(version: i32, standard_only: bool) -> Self {
        if standard_only || version >= Self::STANDARD_FROM { Self::Standard } else { Self::Java }
    }
}

/// Why a body cannot be read: the sender's mistake.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is no JSON, or a member has the wrong type.
    #[error("body is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// It cannot be decompressed, or what is inside is cut short.
    #[error("compressed body is broken: {0}")]
    Compressed(&'static str),
    /// It decompresses to more than [`register::MAX_INFLATED`].
    #[error("compressed body holds more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

/// Reads a body. One of no bytes is an error; what it stands for is the caller's knowledge.
///
/// # Errors
/// [`BodyError::Json`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    Ok(dialect::from_slice(body)?)
}

/// Writes a body as Java does.
///
/// # Panics
/// If `body` has a map whose keys are neither texts nor numbers, which none of this module has.
#[must_use]
pub fn encode(body: &impl Serialize) -> Vec<u8> {
    encode_as(body, Style::Java)
}

/// Writes a body.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn encode_as(body: &impl Serialize, style: Style) -> Vec<u8> {
    json::encode(body, style)
}

/// The checksum that brokers put beside a register body: CRC-32 without its top bit.
#[must_use]
pub fn checksum(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

#[cfg(test)]
mod tests;
