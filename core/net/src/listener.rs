//! Accepting connections, up to a number, until told to stop; then waiting for those that are open.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::pace::Pace;

/// The wait after the system could not accept: mostly it is out of file descriptors, which closing ones give back.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// An accepted connection, with its place among those allowed.
pub struct Accepted {
    /// The connection; small writes leave at once.
    pub stream: TcpStream,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Held as long as the connection lives.
    pub place: OwnedSemaphorePermit,
}

/// Accepts until `stop` turns true and runs `serve` for each connection; returns when all of them have ended.
///
/// Connections beyond `places` are closed at once, with a log line for the first of each row of them, which names the
/// setting that is the `limit`.
pub async fn accept_loop<F>(
    listener: TcpListener,
    places: Arc<Semaphore>,
    limit: &'static str,
    stop: watch::Receiver<bool>,
    serve: impl FnMut(Accepted) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    accept_paced(listener, places, limit, &Pace::per_second(0), stop, serve).await;
}

/// As [`accept_loop`], and no faster than `pace`.
pub async fn accept_paced<F>(
    listener: TcpListener,
    places: Arc<Semaphore>,
    limit: &'static str,
    pace: &Pace,
    mut stop: watch::Receiver<bool>,
    mut serve: impl FnMut(Accepted) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut refusing = false;
    loop {
        let accepted = tokio::select! {
            accepted = async { pace.ready().await; listener.accept().await } => accepted,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if accepted.is_ok() {
            pace.take();
        }
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    refusing = false;
                    // Answers are written whole: waiting for more of them only delays.
                    if stream.set_nodelay(true).is_ok() {
                        connections.spawn(serve(Accepted { stream, peer, place }));
                    }
                }
                Err(_) => {
                    if !std::mem::replace(&mut refusing, true) {
                        tracing::warn!(%peer, "all connections are taken ({limit}): closing new ones");
                    }
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REFUSED_WAIT).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
