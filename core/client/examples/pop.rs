//! Leases messages, which come again unless they are acknowledged in time. Needs a broker of 5.x, or ours.
//!
//! ```text
//! ferromq standalone
//! cargo run -p ferromq-client --example produce -- 127.0.0.1:9876 Orders
//! cargo run -p ferromq-client --example pop -- 127.0.0.1:9876 Orders
//! ```

use std::time::Duration;

use ferromq_client::{Client, Filter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let namesrv = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "Orders".to_owned());
    let client = Client::builder(&namesrv).build()?;
    let done = pop(&client, &topic).await?;
    println!("{done} messages");
    client.close().await;
    Ok(())
}

/// Leases and acknowledges until nothing comes for a second; returns how many messages that was.
pub(crate) async fn pop(client: &Client, topic: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let consumer = client
        .pop_consumer("shipping")
        .subscribe(topic, Filter::all())
        .invisible_time(Duration::from_secs(60))
        .from_oldest()
        .start()
        .await?;
    let mut done = 0;
    loop {
        let leases = consumer.receive(32, Duration::from_secs(1)).await?;
        if leases.is_empty() {
            break;
        }
        for leased in leases {
            println!("{:?}, leased for {} ms", leased.message(), leased.receipt().lasts().0);
            leased.ack().await?;
            done += 1;
        }
    }
    consumer.close().await;
    Ok(done)
}
