//! What can go wrong with a call to a server, and who has to act.
//!
//! Operations have errors of their own, which carry these as their source and answer the same question: [`Remedy`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferromq_model::{NameError, TopicName};
use ferromq_protocol::code::ResponseCode;

/// Who has to act on an error, and so whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Nobody, or time: the same call may succeed later, or on another server. The client has tried that already as often
    /// as it is configured to.
    Retry,
    /// Whoever wrote the calling program: the same call fails again.
    FixCall,
    /// Whoever runs the servers: a permission, a setting, a topic or a disk.
    AskOperator,
}

/// Why a call to one server has no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No connection came about.
    #[error("cannot connect to {addr}: {source}")]
    Unreachable {
        /// The server.
        addr: Arc<str>,
        /// What the system or TLS said.
        source: Arc<io::Error>,
    },
    /// The connection ended before the answer came: the server may have done what it was asked for.
    #[error("connection to {addr} ended before the answer: {reason}")]
    Lost {
        /// The server.
        addr: Arc<str>,
        /// How it ended.
        reason: Arc<str>,
    },
    /// No answer in time: the server may have done, or may still do, what it was asked for.
    #[error("no answer from {addr} within {} ms", .after.as_millis())]
    TimedOut {
        /// The server.
        addr: Arc<str>,
        /// How long was waited.
        after: Duration,
    },
    /// The server refused.
    #[error("{addr} answered {}: {remark}", show(*.code))]
    Refused {
        /// The server.
        addr: Arc<str>,
        /// The response code: see [`ResponseCode`].
        code: i32,
        /// Its words.
        remark: Arc<str>,
    },
    /// The answer is not what the protocol says.
    #[error("answer of {addr} cannot be read: {what}")]
    Unreadable {
        /// The server.
        addr: Arc<str>,
        /// What is wrong with it.
        what: Arc<str>,
    },
    /// The request does not fit a frame.
    #[error("request of {len} bytes, more than a frame of {limit} holds")]
    TooLarge {
        /// Bytes of the body.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// This client was closed.
    #[error("the client is closed")]
    Closed,
}

fn show(code: i32) -> String {
    ResponseCode::from_i32(code).map_or_else(|| code.to_string(), |known| known.to_string())
}

impl CallError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        use ResponseCode as Code;
        match self {
            // The other end is there, and proves to be somebody else or speaks something else.
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                Remedy::AskOperator
            }
            Self::Unreachable { .. } | Self::Lost { .. } | Self::TimedOut { .. } => Remedy::Retry,
            Self::Unreadable { .. } => Remedy::AskOperator,
            Self::TooLarge { .. } | Self::Closed => Remedy::FixCall,
            Self::Refused { remark, .. } => match self.code() {
                // Brokers of 4.x have no code of its own for it.
                Some(Code::SystemError) if remark.contains("AclException") => Remedy::AskOperator,
                Some(Code::SystemBusy | Code::ServiceNotAvailable | Code::SystemError) => Remedy::Retry,
                Some(Code::MessageIllegal | Code::InvalidParameter | Code::SubscriptionParseFailed) => {
                    Remedy::FixCall
                }
                _ => Remedy::AskOperator,
            },
        }
    }

    /// The response code of a refusal, if it is a known one.
    #[must_use]
    pub fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Refused { code, .. } => ResponseCode::from_i32(*code),
            _ => None,
        }
    }

    /// Whether the server was not heard, so that another server may do.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. } | Self::TimedOut { .. })
    }
}

/// Why it is not known where a topic is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RouteError {
    /// No NameServer has brokers for it.
    #[error("no broker has topic {topic}: create it, or allow autoCreateTopicEnable on a broker")]
    NoSuchTopic {
        /// The topic.
        topic: TopicName,
    },
    /// Brokers have it, and none lets clients do this.
    #[error("no broker that can be reached has a {wanted} queue of {topic}")]
    NoQueue {
        /// The topic.
        topic: TopicName,
        /// "readable" or "writable".
        wanted: &'static str,
    },
    /// Every NameServer failed; the last one like this.
    #[error("no NameServer answered: {last}")]
    NoNameServer {
        /// The last one's failure.
        #[source]
        last: CallError,
    },
}

impl RouteError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NoSuchTopic { .. } | Self::NoQueue { .. } => Remedy::AskOperator,
            Self::NoNameServer { last } => last.remedy(),
        }
    }
}

/// Why a client cannot be built: always for the caller to fix.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigError {
    /// No NameServer was named.
    #[error("no NameServer is given: name one as host:port, several with ; between")]
    NoNameServer,
    /// An address without a port, or with something else in its place.
    #[error("NameServer address {text:?} is not host:port")]
    NotAnAddress {
        /// What was given.
        text: String,
    },
    /// A name that servers would refuse.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A setting outside of its range.
    #[error("{key} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        allowed: &'static str,
    },
    /// No tokio runtime: a client has tasks of its own.
    #[error("a client has to be built within a tokio runtime")]
    NoRuntime,
}
