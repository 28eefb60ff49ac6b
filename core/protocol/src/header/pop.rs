//! Headers of pops and of what follows them.

use ferromq_model::{Millis, QueueId, QueueOffset, Timestamp};

use super::headers;

headers! {
    /// Leases messages of a topic.
    PopMessage<'a> [PopMessage] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue; none for any of this broker's.
        queue: Option<QueueId> = "queueId",
        /// The most messages wanted; 32 is allowed.
        max: u32 = "maxMsgNums",
        /// How long the messages stay invisible for others.
        invisible: Millis = "invisibleTime",
        /// How long the pop may wait for messages, from when it was made.
        wait: Millis = "pollTime",
        /// When the client made it, by its own clock; 0 for now.
        born: Timestamp = "bornTime",
        /// Where a new group starts: 0 at the oldest message, 1 at the newest.
        start: i32 = "initMode",
        /// The kind of the expression.
        expression_kind: &'a str = "expType" or "",
        /// Which messages are wanted.
        expression: &'a str = "exp" or "",
        /// Whether a queue gives out nothing while messages of it are out.
        order: bool = "order" or false,
        /// The name of the attempt, for one that may be repeated.
        attempt: Option<&'a str> = "attemptId",
    }

    /// How a pop went. Clients want all but the last with each of the codes 0, 209 and 210.
    PopMessageResponse<'a> [] {
        /// When it took place.
        popped: Timestamp = "popTime",
        /// How long its messages are invisible.
        invisible: Millis = "invisibleTime",
        /// The queue of the revive topic, for receipts.
        revive_queue: u32 = "reviveQid",
        /// About how many messages are left.
        rest: u64 = "restNum",
        /// Where the pop started in each queue: `origin queue offset`, joined by `;`.
        starts: &'a str = "startOffsetInfo" or "",
        /// The messages: `origin queue offset,offset`, joined by `;`.
        offsets: &'a str = "msgOffsetInfo" or "",
        /// How often messages were handed out before, if that is in order.
        order_counts: Option<&'a str> = "orderCountInfo",
    }

    /// Reads messages without leasing them.
    PeekMessage<'a> [PeekMessage] {
        /// The topic.
        topic: &'a str = "topic",
        /// The queue; none for any of this broker's.
        queue: Option<QueueId> = "queueId",
        /// The most messages wanted.
        max: u32 = "maxMsgNums",
        /// The consumer's group.
        group: &'a str = "consumerGroup",
    }

    /// Ends a lease: the message is done.
    AckMessage<'a> [AckMessage] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic that the message lies in, which may be a retry topic.
        topic: &'a str = "topic",
        /// The queue.
        queue: Option<QueueId> = "queueId",
        /// The receipt.
        receipt: &'a str = "extraInfo",
        /// The message.
        offset: Option<QueueOffset> = "offset",
    }

    /// Changes how long a lease lasts, counted from now.
    ChangeInvisibleTime<'a> [ChangeMessageInvisibleTime] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic that the message lies in.
        topic: &'a str = "topic",
        /// The queue.
        queue: Option<QueueId> = "queueId",
        /// The receipt.
        receipt: &'a str = "extraInfo",
        /// The message.
        offset: Option<QueueOffset> = "offset",
        /// How long it stays invisible.
        invisible: Millis = "invisibleTime",
    }

    /// What the client makes the new receipt of.
    ChangeInvisibleTimeResponse [] {
        /// When the new lease began.
        popped: Timestamp = "popTime",
        /// How long it lasts.
        invisible: Millis = "invisibleTime",
        /// The queue of the revive topic.
        revive_queue: u32 = "reviveQid",
    }

    /// Asks to be told when there is something to pop.
    Notification<'a> [Notification] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue; none for any of this broker's.
        queue: Option<QueueId> = "queueId",
        /// How long to wait, from when it was asked.
        wait: Millis = "pollTime",
        /// When the client asked, by its own clock; 0 for now.
        born: Timestamp = "bornTime",
        /// Whether messages are to be popped in order.
        order: bool = "order" or false,
        /// The name of the attempt.
        attempt: Option<&'a str> = "attemptId",
    }

    /// Whether there is something to pop.
    NotificationResponse [] {
        /// Whether there is.
        has_messages: bool = "hasMsg",
        /// Whether nobody else may wait.
        full: bool = "pollingFull" or false,
    }

    /// Reads how many pops wait.
    PollingInfo<'a> [PollingInfo] {
        /// The consumer's group.
        group: &'a str = "consumerGroup",
        /// The topic.
        topic: &'a str = "topic",
        /// The queue; none for those that wait on any.
        queue: Option<QueueId> = "queueId",
    }

    /// How many pops wait.
    PollingInfoResponse [] {
        /// So many.
        waiting: u32 = "pollingNum",
    }
}
