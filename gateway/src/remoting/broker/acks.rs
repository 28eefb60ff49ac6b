//! Acknowledgements of one connection: collected, stored by one append, answered together, with sync flush once the disk
//! has them.

use ferromq_broker::Broker;
use ferromq_broker::pop::{Ack, AckBatch, AckTicket};
use ferromq_net::Outbox;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::{AckMessage, Header};
use ferromq_store::AppendError;

use super::{Asker, Later, codes, safe};
use crate::remoting::reply::Reply;

#[derive(Default)]
pub(super) struct Acks {
    batch: AckBatch,
    pending: Vec<(Asker, AckTicket)>,
}

impl Acks {
    pub(super) fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Takes one in, or refuses it.
    pub(super) fn prepare(
        &mut self,
        broker: &Broker,
        request: &Command<'_>,
        out: &mut Outbox,
        later: &mut impl Extend<Later>,
    ) {
        if self.batch.is_full() {
            self.commit(broker, out, later);
        }
        let asker = Asker::of(request);
        let header = match AckMessage::decode(&request.fields) {
            Ok(header) => header,
            Err(error) => return asker.answer(error.into(), out),
        };
        let ask = Ack {
            group: header.group,
            topic: header.topic,
            queue: header.queue,
            receipt: header.receipt,
            offset: header.offset,
        };
        match broker.prepare_ack(&mut self.batch, &ask) {
            Ok(ticket) => self.pending.push((asker, ticket)),
            Err(error) => asker.answer(codes::ack(&error), out),
        }
    }

    /// Stores what was taken in, and answers what need not wait.
    pub(super) fn commit(&mut self, broker: &Broker, out: &mut Outbox, later: &mut impl Extend<Later>) {
        if self.pending.is_empty() {
            return;
        }
        let outcome = broker.commit_acks(&mut self.batch);
        for (asker, ticket) in self.pending.drain(..) {
            match (self.batch.end(ticket), &outcome) {
                (Some(end), _) => match safe::wait(broker, asker, end) {
                    None => asker.answer(Reply::success(), out),
                    Some(safe) => later.extend([safe::behind(safe, asker, Reply::success())]),
                },
                (None, Err(error)) => asker.answer(codes::append(error), out),
                (None, Ok(())) => asker.answer(codes::append(&AppendError::Closed), out),
            }
        }
        self.batch.clear();
    }
}
