//! What a message carries beside its body: system flags, the property string, the tag code, and its ids.
//!
//! Properties travel and rest as one string, `name 0x01 value 0x02` repeated. It is passed through as it came,
//! unknown names included; code that needs a value looks it up, code that needs a change rewrites the string.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::{PhysicalOffset, hex};

/// Names of properties that brokers and clients give a meaning to.
pub mod property {
    macro_rules! properties {
        ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $name: &str = $text;)*
        };
    }
    properties! {
        /// Index keys, separated by blanks.
        KEYS = "KEYS";
        /// The message's tag.
        TAGS = "TAGS";
        /// `false`: the producer does not wait for the flush.
        WAIT = "WAIT";
        /// Delay level, from 1.
        DELAY = "DELAY";
        /// Original topic of a message that was sent back.
        RETRY_TOPIC = "RETRY_TOPIC";
        /// Original topic of a message that waits elsewhere.
        REAL_TOPIC = "REAL_TOPIC";
        /// Original queue of a message that waits elsewhere.
        REAL_QUEUE_ID = "REAL_QID";
        /// `true`: a half message.
        TRANSACTION_PREPARED = "TRAN_MSG";
        /// The producer's group.
        PRODUCER_GROUP = "PGROUP";
        /// The client's id of a half message.
        TRANSACTION_ID = "__transactionId__";
        /// How often the producer of a half message was asked.
        TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES";
        /// Of a half message that was stored anew: its place in the queue when it first came.
        PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET";
        /// Seconds during which the producer of a half message is not asked.
        CHECK_IMMUNITY = "CHECK_IMMUNITY_TIME_IN_SECONDS";
        /// Of a request and of its reply: the client that waits for the reply.
        REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
        /// Of a request and of its reply: which belong together.
        CORRELATION_ID = "CORRELATION_ID";
        /// Of a request: how long its sender waits for the reply, in milliseconds.
        REPLY_TIMEOUT = "TTL";
        /// `reply`: a reply.
        MESSAGE_TYPE = "MSG_TYPE";
        /// Messages with the same value go to the same queue.
        SHARDING_KEY = "__SHARDINGKEY";
        /// When a reply was handed to the client that waits for it.
        PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
        /// First offset message id of a message that was sent back.
        ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
        /// The client's id of the message.
        UNIQUE_KEY = "UNIQ_KEY";
        /// Redeliveries so far, when a client re-sends by itself.
        RECONSUME_TIME = "RECONSUME_TIME";
        /// Redeliveries allowed, when a client re-sends by itself.
        MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
        /// The region the broker stands in.
        MSG_REGION = "MSG_REGION";
        /// Whether clients trace the message.
        TRACE_ON = "TRACE_ON";
        /// The cluster that stored the message.
        CLUSTER = "CLUSTER";
        /// A pop receipt: never stored from a client.
        POP_CK = "POP_CK";
        /// When a message was first popped, in milliseconds since the epoch.
        FIRST_POP_TIME = "1ST_POP_TIME";
        /// Light queues that the message is to be in as well.
        INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH";
        /// Its place in each of them: set by brokers only.
        INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET";
        /// The MQTT topic that the message was sent to.
        ORIGIN_MQTT_TOPIC = "originMqttTopic";
        /// Messages of an inner batch.
        INNER_NUM = "INNER_NUM";
        /// Whole-record checksum of the store.
        CRC32 = "__CRC32#";
        /// Delivery time asked for, in seconds from now.
        TIMER_DELAY_SEC = "TIMER_DELAY_SEC";
        /// Delivery time asked for, in milliseconds from now.
        TIMER_DELAY_MS = "TIMER_DELAY_MS";
        /// Delivery time asked for, in milliseconds since the epoch.
        TIMER_DELIVER_MS = "TIMER_DELIVER_MS";
        /// The slot that a timer message waits in: it is due a precision unit later. Whoever carries it has been admitted.
        TIMER_OUT_MS = "TIMER_OUT_MS";
        /// When a timer message was put into its slot; `i64::MAX` if it never was.
        TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS";
        /// When it was taken out.
        TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS";
        /// How often it was put back because the wheel does not reach that far.
        TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES";
        /// Marks a message of the same slot as taken back: `<real topic>+<unique key>`.
        TIMER_DELETE_KEY = "TIMER_DEL_UNIQKEY";
    }

    /// Those that have a meaning of their own, so that whoever sends sets them by other ways than as a property of the
    /// user's. The same that official clients refuse.
    pub const RESERVED: &[&str] = &[
        TRACE_ON,
        MSG_REGION,
        KEYS,
        TAGS,
        WAIT,
        DELAY,
        RETRY_TOPIC,
        REAL_TOPIC,
        REAL_QUEUE_ID,
        TRANSACTION_PREPARED,
        PRODUCER_GROUP,
        RECONSUME_TIME,
        MAX_RECONSUME_TIMES,
        UNIQUE_KEY,
        PREPARED_QUEUE_OFFSET,
        TRANSACTION_CHECK_TIMES,
        CHECK_IMMUNITY,
        TRANSACTION_ID,
        ORIGIN_MESSAGE_ID,
        CORRELATION_ID,
        REPLY_TO_CLIENT,
        REPLY_TIMEOUT,
        MESSAGE_TYPE,
        PUSH_REPLY_TIME,
        CLUSTER,
        POP_CK,
        FIRST_POP_TIME,
        SHARDING_KEY,
        INNER_NUM,
        INNER_MULTI_QUEUE_OFFSET,
        CRC32,
        TIMER_DELAY_SEC,
        TIMER_DELAY_MS,
        TIMER_DELIVER_MS,
        TIMER_OUT_MS,
        TIMER_ENQUEUE_MS,
        TIMER_DEQUEUE_MS,
        TIMER_ROLL_TIMES,
        TIMER_DELETE_KEY,
    ];
}

