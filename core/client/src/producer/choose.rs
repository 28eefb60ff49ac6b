//! Binding messages to queues: by their sharding key, by a function of the caller's.

use ferromq_model::TopicName;
use ferromq_model::message::{java_hash, property};

use super::Shared;
use super::deliver::Span;
use super::error::SendError;
use crate::error::RouteError;
use crate::message::Message;
use crate::queue::MessageQueue;

/// The place of a key's queue among `count`, as official clients choose it: the same as long as there are as many.
fn place_of_key(key: &str, count: usize) -> usize {
    (i64::from(java_hash(key)) % count as i64).unsigned_abs() as usize
}

impl Shared {
    /// The queue that a message is bound to, if it has a sharding key.
    pub(super) async fn queue_of_key(
        &self,
        message: &Message,
        span: Span,
    ) -> Result<Option<MessageQueue>, SendError> {
        let Some(key) = message.property(property::SHARDING_KEY) else { return Ok(None) };
        let choose = |queues: &[MessageQueue]| place_of_key(key, queues.len());
        self.choose(&message.topic, span, choose).await.map(Some)
    }

    /// The queue whose place `choose` names.
    pub(super) async fn choose(
        &self,
        topic: &TopicName,
        span: Span,
        choose: impl FnOnce(&[MessageQueue]) -> usize,
    ) -> Result<MessageQueue, SendError> {
        let route = self.route(topic, span).await?;
        if route.writable.is_empty() {
            return Err(RouteError::NoQueue { topic: topic.clone(), wanted: "writable" }.into());
        }
        let (chosen, count) = (choose(&route.writable), route.writable.len());
        route.writable.get(chosen).cloned().ok_or(SendError::NoSuchQueue { chosen, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_queues_that_official_clients_choose() {
        // As `SelectMessageQueueByHash` computes: the remainder first, its sign dropped then.
        assert_eq!(place_of_key("a", 4), 1);
        assert_eq!(place_of_key("order-17", 8), 5);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(place_of_key("polygenelubricants", 7), 2);
        assert_eq!(place_of_key("", 3), 0);
    }
}
