//! The client: one identity, its connections, and what is made of it.

use ferromq_bindings::{Fault, Open};
use ferromq_client as core;
use napi_derive::napi;

use crate::bridge::Bridge;
use crate::errors::thrown;
use crate::options::configured;

/// What producers, consumers and administration share.
#[napi]
pub struct Client(Open<core::Client>);

#[napi]
impl Client {
    #[napi(constructor)]
    pub fn new(bridge: &Bridge, name_servers: String, options: String) -> napi::Result<Self> {
        let build = || {
            let builder = configured(&options, core::Client::builder(&name_servers))?;
            let _context = bridge.runtime().enter();
            Ok::<_, Fault>(builder.build()?)
        };
        Ok(Self(Open::new("client", build().map_err(thrown)?)))
    }

    #[napi(getter)]
    pub fn id(&self) -> napi::Result<String> {
        Ok(self.open().map_err(thrown)?.id().to_owned())
    }

    /// Ends its connections.
    #[napi]
    pub fn close(&self, bridge: &Bridge, id: u32) {
        let client = self.0.take();
        bridge.run(id, async move {
            if let Some(client) = client {
                client.close().await;
            }
            Ok(())
        });
    }
}

impl Client {
    /// The client, if it is open.
    pub(crate) fn open(&self) -> Result<core::Client, Fault> {
        self.0.handle()
    }
}