/// Ends a property's name.
pub const NAME_END: u8 = 1;
/// Ends a property.
pub const PROPERTY_END: u8 = 2;
/// Longest property string, in bytes: its length is stored in a signed 16-bit number.
pub const MAX_PROPERTIES_LEN: usize = 32_767;

/// The flags that a message carries through the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SysFlag(pub i32);

impl SysFlag {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The topic holds several tags a message.
    pub const MULTI_TAGS: i32 = 0x2;
    /// Both transaction bits.
    pub const TRANSACTION_MASK: i32 = 0xC;
    /// Half message.
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    /// Committed transactional message.
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    /// Rolled back.
    pub const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// The born host has 16 address bytes.
    pub const BORN_HOST_V6: i32 = 0x10;
    /// The store host has 16 address bytes.
    pub const STORE_HOST_V6: i32 = 0x20;
    /// One record that holds a client's whole batch.
    pub const INNER_BATCH: i32 = 0x80;
    /// All bits that say how the body is compressed. None of them, from clients before 5.0: as zlib.
    pub const COMPRESSION_MASK: i32 = 0x700;
    /// As a frame of LZ4.
    pub const COMPRESSION_LZ4: i32 = 0x100;
    /// As a frame of Zstandard.
    pub const COMPRESSION_ZSTD: i32 = 0x200;
    /// As a stream of zlib.
    pub const COMPRESSION_ZLIB: i32 = 0x300;

    /// Whether any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: i32) -> bool {
        self.0 & bits != 0
    }

    /// Bytes of the born host in a record.
    #[must_use]
    pub const fn born_host_len(self) -> usize {
        if self.has(Self::BORN_HOST_V6) { 20 } else { 8 }
    }

    /// Bytes of the store host in a record.
    #[must_use]
    pub const fn store_host_len(self) -> usize {
        if self.has(Self::STORE_HOST_V6) { 20 } else { 8 }
    }

    /// Whether the record belongs in a consume queue: half and rolled-back ones do not.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        let state = self.0 & Self::TRANSACTION_MASK;
        state == 0 || state == Self::TRANSACTION_COMMIT
    }
}

/// Java's `String.hashCode`: `h = 31·h + unit` over UTF-16 units, wrapping. Tag codes and index keys are made of it.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    java_hash_continue(0, text)
}

