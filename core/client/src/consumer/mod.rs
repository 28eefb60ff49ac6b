//! Consumers.
//!
//! ```text
//! PushConsumer   the client fetches ahead and hands messages to a handler or a stream; members share the queues
//! PullConsumer   the application says which queues, from where and when
//! PopConsumer    the broker leases messages, and takes each back that is not acknowledged in time
//! ```
//!
//! | file | what it is about |
//! |---|---|
//! | `filter` | which messages are wanted |
//! | `fetch` | pulling from one queue |
//! | `offsets` | how far a group is: on the broker or in a file |
//! | `share` | which queues are a member's |
//! | `buffer` | messages of one queue between their arrival and their end |
//! | `push` | building, starting and closing a [`PushConsumer`] |
//! | `queues` | fetching from the queues that are this member's, and giving them up |
//! | `ready` | messages that may be handed out now |
//! | `handing` | handing messages out, concurrently or in order, and what comes of it |
//! | `requests` | what brokers ask of a consumer |
//! | `pull` | a [`PullConsumer`] |
//! | `pop` | a [`PopConsumer`] |

mod buffer;
mod fetch;
mod filter;
mod handing;
mod offsets;
mod pop;
mod pull;
mod push;
mod queues;
mod ready;
mod requests;
mod share;

pub use filter::Filter;
pub use handing::{Delivery, Handler, MessageStream, Outcome};
pub use pop::{AckAllError, Leased, PopConsumer, PopConsumerBuilder, PopError, Receipt};
pub use pull::{PullConsumer, PullConsumerBuilder, PullError, Pulled};
pub use push::{ConsumeFrom, PushConsumer, PushConsumerBuilder, StartError};
