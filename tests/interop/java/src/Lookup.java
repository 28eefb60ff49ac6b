import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Messages found again: by key, by the ids that a send was answered with, by their trace. */
final class Lookup {
    private static final String TRACES = "RMQ_SYS_TRACE_TOPIC";
    private static final char FIELD = 1;
    private static final char RECORD = 2;

    /** Each of several keys finds all messages that have it, within the times that were asked for, and no others. */
    static void byKey(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String other = context.topic("other", 1);
        List<Message> sent = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            Message message = Sample.message(topic, "key", i);
            message.setKeys("key-" + i + " order" + i % 3 + " größe" + i % 2);
            sent.add(message);
            context.producer().send(message);
        }
        Message elsewhere = Sample.message(other, "key", 0);
        elsewhere.setKeys("order1");
        context.producer().send(elsewhere);
        context.awaitStored(topic, 12);
        context.awaitStored(other, 1);
        List<MessageExt> stored = context.readTopic(topic);
        long first = Long.MAX_VALUE;
        long last = 0;
        for (MessageExt message : stored) {
            // The index knows times to the second only, and rounds them down.
            first = Math.min(first, message.getStoreTimestamp() - 1000);
            last = Math.max(last, message.getStoreTimestamp());
        }
        for (int of = 0; of < 3; of++) {
            Set<Integer> expected = new TreeSet<>();
            for (int i = of; i < 12; i += 3) {
                expected.add(i);
            }
            Context.equal(expected, numbers(awaitFound(context, topic, "order" + of, 4, first, last), sent), "order" + of);
        }
        Context.equal(new TreeSet<>(Arrays.asList(1, 3, 5, 7, 9, 11)),
                numbers(awaitFound(context, topic, "größe1", 6, first, last), sent), "a key beyond ASCII");
        Context.equal(new TreeSet<>(Arrays.asList(7)),
                numbers(awaitFound(context, topic, "key-7", 1, first, last), sent), "key-7");
        Context.equal(2, find(context, topic, "order0", 2, first, last).size(), "messages when two are asked for");
        Context.equal(0, find(context, topic, "order3", 32, first, last).size(), "messages of a key that none has");
        Context.equal(0, find(context, topic, "order1", 32, last + 60_000, last + 120_000).size(), "messages of later");
        Context.equal(0, find(context, topic, "order1", 32, first - 120_000, first - 60_000).size(), "messages of before");
        Context.equal(1, awaitFound(context, other, "order1", 1, first, last + 60_000).size(), "messages of the other topic");
    }

    /** By the id that the sender gave, and by the one that says where the message is stored. */
    static void byId(Context context) throws Exception {
        String topic = context.topic("t", 2);
        DefaultMQPullConsumer puller = context.puller();
        Map<Integer, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 17; i++) {
            answers.put(i, context.producer().send(Sample.message(topic, "id", i)));
        }
        context.awaitStored(topic, 17);
        Context.await("the last message by its unique id", () -> {
            try {
                return puller.viewMessage(topic, answers.get(16).getMsgId()) != null;
            } catch (MQClientException notIndexedYet) {
                return false;
            }
        });
        for (int i = 0; i < 17; i++) {
            SendResult answer = answers.get(i);
            for (String id : new String[] {answer.getMsgId(), answer.getOffsetMsgId()}) {
                MessageExt got = puller.viewMessage(topic, id);
                Sample.verify(got, topic, "id", i);
                Context.equal(answer.getQueueOffset(), got.getQueueOffset(), "queue offset by " + id);
                Context.equal(answer.getMessageQueue().getQueueId(), got.getQueueId(), "queue by " + id);
                Context.equal(answer.getMsgId(), got.getProperty("UNIQ_KEY"), "unique id by " + id);
                Context.equal(answer.getOffsetMsgId().substring(16), String.format("%016X", got.getCommitLogOffset()),
                        "physical offset by " + id);
            }
        }
        // The same store host, and a place where no message begins.
        String nowhere = answers.get(0).getOffsetMsgId().substring(0, 16) + "00000000FFFFFFF0";
        try {
            MessageExt got = puller.viewMessage(topic, nowhere);
            Context.check(got == null, "there is a message at " + nowhere + ": " + got);
        } catch (Exception expected) {
            Context.check(String.valueOf(expected).length() > 0, "no reason");
        }
    }

    /** Producer and consumer with tracing leave records of each message that its id finds. */
    static void trace(Context context) throws Exception {
        String topic = context.topic("t", 1);
        String group = context.name("g");
        DefaultMQProducer producer = new DefaultMQProducer(context.name("traced"), true, null);
        context.join(producer);
        producer.setSendMsgTimeout((int) Context.REQUEST_MS);
        context.onClose(producer::shutdown);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, true, null);
        context.configure(consumer);
        Recorder recorder = new Recorder();
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        List<SendResult> answers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            answers.add(producer.send(Sample.message(topic, "trace", i)));
        }
        Context.await("3 deliveries", () -> recorder.count() >= 3);
        for (int i = 0; i < 3; i++) {
            SendResult answer = answers.get(i);
            Map<String, String[]> records = new HashMap<>();
            Context.await("three records of " + answer.getMsgId(), () -> {
                records.clear();
                collect(context, answer.getMsgId(), records);
                return records.containsKey("Pub") && records.containsKey("SubBefore") && records.containsKey("SubAfter");
            });
            Context.equal(topic, records.get("Pub")[4], "topic in the sender's record of " + i);
            Context.equal(answer.getMsgId(), records.get("Pub")[5], "message id in the sender's record of " + i);
            Context.equal(Sample.key("trace", i), records.get("Pub")[7], "key in the sender's record of " + i);
            Context.equal(answer.getOffsetMsgId(), records.get("Pub")[12], "place in the sender's record of " + i);
            Context.equal("true", records.get("Pub")[13], "success in the sender's record of " + i);
            Context.equal(group, records.get("SubBefore")[3], "group in the consumer's record of " + i);
            Context.equal(answer.getMsgId(), records.get("SubBefore")[5], "message id in the consumer's record of " + i);
            Context.equal("true", records.get("SubAfter")[4], "success in the consumer's record of " + i);
            awaitFound(context, TRACES, Sample.key("trace", i), 1, 0, Long.MAX_VALUE);
        }
    }

    /** The trace records that are about this message, by their kind. */
    private static void collect(Context context, String id, Map<String, String[]> records) throws Exception {
        for (MessageExt message : find(context, TRACES, id, 32, 0, Long.MAX_VALUE)) {
            for (String record : new String(message.getBody(), StandardCharsets.UTF_8).split(String.valueOf(RECORD))) {
                if (record.contains(id)) {
                    String[] fields = record.split(String.valueOf(FIELD));
                    records.put(fields[0], fields);
                }
            }
        }
    }

    private static List<MessageExt> find(Context context, String topic, String key, int most, long from, long to)
            throws Exception {
        try {
            return context.puller().queryMessage(topic, key, most, from, to).getMessageList();
        } catch (MQClientException nothing) {
            return new ArrayList<>();
        }
    }

    /** All that is found, once it is this many at least: a message is found a little later than it is read. */
    private static List<MessageExt> awaitFound(Context context, String topic, String key, int count, long from, long to)
            throws Exception {
        List<MessageExt> found = new ArrayList<>();
        Context.await(count + " messages by the key " + key, () -> {
            found.clear();
            found.addAll(find(context, topic, key, 32, from, to));
            return found.size() >= count;
        });
        return found;
    }

    /** The numbers of what was found, each of which must be whole. */
    private static Set<Integer> numbers(List<MessageExt> found, List<Message> sent) {
        Set<Integer> numbers = new TreeSet<>();
        for (MessageExt got : found) {
            int number = Integer.parseInt(got.getProperty("number"));
            Sample.verify(got, sent.get(number));
            Context.check(numbers.add(number), got.getKeys() + " was found twice");
        }
        return numbers;
    }

    private Lookup() {}
}
