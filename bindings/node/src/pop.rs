//! Consumers that lease messages.

use std::sync::Arc;

use ferromq_bindings::{Fault, Open};
use ferromq_client::{self as core, PopConsumerBuilder};
use napi::bindgen_prelude::ClassInstance;
use napi_derive::napi;

use crate::batch::Batch;
use crate::bridge::Bridge;
use crate::client::Client;
use crate::errors::thrown;
use crate::joining::Joining;
use crate::options::Ms;

/// A consumer that leases messages.
#[napi]
pub struct PopConsumer {
    joining: Joining<PopConsumerBuilder, Open<Arc<core::PopConsumer>>>,
}

impl PopConsumer {
    fn open(&self) -> Result<Arc<core::PopConsumer>, Fault> {
        self.joining.joined()?.handle()
    }
}

#[napi]
impl PopConsumer {
    #[napi(constructor)]
    pub fn new(client: &Client, group: String, subscribed: String, options: String) -> napi::Result<Self> {
        let builder = client.open().map(|client| client.pop_consumer(&group));
        Ok(Self { joining: Joining::new(builder, &subscribed, &options).map_err(thrown)? })
    }

    /// Joins the group. To be called once.
    #[napi]
    pub fn start(&self, bridge: &Bridge, id: u32) {
        self.joining.start(bridge, id, |builder| async move {
            Ok(Open::new("consumer", Arc::new(builder.start().await?)))
        });
    }

    /// Leases messages.
    #[napi]
    pub fn receive(&self, bridge: &Bridge, id: u32, most: u32, wait: f64) {
        let consumer = self.open();
        bridge.run_until_aborted(id, async move {
            Ok(Batch::of_leases(consumer?.receive(most, Ms::of(wait)?.0).await?))
        });
    }

    /// Acknowledges many messages with few requests: each the message of a batch at a place.
    #[napi]
    pub fn ack_many(&self, bridge: &Bridge, id: u32, batches: Vec<ClassInstance<'_, Batch>>, places: &[u32]) {
        let leases = batches.iter().zip(places).map(|(batch, place)| Ok(batch.lease(*place)?.lock().clone()));
        let leases = leases.collect::<Result<Vec<_>, Fault>>();
        let consumer = self.open();
        bridge.run(id, async move { Ok(consumer?.ack_all(leases?).await?) });
    }

    /// Leaves the group.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        let consumer = self.joining.end().and_then(Open::take);
        bridge.run(id, async move {
            if let Some(consumer) = consumer {
                consumer.close().await;
            }
            Ok(())
        });
    }
}
