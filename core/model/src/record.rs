//! The stored record: one message as it lies in the commit log and travels to consumers.
//!
//! ```text
//!  0 total length 4 | 4 magic 4 | 8 body crc 4 | 12 queue id 4 | 16 flag 4 | 20 queue offset 8 | 28 physical offset 8
//! 36 system flag 4 | 40 born time 8 | 48 born host 8/20 | store time 8 | store host 8/20 | reconsume times 4
//! prepared offset 8 | body length 4, body | topic length 1 (magic V2: 2), topic | properties length 2, properties
//! ```
//! Always true:
//! * numbers are big-endian; a host is its 4 or 16 address bytes and a 4-byte port, as the system flag says;
//! * the body checksum is CRC-32 over the stored body, masked to 31 bits;
//! * what only the append knows (queue offset, physical offset, store time) is left zero by [`NewRecord::encode`] and
//!   filled in by [`patch`]: all three lie at fixed places because the born host is written by us.
//!
//! Source of the layout: RocketMQ's `MessageExtEncoder` and `CommitLog`, as of 5.3.

use std::net::{IpAddr, SocketAddr};

use crate::message::{MAX_PROPERTIES_LEN, SysFlag};
use crate::{PhysicalOffset, QueueId, QueueOffset, Timestamp};

/// Magic of a record whose topic length is one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic length is two bytes: topics above 127 bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the blank record that fills the rest of a log file.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes of a blank record's header: its length and its magic. A log file always ends in room for it.
pub const BLANK_HEADER_LEN: usize = 8;
/// Bytes of a record with nothing in it (IPv4 hosts, V1).
pub const MIN_RECORD_LEN: usize = 91;

const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = 28;
const SYS_FLAG_AT: usize = 36;
const BORN_HOST_AT: usize = 48;

/// CRC-32 (IEEE) masked to 31 bits, as the store and registrations use it.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) & 0x7FFF_FFFF
}

/// A message about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// The topic it is stored under; 255 bytes at most.
    pub topic: &'a str,
    /// The queue it is stored under.
    pub queue_id: QueueId,
    /// The sender's own flag.
    pub flag: i32,
    /// System flags; the host bits are set by [`NewRecord::encode`].
    pub sys_flag: SysFlag,
    /// When the sender made it.
    pub born: Timestamp,
    /// The sender's address.
    pub born_host: SocketAddr,
    /// The broker's advertised address.
    pub store_host: SocketAddr,
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Where the half message of a committed transaction lies, otherwise 0.
    pub prepared_offset: PhysicalOffset,
    /// The body as it is stored, compressed or not.
    pub body: &'a [u8],
    /// The property string, in pieces that are stored one after the other.
    pub properties: &'a [&'a str],
}

impl<'a> NewRecord<'a> {
    /// The message of a stored record once more: for another place, with these properties.
    #[must_use]
    pub fn copy_of(
        record: &Record<'a>,
        topic: &'a str,
        queue_id: QueueId,
        properties: &'a [&'a str],
    ) -> Self {
        let &Record { flag, sys_flag, born, born_host, store_host, .. } = record;
        let &Record { reconsume_times, prepared_offset, body, .. } = record;
        Self {
            topic,
            queue_id,
            flag,
            sys_flag,
            born,
            born_host,
            store_host,
            reconsume_times,
            prepared_offset,
            body,
            properties,
        }
    }
}