/// Goes on hashing from `hash`, so that a shared prefix is hashed once.
#[must_use]
pub fn java_hash_continue(mut hash: i32, text: &str) -> i32 {
    if text.is_ascii() {
        // Four units a step: the serial multiply chain is what this costs.
        let (head, tail) = text.as_bytes().as_chunks::<4>();
        for &[a, b, c, d] in head {
            let inner = i32::from(a)
                .wrapping_mul(29_791)
                .wrapping_add(i32::from(b).wrapping_mul(961))
                .wrapping_add(i32::from(c).wrapping_mul(31))
                .wrapping_add(i32::from(d));
            hash = hash.wrapping_mul(923_521).wrapping_add(inner);
        }
        for &byte in tail {
            hash = hash.wrapping_mul(31).wrapping_add(i32::from(byte));
        }
        return hash;
    }
    text.encode_utf16().fold(hash, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// What a consume-queue entry keeps of a message's tag: its Java hash, sign-extended; 0 without a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagsCode(pub i64);

impl TagsCode {
    /// The code of a `TAGS` value.
    #[must_use]
    pub fn of(tags: Option<&str>) -> Self {
        Self(tags.map_or(0, |t| i64::from(java_hash(t))))
    }
}

/// The value of `name`; the last one where a sender gave several, as Java's map does. Empty values count as absent.
#[must_use]
pub fn find_property<'a>(properties: &'a str, name: &str) -> Option<&'a str> {
    let bytes = properties.as_bytes();
    let mut found = None;
    let mut start = 0;
    // A loop by hand: what compilers make of a chain of iterators here differs by a fifth of a send's work.
    while start < bytes.len() {
        let rest = &bytes[start..];
        let len = memchr::memchr(PROPERTY_END, rest).unwrap_or(rest.len());
        // Most entries differ from the name in their first bytes: only the one that is wanted is split.
        let value = rest[..len].strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(&[NAME_END]));
        let end = start + len;
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            found = Some(end - value.len()..end);
        }
        start = end + 1;
    }
    found.filter(|_| !name.is_empty()).and_then(|place| properties.get(place))
}

/// Every property in order. Entries without a name, a value or a separator are skipped, as the reference does.
pub fn iter_properties(properties: &str) -> impl Iterator<Item = (&str, &str)> {
    iter_entries(properties).filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// Every entry that has a separator in order, also without a name or a value. One pass finds both kinds of separators.
pub fn iter_entries(properties: &str) -> impl Iterator<Item = (&str, &str)> {
    let bytes = properties.as_bytes();
    let mut marks = memchr::memchr2_iter(NAME_END, PROPERTY_END, bytes);
    let (mut start, mut split) = (0, None);
    // By hand for the same reason as above.
    std::iter::from_fn(move || {
        while start <= bytes.len() {
            let at = marks.next().unwrap_or(bytes.len());
            if bytes.get(at) == Some(&NAME_END) {
                // A value may hold this byte; a name may not.
                split.get_or_insert(at);
                continue;
            }
            let entry = split.take().and_then(|split: usize| {
                Some((properties.get(start..split)?, properties.get(split + 1..at)?))
            });
            start = at + 1;
            if entry.is_some() {
                return entry;
            }
        }
        None
    })
}

/// Appends one property to a property string, minding a separator that the sender left out.
pub fn push_property(properties: &mut String, name: &str, value: &str) {
    if !properties.is_empty() && !properties.ends_with(PROPERTY_END as char) {
        properties.push(PROPERTY_END as char);
    }
    properties.push_str(name);
    properties.push(NAME_END as char);
    properties.push_str(value);
    properties.push(PROPERTY_END as char);
}

/// The string without the properties named.
#[must_use]
pub fn without_properties(properties: &str, names: &[&str]) -> String {
    let mut kept = String::with_capacity(properties.len());
    for (name, value) in iter_properties(properties) {
        if !names.contains(&name) {
            push_property(&mut kept, name, value);
        }
    }
    kept
}

/// Where a message lies on which broker: the id that clients resolve by connecting to the address inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The broker's advertised address.
    pub host: SocketAddr,
    /// Where the record starts.
    pub offset: PhysicalOffset,
}

