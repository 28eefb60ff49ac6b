use super::*;
use crate::frame::{
    Command, EncodeFields, FieldSink, Head, HeaderScratch, Serialization, encode_command, encode_with_body,
};
use ferromq_model::message::SysFlag;
use ferromq_model::topic::{Permission, TopicFilterType};
use ferromq_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Timestamp};

/// A value that is neither a default nor absent.
pub(super) trait Sample {
    fn sample() -> Self;
}

macro_rules! samples {
    ($($kind:ty = $value:expr;)*) => {$(
        impl Sample for $kind {
            fn sample() -> Self {
                $value
            }
        }
    )*};
}
samples! {
    &str = "T1\x01ä\"中\x02";
    bool = true;
    i32 = -7;
    i64 = i64::MIN;
    u32 = u32::MAX;
    u64 = i64::MAX as u64;
    QueueId = QueueId(3);
    QueueOffset = QueueOffset(i64::MAX as u64);
    PhysicalOffset = PhysicalOffset(1 << 40);
    Timestamp = Timestamp(1_700_000_000_000);
    Millis = Millis(15_000);
    SysFlag = SysFlag(0x13);
    Permission = Permission::READ_WRITE;
    TopicFilterType = TopicFilterType::MultiTag;
    PullFlags = PullFlags(7);
    Boundary = Boundary::Upper;
    Forbidden = Forbidden::Broadcast;
}
impl<T: Sample> Sample for Option<T> {
    fn sample() -> Self {
        Some(T::sample())
    }
}