impl NewRecord<'_> {
    /// Bytes that the record will take.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let topic = self.topic.len() + if self.topic.len() > 127 { 2 } else { 1 };
        88 + v6_extra(&self.born_host)
            + v6_extra(&self.store_host)
            + self.body.len()
            + topic
            + 2
            + self.properties.iter().map(|p| p.len()).sum::<usize>()
    }

    /// Appends the record to `out`; [`patch`] completes it.
    ///
    /// # Panics
    /// If the property string is longer than [`MAX_PROPERTIES_LEN`] or the topic than 255 bytes: both are checked
    /// where a message enters the broker.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let properties_len: usize = self.properties.iter().map(|p| p.len()).sum();
        assert!(properties_len <= MAX_PROPERTIES_LEN && self.topic.len() <= 255, "checked on entry");
        let v2 = self.topic.len() > 127;
        let mut sys_flag = self.sys_flag.0 & !(SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            sys_flag |= SysFlag::BORN_HOST_V6;
        }
        if self.store_host.is_ipv6() {
            sys_flag |= SysFlag::STORE_HOST_V6;
        }
        let len = self.encoded_len();
        let start = out.len();
        out.reserve(len);
        // The fixed head is built on the stack, so that it reaches the buffer in one copy.
        let mut head = [0u8; BORN_HOST_AT];
        head[0..4].copy_from_slice(&(len as u32).to_be_bytes());
        head[4..8].copy_from_slice(&(if v2 { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
        head[8..12].copy_from_slice(&checksum(self.body).to_be_bytes());
        head[12..16].copy_from_slice(&self.queue_id.0.to_be_bytes());
        head[16..20].copy_from_slice(&self.flag.to_be_bytes());
        head[SYS_FLAG_AT..40].copy_from_slice(&sys_flag.to_be_bytes());
        head[40..48].copy_from_slice(&self.born.0.to_be_bytes());
        out.extend_from_slice(&head);
        put_host(out, self.born_host);
        out.extend_from_slice(&[0; 8]);
        put_host(out, self.store_host);
        let mut middle = [0u8; 16];
        middle[0..4].copy_from_slice(&self.reconsume_times.to_be_bytes());
        middle[4..12].copy_from_slice(&self.prepared_offset.0.to_be_bytes());
        middle[12..16].copy_from_slice(&(self.body.len() as u32).to_be_bytes());
        out.extend_from_slice(&middle);
        out.extend_from_slice(self.body);
        if v2 {
            out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        } else {
            out.push(self.topic.len() as u8);
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&(properties_len as u16).to_be_bytes());
        for piece in self.properties {
            out.extend_from_slice(piece.as_bytes());
        }
        debug_assert_eq!(out.len() - start, len);
    }
}

/// Fills in what only the append knows. `record` starts at the record's first byte.
pub fn patch(record: &mut [u8], queue_offset: QueueOffset, physical: PhysicalOffset, stored: Timestamp) {
    record[QUEUE_OFFSET_AT..QUEUE_OFFSET_AT + 8].copy_from_slice(&queue_offset.0.to_be_bytes());
    record[PHYSICAL_OFFSET_AT..PHYSICAL_OFFSET_AT + 8].copy_from_slice(&physical.0.to_be_bytes());
    // The born host is 4 bytes longer than an IPv4 one only if its flag, the 0x10 bit of the last flag byte, is set.
    let store_time_at = BORN_HOST_AT + if record[SYS_FLAG_AT + 3] & 0x10 != 0 { 20 } else { 8 };
    record[store_time_at..store_time_at + 8].copy_from_slice(&stored.0.to_be_bytes());
}

/// The length and the queue offset of the record that `bytes` starts with, for who knows that it is one; `None` if it does
/// not have the bytes.
#[must_use]
pub fn place(bytes: &[u8]) -> Option<(usize, QueueOffset)> {
    let len = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let offset = bytes.get(QUEUE_OFFSET_AT..)?.first_chunk()?;
    (len > QUEUE_OFFSET_AT && len <= bytes.len()).then_some((len, QueueOffset(u64::from_be_bytes(*offset))))
}

fn v6_extra(host: &SocketAddr) -> usize {
    if host.is_ipv6() { 12 } else { 0 }
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// Why bytes are no record. At the end of a log all of them mean "the log ends before here".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The length field is zero or the magic is: nothing was written here.
    #[error("nothing is written here")]
    Empty,
    /// The record says that it goes on beyond the bytes there are.
    #[error("the record is {len} bytes, only {left} are there")]
    Truncated {
        /// What the length field says.
        len: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// Neither a record nor a blank.
    #[error("unknown magic {0:#010x}")]
    Magic(u32),
    /// Its parts do not add up to its length, or a part is no text.
    #[error("the record's {0} does not fit its length")]
    Malformed(&'static str),
    /// The body is not what was written.
    #[error("body checksum is {found:#010x}, {stored:#010x} was stored")]
    Checksum {
        /// Over the bytes that are there.
        found: u32,
        /// What the record says.
        stored: u32,
    },
}

/// A stored record, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Bytes of the whole record.
    pub len: usize,
    /// Checksum that was stored for the body.
    pub body_crc: u32,
    /// The queue.
    pub queue_id: QueueId,
    /// The sender's own flag.
    pub flag: i32,
    /// Which message of its queue this is.
    pub queue_offset: QueueOffset,
    /// Where the record says that it lies.
    pub physical_offset: PhysicalOffset,
    /// System flags.
    pub sys_flag: SysFlag,
    /// When the sender made it.
    pub born: Timestamp,
    /// The sender's address.
    pub born_host: SocketAddr,
    /// When the broker stored it.
    pub stored: Timestamp,
    /// The broker's advertised address at that time.
    pub store_host: SocketAddr,
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Where the half message of a committed transaction lies, otherwise 0.
    pub prepared_offset: PhysicalOffset,
    /// The body as stored.
    pub body: &'a [u8],
    /// The topic that it is stored under.
    pub topic: &'a str,
    /// The property string.
    pub properties: &'a str,
}

/// What stands at a position of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message.
    Message(Record<'a>),
    /// The rest of the file is unused.
    Blank,
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, which may go on behind it. The body is not verified: see
    /// [`Record::verify`].
    ///
    /// # Errors
    /// [`RecordError`]; a blank record counts as [`RecordError::Magic`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match Entry::decode(bytes)? {
            Entry::Message(record) => Ok(record),
            Entry::Blank => Err(RecordError::Magic(MAGIC_BLANK)),
        }
    }

    /// Compares the body with its checksum.
    ///
    /// # Errors
    /// [`RecordError::Checksum`].
    pub fn verify(&self) -> Result<(), RecordError> {
        let found = checksum(self.body);
        if found == self.body_crc {
            Ok(())
        } else {
            Err(RecordError::Checksum { found, stored: self.body_crc })
        }
    }
}

