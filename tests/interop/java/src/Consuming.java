import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.store.OffsetStore;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingException;

/** One consumer at a time: what it is given, in which order, how soon, and where its group goes on afterwards. */
final class Consuming {
    /** Every message once and whole; a restarted consumer goes on where its group stopped. */
    static void concurrent(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        sendRange(context, topic, "concurrent", 0, 200);
        Recorder first = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(first.concurrently());
        consumer.start();
        Context.await("200 deliveries", () -> first.count() >= 200);
        sendRange(context, topic, "concurrent", 200, 260);
        Context.await("260 deliveries", () -> first.count() >= 260);
        first.verifyOnce(topic, "concurrent", 0, 260);
        awaitConsumedBy(context, topic, consumer);
        consumer.shutdown();
        awaitCommitted(context, group, topic);

        Recorder second = new Recorder();
        DefaultMQPushConsumer again = context.consumer(group);
        again.setConsumeMessageBatchMaxSize(8);
        again.subscribe(topic, "*");
        again.registerMessageListener(second.concurrently());
        again.start();
        sendRange(context, topic, "concurrent", 260, 300);
        Context.await("40 more deliveries", () -> second.count() >= 40);
        second.verifyOnce(topic, "concurrent", 260, 300);
    }

    /** Only subscribed tags arrive, also where another tag has the same hash; what was filtered out is passed for good. */
    static void tags(Context context) throws Exception {
        String topic = context.topic("t", 2);
        String group = context.name("g");
        Context.equal("Aa".hashCode(), "BB".hashCode(), "the hash of the two colliding tags");
        String[] tags = {"TagA", "TagB", "TagC", "Aa", "BB", null, "名"};
        for (int i = 0; i < 140; i++) {
            Message message = Sample.message(topic, "tags", i);
            message.setTags(tags[i % tags.length]);
            context.producer().send(message);
        }
        // One to each queue that is wanted: its commit passes what was filtered out before it.
        List<MessageQueue> queues = context.queues(topic);
        for (int i = 0; i < 2; i++) {
            Message message = Sample.message(topic, "tags", 140 + 7 * i);
            message.setTags(tags[0]);
            context.producer().send(message, queues.get(i));
        }
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.subscribe(topic, "TagA || TagC || Aa || 名");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.await("82 deliveries", () -> recorder.count() >= 82);
        // The group is through with a queue when its commit stands at the end, behind messages that it never saw.
        awaitCommittedBy(context, topic, consumer);
        Context.equal(82, recorder.count(), "deliveries");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            String tag = delivery.message.getTags();
            Context.check("TagA".equals(tag) || "TagC".equals(tag) || "Aa".equals(tag) || "名".equals(tag),
                    "a message of tag " + tag + " was delivered");
            Message expected = Sample.message(topic, "tags", Sample.number(delivery.message));
            expected.setTags(tags[Sample.number(delivery.message) % tags.length]);
            Sample.verify(delivery.message, expected);
        }
        consumer.shutdown();

