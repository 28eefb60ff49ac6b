import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Groups moved to where they shall go on, by the requests of the admin tool; topics that go away and come back. */
final class Resetting {
    /** A running group is moved back to a moment: what was stored from then on comes again, and nothing before. */
    static void online(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        long moment = sendAround(context, topic);
        Context.await("80 deliveries", () -> recorder.count() >= 80);
        Consuming.awaitCommittedBy(context, topic, consumer);
        reset(context, topic, group, moment, 10);
        // A pull that waits for messages is not disturbed: these let all four go on.
        Consuming.sendByQueue(context, topic, "reset", 80, 84);
        awaitAgain(recorder, 40);
        Consuming.awaitCommittedBy(context, topic, consumer);
        verifyTimes(recorder, topic, 40, true);
    }

    /** A group without members is moved: it goes on there when it is started again. */
    static void offline(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        long moment = sendAround(context, topic);
        Context.await("80 deliveries", () -> recorder.count() >= 80);
        Consuming.awaitCommittedBy(context, topic, consumer);
        consumer.shutdown();
        reset(context, topic, group, moment, 10);
        Consuming.sendByQueue(context, topic, "reset", 80, 84);
        DefaultMQPushConsumer again = start(context, topic, group, recorder);
        awaitAgain(recorder, 40);
        Consuming.awaitCommittedBy(context, topic, again);
        verifyTimes(recorder, topic, 40, false);
    }

    /** The whole topic once more: a moment before the first message. */
    static void replay(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        Consuming.sendByQueue(context, topic, "reset", 0, 80);
        Context.await("80 deliveries", () -> recorder.count() >= 80);
        Consuming.awaitCommittedBy(context, topic, consumer);
        reset(context, topic, group, 0, 0);
        Consuming.sendByQueue(context, topic, "reset", 80, 84);
        awaitAgain(recorder, 0);
        Consuming.awaitCommittedBy(context, topic, consumer);
        verifyTimes(recorder, topic, 0, true);
    }

    /** A new group gets the position of another, and takes over from there. */
    static void cloned(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        String copy = context.name("copy");
        Consuming.sendByQueue(context, topic, "clone", 0, 40);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        Context.await("40 deliveries", () -> recorder.count() >= 40);
        Consuming.awaitCommittedBy(context, topic, consumer);
        consumer.shutdown();
        Consuming.sendByQueue(context, topic, "clone", 40, 60);
        context.api().cloneGroupOffset(Context.broker(), group, copy, topic, true, Context.REQUEST_MS);
        for (long offset : committed(context, topic, copy).values()) {
            Context.equal(10, offset, "a copied position");
        }
        Recorder second = new Recorder();
        start(context, topic, copy, second);
        Context.await("20 deliveries", () -> second.count() >= 20);
        second.verifyOnce(topic, "clone", 40, 60);
        Context.equal(40, recorder.count(), "deliveries to the other group");
    }

    /** A topic that is deleted takes its messages and positions along: one of its name begins anew. */
    static void deleted(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Consuming.sendByQueue(context, topic, "old", 0, 40);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        Context.await("40 deliveries", () -> recorder.count() >= 40);
        Consuming.awaitCommittedBy(context, topic, consumer);
        consumer.shutdown();
        Context.equal(10, committed(context, topic, group).get(0), "position before the deletion");

        context.api().deleteTopicInBroker(Context.broker(), topic, Context.REQUEST_MS);
        deleteInNameServer(context.api(), context.namesrv, topic);
        Context.await("the end of its route", () -> !context.isKnown(topic));
        context.createTopic(topic, 4);
        for (MessageQueue queue : context.queues(topic)) {
            Context.equal(0, context.puller().minOffset(queue), "minimum of a new " + queue);
            Context.equal(0, context.puller().maxOffset(queue), "maximum of a new " + queue);
        }
        // 5.x answers that there is none, 4.x and we answer 0, where an empty queue starts and ends: a group that begins at
        // the end would pass over what arrives before it asks where that is.
        for (long offset : committed(context, topic, group).values()) {
            Context.check(offset == -1 || offset == 0, "position " + offset + " in a queue of the new topic");
        }
        Consuming.sendByQueue(context, topic, "new", 0, 40);
        Recorder second = new Recorder();
        start(context, topic, group, second);
        Context.await("40 deliveries of the new topic", () -> second.count() >= 40);
        second.verifyOnce(topic, "new", 0, 40);
        Context.equal(40, context.readTopic(topic).size(), "messages in the new topic");
    }

