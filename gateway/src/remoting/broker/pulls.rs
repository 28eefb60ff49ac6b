//! Pulls: one call, and one answer whose body is the stored records as they lie in the log.

use ferromq_broker::Broker;
use ferromq_broker::pull::{Accepted, Outcome, Pull, PullError, Pulled, Wanted};
use ferromq_model::filter::FilterError;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{Header, PullFlags, PullMessage, PullMessageResponse};

use super::{Asker, Handled, codes};
use crate::remoting::reply::Reply;

pub(super) fn pull(broker: &Broker, request: &Command<'_>, asker: Asker) -> Handled {
    let header = match PullMessage::decode(&request.fields) {
        Ok(header) => header,
        Err(error) => return Reply::from(error).into(),
    };
    if header.flags.has(PullFlags::CLASS_FILTER) {
        return codes::filter(&FilterError::Class).into();
    }
    let ask = Pull {
        group: header.group,
        topic: header.topic,
        queue: Some(header.queue),
        from: header.from,
        max: header.max,
        commit: header.commit.filter(|_| header.flags.has(PullFlags::COMMIT)),
        wanted: if header.flags.has(PullFlags::SUBSCRIPTION) {
            Wanted::Expression { text: header.subscription.unwrap_or_default(), kind: header.expression_type }
        } else {
            Wanted::Subscribed { version: header.subscription_version }
        },
        hold: Some(header.wait).filter(|_| header.flags.has(PullFlags::SUSPEND)),
    };
    match broker.pull(&ask) {
        Ok(Accepted::Now(pulled)) => answer(Ok(pulled)).into(),
        Ok(Accepted::Held(held)) => {
            let broker = broker.clone();
            Handled::Later(Box::pin(async move { (asker, answer(held.answer(broker).await)) }))
        }
        Err(error) => answer(Err(error)).into(),
    }
}

fn answer(pulled: Result<Pulled, PullError>) -> Reply {
    let pulled = match pulled {
        Ok(pulled) => pulled,
        Err(error) => return codes::pull(&error),
    };
    let flag = |flag: i32| Some(flag).filter(|&flag| flag != 0);
    let header = |next| PullMessageResponse {
        next_broker: 0,
        next,
        min: pulled.min,
        max: pulled.max,
        offset_delta: None,
        topic_sys_flag: flag(pulled.topic_flag),
        group_sys_flag: flag(pulled.group_flag),
        forbidden: None,
    };
    match pulled.outcome {
        Outcome::Found(found) => {
            let mut reply = Reply::success().with_fields(&header(found.next));
            reply.body = found.records;
            reply
        }
        // The reference answers exactly-at-the-end with NOT_FOUND and only beyond it with OFFSET_MOVED: on MOVED a
        // client drops what it buffered and starts over where it is told, so the two must not be merged.
        Outcome::AtEnd { next } => Reply::new(ResponseCode::PullNotFound).with_fields(&header(next)),
        Outcome::NoMatch { next } => {
            Reply::new(ResponseCode::PullRetryImmediately).with_fields(&header(next))
        }
        Outcome::Moved { next } => Reply::new(ResponseCode::PullOffsetMoved).with_fields(&header(next)),
    }
}
