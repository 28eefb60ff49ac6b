//! The broker engine: topics, groups, sending, pulling, retries and delays, over one store.
//!
//! A [`Broker`] is a cheap handle with typed calls in domain words. It listens to nobody and knows no protocol: a
//! front-end decodes, makes one call, and encodes what comes back.
//!
//! | file | what it is about |
//! |---|---|
//! | `broker` | the handle, and the tasks behind it |
//! | `send` | validation, auto-created topics, where a message goes |
//! | `pull` | reading a queue, and waiting for messages |
//! | `pop` | handing out messages of any queue for a while |
//! | `deferral` | whether a message comes later, and where it waits |
//! | `light`, `fanout` | queues that a message is in beside its own: those that it names, those of topic filters |
//! | `copies`, `delivery` | storing messages that have waited, and not twice |
//! | `delay`, `timer`, `recall` | delivering those of a delay level, those of a time, and taking the latter back |
//! | `retry`, `dead_letters` | messages that come again, and those that came too often |
//! | `transaction` | messages that are delivered once their producer says so |
//! | `clients` | what clients are told and asked on their connections |
//! | `members`, `locks`, `offsets` | who consumes, in which order, and how far |
//! | `assignment` | which member of a group gets which queues |
//! | `replies` | messages that somebody waits for |
//! | `resets` | groups that operators move to other positions |
//! | `topics`, `groups` | settings, kept in files |
//! | `live` | settings that change while it runs |
//! | `deletion` | topics, groups and queues that go |
//! | `inspect`, `lag` | what operators look at, and how far groups are behind |
//! | `browse` | looking at messages without a group |
//! | `rebalances` | who joined and left groups lately |
//! | `definitions` | all topics and groups as a document, and making a broker like one |
//! | `stats` | what is counted of all that, for operators |
//! | `changes` | changes of such files, written together |

pub mod assignment;
mod broker;
pub mod browse;
mod changes;
pub mod clients;
pub mod config;
mod copies;
pub mod dead_letters;
pub mod deferral;
pub mod definitions;
mod delay;
mod deletion;
mod delivery;
pub mod fanout;
pub mod filters;
pub mod groups;
pub mod inspect;
pub mod lag;
pub mod light;
pub mod live;
pub mod locks;
pub mod members;
mod offsets;
pub mod pop;
pub mod pull;
pub mod rebalances;
pub mod recall;
pub mod replies;
pub mod resets;
pub mod retry;
pub mod send;
pub mod stats;
pub mod timer;
pub mod topics;
pub mod transaction;

pub use broker::{Broker, Position};
pub use config::BrokerConfig;
pub use ferromq_state::StateError;
pub use offsets::ConsumerOffsets;
