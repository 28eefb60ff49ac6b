//! How what is kept lies in the database: keys, and values of which the first byte is a version.
//!
//! ```text
//! keyspace  key                                value behind its version byte
//! sessions  number:8 00                        level:1 interval:4 away:1 [since:8] begun:8 client
//!           number:8 01                        since:8 delay:4 qos:1 retain:1 text(topic) text(client) text(properties) payload
//!           number:8 02 filter                 qos:1 flags:1 identifier:4 (0 none) next:8 since:8 [filter]
//!           number:8 03 packet id:2            qos:1 phase:1 order:8 source:1 position:8 filter or topic
//!           number:8 04 packet id:2            released:1 at:8
//!           0:8      05 filter                 next:8 count:4, 8 for each that was returned [filter]
//!           0:8      06                        watermark:8 next number:8
//! retained  topic                              at:8 stored:8 expires:8 (0 none) qos:1 text(properties) payload
//! ```
//! A filter of more than 1024 bytes has `00` and its SHA-256 for a key, and stands at the end of its value: fjall takes no
//! key that is longer than MQTT's longest filter. Numbers are big-endian, a text has its length in four bytes before it. A session's rows lie side by side, so that it
//! is loaded, and ended, by one short walk. What cannot be read is an error that names the row, never a panic: a
//! version that is not known is that of a newer program.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use sha2::{Digest as _, Sha256};

use super::values::{
    Expiry, Inbound, Outbound, Phase, Presence, Retained, Session, SessionNumber, SharedGroup, Source,
    Subscription, Will,
};

/// The version of every layout.
const VERSION: u8 = 1;

/// What a row of the keyspace `sessions` is, by the byte behind the session's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Table {
    Session = 0,
    Will = 1,
    Subscription = 2,
    Outbound = 3,
    Inbound = 4,
    Group = 5,
    Meta = 6,
}

/// What belongs to no session lies under this number.
pub(super) const NOBODY: SessionNumber = SessionNumber(0);

