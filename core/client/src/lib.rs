//! Producers, consumers and administration for FerroMQ and Apache RocketMQ, over native remoting.
//!
//! ```text
//! producer   consumers   admin      what users hold: each a handle, each closed by its user
//!      └─────────┼─────────┘
//!              Client               one identity in all groups; heartbeats; where topics are
//!                │
//!              wire                 one connection a server, many calls in flight
//! ```
//! It speaks to FerroMQ and to RocketMQ 4.9 and 5.x alike, and shares consumer groups with official clients.
//!
//! ```no_run
//! use ferromq_client::{Client, ConsumeFrom, Filter, Message, Received};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("127.0.0.1:9876").build()?;
//!
//! let producer = client.producer("greeters").build()?;
//! let receipt = producer.send(Message::new("Hello", "hello, world")?).await?;
//! println!("stored as {} in {}", receipt.message_id, receipt.queue);
//!
//! let consumer = client
//!     .push_consumer("readers")
//!     .subscribe("Hello", Filter::all())
//!     .consume_from(ConsumeFrom::First)
//!     .start(async |message: Received| println!("{:?}", message.body()))
//!     .await?;
//!
//! tokio::signal::ctrl_c().await?;
//! consumer.close().await;
//! producer.close().await;
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! | to | look at |
//! |---|---|
//! | send: one, many, one way, later, in order, in a transaction, with a reply | [`Producer`], [`TransactionProducer`], [`Message`] |
//! | be handed messages, by a function or a stream | [`PushConsumer`], [`Handler`], [`MessageStream`] |
//! | ask for messages, queue by queue | [`PullConsumer`] |
//! | lease messages, and acknowledge them one by one | [`PopConsumer`] |
//! | administer a cluster | [`Admin`] |
//! | encrypt, sign, trace, name the client | [`ClientBuilder`] |
//!
//! Every error says who has to act: [`Remedy`].

pub mod admin;
mod allocate;
mod backoff;
mod client;
mod config;
mod consumer;
mod deadline;
mod error;
#[cfg(test)]
mod fake;
mod identity;
mod latency;
mod members;
mod message;
mod producer;
#[cfg(feature = "opentelemetry")]
pub mod propagation;
mod queue;
mod received;
mod routes;
mod signature;
mod spans;
mod trace;
mod trace_record;
mod wire;

pub use admin::{Admin, AdminError};
pub use allocate::{
    DEFAULT_VIRTUAL_NODES, MAX_STICKY_PAIRS, Rooms, STICKY_SUFFIX, Strategy, UnknownStrategy,
};
pub use client::Client;
pub use config::ClientBuilder;
pub use consumer::{
    AckAllError, ConsumeFrom, Delivery, Filter, Handler, Leased, MessageStream, Outcome, PopConsumer,
    PopConsumerBuilder, PopError, PullConsumer, PullConsumerBuilder, PullError, Pulled, PushConsumer,
    PushConsumerBuilder, Receipt, StartError,
};
pub use error::{CallError, ConfigError, Remedy, RouteError};
pub use ferromq_model::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
pub use ferromq_protocol::compress::{Compression, DecompressError};
pub use identity::UniqueId;
pub use members::AlreadyMember;
pub use message::{InvalidMessage, Message, MessageBuilder};
pub use producer::{
    BatchError, EndError, InvalidBatch, Producer, ProducerBuilder, ProducerError, RecallError, Reply,
    ReplyError, RequestError, SendError, SendReceipt, SendStatus, Transaction, TransactionError,
    TransactionProducer, TransactionProducerBuilder, TransactionState,
};
pub use queue::MessageQueue;
pub use received::Received;
pub use routes::TopicRoute;
pub use signature::Credentials;
pub use trace::TraceConfig;
pub use wire::{Tls, TlsError};
