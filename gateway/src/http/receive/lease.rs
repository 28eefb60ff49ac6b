//! Taking messages under a lease, and giving back what nobody got.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_broker::pop::{
    Accepted, Ack, AckError, ChangeInvisible, Changed, Notice, Notified, Outcome, Pop, PopError, Popped,
    Start,
};
use ferromq_broker::pull::Forbidden;
use ferromq_broker::retry::SendBack;
use ferromq_model::filter::{SQL92, TAG};
use ferromq_model::record::Record;
use ferromq_model::{Millis, QueueId, Timestamp};
use futures_util::future::select_all;
use tokio::time::Instant;

use super::members::Share;
use super::receipt::{Key, Receipt};
use crate::http::api::Api;
use crate::http::message::{BodyForm, Shown};
use crate::http::problem::{Kind, Problem};
use crate::http::send::safe;

/// Messages of one pop.
pub(super) const MAX_MESSAGES: usize = 32;
/// A wait looks again at least this often which queues it may take from.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// Between looks that step over messages which are not wanted.
const STEP: Duration = Duration::from_millis(20);

/// Who takes what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) struct Place {
    pub(in crate::http) topic: String,
    pub(in crate::http) group: String,
}

/// What a receiver asks for, again and again.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) place: Place,
    pub(super) filter: Filter,
    pub(super) lease: Millis,
    pub(super) body: BodyForm,
}

/// Which messages.
#[derive(Debug)]
pub(super) enum Filter {
    Tags(String),
    Sql(String),
}

/// Messages that were taken. Dropped before [`Taken::delivered`], they are given back: others get them at once.
pub(super) struct Taken {
    api: Api,
    ask: Arc<Ask>,
    pub(super) receipts: Vec<Receipt>,
    /// Stored records, as many as receipts and in their order.
    records: Vec<Bytes>,
}

impl Ask {
    /// Whether it can be served at all, before an answer begins.
    pub(super) fn check(&self, api: &Api) -> Result<(), Problem> {
        api.broker().peek(&self.pop(None, 1, Duration::ZERO)).map(|_| ()).map_err(refused)
    }

    fn pop(&self, queue: Option<QueueId>, max: usize, wait: Duration) -> Pop<'_> {
        let (expression_kind, expression) = match &self.filter {
            Filter::Tags(tags) => (TAG, tags),
            Filter::Sql(sql) => (SQL92, sql),
        };
        Pop {
            group: &self.place.group,
            topic: &self.place.topic,
            queue,
            max: max.clamp(1, MAX_MESSAGES) as u32,
            invisible: self.lease,
            wait: Millis(wait.as_millis() as u64),
            born: Timestamp::ZERO,
            start: Start::Oldest,
            expression,
            expression_kind,
            in_order: false,
            attempt: None,
        }
    }
}

/// Takes up to `max` messages, and waits for the first of them until `deadline`; fewer than one then. Cancel safe: who
/// stops waiting has taken nothing.
pub(super) async fn take(api: &Api, ask: &Arc<Ask>, max: usize, deadline: Instant) -> Result<Taken, Problem> {
    let membership = api.receivers().join(api.broker(), &ask.place)?;
    let mut taken =
        Taken { api: api.clone(), ask: Arc::clone(ask), receipts: Vec::new(), records: Vec::new() };
    loop {
        let changed = membership.changed();
        let share = membership.share(api.broker(), &ask.place).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let (until, wait) = (deadline.min(Instant::now() + LOOK_AGAIN), left.min(LOOK_AGAIN));
        let found = async {
            match &share {
                Share::All => take_any(api, ask, max, wait).await,
                Share::Queues(queues) => take_of(api, ask, queues, max, until).await,
            }
        };
        let popped = tokio::select! {
            biased;
            popped = found => popped?,
            () = changed => continue,
            () = api.stopped() => return Ok(taken),
        };
        for popped in &popped {
            taken.add(popped)?;
        }
        taken.bury().await?;
        if !taken.is_empty() || left <= LOOK_AGAIN || api.is_stopping() {
            drop(membership);
            for popped in popped {
                popped.safe(api.broker()).await.map_err(refused)?;
            }
            return Ok(taken);
        }
    }
}

