//! Is handed messages, concurrently and in order.
//!
//! ```text
//! ferromq standalone
//! cargo run -p ferromq-client --example push -- 127.0.0.1:9876 Orders
//! cargo run -p ferromq-client --example produce -- 127.0.0.1:9876 Orders
//! ```

use std::time::Duration;

use ferromq_client::{Client, ConsumeFrom, Filter, Outcome, Received};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let namesrv = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "Orders".to_owned());
    let client = Client::builder(&namesrv).build()?;
    push(&client, &topic, tokio::signal::ctrl_c()).await?;
    client.close().await;
    Ok(())
}

/// Consumes until `end`.
pub(crate) async fn push<T>(
    client: &Client,
    topic: &str,
    end: impl Future<Output = T>,
) -> Result<(), Box<dyn std::error::Error>> {
    // Up to twenty handlers at a time. What fails comes again later, and is a dead letter in the end.
    let billing = client
        .push_consumer("billing")
        .subscribe(topic, Filter::tags("created || paid"))
        .consume_from(ConsumeFrom::First)
        .start(bill)
        .await?;

    // Messages of one queue one after the other: one that fails holds up those behind it.
    let shipping = client
        .push_consumer("shipping")
        .subscribe(topic, Filter::all())
        .consume_from(ConsumeFrom::First)
        .in_order()
        .pause_after_failure(Duration::from_millis(500))
        .start(|message: Received| async move {
            println!("shipping: {} {:?}", message.queue(), message.body());
            Outcome::Done
        })
        .await?;

    end.await;
    // Waits for handlers, and stores how far they got.
    billing.close().await;
    shipping.close().await;
    Ok(())
}

/// An error counts as failed.
async fn bill(message: Received) -> Outcome {
    handle(&message).into()
}

fn handle(message: &Received) -> Result<(), std::str::Utf8Error> {
    let text = std::str::from_utf8(message.body())?;
    println!("billing: {text}, delivered {} times before", message.reconsume_times());
    Ok(())
}
