//! Pops, acknowledgements, and what else consumers ask who pop: one call each.

use std::fmt::Write as _;

use ferromq_broker::Broker;
use ferromq_broker::pop::receipt::Origin;
use ferromq_broker::pop::{
    self, Accepted, AckError, AckSome, Notice, Notified, Outcome as PopOutcome, Pop, PopError, Popped,
    Portion, Start,
};
use ferromq_model::{Millis, QueueId, Timestamp};
use ferromq_protocol::body::{self, BatchAck, BatchAckRequest};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{
    ChangeInvisibleTime, ChangeInvisibleTimeResponse, Header, Notification, NotificationResponse,
    PeekMessage, PollingInfo, PollingInfoResponse, PopMessage, PopMessageResponse,
};

use super::requests::Outcome;
use super::{Asker, Handled, codes, safe};
use crate::remoting::reply::Reply;

/// Pops that one batch of acknowledgements may be for.
const MAX_ACKED_POPS: usize = 4096;
/// Messages of one pop.
const MAX_ACKED_MESSAGES: usize = 64;

pub(super) fn pop(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = PopMessage::decode(&request.fields)?;
    let ask = Pop {
        group: header.group,
        topic: header.topic,
        queue: header.queue,
        max: header.max,
        invisible: header.invisible,
        wait: header.wait,
        born: header.born,
        start: if header.start == 0 { Start::Oldest } else { Start::Newest },
        expression: header.expression,
        expression_kind: header.expression_kind,
        in_order: header.order,
        attempt: header.attempt,
    };
    match broker.pop(&ask).map_err(|error| codes::pop(&error))? {
        Accepted::Now(popped) => Ok(answer(popped).into()),
        Accepted::Later(held) => Ok(Handled::Later(Box::pin(async move {
            (asker, held.answer().await.map_or_else(|error| codes::pop(&error), answer))
        }))),
    }
}

pub(super) fn peek(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = PeekMessage::decode(&request.fields)?;
    let ask = Pop {
        queue: header.queue,
        max: header.max,
        ..waiting(header.group, header.topic, Millis(0), Timestamp::ZERO)
    };
    let popped = broker.peek(&ask).map_err(|error| codes::pop(&error))?;
    let mut reply = answer(popped);
    if reply.code == ResponseCode::PollingTimeout {
        reply.code = ResponseCode::PullNotFound;
    }
    Ok(reply.into())
}

fn waiting<'a>(group: &'a str, topic: &'a str, wait: Millis, born: Timestamp) -> Pop<'a> {
    Pop {
        group,
        topic,
        queue: None,
        max: 1,
        invisible: Millis(0),
        wait,
        born,
        start: Start::Oldest,
        expression: "",
        expression_kind: "",
        in_order: false,
        attempt: None,
    }
}

fn answer(popped: Popped) -> Reply {
    let (code, remark) = match popped.outcome {
        PopOutcome::Found => (ResponseCode::Success, "FOUND"),
        PopOutcome::Nothing => (ResponseCode::PollingTimeout, "NO_MESSAGE_IN_QUEUE"),
        PopOutcome::Full => (ResponseCode::PollingFull, "NO_MESSAGE_IN_QUEUE"),
    };
    let (mut starts, mut offsets, mut counts) = (String::new(), String::new(), None::<String>);
    for portion in &popped.portions {
        write_portion(portion, &mut starts, &mut offsets);
        write_counts(portion, &mut counts);
    }
    let header = PopMessageResponse {
        popped: popped.at,
        invisible: popped.invisible,
        revive_queue: popped.revive_queue,
        rest: popped.rest,
        starts: &starts,
        offsets: &offsets,
        order_counts: counts.as_deref(),
    };
    let mut reply = Reply::error(code, remark).with_fields(&header);
    reply.body = popped.records;
    reply
}

/// `origin queue start` and `origin queue offset,offset`; portions are parted by `;`.
fn write_portion(portion: &Portion, starts: &mut String, offsets: &mut String) {
    for text in [&mut *starts, &mut *offsets] {
        if !text.is_empty() {
            text.push(';');
        }
    }
    let (flag, queue) = (portion.origin.flag(), portion.queue);
    let _ = write!(starts, "{flag} {queue} {}", portion.start);
    let _ = write!(offsets, "{flag} {queue}");
    let mut before = ' ';
    for offset in &portion.offsets {
        let _ = write!(offsets, "{before}{offset}");
        before = ',';
    }
}