async fn take_any(api: &Api, ask: &Ask, max: usize, wait: Duration) -> Result<Vec<Popped>, Problem> {
    let popped = match api.broker().pop(&ask.pop(None, max, wait)).map_err(refused)? {
        Accepted::Now(popped) => popped,
        Accepted::Later(held) => held.taken().await.map_err(refused)?,
    };
    if popped.outcome == Outcome::Full {
        return Err(full());
    }
    Ok(vec![popped])
}

/// Takes from the group's queues that are ours. Waiting takes nothing: it is told of messages, and takes them then.
async fn take_of(
    api: &Api,
    ask: &Ask,
    queues: &[QueueId],
    max: usize,
    until: Instant,
) -> Result<Vec<Popped>, Problem> {
    let broker = api.broker();
    loop {
        let mut all: Vec<Popped> = Vec::new();
        let mut count = 0;
        for queue in queues {
            let pop = ask.pop(Some(*queue), max - count, Duration::ZERO);
            let popped = match broker.pop(&pop) {
                // What was taken already has to arrive.
                Err(_) if count > 0 => break,
                Err(error) => return Err(refused(error)),
                Ok(Accepted::Now(popped)) => popped,
                Ok(Accepted::Later(held)) => held.taken().await.map_err(refused)?,
            };
            count += popped.count as usize;
            all.push(popped);
            if count >= max {
                break;
            }
        }
        let wait = until.saturating_duration_since(Instant::now());
        if count > 0 || wait.is_zero() {
            return Ok(all);
        }
        let mut notices = Vec::with_capacity(queues.len());
        for queue in queues {
            match broker.notify(&ask.pop(Some(*queue), 1, wait)).map_err(refused)? {
                Notified::Now(Notice::Full) => return Err(full()),
                Notified::Now(Notice::Messages | Notice::None) => {}
                Notified::Later(held) => notices.push(Box::pin(held.answer())),
            }
        }
        if notices.is_empty() || notices.len() < queues.len() {
            // There are some that did not pass the filter, which each look steps over; or the wait is too short for a
            // notice, or no queue is ours.
            let pause = if queues.is_empty() { wait } else { STEP.min(wait) };
            tokio::time::sleep(pause).await;
        } else {
            select_all(notices).await.0.map_err(refused)?;
        }
    }
}

impl Taken {
    fn add(&mut self, popped: &Popped) -> Result<(), Problem> {
        let pop = popped.portions.iter().flat_map(|portion| {
            let (origin, queue, start) = (portion.origin, portion.queue, portion.start);
            portion.offsets.iter().map(move |offset| (Key { origin, queue, offset: *offset }, start))
        });
        let (lease, revive_queue) = (popped.invisible, popped.revive_queue);
        let receipt = |(key, start)| Receipt { key, start, popped: popped.at, lease, revive_queue };
        self.receipts.extend(pop.map(receipt));
        for piece in &popped.records {
            let mut at = 0;
            while let Ok(record) = Record::decode(&piece[at..]) {
                self.records.push(piece.slice(at..at + record.len));
                at += record.len;
            }
        }
        if self.records.len() == self.receipts.len() {
            return Ok(());
        }
        Err(Kind::Internal.because("popped messages are not those that were announced"))
    }