impl<'a> Entry<'a> {
    /// Reads what stands at the start of `bytes`, which reach to the end of the log file.
    ///
    /// # Errors
    /// [`RecordError`] says why no record or blank stands here.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut reader = Reader { bytes, at: 0 };
        let len = reader.u32("length")? as usize;
        let magic = reader.u32("magic")?;
        if len == 0 || magic == 0 {
            return Err(RecordError::Empty);
        }
        if magic != MAGIC_V1 && magic != MAGIC_V2 && magic != MAGIC_BLANK {
            return Err(RecordError::Magic(magic));
        }
        if len > bytes.len() {
            return Err(RecordError::Truncated { len: len as u64, left: bytes.len() as u64 });
        }
        if magic == MAGIC_BLANK {
            return Ok(Self::Blank);
        }
        reader.bytes = &bytes[..len];
        let body_crc = reader.u32("body checksum")?;
        let queue_id = QueueId(reader.u32("queue id")?);
        let flag = reader.u32("flag")? as i32;
        let queue_offset = QueueOffset(reader.u64("queue offset")?);
        let physical_offset = PhysicalOffset(reader.u64("physical offset")?);
        let sys_flag = SysFlag(reader.u32("system flag")? as i32);
        let born = Timestamp(reader.u64("born time")? as i64);
        let born_host = reader.host(sys_flag.born_host_len(), "born host")?;
        let stored = Timestamp(reader.u64("store time")? as i64);
        let store_host = reader.host(sys_flag.store_host_len(), "store host")?;
        let reconsume_times = reader.u32("reconsume times")? as i32;
        let prepared_offset = PhysicalOffset(reader.u64("prepared offset")?);
        let body_len = reader.u32("body length")? as usize;
        let body = reader.take(body_len, "body")?;
        let topic_len = if magic == MAGIC_V2 {
            usize::from(reader.u16("topic length")?)
        } else {
            usize::from(reader.take(1, "topic length")?[0])
        };
        let topic = reader.text(topic_len, "topic")?;
        let properties_len = usize::from(reader.u16("properties length")?);
        let properties = reader.text(properties_len, "properties")?;
        if reader.at != len {
            return Err(RecordError::Malformed("sum of parts"));
        }
        Ok(Self::Message(Record {
            len,
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born,
            born_host,
            stored,
            store_host,
            reconsume_times,
            prepared_offset,
            body,
            topic,
            properties,
        }))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, part: &'static str) -> Result<&'a [u8], RecordError> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(RecordError::Malformed(part))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], RecordError> {
        Ok(self.take(N, part)?.try_into().expect("take gave N bytes"))
    }

    fn u16(&mut self, part: &'static str) -> Result<u16, RecordError> {
        Ok(u16::from_be_bytes(self.array(part)?))
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, RecordError> {
        Ok(u32::from_be_bytes(self.array(part)?))
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, RecordError> {
        Ok(u64::from_be_bytes(self.array(part)?))
    }

    fn text(&mut self, len: usize, part: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.take(len, part)?).map_err(|_| RecordError::Malformed(part))
    }

    fn host(&mut self, len: usize, part: &'static str) -> Result<SocketAddr, RecordError> {
        let ip: IpAddr =
            if len == 20 { self.array::<16>(part)?.into() } else { self.array::<4>(part)?.into() };
        // Writers put an int; only its low half can be a port.
        Ok(SocketAddr::new(ip, self.u32(part)? as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// Recorded from the reference broker.
    const GOLDEN: &str = "0000006cdaa320a73610a686000000010000000000000000000000050000000000000200000000000000018bcfe568000a0000010000c3500000018bcfe568010a00000200002a9f0000000000000000000000000000000568656c6c6f025431000a54414753015461674102";

    fn sample<'a>() -> NewRecord<'a> {
        NewRecord {
            topic: "T1",
            queue_id: QueueId(1),
            flag: 0,
            sys_flag: SysFlag(0),
            born: Timestamp(1_700_000_000_000),
            born_host: "10.0.0.1:50000".parse().unwrap(),
            store_host: "10.0.0.2:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_offset: PhysicalOffset(0),
            body: b"hello",
            properties: &["TAGS\x01TagA\x02"],
        }
    }

    #[test]
    fn a_record_has_the_reference_brokers_bytes() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        patch(&mut bytes, QueueOffset(5), PhysicalOffset(0x200), Timestamp(1_700_000_000_001));
        assert_eq!(place(&bytes), Some((bytes.len(), QueueOffset(5))));
        assert_eq!((place(&bytes[..bytes.len() - 1]), place(&[])), (None, None));
        assert_eq!(bytes, unhex(GOLDEN));
        let record = Record::decode(&bytes).unwrap();
        record.verify().unwrap();
        assert_eq!((record.topic, record.properties, record.body), ("T1", "TAGS\x01TagA\x02", &b"hello"[..]));
        assert_eq!((record.queue_offset, record.stored), (QueueOffset(5), Timestamp(1_700_000_000_001)));
    }

    #[test]
    fn ipv6_hosts_and_long_topics_round_trip() {
        let topic = format!("%RETRY%{}", "g".repeat(200));
        let v6 = "[2001:db8::1]:9".parse().unwrap();
        for (born, store) in [(v6, v6), (v6, sample().store_host), (sample().born_host, v6)] {
            let new = NewRecord { topic: &topic, born_host: born, store_host: store, ..sample() };
            let mut bytes = Vec::new();
            new.encode(&mut bytes);
            assert_eq!(bytes.len(), new.encoded_len());
            patch(&mut bytes, QueueOffset(1), PhysicalOffset(2), Timestamp(3));
            let record = Record::decode(&bytes).unwrap();
            assert_eq!((record.topic, record.born_host, record.store_host), (&*topic, born, store));
            assert_eq!(
                (record.queue_offset, record.physical_offset, record.stored),
                (QueueOffset(1), PhysicalOffset(2), Timestamp(3))
            );
        }
    }

    #[test]
    fn every_cut_and_every_wrong_length_is_an_error_not_a_panic() {
        let whole = unhex(GOLDEN);
        for cut in 0..whole.len() {
            assert!(Record::decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let _ = Record::decode(&bytes).map(|r| r.verify());
            }
        }
    }
}
