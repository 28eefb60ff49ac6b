//! The client: one identity, its connections, and what is made of it.

use ferromq_bindings::{Open, TlsFiles};
use ferromq_client as core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::{Bridge, run};
use crate::convert::configured;
use crate::errors::raise;
use crate::runtime::{Local, here};

/// How connections are encrypted.
#[pyclass(frozen, module = "ferromq", from_py_object)]
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) core::Tls);

#[pymethods]
impl Tls {
    #[new]
    #[pyo3(signature = (authorities=None, *, certificate=None, key=None, server_name=None, trust_anyone=false))]
    fn new(
        authorities: Option<std::path::PathBuf>,
        certificate: Option<std::path::PathBuf>,
        key: Option<std::path::PathBuf>,
        server_name: Option<String>,
        trust_anyone: bool,
    ) -> PyResult<Self> {
        let files = TlsFiles { authorities, certificate, key, server_name, trust_anyone };
        files.read().map(Self).map_err(raise)
    }
}

/// What requests are signed with.
#[pyclass(frozen, module = "ferromq", from_py_object)]
#[derive(Clone)]
pub(crate) struct Credentials(pub(crate) core::Credentials);

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
    fn new(py: Python<'_>, name_servers: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let builder = configured(options, core::Client::builder(name_servers))?;
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
