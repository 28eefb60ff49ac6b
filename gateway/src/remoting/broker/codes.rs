//! Which error is which response code. Each match is exhaustive on purpose: a new error has to be given its code here.

use ferromq_broker::assignment::SetModeError;
use ferromq_broker::deferral::DeferError;
use ferromq_broker::groups::GroupError;
use ferromq_broker::light::LightError;
use ferromq_broker::live::ChangeError;
use ferromq_broker::pop::{AckError, PopError};
use ferromq_broker::pull::{Forbidden, PullError};
use ferromq_broker::recall::RecallError;
use ferromq_broker::resets::ResetError;
use ferromq_broker::retry::SendBackError;
use ferromq_broker::send::SendError;
use ferromq_broker::topics::TopicError;
use ferromq_broker::transaction::{EndTransactionError, ResumeError};
use ferromq_model::filter::FilterError;
use ferromq_model::{Millis, Timestamp};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::header::PopMessageResponse;
use ferromq_store::AppendError;

use crate::remoting::reply::Reply;

pub(super) fn append(error: &AppendError) -> Reply {
    let code = match error {
        AppendError::TooLarge { .. } => ResponseCode::MessageIllegal,
        // Clients try another broker on this code.
        AppendError::DiskFull(_) | AppendError::Poisoned { .. } | AppendError::Closed => {
            ResponseCode::ServiceNotAvailable
        }
        AppendError::Deleted => ResponseCode::TopicNotExist,
    };
    let text = match error {
        AppendError::DiskFull(_) | AppendError::Poisoned { .. } | AppendError::Closed => {
            format!("service not available now. {error}")
        }
        AppendError::TooLarge { .. } | AppendError::Deleted => error.to_string(),
    };
    Reply::error(code, text)
}

