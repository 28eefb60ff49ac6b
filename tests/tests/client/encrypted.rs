//! Connections that are encrypted.

use ferromq_client::{Message, Tls};
use ferromq_tests::Kind;
use ferromq_tests::suite::Scene;

use crate::consuming::{builder, from_first, listener, producer};

/// Official servers take encrypted connections beside plain ones, with a certificate that they make themselves.
pub(crate) async fn messages_travel_encrypted(scene: Scene) {
    let tls = Tls::trusting_anyone().expect("it can be set up");
    let client = builder(&scene).tls(tls).build().expect("a client");
    let topic = scene.name("topic");
    let producer = producer(&scene, &client);
    let message = Message::new(&topic, "hello").expect("a message");
    let sent = producer.send(message).await;
    if scene.kind() == Kind::Ferro {
        // Ours does not encrypt native connections: that has to show, and nothing may be sent in the clear.
        let refused = sent.expect_err("there is no encrypted connection").to_string();
        assert!(refused.contains("cannot connect"), "{refused}");
        return;
    }
    let receipt = sent.expect("it is stored");
    let (handler, mut heard) = listener();
    let group = scene.name("group");
    let consumer = from_first(&client, &group, &topic).start(handler).await.expect("it starts");
    assert_eq!(heard.next().await.message_id(), receipt.message_id.to_string());
    consumer.close().await;
    client.close().await;
}
