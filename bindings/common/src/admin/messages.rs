//! Operations on messages.

use ferromq_client::admin::messages::{Copy, Span};
use ferromq_client::{QueueOffset, Timestamp};

use super::{Answer, Queue, json, table};

/// How many messages are found or read unless the caller says otherwise; brokers hand out 32 of a queue at a time.
const MESSAGES: u32 = 32;

table! { admin;
    /// The message at a place.
    message_at {
        /// The place: 32 or 56 hexadecimal digits, as receipts and messages have them.
        place: String,
    } -> "Message" = Ok(Answer::Message(Box::new(admin.message_at(&place).await?)));

    /// The messages with the id that their producer gave them: several if one was stored again.
    messages_by_id {
        /// The topic.
        topic: String,
        /// The id.
        id: String,
    } -> "Messages" = Ok(Answer::Messages(admin.messages_by_id(&topic, &id).await?.value));

    /// The messages with a key, the newest first.
    messages_by_key {
        /// The topic.
        topic: String,
        /// The key.
        key: String,
        /// Stored then or later, in milliseconds since 1970; from the oldest message on by default.
        begin: Option<Timestamp>,
        /// Stored then or earlier, in milliseconds since 1970; up to the newest message by default.
        end: Option<Timestamp>,
        /// At most so many of each broker: 32 by default.
        most: Option<u32>,
    } -> "Messages" = {
        let whole = Span::default();
        let span = Span { begin: begin.unwrap_or(whole.begin), end: end.unwrap_or(whole.end) };
        let found = admin.messages_by_key(&topic, &key, span, most.unwrap_or(MESSAGES)).await?;
        Ok(Answer::Messages(found.value))
    };

    /// Messages of a queue from an offset on, as many as the broker likes to hand out at once. Changes nobody's position.
    /// None if the queue does not have that offset, any more or yet.
    read_queue {
        /// The queue.
        queue: Queue,
        /// The number of the first message.
        offset: u64,
        /// At most so many: 1 to 32, which is the default.
        most: Option<u32>,
    } -> "Messages" = {
        let queue = queue.find(&admin).await?;
        let part = admin.read_queue(&queue, QueueOffset(offset), most.unwrap_or(MESSAGES)).await?;
        Ok(Answer::Messages(part.messages))
    };

    /// Entries of a queue as its broker keeps them: where records lie, and what filters go by.
    queue_entries {
        /// The queue.
        queue: Queue,
        /// The number of the first message.
        offset: u64,
        /// At most so many: 32 by default.
        most: Option<u32>,
    } -> "QueueEntries" = {
        let queue = queue.find(&admin).await?;
        json(&admin.queue_entries(&queue, QueueOffset(offset), most.unwrap_or(MESSAGES)).await?)
    };

    /// Stores a copy of a message, with what its producer said of it, in a queue: of a dead letter in its topic, say.
    /// Answers its number there.
    store_copy {
        /// The place of the message.
        place: String,
        /// The queue that gets the copy.
        queue: Queue,
    } -> "number" = {
        let (message, queue) = (admin.message_at(&place).await?, queue.find(&admin).await?);
        json(&admin.store_copy(&queue, &Copy::of(&message)).await?)
    };

    /// Has a member of a group consume the message at a place, now. Answers how it fared.
    consume_directly {
        /// The group.
        group: String,
        /// The member's client id, as `consumers` has it.
        client: String,
        /// The place of the message.
        place: String,
    } -> "Consumed" = {
        let message = admin.message_at(&place).await?;
        json(&admin.consume_directly(&group, &client, &message).await?)
    };

    /// What became of the message at a place in each group that reads its topic.
    track {
        /// The place of the message.
        place: String,
    } -> "Track[]" = json(&admin.track(&admin.message_at(&place).await?).await?);
}
