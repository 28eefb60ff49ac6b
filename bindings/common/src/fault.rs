//! What went wrong, for a language that has errors of its own.
//!
//! [`FaultKind`] says what failed, [`Remedy`] who has to act. Each language makes one class, or one code, of each kind; the
//! names of both are in one table.

use std::fmt::Display;

use ferromq_client::{
    AckAllError, AdminError, BatchError, CallError, ConfigError, InvalidMessage, PopError, ProducerError,
    PullError, RecallError, Remedy, ReplyError, RequestError, RouteError, SendError, SendReceipt, StartError,
    TlsError, TransactionError,
};

/// The kinds of faults: a name for classes and a code for languages that tell errors apart by one.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal, $code:literal;)+) => {
        /// What failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// What a class of such errors is called: `UnreachableError`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// A code that stays as it is: `UNREACHABLE`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)+ }
            }
        }
    };
}

kinds! {
    /// An option, a name or a certificate.
    Config = "ConfigError", "CONFIG";
    /// A message that cannot be sent.
    InvalidMessage = "InvalidMessageError", "INVALID_MESSAGE";
    /// The client, producer or consumer is closed.
    Closed = "ClosedError", "CLOSED";
    /// The message is acknowledged, or the transaction ended, already.
    Settled = "SettledError", "SETTLED";
    /// Made before this process was forked.
    Forked = "ForkedError", "FORKED";
    /// It is not known where to send or to read.
    Route = "RouteError", "ROUTE";
    /// No broker has the topic.
    TopicNotFound = "TopicNotFoundError", "TOPIC_NOT_FOUND";
    /// A server's answer cannot be used.
    Server = "ServerError", "SERVER";
    /// No connection to the server, or it ended before the answer came.
    Unreachable = "UnreachableError", "UNREACHABLE";
    /// No answer in time. The server may have done what it was asked for.
    CallTimeout = "CallTimeoutError", "CALL_TIMEOUT";
    /// The server said no: [`Fault::code`] is its response code.
    Refused = "RefusedError", "REFUSED";
    /// Some of the messages of a batch are stored ([`Fault::receipts`]), the rest are not known to be.
    Batch = "BatchError", "BATCH";
    /// A transaction could not be begun safely or ended: the broker asks the checker.
    Transaction = "TransactionError", "TRANSACTION";
    /// Nobody replied in time.
    NoReply = "NoReplyError", "NO_REPLY";
    /// The queue is none of this consumer's, or no longer.
    NotAssigned = "NotAssignedError", "NOT_ASSIGNED";
    /// An operator's call failed.
    Admin = "AdminError", "ADMIN";
}

/// What went wrong.
#[derive(Debug)]
pub struct Fault {
    /// What failed.
    pub kind: FaultKind,
    /// In words.
    pub text: String,
    /// Who has to act.
    pub remedy: Remedy,
    /// What a server refused with.
    pub code: Option<i32>,
    /// Of a batch: those of its messages that are stored, which are the first ones.
    pub receipts: Option<Vec<SendReceipt>>,
}

impl Fault {
    fn new(kind: FaultKind, error: impl Display, remedy: Remedy) -> Self {
        Self { kind, text: error.to_string(), remedy, code: None, receipts: None }
    }

    /// Something was made in another process, of which this one was forked.
    #[must_use]
    pub fn forked() -> Self {
        let text = "made before this process was forked: make a new client in the child";
        Self::new(FaultKind::Forked, text, Remedy::FixCall)
    }

    /// Something is used that is closed.
    #[must_use]
    pub fn closed(text: impl Display) -> Self {
        Self::new(FaultKind::Closed, text, Remedy::FixCall)
    }

    /// A message is acknowledged, or a transaction ended, for the second time.
    #[must_use]
    pub fn settled() -> Self {
        Self::new(FaultKind::Settled, "the message is settled already", Remedy::FixCall)
    }

    /// An argument that will not do.
    #[must_use]
    pub fn config(text: impl Display) -> Self {
        Self::new(FaultKind::Config, text, Remedy::FixCall)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.remedy == Remedy::Retry
    }

    /// A failed call, told in the words of what it was part of.
    fn call(call: &CallError, text: impl Display) -> Self {
        let kind = match call {
            CallError::Unreachable { .. } | CallError::Lost { .. } => FaultKind::Unreachable,
            CallError::TimedOut { .. } => FaultKind::CallTimeout,
            CallError::Refused { .. } => FaultKind::Refused,
            CallError::Unreadable { .. } | CallError::TooLarge { .. } => FaultKind::Server,
            CallError::Closed => FaultKind::Closed,
        };
        let code = if let CallError::Refused { code, .. } = call { Some(*code) } else { None };
        Self { code, ..Self::new(kind, text, call.remedy()) }
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Self::call(&error, &error)
    }
}

impl From<RouteError> for Fault {
    fn from(error: RouteError) -> Self {
        match &error {
            RouteError::NoSuchTopic { .. } => Self::new(FaultKind::TopicNotFound, &error, error.remedy()),
            RouteError::NoQueue { .. } => Self::new(FaultKind::Route, &error, error.remedy()),
            RouteError::NoNameServer { last } => Self::call(last, &error),
        }
    }
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        let remedy = error.remedy();
        match &error {
            SendError::Failed { last, .. } => Self::call(last, &error),
            SendError::Route(route) => route.clone().into(),
            SendError::NoRouteInTime { .. } => Self::new(FaultKind::CallTimeout, &error, remedy),
            SendError::Closed => Self::new(FaultKind::Closed, &error, remedy),
            SendError::Invalid(_)
            | SendError::InvalidBatch(_)
            | SendError::TooLarge { .. }
            | SendError::OtherTopic { .. }
            | SendError::NoSuchQueue { .. } => Self::new(FaultKind::InvalidMessage, &error, remedy),
        }
    }
}

