import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * A store that one server writes and another reads. The argument is a label: what is written under it is known to
 * whoever reads it, and several labels share one topic, so that both servers append to the same queues.
 *
 * <p>Written are 400 messages over 4 queues and a batch of 10, a group's positions in the middle, a message waiting for
 * its delay, one waiting for its retry and one in a dead-letter topic.
 */
final class Exchange {
    private static final String TOPIC = "Exchange";
    private static final int COUNT = 400;
    private static final int BATCH = 10;
    /** Messages of a label in each queue that its group `half` has consumed. */
    private static final int CONSUMED = 50;
    /** A level that takes longer (8 s in the tests' configuration) than the writer mostly needs to stop. */
    private static final int LATER = 17;
    private static final long LATER_MS = 8_000;

    static void write(Context context) throws Exception {
        String label = context.argument;
        context.createTopic(TOPIC, 4);
        List<MessageQueue> queues = context.queues(TOPIC);
        Map<MessageQueue, Long> starts = new HashMap<>();
        for (MessageQueue queue : queues) {
            starts.put(queue, context.puller().maxOffset(queue));
        }
        Consuming.sendByQueue(context, TOPIC, label, 0, COUNT);
        List<Message> batch = new ArrayList<>();
        for (int i = COUNT; i < COUNT + BATCH; i++) {
            batch.add(Sample.message(TOPIC, label, i));
        }
        context.producer().send(batch, queues.get(1));

        DefaultMQPullConsumer half = new DefaultMQPullConsumer(half(label));
        context.join(half);
        context.onClose(half::shutdown);
        half.start();
        for (MessageQueue queue : queues) {
            Consuming.commit(half, queue, starts.get(queue) + CONSUMED);
        }

        String failing = "ExchangeRetry_" + label;
        context.createTopic(failing, 1);
        Consuming.sendRange(context, failing, label, 0, 2);
        DefaultMQPushConsumer consumer = context.consumer(retrying(label));
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(1);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(failing, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, consuming) -> {
            consuming.setDelayLevelWhenNextConsume(Sample.number(messages.get(0)) == 0 ? LATER : -1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        // One thread, so that message 0 is waiting for its retry when message 1 is dead.
        Context.await("a dead message", () -> !context.readTopic("%DLQ%" + retrying(label)).isEmpty());
        Consuming.awaitCommittedBy(context, failing, consumer);
        consumer.shutdown();

        String delayed = "ExchangeDelay_" + label;
        context.createTopic(delayed, 2);
        Message later = Sample.message(delayed, label, 0);
        later.setDelayTimeLevel(LATER);
        long begun = System.currentTimeMillis();
        SendResult answer = context.producer().send(later, context.queues(delayed).get(1));
        Context.equal(1, answer.getMessageQueue().getQueueId(), "queue of the delayed message");
        for (MessageQueue queue : context.queues(delayed)) {
            long there = context.puller().maxOffset(queue);
            Context.check(there == 0 || System.currentTimeMillis() - begun >= LATER_MS,
                    there + " messages in " + queue + " before the delay is over");
        }
    }

    static void read(Context context) throws Exception {
        String label = context.argument;
        reread(context);

        // The server filters by the tag hashes that the consume queues hold.
        DefaultMQPullConsumer puller = context.puller();
        for (MessageQueue queue : context.queues(TOPIC)) {
            long next = 0;
            while (next < puller.maxOffset(queue)) {
                PullResult pulled = puller.pull(queue, "TagB", next, 32);
                if (pulled.getMsgFoundList() != null) {
                    pulled.getMsgFoundList().forEach(message -> Context.equal("TagB", message.getTags(), "pulled tag"));
                }
                Context.check(pulled.getNextBeginOffset() > next, "a filtered pull does not move on: " + pulled);
                next = pulled.getNextBeginOffset();
            }
        }

        Set<Integer> unread = new TreeSet<>();
        for (int i = 4 * CONSUMED; i < COUNT + BATCH; i++) {
            unread.add(i);
        }
        Recorder rest = new Recorder();
        DefaultMQPushConsumer half = context.consumer(half(label));
        half.subscribe(TOPIC, "*");
        half.registerMessageListener((MessageListenerConcurrently) (messages, unused) -> {
            for (MessageExt message : messages) {
                if (Sample.isOf(message, label)) {
                    rest.record(Collections.singletonList(message));
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        half.start();
        Context.await("the unread rest of " + half(label), () -> rest.numbers().size() >= unread.size());
        Context.equal(unread, rest.numbers(), "numbers left for " + half(label));
        half.shutdown();

        Recorder retried = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(retrying(label));
        consumer.subscribe("ExchangeRetry_" + label, "*");
        consumer.registerMessageListener(retried.concurrently());
        consumer.start();
        // A writer that was held up had message 0 again itself, and failed again; and what a client fails to hand back
        // within five seconds it hands back once more. How often a delayed message comes is shown by the one below.
        Context.await("the retry of message 0", () -> !retried.of(Sample.key(label, 0)).isEmpty());
        for (Recorder.Delivery delivery : retried.deliveries()) {
            Sample.verify(delivery.message, "ExchangeRetry_" + label, label, Sample.number(delivery.message));
            Context.check(delivery.message.getReconsumeTimes() >= 1, "a retry that is none: " + delivery.message);
        }
        List<MessageExt> dead = context.readTopic("%DLQ%" + retrying(label));
        Context.check(!dead.isEmpty(), "no dead message");
        for (MessageExt message : dead) {
            Sample.verify(message, "%DLQ%" + retrying(label), label, 1);
        }

        String delayed = "ExchangeDelay_" + label;
        context.awaitStored(delayed, 1);
        List<MessageExt> late = context.readQueue(context.queues(delayed).get(1));
        Context.equal(1, late.size(), "delayed messages in queue 1");
        Sample.verify(late.get(0), delayed, label, 0);
    }

    /** Everything in the shared topic that has the label: whole, once and in order. */
    static void reread(Context context) throws Exception {
        String label = context.argument;
        int found = 0;
        for (MessageQueue queue : context.queues(TOPIC)) {
            int last = -1;
            for (MessageExt message : context.readQueue(queue)) {
                if (!Sample.isOf(message, label)) {
                    continue;
                }
                int number = Sample.number(message);
                Sample.verify(message, TOPIC, label, number);
                Context.check(number > last, "message " + number + " comes after " + last + " in " + queue);
                Context.equal(number < COUNT ? number % 4 : 1, queue.getQueueId(), "queue of message " + number);
                last = number;
                found++;
            }
            Context.equal(0, context.puller().searchOffset(queue, 1), "search by a time before all in " + queue);
        }
        Context.equal(COUNT + BATCH, found, "messages of " + label);
    }

    private static String half(String label) {
        return "exchange_half_" + label;
    }

    private static String retrying(String label) {
        return "exchange_retrying_" + label;
    }

    private Exchange() {}
}
