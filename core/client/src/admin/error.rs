//! What can go wrong with administration, and who has to act.

use std::fmt;
use std::sync::Arc;

use ferromq_model::{NameError, TopicName};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::error::{CallError, Remedy, RouteError};

/// What one of several servers could not do.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its name, or its address if it has none.
    pub server: Arc<str>,
    /// Its address.
    pub addr: Arc<str>,
    /// Why.
    pub error: CallError,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.server == self.addr {
            write!(f, "{}", self.error)
        } else {
            write!(f, "{}: {}", self.server, self.error)
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Failure", 4)?;
        fields.serialize_field("server", &self.server)?;
        fields.serialize_field("addr", &self.addr)?;
        fields.serialize_field("code", &self.error.code().map(|code| code.code()))?;
        fields.serialize_field("error", &self.error.to_string())?;
        fields.end()
    }
}

/// Why an operator's call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// The one server that was asked has no usable answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It is not known where the topic is.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A name that servers would refuse.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Each of the servers that were asked failed.
    #[error("{}", list(.failures))]
    Everywhere {
        /// Which, and why; never empty.
        failures: Vec<Failure>,
    },
    /// The NameServers know no such cluster.
    #[error("no cluster is called {name:?}{}", besides(.known))]
    NoSuchCluster {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The NameServers know no such broker.
    #[error("no broker is called {name:?}{}", besides(.known))]
    NoSuchBroker {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No broker is registered at any NameServer.
    #[error("no broker is registered: start one with these NameServers, or name others")]
    NoBrokers,
    /// No broker has the group's settings.
    #[error("no broker knows group {group}: create it, or start a consumer of it")]
    NoSuchGroup {
        /// The group.
        group: String,
    },
    /// The topic has no such queue.
    #[error("topic {topic} has no queue {queue}")]
    NoSuchQueue {
        /// The topic.
        topic: TopicName,
        /// What was asked for: `broker:number`.
        queue: String,
    },
    /// What was looked for is not there.
    #[error("{what} is not there")]
    NotFound {
        /// What it is.
        what: String,
    },
    /// A value that makes no sense.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would do.
        what: String,
    },
    /// The servers cannot do it, or not now.
    #[error("{what}")]
    Unsupported {
        /// What, and what to do instead.
        what: String,
    },
}

fn list(failures: &[Failure]) -> String {
    failures.iter().map(Failure::to_string).collect::<Vec<_>>().join("; ")
}

fn besides(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there is {}", known.join(", ")) }
}

impl AdminError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Call(error) => error.remedy(),
            Self::Route(error) => error.remedy(),
            Self::Everywhere { failures } => {
                failures.first().map_or(Remedy::AskOperator, |first| first.error.remedy())
            }
            Self::Name(_)
            | Self::NoSuchCluster { .. }
            | Self::NoSuchBroker { .. }
            | Self::NoSuchQueue { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. } => Remedy::FixCall,
            Self::NoBrokers | Self::NoSuchGroup { .. } | Self::Unsupported { .. } => Remedy::AskOperator,
        }
    }

    /// Whether no server was heard at all: whatever was asked for, it was not refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Call(error) | Self::Route(RouteError::NoNameServer { last: error }) => error.is_silence(),
            Self::Everywhere { failures } => failures.iter().all(|failure| failure.error.is_silence()),
            _ => false,
        }
    }
}
