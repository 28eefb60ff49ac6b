import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What the server passes on without looking into it, or to more readers than one. */
final class Passing {
    /** A large body is stored as small as its sender made it, and every reader gets it as it was. */
    static void compressed(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer producer = context.newProducer("compressing");
        producer.setCompressMsgBodyOverHowmuch(4096);
        producer.start();
        compressed(context, topic, producer, 0);
    }

    /** Sends four bodies by this producer and looks at what is stored from message {@code from} on. */
    static void compressed(Context context, String topic, DefaultMQProducer producer, int from) throws Exception {
        String label = "compressed";
        // Numbers 15 and 31 have 40 KB of text; the others are below the limit.
        int[] numbers = {14, 15, 16, 31};
        for (int number : numbers) {
            producer.send(Sample.message(topic, label, number));
        }
        context.awaitStored(topic, from + numbers.length);
        List<MessageExt> stored = context.readTopic(topic);
        for (int i = 0; i < numbers.length; i++) {
            MessageExt got = stored.get(from + i);
            Sample.verify(got, topic, label, numbers[i]);
            boolean large = got.getBody().length > 4096;
            Context.check(large == got.getStoreSize() < got.getBody().length,
                    got.getBody().length + " bytes of body are stored in " + got.getStoreSize());
        }
        Recorder recorder = new Recorder();
        DefaultMQPushConsumer consumer = context.consumer(context.name("g" + from));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(recorder.concurrently());
        consumer.start();
        Context.await("the messages", () -> recorder.count() >= from + numbers.length);
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            Sample.verify(delivery.message, topic, label, Sample.number(delivery.message));
        }
    }

    /** One message, stored once, is in its topic and at consecutive offsets of each light queue that it names. */
    static void lightQueues(Context context) throws Exception {
        String topic = context.topic("t", 1);
        String broker = context.queues(topic).get(0).getBrokerName();
        String[] light = {"%LMQ%" + context.name("a"), "%LMQ%" + context.name("b")};
        for (int i = 0; i < 20; i++) {
            Message message = Sample.message(topic, "light", i);
            if (i % 4 != 3) {
                message.putUserProperty("INNER_MULTI_DISPATCH", i % 2 == 0 ? light[0] + "," + light[1] : light[1]);
            }
            context.producer().send(message);
        }
        context.awaitStored(topic, 20);
        List<MessageExt> whole = context.readTopic(topic);
        DefaultMQPullConsumer puller = context.puller();
        for (int which = 0; which < light.length; which++) {
            List<Integer> expected = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                if (i % 4 != 3 && (i % 2 == 0 || which == 1)) {
                    expected.add(i);
                }
            }
            MessageQueue queue = new MessageQueue(light[which], broker, 0);
            Context.await(expected.size() + " messages in " + queue, () -> puller.maxOffset(queue) == expected.size());
            Context.equal(0, puller.minOffset(queue), "minimum of " + queue);
            List<MessageExt> got = new ArrayList<>();
            while (got.size() < expected.size()) {
                PullResult pulled = puller.pull(queue, "*", got.size(), 4);
                Context.equal(PullStatus.FOUND, pulled.getPullStatus(), "pull of " + queue + " at " + got.size());
                got.addAll(pulled.getMsgFoundList());
                Context.equal(got.size(), pulled.getNextBeginOffset(), "next offset of " + queue);
            }
            for (int at = 0; at < expected.size(); at++) {
                MessageExt message = got.get(at);
                int number = expected.get(at);
                Context.equal(number, Sample.number(message), "message " + at + " of " + queue);
                Sample.verify(message, topic, "light", number);
                Context.equal(whole.get(number).getCommitLogOffset(), message.getCommitLogOffset(),
                        "physical offset of message " + at + " of " + queue);
            }
            Context.equal(PullStatus.NO_NEW_MSG, puller.pull(queue, "*", expected.size(), 4).getPullStatus(),
                    "pull at the end of " + queue);
        }
    }

    private Passing() {}
}
