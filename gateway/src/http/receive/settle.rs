//! Acknowledging leased messages, giving them back, and keeping them longer: many at once, each with its own result.

use ferromq_broker::pop::{AckBatch, AckError, AckTicket};
use ferromq_model::{Millis, PhysicalOffset};
use ferromq_store::AppendError;
use serde::Serialize;
use utoipa::ToSchema;

use super::lease::{self, Place, named};
use super::receipt::Receipt;
use crate::http::api::Api;
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::http::send::safe;

/// Receipts of one request.
pub(super) const MAX_RECEIPTS: usize = 1_000;

/// What is to become of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// They are done.
    Ack,
    /// They come again after this long.
    Nack(Millis),
    /// Their lease is this long, from now on.
    Extend(Millis),
}

/// What became of one message.
#[derive(Debug)]
pub(super) struct Settled {
    /// The receipt that came; with an extended lease, the new one.
    receipt: String,
    result: Result<(), Problem>,
}

/// What became of one message, as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settled)]
pub(super) struct SettledBody<'a> {
    /// The receipt that came; with an extended lease, the new one.
    #[schema(value_type = String)]
    receipt: &'a str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody<'a>>,
}

impl Settled {
    pub(super) fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    pub(super) fn body(&self) -> SettledBody<'_> {
        let error = self.result.as_ref().err().map(|problem| problem.body(None));
        SettledBody { receipt: &self.receipt, error }
    }
}

/// Does so with all of them; returns once that is as safe as the flush mode promises. The results are in their order.
pub(super) async fn settle(
    api: &Api,
    place: &Place,
    receipts: Vec<String>,
    act: Act,
) -> Result<Vec<Settled>, Problem> {
    if receipts.is_empty() || receipts.len() > MAX_RECEIPTS {
        let why = format!("1 to {MAX_RECEIPTS} receipts are taken at once, these are {}", receipts.len());
        return Err(Kind::BadRequest.because(why));
    }
    let (settled, end) = {
        let (mut settling, mut settled) = (Settling::new(api, place), Vec::with_capacity(receipts.len()));
        for receipt in receipts {
            settling.take(receipt, act, &mut settled);
        }
        settling.commit(&mut settled);
        (settled, settling.end)
    };
    safe(api, end).await?;
    Ok(settled)
}

struct Settling<'a> {
    api: &'a Api,
    place: &'a Place,
    batch: AckBatch,
    /// Acknowledgements of the batch, by their place among the results.
    pending: Vec<(usize, AckTicket, Receipt)>,
    end: PhysicalOffset,
}

impl<'a> Settling<'a> {
    fn new(api: &'a Api, place: &'a Place) -> Self {
        Self { api, place, batch: AckBatch::new(), pending: Vec::new(), end: PhysicalOffset::ZERO }
    }

    fn take(&mut self, text: String, act: Act, settled: &mut Vec<Settled>) {
        let result = self.try_one(&text, act, settled.len());
        settled.push(match result {
            Ok(new) => Settled { receipt: new.unwrap_or(text), result: Ok(()) },
            Err(problem) => Settled { receipt: text, result: Err(problem) },
        });
        if self.batch.is_full() {
            self.commit(settled);
        }
    }

    /// Does one; with an extended lease, its new receipt.
    fn try_one(&mut self, text: &str, act: Act, index: usize) -> Result<Option<String>, Problem> {
        let Self { api, place, .. } = *self;
        let name = &api.broker().config().name;
        let receipt = Receipt::parse(text, place, name)?;
        let now = api.broker().store().now();
        if receipt.end() <= now {
            let late = now.since(receipt.end());
            return Err(Kind::LeaseExpired.because(format!("the lease ended {late} ago")));
        }
        match act {
            Act::Ack => {
                let batch = &mut self.batch;
                let ticket = named(api, place, &receipt, |ack| api.broker().prepare_ack(batch, ack))?;
                self.pending.push((index, ticket, receipt));
                Ok(None)
            }
            Act::Nack(delay) => {
                let changed = lease::change(api, place, &receipt, delay)?;
                self.end = self.end.max(changed.end);
                api.streams().settled(place, receipt.key);
                Ok(None)
            }
            Act::Extend(lease) => {
                let changed = lease::change(api, place, &receipt, lease)?;
                self.end = self.end.max(changed.end);
                let new = Receipt {
                    start: receipt.key.offset,
                    popped: changed.popped,
                    lease: changed.invisible,
                    revive_queue: changed.revive_queue,
                    ..receipt
                };
                api.streams().extended(place, new);
                Ok(Some(new.show(place, name)))
            }
        }
    }

    fn commit(&mut self, settled: &mut [Settled]) {
        let outcome = self.api.broker().commit_acks(&mut self.batch);
        for (index, ticket, receipt) in self.pending.drain(..) {
            match (self.batch.end(ticket), &outcome) {
                (Some(end), _) => {
                    self.end = self.end.max(end);
                    self.api.streams().settled(self.place, receipt.key);
                }
                (None, Err(error)) => settled[index].result = Err(error.clone().into()),
                (None, Ok(())) => settled[index].result = Err(AppendError::Closed.into()),
            }
        }
        self.batch.clear();
    }
}

impl From<AckError> for Problem {
    fn from(error: AckError) -> Self {
        let text = error.to_string();
        match error {
            AckError::NoTopic(_) => Kind::NoTopic.because(text),
            AckError::NoQueue { .. } | AckError::NoMessage { .. } => Kind::NoMessage.because(text),
            AckError::Receipt(_) | AckError::NotHandedOut(_) => Kind::InvalidReceipt.because(text),
            AckError::TooLong(_) => Kind::BadRequest.because(text),
            AckError::Name(error) => error.into(),
            AckError::Store(error) => error.into(),
        }
    }
}
