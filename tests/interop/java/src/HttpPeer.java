import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The official client across from HTTP: says in lines of its output what it finds in the first message of one topic, and
 * sends one to another.
 *
 * <pre>
 * java HttpPeer NAMESRV FROM_TOPIC TO_TOPIC GROUP
 * </pre>
 */
public final class HttpPeer {
    public static void main(String[] args) throws Exception {
        Context context = new Context(args[0], "peer", "");
        BlockingQueue<MessageExt> heard = new LinkedBlockingQueue<>();
        DefaultMQPushConsumer consumer = context.consumer(args[3]);
        consumer.subscribe(args[1], "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, ignored) -> {
            heard.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        MessageExt message = heard.poll(120, TimeUnit.SECONDS);
        if (message == null) {
            throw new IllegalStateException("nothing came");
        }
        say("id " + message.getMsgId());
        say("body " + new String(message.getBody(), StandardCharsets.UTF_8));
        say("tag " + message.getTags());
        say("keys " + message.getKeys());
        say("color " + message.getUserProperty("color"));
        say("with blank " + message.getUserProperty("with blank"));

        Message back = new Message(args[2], "t2", "k3", "zurück".getBytes(StandardCharsets.UTF_8));
        back.putUserProperty("shape", "round");
        say("sent " + context.producer().send(back, 60_000).getMsgId());
        context.close();
        // Client threads that linger must not keep the process alive.
        Runtime.getRuntime().halt(0);
    }

    private static void say(String line) {
        byte[] text = (line + "\n").getBytes(StandardCharsets.UTF_8);
        System.out.write(text, 0, text.length);
        System.out.flush();
    }

    private HttpPeer() {}
}
