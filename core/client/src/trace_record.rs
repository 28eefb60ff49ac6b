//! What clients tell about messages on their way: records, gathered into the bodies of ordinary messages of the trace topic.
//!
//! ```text
//! body    Pub ␁ 1700000000123 ␁ DefaultRegion ␁ G ␁ T ␁ 7F00… ␁ … ␂ SubBefore ␁ …  ␂
//! KEYS    7F00… order-17 …      ids and keys of the messages told about: a query by any of them finds the record
//! ```
//! Texts are written as official clients write them, down to `null` for what a message does not have, since official
//! tools read them. None may hold the two separators; names, ids and what comes from properties cannot.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use bytes::Bytes;
use ferromq_model::{Millis, Timestamp};

const FIELD_END: char = '\u{1}';
const RECORD_END: char = '\u{2}';

/// Most bytes of a body; a single record may have more. As in official clients.
pub(crate) const MAX_BODY_LEN: usize = 128_000;
/// Most bytes of keys, which share 32,767 bytes with all other properties.
pub(crate) const MAX_KEYS_LEN: usize = 16 << 10;

/// One thing that happened to one message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TraceRecord<'a> {
    /// It was sent (`Pub`).
    Sent {
        /// When that began.
        time: Timestamp,
        /// The region that the broker told.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// What was sent.
        message: TracedMessage<'a>,
        /// The broker's address.
        store_host: &'a str,
        /// Bytes of its body.
        body_len: usize,
        /// How long it took.
        cost: Millis,
        /// What it was sent as.
        kind: MessageKind,
        /// Where the broker put it; empty if it did not say.
        offset_message_id: &'a str,
        /// Whether it was stored, and as safely as was asked for.
        success: bool,
    },
    /// It was handed to the user (`SubBefore`).
    Handed {
        /// When.
        time: Timestamp,
        /// The region that stored it.
        region: Option<&'a str>,
        /// The consumer's group.
        group: &'a str,
        /// A unique id, the same in the [`Handled`](Self::Handled) that belongs to this.
        request_id: &'a str,
        /// What was handed out.
        message: TracedMessage<'a>,
        /// How often it was before.
        retries: u32,
    },
    /// The user is done with it (`SubAfter`).
    Handled {
        /// When it was handed out.
        time: Timestamp,
        /// The consumer's group.
        group: &'a str,
        /// As in [`Handed`](Self::Handed).
        request_id: &'a str,
        /// What was handled.
        message: TracedMessage<'a>,
        /// How long it took, divided by the messages that were handed out together.
        cost: Millis,
        /// How it went.
        outcome: HandlingOutcome,
        /// Whether it counts as consumed; it may after a timeout, too.
        success: bool,
    },
    /// Its transaction was ended by the producer (`EndTransaction`).
    TransactionEnded {
        /// When.
        time: Timestamp,
        /// The region that stored it.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// The half message.
        message: TracedMessage<'a>,
        /// The broker's address.
        store_host: &'a str,
        /// The transaction's id.
        transaction_id: Option<&'a str>,
        /// What the producer decided.
        decision: TransactionDecision,
        /// Whether the broker had asked.
        from_check: bool,
    },
    /// It was taken back before it was due (`Recall`).
    Recalled {
        /// When.
        time: Timestamp,
        /// The region that the broker told.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// What was taken back. Tags and keys are not known then.
        message: TracedMessage<'a>,
        /// Whether it was in time.
        success: bool,
    },
}

/// The message that a record is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TracedMessage<'a> {
    /// Its topic.
    pub(crate) topic: &'a str,
    /// Its unique id.
    pub(crate) id: &'a str,
    /// Its tag.
    pub(crate) tags: Option<&'a str>,
    /// Its keys, separated by blanks.
    pub(crate) keys: Option<&'a str>,
}

