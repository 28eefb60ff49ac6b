//! A message on its way out: checked, compressed if it is large, with an id.

use bytes::Bytes;
use ferromq_model::message::{MAX_PROPERTIES_LEN, SysFlag, property};
use ferromq_model::{Timestamp, TopicName};
use ferromq_protocol::code::RequestCode;

use super::Shared;
use super::error::SendError;
use crate::identity::UniqueId;
use crate::message::{InvalidMessage, Message};
use ferromq_protocol::compress::{Compression, compress};

/// Compressing more than this would hold up what else the thread has to do.
const COMPRESS_ELSEWHERE: usize = 64 << 10;

/// What is sent with each try.
pub(super) struct Outgoing {
    pub(super) code: RequestCode,
    pub(super) topic: TopicName,
    pub(super) body: Bytes,
    pub(super) properties: String,
    pub(super) flag: i32,
    pub(super) sys_flag: SysFlag,
    pub(super) born: Timestamp,
    pub(super) id: UniqueId,
}

impl Shared {
    /// Gets a message ready. Nothing is allocated unless its body is compressed.
    pub(super) async fn prepare(&self, mut message: Message) -> Result<Outgoing, SendError> {
        let limit = self.settings.max_message_size;
        if message.body.len() > limit {
            return Err(SendError::TooLarge { len: message.body.len(), limit });
        }
        let born = Timestamp::now();
        let id = self.label(&mut message, born)?;
        Ok(self.envelope(message, id, born).await)
    }

    /// A message that has its id, compressed if that is worth it.
    pub(super) async fn envelope(&self, mut message: Message, id: UniqueId, born: Timestamp) -> Outgoing {
        let mut sys_flag = SysFlag(0);
        if let Some(kind) = self.compression_of(&message) {
            let (level, body) = (self.settings.compression_level, message.body.clone());
            let compressed = if body.len() > COMPRESS_ELSEWHERE {
                // It fails only while the runtime ends: then the body goes as it is.
                tokio::task::spawn_blocking(move || compress(kind, level, &body)).await.ok().flatten()
            } else {
                compress(kind, level, &body)
            };
            if let Some(compressed) = compressed {
                message.body = compressed;
                sys_flag.0 |= kind.bits();
            }
        }
        Outgoing {
            code: RequestCode::SendMessageV2,
            topic: message.topic,
            body: message.body,
            properties: message.properties,
            flag: message.flag,
            sys_flag,
            born,
            id,
        }
    }

    /// How a message is to be compressed, if it is.
    pub(super) fn compression_of(&self, message: &Message) -> Option<Compression> {
        self.settings.compression.filter(|_| message.body.len() > self.settings.compress_over)
    }

    /// Gives a message what every message has: an id, and whether the broker is to answer only when it is safe.
    pub(super) fn label(&self, message: &mut Message, now: Timestamp) -> Result<UniqueId, SendError> {
        let id = self.client.inner.unique_ids.next(now);
        message.set(property::UNIQUE_KEY, id.as_str());
        if message.property(property::WAIT).is_none() {
            message.set(property::WAIT, "true");
        }
        #[cfg(feature = "opentelemetry")]
        crate::propagation::inject(message);
        let len = message.properties.len();
        if len > MAX_PROPERTIES_LEN {
            return Err(InvalidMessage::PropertiesTooLong { len }.into());
        }
        Ok(id)
    }
}
