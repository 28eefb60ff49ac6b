import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Transactional messages: what is decided at once, what the server has to ask for, and whom it asks.
 *
 * <p>The server first asks about a message that is 2 s old, then every second, four times in all.
 */
final class Transactions {
    private static final int CHECKS = 4;
    private static final long FIRST_CHECK_MS = 2_000;
    private static final String HALVES = "RMQ_SYS_TRANS_HALF_TOPIC";
    private static final String UNDECIDED = "TRANS_CHECK_MAX_TIME_TOPIC";
    /** The two transaction bits of a message's flags, and their value in a committed one. */
    private static final int BITS = 12;
    private static final int COMMITTED = 8;

    /** Decides by a message's number, and notes what it was asked. */
    static class Decider implements TransactionListener {
        private final Map<String, List<MessageExt>> checks = new ConcurrentHashMap<>();

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return (LocalTransactionState) argument;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            List<MessageExt> asked = checks.computeIfAbsent(message.getKeys(), key -> new CopyOnWriteArrayList<>());
            asked.add(message);
            return decide(message, asked.size());
        }

        LocalTransactionState decide(MessageExt message, int time) {
            return LocalTransactionState.UNKNOW;
        }

        /** The keys that there was a question about. */
        Set<String> asked() {
            Set<String> keys = new TreeSet<>();
            checks.forEach((key, asked) -> {
                if (!asked.isEmpty()) {
                    keys.add(key);
                }
            });
            return keys;
        }

