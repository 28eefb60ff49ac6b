import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * How fast the official client is, with its defaults, against a server that runs and a topic that is there.
 *
 * <pre>
 * java ClientSpeed NAMESRV TOPIC sync    CALLERS   BODY_BYTES WARM_UP_SECONDS SECONDS
 * java ClientSpeed NAMESRV TOPIC async   IN_FLIGHT BODY_BYTES WARM_UP_SECONDS SECONDS
 * java ClientSpeed NAMESRV TOPIC consume MESSAGES  0          WARM_UP_SECONDS 0
 * </pre>
 *
 * Prints one line of JSON: messages, seconds and this process's CPU seconds of the measured time, latencies in
 * microseconds. What is measured begins after the warm-up, when the compiler has done most of its work; a consumption
 * is warmed up by draining the same messages in other groups, over and over.
 */
public final class ClientSpeed {
    private static volatile boolean measuring;
    private static volatile boolean over;
    private static final Map<Thread, Latencies> LATENCIES = new ConcurrentHashMap<>();
    private static final ThreadLocal<Latencies> OWN = ThreadLocal.withInitial(() ->
            LATENCIES.computeIfAbsent(Thread.currentThread(), thread -> new Latencies()));
    private static final AtomicReference<Throwable> FAILED = new AtomicReference<>();

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String topic = args[1];
        int many = Integer.parseInt(args[3]);
        byte[] body = new byte[Integer.parseInt(args[4])];
        long warmUp = Long.parseLong(args[5]) * 1_000;
        long time = Long.parseLong(args[6]) * 1_000;
        if (args[2].equals("consume")) {
            consume(namesrv, topic, many, warmUp);
        } else {
            DefaultMQProducer producer = new DefaultMQProducer("speed-" + ProcessHandle.current().pid());
            producer.setNamesrvAddr(namesrv);
            producer.start();
            if (args[2].equals("sync")) {
                sync(producer, topic, body, many);
            } else {
                async(producer, topic, body, many);
            }
            send(warmUp, time);
            producer.shutdown();
        }
        // Client threads that linger must not keep the process alive.
        Runtime.getRuntime().halt(FAILED.get() == null ? 0 : 1);
    }

    private static void send(long warmUp, long time) throws Exception {
        Thread.sleep(warmUp);
        Reading begin = new Reading();
        measuring = true;
        Thread.sleep(time);
        measuring = false;
        Reading end = new Reading();
        over = true;
        Latencies all = new Latencies();
        LATENCIES.values().forEach(all::add);
        if (FAILED.get() != null) {
            FAILED.get().printStackTrace();
            return;
        }
        System.out.printf("{\"messages\":%d,%s,\"p50\":%d,\"p99\":%d,\"max\":%d}%n",
                all.count, end.since(begin), all.quantile(0.5), all.quantile(0.99), all.max);
        System.out.flush();
    }

    private static void sync(DefaultMQProducer producer, String topic, byte[] body, int callers) {
        for (int i = 0; i < callers; i++) {
            Thread caller = new Thread(() -> {
                Latencies own = OWN.get();
                while (!over) {
                    long start = System.nanoTime();
                    try {
                        stored(producer.send(new Message(topic, body)));
                    } catch (Throwable e) {
                        FAILED.compareAndSet(null, e);
                        return;
                    }
                    if (measuring) {
                        own.note(System.nanoTime() - start);
                    }
                }
            });
            caller.setDaemon(true);
            caller.start();
        }
    }

    private static void async(DefaultMQProducer producer, String topic, byte[] body, int inFlight) {
        Semaphore places = new Semaphore(inFlight);
        Thread sender = new Thread(() -> {
            while (!over) {
                places.acquireUninterruptibly();
                long start = System.nanoTime();
                try {
                    producer.send(new Message(topic, body), new SendCallback() {
                        @Override
                        public void onSuccess(SendResult result) {
                            places.release();
                            stored(result);
                            if (measuring) {
                                OWN.get().note(System.nanoTime() - start);
                            }
                        }

                        @Override
                        public void onException(Throwable e) {
                            places.release();
                            FAILED.compareAndSet(null, e);
                        }
                    });
                } catch (Throwable e) {
                    FAILED.compareAndSet(null, e);
                    return;
                }
            }
        });
        sender.setDaemon(true);
        sender.start();
    }

    private static void stored(SendResult result) {
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            FAILED.compareAndSet(null, new IllegalStateException(result.toString()));
        }
    }

    private static void consume(String namesrv, String topic, int messages, long warmUp) throws Exception {
        long until = System.nanoTime() + warmUp * 1_000_000;
        int round = 0;
        do {
            drain(namesrv, topic, messages, round++);
        } while (System.nanoTime() < until);
        System.out.println(drain(namesrv, topic, messages, round));
        System.out.flush();
    }

    /** Measures from the first message that a new group is handed to the last. */
    private static String drain(String namesrv, String topic, int messages, int round) throws Exception {
        DefaultMQPushConsumer consumer =
                new DefaultMQPushConsumer("speed-" + ProcessHandle.current().pid() + "-" + round);
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        AtomicLong got = new AtomicLong();
        AtomicReference<Reading> begin = new AtomicReference<>();
        AtomicReference<Reading> end = new AtomicReference<>();
        CountDownLatch done = new CountDownLatch(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, ignored) -> {
            if (begin.get() == null) {
                begin.compareAndSet(null, new Reading());
            }
            if (got.addAndGet(batch.size()) == messages) {
                end.set(new Reading());
                done.countDown();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        done.await();
        consumer.shutdown();
        return "{\"messages\":" + messages + "," + end.get().since(begin.get()) + "}";
    }

    /** The time, and the CPU time that this process has used. */
    private static final class Reading {
        private static final OperatingSystemMXBean SYSTEM =
                (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

        private final long time = System.nanoTime();
        private final long cpu = SYSTEM.getProcessCpuTime();

        String since(Reading earlier) {
            return String.format("\"seconds\":%.6f,\"cpuSeconds\":%.6f",
                    (time - earlier.time) / 1e9, (cpu - earlier.cpu) / 1e9);
        }
    }

    /** Counts by latency, exact to one part in 64: the private one of a thread, so that noting costs next to nothing. */
    private static final class Latencies {
        private static final int PARTS = 64;

        private final long[] counts = new long[PARTS * 40];
        private long count;
        private long max;

        void note(long nanos) {
            long micros = nanos / 1_000;
            counts[slot(micros)]++;
            count++;
            max = Math.max(max, micros);
        }

        void add(Latencies other) {
            for (int i = 0; i < counts.length; i++) {
                counts[i] += other.counts[i];
            }
            count += other.count;
            max = Math.max(max, other.max);
        }

        long quantile(double share) {
            long left = (long) Math.ceil(share * count);
            for (int i = 0; i < counts.length; i++) {
                left -= counts[i];
                if (left <= 0) {
                    return lowest(i);
                }
            }
            return max;
        }

        /** Below {@link #PARTS} each value has a slot of its own, above it each power of two has that many. */
        private static int slot(long micros) {
            if (micros < PARTS) {
                return (int) micros;
            }
            int power = 63 - Long.numberOfLeadingZeros(micros) - 6;
            return power * PARTS + (int) (micros >>> power);
        }

        private static long lowest(int slot) {
            if (slot < 2 * PARTS) {
                return slot;
            }
            int power = slot / PARTS - 1;
            return (long) (slot - power * PARTS) << power;
        }
    }

    private ClientSpeed() {}
}
