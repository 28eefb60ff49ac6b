//! What can go wrong with a consumer that is asked, and who has to act.

use std::io;

use ferromq_model::{GroupName, NameError};

use super::super::fetch::FetchError;
use super::super::offsets::StoreError;
use super::MAX_QUEUES;
use crate::error::{CallError, Remedy, RouteError};
use crate::queue::MessageQueue;

/// Why a [`PullConsumer`](crate::PullConsumer) did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A topic's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It subscribes to topics, so that its queues are what the group gives it.
    #[error("group {group} shares the queues of its topics: nobody assigns them")]
    Subscribed {
        /// The group.
        group: GroupName,
    },
    /// More queues are assigned than one consumer fetches from.
    #[error("{0} queues are assigned, allowed are {MAX_QUEUES}")]
    TooManyQueues(usize),
    /// The queue is none of its queues, or no longer.
    #[error("{queue} is none of this consumer's queues")]
    NotAssigned {
        /// The queue.
        queue: MessageQueue,
    },
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
    /// It is not known where the queue is.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The broker did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The file of positions cannot be written.
    #[error("positions cannot be written: {0}")]
    File(#[from] io::Error),
}

impl PullError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Name(_) | Self::Subscribed { .. } | Self::TooManyQueues(_) | Self::Closed => {
                Remedy::FixCall
            }
            // It may have been until a moment ago, and may be again.
            Self::NotAssigned { .. } => Remedy::Retry,
            Self::Route(error) => error.remedy(),
            Self::Call(error) => error.remedy(),
            Self::File(_) => Remedy::AskOperator,
        }
    }
}

impl From<FetchError> for PullError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Route(error) => Self::Route(error),
            FetchError::Call(error) => Self::Call(error),
        }
    }
}

impl From<StoreError> for PullError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotTold(error) => error.into(),
            StoreError::NotWritten(error) => Self::File(error),
        }
    }
}
