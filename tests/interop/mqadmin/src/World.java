import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.topic.TopicValidator;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.stats.StatsAllSubCommand;

/**
 * What clients do between the subcommands, so that there is something to ask about: the same messages into the same
 * queues in every run, consumed by groups whose members have fixed names, each act waiting until its effect is there.
 */
final class World {
    /** How long an effect may take. Once one has not come, those that build on it will not either. */
    private static long patienceMs = 120_000;

    private final Names names;
    private final DefaultMQProducer producer = new DefaultMQProducer("shop");
    private final DefaultMQAdminExt admin = new DefaultMQAdminExt();
    private final Map<String, DefaultMQPushConsumer> online = new HashMap<>();
    private final Map<String, Set<String>> consumed = new ConcurrentHashMap<>();

    World(Names names) {
        this.names = names;
    }

    void act(String act, String... args) throws Exception {
        switch (act) {
            case "open":
                open();
                break;
            case "produce":
                produce(args[0], args[1], Integer.parseInt(args[2]));
                break;
            case "join":
                join(args[0], args[1], args[2]);
                break;
            case "consumed":
                consumed(args[0], Integer.parseInt(args[1]));
                break;
            case "leave":
                online.remove(args[0]).shutdown();
                await("the members of " + args[0] + " to be gone", () -> absent(args[0]));
                break;
            case "die":
                die(args[0], args[1], Integer.parseInt(args[2]));
                break;
            case "transact":
                transact(args[0]);
                break;
            case "postpone":
                postpone(args[0]);
                break;
            case "trace":
                trace(args[0]);
                break;
            case "clock":
                names.put(args[0], Long.toString(System.currentTimeMillis()));
                Thread.sleep(5);
                break;
            case "counted":
                counted(args[0], args[1], Long.parseLong(args[2]));
                break;
            case "write":
                java.nio.file.Files.writeString(java.nio.file.Path.of(args[0]), args[1]);
                break;
            case "show":
                System.out.print(java.nio.file.Files.readString(java.nio.file.Path.of(args[0])));
                break;
            default:
                throw new IllegalArgumentException(act);
        }
    }

    private void open() throws Exception {
        producer.setClientIP("127.0.0.1");
        producer.setInstanceName("shop-1");
        producer.start();
        admin.setInstanceName("world");
        admin.start();
    }

