import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.impl.producer.DefaultMQProducerImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * What a scenario is handed: clients that are shut down when it ends, names that no other scenario uses, conditions to
 * wait for.
 *
 * <p>Each client gets an instance name of its own: by default the clients of one process share one connection and one
 * client id, which is not what two members of a group look like.
 */
final class Context implements AutoCloseable {
    /** How long a condition may take to come true before the scenario fails. */
    static final long PATIENCE_MS = 150_000;
    /** How long a request may take: a machine that does other things stops a server or a client for seconds. */
    static final long REQUEST_MS = 60_000;

    private static final int NOTIFY_CONSUMER_IDS_CHANGED = 40;
    private static final AtomicInteger INSTANCES = new AtomicInteger();

    final String namesrv;
    final String argument;
    private final String prefix;
    private final List<Runnable> closers = new ArrayList<>();
    private DefaultMQProducer producer;
    private DefaultMQPullConsumer puller;

    Context(String namesrv, String scenario, String argument) {
        this.namesrv = namesrv;
        this.argument = argument;
        this.prefix = scenario + "_" + Long.toString(System.nanoTime(), 36);
    }

    /** A name for a topic or group that nothing else in this run has. */
    String name(String what) {
        return prefix + "_" + what;
    }

    static String instance() {
        return ProcessHandle.current().pid() + "-" + INSTANCES.incrementAndGet();
    }

    /** Creates a topic by request and waits until the NameServer hands out its route. */
    String topic(String what, int queues) throws Exception {
        String topic = name(what);
        createTopic(topic, queues);
        return topic;
    }

    void createTopic(String topic, int queues) throws Exception {
        DefaultMQProducer by = producer();
        // 5.x added a map of attributes to this call.
        boolean called = false;
        for (Method method : DefaultMQProducer.class.getMethods()) {
            if (!method.getName().equals("createTopic")) {
                continue;
            }
            if (method.getParameterCount() == 3) {
                invoke(method, by, "TBW102", topic, queues);
                called = true;
                break;
            }
            if (method.getParameterCount() == 4 && method.getParameterTypes()[3] == Map.class) {
                invoke(method, by, "TBW102", topic, queues, new HashMap<String, String>());
                called = true;
                break;
            }
        }
        check(called, "this client has no createTopic that we know");
        await("the route of " + topic + " with " + queues + " queues", () -> {
            try {
                return by.fetchPublishMessageQueues(topic).size() == queues;
            } catch (Exception notYet) {
                return false;
            }
        });
    }

