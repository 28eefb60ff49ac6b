import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.AckCallback;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.PopCallback;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/**
 * What one server has begun when another goes on with its store: messages that wait for their time, transactions that
 * nobody has decided, and messages that were popped. The argument is a label, which names the topics and groups.
 */
final class Unfinished {
    /** Longer than the writer needs to stop and the reader to start, on a machine that is busy. */
    private static final long LATER_MS = 25_000;
    private static final int TIMED = 8;
    private static final int TRANSACTIONS = 12;
    private static final int POPPED = 20;
    private static final int ALL = 26;

    static void write(Context context) throws Exception {
        String label = context.argument;
        context.createTopic(timed(label), 2);
        context.createTopic(deciding(label), 2);
        context.createTopic(popping(label), 2);
        pop(context, label);
        begin(context, label);
        time(context, label);
    }

    /** Ends all of it. */
    static void read(Context context) throws Exception {
        read(context, true);
    }

    /** The same behind a server that was killed: what it had not saved may come again. */
    static void reread(Context context) throws Exception {
        read(context, false);
    }

    private static void read(Context context, boolean once) throws Exception {
        String label = context.argument;
        Transactions.Decider decider = new Transactions.Decider() {
            @Override
            LocalTransactionState decide(MessageExt message, int time) {
                return Sample.number(message) % 2 == 0
                        ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        };
        TransactionMQProducer producer = Transactions.producer(context, deciding(label), decider);
        verifyPops(context, label, once);
        verifyDecided(context, label, decider);
        producer.shutdown();
        verifyTimed(context, label, once);
    }

    private static String timed(String label) {
        return "UnfinishedTimed_" + label;
    }

    private static String deciding(String label) {
        return "UnfinishedDeciding_" + label;
    }

    private static String popping(String label) {
        return "UnfinishedPopping_" + label;
    }

    /** All for the same moment but the last, which comes a second later; every fourth is recalled. */
    private static void time(Context context, String label) throws Exception {
        DefaultMQProducer producer = context.producer();
        long due = System.currentTimeMillis() + LATER_MS;
        for (int i = 0; i < TIMED; i++) {
            Message message = Sample.message(timed(label), label, i);
            message.setDeliverTimeMs(i < TIMED - 1 ? due : due + 1000);
            String handle = producer.send(message, context.queues(timed(label)).get(i % 2)).getRecallHandle();
            if (i % 4 == 1) {
                producer.recallMessage(timed(label), handle);
            }
        }
        for (MessageQueue queue : context.queues(timed(label))) {
            long there = context.puller().maxOffset(queue);
            Context.check(there == 0 || System.currentTimeMillis() >= due - Timed.PRECISION_MS,
                    there + " messages in " + queue + " before their time");
        }
    }

    private static void verifyTimed(Context context, String label, boolean once) throws Exception {
        Set<Integer> expected = new TreeSet<>();
        for (int i = 0; i < TIMED; i++) {
            if (i % 4 != 1) {
                expected.add(i);
            }
        }
        List<MessageExt> stored = awaitNumbers(context, timed(label), expected);
        for (MessageExt message : stored) {
            int number = Sample.number(message);
            Sample.verify(message, timed(label), label, number);
            Context.equal(number % 2, message.getQueueId(), "queue of " + number);
            Context.check(expected.contains(number), "message " + number + " was recalled");
            long due = Long.parseLong(message.getProperty("TIMER_OUT_MS"));
            Context.check(message.getStoreTimestamp() >= due - 1000, number + " came before its time");
        }
        if (once) {
            Context.equal(expected.size(), stored.size(), "timed messages");
        }
        System.out.println((stored.size() - expected.size()) + " timed messages came twice");
    }

    /** All that the topic has, once these are among it. */
    private static List<MessageExt> awaitNumbers(Context context, String topic, Set<Integer> expected) throws Exception {
        List<MessageExt> stored = new ArrayList<>();
        Context.await(expected + " in " + topic, () -> {
            stored.clear();
            stored.addAll(context.readTopic(topic));
            Set<Integer> found = new TreeSet<>();
            stored.forEach(message -> found.add(Sample.number(message)));
            return found.containsAll(expected);
        });
        return stored;
    }

    /** A quarter each is committed, rolled back, and left to be asked about by whoever goes on: commit, roll back. */
    private static void begin(Context context, String label) throws Exception {
        TransactionMQProducer producer = Transactions.producer(context, deciding(label), new Transactions.Decider());
        LocalTransactionState[] states = {
            LocalTransactionState.COMMIT_MESSAGE, LocalTransactionState.ROLLBACK_MESSAGE,
            LocalTransactionState.UNKNOW, LocalTransactionState.UNKNOW,
        };
        for (int i = 0; i < TRANSACTIONS; i++) {
            Transactions.send(producer, Sample.message(deciding(label), label, i), states[i % 4]);
        }
        context.awaitStored(deciding(label), TRANSACTIONS / 4);
        producer.shutdown();
    }

    private static void verifyDecided(Context context, String label, Transactions.Decider decider) throws Exception {
        Context.await("questions about all that was left", () -> {
            for (int i = 0; i < TRANSACTIONS; i++) {
                if (i % 4 >= 2 && decider.checksOf(Sample.key(label, i)).isEmpty()) {
                    return false;
                }
            }
            return true;
        });
        Set<Integer> expected = new TreeSet<>(Arrays.asList(0, 2, 4, 6, 8, 10));
        List<MessageExt> stored = awaitNumbers(context, deciding(label), expected);
        for (MessageExt message : stored) {
            int number = Sample.number(message);
            Transactions.verifyRepeated(message, Sample.message(deciding(label), label, number));
            Context.check(expected.contains(number), "message " + number + " was rolled back");
        }
        // The official broker asks again until it has noted an answer, and stores the message anew for each.
        System.out.println("asked about " + new TreeSet<>(decider.asked()) + ", " + (stored.size() - expected.size())
                + " committed again");
    }

    /** A third each is acknowledged, left alone, and left alone after its time was changed; some are not popped yet. */
    private static void pop(Context context, String label) throws Exception {
        for (int i = 0; i < POPPED; i++) {
            context.producer().send(Sample.message(popping(label), label, i));
        }
        Map<Integer, MessageExt> popped = new TreeMap<>();
        Context.await("all to be popped", () -> {
            for (MessageExt message : pop(context, label, LATER_MS, 1000)) {
                popped.put(Sample.number(message), message);
            }
            return popped.size() == POPPED;
        });
        for (int i = 0; i < POPPED; i++) {
            if (i % 3 == 0) {
                acknowledge(context, label, popped.get(i));
            } else if (i % 3 == 2) {
                hide(context, label, popped.get(i));
            }
        }
        for (int i = POPPED; i < ALL; i++) {
            context.producer().send(Sample.message(popping(label), label, i));
        }
    }

    private static void verifyPops(Context context, String label, boolean once) throws Exception {
        Set<Integer> expected = new TreeSet<>();
        for (int i = 0; i < ALL; i++) {
            if (i >= POPPED || i % 3 != 0) {
                expected.add(i);
            }
        }
        Map<Integer, List<MessageExt>> popped = new TreeMap<>();
        long deadline = System.currentTimeMillis() + Context.PATIENCE_MS;
        while (!popped.keySet().containsAll(expected) && System.currentTimeMillis() < deadline) {
            take(context, label, popped);
        }
        // What is left would be there by now: its time is over.
        while (take(context, label, popped)) {
            continue;
        }
        Context.check(popped.keySet().containsAll(expected), "expected to pop " + expected + ", got " + popped.keySet());
        int again = 0;
        for (Map.Entry<Integer, List<MessageExt>> one : popped.entrySet()) {
            int number = one.getKey();
            for (MessageExt message : one.getValue()) {
                Sample.verify(message, popping(label), label, number);
            }
            again += one.getValue().size() - (expected.contains(number) ? 1 : 0);
            if (once) {
                Context.check(expected.contains(number), "message " + number + " was acknowledged, and came again");
                Context.equal(1, one.getValue().size(), "pops of " + number);
                Context.equal(number < POPPED ? 1 : 0, one.getValue().get(0).getReconsumeTimes(),
                        "reconsume times of " + number);
            }
        }
        System.out.println(again + " messages were handed out more often than they had to be");
    }

    private static boolean take(Context context, String label, Map<Integer, List<MessageExt>> popped) throws Exception {
        // However late it is acknowledged, it does not come again because of that.
        List<MessageExt> messages = pop(context, label, 2 * Context.REQUEST_MS, 3000);
        for (MessageExt message : messages) {
            popped.computeIfAbsent(Sample.number(message), number -> new ArrayList<>()).add(message);
            acknowledge(context, label, message);
        }
        return !messages.isEmpty();
    }

    private static List<MessageExt> pop(Context context, String label, long hold, long wait) throws Exception {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(popping(label));
        header.setTopic(popping(label));
        header.setQueueId(-1);
        header.setMaxMsgNums(8);
        header.setInvisibleTime(hold);
        header.setPollTime(wait);
        header.setBornTime(System.currentTimeMillis());
        header.setInitMode(0);
        header.setExpType("TAG");
        header.setExp("*");
        header.setOrder(false);
        CompletableFuture<PopResult> answer = new CompletableFuture<>();
        context.api().popMessageAsync(brokerName(context, label), Context.broker(), header, Context.REQUEST_MS + wait,
                new PopCallback() {
                    @Override
                    public void onSuccess(PopResult result) {
                        answer.complete(result);
                    }

                    @Override
                    public void onException(Throwable e) {
                        answer.completeExceptionally(e);
                    }
                });
        List<MessageExt> found = answer.get(2 * Context.REQUEST_MS, TimeUnit.MILLISECONDS).getMsgFoundList();
        return found == null ? new ArrayList<>() : found;
    }

    private static void acknowledge(Context context, String label, MessageExt message) throws Exception {
        String[] receipt = ExtraInfoUtil.split(message.getProperty("POP_CK"));
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setConsumerGroup(popping(label));
        header.setTopic(ExtraInfoUtil.getRealTopic(receipt, popping(label), popping(label)));
        header.setQueueId(ExtraInfoUtil.getQueueId(receipt));
        header.setOffset(ExtraInfoUtil.getQueueOffset(receipt));
        header.setExtraInfo(message.getProperty("POP_CK"));
        Answer answer = new Answer();
        context.api().ackMessageAsync(Context.broker(), Context.REQUEST_MS, answer, header);
        answer.verify("acknowledgement of " + message.getKeys());
    }

    /** Has the time until it comes again begin anew. */
    private static void hide(Context context, String label, MessageExt message) throws Exception {
        String[] receipt = ExtraInfoUtil.split(message.getProperty("POP_CK"));
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setConsumerGroup(popping(label));
        header.setTopic(ExtraInfoUtil.getRealTopic(receipt, popping(label), popping(label)));
        header.setQueueId(ExtraInfoUtil.getQueueId(receipt));
        header.setOffset(ExtraInfoUtil.getQueueOffset(receipt));
        header.setExtraInfo(message.getProperty("POP_CK"));
        header.setInvisibleTime(LATER_MS);
        Answer answer = new Answer();
        context.api().changeInvisibleTimeAsync(brokerName(context, label), Context.broker(), header, Context.REQUEST_MS, answer);
        answer.verify("change of " + message.getKeys());
    }

    private static String brokerName(Context context, String label) throws Exception {
        return context.queues(popping(label)).get(0).getBrokerName();
    }

    private static final class Answer implements AckCallback {
        private final CompletableFuture<AckResult> result = new CompletableFuture<>();

        @Override
        public void onSuccess(AckResult answered) {
            result.complete(answered);
        }

        @Override
        public void onException(Throwable e) {
            result.completeExceptionally(e);
        }

        void verify(String what) throws Exception {
            Context.equal(AckStatus.OK, result.get(2 * Context.REQUEST_MS, TimeUnit.MILLISECONDS).getStatus(), what);
        }
    }

    private Unfinished() {}
}
