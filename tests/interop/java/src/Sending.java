import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Every way to send, and what is then found in the queues. */
final class Sending {
    /** Each answer names the place; the message is there with all its parts; the four queues take turns. */
    static void sync(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Map<String, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 48; i++) {
            SendResult answer = context.producer().send(Sample.message(topic, "sync", i));
            Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of send " + i);
            answers.put(Sample.key("sync", i), answer);
        }
        verifyAll(context, topic, "sync", answers, 48);
        for (MessageQueue queue : context.queues(topic)) {
            Context.equal(12, context.readQueue(queue).size(), "messages in " + queue);
        }
    }

    /** Many sends in flight on one connection: each callback comes once and is the answer to its own message. */
    static void async(Context context) throws Exception {
        String topic = context.topic("t", 4);
        int count = 200;
        Map<String, SendResult> answers = new ConcurrentHashMap<>();
        Map<String, Throwable> failures = new ConcurrentHashMap<>();
        CountDownLatch answered = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            String key = Sample.key("async", i);
            context.producer().send(Sample.message(topic, "async", i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    if (answers.put(key, result) != null) {
                        failures.put(key, new AssertionError("answered twice"));
                    }
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failures.put(key, e);
                    answered.countDown();
                }
            });
        }
        Context.check(answered.await(2 * Context.REQUEST_MS, TimeUnit.MILLISECONDS), answered.getCount() + " of the callbacks did not come");
        Context.check(failures.isEmpty(), "async sends failed: " + failures);
        verifyAll(context, topic, "async", answers, count);
    }

    /** No answer, yet every message is stored, and the connection stays usable. */
    static void oneway(Context context) throws Exception {
        String topic = context.topic("t", 4);
        for (int i = 0; i < 60; i++) {
            context.producer().sendOneway(Sample.message(topic, "oneway", i));
        }
        SendResult answer = context.producer().send(Sample.message(topic, "oneway", 60));
        Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of the send after them");
        verifyAll(context, topic, "oneway", new HashMap<>(), 61);
    }

    /** A batch lands in one queue in its order at consecutive offsets, each message whole. */
    static void batch(Context context) throws Exception {
        String topic = context.topic("t", 4);
        int sent = 0;
        for (int size : new int[] {1, 2, 15}) {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < size; i++) {
                batch.add(Sample.message(topic, "batch", sent + i));
            }
            SendResult answer = context.producer().send(batch);
            Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of the batch of " + size);
            Context.equal(size, answer.getMsgId().split(",").length, "ids in " + answer.getMsgId());
            Context.equal(size, answer.getOffsetMsgId().split(",").length, "ids in " + answer.getOffsetMsgId());
            context.awaitStored(topic, sent + size);
            List<MessageExt> stored = context.readQueue(answer.getMessageQueue());
            List<MessageExt> last = stored.subList(stored.size() - size, stored.size());
            for (int i = 0; i < size; i++) {
                Sample.verify(last.get(i), topic, "batch", sent + i);
                Context.equal(answer.getQueueOffset() + i, last.get(i).getQueueOffset(), "offset of element " + i);
                Context.equal(String.format("%016X", last.get(i).getCommitLogOffset()),
                        answer.getOffsetMsgId().split(",")[i].substring(16), "physical offset of element " + i);
            }
            sent += size;
        }
        MessageQueue third = context.queues(topic).get(2);
        List<Message> toThird = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            toThird.add(Sample.message(topic, "batch", sent + i));
        }
        SendResult answer = context.producer().send(toThird, third);
        Context.equal(2, answer.getMessageQueue().getQueueId(), "queue of a batch sent to queue 2");
        sent += 5;
        verifyAll(context, topic, "batch", new HashMap<>(), sent);
    }

    /** A body over the limit is answered with MESSAGE_ILLEGAL, and the connection goes on. */
    static void refused(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer large = context.newProducer("large");
        large.setMaxMessageSize(16 << 20);
        large.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        large.setRetryTimesWhenSendFailed(0);
        large.start();
        large.send(Sample.message(topic, "refused", 0));
        try {
            SendResult answer = large.send(new Message(topic, new byte[5 << 20]));
            throw new AssertionError("a body of 5 MiB was answered with " + answer);
        } catch (MQBrokerException expected) {
            Context.equal(13, expected.getResponseCode(), "code for a body of 5 MiB (" + expected.getErrorMessage() + ")");
        }
        large.send(Sample.message(topic, "refused", 1));
        Message almost = new Message(topic, new byte[(4 << 20) - 4096]);
        almost.setKeys("refused-2");
        large.send(almost);
        context.awaitStored(topic, 3);
        List<MessageExt> stored = context.readTopic(topic);
        Context.equal(3, stored.size(), "messages stored");
        Context.equal((4 << 20) - 4096, stored.get(2).getBody().length, "length of the largest body");
    }

    /** A send to a topic that nobody created makes it, with the producer's default of four queues. */
    static void autoCreate(Context context) throws Exception {
        String topic = context.name("nobody_created_this");
        Map<String, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 8; i++) {
            answers.put(Sample.key("auto", i), context.producer().send(Sample.message(topic, "auto", i)));
        }
        Context.equal(4, context.queues(topic).size(), "queues of an automatically created topic");
        verifyAll(context, topic, "auto", answers, 8);
    }

    /** The port two below the broker's answers the same requests. */
    static void fastPort(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer fast = context.newProducer("fast");
        fast.setVipChannelEnabled(true);
        fast.start();
        Map<String, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 10; i++) {
            answers.put(Sample.key("fast", i), fast.send(Sample.message(topic, "fast", i)));
        }
        verifyAll(context, topic, "fast", answers, 10);
    }

    /** That the topic holds exactly numbers 0 to {@code count} of the label, where the answers say. */
    static void verifyAll(Context context, String topic, String label, Map<String, SendResult> answers, int count)
            throws Exception {
        context.awaitStored(topic, count);
        Set<String> seen = new HashSet<>();
        for (MessageExt got : context.readTopic(topic)) {
            Sample.verify(got, topic, label, Sample.number(got));
            Context.check(seen.add(got.getKeys()), "message " + got.getKeys() + " is stored twice");
            if (answers.containsKey(got.getKeys())) {
                Sample.verifyPlace(got, answers.get(got.getKeys()));
            }
        }
        Context.equal(count, seen.size(), "messages in " + topic);
    }

    private Sending() {}
}
