//! Asking consumers: a message that is a question, and the message that answers it.
//!
//! ```text
//! request ─▶ message with CORRELATION_ID and REPLY_TO_CLIENT ─▶ a consumer ─▶ reply ─▶ the same broker
//!    ▲                                                                                    │
//!    └──────────────────── pushed to the client that the broker knows by that id ◀────────┘
//! ```
//! So a broker has to know this client before it gets the question: it is told first, and again after a question that
//! stayed without a reply, because a broker that was restarted has forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::message::{find_property, iter_properties, property};
use ferromq_model::{NameError, Timestamp, TopicName};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{Header as _, PushReply};
use parking_lot::Mutex;
use tokio::time::timeout_at;
use tracing::Instrument as _;

use super::deliver::{Aim, Span};
use super::error::SendError;
use super::receipt::SendReceipt;
use super::{Producer, Shared};
use crate::client::Inner;
use crate::deadline::bounded;
use crate::error::Remedy;
use crate::message::Message;
use crate::received::Received;
use crate::spans::sending;
use crate::wire::Request;
use ferromq_protocol::compress::{DEFAULT_BODY_LIMIT, decompress};

/// What replies are marked with.
const REPLY: &str = "reply";

/// Why there is no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// The question is not known to have been sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Nobody replied in time: no consumer took the question, or it did not reply, or the reply found no way.
    #[error("no reply within {} ms", .after.as_millis())]
    NoReply {
        /// How long was waited.
        after: Duration,
    },
    /// What came is no reply.
    #[error("the reply cannot be read: {0}")]
    Unreadable(Arc<str>),
}

impl RequestError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Send(error) => error.remedy(),
            Self::NoReply { .. } => Remedy::Retry,
            Self::Unreadable(_) => Remedy::AskOperator,
        }
    }
}

/// Why a reply is not known to have reached whoever asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReplyError {
    /// The message is no question.
    #[error("the message is no question: it has no property {missing}")]
    NotAQuestion {
        /// What it lacks.
        missing: &'static str,
    },
    /// The cluster that the message says it comes from has no valid name.
    #[error(transparent)]
    Topic(#[from] NameError),
    /// The reply was not sent, or whoever asked is not there any more.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl ReplyError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NotAQuestion { .. } => Remedy::FixCall,
            Self::Topic(_) => Remedy::AskOperator,
            Self::Send(error) => error.remedy(),
        }
    }
}

/// What somebody replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    body: Bytes,
    properties: String,
    flag: i32,
    born: Timestamp,
}

impl Reply {
    /// What was replied, decompressed; as it came, where that was not possible.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        find_property(&self.properties, name)
    }

    /// Every property with its value, those of clients and brokers included.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        iter_properties(&self.properties)
    }

    /// The application's number.
    #[must_use]
    pub fn flag(&self) -> i32 {
        self.flag
    }

    /// When the replier made it, by the replier's clock.
    #[must_use]
    pub fn born(&self) -> Timestamp {
        self.born
    }

    fn read(request: &Request) -> Result<Self, RequestError> {
        let unreadable = |what: String| RequestError::Unreadable(what.into());
        let mut scratch = HeaderScratch::new();
        let command = request.frame().command(&mut scratch).map_err(|error| unreadable(error.to_string()))?;
        let header = PushReply::decode(&command.fields).map_err(|error| unreadable(error.to_string()))?;
        let body = request.frame().body();
        let body = decompress(header.sys_flag, body.clone(), DEFAULT_BODY_LIMIT).unwrap_or_else(|error| {
            tracing::warn!(%error, "handing the body of a reply on as it came");
            body
        });
        Ok(Self { body, properties: header.properties.to_owned(), flag: header.flag, born: header.born })
    }
}

/// Brokers that were told of this client before it asked anything by them.
#[derive(Default)]
pub(super) struct Told(Mutex<HashSet<Arc<str>>>);