pub(super) fn each_serialization(fields: &impl EncodeFields, check: impl Fn(&Fields<'_>)) {
    for serialization in [Serialization::Json, Serialization::Binary] {
        let mut head = Head::request(RequestCode::HeartBeat, 1);
        head.serialization = serialization;
        let mut frame = Vec::new();
        encode_command(&mut frame, &head, fields, 0).unwrap();
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(&frame, &mut scratch).unwrap();
        assert_eq!(command.serialization, serialization);
        check(&command.fields);
    }
}

#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl FieldSink for Pairs {
    fn text(&mut self, name: &'static str, value: &str) {
        self.pair(name, value);
    }
    fn number(&mut self, name: &'static str, value: i64) {
        self.pair(name, &value.to_string());
    }
    fn pair(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// Leaves out each field in turn: what is required has to be named by the error, the rest must not be missed.
pub(super) fn without_each_field(
    header: &impl EncodeFields,
    decode: impl Fn(&'static str, &Fields<'_>) -> Result<(), (&'static str, HeaderError)>,
    row: Row,
) {
    let mut pairs = Pairs::default();
    header.encode_fields(&mut pairs);
    assert_eq!(pairs.0.len(), row.fields.len());
    for (at, field) in row.fields.iter().enumerate() {
        let mut rest = pairs.0.clone();
        rest.remove(at);
        each_serialization(&&rest[..], |fields| match decode(field.name, fields) {
            Ok(()) => assert!(field.optional, "{}.{}", row.name, field.name),
            Err((field, error)) => assert_eq!(error, HeaderError::Missing { field }, "{}", row.name),
        });
    }
}

fn decode<T: for<'a> Header<'a>>(pairs: &[(&str, &str)]) -> Result<T, HeaderError> {
    let mut frame = Vec::new();
    encode_command(&mut frame, &Head::request(RequestCode::HeartBeat, 1), &pairs, 0).unwrap();
    let mut scratch = HeaderScratch::new();
    T::decode(&Command::decode(&frame, &mut scratch).unwrap().fields)
}

fn check_send(pairs: &[(&str, &str)], check: impl Fn(Result<SendMessage<'_>, HeaderError>)) {
    each_serialization(&pairs, |fields| check(SendMessage::decode(fields)));
}

/// The same send in both serializations, recorded from Java clients: 4.7.1, 4.9.8 and 5.3.3 write the same bytes.
const RECORDED_SENDS: [&str; 2] = [
    "000001550000014c7b22636f6465223a3331302c226578744669656c6473223a7b2261223a225047222c2262223a225431222c2263223a22544257313032222c2264223a2234222c2265223a2230222c2266223a2230222c2267223a2231373030303030303030303030222c2268223a2230222c2269223a224b4559535c75303030316b205c22715c2220e4b8ad5c7530303032554e49515f4b45595c753030303137463030303030313030303032413133394135353030303030303030303030415c7530303032574149545c7530303031747275655c7530303032222c226a223a2230222c226b223a2266616c7365222c226d223a2266616c7365227d2c22666c6167223a302c226c616e6775616765223a224a415641222c226f7061717565223a372c2273657269616c697a655479706543757272656e74525043223a224a534f4e222c2276657273696f6e223a3335357d68656c6c6f",
    "000000db010000d20136000163000000070000000000000000000000bd000161000000025047000162000000025431000163000000065442573130320001640000000134000165000000013000016600000001300001670000000d313730303030303030303030300001680000000130000169000000434b455953016b2022712220e4b8ad02554e49515f4b4559013746303030303031303030303241313339413535303030303030303030303041025741495401747275650200016a000000013000016b0000000566616c736500016d0000000566616c736568656c6c6f",
];

#[test]
fn a_recorded_send_is_decoded_and_encoded_to_the_same_bytes() {
    for hex in RECORDED_SENDS {
        let frame: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let mut scratch = HeaderScratch::new();
        let command = Command::decode(&frame, &mut scratch).unwrap();
        assert_eq!((command.request_code(), command.version), (Some(RequestCode::SendMessageV2), 355));
        let send = SendMessage::decode(&command.fields).unwrap();
        assert_eq!(
            send,
            SendMessage {
                group: "PG",
                topic: "T1",
                default_topic: "TBW102",
                default_queues: 4,
                queue: Some(QueueId(0)),
                sys_flag: SysFlag(0),
                born: Timestamp(1_700_000_000_000),
                flag: 0,
                properties: "KEYS\x01k \"q\" 中\x02UNIQ_KEY\x017F00000100002A139A5500000000000A\x02WAIT\x01true\x02",
                reconsume_times: 0,
                unit_mode: false,
                max_reconsume_times: None,
                batch: false,
                broker: None,
            }
        );
        let mut head = Head::request(RequestCode::SendMessageV2, 7);
        (head.serialization, head.version) = (command.serialization, 355);
        let mut out = Vec::new();
        encode_with_body(&mut out, &head, &send, b"hello").unwrap();
        assert_eq!(out, frame);
    }
}

const SEND: [(&str, &str); 9] = [
    ("a", "PG"),
    ("b", "T1"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "-1"),
    ("f", "1"),
    ("g", "1700000000000"),
    ("h", "0"),
    ("i", "KEYS\x01k\x02"),
];

#[test]
fn both_columns_of_names_make_the_same_send() {
    check_send(&SEND, |send| {
        let send = send.unwrap();
        assert_eq!((send.group, send.topic, send.queue), ("PG", "T1", None));
        assert_eq!((send.sys_flag, send.born), (SysFlag(1), Timestamp(1_700_000_000_000)));
        assert_eq!((send.properties, send.batch, send.broker), ("KEYS\x01k\x02", false, None));
        let mut names = Pairs::default();
        LongNames(&send).encode_fields(&mut names);
        assert_eq!(names.0[0], ("producerGroup".to_owned(), "PG".to_owned()));
        assert_eq!(names.0[4], ("queueId".to_owned(), "-1".to_owned()));
        each_serialization(&LongNames(&send), |fields| assert_eq!(SendMessage::decode(fields), Ok(send)));
        each_serialization(&send, |fields| {
            assert_eq!(SendMessage::decode(fields), Ok(send));
            assert_eq!(fields.find("e"), Some("-1"));
        });
    });
}

#[test]
fn errors_name_the_field_and_what_it_should_be() {
    for (at, value, message) in [
        (3, "four", "header field d is \"four\", expected a 32-bit integer"),
        (3, "99999999999", "header field d is \"99999999999\", expected a 32-bit integer"),
        (4, "4294967296", "header field e is \"4294967296\", expected a queue id from 0"),
        (6, " 1", "header field g is \" 1\", expected a time in milliseconds since 1970"),
    ] {
        let mut pairs = SEND;
        pairs[at].1 = value;
        check_send(&pairs, |send| assert_eq!(send.unwrap_err().to_string(), message));
    }
    let mut long = SEND;
    let text = "x".repeat(10_000);
    long[3].1 = &text;
    check_send(&long, |send| assert!(send.unwrap_err().to_string().len() < 200));
    check_send(&SEND[1..], |send| {
        assert_eq!(send.unwrap_err().to_string(), "header field producerGroup is missing");
    });
}

#[test]
fn numbers_are_read_as_java_reads_them() {
    let offset = |text| decode::<OffsetResponse>(&[("offset", text)]).map(|h| h.offset.0);
    assert_eq!(offset("+12"), Ok(12));
    assert_eq!(offset("0000000000000000000000012"), Ok(12));
    assert_eq!(offset("9223372036854775807"), Ok(i64::MAX as u64));
    for bad in ["9223372036854775808", "-1", "", "-", "+", "1.0", "0x1", "١"] {
        assert!(offset(bad).is_err(), "{bad}");
    }
    let changed = |text| decode::<QueryDataVersionResponse>(&[("changed", text)]).unwrap().changed;
    assert!(changed("TRUE") && !changed("yes") && !changed("1"));
    let time = |text| decode::<EarliestStoreTimeResponse>(&[("timestamp", text)]).map(|h| h.time);
    assert_eq!((time("-1"), time("5")), (Ok(None), Ok(Some(Timestamp(5)))));
    each_serialization(&EarliestStoreTimeResponse { time: None }, |fields| {
        assert_eq!(fields.find("timestamp"), Some("-1"));
    });
}

#[test]
fn every_documented_field_says_what_it_takes() {
    for row in TABLE.iter().copied().flatten() {
        assert!(!row.doc.trim().is_empty() && !row.fields.is_empty(), "{}", row.name);
        let mut names: Vec<_> = row.fields.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), row.fields.len(), "{}", row.name);
    }
    let letters: String = SendMessage::ROW.fields.iter().filter_map(|f| f.letter).collect();
    assert_eq!(letters, "abcdefghijklmn");
}
