import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Messages that come later: by delay level, by failing, and the ones that end in the dead-letter topic.
 *
 * <p>The server runs with delay levels that are short: level 1 is 1 s, level 2 is 3 s, 3 to 16 are 1 s (a retry uses
 * 3 + times), 17 is 8 s, 18 is 2 s.
 */
final class Retrying {
    /** How late a delivery may be on a busy machine. */
    private static final long LATE_MS = 60_000;

    /** Each level is kept to, tags still filter afterwards, and queue and properties are those that were sent. */
    static void delayLevel(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.subscribe(topic, "TagA");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.awaitOwned(consumer, topic, 4);
        int[] levels = {0, 1, 2, 99};
        long[] delays = {0, 1000, 3000, 2000};
        long[] sent = new long[levels.length];
        MessageQueue third = context.queues(topic).get(3);
        for (int i = 0; i < levels.length; i++) {
            Message message = Sample.message(topic, "delay", 3 * i);
            message.setDelayTimeLevel(levels[i]);
            Message other = Sample.message(topic, "delay", 3 * i + 1);
            other.setDelayTimeLevel(levels[i]);
            sent[i] = System.currentTimeMillis();
            SendResult answer = context.producer().send(message, third);
            Context.equal(3, answer.getMessageQueue().getQueueId(), "queue in the answer to level " + levels[i]);
            context.producer().send(other, third);
        }
        Context.await("the delayed messages", () -> recorder.count() >= levels.length);
        context.awaitStored(topic, 2 * levels.length);
        Context.equal(levels.length, recorder.count(), "deliveries");
        for (int i = 0; i < levels.length; i++) {
            List<Recorder.Delivery> deliveries = recorder.of(Sample.key("delay", 3 * i));
            Context.equal(1, deliveries.size(), "deliveries of level " + levels[i]);
            MessageExt got = deliveries.get(0).message;
            Sample.verify(got, topic, "delay", 3 * i);
            Context.equal(3, got.getQueueId(), "queue of level " + levels[i]);
            Context.equal(0, got.getReconsumeTimes(), "reconsume times of level " + levels[i]);
            long took = deliveries.get(0).at - sent[i];
            Context.check(took >= delays[i] && took < delays[i] + LATE_MS,
                    "level " + levels[i] + " came after " + took + " ms instead of " + delays[i]);
            if (levels[i] > 0) {
                Context.equal(topic, got.getProperty("REAL_TOPIC"), "property REAL_TOPIC of level " + levels[i]);
            }
        }
        context.readTopic(topic);
    }

    /** What fails comes again after its level's time, under its own topic, with its parts and a counted try. */
    static void retry(Context context) throws Exception {
        String topic = context.topic("t", 1);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, consuming) -> {
            recorder.record(messages);
            int number = Sample.number(messages.get(0));
            int tries = recorder.of(messages.get(0).getKeys()).size();
            if (number == 3) {
                consuming.setDelayLevelWhenNextConsume(2);
                return tries < 2 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
            // Number 0 succeeds at once, 1 and 2 fail twice; an exception counts as a failure.
            if (number == 2 && tries == 1) {
                throw new IllegalStateException("fails on purpose");
            }
            return number > 0 && tries < 3
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Context.awaitRetryQueue(consumer);
        List<SendResult> answers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            answers.add(context.producer().send(Sample.message(topic, "retry", i)));
        }
        int[] tries = {1, 3, 3, 2};
        long[] gaps = {0, 1000, 1000, 3000};
        Context.await("the retries", () -> recorder.count() >= 9);
        Consuming.awaitCommittedBy(context, topic, consumer);
        Context.equal(9, recorder.count(), "deliveries");
        for (int i = 0; i < tries.length; i++) {
            List<Recorder.Delivery> deliveries = recorder.of(Sample.key("retry", i));
            Context.equal(tries[i], deliveries.size(), "deliveries of " + i);
            for (int at = 0; at < deliveries.size(); at++) {
                MessageExt got = deliveries.get(at).message;
                String which = "delivery " + at + " of " + i + ", ";
                Sample.verify(got, topic, "retry", i);
                Context.equal(at, got.getReconsumeTimes(), which + "reconsume times");
                Context.equal(answers.get(i).getMsgId(), got.getMsgId(), which + "message id");
                if (at > 0) {
                    Context.equal(topic, got.getProperty("RETRY_TOPIC"), which + "property RETRY_TOPIC");
                    Context.equal(answers.get(i).getOffsetMsgId(), got.getProperty("ORIGIN_MESSAGE_ID"),
                            which + "property ORIGIN_MESSAGE_ID");
                    long gap = deliveries.get(at).at - deliveries.get(at - 1).at;
                    Context.check(gap >= gaps[i] && gap < gaps[i] + LATE_MS,
                            which + "came after " + gap + " ms instead of " + gaps[i]);
                }
            }
        }
    }

