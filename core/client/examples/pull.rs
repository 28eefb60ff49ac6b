//! Asks for messages: from queues that the application chooses, from where it likes.
//!
//! ```text
//! ferromq standalone
//! cargo run -p ferromq-client --example produce -- 127.0.0.1:9876 Orders
//! cargo run -p ferromq-client --example pull -- 127.0.0.1:9876 Orders
//! ```

use std::time::Duration;

use ferromq_client::{Client, Filter, QueueOffset};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let namesrv = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "Orders".to_owned());
    let client = Client::builder(&namesrv).build()?;
    let read = pull(&client, &topic).await?;
    println!("{read} messages");
    client.close().await;
    Ok(())
}

/// Reads what a topic has; returns how many messages that is.
pub(crate) async fn pull(client: &Client, topic: &str) -> Result<usize, Box<dyn std::error::Error>> {
    // Positions are stored by `commit` alone. Without `assign`, but with `subscribe` here, the members of the group would
    // share the queues.
    let consumer = client.pull_consumer("audit").auto_commit(None).start().await?;
    let queues = consumer.queues(topic).await?;
    consumer.assign(queues.clone(), &Filter::all()).await?;
    let mut end = Vec::new();
    for queue in &queues {
        consumer.seek_to_first(queue).await?;
        end.push((queue, consumer.max_offset(queue).await?));
    }
    let mut read = 0;
    while end.iter().any(|(queue, end)| consumer.position(queue).is_ok_and(|at| at < Some(*end))) {
        for message in consumer.poll(Duration::from_secs(1)).await? {
            println!("{} {}: {:?}", message.queue(), message.queue_offset(), message.body());
            read += 1;
        }
        consumer.commit().await?;
    }

    // Once, without assigning anything: the newest message of each queue.
    for (queue, end) in end.into_iter().filter(|(_, end)| end.0 > 0) {
        let newest = QueueOffset(end.0 - 1);
        let pulled = consumer.pull(queue, &Filter::all(), newest, 1, Duration::ZERO).await?;
        println!("newest of {queue}: {:?}", pulled.messages);
    }
    consumer.close().await;
    Ok(read)
}
