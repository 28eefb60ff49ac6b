//! The client: one identity, its connections, and what is made of it.

use ferromq_bindings::{Fault, Open};
use ferromq_client as core;
use pyo3::prelude::*;

use crate::bridge::{Bridge, run};
use crate::convert::Seconds;
use crate::errors::raise;
use crate::runtime::{Local, here};

/// How connections are encrypted.
#[pyclass(frozen, module = "ferromq", from_py_object)]
#[derive(Clone)]
pub(crate) struct Tls(core::Tls);

#[pymethods]
impl Tls {
    #[new]
    #[pyo3(signature = (authorities=None, *, certificate=None, key=None, server_name=None, trust_anyone=false))]
    fn new(
        authorities: Option<std::path::PathBuf>,
        certificate: Option<std::path::PathBuf>,
        key: Option<std::path::PathBuf>,
        server_name: Option<&str>,
        trust_anyone: bool,
    ) -> PyResult<Self> {
        let tls = match (authorities, certificate, key) {
            (None, None, None) if trust_anyone => core::Tls::trusting_anyone(),
            (Some(authorities), None, None) if !trust_anyone => core::Tls::trusting(&authorities),
            (Some(authorities), Some(certificate), Some(key)) if !trust_anyone => {
                core::Tls::trusting_as(&authorities, &certificate, &key)
            }
            _ => {
                let text =
                    "TLS takes authorities, with certificate and key or without; or trust_anyone alone";
                return Err(raise(Fault::config(text)));
            }
        };
        let tls = match server_name {
            Some(name) => tls.and_then(|tls| tls.for_server(name)),
            None => tls,
        };
        tls.map(Self).map_err(raise)
    }
}

/// What requests are signed with.
#[pyclass(frozen, module = "ferromq", from_py_object)]
#[derive(Clone)]
pub(crate) struct Credentials(core::Credentials);

#[pymethods]
impl Credentials {
    #[new]
    #[pyo3(signature = (access_key, secret_key, security_token=None))]
    fn new(access_key: &str, secret_key: &str, security_token: Option<&str>) -> Self {
        let credentials = core::Credentials::new(access_key, secret_key);
        Self(match security_token {
            Some(token) => credentials.with_security_token(token),
            None => credentials,
        })
    }
}

/// What producers, consumers and administration share.
#[pyclass(frozen, module = "ferromq._ferromq")]
pub(crate) struct Client {
    client: Local<Open<core::Client>>,
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (name_servers, *, instance_name=None, unit_name=None, sticky=true, tls=None, credentials=None,
        trace_topic=None, call_timeout=None, connect_timeout=None, route_refresh=None, heartbeat=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords")]
    fn new(
        py: Python<'_>,
        name_servers: &str,
        instance_name: Option<&str>,
        unit_name: Option<&str>,
        sticky: bool,
        tls: Option<Tls>,
        credentials: Option<Credentials>,
        trace_topic: Option<&str>,
        call_timeout: Option<Seconds>,
        connect_timeout: Option<Seconds>,
        route_refresh: Option<Seconds>,
        heartbeat: Option<Seconds>,
    ) -> PyResult<Self> {
        type Builder = core::ClientBuilder;
        let builder = core::Client::builder(name_servers).sticky(sticky);
        let builder = instance_name.into_iter().fold(builder, Builder::instance_name);
        let builder = unit_name.into_iter().fold(builder, Builder::unit_name);
        let builder = tls.into_iter().fold(builder, |builder, tls| builder.tls(tls.0));
        let builder = credentials.into_iter().fold(builder, |builder, keys| builder.credentials(keys.0));
        let builder = trace_topic
            .into_iter()
            .fold(builder, |builder, topic| builder.trace(core::TraceConfig::default().topic(topic)));
        let builder = call_timeout.into_iter().fold(builder, |builder, time| builder.call_timeout(time.0));
        let builder =
            connect_timeout.into_iter().fold(builder, |builder, time| builder.connect_timeout(time.0));
        let builder = route_refresh.into_iter().fold(builder, |builder, time| builder.route_refresh(time.0));
        let builder = heartbeat.into_iter().fold(builder, |builder, time| builder.heartbeat(time.0));
        let _context = here(py)?.runtime.enter();
        let client = builder.build().map_err(raise)?;
        Ok(Self { client: Local::new(Open::new("client", client)) })
    }

    #[getter]
    fn id(&self) -> PyResult<String> {
        Ok(self.open()?.id().to_owned())
    }

    /// Ends its connections.
    fn close<'py>(&self, py: Python<'py>, bridge: Option<&Bridge>) -> PyResult<Bound<'py, PyAny>> {
        let client = self.client.here()?.take();
        run(py, bridge, async move {
            if let Some(client) = client {
                client.close().await;
            }
            Ok(())
        })
    }
}

impl Client {
    /// The client, if it is open.
    pub(crate) fn open(&self) -> PyResult<core::Client> {
        self.client.here()?.handle().map_err(raise)
    }
}