    /** A group that stands before the oldest message there still is goes on with that one. */
    static void expired(Context context) throws Exception {
        String topic = "AgedBelow";
        Set<Integer> kept = Positions.kept(context, topic);
        String group = context.name("g");
        DefaultMQPullConsumer member = context.member(group);
        for (MessageQueue queue : context.queues(topic)) {
            Consuming.commit(member, queue, 0);
        }
        member.shutdown();
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = start(context, topic, group, recorder);
        Context.await(kept.size() + " deliveries", () -> recorder.count() >= kept.size());
        Consuming.awaitCommittedBy(context, topic, consumer);
        Context.equal(kept, recorder.numbers(), "numbers delivered");
        Context.equal(kept.size(), recorder.count(), "deliveries");
    }

    private static DefaultMQPushConsumer start(Context context, String topic, String group, Recorder recorder)
            throws Exception {
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.awaitOwned(consumer, topic, context.queues(topic).size());
        return consumer;
    }

    /** Sends numbers 0 to 40, then 40 to 80, and gives a moment between the two. */
    private static long sendAround(Context context, String topic) throws Exception {
        Consuming.sendByQueue(context, topic, "reset", 0, 40);
        context.awaitStored(topic, 40);
        long before = System.currentTimeMillis();
        Context.await("a moment later", () -> System.currentTimeMillis() > before + 100);
        Consuming.sendByQueue(context, topic, "reset", 40, 80);
        return before + 50;
    }

    /** Moves the group, and checks that the answer names the expected position in each queue. */
    private static void reset(Context context, String topic, String group, long moment, long expected) throws Exception {
        Map<MessageQueue, Long> moved =
                context.api().invokeBrokerToResetOffset(Context.broker(), topic, group, moment, true, Context.REQUEST_MS);
        Context.equal(context.queues(topic).size(), moved.size(), "queues in the answer " + moved);
        for (Map.Entry<MessageQueue, Long> one : moved.entrySet()) {
            Context.equal(topic, one.getKey().getTopic(), "topic in the answer");
            Context.equal(expected, one.getValue(), "position in the answer for " + one.getKey());
        }
    }

    /** Waits for numbers {@code again} to 80 a second time, and for the last four. */
    private static void awaitAgain(Recorder recorder, int again) throws Exception {
        Context.await("numbers from " + again + " again, and 4 more", () -> {
            for (int i = again; i < 84; i++) {
                if (recorder.of(Sample.key("reset", i)).size() < (i < 80 ? 2 : 1)) {
                    return false;
                }
            }
            return true;
        });
    }

    /**
     * That numbers below {@code again} came once, those up to 80 twice, and the last four once: or twice where the consumer
     * was running, which may get them before it has heard that it is to go back.
     */
    private static void verifyTimes(Recorder recorder, String topic, int again, boolean running) {
        for (int i = 0; i < 84; i++) {
            List<Recorder.Delivery> deliveries = recorder.of(Sample.key("reset", i));
            int times = i >= 80 && running && deliveries.size() == 2 ? 2 : i >= again && i < 80 ? 2 : 1;
            Context.equal(times, deliveries.size(), "deliveries of " + i);
            for (Recorder.Delivery delivery : deliveries) {
                Sample.verify(delivery.message, topic, "reset", i);
                Context.equal(0, delivery.message.getReconsumeTimes(), "reconsume times of " + i);
            }
        }
    }

    /** The group's positions as the server knows them, by queue; -1 where there is none. */
    static Map<Integer, Long> committed(Context context, String topic, String group) throws Exception {
        DefaultMQPullConsumer asker = context.member(group);
        Map<Integer, Long> positions = new HashMap<>();
        for (MessageQueue queue : context.queues(topic)) {
            positions.put(queue.getQueueId(), asker.fetchConsumeOffset(queue, true));
        }
        asker.shutdown();
        return positions;
    }

    /** 4.9 has the cluster's name behind the topic; 5.x has one without it again, and one with it before the topic. */
    private static void deleteInNameServer(MQClientAPIImpl api, String namesrv, String topic) throws Exception {
        Method shortest = Arrays.stream(MQClientAPIImpl.class.getMethods())
                .filter(method -> method.getName().equals("deleteTopicInNameServer"))
                .min(Comparator.comparingInt(Method::getParameterCount))
                .orElseThrow(() -> new AssertionError("this client cannot delete a topic in a NameServer"));
        try {
            if (shortest.getParameterCount() == 3) {
                shortest.invoke(api, namesrv, topic, Context.REQUEST_MS);
            } else {
                shortest.invoke(api, namesrv, topic, null, Context.REQUEST_MS);
            }
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    private Resetting() {}
}
