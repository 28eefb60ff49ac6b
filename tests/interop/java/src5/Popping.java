import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;

/** Consumers that pop: the server hands out messages for a while and takes back what nobody acknowledged in time. */
final class Popping {
    /** The shortest that the client allows. */
    private static final long INVISIBLE_MS = 5_000;
    /** The first step of the client's own backoff. */
    private static final long FIRST_BACKOFF_MS = 10_000;

    /** Each message once, those that were there and those that come while a pop waits; then nothing again. */
    static void all(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        mode(context, topic, group);
        Consuming.sendByQueue(context, topic, "pop", 0, 80);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = consumer(context, topic, group);
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.await("80 deliveries", () -> recorder.count() >= 80);
        for (int i = 80; i < 120; i++) {
            Consuming.sendByQueue(context, topic, "pop", i, i + 1);
        }
        Context.await("120 deliveries", () -> recorder.count() >= 120);
        Context.check(pops(consumer, topic), "the consumer does not pop");
        // Longer than messages are invisible: what was not acknowledged would be there again.
        long since = System.currentTimeMillis();
        Context.await("the end of the time to acknowledge", () -> System.currentTimeMillis() > since + INVISIBLE_MS + 4000);
        recorder.verifyOnce(topic, "pop", 0, 120);
        Context.equal(4, recorder.queues().size(), "queues that messages came from");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            Context.check(delivery.message.getProperty("POP_CK") != null, "no receipt: " + delivery.message);
        }
    }

    /** What fails comes again after the client's backoff, under its own topic, whole, with a counted try. */
    static void retry(Context context) throws Exception {
        String topic = context.topic("t", 2);
        String group = context.name("g");
        mode(context, topic, group);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = consumer(context, topic, group);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, unused) -> {
            recorder.record(messages);
            MessageExt message = messages.get(0);
            return Sample.number(message) % 4 == 1 && recorder.of(message.getKeys()).size() == 1
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        for (int i = 0; i < 18; i++) {
            context.producer().send(Sample.message(topic, "retry", i));
        }
        // Of the 18, five fail once.
        Context.await("the retries", () -> recorder.count() >= 23);
        Context.equal(23, recorder.count(), "deliveries");
        for (int i = 0; i < 18; i++) {
            List<Recorder.Delivery> deliveries = recorder.of(Sample.key("retry", i));
            Context.equal(i % 4 == 1 ? 2 : 1, deliveries.size(), "deliveries of " + i);
            for (int at = 0; at < deliveries.size(); at++) {
                Sample.verify(deliveries.get(at).message, topic, "retry", i);
                Context.equal(at, deliveries.get(at).message.getReconsumeTimes(), "reconsume times of " + i);
            }
            if (deliveries.size() == 2) {
                long gap = deliveries.get(1).at - deliveries.get(0).at;
                Context.check(gap >= FIRST_BACKOFF_MS - 1000, "message " + i + " came again after " + gap + " ms");
                Context.equal(deliveries.get(0).message.getMsgId(), deliveries.get(1).message.getMsgId(),
                        "message id of the second delivery of " + i);
            }
        }
    }

    /** What a consumer holds on to for longer than it may comes again, counted; what it acknowledged does not. */
    static void unacknowledged(Context context) throws Exception {
        String topic = context.topic("t", 2);
        String group = context.name("g");
        mode(context, topic, group);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = consumer(context, topic, group);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setConsumeThreadMin(8);
        consumer.setConsumeThreadMax(8);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, unused) -> {
            recorder.record(messages);
            MessageExt message = messages.get(0);
            if (Sample.number(message) % 5 == 2 && recorder.of(message.getKeys()).size() == 1) {
                try {
                    Thread.sleep(INVISIBLE_MS + 3000);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        for (int i = 0; i < 15; i++) {
            context.producer().send(Sample.message(topic, "hold", i));
        }
        // Numbers 2, 7 and 12 are held.
        Context.await("those that were held, again", () -> recorder.count() >= 18);
        Context.equal(18, recorder.count(), "deliveries");
        for (int i = 0; i < 15; i++) {
            List<Recorder.Delivery> deliveries = recorder.of(Sample.key("hold", i));
            Context.equal(i % 5 == 2 ? 2 : 1, deliveries.size(), "deliveries of " + i);
            for (int at = 0; at < deliveries.size(); at++) {
                Sample.verify(deliveries.get(at).message, topic, "hold", i);
                Context.equal(at, deliveries.get(at).message.getReconsumeTimes(), "reconsume times of " + i);
            }
            if (deliveries.size() == 2) {
                // From when it was handed out: the listener may have had to wait for a thread.
                String receipt = deliveries.get(0).message.getProperty("POP_CK");
                long gap = deliveries.get(1).at - ExtraInfoUtil.getPopTime(ExtraInfoUtil.split(receipt));
                Context.check(gap >= INVISIBLE_MS - 1000, "message " + i + " came again after " + gap + " ms");
            }
        }
    }

    /** Members come and go under load: no message is missing, and next to none comes twice. */
    static void members(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        mode(context, topic, group);
        Recorder recorder = new Recorder();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        int sent = 0;
        for (int round = 0; round < 6; round++) {
            if (round % 3 < 2) {
                DefaultMQPushConsumer joined = consumer(context, topic, group);
                joined.registerMessageListener(recorder.concurrently());
                joined.start();
                members.add(joined);
            } else {
                members.remove(0).shutdown();
            }
            Consuming.sendByQueue(context, topic, "pop", sent, sent + 40);
            sent += 40;
        }
        int all = sent;
        Context.await(all + " different messages", () -> recorder.numbers().size() == all);
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            Sample.verify(delivery.message, topic, "pop", Sample.number(delivery.message));
        }
        int again = recorder.count() - all;
        System.out.println("members that pop came and went: " + again + " of " + all + " delivered again");
        // A member that leaves may lose what it was handed last: at most a pop of 32 per queue.
        Context.check(again <= 2 * 4 * 32, again + " messages came twice");
    }

    private static void mode(Context context, String topic, String group) throws Exception {
        context.api().setMessageRequestMode(Context.broker(), topic, group, MessageRequestMode.POP, 0, Context.REQUEST_MS);
    }

    private static DefaultMQPushConsumer consumer(Context context, String topic, String group) throws Exception {
        DefaultMQPushConsumer created = context.consumer(group);
        created.setClientRebalance(false);
        created.setPopInvisibleTime(INVISIBLE_MS);
        created.subscribe(topic, "*");
        return created;
    }

    /** Whether the consumer was told to pop all queues of the broker, rather than to pull some. */
    private static boolean pops(DefaultMQPushConsumer consumer, String topic) {
        Set<Integer> queues = new TreeSet<>();
        for (MessageQueue queue :
                consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getPopProcessQueueTable().keySet()) {
            if (queue.getTopic().equals(topic)) {
                queues.add(queue.getQueueId());
            }
        }
        return queues.size() == 1 && queues.contains(-1) && Context.owned(consumer, topic).isEmpty();
    }

    private Popping() {}
}