    private static void invoke(Method method, Object target, Object... arguments) throws Exception {
        try {
            method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    /** The scenario's own producer, started. */
    synchronized DefaultMQProducer producer() throws Exception {
        if (producer == null) {
            producer = newProducer("producer");
            producer.start();
            factory(producer).getMQAdminImpl().setTimeoutMillis(REQUEST_MS);
        }
        return producer;
    }

    DefaultMQProducer newProducer(String group) {
        DefaultMQProducer created = new DefaultMQProducer(name(group));
        join(created);
        created.setSendMsgTimeout((int) REQUEST_MS);
        onClose(created::shutdown);
        return created;
    }

    /** A push consumer that is not started and has no subscription yet; it begins at a topic's first message. */
    DefaultMQPushConsumer consumer(String group) {
        DefaultMQPushConsumer created = new DefaultMQPushConsumer(group);
        configure(created);
        return created;
    }

    /** The same, counting how often the server tells it that its group has changed. */
    DefaultMQPushConsumer consumer(String group, AtomicInteger told) {
        RPCHook hook = new RPCHook() {
            @Override
            public void doBeforeRequest(String from, RemotingCommand request) {
                if (request.getCode() == NOTIFY_CONSUMER_IDS_CHANGED) {
                    told.incrementAndGet();
                }
            }

            @Override
            public void doAfterResponse(String from, RemotingCommand request, RemotingCommand response) {}
        };
        DefaultMQPushConsumer created =
                new DefaultMQPushConsumer(group, hook, new AllocateMessageQueueAveragely());
        configure(created);
        return created;
    }

    /** Makes a client one of these servers, with an id of its own, and patient where it can be. */
    void join(ClientConfig created) {
        created.setNamesrvAddr(namesrv);
        created.setInstanceName(instance());
        for (Method method : ClientConfig.class.getMethods()) {
            // Came with 4.9.
            if (method.getName().equals("setMqClientApiTimeout")) {
                try {
                    method.invoke(created, (int) REQUEST_MS);
                } catch (ReflectiveOperationException e) {
                    throw new AssertionError(e);
                }
            }
        }
    }

    void configure(DefaultMQPushConsumer created) {
        join(created);
        created.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // 5.x leaves a heartbeat out while it sends another: the server then refuses its pulls until the next one, 30 s
        // later by default.
        created.setHeartbeatBrokerInterval(3_000);
        created.setConsumeThreadMin(4);
        created.setConsumeThreadMax(4);
        onClose(created::shutdown);
    }

    /** A pull consumer in the name of a group, to ask for its positions. */
    DefaultMQPullConsumer member(String group) throws Exception {
        DefaultMQPullConsumer created = new DefaultMQPullConsumer(group);
        join(created);
        created.setConsumerPullTimeoutMillis(REQUEST_MS);
        onClose(created::shutdown);
        created.start();
        factory(created).getMQAdminImpl().setTimeoutMillis(REQUEST_MS);
        return created;
    }

    /** Makes the consumer a broadcasting one: the enum's package differs between 4.x and 5.x, so by its name. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static void broadcast(DefaultMQPushConsumer consumer) throws Exception {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                Class type = method.getParameterTypes()[0];
                invoke(method, consumer, Enum.valueOf(type, "BROADCASTING"));
                return;
            }
        }
        throw new AssertionError("this client has no setMessageModel");
    }

    /** A pull consumer to look into queues with. */
    synchronized DefaultMQPullConsumer puller() throws Exception {
        if (puller == null) {
            puller = member(name("puller"));
        }
        return puller;
    }

    /** The client's own requests, for those that its public interface leaves to the admin tool. */
    MQClientAPIImpl api() throws Exception {
        return factory(puller()).getMQClientAPIImpl();
    }

    /** The broker's address, to send such a request to. */
    static String broker() {
        String address = System.getenv("BROKER");
        check(address != null, "BROKER is not set");
        return address;
    }

    static MQClientInstance factory(DefaultMQPullConsumer of) {
        return of.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory();
    }

    /** What a producer shares with other clients of its instance; the method's name changed its case in 5.x. */
    static MQClientInstance factory(DefaultMQProducer of) throws Exception {
        for (Method method : DefaultMQProducerImpl.class.getMethods()) {
            if (method.getName().equalsIgnoreCase("getMqClientFactory")) {
                return (MQClientInstance) method.invoke(of.getDefaultMQProducerImpl());
            }
        }
        throw new AssertionError("this client's producer does not tell its factory");
    }

    synchronized void onClose(Runnable closer) {
        closers.add(closer);
    }

    @Override
    public void close() {
        List<Runnable> last;
        synchronized (this) {
            last = new ArrayList<>(closers);
        }
        Collections.reverse(last);
        last.forEach(Runnable::run);
    }

    /** Whether the NameServer has a route of the topic. */
    boolean isKnown(String topic) throws Exception {
        try {
            return !puller().fetchSubscribeMessageQueues(topic).isEmpty();
        } catch (Exception noRoute) {
            return false;
        }
    }

    /** The topic's queues in order of their ids, once the route is known. */
    List<MessageQueue> queues(String topic) throws Exception {
        DefaultMQPullConsumer by = puller();
        await("a route of " + topic, () -> isKnown(topic));
        return new ArrayList<>(new TreeSet<>(by.fetchSubscribeMessageQueues(topic)));
    }

    /** All that a queue held at the start, and perhaps what came while it was read, by pulls. */
    List<MessageExt> readQueue(MessageQueue queue) throws Exception {
        DefaultMQPullConsumer by = puller();
        List<MessageExt> all = new ArrayList<>();
        long next = by.minOffset(queue);
        long end = by.maxOffset(queue);
        while (next < end) {
            PullResult pulled = by.pull(queue, "*", next, 32);
            check(pulled.getPullStatus() == PullStatus.FOUND,
                    "pull of " + queue + " at " + next + " below the maximum " + end + " said " + pulled);
            check(pulled.getNextBeginOffset() > next, "the next offset after " + next + " is " + pulled);
            // More than at the start is no fault: timed messages and halves that are asked about come while we read.
            check(pulled.getMaxOffset() >= end,
                    "a pull's answer has the maximum offset " + pulled.getMaxOffset() + ", after " + end);
            all.addAll(pulled.getMsgFoundList());
            next = pulled.getNextBeginOffset();
        }
        for (int i = 1; i < all.size(); i++) {
            equal(all.get(i - 1).getQueueOffset() + 1, all.get(i).getQueueOffset(), "queue offset after the previous");
        }
        return all;
    }

    /** All messages of a topic, queue by queue. */
    List<MessageExt> readTopic(String topic) throws Exception {
        List<MessageExt> all = new ArrayList<>();
        for (MessageQueue queue : queues(topic)) {
            all.addAll(readQueue(queue));
        }
        return all;
    }

    /** Waits until the topic's queues together hold this many messages: a send may be answered before they show it. */
    void awaitStored(String topic, long count) throws Exception {
        List<MessageQueue> queues = queues(topic);
        DefaultMQPullConsumer by = puller();
        await(count + " messages stored in " + topic, () -> {
            long total = 0;
            for (MessageQueue queue : queues) {
                total += by.maxOffset(queue) - by.minOffset(queue);
            }
            check(total <= count, "topic " + topic + " holds " + total + " messages, expected " + count);
            return total == count;
        });
    }

    /** The queues of a topic that a push consumer owns and knows its starting position of. */
    static Set<Integer> owned(DefaultMQPushConsumer consumer, String topic) {
        Set<Integer> ids = new TreeSet<>();
        for (MessageQueue queue :
                consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet()) {
            if (queue.getTopic().equals(topic)) {
                ids.add(queue.getQueueId());
            }
        }
        return ids;
    }

    /** Waits until the consumer owns this many queues of the topic. */
    static void awaitOwned(DefaultMQPushConsumer consumer, String topic, int queues) throws Exception {
        await("ownership of " + queues + " queues of " + topic, () -> owned(consumer, topic).size() == queues);
    }

    /**
     * Waits until the consumer reads its group's retry queue. That topic only exists once the group has been seen, and
     * a client left alone looks for new routes every 30 s and rebalances every 20 s, so this asks it to do both now.
     */
    static void awaitRetryQueue(DefaultMQPushConsumer consumer) throws Exception {
        String topic = "%RETRY%" + consumer.getConsumerGroup();
        await("ownership of the queue of " + topic, () -> {
            consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().updateTopicRouteInfoFromNameServer(topic);
            consumer.getDefaultMQPushConsumerImpl().doRebalance();
            return owned(consumer, topic).size() == 1;
        });
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void await(String what, Condition condition) throws Exception {
        await(what, PATIENCE_MS, condition);
    }

    static void await(String what, long patienceMs, Condition condition) throws Exception {
        long start = System.nanoTime();
        while (!condition.holds()) {
            check(System.nanoTime() - start < patienceMs * 1_000_000,
                    "after " + patienceMs / 1000.0 + " s still waiting for " + what);
            Thread.sleep(10);
        }
        long tookMs = (System.nanoTime() - start) / 1_000_000;
        if (tookMs > 5_000) {
            System.out.println("waited " + tookMs + " ms for " + what);
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void equal(Object expected, Object actual, String what) {
        boolean same = expected instanceof Number && actual instanceof Number
                ? ((Number) expected).longValue() == ((Number) actual).longValue()
                : java.util.Objects.equals(expected, actual);
        check(same, what + ": expected " + expected + ", got " + actual);
    }

    static <T> Set<T> set(Iterable<T> values) {
        Set<T> all = new LinkedHashSet<>();
        values.forEach(all::add);
        return all;
    }
}
