//! Answers that wait until what they tell of is as safe as the flush mode promises: with sync flush, on the disk.

use ferromq_broker::Broker;
use ferromq_model::PhysicalOffset;
use ferromq_store::AppendError;

use super::{Asker, Handled, Later, codes};
use crate::remoting::reply::Reply;

/// `reply`, once what is stored up to `end` is safe; why it is not, if it cannot be.
pub(super) fn answer(broker: &Broker, asker: Asker, end: PhysicalOffset, reply: Reply) -> Handled {
    match wait(broker, asker, end) {
        None => reply.into(),
        Some(safe) => Handled::Later(behind(safe, asker, reply)),
    }
}

/// What has to be waited for until what is stored up to `end` is safe; `None` if it is, or nobody is to hear of it.
pub(super) fn wait(
    broker: &Broker,
    asker: Asker,
    end: PhysicalOffset,
) -> Option<impl Future<Output = Result<(), AppendError>> + Send + use<>> {
    let waits = broker.store().flushes_before_ack() && end > PhysicalOffset::ZERO && !asker.oneway;
    waits.then(|| {
        let store = broker.store().clone();
        async move { store.flushed_to(end).await }
    })
}

/// The answer behind that wait.
pub(super) fn behind(
    safe: impl Future<Output = Result<(), AppendError>> + Send + 'static,
    asker: Asker,
    reply: Reply,
) -> Later {
    Box::pin(async move { (asker, safe.await.map_or_else(|error| codes::append(&error), |()| reply)) })
}