    /** Sends COUNT messages around the queues of a topic, known as KIND-0 and so on. */
    private void produce(String topic, String kind, int count) throws Exception {
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
        Collections.sort(queues);
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", kind + "-" + i, body(kind + " " + i));
            message.putUserProperty("number", Integer.toString(i));
            name(kind + "-" + i, producer.send(message, queues.get(i % queues.size())));
        }
    }

    private void name(String name, SendResult result) {
        names.put("id:" + name, result.getMsgId());
        names.put("offset-id:" + name, result.getOffsetMsgId());
    }

    private void join(String group, String topic, String expression) throws Exception {
        Set<String> seen = consumed.computeIfAbsent(group, any -> ConcurrentHashMap.newKeySet());
        DefaultMQPushConsumer consumer = consumer(group);
        consumer.subscribe(topic, expression);
        // A class, not a lambda: its name is part of what a consumer tells of itself.
        consumer.registerMessageListener(new MessageListenerConcurrently() {
            @Override
            public ConsumeConcurrentlyStatus consumeMessage(List<MessageExt> messages, ConsumeConcurrentlyContext context) {
                for (MessageExt message : messages) {
                    seen.add(message.getKeys());
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            }
        });
        consumer.start();
        online.put(group, consumer);
        await(group + " to be online", () -> !absent(group));
    }

    private DefaultMQPushConsumer consumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setClientIP("127.0.0.1");
        consumer.setInstanceName(group + "-1");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    private void consumed(String group, int count) throws Exception {
        await(group + " to have consumed " + count, () -> consumed.get(group).size() >= count);
        // The listener has returned from the last a moment before its offset counts.
        await("all queues of " + group + " to be done", () -> {
            online.get(group).getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return admin.examineConsumeStats(group).computeTotalDiff() == 0;
        });
        // After a reset it takes up its queues again one by one.
        await(group + " to read all queues again", () -> {
            for (String topic : online.get(group).getDefaultMQPushConsumerImpl().getSubscriptionInner().keySet()) {
                if (topic.startsWith("%RETRY%")) {
                    continue;
                }
                Map<MessageQueue, Long> read = online.get(group).getOffsetStore().cloneOffsetTable(topic);
                if (read.size() < online.get(group).fetchSubscribeMessageQueues(topic).size()) {
                    return false;
                }
            }
            return true;
        });
    }

    private boolean absent(String group) {
        try {
            return admin.examineConsumerConnectionInfo(group).getConnectionSet().isEmpty();
        } catch (Exception none) {
            return true;
        }
    }

    /** A group that takes no message of a topic, and may not try again. */
    private void die(String group, String topic, int count) throws Exception {
        DefaultMQPushConsumer consumer = consumer(group);
        consumer.setMaxReconsumeTimes(0);
        // One by one, so that they die in their order.
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.RECONSUME_LATER);
        consumer.start();
        MessageQueue dead = new MessageQueue("%DLQ%" + group, "broker-a", 0);
        await(count + " dead letters of " + group, () -> admin.maxOffset(dead) == count);
        await("the offsets of " + group, () -> {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return admin.examineConsumeStats(group, topic).computeTotalDiff() == 0;
        });
        consumer.shutdown();
        await("the members of " + group + " to be gone", () -> absent(group));
    }

    private void transact(String topic) throws Exception {
        TransactionMQProducer ledger = new TransactionMQProducer("ledger");
        ledger.setClientIP("127.0.0.1");
        ledger.setInstanceName("ledger-1");
        ledger.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return (LocalTransactionState) argument;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        ledger.start();
        try {
            for (LocalTransactionState state : new LocalTransactionState[] {LocalTransactionState.COMMIT_MESSAGE, LocalTransactionState.ROLLBACK_MESSAGE}) {
                Message message = new Message(topic, "even", state.name(), body(state.name()));
                names.put("id:" + state.name(), ledger.sendMessageInTransaction(message, state).getMsgId());
            }
            await("the committed message", () -> admin.maxOffset(new MessageQueue(topic, "broker-a", 0)) == 1);
            // Ends are sent one way: a producer that shuts down takes along what is not on its way.
            await("both half messages to be settled", () -> admin.examineConsumeStats("CID_RMQ_SYS_TRANS", TopicValidator.RMQ_SYS_TRANS_HALF_TOPIC)
                .getOffsetTable().get(new MessageQueue(TopicValidator.RMQ_SYS_TRANS_HALF_TOPIC, "broker-a", 0)).getConsumerOffset() == 2);
        } finally {
            ledger.shutdown();
        }
    }

    private void postpone(String topic) throws Exception {
        Message level = new Message(topic, "even", "level", body("in two hours"));
        level.setDelayTimeLevel(18);
        name("level", producer.send(level));
        Message timer = new Message(topic, "even", "timer", body("in three hours"));
        timer.setDelayTimeSec(3 * 3600);
        name("timer", producer.send(timer));
    }

    private void trace(String topic) throws Exception {
        DefaultMQProducer traced = new DefaultMQProducer("traced", null, true, null);
        traced.setClientIP("127.0.0.1");
        traced.setInstanceName("traced-1");
        traced.start();
        SendResult result = traced.send(new Message(topic, "even", "trace-0", body("traced")));
        name("trace-0", result);
        await("the trace", () -> !admin.queryMessage(TopicValidator.RMQ_SYS_TRACE_TOPIC, result.getMsgId(), 8, 0, Long.MAX_VALUE)
            .getMessageList().isEmpty());
        traced.shutdown();
    }

    /** Waits for a statistic, which the broker samples every ten seconds. */
    private void counted(String statistic, String key, long count) throws Exception {
        await(statistic + " of " + key + " to be " + count, () -> StatsAllSubCommand.compute24HourSum(
            admin.viewBrokerStatsData(names.get("broker"), statistic, key)) == count);
    }

    private static byte[] body(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void await(String what, Callable<Boolean> condition) throws Exception {
        long limit = System.currentTimeMillis() + patienceMs;
        Exception last = null;
        while (System.currentTimeMillis() < limit) {
            try {
                if (condition.call()) {
                    return;
                }
            } catch (Exception failed) {
                last = failed;
            }
            Thread.sleep(20);
        }
        patienceMs = 10_000;
        throw new IllegalStateException("waited in vain for " + what, last);
    }
}
