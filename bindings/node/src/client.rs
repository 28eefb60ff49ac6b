//! The client: one identity, its connections, and what is made of it.

use std::path::PathBuf;

use ferromq_bindings::{Fault, Open};
use ferromq_client::{self as core, ClientBuilder, TraceConfig};
use napi_derive::napi;
use serde::Deserialize;

use crate::bridge::Bridge;
use crate::errors::thrown;
use crate::options::{Ms, read};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    instance_name: Option<String>,
    unit_name: Option<String>,
    sticky: Option<bool>,
    tls: Option<TlsOptions>,
    credentials: Option<Keys>,
    trace_topic: Option<String>,
    call_timeout: Option<Ms>,
    connect_timeout: Option<Ms>,
    route_refresh: Option<Ms>,
    heartbeat: Option<Ms>,
}

/// How connections are encrypted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TlsOptions {
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    #[serde(default)]
    trust_anyone: bool,
}

impl TlsOptions {
    fn tls(self) -> Result<core::Tls, Fault> {
        let tls = match (self.authorities, self.certificate, self.key) {
            (None, None, None) if self.trust_anyone => core::Tls::trusting_anyone(),
            (Some(authorities), None, None) if !self.trust_anyone => core::Tls::trusting(&authorities),
            (Some(authorities), Some(certificate), Some(key)) if !self.trust_anyone => {
                core::Tls::trusting_as(&authorities, &certificate, &key)
            }
            _ => {
                let text = "TLS takes authorities, with certificate and key or without; or trustAnyone alone";
                return Err(Fault::config(text));
            }
        };
        Ok(match self.server_name {
            Some(name) => tls.and_then(|tls| tls.for_server(&name)),
            None => tls,
        }?)
    }
}

/// What requests are signed with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    access_key: String,
    secret_key: String,
    security_token: Option<String>,
}

impl Keys {
    fn credentials(&self) -> core::Credentials {
        let credentials = core::Credentials::new(&self.access_key, &self.secret_key);
        match &self.security_token {
            Some(token) => credentials.with_security_token(token),
            None => credentials,
        }
    }
}

impl Options {
    fn apply(self, mut to: ClientBuilder) -> Result<ClientBuilder, Fault> {
        type B = ClientBuilder;
        to = self.sticky.into_iter().fold(to, B::sticky);
        to = self.instance_name.iter().fold(to, |to, name| to.instance_name(name));
        to = self.unit_name.iter().fold(to, |to, name| to.unit_name(name));
        if let Some(tls) = self.tls {
            to = to.tls(tls.tls()?);
        }
        to = self.credentials.into_iter().fold(to, |to, keys| to.credentials(keys.credentials()));
        to = self.trace_topic.iter().fold(to, |to, topic| to.trace(TraceConfig::default().topic(topic)));
        to = self.call_timeout.into_iter().fold(to, |to, time| to.call_timeout(time.0));
        to = self.connect_timeout.into_iter().fold(to, |to, time| to.connect_timeout(time.0));
        to = self.route_refresh.into_iter().fold(to, |to, time| to.route_refresh(time.0));
        Ok(self.heartbeat.into_iter().fold(to, |to, time| to.heartbeat(time.0)))
    }
}

/// What producers, consumers and administration share.
#[napi]
pub struct Client(Open<core::Client>);

#[napi]
impl Client {
    #[napi(constructor)]
    pub fn new(bridge: &Bridge, name_servers: String, options: String) -> napi::Result<Self> {
        let build = || {
            let builder = read::<Options>(&options)?.apply(core::Client::builder(&name_servers))?;
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
