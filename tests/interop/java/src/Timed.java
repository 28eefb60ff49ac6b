import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Messages for a time of the sender's choice. The 4.x clients have no methods for it, but the properties alone do it,
 * which is what their users set.
 */
final class Timed {
    /** The server keeps times in steps of this, and rounds down. */
    static final long PRECISION_MS = 1000;
    /** How late a delivery may be on a busy machine. */
    private static final long LATE_MS = 60_000;

    /** In seconds, in milliseconds, as a moment: each comes at its time, whole, to the queue that it was sent to. */
    static void delivered(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.awaitOwned(consumer, topic, 4);
        // Not in the order of their times, two of them at once, and one so soon that its step has begun already.
        long[] delays = {6000, 2000, 4000, 3000, 5000, 2000, 7000, 300};
        Map<Integer, Long> due = new HashMap<>();
        Map<Integer, Long> latest = new HashMap<>();
        Map<Integer, SendResult> answers = new HashMap<>();
        for (int i = 0; i < delays.length; i++) {
            Message message = Sample.message(topic, "timed", i);
            due.put(i, System.currentTimeMillis() + delays[i]);
            if (delays[i] % 1000 == 0 && i % 3 == 0) {
                set(message, "TIMER_DELAY_SEC", delays[i] / 1000);
            } else if (i % 3 == 1) {
                set(message, "TIMER_DELAY_MS", delays[i]);
            } else {
                set(message, "TIMER_DELIVER_MS", due.get(i));
            }
            SendResult answer = context.producer().send(message, context.queues(topic).get(i % 4));
            // A delay begins when the server has it, and what is due by then comes at once.
            latest.put(i, System.currentTimeMillis() + delays[i]);
            Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of send " + i);
            Context.equal(i % 4, answer.getMessageQueue().getQueueId(), "queue in the answer to send " + i);
            answers.put(i, answer);
        }
        Context.await("the timed messages", () -> recorder.count() >= delays.length);
        context.awaitStored(topic, delays.length);
        Context.equal(delays.length, recorder.count(), "deliveries");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, "timed", number);
            Context.equal(answers.get(number).getMsgId(), delivery.message.getMsgId(), "message id of " + number);
            Context.equal(number % 4, delivery.message.getQueueId(), "queue of " + number);
            Context.equal(0, delivery.message.getReconsumeTimes(), "reconsume times of " + number);
            Context.equal(topic, delivery.message.getProperty("REAL_TOPIC"), "property REAL_TOPIC of " + number);
            verifyTime(due.get(number), delivery.message.getStoreTimestamp(), "message " + number);
        }
        verifyOrder(context.readTopic(topic), due, latest);
    }

    static void verifyTime(long due, long at, String which) {
        long late = at - due;
        Context.check(late >= -PRECISION_MS && late < LATE_MS, which + " came " + late + " ms after its time");
    }

    /** That what was stored later was not due a step or more earlier; each is due between two moments. */
    private static void verifyOrder(List<MessageExt> stored, Map<Integer, Long> due, Map<Integer, Long> latest) {
        List<MessageExt> inOrder = new ArrayList<>(stored);
        inOrder.sort(Comparator.comparingLong(MessageExt::getCommitLogOffset));
        long before = 0;
        for (MessageExt message : inOrder) {
            int number = Sample.number(message);
            Context.check(latest.get(number) > before - PRECISION_MS, "message " + number
                    + " came after one that was due " + (before - latest.get(number)) + " ms later");
            before = Math.max(before, due.get(number));
        }
    }

    /** A time that has passed is no reason to wait; of several properties the first counts, and a level before all. */
    static void past(Context context) throws Exception {
        String topic = context.topic("t", 1);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.awaitOwned(consumer, topic, 1);
        long now = System.currentTimeMillis();
        Message passed = Sample.message(topic, "past", 0);
        set(passed, "TIMER_DELIVER_MS", now - 5000);
        Message atOnce = Sample.message(topic, "past", 1);
        set(atOnce, "TIMER_DELAY_SEC", 0);
        set(atOnce, "TIMER_DELIVER_MS", now + 3_600_000);
        // Level 1 is one second here.
        Message byLevel = Sample.message(topic, "past", 2);
        byLevel.setDelayTimeLevel(1);
        MessageAccessor.putProperty(byLevel, "TIMER_DELAY_MS", "3600000");
        for (Message message : new Message[] {passed, atOnce, byLevel}) {
            context.producer().send(message);
        }
        Context.await("the messages", () -> recorder.count() >= 3);
        recorderVerify(recorder, topic, passed, atOnce);
        long took = stored(recorder, 2) - now;
        Context.check(took >= 1000 && took < 1000 + LATE_MS, "the one with a level came after " + took + " ms");
        for (int i = 0; i < 2; i++) {
            took = stored(recorder, i) - now;
            Context.check(took < LATE_MS, "message " + i + ", due at once, came after " + took + " ms");
        }
    }

    /**
     * When the server delivered it. Clients may have it later: 5.3.3 now and then pulls before its first heartbeat, is
     * refused, and tries again seconds later.
     */
    private static long stored(Recorder recorder, int number) {
        return recorder.of(Sample.key("past", number)).get(0).message.getStoreTimestamp();
    }

    private static void recorderVerify(Recorder recorder, String topic, Message... sent) {
        for (Message message : sent) {
            List<Recorder.Delivery> deliveries = recorder.of(message.getKeys());
            Context.equal(1, deliveries.size(), "deliveries of " + message.getKeys());
            Sample.verify(deliveries.get(0).message, message);
        }
    }

    /** Further ahead than three days, or no number: refused with a reason, and nothing is kept. */
    static void refused(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer producer = context.producer();
        producer.setRetryTimesWhenSendFailed(0);
        long[] tooFar = {3 * 24 * 3600 + 60};
        Map<String, String> bad = new HashMap<>();
        bad.put("TIMER_DELAY_SEC", Long.toString(tooFar[0]));
        bad.put("TIMER_DELAY_MS", Long.toString(tooFar[0] * 1000));
        bad.put("TIMER_DELIVER_MS", Long.toString(System.currentTimeMillis() + tooFar[0] * 1000));
        Set<String> names = new TreeSet<>(bad.keySet());
        for (String name : names) {
            refuse(producer, topic, name, bad.get(name));
            refuse(producer, topic, name, "soon");
        }
        producer.send(Sample.message(topic, "refused", 0));
        context.awaitStored(topic, 1);
        Context.equal(Collections.singletonList("refused-0"),
                Collections.singletonList(context.readTopic(topic).get(0).getKeys()), "what is stored");
    }

    private static void refuse(DefaultMQProducer producer, String topic, String name, String value) throws Exception {
        Message message = Sample.message(topic, "refused", 1);
        MessageAccessor.putProperty(message, name, value);
        try {
            SendResult answer = producer.send(message);
            throw new AssertionError(name + "=" + value + " was answered with " + answer);
        } catch (MQBrokerException expected) {
            Context.equal(13, expected.getResponseCode(), "code for " + name + "=" + value);
        }
    }

    static void set(Message message, String name, long value) {
        MessageAccessor.putProperty(message, name, Long.toString(value));
    }

    private Timed() {}
}
