//! What can go wrong with leased messages, and who has to act.

use std::sync::Arc;

use ferromq_model::NameError;
use ferromq_protocol::code::ResponseCode;

use super::Leased;
use crate::error::{CallError, Remedy, RouteError};

/// Why a [`PopConsumer`](crate::PopConsumer) did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PopError {
    /// An argument outside of its range.
    #[error("{key} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The argument.
        key: &'static str,
        /// What was given.
        value: u64,
        /// What would do.
        allowed: &'static str,
    },
    /// The broker leases no messages, as those of 4.x: consume with a [`PushConsumer`](crate::PushConsumer), or upgrade
    /// it.
    #[error("{addr} does not lease messages: that takes FerroMQ, or RocketMQ 5.0 or later")]
    NotSupported {
        /// The broker.
        addr: Arc<str>,
    },
    /// The names of the group and the topic do not make up one of a retry topic.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
    /// It is not known where the topic is.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The broker did not do it.
    #[error(transparent)]
    Call(CallError),
}

impl PopError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::OutOfRange { .. } | Self::Name(_) | Self::Closed => Remedy::FixCall,
            Self::NotSupported { .. } => Remedy::AskOperator,
            Self::Route(error) => error.remedy(),
            Self::Call(error) => error.remedy(),
        }
    }

    /// Whether the broker may have moved or forgotten the topic, or is gone.
    pub(super) fn asks_for_route(&self) -> bool {
        match self {
            Self::Call(error) => error.is_silence() || error.code() == Some(ResponseCode::TopicNotExist),
            _ => false,
        }
    }
}

impl From<CallError> for PopError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { addr, code, .. } if code == ResponseCode::RequestCodeNotSupported.code() => {
                Self::NotSupported { addr }
            }
            other => Self::Call(other),
        }
    }
}

/// Not every message could be acknowledged.
#[derive(Debug, thiserror::Error)]
#[error("{} messages are not acknowledged: {source}", .left.len())]
pub struct AckAllError {
    /// Those that are not, or of which it is not known.
    pub left: Vec<Leased>,
    /// Why the last of them is not.
    pub source: PopError,
}
