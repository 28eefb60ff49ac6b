import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Messages chosen by their properties, in the words of SQL. */
final class Filtering {
    private static final int COUNT = 60;
    private static final String[] COLORS = {"red", "green", "blue", "it's"};

    /** Number {@code i}: a = i, price = i / 4, a color, a region that every third lacks, truth and its TAGS. */
    private static Message sample(String topic, int i) {
        Message message = Sample.message(topic, "sql", i);
        message.putUserProperty("a", Integer.toString(i));
        message.putUserProperty("price", Double.toString(i / 4.0));
        message.putUserProperty("color", COLORS[i % 4]);
        message.putUserProperty("even", Boolean.toString(i % 2 == 0));
        if (i % 3 != 0) {
            message.putUserProperty("region", i % 2 == 0 ? "north" : "south");
        }
        return message;
    }

    private static boolean hasRegion(int i) {
        return i % 3 != 0;
    }

    private static final Map<String, IntPredicate> EXPRESSIONS = new LinkedHashMap<>();

    static {
        EXPRESSIONS.put("a > 41", i -> i > 41);
        EXPRESSIONS.put("a >= 41 AND a < 50", i -> i >= 41 && i < 50);
        EXPRESSIONS.put("a <= 3 or a > 57", i -> i <= 3 || i > 57);
        EXPRESSIONS.put("a = 7", i -> i == 7);
        EXPRESSIONS.put("a <> 7", i -> i != 7);
        EXPRESSIONS.put("price > 12.25", i -> i / 4.0 > 12.25);
        EXPRESSIONS.put("price < 1.5E0", i -> i / 4.0 < 1.5);
        EXPRESSIONS.put("a > 2147483648", i -> false);
        EXPRESSIONS.put("a BETWEEN 10 AND 20", i -> i >= 10 && i <= 20);
        EXPRESSIONS.put("a NOT BETWEEN 10 AND 20", i -> i < 10 || i > 20);
        EXPRESSIONS.put("color = 'green'", i -> i % 4 == 1);
        EXPRESSIONS.put("color = 'it''s'", i -> i % 4 == 3);
        EXPRESSIONS.put("color IN ('red', 'blue')", i -> i % 2 == 0);
        EXPRESSIONS.put("color not in ('red', 'blue')", i -> i % 2 == 1);
        EXPRESSIONS.put("region IS NULL", i -> !hasRegion(i));
        EXPRESSIONS.put("region IS NOT NULL", Filtering::hasRegion);
        EXPRESSIONS.put("region = 'north'", i -> hasRegion(i) && i % 2 == 0);
        // What is absent is neither equal nor unequal.
        EXPRESSIONS.put("region <> 'north'", i -> hasRegion(i) && i % 2 == 1);
        EXPRESSIONS.put("NOT (region = 'north')", i -> hasRegion(i) && i % 2 == 1);
        EXPRESSIONS.put("region = 'north' OR a < 10", i -> hasRegion(i) && i % 2 == 0 || i < 10);
        EXPRESSIONS.put("even = TRUE AND (a > 50 OR color = 'red')", i -> i % 2 == 0 && (i > 50 || i % 4 == 0));
        EXPRESSIONS.put("TAGS = 'TagB'", i -> i % 3 == 1);
        EXPRESSIONS.put("TAGS IS NOT NULL AND TAGS IN ('TagA', 'TagC') AND a BETWEEN 0 AND 9", i -> i % 3 != 1 && i < 10);
        EXPRESSIONS.put("missing = 1", i -> false);
        EXPRESSIONS.put("color > 3", i -> false);
        EXPRESSIONS.put("a > 50 /* of sixty */ AND TRUE", i -> i > 50);
        EXPRESSIONS.put("a = -1 OR a = 59", i -> i == 59);
        EXPRESSIONS.put("KEYS = 'sql-12'", i -> i == 12);
    }

