//! Messages with a delivery time of their own: put into slots, delivered, taken back, put back, and what a restart and a
//! crash make of them. The clock is the test's, and nothing runs by itself.

mod support;

use ferromq_broker::recall::Recall;
use ferromq_broker::send::{Send, SendBatch};
use ferromq_broker::timer::{Ended, TimerEngine};
use ferromq_model::message::TagsCode;
use ferromq_model::{ByteSize, Millis, QueueId};
use support::{Message, Rig, bodies, message, properties};

fn rig() -> Rig {
    Rig::with(|config| config.timer_log_file_size = ByteSize::kib(4))
}

fn open(rig: &Rig) -> TimerEngine {
    TimerEngine::open(&rig.broker, false).unwrap()
}

/// Lets the timers work until there is nothing to do; when they are due next, counted from now. What does not fit is made
/// anew, as their task does.
fn work(rig: &Rig, engine: &mut TimerEngine) -> Option<u64> {
    let mut ended = engine.work(|| false);
    if let Ended::Unfit(_) = ended {
        *engine = TimerEngine::open(&rig.broker, true).unwrap();
        ended = engine.work(|| false);
    }
    match ended {
        Ended::Idle { due } => due.map(|due| due.since(rig.broker.store().now()).0),
        other => panic!("{other:?}"),
    }
}

/// Sends a message that is due so many milliseconds from now; its handle.
fn send_due_in(rig: &Rig, body: &str, millis: u64) -> String {
    let text = properties(&[
        ("TAGS", "A"),
        ("UNIQ_KEY", &format!("U{body}")),
        ("TIMER_DELAY_MS", &millis.to_string()),
    ]);
    let send = Send { properties: &text, queue: Some(QueueId(1)), ..message("T", body) };
    let mut sends = SendBatch::new();
    let ticket = rig.broker.prepare(&mut sends, &send).unwrap();
    rig.broker.commit(&mut sends).unwrap();
    sends.recall_handle(ticket).unwrap_or_default().to_owned()
}

fn recall(rig: &Rig, handle: &str) {
    let from = "10.0.0.9:50000".parse().unwrap();
    rig.broker.recall(&Recall { group: None, topic: "T", handle, from }).unwrap();
}

fn delivered(rig: &Rig) -> Vec<Message> {
    rig.messages("T", 1)
}

#[test]
fn a_message_comes_at_its_time_and_not_before_with_what_it_was_sent_with() {
    let rig = rig();
    rig.host.advance(Millis(1));
    let mut engine = open(&rig);
    assert_eq!(work(&rig, &mut engine), None);
    send_due_in(&rig, "later", 5_000);
    send_due_in(&rig, "sooner", 2_500);
    assert_eq!(work(&rig, &mut engine), Some(2_999), "rounded up to the precision");
    rig.host.advance(Millis(2_998));
    assert_eq!(work(&rig, &mut engine), Some(1));
    assert!(delivered(&rig).is_empty());
    rig.host.advance(Millis(1));
    assert_eq!(work(&rig, &mut engine), Some(3_000));
    let [sooner] = &delivered(&rig)[..] else { panic!() };
    assert_eq!((sooner.body.as_str(), sooner.tags), ("sooner", TagsCode::of(Some("A"))));
    for (name, value) in [
        ("TIMER_DELAY_MS", "2500"),
        ("TIMER_OUT_MS", "1700000002000"),
        ("TIMER_ENQUEUE_MS", "1700000000000"),
        ("TIMER_DEQUEUE_MS", "1700000003000"),
        ("REAL_TOPIC", "T"),
        ("UNIQ_KEY", "Usooner"),
    ] {
        assert_eq!(sooner.property(name), Some(value), "{name}");
    }
    rig.host.advance(Millis::secs(60));
    assert_eq!(work(&rig, &mut engine), None);
    assert_eq!(bodies(&delivered(&rig)), ["sooner", "later"]);
}

#[test]
fn messages_of_one_slot_come_in_their_order_however_many_there_are() {
    let rig = rig();
    let mut engine = open(&rig);
    for n in 0..10_000 {
        send_due_in(&rig, &n.to_string(), 1_500 + n % 500);
        if n % 3_000 == 0 {
            work(&rig, &mut engine);
        }
    }
    rig.host.advance(Millis::secs(2));
    work(&rig, &mut engine);
    let expected: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&delivered(&rig)), expected);
}

#[test]
fn a_message_that_was_taken_back_does_not_come() {
    let rig = rig();
    let mut engine = open(&rig);
    let handles: Vec<_> =
        ["a", "b", "c", "d"].into_iter().map(|body| send_due_in(&rig, body, 5_500)).collect();
    recall(&rig, &handles[0]);
    work(&rig, &mut engine);
    recall(&rig, &handles[2]);
    work(&rig, &mut engine);
    assert_eq!(rig.broker.timer_stats().waiting, 2);
    rig.host.advance(Millis::secs(4));
    recall(&rig, &handles[3]);
    rig.host.advance(Millis::secs(2));
    work(&rig, &mut engine);
    assert_eq!(
        bodies(&delivered(&rig)),
        ["b"],
        "the last mark came into the wheel as late as its message's slot was read"
    );
    assert_eq!(rig.broker.timer_stats().waiting, 0);
}

