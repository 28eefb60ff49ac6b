//! Which messages come later, and where they wait: what a sender asks for, and what is made of it.

mod support;

use ferromq_broker::deferral::DeferError;
use ferromq_broker::recall::{Recall, RecallError};
use ferromq_broker::send::{Send, SendBatch, SendError};
use ferromq_model::message::TagsCode;
use ferromq_model::{Millis, QueueId};
use support::{Message, Rig, batch_item, bodies, message, properties};

/// When the rig's clock starts: no multiple of a second.
const START: i64 = 1_700_000_000_000;

fn rig() -> Rig {
    let rig = Rig::new();
    rig.host.advance(Millis(250));
    rig
}

fn waiting(rig: &Rig) -> Vec<Message> {
    rig.messages("rmq_sys_wheel_timer", 0)
}

/// The refusal of a message with these properties.
fn refused(rig: &Rig, pairs: &[(&str, &str)]) -> DeferError {
    match rig.send(&Send { properties: &properties(pairs), ..message("T", "x") }) {
        Err(SendError::Defer(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_time_sends_a_message_to_the_wheel_with_the_slot_before_it() {
    let rig = rig();
    let at = (START + 5_000).to_string();
    let just_behind = (START + 5_001).to_string();
    let cases: [(&[(&str, &str)], i64); 5] = [
        (&[("TIMER_DELAY_SEC", "5")], START + 5_000),
        (&[("TIMER_DELAY_MS", "1")], START),
        (&[("TIMER_DELIVER_MS", &at)], START + 4_000),
        (&[("TIMER_DELIVER_MS", &just_behind)], START + 5_000),
        (&[("TIMER_DELIVER_MS", &at), ("TIMER_DELAY_MS", "60000"), ("TIMER_DELAY_SEC", "2")], START + 2_000),
    ];
    for (i, (asked, slot)) in cases.into_iter().enumerate() {
        let text =
            properties(&[&[("TAGS", "A"), ("UNIQ_KEY", "U"), ("TIMER_ROLL_TIMES", "9")], asked].concat());
        let send = Send { properties: &text, queue: Some(QueueId(2)), ..message("T", "later") };
        let (ticket, _) = rig.send(&send).unwrap();
        assert_eq!(ticket.queue, QueueId(2), "the sender is told its own queue");
        let stored = &waiting(&rig)[i];
        for (name, value) in [("TIMER_OUT_MS", &*slot.to_string()), ("REAL_TOPIC", "T"), ("REAL_QID", "2")] {
            assert_eq!(stored.property(name), Some(value), "{name} for {asked:?}");
        }
        assert_eq!(stored.property(asked[0].0), Some(asked[0].1), "what was asked for stays");
        assert_eq!(stored.property("TIMER_ROLL_TIMES"), None, "a forgery");
        assert_eq!(stored.tags, TagsCode::of(Some("A")));
    }
    assert!(rig.messages("T", 2).is_empty());
}

#[test]
fn what_is_due_already_or_has_waited_already_is_stored_where_it_belongs() {
    let rig = rig();
    let now = (START + 250).to_string();
    for asked in [
        &[("TIMER_DELIVER_MS", &*now)][..],
        &[("TIMER_DELAY_SEC", "0")],
        &[("TIMER_DELAY_MS", "-5")],
        &[("TIMER_DELAY_SEC", "5"), ("TIMER_OUT_MS", "1")],
    ] {
        rig.sent(&Send { properties: &properties(asked), ..message("T", "x") });
    }
    assert_eq!(rig.messages("T", 0).len(), 4);
    assert!(waiting(&rig).is_empty());
}

#[test]
fn times_beyond_the_limit_and_times_that_are_none_are_refused() {
    let rig = rig();
    let far = "9223372036854775807";
    for asked in [("TIMER_DELAY_SEC", "259201"), ("TIMER_DELAY_SEC", far), ("TIMER_DELIVER_MS", far)] {
        let error = refused(&rig, &[asked]);
        assert!(matches!(error, DeferError::Illegal { .. }), "{asked:?}");
        assert!(error.to_string().contains("259200000ms"), "{error}");
    }
    for asked in [("TIMER_DELAY_SEC", "soon"), ("TIMER_DELAY_MS", "1.5"), ("TIMER_DELIVER_MS", "-")] {
        assert!(matches!(refused(&rig, &[asked]), DeferError::Illegal { .. }), "{asked:?}");
    }
    let mark = [("TIMER_DELAY_SEC", "0"), ("TIMER_DEL_UNIQKEY", "T+U")];
    assert!(matches!(refused(&rig, &mark), DeferError::Illegal { .. }), "there is nothing left to take back");
    let off = Rig::with(|config| config.timers = false);
    assert!(matches!(refused(&off, &[("TIMER_DELAY_SEC", "5")]), DeferError::NoTimers));
}

#[test]
fn clients_cannot_send_to_the_wheels_topic_nor_delay_parts_of_a_batch() {
    let rig = rig();
    let refusal = rig.send(&message("rmq_sys_wheel_timer", "x"));
    assert!(matches!(refusal, Err(SendError::ForbiddenTopic(_))));
    let batch = batch_item("x", &[("TIMER_DELAY_SEC", "5")]);
    let send = Send { is_batch: true, body: &batch, ..message("T", "") };
    assert!(matches!(rig.send(&send), Err(SendError::Illegal(_))));
}

#[test]
fn the_senders_handle_stores_a_mark_in_the_messages_slot() {
    let rig = rig();
    let text = properties(&[("UNIQ_KEY", "U"), ("TIMER_DELAY_SEC", "5")]);
    let handle = handle_of(&rig, &Send { properties: &text, ..message("T", "x") }).unwrap();
    let from = "10.0.0.9:50000".parse().unwrap();
    let recall = |topic, handle| rig.broker.recall(&Recall { group: Some("P"), topic, handle, from });
    let recalled = recall("T", &handle).unwrap();
    assert_eq!(recalled.unique_key, "U");
    let [message_, mark] = &waiting(&rig)[..] else { panic!() };
    assert_eq!(mark.property("TIMER_OUT_MS"), message_.property("TIMER_OUT_MS"));
    for (name, value) in [
        ("TIMER_DEL_UNIQKEY", "T+U"),
        ("UNIQ_KEY", "U"),
        ("PGROUP", "P"),
        ("TAGS", "_RECALL_TAG_"),
        ("REAL_TOPIC", "T"),
    ] {
        assert_eq!(mark.property(name), Some(value), "{name}");
    }
    assert_eq!(mark.body, "0");
    rig.sent(&message("other", "x"));
    assert!(matches!(recall("other", &handle), Err(RecallError::Handle("topic not match"))));
    assert!(matches!(recall("none", &handle), Err(RecallError::NoTopic(_))));
    let long = "A".repeat(100_000);
    for nonsense in ["", "x", "djEgVA==", &long] {
        assert!(matches!(recall("T", nonsense), Err(RecallError::Handle("recall handle is invalid"))));
    }
    rig.host.advance(Millis::secs(5));
    assert!(matches!(recall("T", &handle), Err(RecallError::Handle("timestamp invalid"))), "too late");
    let off = Rig::with(|config| config.recall = false);
    let ask = Recall { group: None, topic: "T", handle: &handle, from };
    assert!(matches!(off.broker.recall(&ask), Err(RecallError::Forbidden)));
}

#[test]
fn only_a_single_timer_message_is_given_a_handle_and_it_names_a_key_even_if_the_sender_gave_none() {
    let rig = rig();
    assert_eq!(handle_of(&rig, &message("T", "x")), None);
    let level = properties(&[("DELAY", "3")]);
    assert_eq!(handle_of(&rig, &Send { properties: &level, ..message("T", "x") }), None);
    let timer = properties(&[("TIMER_DELAY_SEC", "5")]);
    let handle = handle_of(&rig, &Send { properties: &timer, ..message("T", "x") }).unwrap();
    let from = "10.0.0.9:50000".parse().unwrap();
    let recalled = rig.broker.recall(&Recall { group: None, topic: "T", handle: &handle, from }).unwrap();
    assert_eq!(waiting(&rig)[0].property("UNIQ_KEY"), Some(&*recalled.unique_key));
    rig.join("G", "c", &[("T", "*")]);
    assert_eq!(handle_of(&rig, &Send { properties: &timer, ..message("%RETRY%G", "x") }), None);
    assert_eq!(bodies(&waiting(&rig)), ["x", "0", "x"]);
}

/// What the sender of a message is given to take it back.
fn handle_of(rig: &Rig, send: &Send<'_>) -> Option<String> {
    let mut sends = SendBatch::new();
    let ticket = rig.broker.prepare(&mut sends, send).unwrap();
    rig.broker.commit(&mut sends).unwrap();
    sends.recall_handle(ticket).map(str::to_owned)
}