impl Producer {
    /// Sends a question, and waits until a consumer of its topic [replies](Producer::reply), for `timeout` at most, sending
    /// included.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, question: Message, timeout: Duration) -> Result<Reply, RequestError> {
        let span = sending(&question, 1);
        self.shared.request(question, timeout).instrument(span).await
    }

    /// Replies to a question that a consumer received. Returns when the broker has handed the reply to whoever asked.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub async fn reply(
        &self,
        question: &Received,
        body: impl Into<Bytes>,
    ) -> Result<SendReceipt, ReplyError> {
        self.shared.reply(question, body.into()).await
    }
}

impl Shared {
    async fn request(&self, mut question: Message, limit: Duration) -> Result<Reply, RequestError> {
        let inner = &self.client.inner;
        let limit = bounded(limit);
        let correlation = inner.unique_ids.next(Timestamp::now());
        question.set(property::CORRELATION_ID, correlation.as_str());
        question.set(property::REPLY_TO_CLIENT, inner.id());
        question.set(property::REPLY_TIMEOUT, &limit.as_millis().to_string());
        let place = self.enter(1, question.body.len()).await?;
        let span = Span::from_now(limit);
        self.introduce(&question.topic, span).await?;
        let asked = Asked { inner, correlation: correlation.as_str() };
        let reply = inner.members.await_reply(correlation.as_str());
        let bound = self.queue_of_key(&question, span).await?;
        let out = self.prepare(question).await?;
        self.deliver(&out, bound.as_ref().map_or(Aim::Any, Aim::Queue), span).await?;
        // What waits for its reply is no load on brokers any more.
        drop(place);
        let reply = timeout_at(span.end(), reply).await.ok().and_then(Result::ok);
        drop(asked);
        let Some(request) = reply else {
            self.told.0.lock().clear();
            return Err(RequestError::NoReply { after: limit });
        };
        request.answer(ResponseCode::Success, None, &Bytes::new());
        Reply::read(&request)
    }

    /// Tells brokers of a topic that this client is there, if they were not told before.
    async fn introduce(&self, topic: &TopicName, span: Span) -> Result<(), SendError> {
        let route = self.route(topic, span).await?;
        if route.brokers.keys().all(|broker| self.told.0.lock().contains(broker)) {
            return Ok(());
        }
        let heard = timeout_at(span.end(), self.client.inner.heartbeat()).await.unwrap_or(0);
        if heard > 0 {
            self.told.0.lock().extend(route.brokers.keys().cloned());
        }
        Ok(())
    }

    async fn reply(&self, question: &Received, body: Bytes) -> Result<SendReceipt, ReplyError> {
        let need = |name| question.property(name).ok_or(ReplyError::NotAQuestion { missing: name });
        let cluster = need(property::CLUSTER)?;
        let topic = TopicName::new(&format!("{cluster}_REPLY_TOPIC"))?;
        let mut reply = Message::builder_of(&topic).body(body).build().map_err(SendError::from)?;
        reply.set(property::MESSAGE_TYPE, REPLY);
        for name in [property::CORRELATION_ID, property::REPLY_TO_CLIENT, property::REPLY_TIMEOUT] {
            reply.set(name, need(name)?);
        }
        let _place = self.enter(1, reply.body.len()).await?;
        let span = Span::from_now(self.settings.send_timeout);
        // The broker that had the question knows who asked; others may not.
        let route = self.route(&topic, span).await?;
        let same = route.writable.iter().find(|queue| queue.broker == question.queue().broker);
        let mut out = self.prepare(reply).await?;
        out.code = RequestCode::SendReplyMessageV2;
        Ok(self.deliver(&out, same.map_or(Aim::Any, Aim::Queue), span).await?.receipt(&out))
    }
}

/// Somebody waits for the reply to this question, until this is dropped.
struct Asked<'a> {
    inner: &'a Inner,
    correlation: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.inner.members.forget_question(self.correlation);
    }
}
