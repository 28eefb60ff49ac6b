//! Sends messages in the ways that there are.
//!
//! ```text
//! ferromq standalone
//! cargo run -p ferromq-client --example produce -- 127.0.0.1:9876 Orders
//! ```

use std::time::Duration;

use ferromq_client::{Client, Message, TransactionState};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let namesrv = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "Orders".to_owned());
    produce(&namesrv, &topic).await
}

pub(crate) async fn produce(namesrv: &str, topic: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::builder(namesrv).build()?;
    let producer = client.producer("order-service").build()?;

    // One message. The receipt says where it is.
    let message = Message::builder(topic).body("order 1").tag("created").key("order-1").build()?;
    let receipt = producer.send(message).await?;
    println!("{} is message {} of {}", receipt.message_id, receipt.offset.0, receipt.queue);

    // Messages of one order stay in order: they have its sharding key.
    for step in ["paid", "packed", "sent"] {
        let message = Message::builder(topic).body(step).sharding_key("order-1").build()?;
        println!("{step}: {}", producer.send(message).await?.queue);
    }

    // Many at once.
    let batch = (2..12).map(|n| Message::new(topic, format!("order {n}"))).collect::<Result<_, _>>()?;
    println!("{} messages in a batch", producer.send_batch(batch).await?.len());

    // Later.
    let reminder = Message::builder(topic).body("remind").deliver_after(Duration::from_secs(60)).build()?;
    let receipt = producer.send(reminder).await?;
    if let Some(handle) = &receipt.recall_handle {
        // Brokers refuse this unless recallMessageEnable is set.
        match producer.recall(topic, handle).await {
            Ok(id) => println!("{id} is taken back"),
            Err(error) => println!("not taken back: {error}"),
        }
    }
    producer.close().await;

    // Only if something else comes about. The checker is asked if nobody has said so for a while.
    let checker = |_message| async { TransactionState::Rollback };
    let producer = client.transaction_producer("payments", checker).build()?;
    let transaction = producer.begin(Message::new(topic, "payment of order 1")?).await?;
    // … write to the database …
    transaction.commit().await?;
    producer.close().await;

    client.close().await;
    Ok(())
}
