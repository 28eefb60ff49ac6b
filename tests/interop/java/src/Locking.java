import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;

/** The locks of orderly consumers, and what becomes of those whose owner dies. */
final class Locking {
    /**
     * A member is killed while it has work in its queues and their locks. The other gets them when the locks expire, and
     * goes on in order from where the dead one had last committed: nothing is left out, and only that comes again.
     */
    static void takeover(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        AtomicReference<Set<Integer>> itsQueues = new AtomicReference<>(new TreeSet<>());
        Map<Integer, Integer> itsLast = new ConcurrentHashMap<>();
        OtherProcess other = new OtherProcess(context, "orderly_member:" + topic + "," + group, words -> {
            if (words[0].equals("owns")) {
                Set<Integer> owned = new TreeSet<>();
                for (String queue : words.length > 1 ? words[1].split(",") : new String[0]) {
                    owned.add(Integer.parseInt(queue));
                }
                itsQueues.set(owned);
            } else {
                itsLast.put(Integer.parseInt(words[2]), Integer.parseInt(words[1]));
            }
        });
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer mine = context.consumer(group);
        mine.subscribe(topic, "*");
        mine.registerMessageListener(recorder.orderly());
        mine.start();
        Context.await("two queues for each member", () -> {
            other.checkRuns();
            mine.getDefaultMQPushConsumerImpl().doRebalance();
            return itsQueues.get().size() == 2 && Context.owned(mine, topic).size() == 2;
        });
        Set<Integer> taken = itsQueues.get();
        Consuming.sendByQueue(context, topic, "lock", 0, 80);
        Context.await("work under way in the queues " + taken, () -> itsLast.keySet().containsAll(taken)
                && itsLast.values().stream().allMatch(last -> last > 20));
        other.kill();
        long killed = System.currentTimeMillis();
        Map<Integer, Integer> reached = new HashMap<>(itsLast);
        Consuming.sendByQueue(context, topic, "lock", 80, 120);
        // A lock that nobody renews is held for a minute.
        Context.await("all messages behind the dead one's, and this member's own", () -> {
            // A client left alone tries again every 20 s only.
            mine.getDefaultMQPushConsumerImpl().doRebalance();
            return recorder.numbers().containsAll(from(taken, reached));
        });
        System.out.println("took over after " + (System.currentTimeMillis() - killed) + " ms");

        Map<Integer, List<Integer>> byQueue = new HashMap<>();
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, "lock", number);
            byQueue.computeIfAbsent(delivery.message.getQueueId(), queue -> new ArrayList<>()).add(number);
        }
        Context.equal(4, byQueue.size(), "queues that this member got messages of");
        for (Map.Entry<Integer, List<Integer>> one : byQueue.entrySet()) {
            List<Integer> numbers = one.getValue();
            for (int i = 1; i < numbers.size(); i++) {
                Context.equal(numbers.get(i - 1) + 4, numbers.get(i), "the next of queue " + one.getKey());
            }
            Context.equal(116 + one.getKey(), numbers.get(numbers.size() - 1), "the last of queue " + one.getKey());
            if (taken.contains(one.getKey())) {
                int last = reached.get(one.getKey());
                Context.check(numbers.get(0) <= last + 4, "queue " + one.getKey() + " goes on at " + numbers.get(0)
                        + ", the dead member had got to " + last);
                System.out.println("queue " + one.getKey() + ": " + (last + 4 - numbers.get(0)) / 4 + " delivered again");
            } else {
                Context.equal(one.getKey(), numbers.get(0), "the first of queue " + one.getKey());
            }
        }
    }

    /** All numbers of the dead member's queues behind the ones that it had reached, and all of the others. */
    private static Set<Integer> from(Set<Integer> taken, Map<Integer, Integer> reached) {
        Set<Integer> numbers = new TreeSet<>();
        for (int queue = 0; queue < 4; queue++) {
            for (int number = taken.contains(queue) ? reached.get(queue) + 4 : queue; number < 120; number += 4) {
                numbers.add(number);
            }
        }
        return numbers;
    }

    /** The other process: takes its time over each message, so that it dies with work under way. */
    static void member(Context context) throws Exception {
        String topic = context.argument.split(",")[0];
        String group = context.argument.split(",")[1];
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, unused) -> {
            messages.forEach(OtherProcess::sayGot);
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        OtherProcess.serve(consumer, topic);
    }

    private Locking() {}
}
