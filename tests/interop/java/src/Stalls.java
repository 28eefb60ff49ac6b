import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * How long this process or the server stood still: small requests, one after the other, each of which takes
 * milliseconds while both run.
 *
 * <p>The client gives up on some of its own requests after three to five seconds, and makes them again: what a scenario
 * counts is not what the server did then.
 */
final class Stalls {
    /** Shorter than any time after which a client or the server does something else. */
    static final long LONG_MS = 1_800;

    private static final long PAUSE_MS = 100;
    /** A topic that each server has from its start. */
    private static final String TOPIC = "TBW102";

    /** When each long one began, and when it ended. */
    private final List<long[]> stalls = Collections.synchronizedList(new ArrayList<>());
    private volatile long begun = System.nanoTime();
    private volatile boolean over;

    /** Watches until the process ends. */
    static Stalls watch(String namesrv) {
        Stalls stalls = new Stalls();
        Thread watching = new Thread(() -> {
            try {
                DefaultMQPullConsumer asker = new Context(namesrv, "stalls", "").member("stalls_" + Context.instance());
                while (true) {
                    stalls.look(asker);
                }
            } catch (Throwable e) {
                stalls.over = true;
                System.out.println("nobody watches for stalls from now on, every failure counts: " + e);
            }
        }, "stalls");
        watching.setDaemon(true);
        watching.start();
        return stalls;
    }

    private void look(DefaultMQPullConsumer asker) throws InterruptedException {
        begun = System.nanoTime();
        try {
            MessageQueue queue = asker.fetchSubscribeMessageQueues(TOPIC).iterator().next();
            asker.maxOffset(queue);
        } catch (Exception late) {
            // A failure is told by the time that it took.
        }
        Thread.sleep(PAUSE_MS);
        long ended = System.nanoTime();
        if (millis(begun, ended) >= LONG_MS) {
            stalls.add(new long[] {begun, ended});
        }
    }

    /** The longest one that had not ended at this moment of {@link System#nanoTime}, or 0; the current one counts. 0 once nobody watches. */
    long longestSince(long start) {
        if (over) {
            return 0;
        }
        long longest = millis(begun, System.nanoTime());
        synchronized (stalls) {
            for (long[] stall : stalls) {
                if (stall[1] - start > 0) {
                    longest = Math.max(longest, millis(stall[0], stall[1]));
                }
            }
        }
        return longest >= LONG_MS ? longest : 0;
    }

    private static long millis(long from, long to) {
        return (to - from) / 1_000_000;
    }
}