/// Positions that hold for everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Everything that the commit log says below it is in the database.
    pub(super) watermark: PhysicalOffset,
    /// The next session's number.
    pub(super) next_number: u64,
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("row {key} of {keyspace} {problem}")]
pub struct BadRow {
    /// The keyspace.
    pub keyspace: &'static str,
    /// The key, in hexadecimal digits.
    pub key: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl BadRow {
    pub(super) fn new(keyspace: &'static str, key: &[u8], problem: Problem) -> Self {
        let mut hex = String::new();
        for byte in key {
            let _ = write!(hex, "{byte:02x}");
        }
        Self { keyspace, key: hex, problem: problem.0 }
    }
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem(&'static str);

const SHORT: Problem = Problem("ends too early");
const LONG: Problem = Problem("is longer than it says");
const NEWER: Problem = Problem("has a layout that this version does not know");
const VALUE: Problem = Problem("holds a value that does not exist");
const TEXT: Problem = Problem("holds text that is not UTF-8");

/// The key of a row.
pub(super) fn key(session: SessionNumber, table: Table, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + rest.len());
    key.extend_from_slice(&session.0.to_be_bytes());
    key.push(table as u8);
    key.extend_from_slice(rest);
    key
}

/// Takes a key apart.
pub(super) fn split_key(key: &[u8]) -> Result<(SessionNumber, Table, &[u8]), Problem> {
    let (number, rest) = key.split_first_chunk::<8>().ok_or(SHORT)?;
    let (table, rest) = rest.split_first().ok_or(SHORT)?;
    let table = match table {
        0 => Table::Session,
        1 => Table::Will,
        2 => Table::Subscription,
        3 => Table::Outbound,
        4 => Table::Inbound,
        5 => Table::Group,
        6 => Table::Meta,
        _ => return Err(NEWER),
    };
    Ok((SessionNumber(u64::from_be_bytes(*number)), table, rest))
}

/// The longest filter that is a key itself.
const MAX_KEY_FILTER: usize = 1024;
/// Before the digest of a longer one. No filter has this byte.
const LONG_FILTER: u8 = 0;

/// The key of what is kept under a filter.
pub(super) fn filter_key(session: SessionNumber, table: Table, filter: &str) -> Vec<u8> {
    if filter.len() <= MAX_KEY_FILTER {
        return key(session, table, filter.as_bytes());
    }
    let mut rest = vec![LONG_FILTER];
    rest.extend_from_slice(&Sha256::digest(filter));
    key(session, table, &rest)
}

/// What is kept under a filter, as its row's value.
pub(super) fn encode_under<T: Layout>(filter: &str, value: &T) -> Vec<u8> {
    let mut out = value.encode();
    if filter.len() > MAX_KEY_FILTER {
        out.extend_from_slice(filter.as_bytes());
    }
    out
}

/// A filter, by the end of its key, and what is kept under it.
pub(super) fn decode_under<T: Layout>(rest: &[u8], value: &[u8]) -> Result<(Arc<str>, T), Problem> {
    let (value, tail) = T::decode_with_tail(value)?;
    match (rest.first(), tail) {
        (Some(&LONG_FILTER), filter) => Ok((key_text(filter)?, value)),
        (_, []) => Ok((key_text(rest)?, value)),
        _ => Err(LONG),
    }
}

/// The text at the end of a key.
pub(super) fn key_text(rest: &[u8]) -> Result<Arc<str>, Problem> {
    std::str::from_utf8(rest).map(Into::into).map_err(|_| TEXT)
}

/// The packet identifier at the end of a key.
pub(super) fn key_packet_id(rest: &[u8]) -> Result<u16, Problem> {
    Ok(u16::from_be_bytes(rest.try_into().map_err(|_| SHORT)?))
}

/// A value, or a part of it, that has a layout.
pub(super) trait Layout: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(from: &mut Reader<'_>) -> Result<Self, Problem>;

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.write(&mut out);
        out
    }

    fn decode(value: &[u8]) -> Result<Self, Problem> {
        let (value, tail) = Self::decode_with_tail(value)?;
        if tail.is_empty() { Ok(value) } else { Err(LONG) }
    }

    fn decode_with_tail(value: &[u8]) -> Result<(Self, &[u8]), Problem> {
        let mut reader = Reader(value);
        if reader.u8()? != VERSION {
            return Err(NEWER);
        }
        Ok((Self::read(&mut reader)?, reader.0))
    }
}

/// What is left of a value.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Problem> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, Problem> {
        self.array().map(|[byte]| byte)
    }

    /// A byte that is one of the first `count`.
    fn one_of(&mut self, count: u8) -> Result<u8, Problem> {
        let byte = self.u8()?;
        if byte < count { Ok(byte) } else { Err(VALUE) }
    }

    fn bool(&mut self) -> Result<bool, Problem> {
        Ok(self.one_of(2)? == 1)
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, Problem> {
        self.array().map(i64::from_be_bytes).map(Timestamp)
    }

    fn some_time(&mut self) -> Result<Option<Timestamp>, Problem> {
        Ok(Some(self.time()?).filter(|time| *time != Timestamp::ZERO))
    }

    fn text(&mut self) -> Result<Arc<str>, Problem> {
        let len = self.u32()?;
        key_text(self.take(len as usize)?)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

fn write_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn write_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    out.extend_from_slice(&time.unwrap_or(Timestamp::ZERO).0.to_be_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // No text that MQTT or a record brings is longer than its packet, which is below 256 MiB.
    write_u32(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

impl Layout for Session {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.version);
        write_u32(out, self.expiry.interval());
        match self.presence {
            Presence::Connected => out.push(0),
            Presence::Away { since } => {
                out.push(1);
                write_time(out, Some(since));
            }
        }
        write_u64(out, self.begun.0);
        out.extend_from_slice(self.client_id.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self {
            version: from.u8()?,
            expiry: Expiry::from_interval(from.u32()?),
            presence: match from.one_of(2)? {
                0 => Presence::Connected,
                _ => Presence::Away { since: from.time()? },
            },
            begun: PhysicalOffset(from.u64()?),
            client_id: key_text(from.rest())?,
        })
    }
}

impl Layout for Will {
    fn write(&self, out: &mut Vec<u8>) {
        write_u64(out, self.since.0);
        write_u32(out, self.delay);
        out.extend_from_slice(&[self.qos, u8::from(self.retain)]);
        write_text(out, &self.topic);
        write_text(out, &self.client_id);
        write_text(out, &self.properties);
        out.extend_from_slice(&self.payload);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self {
            since: PhysicalOffset(from.u64()?),
            delay: from.u32()?,
            qos: from.one_of(3)?,
            retain: from.bool()?,
            topic: from.text()?,
            client_id: from.text()?,
            properties: from.text()?,
            payload: Bytes::copy_from_slice(from.rest()),
        })
    }
}

const NO_LOCAL: u8 = 1;
const RETAIN_AS_PUBLISHED: u8 = 2;
const RETAIN_HANDLING_SHIFT: u32 = 4;

impl Layout for Subscription {
    fn write(&self, out: &mut Vec<u8>) {
        let mut flags = self.retain_handling << RETAIN_HANDLING_SHIFT;
        flags |= if self.no_local { NO_LOCAL } else { 0 };
        flags |= if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        out.extend_from_slice(&[self.qos, flags]);
        write_u32(out, self.identifier.unwrap_or(0));
        write_u64(out, self.next.0);
        write_u64(out, self.since.0);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let qos = from.one_of(3)?;
        let flags = from.u8()?;
        if flags & 0b1100 != 0 || flags >> RETAIN_HANDLING_SHIFT > 2 {
            return Err(VALUE);
        }
        Ok(Self {
            qos,
            no_local: flags & NO_LOCAL != 0,
            retain_as_published: flags & RETAIN_AS_PUBLISHED != 0,
            retain_handling: flags >> RETAIN_HANDLING_SHIFT,
            identifier: Some(from.u32()?).filter(|identifier| *identifier != 0),
            next: QueueOffset(from.u64()?),
            since: QueueOffset(from.u64()?),
        })
    }
}

impl Layout for Outbound {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.qos, u8::from(self.phase == Phase::Released)]);
        write_u64(out, self.order);
        let (kind, position, text) = match &self.source {
            Source::Queue { filter, offset } => (0, offset.0, filter),
            Source::Retained { topic, at } => (1, at.0, topic),
        };
        out.push(kind);
        write_u64(out, position);
        out.extend_from_slice(text.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let qos = from.one_of(3)?;
        let phase = if from.bool()? { Phase::Released } else { Phase::Sent };
        let order = from.u64()?;
        let retained = from.bool()?;
        let position = from.u64()?;
        let text = key_text(from.rest())?;
        let source = if retained {
            Source::Retained { topic: text, at: PhysicalOffset(position) }
        } else {
            Source::Queue { filter: text, offset: QueueOffset(position) }
        };
        Ok(Self { order, qos, phase, source })
    }
}

