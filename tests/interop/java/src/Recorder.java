import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.MessageExt;

/** Remembers what a consumer was given, in the order in which it was given it. */
final class Recorder {
    /** One delivery and when it came, in milliseconds of the wall clock. */
    static final class Delivery {
        final MessageExt message;
        final long at;

        Delivery(MessageExt message, long at) {
            this.message = message;
            this.at = at;
        }
    }

    private final List<Delivery> deliveries = new ArrayList<>();

    synchronized void record(List<MessageExt> messages) {
        for (MessageExt message : messages) {
            deliveries.add(new Delivery(message, System.currentTimeMillis()));
        }
    }

    MessageListenerConcurrently concurrently() {
        return (messages, context) -> {
            record(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    MessageListenerOrderly orderly() {
        return (messages, context) -> {
            record(messages);
            return ConsumeOrderlyStatus.SUCCESS;
        };
    }

    synchronized List<Delivery> deliveries() {
        return new ArrayList<>(deliveries);
    }

    /** The deliveries of one message, oldest first. */
    synchronized List<Delivery> of(String key) {
        List<Delivery> found = new ArrayList<>();
        for (Delivery delivery : deliveries) {
            if (key.equals(delivery.message.getKeys())) {
                found.add(delivery);
            }
        }
        return found;
    }

    synchronized int count() {
        return deliveries.size();
    }

    /** The numbers delivered so far. */
    synchronized Set<Integer> numbers() {
        Set<Integer> numbers = new TreeSet<>();
        for (Delivery delivery : deliveries) {
            numbers.add(Sample.number(delivery.message));
        }
        return numbers;
    }

    /** The queues that deliveries came from. */
    synchronized Set<Integer> queues() {
        Set<Integer> queues = new TreeSet<>();
        for (Delivery delivery : deliveries) {
            queues.add(delivery.message.getQueueId());
        }
        return queues;
    }

    /** That numbers {@code from} to {@code end} came exactly once each, whole and on the first try. */
    synchronized void verifyOnce(String topic, String label, int from, int end) {
        Set<Integer> seen = new TreeSet<>();
        for (Delivery delivery : deliveries) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, label, number);
            Context.check(seen.add(number), "message " + number + " was delivered twice");
            Context.check(number >= from && number < end, "message " + number + " was delivered");
            Context.equal(0, delivery.message.getReconsumeTimes(), "reconsume times of " + number);
        }
        Context.equal(end - from, seen.size(), "messages delivered");
    }
}