        // By the server alone: it compares hashes, so that the colliding tag still comes and the others do not.
        DefaultMQPullConsumer puller = context.puller();
        Set<String> pulled = new TreeSet<>();
        for (MessageQueue queue : context.queues(topic)) {
            long next = 0;
            while (next < puller.maxOffset(queue)) {
                PullResult result = puller.pull(queue, "Aa", next, 32);
                if (result.getMsgFoundList() != null) {
                    result.getMsgFoundList().forEach(message -> pulled.add(message.getTags()));
                }
                Context.check(result.getNextBeginOffset() > next, "a filtered pull does not move on: " + result);
                next = result.getNextBeginOffset();
            }
        }
        Context.equal(Collections.singleton("Aa"), pulled, "tags pulled with the expression Aa");
    }

    /** Per queue strictly in order and one at a time; a message that fails holds up its queue and comes again. */
    static void orderly(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        sendByQueue(context, topic, "orderly", 0, 120);
        Map<Integer, AtomicInteger> busy = new ConcurrentHashMap<>();
        List<String> overlaps = Collections.synchronizedList(new ArrayList<>());
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.setSuspendCurrentQueueTimeMillis(50);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, unused) -> {
            MessageExt message = messages.get(0);
            AtomicInteger here = busy.computeIfAbsent(message.getQueueId(), id -> new AtomicInteger());
            if (here.incrementAndGet() != 1) {
                overlaps.add("queue " + message.getQueueId() + " at " + message.getKeys());
            }
            recorder.record(messages);
            boolean fail = Sample.number(message) % 30 == 17 && recorder.of(message.getKeys()).size() < 3;
            here.decrementAndGet();
            return fail ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        Context.await("120 different messages", () -> recorder.numbers().size() == 120);
        sendByQueue(context, topic, "orderly", 120, 160);
        Context.await("160 different messages", () -> recorder.numbers().size() == 160);
        Context.check(overlaps.isEmpty(), "a queue was consumed by two threads at once: " + overlaps);
        verifyOrderly(recorder, topic, "orderly", 17, 30, 3);
        Context.equal(160 + 2 * 5, recorder.count(), "deliveries");
    }

    /** In each queue the numbers grow; numbers {@code failing} (modulo) come {@code tries} times in a row. */
    static void verifyOrderly(Recorder recorder, String topic, String label, int failing, int modulo, int tries) {
        Map<Integer, List<Recorder.Delivery>> byQueue = new HashMap<>();
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            Sample.verify(delivery.message, topic, label, Sample.number(delivery.message));
            byQueue.computeIfAbsent(delivery.message.getQueueId(), id -> new ArrayList<>()).add(delivery);
        }
        byQueue.forEach((queue, deliveries) -> {
            int at = 0;
            int expected = queue;
            while (at < deliveries.size()) {
                int times = failing >= 0 && expected % modulo == failing ? tries : 1;
                for (int i = 0; i < times; i++, at++) {
                    Context.check(at < deliveries.size(), "queue " + queue + " ends before try " + i + " of " + expected);
                    Context.equal(expected, Sample.number(deliveries.get(at).message), "delivery " + at + " of queue " + queue);
                }
                expected += 4;
            }
        });
    }

    /** A parked pull is answered when a message comes, not at the next look at the clock. */
    static void longPoll(Context context) throws Exception {
        String topic = context.topic("t", 1);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.awaitOwned(consumer, topic, 1);
        int sent = 0;
        int quick = 0;
        long since = System.currentTimeMillis();
        List<Long> waits = new ArrayList<>();
        // Three in a row: a look at the clock every second or more rarely comes half a second or more after each send,
        // unless this process is held up before it.
        while (quick < 3) {
            Context.check(System.currentTimeMillis() - since < Context.PATIENCE_MS,
                    "deliveries into a parked pull took " + waits + " ms");
            // The pull has to be parked for this to mean anything, and no call tells when it is.
            Thread.sleep(500);
            long start = System.currentTimeMillis();
            context.producer().send(Sample.message(topic, "poll", sent));
            int expected = ++sent;
            Context.await("delivery " + sent, () -> recorder.count() == expected);
            waits.add(recorder.deliveries().get(sent - 1).at - start);
            quick = waits.get(sent - 1) < 300 ? quick + 1 : 0;
        }
        recorder.verifyOnce(topic, "poll", 0, sent);
    }

    /** The lite pull consumer (request 361): by subscription with a commit, and by assignment from a chosen offset. */
    static void litePull(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        sendByQueue(context, topic, "lite", 0, 80);
        DefaultLitePullConsumer subscriber = litePuller(context, group);
        subscriber.subscribe(topic, "*");
        subscriber.setAutoCommit(false);
        subscriber.start();
        Recorder recorder = new Recorder();
        Context.await("80 polled messages", () -> {
            recorder.record(subscriber.poll(200));
            return recorder.count() >= 80;
        });
        recorder.verifyOnce(topic, "lite", 0, 80);
        subscriber.commitSync();
        subscriber.shutdown();
        awaitCommitted(context, group, topic);

        DefaultLitePullConsumer assigned = litePuller(context, context.name("assigned"));
        assigned.setAutoCommit(false);
        assigned.start();
        MessageQueue second = context.queues(topic).get(1);
        MessageQueue own = new MessageQueue(second.getTopic(), second.getBrokerName(), second.getQueueId());
        assigned.assign(Collections.singletonList(own));
        assigned.seek(own, 15);
        Recorder tail = new Recorder();
        Context.await("the end of queue 1", () -> {
            tail.record(assigned.poll(200));
            return tail.numbers().contains(77);
        });
        List<Integer> numbers = new ArrayList<>();
        tail.deliveries().forEach(delivery -> numbers.add(Sample.number(delivery.message)));
        // A pull from further up that was under way when the seek came may be delivered, too.
        int at = numbers.indexOf(57);
        Context.check(at < 0 || at > 0 && numbers.get(at - 1) == 53, "message 57 came after a seek behind it: " + numbers);
        Context.equal(Arrays.asList(61, 65, 69, 73, 77), numbers.subList(numbers.size() - 5, numbers.size()),
                "numbers from offset 15 of queue 1");
    }

    private static DefaultLitePullConsumer litePuller(Context context, String group) {
        DefaultLitePullConsumer created = new DefaultLitePullConsumer(group);
        context.join(created);
        created.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        context.onClose(created::shutdown);
        return created;
    }

    /** Sends these numbers, the producer choosing the queues. */
    static void sendRange(Context context, String topic, String label, int from, int end) throws Exception {
        for (int i = from; i < end; i++) {
            context.producer().send(Sample.message(topic, label, i));
        }
    }

    /** Sends these numbers, each to the queue of its remainder by four. */
    static void sendByQueue(Context context, String topic, String label, int from, int end) throws Exception {
        for (int i = from; i < end; i++) {
            context.producer().send(Sample.message(topic, label, i), (queues, message, number) -> {
                for (MessageQueue queue : queues) {
                    if (queue.getQueueId() == (Integer) number % 4) {
                        return queue;
                    }
                }
                throw new AssertionError("no queue " + (Integer) number % 4 + " among " + queues);
            }, i);
        }
    }

    /** Commits a position for the member's group. */
    static void commit(DefaultMQPullConsumer member, MessageQueue queue, long offset) throws Exception {
        OffsetStore offsets = member.getDefaultMQPullConsumerImpl().getOffsetStore();
        Context.await("commit " + offset + " in " + queue, () -> {
            try {
                offsets.updateConsumeOffsetToBroker(queue, offset, false);
            } catch (MQBrokerException e) {
                Context.equal(26, e.getResponseCode(), "code of a commit before the group's first heartbeat");
                return false;
            } catch (RemotingException unanswered) {
                // The client gives up after five seconds.
                return false;
            }
            return member.fetchConsumeOffset(queue, true) == offset;
        });
    }

    /** Waits until the server knows the group, which nobody is a member of now, to be through with the topic. */
    static void awaitCommitted(Context context, String group, String topic) throws Exception {
        DefaultMQPullConsumer asker = context.member(group);
        for (MessageQueue queue : context.queues(topic)) {
            long end = context.puller().maxOffset(queue);
            Context.await("commit " + end + " of " + group + " in " + queue,
                    () -> asker.fetchConsumeOffset(queue, true) == end);
        }
        asker.shutdown();
    }

    /** Waits until these running consumers, all of their group, have told the server that they are through. */
    static void awaitCommittedBy(Context context, String topic, DefaultMQPushConsumer... members) throws Exception {
        for (MessageQueue queue : context.queues(topic)) {
            long end = context.puller().maxOffset(queue);
            for (DefaultMQPushConsumer member : members) {
                if (!Context.owned(member, topic).contains(queue.getQueueId())) {
                    continue;
                }
                OffsetStore offsets = member.getDefaultMQPushConsumerImpl().getOffsetStore();
                awaitConsumed(member, queue, end);
                Context.await("commit " + end + " in " + queue, () -> {
                    member.getDefaultMQPushConsumerImpl().persistConsumerOffset();
                    boolean committed = offsets.readOffset(queue, ReadOffsetType.READ_FROM_STORE) == end;
                    // Reading the server's position sets the client's own to it, also when it is still the old one.
                    offsets.updateOffset(queue, end, false);
                    return committed;
                });
            }
        }
    }

    /**
     * Waits until this consumer, which has all queues of the topic, is through with them. Its listener is handed the last
     * message before that, and a shutdown in between forgets that message.
     */
    static void awaitConsumedBy(Context context, String topic, DefaultMQPushConsumer member) throws Exception {
        for (MessageQueue queue : context.queues(topic)) {
            awaitConsumed(member, queue, context.puller().maxOffset(queue));
        }
    }

    private static void awaitConsumed(DefaultMQPushConsumer member, MessageQueue queue, long end) throws Exception {
        OffsetStore offsets = member.getDefaultMQPushConsumerImpl().getOffsetStore();
        Context.await("consumption up to " + end + " in " + queue,
                () -> offsets.readOffset(queue, ReadOffsetType.READ_FROM_MEMORY) == end);
    }

    private Consuming() {}
}