    /// Makes dead letters of messages that came as often as their group allows: brokers leave that to who hands out what
    /// was popped. A message leaves its lease only once its dead letter is safe.
    async fn bury(&mut self) -> Result<(), Problem> {
        let (broker, place) = (self.api.broker(), &self.ask.place);
        let most = match broker.groups().find(&place.group) {
            Some(group) => group.retry_max_times.max(0),
            None => return Ok(()),
        };
        let came_too_often = |record: &Bytes| {
            let record = Record::decode(record).ok()?;
            (record.reconsume_times > most).then_some(record.physical_offset)
        };
        let mut dead = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            let Some(offset) = came_too_often(record) else { continue };
            let ask = SendBack { group: &place.group, offset, delay_level: -1, max_reconsume_times: None };
            match broker.send_back(&ask) {
                Ok(end) => dead.push((index, end.unwrap_or_default())),
                // It is handed out once more.
                Err(error) => {
                    tracing::warn!(topic = place.topic, group = place.group, %error, "no dead letter could be made");
                }
            }
        }
        let Some(end) = dead.iter().map(|(_, end)| *end).max() else { return Ok(()) };
        safe(&self.api, end).await?;
        for (index, _) in dead.into_iter().rev() {
            self.records.remove(index);
            let receipt = self.receipts.remove(index);
            if let Err(error) = named(&self.api, &self.ask.place, &receipt, |ack| self.api.broker().ack(ack))
            {
                tracing::debug!(topic = self.ask.place.topic, %error, "a dead letter's message comes again");
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// The messages as they are shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        let broker = &self.api.broker().config().name;
        self.records.iter().zip(&self.receipts).filter_map(|(record, receipt)| {
            let record = Record::decode(record).ok()?;
            let text = receipt.show(&self.ask.place, broker);
            let deliveries = u32::try_from(record.reconsume_times).unwrap_or_default().saturating_add(1);
            let mut shown = Shown::of(&record, self.ask.body).leased(deliveries, text);
            // Messages that come again lie in another topic, which is nobody's matter.
            shown.topic = &self.ask.place.topic;
            Some(shown)
        })
    }

    /// They are on their way to the client, whose matter they are now.
    pub(super) fn delivered(mut self) {
        self.receipts.clear();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back(&self.api, &self.ask.place, &self.receipts);
    }
}

/// Ends leases, so that others get the messages at once. What fails here ends with the lease.
pub(super) fn give_back(api: &Api, place: &Place, receipts: &[Receipt]) {
    for receipt in receipts {
        if let Err(error) = change(api, place, receipt, Millis(0)) {
            tracing::debug!(topic = place.topic, group = place.group, %error, "a message stays leased");
        }
    }
}

/// Lets a message stay invisible for so long from now on.
pub(super) fn change(
    api: &Api,
    place: &Place,
    receipt: &Receipt,
    invisible: Millis,
) -> Result<Changed, AckError> {
    named(api, place, receipt, |of| api.broker().change_invisible(&ChangeInvisible { of: *of, invisible }))
}

/// Does something with a message that is out, by the name that the broker knows it by.
pub(super) fn named<T>(
    api: &Api,
    place: &Place,
    receipt: &Receipt,
    act: impl FnOnce(&Ack<'_>) -> Result<T, AckError>,
) -> Result<T, AckError> {
    act(&Ack {
        group: &place.group,
        topic: &receipt.key.topic(place)?,
        queue: Some(receipt.key.queue),
        receipt: &receipt.for_broker(&api.broker().config().name),
        offset: Some(receipt.key.offset),
    })
}

fn full() -> Problem {
    Kind::TooMany.because("as many receivers wait, or messages are out, as may (popPollingSize)")
}

fn refused(error: PopError) -> Problem {
    let text = error.to_string();
    match error {
        PopError::TooLate { .. } => Kind::RequestTimeout.because(text),
        PopError::Forbidden { what: Forbidden::Broker, .. } => Kind::NotWritable.because(text),
        PopError::Forbidden { .. } => Kind::Forbidden.because(text),
        PopError::TooMany(_) | PopError::TooLong(_) => Kind::BadRequest.because(text),
        PopError::NoTopic(_) => Kind::NoTopic.because(text),
        PopError::NoQueue { .. } => Kind::NoQueue.because(text),
        PopError::Group(error) => error.into(),
        PopError::Filter(ferromq_model::filter::FilterError::UnknownKind(_)) => {
            Kind::NotEnabled.because("filters in SQL are switched off (enablePropertyFilter)")
        }
        PopError::Filter(error) => Kind::BadRequest.because(error.to_string()),
        PopError::RetryTopic(error) => error.into(),
        PopError::Read(_) => Kind::Internal.because(text),
        PopError::Store(error) => error.into(),
    }
}
