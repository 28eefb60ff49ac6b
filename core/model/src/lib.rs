//! The words that every room of FerroMQ shares: names, offsets, times, messages, the stored record's bytes, and
//! the settings of topics and groups.
//!
//! Nothing here does I/O or knows a protocol. What is a *fact of RocketMQ's data* (the record layout, the property
//! string, the tag hash, the shape of a topic's settings) is declared here once; what is a fact of one wire
//! protocol lives with that protocol.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | offsets, queue ids, sizes and times that cannot be mixed up |
//! | [`name`] | topic and group names, valid once built, and the reserved ones |
//! | [`message`] | system flags, property strings, tag codes, message ids |
//! | [`light`] | queues that a message is in beside its own |
//! | [`mqtt`] | how MQTT's topics and filters are named here |
//! | [`record`] | the stored record: encode, patch, decode, verify |
//! | [`batch`] | the body of a client's batch, message by message |
//! | [`topic`], [`group`] | settings of topics and consumer groups, as they are kept and exchanged |
//! | [`subscription`] | how a consumer consumes: modes, where to start |
//! | [`filter`], [`sql`] | which messages a consumer wants: tags, or a SQL92 expression |
//! | [`delay`] | the table of delay levels |
//! | [`histogram`] | times, counted in classes |
//! | [`dialect`] | reading the JSON dialect that Java brokers write |
//! | [`config`] | the `config_keys!` table that settings, help and docs derive from |

pub mod batch;
pub mod config;
pub mod delay;
pub mod dialect;
pub mod filter;
pub mod group;
pub mod hex;
pub mod histogram;
pub mod ids;
pub mod light;
pub mod message;
pub mod mqtt;
pub mod name;
pub mod record;
pub mod sql;
pub mod subscription;
pub mod topic;

pub use ids::{ByteSize, Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};
pub use name::{GroupName, NameError, TopicName};