impl From<BatchError> for Fault {
    fn from(error: BatchError) -> Self {
        let (text, remedy) = (error.to_string(), error.remedy());
        if error.receipts.is_empty() {
            return error.source.into();
        }
        let code = Self::from(error.source).code;
        Self { code, receipts: Some(error.receipts), ..Self::new(FaultKind::Batch, text, remedy) }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        let remedy = error.remedy();
        match error {
            TransactionError::Send(error) => error.into(),
            TransactionError::Delayed => Self::new(FaultKind::InvalidMessage, error, remedy),
            TransactionError::NotSafe { .. }
            | TransactionError::NotEnded(_)
            | TransactionError::NoBroker { .. } => Self::new(FaultKind::Transaction, error, remedy),
        }
    }
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        let remedy = error.remedy();
        match error {
            RequestError::Send(error) => error.into(),
            RequestError::NoReply { .. } => Self::new(FaultKind::NoReply, error, remedy),
            RequestError::Unreadable(_) => Self::new(FaultKind::Server, error, remedy),
        }
    }
}

impl From<ReplyError> for Fault {
    fn from(error: ReplyError) -> Self {
        let remedy = error.remedy();
        match error {
            ReplyError::Send(error) => error.into(),
            ReplyError::NotAQuestion { .. } | ReplyError::Topic(_) => {
                Self::new(FaultKind::InvalidMessage, error, remedy)
            }
        }
    }
}

impl From<RecallError> for Fault {
    fn from(error: RecallError) -> Self {
        let remedy = error.remedy();
        match error {
            RecallError::Send(error) => error.into(),
            RecallError::Call(error) => error.into(),
            RecallError::NoBroker { .. } => Self::new(FaultKind::Route, error, remedy),
            RecallError::Topic(_) | RecallError::Handle(_) => {
                Self::new(FaultKind::InvalidMessage, error, remedy)
            }
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        let remedy = error.remedy();
        match &error {
            StartError::Filter { source, .. } => Self::call(source, &error),
            StartError::Name(_)
            | StartError::AlreadyMember(_)
            | StartError::Topics(_)
            | StartError::OutOfRange { .. }
            | StartError::Offsets(_) => Self::new(FaultKind::Config, &error, remedy),
        }
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        let remedy = error.remedy();
        match error {
            PullError::Route(error) => error.into(),
            PullError::Call(error) => error.into(),
            PullError::Closed => Self::new(FaultKind::Closed, error, remedy),
            PullError::NotAssigned { .. } => Self::new(FaultKind::NotAssigned, error, remedy),
            PullError::Name(_)
            | PullError::Subscribed { .. }
            | PullError::TooManyQueues(_)
            | PullError::File(_) => Self::new(FaultKind::Config, error, remedy),
        }
    }
}

impl From<PopError> for Fault {
    fn from(error: PopError) -> Self {
        let remedy = error.remedy();
        match error {
            PopError::Route(error) => error.into(),
            PopError::Call(error) => error.into(),
            PopError::Closed => Self::new(FaultKind::Closed, error, remedy),
            PopError::NotSupported { .. } => Self::new(FaultKind::Server, error, remedy),
            PopError::OutOfRange { .. } | PopError::Name(_) => Self::new(FaultKind::Config, error, remedy),
        }
    }
}

impl From<AckAllError> for Fault {
    fn from(error: AckAllError) -> Self {
        let text = format!("{} messages are not acknowledged: {}", error.left.len(), error.source);
        Self { text, ..error.source.into() }
    }
}

impl From<AdminError> for Fault {
    fn from(error: AdminError) -> Self {
        let remedy = error.remedy();
        match error {
            AdminError::Call(error) => error.into(),
            AdminError::Route(error) => error.into(),
            other => Self::new(FaultKind::Admin, other, remedy),
        }
    }
}

impl From<ProducerError> for Fault {
    fn from(error: ProducerError) -> Self {
        Self::config(error)
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::config(error)
    }
}

impl From<TlsError> for Fault {
    fn from(error: TlsError) -> Self {
        Self::config(error)
    }
}

impl From<InvalidMessage> for Fault {
    fn from(error: InvalidMessage) -> Self {
        Self::new(FaultKind::InvalidMessage, error, Remedy::FixCall)
    }
}

#[cfg(test)]
mod tests {
    use super::FaultKind;

    /// Both name the same thing, and neither may change: programs compare with them.
    #[test]
    fn the_code_of_a_kind_is_its_name_in_capitals() {
        for kind in FaultKind::ALL {
            let words = kind.name().strip_suffix("Error").expect("a class of errors");
            let mut code = String::new();
            for letter in words.chars() {
                if letter.is_uppercase() && !code.is_empty() {
                    code.push('_');
                }
                code.push(letter.to_ascii_uppercase());
            }
            assert_eq!(kind.code(), code);
        }
    }
}