impl MessageId {
    /// Appends the id to `out`: upper-case hex of address, port and offset (32 digits, 56 for IPv6).
    pub fn write_hex(&self, out: &mut impl Extend<u8>) {
        out.extend(self.hex(&mut [0; 56]).bytes());
    }

    fn hex<'a>(&self, digits: &'a mut [u8; 56]) -> &'a str {
        let mut bytes = [0; 28];
        let ip_len = match self.host.ip() {
            IpAddr::V4(ip) => {
                bytes[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                bytes[..16].copy_from_slice(&ip.octets());
                16
            }
        };
        bytes[ip_len..ip_len + 4].copy_from_slice(&u32::from(self.host.port()).to_be_bytes());
        bytes[ip_len + 4..ip_len + 12].copy_from_slice(&self.offset.0.to_be_bytes());
        hex::write(&bytes[..ip_len + 12], digits)
    }

    /// Reads the hex form; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let ip_len = match digits.len() {
            32 => 4,
            56 => 16,
            _ => return None,
        };
        let mut bytes = [0u8; 28];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        let ip: IpAddr = if ip_len == 4 {
            <[u8; 4]>::try_from(&bytes[..4]).ok()?.into()
        } else {
            <[u8; 16]>::try_from(&bytes[..16]).ok()?.into()
        };
        let port = u32::from_be_bytes(bytes[ip_len..ip_len + 4].try_into().ok()?);
        let offset = u64::from_be_bytes(bytes[ip_len + 4..ip_len + 12].try_into().ok()?);
        Some(Self { host: SocketAddr::new(ip, u16::try_from(port).ok()?), offset: PhysicalOffset(offset) })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex(&mut [0; 56]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        for (text, hash) in [
            ("TagA", 2_598_919),
            ("TagB", 2_598_920),
            ("中文", 646_394),
            ("polygenelubricants", i32::MIN),
            ("😀", 1_772_899),
            ("", 0),
        ] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(java_hash_continue(java_hash("T1#"), "key-17"), java_hash("T1#key-17"));
    }

    #[test]
    fn message_ids_round_trip_for_both_address_families() {
        let id = MessageId { host: "10.0.0.2:10911".parse().unwrap(), offset: PhysicalOffset(0x200) };
        assert_eq!(id.to_string(), "0A00000200002A9F0000000000000200");
        let v6 = MessageId { host: "[::1]:10911".parse().unwrap(), offset: PhysicalOffset(7) };
        for id in [id, v6] {
            assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(MessageId::parse("0A00000200002A9F000000000000020G"), None);
    }

    proptest::proptest! {
        #[test]
        fn one_pass_over_a_property_string_finds_what_splitting_it_finds(text in "[aé=;]{0,24}") {
            let text = text.replace('=', "\u{1}").replace(';', "\u{2}");
            let split = || text.split('\u{2}').filter_map(|entry| entry.split_once('\u{1}'));
            proptest::prop_assert!(iter_entries(&text).eq(split()), "{text:?}");
            let whole = || split().filter(|(name, value)| !name.is_empty() && !value.is_empty());
            proptest::prop_assert!(iter_properties(&text).eq(whole()), "{text:?}");
            for name in ["", "a", "é", "aa", "aé"] {
                let last = whole().rfind(|(key, _)| *key == name).map(|(_, value)| value);
                proptest::prop_assert_eq!(find_property(&text, name), last, "{} in {:?}", name, text);
            }
        }
    }

    #[test]
    fn a_property_string_tolerates_what_senders_leave_out() {
        let text = "A\x01x\x02\x02B\x02=\x01\x02A\x01y";
        assert_eq!(find_property(text, "A"), Some("y"));
        assert_eq!(iter_properties(text).count(), 2);
        let mut text = text.to_owned();
        push_property(&mut text, "C", "z");
        assert!(text.ends_with("A\x01y\x02C\x01z\x02"));
        assert_eq!(without_properties(&text, &["A"]), "C\x01z\x02");
    }
}
