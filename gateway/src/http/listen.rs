//! HTTP connections: accepted, limited, and ended by a stop once what they were asked is answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use ferromq_net::{Accepted, accept_loop};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};

use super::api::{self, Api};
use super::guard::{self, Peer};
use super::receive::members::SWEEP;
use crate::tls::{self, Demand, Doors};
use crate::traffic::Protocol;

/// The most headers that one request may have.
const MAX_HEADERS: usize = 200;
/// The setting that says how many connections there may be.
const LIMIT: &str = "httpMaxConnections";

/// Whom the certificate of a connection names.
#[derive(Clone, Debug)]
pub(super) struct CertifiedUser(pub(super) String);

/// Serves `api` at `doors` until `stop` turns true; returns when the last connection has ended.
pub async fn serve(doors: impl Into<Doors>, api: Api, stop: watch::Receiver<bool>) {
    let Doors { plain, encrypted } = doors.into();
    let places = Arc::new(Semaphore::new(api.http().max_connections as usize));
    let router = api::router(api.clone());
    let connection = || Connection { api: api.clone(), router: router.clone(), stop: stop.clone() };
    let in_the_clear = async {
        let Some(listener) = plain else { return };
        accept_loop(listener, Arc::clone(&places), LIMIT, stop.clone(), |accepted| {
            let Accepted { stream, peer, place } = accepted;
            let connection = connection();
            async move {
                connection.serve(stream, peer, None).await;
                drop(place);
            }
        })
        .await;
    };
    let over_tls = async {
        let Some((listener, tls)) = encrypted else { return };
        accept_loop(listener, Arc::clone(&places), LIMIT, stop.clone(), |accepted| {
            let Accepted { stream, peer, place } = accepted;
            let (connection, tls) = (connection(), tls.clone());
            async move {
                match tls.accept(stream, Demand::Never).await {
                    Ok(stream) => {
                        let user = tls::certified_user(&stream);
                        connection.serve(stream, peer, user.map(CertifiedUser)).await;
                    }
                    Err(error) => tracing::debug!(%peer, %error, "no TLS with a client of HTTP"),
                }
                drop(place);
            }
        })
        .await;
    };
    tokio::join!(in_the_clear, over_tls, keep_house(&api, stop.clone()));
    // WebSockets are no connections of HTTP any more.
    api.streams().ended().await;
    api.receivers().leave_all(api.broker());
}

/// Leaves groups that nobody receives for any more, until `stop` turns true, and ends what would not end then.
async fn keep_house(api: &Api, mut stop: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            api.receivers().sweep(api.broker());
        }
    };
    tokio::select! {
        () = sweeping => {}
        // A sender that is gone counts as a stop.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    api.stop();
}

struct Connection {
    api: Api,
    router: Router,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        user: Option<CertifiedUser>,
    ) {
        let Self { api, router, mut stop } = self;
        let _present = api.sources().traffic.enter(Protocol::Http);
        let _open = api.open().enter(peer);
        let config = api.http().clone();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (api, router, user) = (&api, router.clone(), user.clone());
            async move {
                let mut request = request.map(Body::new);
                if let Some(user) = user {
                    request.extensions_mut().insert(user);
                }
                Ok::<_, Infallible>(guard::answer(api, router, Peer(peer), request).await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.read_timeout.duration())
            .max_buf_size(config.max_header_size.0 as usize)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let stopping = async {
            // A sender that is gone counts as a stop.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "HTTP connection ended");
        }
    }
}
