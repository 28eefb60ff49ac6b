//! Puts the rooms together and runs them until they are told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::info;

use crate::plan::Plan;

/// Why serving could not begin. All of it is the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Mostly: another process has the port.
    #[error("cannot listen on {address} for {what}")]
    Listen { what: &'static str, address: SocketAddr, source: io::Error },
}

/// Serves what `plan` says until `stop` resolves; then accepts no more, answers what is in flight, flushes, and
/// returns.
///
/// # Errors
/// [`StartError`] when it could not begin; nothing is left running then.
pub(crate) async fn run(plan: Plan, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let mut listeners = Vec::new();
    let mut ports = Vec::new();
    if let Some(namesrv) = &plan.namesrv {
        ports.push(("the NameServer", namesrv.address.port));
        info!(file = %namesrv.engine.kv_path.display(), "key-value pairs");
    }
    if let Some(broker) = &plan.broker {
        ports.push(("the broker", broker.address.port));
        info!(name = broker.engine.name, address = %broker.advertised, store = %broker.store.root.display(), "broker");
        ports.push(("the broker's fast port", broker.address.port - 2));
    }
    for (what, port) in ports {
        let address = SocketAddr::new(plan.listen.bind_address, port);
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen {
            what,
            address,
            source,
        })?;
        info!(%address, "listening for {what}");
        listeners.push(listener);
    }
    stop.await;
    Ok(())
}
