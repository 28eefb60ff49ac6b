//! Which queues a member of a group gets, and whether it pulls or pops them.

use ferromq_broker::Broker;
use ferromq_broker::assignment::{Ask, Assigned, GroupMode, RequestMode, Strategy};
use ferromq_model::config::ConfigValue as _;
use ferromq_model::subscription::MessageModel;
use ferromq_protocol::body::{
    self, AssignedQueue, Assignment, QueryAssignmentRequest, QueryAssignmentResponse, SetMessageRequestMode,
};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;

use super::requests::{Outcome, blocking};
use super::{Asker, Handled, codes};
use crate::remoting::reply::Reply;

pub(super) fn query(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let ask: QueryAssignmentRequest = body::decode(request.body)?;
    let model = match &*ask.message_model {
        "CLUSTERING" => MessageModel::Clustering,
        "BROADCASTING" => MessageModel::Broadcasting,
        other => {
            let text = format!("messageModel [{other}] is neither CLUSTERING nor BROADCASTING");
            return Err(Reply::error(ResponseCode::InvalidParameter, text));
        }
    };
    let broker = broker.clone();
    Ok(Handled::Later(Box::pin(async move {
        let asked = Ask {
            group: &ask.consumer_group,
            topic: &ask.topic,
            client: &ask.client_id,
            model,
            strategy: Strategy::named(&ask.strategy_name),
        };
        let wire = |mode: RequestMode, assigned: Assigned| Assignment {
            message_queue: AssignedQueue {
                broker_name: assigned.broker,
                queue_id: assigned.queue.map_or(-1, |queue| queue.0 as i32),
                topic: ask.topic.clone(),
            },
            mode: mode.show(),
        };
        // Without a list the member keeps what it has.
        let assignments = broker
            .assign(asked)
            .await
            .map(|(mode, queues)| queues.into_iter().map(|assigned| wire(mode, assigned)).collect());
        let answer = QueryAssignmentResponse { message_queue_assignments: assignments };
        (asker, Reply::success().with_body(body::encode(&answer)))
    })))
}

pub(super) fn set_mode(broker: &Broker, request: &Command<'_>, asker: Asker) -> Outcome {
    let ask: SetMessageRequestMode = body::decode(request.body)?;
    let mode = RequestMode::parse(&ask.mode).map_err(|why| {
        let text = format!("mode: {why}, it is {}", RequestMode::allowed());
        Reply::error(ResponseCode::InvalidParameter, text)
    })?;
    let broker = broker.clone();
    blocking(asker, move || {
        let mode = GroupMode { mode, pop_share: ask.pop_share_queue_num };
        match broker.set_request_mode(&ask.consumer_group, &ask.topic, mode) {
            Ok(()) => Reply::success(),
            Err(error) => codes::set_mode(&error),
        }
    })
}

pub(super) fn all_modes(broker: &Broker) -> Outcome {
    Ok(Reply::success().with_body(broker.request_modes_json().into_bytes()).into())
}