/// `origin qo<queue>%<offset> count` for those that were handed out before, and `origin queue count` for the least.
fn write_counts(portion: &Portion, text: &mut Option<String>) {
    let Some(counts) = &portion.counts else { return };
    let text = text.get_or_insert_default();
    let (flag, queue) = (portion.origin.flag(), portion.queue);
    for (offset, count) in &counts.counted {
        let _ = write!(text, "{}{flag} qo{queue}%{offset} {count}", if text.is_empty() { "" } else { ";" });
    }
    let _ = write!(text, "{}{flag} {queue} {}", if text.is_empty() { "" } else { ";" }, counts.least);
}

pub(super) fn ack_batch(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let ask: BatchAckRequest = body::decode(request.body)?;
    if ask.acks.len() > MAX_ACKED_POPS {
        let text = format!("a batch may be for {MAX_ACKED_POPS} pops, this one is for {}", ask.acks.len());
        return Err(Reply::error(ResponseCode::InvalidParameter, text));
    }
    let parts: Result<Vec<_>, _> = ask.acks.iter().map(acked_of).collect();
    let end = parts.and_then(|parts| broker.ack_some(&parts)).map_err(|error| codes::ack(&error))?;
    Ok(safe::answer(broker, asker, end, Reply::success()))
}

fn acked_of(ack: &BatchAck) -> Result<AckSome<'_>, AckError> {
    let unreadable = || AckError::Receipt(ack.bits.chars().take(64).collect());
    Ok(AckSome {
        group: &ack.group,
        topic: &ack.topic,
        origin: if ack.retry.is_empty() {
            Origin::Topic
        } else {
            Origin::parse(&ack.retry).ok_or_else(unreadable)?
        },
        queue: ack.queue,
        start: ack.start,
        popped: ack.popped,
        revive_queue: ack.revive_queue,
        offsets: ack.offsets(MAX_ACKED_MESSAGES).ok_or_else(unreadable)?,
    })
}

pub(super) fn change_invisible(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = ChangeInvisibleTime::decode(&request.fields)?;
    let of = pop::Ack {
        group: header.group,
        topic: header.topic,
        queue: header.queue,
        receipt: header.receipt,
        offset: header.offset,
    };
    let ask = pop::ChangeInvisible { of, invisible: header.invisible };
    let changed = broker.change_invisible(&ask).map_err(|error| codes::ack(&error))?;
    let fields = ChangeInvisibleTimeResponse {
        popped: changed.popped,
        invisible: changed.invisible,
        revive_queue: changed.revive_queue,
    };
    Ok(safe::answer(broker, asker, changed.end, Reply::success().with_fields(&fields)))
}

pub(super) fn notification(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = Notification::decode(&request.fields)?;
    let ask = Pop {
        queue: header.queue,
        in_order: header.order,
        attempt: header.attempt,
        ..waiting(header.group, header.topic, header.wait, header.born)
    };
    let answer = |notice: Result<Notice, PopError>| match notice {
        Ok(notice) => Reply::success().with_fields(&NotificationResponse {
            has_messages: notice == Notice::Messages,
            full: notice == Notice::Full,
        }),
        Err(error) => codes::pop(&error),
    };
    match broker.notify(&ask) {
        Ok(Notified::Now(notice)) => Ok(answer(Ok(notice)).into()),
        Ok(Notified::Later(held)) => {
            Ok(Handled::Later(Box::pin(async move { (asker, answer(held.answer().await)) })))
        }
        Err(error) => Err(codes::pop(&error)),
    }
}

pub(super) fn polling_info(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = PollingInfo::decode(&request.fields)?;
    let topic = broker.topics().find(header.topic);
    let topic = topic.ok_or_else(|| codes::pop(&PopError::NoTopic(header.topic.to_owned())))?;
    let queues = topic.config().read_queue_nums;
    if let Some(QueueId(queue)) = header.queue.filter(|queue| queue.0 >= queues) {
        let topic = header.topic.to_owned();
        return Err(codes::pop(&PopError::NoQueue { queue, topic, queues }));
    }
    broker.groups().find_or_create(header.group).map_err(|error| codes::group(&error))?;
    let waiting = broker.waiting_pops(header.group, header.topic, header.queue);
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    Ok(Reply::success().with_fields(&PollingInfoResponse { waiting }).into())
}
