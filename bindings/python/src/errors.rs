//! Which exception an error of the client is.
//!
//! The classes are in `ferromq/errors.py`. They say what failed; [`Remedy`], as their attribute `remedy`, who has to act.

use std::fmt::Display;

use ferromq_client::{
    AckAllError, AdminError, BatchError, CallError, ConfigError, InvalidMessage, PopError, ProducerError,
    PullError, RecallError, Remedy, ReplyError, RequestError, RouteError, SendError, StartError, TlsError,
    TransactionError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::message::SendReceipt;

/// An exception to be raised, with nothing of Python in it.
pub(crate) struct Fault {
    class: &'static str,
    text: String,
    remedy: Remedy,
    /// What a server refused with.
    code: Option<i32>,
    /// Of a batch: what is stored.
    receipts: Option<Vec<SendReceipt>>,
}

impl Fault {
    fn new(class: &'static str, error: impl Display, remedy: Remedy) -> Self {
        Self { class, text: error.to_string(), remedy, code: None, receipts: None }
    }

    pub(crate) fn forked() -> Self {
        let text = "made before this process was forked: make a new client in the child";
        Self::new("ForkedError", text, Remedy::FixCall)
    }

    pub(crate) fn closed(text: &str) -> Self {
        Self::new("ClosedError", text, Remedy::FixCall)
    }

    pub(crate) fn settled() -> Self {
        Self::new("SettledError", "the message is settled already", Remedy::FixCall)
    }

    pub(crate) fn config(text: impl Display) -> Self {
        Self::new("ConfigError", text, Remedy::FixCall)
    }

    /// A failed call, told in the words of what it was part of.
    fn call(call: &CallError, text: impl Display) -> Self {
        let class = match call {
            CallError::Unreachable { .. } | CallError::Lost { .. } => "UnreachableError",
            CallError::TimedOut { .. } => "CallTimeoutError",
            CallError::Refused { .. } => "RefusedError",
            CallError::Unreadable { .. } | CallError::TooLarge { .. } => "ServerError",
            CallError::Closed => "ClosedError",
        };
        let code = if let CallError::Refused { code, .. } = call { Some(*code) } else { None };
        Self { code, ..Self::new(class, text, call.remedy()) }
    }

    pub(crate) fn raise(self) -> PyErr {
        Python::attach(|py| self.raised(py).unwrap_or_else(|error| error))
    }

    fn raised(self, py: Python<'_>) -> PyResult<PyErr> {
        static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let errors = ERRORS.get_or_try_init(py, || py.import("ferromq.errors").map(Bound::unbind))?;
        let remedy = match self.remedy {
            Remedy::Retry => "retry",
            Remedy::FixCall => "fix_call",
            Remedy::AskOperator => "ask_operator",
        };
        let error = errors.bind(py).getattr("_make")?;
        let error = error.call1((self.class, self.text, remedy, self.code, self.receipts))?;
        Ok(PyErr::from_value(error))
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
            RouteError::NoSuchTopic { .. } => Self::new("TopicNotFoundError", &error, error.remedy()),
            RouteError::NoQueue { .. } => Self::new("RouteError", &error, error.remedy()),
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
            SendError::NoRouteInTime { .. } => Self::new("CallTimeoutError", &error, remedy),
            SendError::Closed => Self::new("ClosedError", &error, remedy),
            SendError::Invalid(_)
            | SendError::InvalidBatch(_)
            | SendError::TooLarge { .. }
            | SendError::OtherTopic { .. }
            | SendError::NoSuchQueue { .. } => Self::new("InvalidMessageError", &error, remedy),
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
        let receipts = error.receipts.into_iter().map(SendReceipt).collect();
        Self { code, receipts: Some(receipts), ..Self::new("BatchError", text, remedy) }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        let remedy = error.remedy();
        match error {
            TransactionError::Send(error) => error.into(),
            TransactionError::Delayed => Self::new("InvalidMessageError", error, remedy),
            TransactionError::NotSafe { .. }
            | TransactionError::NotEnded(_)
            | TransactionError::NoBroker { .. } => Self::new("TransactionError", error, remedy),
        }
    }
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        let remedy = error.remedy();
        match error {
            RequestError::Send(error) => error.into(),
            RequestError::NoReply { .. } => Self::new("NoReplyError", error, remedy),
            RequestError::Unreadable(_) => Self::new("ServerError", error, remedy),
        }
    }
}

impl From<ReplyError> for Fault {
    fn from(error: ReplyError) -> Self {
        let remedy = error.remedy();
        match error {
            ReplyError::Send(error) => error.into(),
            ReplyError::NotAQuestion { .. } | ReplyError::Topic(_) => {
                Self::new("InvalidMessageError", error, remedy)
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
            RecallError::NoBroker { .. } => Self::new("RouteError", error, remedy),
            RecallError::Topic(_) | RecallError::Handle(_) => Self::new("InvalidMessageError", error, remedy),
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
            | StartError::Offsets(_) => Self::new("ConfigError", &error, remedy),
        }
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        let remedy = error.remedy();
        match error {
            PullError::Route(error) => error.into(),
            PullError::Call(error) => error.into(),
            PullError::NotAssigned { .. } => Self::new("NotAssignedError", error, remedy),
            PullError::Name(_)
            | PullError::Subscribed { .. }
            | PullError::TooManyQueues(_)
            | PullError::File(_) => Self::new("ConfigError", error, remedy),
        }
    }
}

impl From<PopError> for Fault {
    fn from(error: PopError) -> Self {
        let remedy = error.remedy();
        match error {
            PopError::Route(error) => error.into(),
            PopError::Call(error) => error.into(),
            PopError::NotSupported { .. } => Self::new("ServerError", error, remedy),
            PopError::OutOfRange { .. } | PopError::Name(_) => Self::new("ConfigError", error, remedy),
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
            other => Self::new("AdminError", other, remedy),
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
        Self::new("InvalidMessageError", error, Remedy::FixCall)
    }
}