pub(super) fn group(error: &GroupError) -> Reply {
    let code = match error {
        GroupError::Unknown(_) => ResponseCode::SubscriptionGroupNotExist,
        GroupError::Name(_) | GroupError::RetryQueues(_) => ResponseCode::InvalidParameter,
        GroupError::Attribute(_)
        | GroupError::TooMany
        | GroupError::TooManyForbidden
        | GroupError::Save(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn set_mode(error: &SetModeError) -> Reply {
    let code = match error {
        SetModeError::RetryTopic => ResponseCode::NoPermission,
        SetModeError::UnknownTopic(_) => ResponseCode::TopicNotExist,
        SetModeError::Group(error) => return group(error),
        SetModeError::Name(_) => ResponseCode::InvalidParameter,
        SetModeError::TooMany | SetModeError::Save(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn change(error: &ChangeError) -> Reply {
    /// Keys that the reference has and lets nobody change by request.
    const KEPT: [&str; 2] = ["brokerConfigPath", "configBlackList"];
    let code = match error {
        ChangeError::Unknown(key) if KEPT.contains(&key.as_str()) => ResponseCode::NoPermission,
        ChangeError::Unknown(_) | ChangeError::Value { .. } | ChangeError::TooMany => {
            ResponseCode::InvalidParameter
        }
        // As the reference answers for keys that may not be changed by request.
        ChangeError::NotLive { .. } => ResponseCode::NoPermission,
        ChangeError::Save(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn topic(error: &TopicError) -> Reply {
    let code = match error {
        TopicError::Name(_) | TopicError::System(_) | TopicError::OutOfRange { .. } => {
            ResponseCode::InvalidParameter
        }
        TopicError::Unknown(_) => ResponseCode::TopicNotExist,
        TopicError::TooMany | TopicError::Save(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn send(error: &SendError) -> Reply {
    let code = match error {
        SendError::Store(error) => return append(error),
        SendError::Group(error) => return group(error),
        SendError::Create(error) => return topic(error),
        SendError::Defer(error) => return defer(error),
        SendError::IllegalTopic(_) | SendError::NoQueue { .. } => ResponseCode::InvalidParameter,
        SendError::ForbiddenTopic(_) | SendError::NotWritable(_) => ResponseCode::NoPermission,
        SendError::NoTopic(_) => ResponseCode::TopicNotExist,
        SendError::Light(LightError::TooMany { .. }) => ResponseCode::SystemError,
        SendError::Illegal(_) | SendError::Light(LightError::List(_)) => ResponseCode::MessageIllegal,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn defer(error: &DeferError) -> Reply {
    let code = match error {
        DeferError::Illegal { .. } => ResponseCode::MessageIllegal,
        // As the reference: clients that try again on this code do so elsewhere.
        DeferError::NoTimers | DeferError::Congested { .. } => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn recall(error: &RecallError) -> Reply {
    let code = match error {
        RecallError::Forbidden => ResponseCode::NoPermission,
        RecallError::Unavailable => ResponseCode::ServiceNotAvailable,
        RecallError::NoTopic(_) => ResponseCode::TopicNotExist,
        RecallError::Handle(_) => ResponseCode::IllegalOperation,
        RecallError::Store(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn send_back(error: &SendBackError) -> Reply {
    let code = match error {
        SendBackError::Group(error) => return group(error),
        SendBackError::Topic(error) => return send(error),
        SendBackError::Store(error) => return append(error),
        SendBackError::NotWritable(_) => ResponseCode::NoPermission,
        SendBackError::NoMessage(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn filter(error: &FilterError) -> Reply {
    let code = match error {
        FilterError::UnknownKind(_) | FilterError::Class => ResponseCode::SystemError,
        FilterError::Syntax(_) => ResponseCode::SubscriptionParseFailed,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn pull(error: &PullError) -> Reply {
    let code = match error {
        PullError::Group(error) => return group(error),
        PullError::Forbidden { what, .. } => {
            let kind = match what {
                Forbidden::Broker => "1",
                Forbidden::Group => "2",
                Forbidden::Topic => "3",
                Forbidden::Broadcast => "4",
                Forbidden::Subscription => "5",
            };
            let reply = Reply::error(ResponseCode::NoPermission, error.to_string());
            return reply.with_fields(&[("forbiddenType", kind)]);
        }
        PullError::NoTopic(_) => ResponseCode::TopicNotExist,
        PullError::NoQueue { .. } => ResponseCode::InvalidParameter,
        PullError::NotSubscribed => ResponseCode::SubscriptionNotExist,
        PullError::SubscriptionOutdated => ResponseCode::SubscriptionNotLatest,
        PullError::Filter(error) => return filter(error),
        PullError::NoFilter(FilterError::Syntax(_)) => ResponseCode::FilterDataNotExist,
        PullError::NoFilter(FilterError::UnknownKind(_) | FilterError::Class) | PullError::Store(_) => {
            ResponseCode::SystemError
        }
    };
    Reply::error(code, error.to_string())
}

pub(super) fn reset(error: &ResetError) -> Reply {
    let code = match error {
        ResetError::NoTopic(_) => ResponseCode::TopicNotExist,
        ResetError::NoGroup(_) => ResponseCode::SubscriptionGroupNotExist,
        ResetError::NotOnline { .. } => ResponseCode::ConsumerNotOnline,
        ResetError::NoQueue { .. } => ResponseCode::InvalidParameter,
        ResetError::OutOfRange { .. } | ResetError::NeverConsumed(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn pop(error: &PopError) -> Reply {
    let code = match error {
        PopError::Group(error) => return group(error),
        PopError::Store(error) => return append(error),
        PopError::TooLate { .. } => {
            // Clients read these without looking whether they are there.
            let nothing = PopMessageResponse {
                popped: Timestamp::ZERO,
                invisible: Millis(0),
                revive_queue: 0,
                rest: 0,
                starts: "",
                offsets: "",
                order_counts: None,
            };
            return Reply::error(ResponseCode::PollingTimeout, error.to_string()).with_fields(&nothing);
        }
        PopError::Forbidden { .. } => ResponseCode::NoPermission,
        PopError::NoTopic(_) => ResponseCode::TopicNotExist,
        PopError::TooMany(_) | PopError::TooLong(_) | PopError::NoQueue { .. } | PopError::RetryTopic(_) => {
            ResponseCode::InvalidParameter
        }
        PopError::Filter(_) => ResponseCode::SubscriptionParseFailed,
        PopError::Read(_) => ResponseCode::SystemError,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn ack(error: &AckError) -> Reply {
    let code = match error {
        AckError::Store(error) => return append(error),
        AckError::NoTopic(_) => ResponseCode::TopicNotExist,
        AckError::NoQueue { .. } | AckError::Receipt(_) | AckError::NotHandedOut(_) => {
            ResponseCode::MessageIllegal
        }
        AckError::NoMessage { .. } => ResponseCode::NoMessage,
        AckError::Name(_) | AckError::TooLong(_) => ResponseCode::InvalidParameter,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn end_transaction(error: &EndTransactionError) -> Reply {
    let code = match error {
        EndTransactionError::Store(error) => return append(error),
        EndTransactionError::NotFound
        | EndTransactionError::WrongGroup
        | EndTransactionError::WrongHalf
        | EndTransactionError::WrongPlace
        | EndTransactionError::Undeliverable(_) => ResponseCode::SystemError,
        EndTransactionError::Late => ResponseCode::IllegalOperation,
        EndTransactionError::Busy => ResponseCode::SystemBusy,
    };
    Reply::error(code, error.to_string())
}

pub(super) fn resume(error: &ResumeError) -> Reply {
    match error {
        ResumeError::NotFound | ResumeError::Store(_) => {
            Reply::error(ResponseCode::SystemError, error.to_string())
        }
    }
}