/// What a message is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MessageKind {
    /// Nothing special.
    Normal = 0,
    /// The first half of a transaction.
    Half = 1,
    /// A transaction's end.
    TransactionEnd = 2,
    /// To be delivered later. 4 is for messages in order, which official clients do not tell apart either.
    Delayed = 3,
}

/// How handling a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HandlingOutcome {
    /// It was consumed.
    Success = 0,
    /// It took longer than allowed.
    Timeout = 1,
    /// The handler failed in an unforeseen way.
    Exception = 2,
    /// The handler said nothing.
    Nothing = 3,
    /// The handler asked for the message to come again.
    Failed = 4,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionDecision {
    /// The message goes out.
    Commit,
    /// It does not.
    Rollback,
    /// Not known yet: the broker will ask again.
    Unknown,
}

impl TransactionDecision {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT_MESSAGE",
            Self::Rollback => "ROLLBACK_MESSAGE",
            Self::Unknown => "UNKNOW",
        }
    }
}

impl<'a> TraceRecord<'a> {
    fn message(&self) -> &TracedMessage<'a> {
        match self {
            Self::Sent { message, .. }
            | Self::Handed { message, .. }
            | Self::Handled { message, .. }
            | Self::TransactionEnded { message, .. }
            | Self::Recalled { message, .. } => message,
        }
    }

    /// Appends the record to a body.
    fn encode(&self, out: &mut String) {
        let text = |text: Option<&'a str>| text.unwrap_or("null");
        let TracedMessage { topic, id, tags, keys } = *self.message();
        let (tags, keys) = (text(tags), text(keys));
        match *self {
            Self::Sent {
                time,
                region,
                group,
                message: _,
                store_host,
                body_len,
                cost,
                kind,
                offset_message_id,
                success,
            } => line(
                out,
                &[
                    &"Pub",
                    &time,
                    &region,
                    &group,
                    &topic,
                    &id,
                    &tags,
                    &keys,
                    &store_host,
                    &body_len,
                    &cost.0,
                    &(kind as u8),
                    &offset_message_id,
                    &success,
                ],
            ),
            Self::Handed { time, region, group, request_id, message: _, retries } => {
                line(out, &[&"SubBefore", &time, &text(region), &group, &request_id, &id, &retries, &keys]);
            }
            Self::Handled { time, group, request_id, message: _, cost, outcome, success } => {
                let code = outcome as u8;
                line(out, &[&"SubAfter", &request_id, &id, &cost.0, &success, &keys, &code, &time, &group]);
            }
            Self::TransactionEnded {
                time,
                region,
                group,
                message: _,
                store_host,
                transaction_id,
                decision,
                from_check,
            } => line(
                out,
                &[
                    &"EndTransaction",
                    &time,
                    &region,
                    &group,
                    &topic,
                    &id,
                    &tags,
                    &keys,
                    &store_host,
                    &(MessageKind::TransactionEnd as u8),
                    &text(transaction_id),
                    &decision.name(),
                    &from_check,
                ],
            ),
            Self::Recalled { time, region, group, message: _, success } => {
                line(out, &[&"Recall", &time, &region, &group, &topic, &id, &success]);
            }
        }
    }
}

fn line(out: &mut String, fields: &[&dyn Display]) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(FIELD_END);
        }
        write!(out, "{field}").expect("a String takes all");
    }
    out.push(RECORD_END);
}

/// A message for the trace topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TraceMessage {
    /// Its body.
    pub(crate) body: Bytes,
    /// Its property `KEYS`.
    pub(crate) keys: String,
}

/// Gathers records until they make a message. All of one batch are of one trace topic.
#[derive(Debug, Default)]
pub(crate) struct TraceBatch {
    body: String,
    keys: BTreeSet<Box<str>>,
    keys_len: usize,
}

