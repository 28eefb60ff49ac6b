//! Ends of transactions, and replies to requests: what makes the broker turn to other clients than the one that asks.

use ferromq_broker::Broker;
use ferromq_broker::members::Peer;
use ferromq_broker::send::Send as SendAsk;
use ferromq_broker::transaction::{Decision, EndTransaction as End};
use ferromq_model::QueueOffset;
use ferromq_model::message::{MessageId, SysFlag};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    EndTransaction, Header, ResumeCheckHalfMessage, SendMessage, SendMessageResponse,
};

use super::requests::Outcome;
use super::{Asker, Handled, codes, safe, sends};
use crate::remoting::reply::Reply;

pub(super) fn end(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = EndTransaction::decode(&request.fields)?;
    let decision = match header.decision {
        SysFlag::TRANSACTION_COMMIT => Decision::Commit,
        SysFlag::TRANSACTION_ROLLBACK => Decision::Rollback,
        // Not decided yet: the reference says nothing to that at all.
        _ => return Ok(Handled::Unanswered),
    };
    let ask = End {
        group: header.group,
        half: header.half,
        at: header.at,
        decision,
        from_check: header.from_check,
    };
    let end = broker.end_transaction(&ask).map_err(|error| {
        // Clients mostly do not want to know, so that the operator has to.
        tracing::warn!(group = header.group, at = %header.at, %error, "a transaction did not end");
        codes::end_transaction(&error)
    })?;
    Ok(safe::answer(broker, asker, end.unwrap_or_default(), Reply::success()))
}

pub(super) fn resume_check(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = ResumeCheckHalfMessage::decode(&request.fields)?;
    let id = header.message_id.and_then(MessageId::parse).ok_or_else(|| {
        Reply::error(ResponseCode::SystemError, "msgId is not the place of a message on a broker")
    })?;
    let end = broker.resume_transaction_check(id).map_err(|error| codes::resume(&error))?;
    Ok(safe::answer(broker, asker, end, Reply::success()))
}

pub(super) fn reply(broker: &Broker, peer: &Peer, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = SendMessage::decode(&request.fields)?;
    let send = SendAsk { is_batch: false, ..sends::ask(&header, peer, request) };
    let replied = broker.reply(&send, header.group).map_err(|error| codes::send(&error))?;
    let broker = broker.clone();
    Ok(Handled::Later(Box::pin(async move {
        let taken = match replied.pushed {
            Ok(pushed) => pushed.taken().await,
            Err(error) => Err(error),
        };
        let mut stored = replied.stored;
        if let Some(placed) = stored
            && broker.store().flushes_before_ack()
            && let Err(error) = broker.store().flushed_to(placed.end).await
        {
            tracing::warn!(%error, "a reply cannot be stored");
            stored = None;
        }
        let id = stored.map_or_else(|| "0".to_owned(), |at| broker.message_id(at.physical).to_string());
        let fields = SendMessageResponse {
            message_id: &id,
            queue: replied.queue,
            offset: stored.map_or(QueueOffset::ZERO, |placed| placed.queue_offset),
            transaction_id: None,
            batch_id: None,
            recall_handle: None,
            region: &broker.config().region,
            trace: broker.config().trace_on,
        };
        let reply = match taken {
            Ok(()) => Reply::success(),
            Err(error) => Reply::error(ResponseCode::SystemError, error.to_string()),
        };
        (asker, reply.with_fields(&fields))
    })))
}
