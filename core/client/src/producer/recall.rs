//! Taking timed messages back.
//!
//! The receipt of a timed message has a handle, which says where the message waits:
//!
//! ```text
//! base64url( v1 <topic> <broker> <milliseconds> <message id> )
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use ferromq_model::{NameError, TopicName};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{Header as _, RecallMessage, RecallMessageResponse};

use super::deliver::Span;
use super::error::SendError;
use super::seen::trace_recall;
use super::{Producer, Shared};
use crate::error::{CallError, Remedy};

/// The longest handle that is looked at: topic, broker name and id are far shorter together.
const MAX_HANDLE_LEN: usize = 2048;

/// Why a message is not known to be taken back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecallError {
    /// The topic's name.
    #[error(transparent)]
    Topic(#[from] NameError),
    /// What was given is no handle, or that of a message for another topic.
    #[error("recall handle {0}")]
    Handle(&'static str),
    /// It is not known where the broker is that has the message.
    #[error("broker {broker}, which has the message, is not among those of topic {topic}")]
    NoBroker {
        /// Its name.
        broker: String,
        /// The topic.
        topic: TopicName,
    },
    /// It is not known where the topic is, or the producer is closed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The broker refused, because the message is due already, or because it does not allow this
    /// (`recallMessageEnable`); or it did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl RecallError {
    /// Who has to act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Topic(_) | Self::Handle(_) => Remedy::FixCall,
            Self::NoBroker { .. } => Remedy::Retry,
            Self::Send(error) => error.remedy(),
            Self::Call(error) => error.remedy(),
        }
    }
}

impl Producer {
    /// Takes back a message for `topic` that is not due yet, by the
    /// [handle](crate::SendReceipt::recall_handle) of its receipt. Returns the message's id. Needs a broker of 5.3.2 or later
    /// that allows it (`recallMessageEnable`).
    ///
    /// # Errors
    /// [`RecallError`].
    pub async fn recall(&self, topic: &str, handle: &str) -> Result<String, RecallError> {
        self.shared.recall(&TopicName::new(topic)?, handle).await
    }
}

impl Shared {
    async fn recall(&self, topic: &TopicName, handle: &str) -> Result<String, RecallError> {
        let broker = broker_of(topic, handle).map_err(RecallError::Handle)?;
        let _place = self.enter(1, 0).await?;
        let route = self.route(topic, Span::from_now(self.settings.send_timeout)).await?;
        let Some(addr) = route.master(&broker) else {
            return Err(RecallError::NoBroker { broker, topic: topic.clone() });
        };
        let link = self.client.inner.link(addr);
        let header = RecallMessage { group: Some(self.group.as_str()), topic: topic.as_str(), handle };
        let limit = self.settings.send_timeout;
        let frame = link.call(RequestCode::RecallMessage, &header, &Bytes::new(), limit).await?;
        let mut scratch = HeaderScratch::new();
        let command = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
        let recalled = RecallMessageResponse::decode(&command.fields);
        let recalled = recalled.map_err(|error| link.unreadable(&error.to_string()))?;
        trace_recall(&self.client.inner, self.group.as_str(), topic.as_str(), recalled.message_id);
        Ok(recalled.message_id.to_owned())
    }
}

/// The broker that a handle for a message of `topic` names.
fn broker_of(topic: &TopicName, handle: &str) -> Result<String, &'static str> {
    if handle.len() > MAX_HANDLE_LEN {
        return Err("is too long");
    }
    let text = URL_SAFE.decode(handle).map_err(|_| "is not base64")?;
    let text = String::from_utf8(text).map_err(|_| "is not base64 of a text")?;
    let parts: Vec<_> = text.split(' ').collect();
    let ["v1", named, broker, time, id] = parts[..] else { return Err("is not of version 1") };
    if broker.is_empty() || id.is_empty() || time.parse::<i64>().is_err() {
        return Err("lacks a part");
    }
    if named != topic.as_str() {
        return Err("is for another topic");
    }
    Ok(broker.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_the_broker_that_has_the_message() {
        let topic = TopicName::new("Orders").unwrap();
        let read = |text: &str| broker_of(&topic, &URL_SAFE.encode(text));
        assert_eq!(read("v1 Orders broker-a 1700000000001 7F0000").as_deref(), Ok("broker-a"));
        assert_eq!(read("v1 Other broker-a 1700000000001 7F0000"), Err("is for another topic"));
        assert_eq!(read("v2 Orders broker-a 1 x"), Err("is not of version 1"));
        assert_eq!(read("v1 Orders broker-a 1"), Err("is not of version 1"));
        assert_eq!(read("v1 Orders  1 x"), Err("lacks a part"));
        assert_eq!(read("v1 Orders broker-a soon x"), Err("lacks a part"));
        assert_eq!(broker_of(&topic, "???"), Err("is not base64"));
        assert_eq!(broker_of(&topic, &"A".repeat(4096)), Err("is too long"));
    }
}
