//! Messages that come later: taking one back, and what brokers tell each other about them.

use ferromq_broker::Broker;
use ferromq_broker::members::Peer;
use ferromq_broker::recall;
use ferromq_model::message::property;
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{Header, RecallMessage, RecallMessageResponse};

use super::requests::Outcome;
use super::{Asker, codes, safe};
use crate::remoting::reply::Reply;

/// Takes a message back that is not delivered yet.
pub(super) fn recall(broker: &Broker, peer: &Peer, request: &Command<'_>, asker: Asker) -> Outcome {
    let header = RecallMessage::decode(&request.fields)?;
    let ask = recall::Recall {
        group: header.group,
        topic: header.topic,
        handle: header.handle,
        from: peer.address,
    };
    let recalled = broker.recall(&ask).map_err(|error| {
        let region = broker.config().region.as_str();
        codes::recall(&error).with_fields(&[(property::MSG_REGION, region)])
    })?;
    let fields = RecallMessageResponse { message_id: &recalled.unique_key, region: &broker.config().region };
    let reply = Reply::success().with_fields(&fields);
    // Who is told that a message does not come must not get it after a power cut.
    Ok(safe::answer(broker, asker, recalled.placed.end, reply))
}

/// How far timers are, in the reference's 56 bytes.
pub(super) fn checkpoint(broker: &Broker) -> Outcome {
    if_enabled(broker)?;
    Ok(Reply::success().with_body(broker.timers().checkpoint().to_vec()).into())
}

/// How many messages wait for each topic.
pub(super) fn metrics(broker: &Broker) -> Outcome {
    if_enabled(broker)?;
    Ok(Reply::success().with_body(broker.timers().metrics()).into())
}

/// How far each delay level is delivered.
pub(super) fn delay_offsets(broker: &Broker) -> Outcome {
    Ok(Reply::success().with_body(broker.delay_offsets()).into())
}

fn if_enabled(broker: &Broker) -> Result<(), Reply> {
    if broker.config().timers {
        return Ok(());
    }
    Err(Reply::error(ResponseCode::SystemError, "there are no timers: timerWheelEnable is false"))
}
