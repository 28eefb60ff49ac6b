//! Enhanced authentication of 5.0: a method asks and the client answers until it is known or refused, before CONNACK, and
//! whenever the client wants to show once more who it is.
//!
//! A method does no I/O: it is given what the client said and says what to answer.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::BytesMut;
use ferromq_mqtt::{Auth, Binary, Connect, Packet, ReasonCode, Side, Text, Version, decode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::poll_read;
use super::out::Out;
use super::server::Server;

/// The most that a client is asked.
const MAX_STEPS: usize = 16;

/// A way to show who one is.
pub trait Method: Send + Sync {
    /// What clients call it.
    fn name(&self) -> &str;

    /// Begins with one client.
    fn begin(&self) -> Box<dyn Exchange>;
}

/// One client that shows who it is.
pub trait Exchange: Send + Sync {
    /// What the client is answered that said this: nothing, where it waits to be asked.
    fn step(&mut self, data: &[u8]) -> Step;
}

/// An answer.
#[derive(Debug)]
pub enum Step {
    /// The client has to say more.
    Continue(Vec<u8>),
    /// It is known.
    Accept {
        /// As whom.
        user: String,
        /// What it is told besides.
        last: Vec<u8>,
    },
    /// It may not come in.
    Refuse,
}

/// How a client has shown who it is.
pub(super) struct Authentication {
    method: Arc<dyn Method>,
    user: Arc<str>,
    /// It is doing so once more.
    again: Option<Box<dyn Exchange>>,
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentication").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Authentication {
    /// As whom it came in.
    pub(super) fn user(&self) -> Arc<str> {
        Arc::clone(&self.user)
    }

    /// What a connected client is answered to an AUTH.
    ///
    /// # Errors
    /// Why it has to go.
    pub(super) fn answer(&mut self, auth: &Auth) -> Result<Auth, ReasonCode> {
        if auth.properties.authentication_method.as_deref() != Some(self.method.name()) {
            return Err(ReasonCode::ProtocolError);
        }
        let mut exchange = match (auth.reason, self.again.take()) {
            (ReasonCode::ReAuthenticate, None) => self.method.begin(),
            (ReasonCode::ContinueAuthentication, Some(exchange)) => exchange,
            _ => return Err(ReasonCode::ProtocolError),
        };
        match exchange.step(auth.properties.authentication_data.as_deref().unwrap_or_default()) {
            Step::Continue(data) => {
                self.again = Some(exchange);
                Ok(packet(ReasonCode::ContinueAuthentication, self.method.name(), data))
            }
            // What it may do was found out for whom it was.
            Step::Accept { user, last } if *user == *self.user => {
                Ok(packet(ReasonCode::Success, self.method.name(), last))
            }
            Step::Accept { .. } | Step::Refuse => Err(ReasonCode::NotAuthorized),
        }
    }
}

fn packet(reason: ReasonCode, method: &str, data: Vec<u8>) -> Auth {
    let mut auth = Auth { reason, ..Auth::default() };
    auth.properties.authentication_method = Some(Text::try_from(method).expect("a method's name"));
    auth.properties.authentication_data = said(data);
    auth
}

/// What a method said, if anything.
fn said(data: Vec<u8>) -> Option<Binary> {
    Some(data).filter(|data| !data.is_empty()).and_then(|data| Binary::new(data.into()))
}

/// A client that a method knows.
pub(super) struct Shown {
    pub(super) authentication: Authentication,
    /// What it is told with CONNACK.
    pub(super) last: Option<Binary>,
}

/// Why a client does not come in.
pub(super) enum Refused {
    /// It is told.
    Because(ReasonCode),
    /// It is gone.
    Gone,
}

/// Lets a client that names a method show who it is; `None` if it names none.
///
/// # Errors
/// [`Refused`].
pub(super) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    connect: &Connect,
    stream: &mut S,
    (input, out): (&mut BytesMut, &mut Out),
) -> Result<Option<Shown>, Refused> {
    let Some(name) = connect.properties.authentication_method.as_ref() else { return Ok(None) };
    let method = server.method(name).ok_or(Refused::Because(ReasonCode::BadAuthenticationMethod))?;
    let mut exchange = method.begin();
    let mut data = connect.properties.authentication_data.as_deref().unwrap_or_default().to_vec();
    for _ in 0..MAX_STEPS {
        match exchange.step(&data) {
            Step::Accept { user, last } => {
                let authentication = Authentication { method, user: user.into(), again: None };
                return Ok(Some(Shown { authentication, last: said(last) }));
            }
            Step::Refuse => return Err(Refused::Because(ReasonCode::NotAuthorized)),
            Step::Continue(asked) => {
                let packet = Packet::Auth(packet(ReasonCode::ContinueAuthentication, name, asked));
                if out.push(&packet, Version::V5, connect.maximum_packet_size()).is_err() {
                    return Err(Refused::Because(ReasonCode::PacketTooLarge));
                }
                data = hear(server, name, stream, (&mut *input, &mut *out)).await?;
            }
        }
    }
    Err(Refused::Because(ReasonCode::NotAuthorized))
}

/// Says what there is to say, and waits for the AUTH that answers it: its data.
async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    method: &str,
    stream: &mut S,
    (input, out): (&mut BytesMut, &mut Out),
) -> Result<Vec<u8>, Refused> {
    while !out.is_empty() {
        poll_fn(|cx| out.poll_write(stream, cx)).await.map_err(|_| Refused::Gone)?;
    }
    poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_flush(cx)).await.map_err(|_| Refused::Gone)?;
    let limits = server.limits();
    let packet = loop {
        match decode(input, Version::V5, &limits, Side::Client) {
            Ok(Some(packet)) => break packet,
            Ok(None) => poll_fn(|cx| poll_read(stream, input, cx)).await.map_err(|_| Refused::Gone)?,
            Err(_) => return Err(Refused::Because(ReasonCode::MalformedPacket)),
        }
    };
    match packet {
        Packet::Auth(auth)
            if auth.reason == ReasonCode::ContinueAuthentication
                && auth.properties.authentication_method.as_deref() == Some(method) =>
        {
            Ok(auth.properties.authentication_data.as_deref().unwrap_or_default().to_vec())
        }
        Packet::Disconnect(_) => Err(Refused::Gone),
        _ => Err(Refused::Because(ReasonCode::ProtocolError)),
    }
}
