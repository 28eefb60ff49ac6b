//! What opening makes of the rows, and of what the commit log says beyond them.
//!
//! The log is read from the watermark on, and what it says is put where no row says something later:
//!
//! ```text
//! record with                              becomes
//! mqttPacketId, clientId                   that identifier is held, if the session is not younger than the record
//! mqttRetain, originMqttTopic              the topic's retained message, or none if it is empty
//! mqttWill                                 that session's will is published, if it is not younger than the record
//! ```
//! Only where it lies under the topic that its MQTT topic is stored under: copies, as retries and dead letters are, say
//! nothing. The marks, [`names::MARKS`], are among the record's own properties: brokers let nobody else set them.
//!
//! A power cut may have left the log shorter than the rows say. Its positions are given again, so rows that name such a
//! position are made to name the end: else a message yet to come would be taken for one that was there.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::message::{find_property, property};
use ferromq_model::mqtt::{Parts, names, stored_under};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use memchr::memmem;

use super::Log;
use super::database::{Database, OpenError, Space};
use super::journal::Batch;
use super::layout::{self, BadRow, Layout as _, Meta, NOBODY, Problem, Table};
use super::retained::{Outcome, RetainLimits, RetainedMessages};
use super::sessions::{Sessions, WillTimes};
use super::values::{
    Inbound, Outbound, Phase, Presence, Retained, Session, SessionNumber, Source, Subscription, Will,
};

/// What was found, and what is to be written because of that.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) meta: Meta,
    pub(super) sessions: Sessions,
    pub(super) retained: RetainedMessages,
    /// Released packet identifiers that the log may contradict, with their records.
    pub(super) released: HashMap<Vec<u8>, PhysicalOffset>,
    pub(super) batch: Batch,
    /// What is known of packet identifiers.
    inbound: HashMap<Vec<u8>, Inbound>,
    /// Where the log ended when each will was set.
    wills: HashMap<SessionNumber, PhysicalOffset>,
    /// Where the queues of the last session's subscriptions end.
    ends: HashMap<Arc<str>, QueueOffset>,
    end: PhysicalOffset,
    now: Timestamp,
}

impl Recovered {
    /// Reads every row, then the log. `found` is told each subscription, and says where its queue ends.
    pub(super) fn read(
        database: &Database,
        log: &dyn Log,
        limits: RetainLimits,
        now: Timestamp,
        found: &mut impl FnMut(SessionNumber, &Arc<str>, &Subscription) -> Option<QueueOffset>,
    ) -> Result<Self, OpenError> {
        let dir = database.dir();
        let mut recovered = Self {
            meta: Meta { next_number: 1, ..Meta::default() },
            sessions: Sessions::default(),
            retained: RetainedMessages::new(limits),
            released: HashMap::new(),
            batch: Batch::default(),
            inbound: HashMap::new(),
            wills: HashMap::new(),
            ends: HashMap::new(),
            end: log.end(),
            now,
        };
        for space in [Space::Sessions, Space::Retained] {
            for row in database.rows(space, b"") {
                let (key, value) =
                    row.map_err(|source| OpenError::Database { dir: dir.to_owned(), source })?;
                match space {
                    Space::Sessions => recovered.take(&key, &value, found),
                    Space::Retained => recovered.take_retained(&key, &value),
                }
                .map_err(|problem| bad_row(dir, space, &key, problem))?;
            }
        }
        if recovered.meta.watermark > recovered.end {
            recovered.meta.watermark = recovered.end;
            recovered.batch.put(layout::key(NOBODY, Table::Meta, b""), recovered.meta.encode());
        }
        log.each_record(recovered.meta.watermark, &mut |record| {
            recovered.replay(record);
            true
        });
        Ok(recovered)
    }

