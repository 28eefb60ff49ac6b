//! Clean-ups that operators ask for beside those that the broker makes by itself.

use std::io;

use ferromq_broker::Broker;
use ferromq_protocol::code::ResponseCode;

use super::{Asker, Outcome};
use crate::remoting::broker::requests::blocking;
use crate::remoting::reply::Reply;

/// Deletes queues whose messages are all gone.
pub(super) fn expired_queues(broker: &Broker, asker: Asker) -> Outcome {
    let broker = broker.clone();
    blocking(asker, move || reply(broker.delete_expired_queues()))
}

/// Deletes queues of topics that do not exist.
pub(super) fn unknown_topics(broker: &Broker, asker: Asker) -> Outcome {
    let broker = broker.clone();
    blocking(asker, move || reply(broker.delete_unknown_topics()))
}

/// Lets log files go that are old enough, whatever the hour. As in the reference the answer does not wait for it.
pub(super) fn expired_log(broker: &Broker) -> Outcome {
    broker.store().delete_expired_log();
    Ok(Reply::success().into())
}

fn reply(deleted: io::Result<usize>) -> Reply {
    match deleted {
        Ok(_) => Reply::success(),
        Err(error) => Reply::error(ResponseCode::SystemError, error.to_string()),
    }
}
