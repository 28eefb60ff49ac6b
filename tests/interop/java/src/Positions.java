import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Where a group starts that has no position yet, and the offsets that the server tells about a queue. */
final class Positions {
    private static final String[] AGED = {"AgedFirst", "AgedLast", "AgedTime", "AgedBelow"};
    /** Messages of 40 KB in each aged topic: 24 MB together, several commit log files of the tests' size. */
    private static final int AGED_COUNT = 150;

    /**
     * Fills the topics of the scenarios below. They need queues that do not begin at 0 any more, as by default the
     * server answers for a young queue with its start whatever the group asked for: so whoever runs this stops the
     * server afterwards, removes the first commit log file as its retention would, and starts it again.
     */
    static void age(Context context) throws Exception {
        for (String topic : AGED) {
            context.createTopic(topic, 2);
        }
        for (int i = 0; i < AGED_COUNT; i++) {
            for (String topic : AGED) {
                byte[] body = new byte[40_000];
                new Random(i).nextBytes(body);
                context.producer().send(Sample.message(topic, "aged", i, body), context.queues(topic).get(i % 2));
            }
        }
    }

    /** From the first message that there still is. */
    static void fromFirst(Context context) throws Exception {
        String topic = AGED[0];
        Set<Integer> kept = kept(context, topic);
        Recorder recorder = new Recorder();
        start(context, topic, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, null, recorder);
        Context.await(kept.size() + " deliveries", () -> recorder.count() >= kept.size());
        Context.equal(kept, recorder.numbers(), "numbers delivered");
        Context.equal(kept.size(), recorder.count(), "deliveries");
    }

    /** From the end: nothing from before the group existed. */
    static void fromLast(Context context) throws Exception {
        String topic = AGED[1];
        kept(context, topic);
        String label = context.name("last");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, null, recorder);
        Context.awaitOwned(consumer, topic, 2);
        Consuming.sendRange(context, topic, label, 0, 20);
        Context.await("20 deliveries", () -> recorder.count() >= 20);
        recorder.verifyOnce(topic, label, 0, 20);
    }

    /** From a moment, which the client can name to the second. */
    static void fromTimestamp(Context context) throws Exception {
        String topic = AGED[2];
        kept(context, topic);
        String label = context.name("time");
        Consuming.sendRange(context, topic, context.name("before"), 0, 20);
        long before = System.currentTimeMillis() / 1000;
        Context.await("the second after the next", () -> System.currentTimeMillis() / 1000 >= before + 2);
        Consuming.sendRange(context, topic, label, 0, 20);
        Recorder recorder = new Recorder();
        String moment = new SimpleDateFormat("yyyyMMddHHmmss").format(new Date((before + 1) * 1000));
        start(context, topic, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP, moment, recorder);
        Context.await("20 deliveries", () -> recorder.count() >= 20);
        recorder.verifyOnce(topic, label, 0, 20);
    }

    /** The numbers of the aged messages that are left; fails when none has gone. */
    static Set<Integer> kept(Context context, String topic) throws Exception {
        Set<Integer> kept = new TreeSet<>();
        for (MessageQueue queue : context.queues(topic)) {
            Context.await("an aged store of " + queue, () -> context.puller().minOffset(queue) > 0);
            for (MessageExt message : context.readQueue(queue)) {
                if (Sample.isOf(message, "aged")) {
                    kept.add(Sample.number(message));
                }
            }
        }
        Context.check(!kept.isEmpty() && kept.size() < AGED_COUNT, kept.size() + " aged messages are left");
        return kept;
    }

    /**
     * A queue that is whole and recent is read from its start even by a group that asks for the end: the group may
     * have been started together with its topic, and must not lose what was sent before its first pull.
     */
    static void youngTopic(Context context) throws Exception {
        String topic = context.topic("t", 2);
        Consuming.sendRange(context, topic, "young", 0, 40);
        Recorder recorder = new Recorder();
        start(context, topic, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, null, recorder);
        Context.await("40 deliveries", () -> recorder.count() >= 40);
        recorder.verifyOnce(topic, "young", 0, 40);
    }

    private static DefaultMQPushConsumer start(
            Context context, String topic, ConsumeFromWhere where, String moment, Recorder recorder) throws Exception {
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.setConsumeFromWhere(where);
        if (moment != null) {
            consumer.setConsumeTimestamp(moment);
        }
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        return consumer;
    }

    /** Minimum, maximum, search by time, earliest store time; and pulls at, below and beyond the ends. */
    static void queueBounds(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQPullConsumer puller = context.puller();
        MessageQueue queue = context.queues(topic).get(0);
        Context.equal(0, puller.minOffset(queue), "minimum of an empty queue");
        Context.equal(0, puller.maxOffset(queue), "maximum of an empty queue");
        Context.equal(0, puller.searchOffset(queue, System.currentTimeMillis()), "search in an empty queue");
        for (int i = 0; i < 10; i++) {
            context.producer().send(Sample.message(topic, "bounds", i));
            // Store times that differ, so that a search by one of them has one right answer.
            long sent = System.currentTimeMillis();
            Context.await("another millisecond", () -> System.currentTimeMillis() > sent + 1);
        }
        context.awaitStored(topic, 10);
        Context.equal(0, puller.minOffset(queue), "minimum");
        Context.equal(10, puller.maxOffset(queue), "maximum");
        List<MessageExt> stored = context.readQueue(queue);
        for (int i = 0; i < 10; i++) {
            long at = stored.get(i).getStoreTimestamp();
            Context.equal(i, puller.searchOffset(queue, at), "search by the store time of " + i);
            Context.equal(i + 1, puller.searchOffset(queue, at + 1), "search just after the store time of " + i);
        }
        Context.equal(0, puller.searchOffset(queue, 1), "search by a time before all");
        Context.equal(10, puller.searchOffset(queue, System.currentTimeMillis() + 60_000), "search by a time after all");
        Context.equal(stored.get(0).getStoreTimestamp(), puller.earliestMsgStoreTime(queue), "earliest store time");

        PullResult atEnd = puller.pull(queue, "*", 10, 32);
        Context.equal(PullStatus.NO_NEW_MSG, atEnd.getPullStatus(), "pull at the end");
        Context.equal(10, atEnd.getNextBeginOffset(), "next offset of a pull at the end");
        PullResult beyond = puller.pull(queue, "*", 99, 32);
        Context.equal(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus(), "pull beyond the end");
        Context.equal(10, beyond.getNextBeginOffset(), "next offset of a pull beyond the end");
        PullResult limited = puller.pull(queue, "*", 3, 2);
        Context.equal(PullStatus.FOUND, limited.getPullStatus(), "pull of two");
        Context.equal(2, limited.getMsgFoundList().size(), "messages of a pull of two");
        Context.equal(5, limited.getNextBeginOffset(), "next offset of a pull of two");
        Context.equal(0, limited.getMinOffset(), "minimum in a pull's answer");
        Context.equal(10, limited.getMaxOffset(), "maximum in a pull's answer");
        PullResult filtered = puller.pull(queue, "NoSuchTag", 0, 32);
        Context.check(filtered.getPullStatus() == PullStatus.NO_MATCHED_MSG, "pull of a tag that nothing has: " + filtered);
    }

    private Positions() {}
}