        List<MessageExt> checksOf(String key) {
            return new ArrayList<>(checks.getOrDefault(key, new ArrayList<>()));
        }
    }

    /** Nobody sees a message before its commit; then it is where it was meant to go, whole, and can fail and return. */
    static void commit(Context context) throws Exception {
        String topic = context.topic("t", 4);
        List<Long> seenBefore = new ArrayList<>();
        Decider decider = new Decider() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                try {
                    long stored = 0;
                    for (MessageQueue queue : context.queues(topic)) {
                        stored += context.puller().maxOffset(queue);
                    }
                    seenBefore.add(stored);
                } catch (Exception e) {
                    return LocalTransactionState.ROLLBACK_MESSAGE;
                }
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        };
        TransactionMQProducer producer = producer(context, context.name("p"), decider);
        Map<Integer, SendResult> answers = new HashMap<>();
        Map<String, Long> took = new HashMap<>();
        for (int i = 0; i < 17; i++) {
            long begun = System.currentTimeMillis();
            answers.put(i, send(producer, Sample.message(topic, "commit", i), LocalTransactionState.COMMIT_MESSAGE));
            context.awaitStored(topic, i + 1);
            took.put(Sample.key("commit", i), System.currentTimeMillis() - begun);
            Context.equal(i, seenBefore.get(i), "messages in the topic before the commit of " + i);
        }
        for (MessageExt got : context.readTopic(topic)) {
            Sample.verify(got, topic, "commit", Sample.number(got));
            verifyCommitted(context, got, answers.get(Sample.number(got)));
        }

        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g"));
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, consuming) -> {
            recorder.record(messages);
            MessageExt message = messages.get(0);
            return Sample.number(message) == 3 && message.getReconsumeTimes() == 0
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Context.awaitRetryQueue(consumer);
        Context.await("17 messages and a retry", () -> recorder.count() >= 18);
        Context.equal(17, recorder.numbers().size(), "messages delivered");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, "commit", number);
            Context.equal(answers.get(number).getMsgId(), delivery.message.getMsgId(), "message id of " + number);
        }
        List<Recorder.Delivery> retried = recorder.of(Sample.key("commit", 3));
        Context.equal(2, retried.size(), "deliveries of the one that failed");
        Context.equal(1, retried.get(1).message.getReconsumeTimes(), "its reconsume times");
        verifyUnasked(decider, took);
    }

    /** That none was asked about whose end came before it was old enough for that. */
    private static void verifyUnasked(Decider decider, Map<String, Long> took) {
        for (String key : decider.asked()) {
            Context.check(took.get(key) > FIRST_CHECK_MS - 500,
                    "asked about " + key + ", which was decided after " + took.get(key) + " ms");
        }
    }

    /** What was rolled back is neither delivered nor asked about. */
    static void rollback(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Decider decider = new Decider();
        TransactionMQProducer producer = producer(context, context.name("p"), decider);
        Map<String, Long> begun = new HashMap<>();
        for (int i = 0; i < 20; i++) {
            begun.put(Sample.key("rollback", i), System.currentTimeMillis());
            send(producer, Sample.message(topic, "rollback", i), i % 2 == 0
                    ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.COMMIT_MESSAGE);
        }
        context.awaitStored(topic, 10);
        long stored = System.currentTimeMillis();
        Map<String, Long> took = new HashMap<>();
        begun.forEach((key, at) -> took.put(key, stored - at));
        awaitRounds(context, topic);
        verifyUnasked(decider, took);
        verifyNumbers(context, topic, "rollback", 1, 3, 5, 7, 9, 11, 13, 15, 17, 19);
    }

    /** Undecided, asked twice, committed then: delivered once, and not asked about any more. */
    static void checkCommits(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Decider decider = new Decider() {
            @Override
            LocalTransactionState decide(MessageExt message, int time) {
                return time == 2 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.UNKNOW;
            }
        };
        TransactionMQProducer producer = producer(context, context.name("p"), decider);
        Map<Integer, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 17; i += 4) {
            answers.put(i, send(producer, Sample.message(topic, "check", i), LocalTransactionState.UNKNOW));
        }
        // A body that its sender compressed comes back to it in the question, too.
        answers.put(15, send(producer, Sample.message(topic, "check", 15), LocalTransactionState.UNKNOW));
        context.awaitStored(topic, answers.size());
        awaitRounds(context, topic);
        verifyNumbers(context, topic, "check", 0, 4, 8, 12, 15, 16);
        for (MessageExt got : context.readTopic(topic)) {
            SendResult answer = answers.get(Sample.number(got));
            Context.equal(answer.getMsgId(), got.getMsgId(), "message id of " + got.getKeys());
            Context.equal(answer.getMessageQueue().getQueueId(), got.getQueueId(), "queue of " + got.getKeys());
            Context.equal(COMMITTED, got.getSysFlag() & BITS, "transaction bits of " + got.getKeys());
        }
        for (Map.Entry<Integer, SendResult> one : answers.entrySet()) {
            List<MessageExt> asked = decider.checksOf(Sample.key("check", one.getKey()));
            verifyQuestions(2, asked, "questions about " + one.getKey());
            for (MessageExt question : asked) {
                verifyQuestion(question, topic, "check", one.getKey(), one.getValue());
            }
        }
    }

    /** Undecided, then rolled back when asked: never delivered, and not asked about any more. */
    static void checkRollsBack(Context context) throws Exception {
        String topic = context.topic("t", 4);
        Decider decider = new Decider() {
            @Override
            LocalTransactionState decide(MessageExt message, int time) {
                return LocalTransactionState.ROLLBACK_MESSAGE;
            }
        };
        TransactionMQProducer producer = producer(context, context.name("p"), decider);
        Map<Integer, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 6; i++) {
            answers.put(i, send(producer, Sample.message(topic, "back", i), LocalTransactionState.UNKNOW));
        }
        Context.await("a question about each", () -> decider.asked().size() == 6);
        send(producer, Sample.message(topic, "back", 6), LocalTransactionState.COMMIT_MESSAGE);
        awaitRounds(context, topic);
        verifyNumbers(context, topic, "back", 6);
        for (int i = 0; i < 6; i++) {
            List<MessageExt> asked = decider.checksOf(Sample.key("back", i));
            verifyQuestions(1, asked, "questions about " + i);
            verifyQuestion(asked.get(0), topic, "back", i, answers.get(i));
        }
    }

    /** The sender went away without a decision: another producer of its group is asked, and decides. */
    static void checkOther(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("p");
        Decider first = new Decider();
        Decider second = new Decider() {
            @Override
            LocalTransactionState decide(MessageExt message, int time) {
                return Sample.number(message) % 2 == 0
                        ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        };
        TransactionMQProducer sender = producer(context, group, first);
        producer(context, group, second);
        Map<Integer, SendResult> answers = new HashMap<>();
        long begun = System.currentTimeMillis();
        for (int i = 0; i < 6; i++) {
            answers.put(i, send(sender, Sample.message(topic, "other", i), LocalTransactionState.UNKNOW));
        }
        // Younger than any that is asked about, so that none of them has been: its leave comes first.
        sender.shutdown();
        long took = System.currentTimeMillis() - begun;
        context.awaitStored(topic, 3);
        Context.await("a question about each", () -> second.asked().size() == 6);
        awaitRounds(context, topic);
        verifyNumbers(context, topic, "other", 0, 2, 4);
        Context.check(first.checks.isEmpty() || took > FIRST_CHECK_MS - 500,
                "the one that had left after " + took + " ms was asked about " + first.asked());
        for (int i = 0; i < 6; i++) {
            verifyQuestion(second.checksOf(Sample.key("other", i)).get(0), topic, "other", i, answers.get(i));
        }
    }

    /** Never decided: asked about as often as the server is set to, and kept in a topic of its own then. */
    static void checkLimit(Context context) throws Exception {
        String topic = context.topic("t", 2);
        String label = context.name("never");
        Decider decider = new Decider();
        TransactionMQProducer producer = producer(context, context.name("p"), decider);
        Map<Integer, SendResult> answers = new HashMap<>();
        for (int i = 0; i < 3; i++) {
            answers.put(i, send(producer, Sample.message(topic, label, i), LocalTransactionState.UNKNOW));
        }
        AtomicReference<Map<Integer, MessageExt>> kept = new AtomicReference<>();
        Context.await("the undecided messages in " + UNDECIDED, () -> {
            kept.set(undecided(context, label));
            return kept.get().size() == 3;
        });
        awaitRounds(context, topic);
        for (int i = 0; i < 3; i++) {
            String key = Sample.key(label, i);
            Context.await("questions about " + i, () -> decider.checksOf(key).size() >= CHECKS);
            Context.equal(CHECKS, decider.checksOf(key).size(), "questions about " + i);
            MessageExt got = kept.get().get(i);
            verifyRepeated(got, Sample.message(UNDECIDED, label, i));
            Context.equal(answers.get(i).getMsgId(), got.getMsgId(), "message id of undecided " + i);
            Context.equal(topic, got.getProperty("REAL_TOPIC"), "property REAL_TOPIC of undecided " + i);
            Context.equal(Integer.toString(answers.get(i).getMessageQueue().getQueueId()), got.getProperty("REAL_QID"),
                    "property REAL_QID of undecided " + i);
        }
        context.awaitStored(topic, 0);
    }

    private static Map<Integer, MessageExt> undecided(Context context, String label) throws Exception {
        Map<Integer, MessageExt> found = new HashMap<>();
        if (context.isKnown(UNDECIDED)) {
            for (MessageExt message : context.readTopic(UNDECIDED)) {
                if (Sample.isOf(message, label)) {
                    Context.check(found.put(Sample.number(message), message) == null,
                            message.getKeys() + " is kept twice");
                }
            }
        }
        return found;
    }

    /**
     * Waits until the server has asked twice about a message that was sent just now: it has then had two occasions to
     * do so about all that came before.
     */
    private static void awaitRounds(Context context, String topic) throws Exception {
        Decider decider = new Decider() {
            @Override
            LocalTransactionState decide(MessageExt message, int time) {
                return time < 2 ? LocalTransactionState.UNKNOW : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        };
        TransactionMQProducer producer = producer(context, context.name("marker"), decider);
        send(producer, Sample.message(topic, "marker", 0), LocalTransactionState.UNKNOW);
        Context.await("two questions about a later message", () -> decider.checksOf(Sample.key("marker", 0)).size() >= 2);
        producer.shutdown();
    }

    static TransactionMQProducer producer(Context context, String group, TransactionListener listener)
            throws Exception {
        TransactionMQProducer created = new TransactionMQProducer(group);
        context.join(created);
        created.setSendMsgTimeout((int) Context.REQUEST_MS);
        created.setTransactionListener(listener);
        context.onClose(created::shutdown);
        created.start();
        // It is asked only once the broker knows it; left alone, it says so a second after its start.
        Context.factory(created).updateTopicRouteInfoFromNameServer("TBW102");
        Context.factory(created).sendHeartbeatToAllBrokerWithLock();
        return created;
    }

    static SendResult send(TransactionMQProducer producer, Message message, LocalTransactionState state)
            throws Exception {
        SendResult answer = producer.sendMessageInTransaction(message, state);
        Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of " + message.getKeys());
        Context.equal(answer.getMsgId(), answer.getTransactionId(), "transaction id of " + message.getKeys());
        return answer;
    }

    /** That a committed message is where its sender wanted it, and names the half message that it was. */
    private static void verifyCommitted(Context context, MessageExt got, SendResult answer) throws Exception {
        String which = "committed message " + got.getKeys() + ", ";
        Context.equal(answer.getMsgId(), got.getMsgId(), which + "message id");
        Context.equal(answer.getMessageQueue().getQueueId(), got.getQueueId(), which + "queue");
        Context.equal(COMMITTED, got.getSysFlag() & BITS, which + "transaction bits");
        Context.equal(0, got.getReconsumeTimes(), which + "reconsume times");
        MessageQueue halves = new MessageQueue(HALVES, answer.getMessageQueue().getBrokerName(), 0);
        MessageExt half = context.puller().pull(halves, "*", answer.getQueueOffset(), 1).getMsgFoundList().get(0);
        Context.equal(answer.getMsgId(), half.getMsgId(), which + "message id of its half");
        Context.equal(got.getTopic(), half.getProperty("REAL_TOPIC"), which + "real topic of its half");
        Context.equal(half.getCommitLogOffset(), got.getPreparedTransactionOffset(), which + "physical offset of its half");
    }

    /**
     * That the server asked until it had its answer: this often, or once more when the answer took longer than the second
     * until the next question. Had it not heard, it would have asked twice more by now.
     */
    private static void verifyQuestions(int times, List<MessageExt> asked, String what) {
        Context.check(asked.size() == times || asked.size() == times + 1,
                what + ": expected " + times + ", got " + asked.size());
    }

    /** That a question shows the producer its own message, under its own topic and queue. */
    private static void verifyQuestion(MessageExt question, String topic, String label, int i, SendResult answer) {
        verifyRepeated(question, Sample.message(topic, label, i));
        Context.equal(answer.getMessageQueue().getQueueId(), question.getQueueId(), "queue in a question about " + i);
        Context.equal(answer.getMsgId(), question.getProperty("UNIQ_KEY"), "message id in a question about " + i);
        Context.equal(answer.getTransactionId(), question.getTransactionId(), "transaction id in a question about " + i);
    }

    /** Each question stores the message anew, and the official broker leaves the user's flag behind when it does. */
    static void verifyRepeated(MessageExt got, Message sent) {
        if (got.getFlag() == 0) {
            sent.setFlag(0);
        }
        Sample.verify(got, sent);
    }

    private static void verifyNumbers(Context context, String topic, String label, Integer... numbers) throws Exception {
        Set<Integer> expected = new TreeSet<>(Arrays.asList(numbers));
        Set<Integer> found = new TreeSet<>();
        for (MessageExt got : context.readTopic(topic)) {
            verifyRepeated(got, Sample.message(topic, label, Sample.number(got)));
            Context.check(found.add(Sample.number(got)), "message " + got.getKeys() + " is there twice");
        }
        Context.equal(expected, found, "numbers in " + topic);
    }

    private Transactions() {}
}