    /** Each expression lets exactly its messages through, and the reader past all others. */
    static void expressions(Context context) throws Exception {
        String topic = context.topic("t", 2);
        List<MessageQueue> queues = context.queues(topic);
        for (int i = 0; i < COUNT; i++) {
            context.producer().send(sample(topic, i), queues.get(i % 2));
        }
        context.awaitStored(topic, COUNT);
        DefaultMQPullConsumer puller = context.puller();
        awaitBrokerVersion(context, topic);
        for (Map.Entry<String, IntPredicate> one : EXPRESSIONS.entrySet()) {
            Set<Integer> found = new TreeSet<>();
            for (MessageQueue queue : queues) {
                long next = 0;
                while (next < COUNT / 2) {
                    PullResult result = puller.pull(queue, MessageSelector.bySql(one.getKey()), next, 32);
                    Context.check(result.getNextBeginOffset() > next, "a pull by " + one.getKey() + " stays at " + result);
                    next = result.getNextBeginOffset();
                    if (result.getMsgFoundList() != null) {
                        for (MessageExt got : result.getMsgFoundList()) {
                            Sample.verify(got, sample(topic, Sample.number(got)));
                            Context.check(found.add(Sample.number(got)), got.getKeys() + " came twice");
                        }
                    }
                }
            }
            Context.equal(numbers(one.getValue(), 0, COUNT), found, "numbers by " + one.getKey());
        }
    }

    /** Until one of its heartbeats was answered, a client takes the broker for one too old for this. */
    private static void awaitBrokerVersion(Context context, String topic) throws Exception {
        Context.await("a pull by an expression", () -> {
            Context.factory(context.puller()).sendHeartbeatToAllBrokerWithLock();
            try {
                context.puller().pull(context.queues(topic).get(0), MessageSelector.bySql("a = 0"), 0, 1);
                return true;
            } catch (MQClientException notYet) {
                return false;
            }
        });
    }

    private static Set<Integer> numbers(IntPredicate matches, int from, int end) {
        Set<Integer> numbers = new TreeSet<>();
        for (int i = from; i < end; i++) {
            if (matches.test(i)) {
                numbers.add(i);
            }
        }
        return numbers;
    }

    /** A push consumer by an expression: what was there, what comes while it waits, what it gets again; nothing else. */
    static void push(Context context) throws Exception {
        String topic = context.topic("t", 2);
        for (int i = 0; i < COUNT; i++) {
            context.producer().send(sample(topic, i));
        }
        IntPredicate matches = i -> i % 4 == 2 && i > 10 && hasRegion(i);
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, MessageSelector.bySql("color = 'blue' AND a > 10 AND region IS NOT NULL"));
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Set<Integer> first = numbers(matches, 0, COUNT);
        Context.await("those that were there", () -> recorder.numbers().size() >= first.size());
        Consuming.awaitCommittedBy(context, topic, consumer);
        Context.equal(first, recorder.numbers(), "numbers delivered");
        for (int i = COUNT; i < 2 * COUNT; i++) {
            context.producer().send(sample(topic, i));
        }
        Set<Integer> all = numbers(matches, 0, 2 * COUNT);
        Context.await("those that came later", () -> recorder.numbers().size() >= all.size());
        Consuming.awaitCommittedBy(context, topic, consumer);
        Context.equal(all, recorder.numbers(), "numbers delivered");
        Context.equal(all.size(), recorder.count(), "deliveries");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            Sample.verify(delivery.message, sample(topic, Sample.number(delivery.message)));
        }
    }

    /** What cannot be understood is refused when the consumer starts, with the reason. */
    static void refused(Context context) throws Exception {
        String topic = context.topic("t", 1);
        context.producer().send(sample(topic, 0));
        context.awaitStored(topic, 1);
        List<String> bad = new ArrayList<>();
        bad.add("a >");
        bad.add("a > 'text'");
        bad.add("a IN ()");
        bad.add("(a = 1");
        bad.add("a BETWEEN 5 AND 3");
        bad.add("a = 99999999999999999999");
        bad.add("a = NULL");
        for (String expression : bad) {
            DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
            consumer.subscribe(topic, MessageSelector.bySql(expression));
            consumer.registerMessageListener(new Recorder().concurrently());
            try {
                consumer.start();
                throw new AssertionError("a consumer by " + expression + " has started");
            } catch (MQClientException expected) {
                Context.equal(23, expected.getResponseCode(), "code for " + expression);
                Context.check(expected.getErrorMessage().length() > 10, "no reason: " + expected.getErrorMessage());
            }
        }
    }

    private Filtering() {}
}
