//! What one header costs: a producer's send, a consumer's pull, and their answers, in nanoseconds on one core.
//!
//! `cargo bench -p ferromq-protocol` prints the best and the median of many short rounds, so that a busy machine shows.

use std::hint::black_box;
use std::time::Instant;

use ferromq_model::message::SysFlag;
use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::{
    Command, EncodeFields, Head, HeaderScratch, Serialization, encode_command, encode_with_body,
};
use ferromq_protocol::header::{
    Header, PullFlags, PullMessage, PullMessageResponse, SendMessage, SendMessageResponse,
};

const ROUNDS: usize = 200;
const CALLS: u32 = 2_000;

fn main() {
    let send = SendMessage {
        group: "benchmark_producer",
        topic: "BenchmarkTopic",
        default_topic: "TBW102",
        default_queues: 4,
        queue: Some(QueueId(3)),
        sys_flag: SysFlag(0),
        born: Timestamp(1_700_000_000_000),
        flag: 0,
        properties: "UNIQ_KEY\x017F00000100002A139A5500000000000A\x02WAIT\x01true\x02TAGS\x01TagA\x02",
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker: Some("broker-a"),
    };
    let sent = SendMessageResponse {
        message_id: "0A00000200002A9F0000000000000200",
        queue: QueueId(3),
        offset: QueueOffset(1_234_567),
        transaction_id: Some("7F00000100002A139A5500000000000A"),
        batch_id: None,
        recall_handle: None,
        region: "DefaultRegion",
        trace: true,
    };
    let pull = PullMessage {
        group: "benchmark_consumer",
        topic: "BenchmarkTopic",
        queue: QueueId(3),
        from: Some(QueueOffset(1_234_567)),
        max: 32,
        flags: PullFlags(PullFlags::SUSPEND | PullFlags::SUBSCRIPTION),
        commit: Some(QueueOffset(1_234_500)),
        wait: Millis::secs(15),
        subscription: Some("*"),
        subscription_version: 1_700_000_000_000,
        expression_type: Some("TAG"),
        max_bytes: None,
        source: None,
        proxied_client: None,
    };
    let pulled = PullMessageResponse {
        next_broker: 0,
        next: QueueOffset(1_234_599),
        min: QueueOffset(0),
        max: QueueOffset(2_000_000),
        offset_delta: None,
        topic_sys_flag: None,
        group_sys_flag: None,
        forbidden: None,
    };
    for serialization in [Serialization::Json, Serialization::Binary] {
        println!("{serialization:?}");
        let request = |code| Head { serialization, ..Head::request(code, 123_456) };
        let response = Head::response_to(serialization, 123_456, ResponseCode::Success);
        round_trip("send 310", &request(RequestCode::SendMessageV2), &send, |command| {
            black_box(SendMessage::decode(&command.fields).is_ok());
        });
        round_trip("its response", &response, &sent, |command| {
            black_box(SendMessageResponse::decode(&command.fields).is_ok());
        });
        round_trip("pull 11", &request(RequestCode::PullMessage), &pull, |command| {
            black_box(PullMessage::decode(&command.fields).is_ok());
        });
        round_trip("its response", &response, &pulled, |command| {
            black_box(PullMessageResponse::decode(&command.fields).is_ok());
        });
    }
}

fn round_trip(what: &str, head: &Head<'_>, fields: &impl EncodeFields, typed: impl Fn(&Command<'_>)) {
    let mut frame = Vec::new();
    encode_with_body(&mut frame, head, fields, &[7; 128]).expect("small");
    let header = frame.len() - 128 - 8;
    let mut scratch = HeaderScratch::new();
    let decode = time(|| {
        let command = Command::decode(black_box(&frame), &mut scratch).expect("written above");
        black_box(&command);
    });
    let mut scratch = HeaderScratch::new();
    let both = time(|| typed(&Command::decode(black_box(&frame), &mut scratch).expect("written above")));
    let mut out = bytes::BytesMut::with_capacity(64 << 10);
    let encode = time(|| {
        out.clear();
        black_box(encode_command(&mut out, black_box(head), black_box(fields), 128)).expect("small");
    });
    println!("  {what:14} {header:4} bytes: decode {decode}, with its typed header {both}, encode {encode}");
}

/// Nanoseconds of one call: the best round and the median one.
fn time(mut call: impl FnMut()) -> String {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    format!("{:.0} ({:.0}) ns", rounds[0], rounds[ROUNDS / 2])
}