    /** After its tries a message is in the group's dead-letter topic, at once when the consumer says so. */
    static void dlq(Context context) throws Exception {
        String topic = context.topic("t", 1);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.setMaxReconsumeTimes(1);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, consuming) -> {
            recorder.record(messages);
            if (Sample.number(messages.get(0)) == 2) {
                consuming.setDelayLevelWhenNextConsume(-1);
            }
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        Context.awaitRetryQueue(consumer);
        List<SendResult> answers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            answers.add(context.producer().send(Sample.message(topic, "dlq", i)));
        }
        String dead = "%DLQ%" + group;
        context.awaitStored(dead, 3);
        Context.equal(2 + 2 + 1, recorder.count(), "deliveries");
        verifyDead(context, dead, topic, "dlq", answers);
    }

    /** An orderly group retries in place without a delay, then goes on behind the message that it gave up. */
    static void orderlyDlq(Context context) throws Exception {
        String topic = context.topic("t", 1);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.setMaxReconsumeTimes(2);
        consumer.setSuspendCurrentQueueTimeMillis(50);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, consuming) -> {
            recorder.record(messages);
            return Sample.number(messages.get(0)) == 1
                    ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        List<SendResult> answers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            answers.add(context.producer().send(Sample.message(topic, "dead", i)));
        }
        consumer.start();
        Context.await("message 2", () -> recorder.numbers().contains(2));
        Context.equal(3, recorder.of(Sample.key("dead", 1)).size(), "tries of message 1");
        Context.equal(5, recorder.count(), "deliveries");
        String dead = "%DLQ%" + group;
        context.awaitStored(dead, 1);
        MessageExt got = context.readTopic(dead).get(0);
        Context.equal(Sample.key("dead", 1), got.getKeys(), "the dead message's key");
        Context.check(java.util.Arrays.equals(Sample.body("dead", 1), got.getBody()), "the dead message's body");
    }

    static void verifyDead(Context context, String dead, String topic, String label, List<SendResult> answers)
            throws Exception {
        List<MessageQueue> queues = context.queues(dead);
        Context.equal(1, queues.size(), "queues of " + dead);
        boolean[] seen = new boolean[answers.size()];
        for (MessageExt got : context.readTopic(dead)) {
            int number = Sample.number(got);
            Context.check(!seen[number], "message " + number + " is dead twice");
            seen[number] = true;
            Message expected = Sample.message(dead, label, number);
            Sample.verify(got, expected);
            Context.equal(topic, got.getProperty("RETRY_TOPIC"), "property RETRY_TOPIC of dead " + number);
            Context.equal(answers.get(number).getOffsetMsgId(), got.getProperty("ORIGIN_MESSAGE_ID"),
                    "property ORIGIN_MESSAGE_ID of dead " + number);
            Context.equal(number == 2 ? 1 : 2, got.getReconsumeTimes(), "reconsume times of dead " + number);
        }
    }

    private Retrying() {}
}
