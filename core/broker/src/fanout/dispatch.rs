//! What a message's record says of the light queues that it is in: which they are, and room for its place in each.
//!
//! The names stand in one property and the places in another, so both have a limit. A message that matches more filters is
//! stored once more for each [`MAX_FURTHER_QUEUES`] of them, as the body of a record of its own
//! ([`light::original`]): who reads a filter's queue gets it there.

use std::sync::Arc;

use ferromq_model::light::{self, MAX_FURTHER_QUEUES};
use ferromq_model::message::{NAME_END, PROPERTY_END, property};
use ferromq_store::Queue;

/// The most bytes that both properties take: half of what there may be, so that most messages have room for them.
const MAX_LEN: usize = 16 << 10;

/// Queues that one record is put into beside its own.
#[derive(Debug)]
pub(crate) struct Dispatch {
    /// The queues.
    pub(crate) queues: Arc<[Arc<Queue>]>,
    /// How many of them, the first, the sender named: without those the message is not stored.
    pub(crate) needed: usize,
    /// What ends the record's properties, with room for the places.
    pub(crate) properties: String,
}

impl Dispatch {
    /// Of queues that the record names already.
    pub(crate) fn of_named(queues: Vec<Arc<Queue>>) -> Self {
        let mut properties = String::new();
        light::reserve(&mut properties, queues.len());
        Self { needed: queues.len(), queues: queues.into(), properties }
    }

    /// Of one record: the first queues are those that the sender named. `None` if it cannot name as many.
    pub(crate) fn of(queues: Vec<Arc<Queue>>, needed: usize) -> Option<Self> {
        let fits = queues.len() <= MAX_FURTHER_QUEUES && queues.iter().map(len_of).sum::<usize>() <= MAX_LEN;
        fits.then(|| {
            let mut properties = String::with_capacity(64 + queues.iter().map(len_of).sum::<usize>());
            properties.push_str(property::INNER_MULTI_DISPATCH);
            properties.push(NAME_END as char);
            for (i, queue) in queues.iter().enumerate() {
                if i > 0 {
                    properties.push(',');
                }
                properties.push_str(queue.topic().as_str());
            }
            properties.push(PROPERTY_END as char);
            light::reserve(&mut properties, queues.len());
            Self { queues: queues.into(), needed, properties }
        })
    }

    /// Of as many records as it takes.
    pub(crate) fn split(queues: Vec<Arc<Queue>>) -> Vec<Arc<Self>> {
        let mut parts = Vec::new();
        let mut rest = queues.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut part, mut len) = (Vec::new(), 0);
            while let Some(queue) =
                rest.next_if(|queue| part.len() < MAX_FURTHER_QUEUES && len + len_of(queue) <= MAX_LEN)
            {
                len += len_of(&queue);
                part.push(queue);
            }
            parts.extend(Self::of(part, 0).map(Arc::new));
        }
        parts
    }
}

/// Bytes that a queue takes in both properties.
fn len_of(queue: &Arc<Queue>) -> usize {
    queue.topic().as_str().len() + 1 + light::reserved_len(1)
}

/// What a message's sender, and topic filters, make of it beside the one record in its own queue.
#[derive(Debug, Default)]
pub(crate) struct Further {
    /// What the message's own record names.
    pub(crate) own: Option<Arc<Dispatch>>,
    /// What did not fit there, each a record more.
    pub(crate) rest: Vec<Arc<Dispatch>>,
}

impl Further {
    /// What ends the properties of the message's own record.
    pub(crate) fn properties(&self) -> &str {
        self.own.as_ref().map_or("", |own| &own.properties)
    }
}