    fn take(
        &mut self,
        key: &[u8],
        value: &[u8],
        found: &mut impl FnMut(SessionNumber, &Arc<str>, &Subscription) -> Option<QueueOffset>,
    ) -> Result<(), Problem> {
        let (number, table, rest) = layout::split_key(key)?;
        self.meta.next_number = self.meta.next_number.max(number.counted() + 1);
        match table {
            Table::Session => {
                self.ends.clear();
                let mut session = Session::decode(value)?;
                if session.presence == Presence::Connected {
                    session.presence = Presence::Away { since: self.now };
                    self.batch.put(key.to_vec(), session.encode());
                }
                if session.begun > self.end {
                    session.begun = self.end;
                    self.batch.put(key.to_vec(), session.encode());
                }
                self.sessions.put(number, session);
            }
            Table::Will => {
                let mut will = Will::decode(value)?;
                if will.since > self.end {
                    will.since = self.end;
                    self.batch.put(key.to_vec(), will.encode());
                }
                let Will { delay, since, .. } = will;
                self.wills.insert(number, since);
                let will = WillTimes { delay, due: Some(self.now) };
                // The session's row came before this one. A session that has none ended.
                let will = match self.sessions.session(number) {
                    Some(session) => match session.presence {
                        Presence::Away { since } => will.after_loss(session, since),
                        Presence::Connected => will,
                    },
                    None => will,
                };
                self.sessions.set_will(number, Some(will));
            }
            Table::Meta => {
                let meta = Meta::decode(value)?;
                self.meta.watermark = meta.watermark;
                self.meta.next_number = self.meta.next_number.max(meta.next_number);
            }
            Table::Group => {}
            _ if number != NOBODY && self.sessions.session(number).is_none() => {
                // Written behind the end of its session.
                self.batch.remove(key.to_vec());
            }
            Table::Subscription => {
                let (filter, mut subscription): (_, Subscription) = layout::decode_under(rest, value)?;
                if let Some(end) = found(number, &filter, &subscription) {
                    if subscription.next > end {
                        subscription.next = end;
                        subscription.since = subscription.since.min(end);
                        self.batch.put(key.to_vec(), layout::encode_under(&filter, &subscription));
                    }
                    self.ends.insert(filter, end);
                }
            }
            Table::Outbound => {
                // What the queue lost is not sent again: its place is the next message's. One that the client has is
                // released all the same.
                if let Outbound { phase: Phase::Sent, source: Source::Queue { filter, offset }, .. } =
                    Outbound::decode(value)?
                    && self.ends.get(&filter).is_some_and(|end| offset >= *end)
                {
                    self.batch.remove(key.to_vec());
                }
            }
            Table::Inbound => match Inbound::decode(value)? {
                Inbound::Held(at) => {
                    let held = Inbound::Held(at.min(self.end));
                    if at > self.end {
                        self.batch.put(key.to_vec(), held.encode());
                    }
                    self.inbound.insert(key.to_vec(), held);
                }
                Inbound::Released(at) if at >= self.end => self.batch.remove(key.to_vec()),
                Inbound::Released(at) => {
                    self.inbound.insert(key.to_vec(), Inbound::Released(at));
                    self.released.insert(key.to_vec(), at);
                }
            },
        }
        Ok(())
    }

    fn take_retained(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let topic = layout::key_text(key)?;
        let mut message = Retained::decode(value)?;
        if message.at > self.end {
            message.at = self.end;
            self.batch.retain(&topic, Some(&message));
        }
        // Where the limits were lowered, some have no room any more.
        if self.retained.put(&topic, Arc::new(message), self.end) == Outcome::NoRoom {
            self.batch.retain(&topic, None);
        }
        Ok(())
    }

    /// Takes what a record of the log says.
    fn replay(&mut self, record: &Record<'_>) {
        // Most records of a log that others use too say nothing.
        if memmem::find(record.properties.as_bytes(), names::MARK_PREFIX.as_bytes()).is_none() {
            return;
        }
        let parts = Parts::of_record(record);
        let Some(topic) = parts.find(property::ORIGIN_MQTT_TOPIC) else { return };
        if stored_under(topic).as_str() != record.topic {
            return;
        }
        let at = record.physical_offset;
        let mark = |name| find_property(parts.properties, name);
        if let Some(packet_id) = mark(names::PACKET_ID).and_then(|id| id.parse::<u16>().ok()) {
            self.replay_inbound(parts.find(names::CLIENT_ID), packet_id, at);
        }
        if mark(names::RETAIN).is_some() {
            let topic: Arc<str> = topic.into();
            if parts.find(names::IS_EMPTY).is_some() {
                if self.retained.clear(&topic, at, self.end) {
                    self.batch.retain(&topic, None);
                }
            } else {
                self.replay_retained(&topic, record, &parts);
            }
        }
        if let Some(number) = mark(names::WILL).and_then(SessionNumber::from_mark)
            && self.wills.get(&number).is_some_and(|since| *since <= at)
        {
            self.wills.remove(&number);
            self.sessions.set_will(number, None);
            self.batch.remove(layout::key(number, Table::Will, b""));
        }
    }

    fn replay_inbound(&mut self, client: Option<&str>, packet_id: u16, at: PhysicalOffset) {
        let Some(number) = client.and_then(|client| self.sessions.find(client)) else { return };
        if self.sessions.session(number).is_none_or(|session| session.begun > at) {
            return;
        }
        let key = layout::key(number, Table::Inbound, &packet_id.to_be_bytes());
        if let Some(Inbound::Held(known) | Inbound::Released(known)) = self.inbound.get(&key)
            && *known >= at
        {
            return;
        }
        self.released.remove(&key);
        self.inbound.insert(key.clone(), Inbound::Held(at));
        self.batch.put(key, Inbound::Held(at).encode());
    }

    fn replay_retained(&mut self, topic: &Arc<str>, record: &Record<'_>, parts: &Parts<'_>) {
        let number = |name| parts.find(name).and_then(|text| text.parse().ok());
        let message = Arc::new(Retained {
            at: record.physical_offset,
            stored: record.stored,
            expires: number(names::EXPIRES_AT).map(Timestamp),
            qos: number(names::QOS_LEVEL).map_or(0, |qos| qos.clamp(0, 2) as u8),
            properties: parts.all().into(),
            payload: Bytes::copy_from_slice(parts.body),
        });
        match self.retained.put(topic, Arc::clone(&message), self.end) {
            Outcome::Kept => self.batch.retain(topic, Some(&message)),
            Outcome::NoRoom => self.batch.retain(topic, None),
            Outcome::Late => {}
        }
    }
}

fn bad_row(dir: &Path, space: Space, key: &[u8], problem: Problem) -> OpenError {
    OpenError::Row { dir: dir.to_owned(), row: BadRow::new(space.name(), key, problem) }
}
