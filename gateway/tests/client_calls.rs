//! What the broker asks of clients on their own connections: that each question ends, and that only its own answer ends
//! it well. And groups that are moved, which their members learn this way or with their next pull.

mod support;

use std::time::Duration;

use ferromq_broker::clients::AskError;
use ferromq_protocol::code::RequestCode::{
    GetConsumerRunningInfo, GetConsumerStatusFromClient, GetMaxOffset, HeartBeat,
    InvokeBrokerToGetConsumerStatus, InvokeBrokerToResetOffset, PullMessage, QueryConsumerOffset,
    ResetConsumerClientOffset, SendMessageV2, UpdateConsumerOffset,
};
use ferromq_protocol::frame::{Language, Serialization};
use ferromq_store::FlushMode;
use support::{Client, Rig, heartbeat, pull_fields, send_fields};

const RUNNING_INFO: &[(&str, &str)] = &[("consumerGroup", "G"), ("clientId", "C"), ("jstackEnable", "true")];

/// A connected member C of the group G.
async fn member(rig: &Rig, id: &str) -> Client {
    let mut client = rig.connect();
    assert_eq!(client.ask(HeartBeat.code(), &[], heartbeat(id, "T").as_bytes()).await.code, 0);
    client
}

#[tokio::test]
async fn a_question_is_passed_on_and_so_is_its_answer() {
    for serialization in [Serialization::Json, Serialization::Binary] {
        let rig = Rig::new(FlushMode::Async);
        let (mut client, mut admin) = (member(&rig, "C").await, rig.connect());
        client.serialization = serialization;
        admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
        let question = client.question().await;
        assert_eq!(question.code, GetConsumerRunningInfo.code());
        for &(name, value) in RUNNING_INFO {
            assert_eq!(question.field(name), value);
        }
        client.answer(&question, 0, b"{\"jstack\":\"..\"}").await;
        let answer = admin.read().await;
        assert_eq!((answer.code, answer.text()), (0, "{\"jstack\":\"..\"}".to_owned()));

        // A refusal is passed on as it is, too.
        admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
        let question = client.question().await;
        client.answer(&question, 1, b"").await;
        assert_eq!(admin.read().await.code, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let rig = Rig::new(FlushMode::Async);
    let (mut client, mut admin) = (member(&rig, "C").await, rig.connect());
    let began = tokio::time::Instant::now();
    admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
    let late = client.question().await;
    let answer = admin.read().await;
    assert_eq!((answer.code, began.elapsed()), (207, Duration::from_secs(10)));
    assert!(answer.remark.starts_with("consumer <G> <C> Timeout: "), "{}", answer.remark);

    // What it says after all belongs to no later question.
    client.answer(&late, 0, b"late").await;
    admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
    let question = client.question().await;
    client.answer(&question, 0, b"in time").await;
    assert_eq!(admin.read().await.text(), "in time");
}

#[tokio::test]
async fn a_question_ends_with_its_connection() {
    let rig = Rig::new(FlushMode::Async);
    let (mut client, mut admin) = (member(&rig, "C").await, rig.connect());
    let link = rig.broker.members().consumer("G", "C").unwrap().1.link;
    admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
    client.question().await;
    client.close().await;
    let answer = admin.read().await;
    assert_eq!(answer.code, 1);
    assert!(answer.remark.contains("the connection is closed"), "{}", answer.remark);
    assert_eq!(link.running_info("G", "C", false).await, Err(AskError::Closed), "and none is asked after it");
}

#[tokio::test]
async fn an_answer_to_nothing_is_dropped() {
    let rig = Rig::new(FlushMode::Async);
    let (mut client, mut admin) = (member(&rig, "C").await, rig.connect());
    admin.tell(GetConsumerRunningInfo.code(), RUNNING_INFO, b"").await;
    let question = client.question().await;
    let other = support::Answer { opaque: question.opaque.wrapping_add(1), ..question.clone() };
    client.answer(&other, 0, b"wrong").await;
    client.answer(&support::Answer { opaque: 0, ..question.clone() }, 0, b"wrong").await;
    client.answer(&question, 0, b"right").await;
    assert_eq!(admin.read().await.text(), "right");
    client.answer(&question, 0, b"twice").await;
    // The connection is none the worse for it.
    assert_eq!(
        client.ask_and_answer(GetMaxOffset.code(), &[("topic", "T"), ("queueId", "0")], b"").await.code,
        0
    );
}

#[tokio::test]
async fn a_client_has_only_so_many_questions_before_it() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = member(&rig, "C").await;
    let link = rig.broker.members().consumer("G", "C").unwrap().1.link;
    let mut asked = Vec::new();
    for _ in 0..256 {
        asked.push(link.running_info("G", "C", false));
        // So that it is a question that waits for its answer, and not a frame that waits to be written.
        client.question().await;
    }
    assert_eq!(link.running_info("G", "C", false).await, Err(AskError::Busy));
    // Whoever stops waiting makes room.
    asked.pop();
    let question = link.running_info("G", "C", false);
    let number = client.question().await;
    client.answer(&number, 0, b"x").await;
    assert_eq!(question.await.unwrap().body, "x");
}

#[tokio::test]
async fn a_client_that_does_not_read_has_only_so_many_frames_before_it() {
    let rig = Rig::new(FlushMode::Async);
    let _client = member(&rig, "C").await;
    let link = rig.broker.members().consumer("G", "C").unwrap().1.link;
    // Nothing runs in between, so that nothing is written.
    let asked: Vec<_> = (0..300).map(|_| link.running_info("G", "C", false)).collect();
    let refused = futures_util::future::join_all(asked.into_iter().skip(256)).await;
    assert!(refused.iter().all(|answer| *answer == Err(AskError::Busy)), "{refused:?}");
}

#[tokio::test]
async fn status_is_gathered_from_all_members_that_answer() {
    let rig = Rig::new(FlushMode::Async);
    let (mut a, mut b, mut admin) = (member(&rig, "a").await, member(&rig, "b").await, rig.connect());
    admin.tell(InvokeBrokerToGetConsumerStatus.code(), &[("topic", "T"), ("group", "G")], b"").await;
    for (client, body) in [
        (&mut a, r#"{"messageQueueTable":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:5}}"#),
        (&mut b, "no status"),
    ] {
        let question = client.question().await;
        assert_eq!(question.code, GetConsumerStatusFromClient.code());
        assert_eq!((question.field("topic"), question.field("group")), ("T", "G"));
        client.answer(&question, 0, body.as_bytes()).await;
    }
    let answer = admin.read().await;
    let expected = r#"{"consumerTable":{"a":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:5}},"messageQueueTable":{}}"#;
    assert_eq!((answer.code, answer.text()), (0, expected.to_owned()));
}

fn reset<'a>(time: &'a str, force: &'a str) -> [(&'a str, &'a str); 4] {
    [("topic", "T"), ("group", "G"), ("timestamp", time), ("isForce", force)]
}

#[tokio::test]
async fn a_moved_group_hears_of_it_with_its_next_pull_and_commits_nothing_until_then() {
    let rig = Rig::new(FlushMode::Async);
    rig.broker.groups().find_or_create("G").unwrap();
    let mut client = rig.connect();
    for _ in 0..5 {
        client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"x").await;
    }
    let position = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    let commit = [&position[..], &[("commitOffset", "4")]].concat();
    assert_eq!(client.ask(UpdateConsumerOffset.code(), &commit, b"").await.remark, "");
    // The clock stands still in these tests: every message is as old as this.
    let moved = client.ask(InvokeBrokerToResetOffset.code(), &reset("1700000000000", "false"), b"").await;
    let queue = |id, next| format!(r#"{{"brokerName":"broker-a","queueId":{id},"topic":"T"}}:{next}"#);
    let queues: Vec<_> = (0..4).map(|id| queue(id, 0)).collect();
    assert_eq!((moved.code, moved.text()), (0, format!(r#"{{"offsetTable":{{{}}}}}"#, queues.join(","))));

    let ignored = client.ask(UpdateConsumerOffset.code(), &commit, b"").await;
    assert_eq!((ignored.code, &*ignored.remark), (0, "Offset has been previously reset"));
    // A pull that brings a position along, as those of members do.
    let mut pull = pull_fields("T", "4", "7", "0");
    pull.iter_mut().filter(|(name, _)| *name == "commitOffset").for_each(|field| field.1 = "4");
    let told = client.ask(PullMessage.code(), &pull, b"").await;
    assert_eq!((told.code, told.field("nextBeginOffset")), (21, "0"));
    let at = client.ask(QueryConsumerOffset.code(), &position, b"").await;
    assert_eq!(at.field("offset"), "0");

    let pulled = client.ask(PullMessage.code(), &pull_fields("T", "0", "6", "0"), b"").await;
    assert_eq!((pulled.code, pulled.field("nextBeginOffset")), (0, "5"), "once is enough");
    assert_eq!(client.ask(UpdateConsumerOffset.code(), &commit, b"").await.remark, "");
}

#[tokio::test]
async fn without_that_all_members_are_told_at_once_in_the_form_that_each_reads() {
    let rig = Rig::with(FlushMode::Async, |config| config.server_side_reset = false);
    rig.broker.groups().find_or_create("G").unwrap();
    let mut admin = rig.connect();
    for _ in 0..5 {
        admin.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"x").await;
    }
    let reset_to_end = async |admin: &mut Client| {
        admin.ask(InvokeBrokerToResetOffset.code(), &reset("-1", "true"), b"").await
    };
    assert_eq!(reset_to_end(&mut admin).await.remark, "THe consumer group <G> not exist");
    for queue in ["0", "1", "2", "3"] {
        let commit = [("consumerGroup", "G"), ("topic", "T"), ("queueId", queue), ("commitOffset", "0")];
        admin.ask(UpdateConsumerOffset.code(), &commit, b"").await;
    }
    assert_eq!(reset_to_end(&mut admin).await.code, 206);

    let mut java = member(&rig, "java").await;
    let mut cpp = rig.connect();
    cpp.language = Language::Cpp;
    cpp.ask(HeartBeat.code(), &[], heartbeat("cpp", "T").as_bytes()).await;
    let answer = reset_to_end(&mut admin).await;
    let told = java.told(ResetConsumerClientOffset).await;
    assert_eq!((told.field("topic"), told.field("group"), told.field("timestamp")), ("T", "G", "-1"));
    assert_eq!(told.text(), answer.text());
    assert!(
        told.text().starts_with(r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:5,"#)
    );
    let told = cpp.told(ResetConsumerClientOffset).await;
    let list = r#"{"offsetTable":[{"brokerName":"broker-a","offset":5,"queueId":0,"topic":"T"},"#;
    assert!(told.text().starts_with(list), "{}", told.text());

    // Not by force, nobody is moved forward.
    let held = admin.ask(InvokeBrokerToResetOffset.code(), &reset("-1", "false"), b"").await;
    assert!(held.text().contains(r#""queueId":0,"topic":"T"}:0"#), "{}", held.text());
}