#[test]
fn a_message_beyond_the_wheels_window_is_put_back_until_it_is_near() {
    let rig = Rig::with(|config| {
        config.timer_log_file_size = ByteSize::kib(4);
        config.timer_roll_window = 60;
    });
    let mut engine = open(&rig);
    let handle = send_due_in(&rig, "far", 200_500);
    let near = send_due_in(&rig, "taken", 200_500);
    recall(&rig, &near);
    assert_eq!(work(&rig, &mut engine), Some(61_000));
    let mut seen = 0;
    for _ in 0..200 {
        rig.host.advance(Millis::secs(1));
        work(&rig, &mut engine);
        seen = seen.max(rig.messages("rmq_sys_wheel_timer", 0).len());
        assert!(delivered(&rig).is_empty());
    }
    assert!(seen > 3 + 2 * 3, "{seen}");
    rig.host.advance(Millis::secs(1));
    work(&rig, &mut engine);
    let [far] = &delivered(&rig)[..] else { panic!() };
    assert_eq!((far.body.as_str(), far.property("TIMER_OUT_MS")), ("far", Some("1700000200000")));
    assert!(far.property("TIMER_ROLL_TIMES").unwrap().parse::<u32>().unwrap() >= 3);
    assert_eq!(far.properties.matches("TIMER_DEQUEUE_MS").count(), 1, "{}", far.properties);
    assert_eq!(rig.broker.timer_stats().waiting, 0);
    drop(handle);
}

