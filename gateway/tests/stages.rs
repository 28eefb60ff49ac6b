//! How long messages take from one stage to the next is counted for each message, whatever came together.

mod support;

use ferromq_broker::stats::Stage;
use ferromq_protocol::code::RequestCode::*;
use ferromq_store::FlushMode;
use support::{Rig, send_fields};

fn counts(rig: &Rig) -> [u64; 6] {
    Stage::ALL.map(|stage| rig.broker.stats().stages.reading(stage).count())
}

#[tokio::test]
async fn sends_that_came_together_count_one_by_one() {
    let rig = Rig::new(FlushMode::Async);
    let mut client = rig.connect();
    let mut bytes = Vec::new();
    for _ in 0..3 {
        let (_, frame) = client.frame(SendMessageV2.code(), &send_fields("T", "0", ""), b"a", false);
        bytes.extend_from_slice(&frame);
    }
    client.write(&bytes).await;
    for _ in 0..3 {
        assert_eq!(client.read().await.code, 0);
    }
    assert_eq!(counts(&rig), [3, 3, 3, 0, 0, 3], "nobody waits for the disk");
    assert_eq!(rig.broker.stats().put_times.reading().count(), 3);
    let refused = client.ask(SendMessageV2.code(), &send_fields("T", "99", ""), b"a").await;
    assert_ne!(refused.code, 0);
    assert_eq!(counts(&rig), [3, 3, 3, 0, 0, 3], "what is not stored took no time");
}

#[tokio::test]
async fn with_sync_flush_the_wait_for_the_disk_counts_as_well() {
    let rig = Rig::new(FlushMode::Sync);
    let mut client = rig.connect();
    assert_eq!(client.ask(SendMessageV2.code(), &send_fields("T", "0", ""), b"a").await.code, 0);
    assert_eq!(counts(&rig), [1, 1, 1, 1, 0, 1]);
    assert!(rig.broker.store().flush_times().count() >= 1);
}
