//! What a client is told of what the broker does not do for it.

use ferromq_broker::fanout::AttachError;
use ferromq_broker::send::SendError;
use ferromq_mqtt::ReasonCode;
use ferromq_store::AppendError;

/// Of a message that is not taken.
pub(super) fn of_send(error: &SendError) -> ReasonCode {
    match error {
        SendError::IllegalTopic(_) | SendError::ForbiddenTopic(_) => ReasonCode::TopicNameInvalid,
        SendError::NoTopic(_) | SendError::NotWritable(_) => ReasonCode::NotAuthorized,
        SendError::Illegal(_) => ReasonCode::PacketTooLarge,
        SendError::Store(error) => of_append(error),
        SendError::NoQueue { .. }
        | SendError::Group(_)
        | SendError::Defer(_)
        | SendError::Light(_)
        | SendError::Create(_) => ReasonCode::ImplementationSpecificError,
    }
}

/// Of a message that is not stored.
pub(super) fn of_append(error: &AppendError) -> ReasonCode {
    match error {
        AppendError::TooLarge { .. } => ReasonCode::PacketTooLarge,
        AppendError::DiskFull(_)
        | AppendError::Poisoned { .. }
        | AppendError::Deleted
        | AppendError::Closed => ReasonCode::ImplementationSpecificError,
    }
}

/// Of a subscription.
pub(super) fn of_attach(error: &AttachError) -> ReasonCode {
    match error {
        AttachError::Filter(_) => ReasonCode::TopicFilterInvalid,
        AttachError::TooMany { .. } => ReasonCode::QuotaExceeded,
        AttachError::Save(_) | AttachError::Undeleted => ReasonCode::ImplementationSpecificError,
    }
}