#[test]
fn timers_that_came_due_while_the_broker_was_down_come_when_it_is_back() {
    let mut rig = rig();
    let mut engine = open(&rig);
    send_due_in(&rig, "in its slot", 2_500);
    work(&rig, &mut engine);
    engine.save().unwrap();
    send_due_in(&rig, "in no slot", 3_500);
    send_due_in(&rig, "later", 60_000);
    drop(engine);
    rig.host.advance(Millis::secs(30));
    rig = rig.restart();
    let mut engine = open(&rig);
    assert_eq!(work(&rig, &mut engine), Some(30_000));
    let mut all = bodies(&delivered(&rig)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    all.sort();
    assert_eq!(all, ["in its slot", "in no slot"]);
    rig.host.advance(Millis::secs(31));
    work(&rig, &mut engine);
    assert_eq!(delivered(&rig).len(), 3);
}

#[test]
fn a_crash_behind_a_delivery_delivers_nothing_twice_and_loses_nothing() {
    let rig = rig();
    let mut engine = open(&rig);
    send_due_in(&rig, "before", 1_500);
    send_due_in(&rig, "after", 3_500);
    work(&rig, &mut engine);
    engine.save().unwrap();
    rig.host.advance(Millis::secs(2));
    work(&rig, &mut engine);
    assert_eq!(bodies(&delivered(&rig)), ["before"]);
    // Put into its slot, but not noted.
    send_due_in(&rig, "unnoted", 1_500);
    work(&rig, &mut engine);
    drop(engine);
    let rig = rig.crash();
    let mut engine = open(&rig);
    work(&rig, &mut engine);
    assert_eq!(bodies(&delivered(&rig)), ["before"]);
    rig.host.advance(Millis::secs(3));
    work(&rig, &mut engine);
    let messages = delivered(&rig);
    let mut all = bodies(&messages);
    all.sort_unstable();
    assert_eq!(all, ["after", "before", "unnoted"]);
}

#[test]
fn lost_files_are_made_anew_and_nothing_comes_twice() {
    for lost in ["timerwheel", "config/timercheck", "timerlog/00000000000000000000"] {
        let mut rig = rig();
        let mut engine = open(&rig);
        for n in 0..200 {
            send_due_in(&rig, &n.to_string(), 1_500 + n * 50);
        }
        work(&rig, &mut engine);
        rig.host.advance(Millis::secs(5));
        work(&rig, &mut engine);
        engine.save().unwrap();
        let before = delivered(&rig).len();
        assert!(before > 20 && before < 200);
        drop(engine);
        rig = rig.restart_after(|root| std::fs::remove_file(root.join(lost)).unwrap());
        let mut engine = open(&rig);
        work(&rig, &mut engine);
        assert_eq!(delivered(&rig).len(), before, "without {lost}");
        rig.host.advance(Millis::secs(20));
        work(&rig, &mut engine);
        let mut all: Vec<u64> = bodies(&delivered(&rig)).iter().map(|body| body.parse().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>(), "without {lost}");
    }
}

#[test]
fn a_torn_timer_log_is_cut_and_its_messages_are_put_into_their_slots_again() {
    for torn in [0, 20, 52, 75] {
        let mut rig = rig();
        let mut engine = open(&rig);
        send_due_in(&rig, "a", 5_500);
        work(&rig, &mut engine);
        engine.save().unwrap();
        for body in ["b", "c"] {
            send_due_in(&rig, body, 5_500);
        }
        work(&rig, &mut engine);
        drop(engine);
        rig = rig.restart_after(|root| {
            let log = root.join("timerlog/00000000000000000000");
            let mut bytes = std::fs::read(&log).unwrap();
            // The two units behind the check; of them, so many bytes were written.
            bytes[52 + torn..].fill(0);
            std::fs::write(&log, bytes).unwrap();
        });
        let mut engine = open(&rig);
        work(&rig, &mut engine);
        rig.host.advance(Millis::secs(6));
        work(&rig, &mut engine);
        assert_eq!(bodies(&delivered(&rig)), ["a", "b", "c"], "torn behind {torn} bytes");
    }
}

#[test]
fn another_precision_and_a_clock_that_was_ahead_lose_no_timer() {
    let rig = rig();
    let mut engine = open(&rig);
    send_due_in(&rig, "a", 10_500);
    work(&rig, &mut engine);
    engine.save().unwrap();
    drop(engine);
    let rig = rig.restart_with(|config| config.timer_precision = Millis(200));
    let mut engine = open(&rig);
    assert_eq!(work(&rig, &mut engine), Some(10_200), "the slot that it was given, in shorter units");
    rig.host.advance(Millis::secs(600));
    work(&rig, &mut engine);
    send_due_in(&rig, "b", 1_000);
    work(&rig, &mut engine);
    engine.save().unwrap();
    drop(engine);
    rig.host.set_back(Millis::secs(500));
    let mut engine = open(&rig);
    work(&rig, &mut engine);
    assert_eq!(bodies(&delivered(&rig)), ["a"]);
    rig.host.advance(Millis::secs(502));
    work(&rig, &mut engine);
    assert_eq!(bodies(&delivered(&rig)), ["a", "b"]);
}

/// Random sends, recalls, saves, restarts and kills against a plain list: every message exactly once unless taken back,
/// never before its time, and within the precision of it once the timers have worked.
#[test]
fn whatever_happens_in_between_each_message_comes_once_and_in_time() {
    use std::collections::{BTreeMap, BTreeSet};
    for seed in 1..=4u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut rig = Rig::with(|config| {
            config.timer_log_file_size = ByteSize::kib(2);
            config.timer_roll_window = 30;
        });
        let mut engine = open(&rig);
        let mut due: BTreeMap<String, i64> = BTreeMap::new();
        let mut handles = Vec::new();
        let mut gone = BTreeSet::new();
        let mut checked = 0;
        for step in 0..250u64 {
            let now = rig.broker.store().now().0;
            match random(20) {
                0..9 => {
                    let (body, millis) = (format!("{step}"), 1 + random(100_000));
                    let handle = send_due_in(&rig, &body, millis);
                    due.insert(body.clone(), now + millis as i64);
                    handles.push((body, handle, now + millis as i64));
                }
                9 if !handles.is_empty() => {
                    let (body, handle, at) = handles.swap_remove(random(handles.len() as u64) as usize);
                    // Within the last unit it may be too late, or come all the same.
                    if at - now > 3_000 {
                        recall(&rig, &handle);
                        gone.insert(body);
                    }
                }
                10..16 => rig.host.advance(Millis(random(4_000))),
                16 => engine.save().unwrap(),
                17 => {
                    // Stopped between two rounds, wherever that is.
                    let rounds = std::cell::Cell::new(random(4));
                    engine.work(|| {
                        let left = rounds.get();
                        rounds.set(left.saturating_sub(1));
                        left == 0
                    });
                }
                18 => {
                    drop(engine);
                    rig = rig.crash();
                    engine = open(&rig);
                }
                _ => {
                    engine.save().unwrap();
                    drop(engine);
                    rig = rig.restart();
                    engine = open(&rig);
                }
            }
            if random(2) == 0 {
                work(&rig, &mut engine);
                let now = rig.broker.store().now().0;
                let came: Vec<String> = delivered(&rig).into_iter().map(|message| message.body).collect();
                let distinct: BTreeSet<_> = came.iter().cloned().collect();
                assert_eq!(came.len(), distinct.len(), "seed {seed}, step {step}: twice");
                for (body, at) in &due {
                    if distinct.contains(body) {
                        assert!(*at <= now, "seed {seed}, step {step}: {body} came early");
                        assert!(!gone.contains(body), "seed {seed}, step {step}: {body} was taken back");
                    } else if !gone.contains(body) {
                        assert!(now - at < 1_000, "seed {seed}, step {step}: {body} is late");
                    }
                }
                checked += 1;
            }
        }
        assert!(checked > 80);
        rig.host.advance(Millis::secs(300));
        work(&rig, &mut engine);
        assert_eq!(delivered(&rig).len(), due.len() - gone.len(), "seed {seed}");
        assert_eq!(rig.broker.timer_stats().waiting, 0, "seed {seed}");
    }
}
