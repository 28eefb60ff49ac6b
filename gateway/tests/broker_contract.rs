//! The contract of the broker's front-end: for each request that it serves, what goes in and what must come out, in both
//! serializations. A request that is served and has no row fails the test, and so does a row that is not served. The
//! rows lie in `contract/`.

mod contract;
mod support;

use std::collections::HashSet;

use contract::{Row, UNIQUE, rows};
use ferromq_gateway::remoting::compatibility::{self, Support};
use ferromq_model::name::HALF_TOPIC;
use ferromq_model::{PhysicalOffset, QueueId, QueueOffset};
use ferromq_protocol::code::RequestCode::{self, *};
use ferromq_protocol::code::Side;
use ferromq_protocol::frame::Serialization;
use ferromq_store::FlushMode;
use support::{Client, Rig, heartbeat, send_fields};

/// The world that the rows speak of.
async fn world() -> (Rig, Client) {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    for n in 0..3 {
        let properties = if n == 0 { "UNIQ_KEY\u{1}U0\u{2}KEYS\u{1}K\u{2}" } else { UNIQUE };
        let answer = client.ask(SendMessageV2.code(), &send_fields("T", "0", properties), b"x").await;
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    assert_eq!(client.ask(HeartBeat.code(), &[], heartbeat("C", "T").as_bytes()).await.code, 0);
    // Its own join is told to the member, too.
    assert_eq!(client.read().await.code, NotifyConsumerIdsChanged.code());
    // What was counted so far is in the statistics.
    rig.broker.sample_stats();
    (rig, client)
}

/// The row's fields. Those of transactions speak of a half message, which is sent first.
async fn filled_in<'a>(rig: &Rig, client: &mut Client, row: &'a Row) -> Vec<(&'a str, String)> {
    let mut place = PhysicalOffset::ZERO;
    if [EndTransaction, ResumeCheckHalfMessage].contains(&row.request) {
        let half = send_fields("T", "0", "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}P\u{2}UNIQ_KEY\u{1}H\u{2}");
        assert_eq!(client.ask(SendMessageV2.code(), &half, b"half").await.code, 0);
        place = rig.broker.queue(HALF_TOPIC, QueueId(0)).unwrap().physical(QueueOffset(0)).unwrap();
    }
    let fill_in = |&(name, value): &(&'a str, &str)| match value {
        "@half" => (name, place.to_string()),
        "@id" => (name, rig.broker.message_id(place).to_string()),
        value => (name, value.to_owned()),
    };
    row.fields.iter().map(fill_in).collect()
}

#[tokio::test]
async fn every_row_holds_in_both_serializations() {
    for serialization in [Serialization::Json, Serialization::Binary] {
        for row in rows() {
            let (rig, mut client) = world().await;
            client.serialization = serialization;
            if row.request == QueryMessage {
                let store = rig.broker.store();
                while store.indexed() < store.stats().log_max {
                    tokio::task::yield_now().await;
                }
            }
            let fields = filled_in(&rig, &mut client, &row).await;
            let what = format!("{} {:?} in {serialization:?}", row.request, row.when);
            let answer = client.ask_and_answer(row.request.code(), &fields, row.body.as_bytes()).await;
            // The binary header has 16 bits for a code: requests of pops do not fit, and are JSON with everyone.
            let fits = i16::try_from(row.request.code()).is_ok();
            let expected = if fits { serialization } else { Serialization::Json };
            assert_eq!(answer.serialization, expected, "{what}");
            assert_eq!(answer.code, row.code, "{what}: {answer:?}");
            assert!(answer.remark.contains(row.remark), "{what}: {answer:?}");
            assert!(row.code < 2 || row.remark.is_empty() || !answer.remark.is_empty(), "{what}: {answer:?}");
            for &(name, value) in row.answers {
                let found = answer.field(name);
                assert!(
                    if value == "*" { found != "(absent)" } else { found == value },
                    "{what}: {name} is {found}"
                );
            }
            assert_eq!(answer.text().is_empty(), row.contains.is_empty(), "{what}: {}", answer.text());
            for &text in &row.contains {
                assert!(answer.text().contains(text), "{what}: {text} is not in {}", answer.text());
            }
        }
    }
}

#[tokio::test]
async fn what_is_served_is_listed_and_has_a_row_and_what_is_not_says_why() {
    let tested: HashSet<RequestCode> =
        rows().iter().filter(|row| row.code == 0).map(|row| row.request).collect();
    let (_rig, mut client) = world().await;
    for &request in RequestCode::ALL {
        // Nothing but the code: what is served at least complains.
        let answer = client.ask(request.code(), &[], b"").await;
        let served = answer.code != 3;
        assert_eq!(served, tested.contains(&request), "{request} is served and has no row, or the reverse");
        let listed = compatibility::BROKER.iter().find(|(code, _)| *code == request);
        let is_listed = matches!(listed, Some((_, Support::Since { .. })));
        assert_eq!(served, is_listed, "{request} is served and not listed as such, or the reverse");
        if !served {
            let expected = format!(" request type {} not supported", request.code());
            assert!(answer.remark.starts_with(&expected), "{request}: {}", answer.remark);
            let of_brokers = request.served_by().contains(&Side::Broker);
            assert!(!of_brokers || answer.remark != expected, "{request} is refused without a reason");
        }
    }
    assert_eq!(client.ask(12_345, &[], b"").await.remark, " request type 12345 not supported");
}

#[tokio::test]
async fn a_one_way_request_is_never_answered() {
    let (_rig, mut client) = world().await;
    for row in rows() {
        let (_, frame) = client.frame(row.request.code(), &row.fields, row.body.as_bytes(), true);
        client.write(&frame).await;
        let last = client.tell(12_345, &[], b"").await;
        let mut answer = client.read().await;
        // What the broker wants by itself.
        while answer.flag != 1 {
            answer = client.read().await;
        }
        assert_eq!((answer.opaque, answer.code), (last, 3), "{} {:?}: {answer:?}", row.request, row.when);
    }
}