impl TraceBatch {
    /// Adds a record, and returns the message that was full before it.
    pub(crate) fn push(&mut self, record: &TraceRecord<'_>) -> Option<TraceMessage> {
        let message = record.message();
        let words = || std::iter::once(message.id).chain(message.keys.unwrap_or_default().split(' '));
        let keys_len: usize = words().map(|word| word.len() + 1).sum();
        let start = self.body.len();
        record.encode(&mut self.body);
        let full = start > 0 && (self.body.len() > MAX_BODY_LEN || self.keys_len + keys_len > MAX_KEYS_LEN);
        let last = full.then(|| {
            let record = self.body.split_off(start);
            let last = self.take();
            self.body = record;
            last
        });
        for word in words().filter(|word| !word.is_empty()) {
            // Only a message with very many keys has some that find nothing.
            if self.keys_len + word.len() < MAX_KEYS_LEN && self.keys.insert(word.into()) {
                self.keys_len += word.len() + 1;
            }
        }
        last
    }

    /// The message of the records so far, if there are any.
    pub(crate) fn finish(&mut self) -> Option<TraceMessage> {
        (!self.body.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> TraceMessage {
        let batch = std::mem::take(self);
        let mut keys = String::with_capacity(batch.keys_len);
        for key in batch.keys {
            if !keys.is_empty() {
                keys.push(' ');
            }
            keys.push_str(&key);
        }
        TraceMessage { body: batch.body.into(), keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp(1_700_000_000_123);
    const FULL: TracedMessage<'_> = TracedMessage {
        topic: "Orders",
        id: "7F00000100002A139A5500000000000A",
        tags: Some("TagA"),
        keys: Some("k1 k2"),
    };
    const BARE: TracedMessage<'_> = TracedMessage { topic: "Orders", id: "M2", tags: None, keys: None };

    fn sent(message: TracedMessage<'_>, success: bool) -> TraceRecord<'_> {
        TraceRecord::Sent {
            time: TIME,
            region: "DefaultRegion",
            group: "GID",
            message,
            store_host: "10.0.0.2:10911",
            body_len: 42,
            cost: Millis(17),
            kind: MessageKind::Delayed,
            offset_message_id: "0A00000200002A9F0000000000000200",
            success,
        }
    }

    fn handed(message: TracedMessage<'_>, retries: u32) -> TraceRecord<'_> {
        let (region, group, request_id) = (Some("DefaultRegion"), "GID", "R1");
        TraceRecord::Handed { time: TIME, region, group, request_id, message, retries }
    }

    fn handled(message: TracedMessage<'_>, outcome: HandlingOutcome) -> TraceRecord<'_> {
        let success = outcome == HandlingOutcome::Success;
        let (time, group, request_id, cost) = (TIME, "GID", "R1", Millis(17));
        TraceRecord::Handled { time, group, request_id, message, cost, outcome, success }
    }

    fn ended<'a>(
        message: TracedMessage<'a>,
        id: Option<&'a str>,
        decision: TransactionDecision,
    ) -> TraceRecord<'a> {
        TraceRecord::TransactionEnded {
            time: TIME,
            region: "DefaultRegion",
            group: "GID",
            message,
            store_host: "10.0.0.2:10911",
            transaction_id: id,
            decision,
            from_check: true,
        }
    }

    /// The body with visible separators, and the keys.
    fn message(records: &[TraceRecord<'_>]) -> (String, String) {
        let mut batch = TraceBatch::default();
        for record in records {
            assert_eq!(batch.push(record), None);
        }
        let message = batch.finish().unwrap();
        assert_eq!(batch.finish(), None);
        let body = String::from_utf8(message.body.into()).unwrap();
        (body.replace(FIELD_END, "|").replace(RECORD_END, ";"), message.keys)
    }

    const FULL_KEYS: &str = "7F00000100002A139A5500000000000A k1 k2";

    /// Written by `TraceDataEncoder` of the official Java client 5.3.3 for the same contexts, but for the message type
    /// of ends of transactions, which its hook sets to 2.
    #[test]
    fn records_are_javas() {
        assert_eq!(
            message(&[sent(FULL, true)]),
            (
                "Pub|1700000000123|DefaultRegion|GID|Orders|7F00000100002A139A5500000000000A|TagA|k1 k2|10.0.0.2:10911|\
                 42|17|3|0A00000200002A9F0000000000000200|true;"
                    .to_owned(),
                FULL_KEYS.to_owned()
            )
        );
        assert_eq!(
            message(&[handed(FULL, 3), handed(BARE, 0)]),
            (
                "SubBefore|1700000000123|DefaultRegion|GID|R1|7F00000100002A139A5500000000000A|3|k1 k2;\
                 SubBefore|1700000000123|DefaultRegion|GID|R1|M2|0|null;"
                    .to_owned(),
                "7F00000100002A139A5500000000000A M2 k1 k2".to_owned()
            )
        );
        assert_eq!(
            message(&[handled(FULL, HandlingOutcome::Success), handled(BARE, HandlingOutcome::Exception)]).0,
            "SubAfter|R1|7F00000100002A139A5500000000000A|17|true|k1 k2|0|1700000000123|GID;\
             SubAfter|R1|M2|17|false|null|2|1700000000123|GID;"
        );
        assert_eq!(
            message(&[
                ended(FULL, Some("TX1"), TransactionDecision::Rollback),
                ended(BARE, None, TransactionDecision::Unknown)
            ])
            .0,
            "EndTransaction|1700000000123|DefaultRegion|GID|Orders|7F00000100002A139A5500000000000A|TagA|k1 k2|\
             10.0.0.2:10911|2|TX1|ROLLBACK_MESSAGE|true;\
             EndTransaction|1700000000123|DefaultRegion|GID|Orders|M2|null|null|10.0.0.2:10911|2|null|UNKNOW|true;"
        );
        let (region, group) = ("DefaultRegion", "GID");
        assert_eq!(
            message(&[TraceRecord::Recalled { time: TIME, region, group, message: BARE, success: false }]).0,
            "Recall|1700000000123|DefaultRegion|GID|Orders|M2|false;"
        );
    }

    #[test]
    fn a_full_batch_becomes_a_message_before_the_record_that_has_no_room() {
        let mut batch = TraceBatch::default();
        let (mut messages, mut records) = (Vec::new(), 0);
        while messages.len() < 2 {
            messages.extend(batch.push(&sent(FULL, true)));
            records += 1;
        }
        let last = batch.finish().unwrap();
        let written =
            |message: &TraceMessage| message.body.iter().filter(|&&byte| byte == RECORD_END as u8).count();
        assert_eq!(messages.iter().map(written).sum::<usize>() + 1, records);
        assert!(
            messages
                .iter()
                .all(|full| full.body.len() <= MAX_BODY_LEN && full.body.len() > MAX_BODY_LEN - 300)
        );
        assert_eq!((written(&last), &*last.keys), (1, FULL_KEYS));
    }

    #[test]
    fn keys_of_many_messages_fill_a_batch_and_those_of_one_never_exceed_it() {
        let mut batch = TraceBatch::default();
        let long = "k".repeat(MAX_KEYS_LEN / 3);
        let push = |batch: &mut TraceBatch, n: usize, keys: &str| {
            let id = format!("ID{n}");
            batch.push(&handed(TracedMessage { id: &id, keys: Some(keys), ..FULL }, 0))
        };
        assert_eq!(push(&mut batch, 1, &format!("{long}1 {long}2")), None);
        let first = push(&mut batch, 2, &format!("{long}3")).unwrap();
        assert_eq!(first.keys, format!("ID1 {long}1 {long}2"));
        let second = push(&mut batch, 3, &format!("a {long}1  {long}2 {long}3 b")).unwrap();
        assert_eq!(second.keys, format!("ID2 {long}3"));
        let third = batch.finish().unwrap();
        assert_eq!(third.keys, format!("ID3 a b {long}1 {long}2"));
        assert!(third.keys.len() <= MAX_KEYS_LEN);
    }
}
