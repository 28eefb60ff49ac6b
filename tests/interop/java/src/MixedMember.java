import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The official client as one member of a group whose others are not: tells in lines of its output which queues it has
 * ({@code owns 0,1}, at each change) and what it was handed ({@code got QUEUE OFFSET BODY}), and leaves in an orderly
 * way when its input ends.
 *
 * <pre>
 * java MixedMember NAMESRV TOPIC GROUP
 * </pre>
 */
public final class MixedMember {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        Context context = new Context(args[0], "member", "");
        DefaultMQPushConsumer consumer = context.consumer(args[2]);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, ignored) -> {
            got(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Only its end says something.
                }
            } catch (java.io.IOException gone) {
                // The same.
            }
        });
        input.start();
        consumer.start();
        Set<Integer> told = null;
        while (input.isAlive()) {
            Set<Integer> owned = Context.owned(consumer, topic);
            if (!owned.equals(told)) {
                told = owned;
                say("owns " + owned.toString().replaceAll("[\\[\\] ]", ""));
            }
            input.join(20);
        }
        context.close();
        say("left");
        // Client threads that linger must not keep the process alive.
        Runtime.getRuntime().halt(0);
    }

    private static void got(List<MessageExt> messages) {
        for (MessageExt message : messages) {
            say("got " + message.getQueueId() + " " + message.getQueueOffset() + " "
                    + new String(message.getBody(), StandardCharsets.UTF_8));
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private MixedMember() {}
}
