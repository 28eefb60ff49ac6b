//! MQTT 3.1.1 and 5.0: packets, topic names and topic filters. Bytes in, values out; no I/O, no clock, no state.
//!
//! ```text
//! | type 4 bits | flags 4 bits | remaining length 1..4 | fields of the type | properties (5.0) | payload |
//!                                 │                                          │                  └ up to the packet's end
//!                                 │                                          └ length, then (id, value) pairs
//!                                 └ seven bits a byte, least significant first; numbers else are big-endian
//! ```
//! Always true:
//! * decoding never panics, waits only for a packet that is incomplete, refuses one over its limit before its body is
//!   there, and allocates no more than a named limit allows ([`Limits`]);
//! * what is decoded obeys every rule that can be judged from one packet and its sender alone: a [`Publish`] of QoS 1
//!   has an identifier, a topic [`Name`](topic::Name) has no wildcard, a property stands where it may and once. What
//!   needs more than that (is this identifier in use, is this alias known) is the session's;
//! * payloads, binary data and long texts are slices of the packet that was read; short texts are copied, which costs
//!   less and lets the buffer go;
//! * what was encoded decodes to the same value, and nothing is half written: an error leaves the output as it was.
//!
//! | module | what it holds |
//! |---|---|
//! | [`packet`] | [`Packet`] and what each type carries |
//! | [`properties`] | the table of properties, and those of each packet |
//! | [`reason`] | the table of reason codes and where each may appear |
//! | [`topic`] | topic names, filters, shared filters, matching |
//! | [`text`], [`values`] | texts, binary data, QoS, identifiers |
//! | [`decode`](mod@decode), [`encode`](mod@encode) | bytes to packets and back |

pub mod decode;
pub mod encode;
pub mod packet;
pub mod properties;
pub mod reason;
pub mod text;
pub mod topic;
pub mod values;

mod read;

#[cfg(test)]
mod tests;

pub use decode::{ConnectError, DecodeError, Limits, decode, decode_connect};
pub use encode::{EncodeError, encode, encode_publish_head};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Delivery, Disconnect, Packet, PacketType, Publish, PublishTopic,
    RequestedFilter, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck,
    Unsubscribe, Will,
};
pub use reason::ReasonCode;
pub use text::{Binary, Text};
pub use values::{PacketId, PayloadFormat, QoS, SessionExpiry, Side, SubscriptionId, TopicAlias, Version};