impl Layout for Inbound {
    fn write(&self, out: &mut Vec<u8>) {
        let (released, at) = match self {
            Self::Held(at) => (0, at),
            Self::Released(at) => (1, at),
        };
        out.push(released);
        write_u64(out, at.0);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let released = from.bool()?;
        let at = PhysicalOffset(from.u64()?);
        Ok(if released { Self::Released(at) } else { Self::Held(at) })
    }
}

impl Layout for SharedGroup {
    fn write(&self, out: &mut Vec<u8>) {
        write_u64(out, self.next.0);
        // Nobody holds as many as that.
        write_u32(out, self.returned.len() as u32);
        for offset in &self.returned {
            write_u64(out, offset.0);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let next = QueueOffset(from.u64()?);
        let returned = (0..from.u32()?).map(|_| from.u64().map(QueueOffset));
        Ok(Self { next, returned: returned.collect::<Result<_, _>>()? })
    }
}

impl Layout for Meta {
    fn write(&self, out: &mut Vec<u8>) {
        write_u64(out, self.watermark.0);
        write_u64(out, self.next_number);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self { watermark: PhysicalOffset(from.u64()?), next_number: from.u64()? })
    }
}

impl Layout for Retained {
    fn write(&self, out: &mut Vec<u8>) {
        write_u64(out, self.at.0);
        write_time(out, Some(self.stored));
        write_time(out, self.expires);
        out.push(self.qos);
        write_text(out, &self.properties);
        out.extend_from_slice(&self.payload);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok(Self {
            at: PhysicalOffset(from.u64()?),
            stored: from.time()?,
            expires: from.some_time()?,
            qos: from.one_of(3)?,
            properties: from.text()?,
            payload: Bytes::copy_from_slice(from.rest()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// The value reads back, and no shorter part of it does (`cut`: the shortest that may, as its end is free).
    fn golden<T: Layout + PartialEq + Debug>(value: &T, bytes: &[u8], cut: usize) {
        assert_eq!(value.encode(), bytes);
        assert_eq!(T::decode(bytes).as_ref(), Ok(value));
        for len in 0..cut {
            assert!(T::decode(&bytes[..len]).is_err(), "{len} bytes of {value:?}");
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert_eq!(T::decode(&newer), Err(NEWER));
    }

    #[test]
    fn sessions_lie_as_written_down() {
        let session = Session {
            client_id: "dev".into(),
            version: 5,
            expiry: Expiry::After(60),
            presence: Presence::Connected,
            begun: PhysicalOffset(258),
        };
        golden(&session, b"\x01\x05\0\0\0\x3c\0\0\0\0\0\0\0\x01\x02dev", 15);
        let away = Session { presence: Presence::Away { since: Timestamp(513) }, ..session.clone() };
        golden(&away, b"\x01\x05\0\0\0\x3c\x01\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\x01\x02dev", 23);
    }

    #[test]
    fn wills_lie_as_written_down() {
        let will = Will {
            client_id: "c".into(),
            topic: "a/b".into(),
            payload: Bytes::from_static(b"gone"),
            qos: 1,
            retain: true,
            properties: "k\u{1}v\u{2}".into(),
            delay: 5,
            since: PhysicalOffset(255),
        };
        golden(
            &will,
            b"\x01\0\0\0\0\0\0\0\xff\0\0\0\x05\x01\x01\0\0\0\x03a/b\0\0\0\x01c\0\0\0\x04k\x01v\x02gone",
            27,
        );
    }

    #[test]
    fn subscriptions_lie_as_written_down() {
        let subscription = Subscription {
            qos: 2,
            no_local: true,
            retain_as_published: true,
            retain_handling: 2,
            identifier: Some(7),
            next: QueueOffset(9),
            since: QueueOffset(4),
        };
        golden(&subscription, b"\x01\x02\x23\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x04", 23);
        assert_eq!(Subscription::decode(b"\x01\x03\0\0\0\0\x07\0\0\0\0\0\0\0\x09"), Err(VALUE));
        assert_eq!(Subscription::decode(b"\x01\x02\x33\0\0\0\x07\0\0\0\0\0\0\0\x09"), Err(VALUE));
        assert_eq!(
            Subscription::decode(b"\x01\x02\x23\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x04\0"),
            Err(LONG)
        );
    }

    #[test]
    fn messages_on_their_way_lie_as_written_down() {
        let outbound = Outbound {
            order: 3,
            qos: 2,
            phase: Phase::Sent,
            source: Source::Queue { filter: "a/#".into(), offset: QueueOffset(4) },
        };
        golden(&outbound, b"\x01\x02\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\x04a/#", 20);
        let retained = Outbound {
            phase: Phase::Released,
            source: Source::Retained { topic: "t".into(), at: PhysicalOffset(5) },
            ..outbound
        };
        golden(&retained, b"\x01\x02\x01\0\0\0\0\0\0\0\x03\x01\0\0\0\0\0\0\0\x05t", 20);
        golden(&Inbound::Held(PhysicalOffset(1)), b"\x01\0\0\0\0\0\0\0\0\x01", 10);
        golden(&Inbound::Released(PhysicalOffset(256)), b"\x01\x01\0\0\0\0\0\0\x01\0", 10);
    }

    #[test]
    fn positions_and_retained_messages_lie_as_written_down() {
        let group = SharedGroup { next: QueueOffset(3), returned: vec![QueueOffset(1)] };
        golden(&group, b"\x01\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\0\0\0\0\x01", 21);
        let meta = Meta { watermark: PhysicalOffset(1), next_number: 2 };
        golden(&meta, b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02", 17);
        let retained = Retained {
            at: PhysicalOffset(1),
            stored: Timestamp(2),
            expires: None,
            qos: 1,
            properties: "p".into(),
            payload: Bytes::from_static(b"x"),
        };
        golden(&retained, b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\x01px", 31);
    }

    #[test]
    fn keys_keep_a_sessions_rows_together_and_read_back() {
        let key_of = |n, table, rest: &[u8]| key(SessionNumber(n), table, rest);
        assert_eq!(key_of(1, Table::Subscription, b"a/+"), b"\0\0\0\0\0\0\0\x01\x02a/+");
        assert_eq!(
            split_key(b"\0\0\0\0\0\0\0\x01\x03\x01\x02"),
            Ok((SessionNumber(1), Table::Outbound, &b"\x01\x02"[..]))
        );
        assert_eq!(key_packet_id(b"\x01\x02"), Ok(258));
        assert_eq!(split_key(b"\0\0\0\0\0\0\0\x01"), Err(SHORT));
        assert_eq!(split_key(b"\0\0\0\0\0\0\0\x01\x07"), Err(NEWER));
        assert!(key_of(1, Table::Inbound, b"\xff\xff") < key_of(2, Table::Session, b""));
        let long = "a".repeat(MAX_KEY_FILTER + 1);
        let group = SharedGroup { next: QueueOffset(3), returned: vec![QueueOffset(1)] };
        for filter in [&long[1..], &long] {
            let (key, value) = (filter_key(NOBODY, Table::Group, filter), encode_under(filter, &group));
            assert_eq!(key.len(), if filter.len() == long.len() { 9 + 33 } else { 9 + 1024 });
            assert_eq!(decode_under(&key[9..], &value), Ok((filter.into(), group.clone())));
            assert_eq!(decode_under::<SharedGroup>(&key[9..], &value[..20]), Err(SHORT));
        }
        assert_eq!(decode_under::<SharedGroup>(b"a", &encode_under(&long, &group)), Err(LONG));
        let transient = SessionNumber::new(1, Expiry::AtClose);
        assert!(transient.is_transient() && transient.counted() == 1);
        let bad = BadRow::new("sessions", b"\x00\xab", SHORT);
        assert_eq!(bad.to_string(), "row 00ab of sessions ends too early");
    }
}
