import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.RequestResponseFuture;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Requests and their replies: a reply comes to the client that asked, through the broker that it asked by.
 *
 * <p>From 4.9 on, an asynchronous request calls back without a reply as soon as its send is answered, and again when it
 * has one or its time is over.
 */
final class Requests {
    private static final long TTL_MS = 60_000;
    /** For what nobody replies to; the send has to be answered within it, too. */
    private static final long IN_VAIN_MS = 4_000;

    /** Each request has its own reply, whichever of two members answered, small or so large that it is compressed. */
    static void sync(Context context) throws Exception {
        String topic = context.topic("t", 2);
        Recorder recorder = new Recorder();
        String group = context.name("g");
        answerer(context, topic, group, recorder);
        answerer(context, topic, group, recorder);
        DefaultMQProducer asker = context.producer();
        for (int i = 0; i < 20; i++) {
            Message reply = asker.request(Sample.message(topic, "ask", i), TTL_MS);
            verifyReply(reply, i);
        }
        Context.equal(20, recorder.numbers().size(), "requests delivered");
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, "ask", number);
            Context.equal(Long.toString(TTL_MS), delivery.message.getProperty("TTL"), "property TTL of " + number);
        }
    }

    /** Many under way at a time: each callback comes once, with the reply to its own request. */
    static void async(Context context) throws Exception {
        String topic = context.topic("t", 2);
        Recorder recorder = new Recorder();
        answerer(context, topic, context.name("g"), recorder);
        DefaultMQProducer asker = context.producer();
        int count = 40;
        Map<Integer, Message> replies = new ConcurrentHashMap<>();
        Map<Integer, Throwable> failures = new ConcurrentHashMap<>();
        CountDownLatch answered = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            int number = i;
            asker.request(Sample.message(topic, "ask", i), new RequestCallback() {
                @Override
                public void onSuccess(Message reply) {
                    if (reply == null) {
                        return;
                    }
                    if (replies.put(number, reply) != null) {
                        failures.put(number, new AssertionError("answered twice"));
                    }
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failures.put(number, e);
                    answered.countDown();
                }
            }, TTL_MS);
        }
        Context.check(answered.await(2 * TTL_MS, TimeUnit.MILLISECONDS), answered.getCount() + " of the callbacks did not come");
        Context.check(failures.isEmpty(), "requests failed: " + failures);
        for (int i = 0; i < count; i++) {
            verifyReply(replies.get(i), i);
        }
    }

    /** Whether this client's synchronous request works: 5.3.3 gives up on a reply as soon as its send is answered. */
    static boolean canWait() {
        for (Method method : RequestResponseFuture.class.getMethods()) {
            if (method.getName().equals("acquireCountDownLatch")) {
                return false;
            }
        }
        return true;
    }

    /** Nobody replies: the asker is told when its time is over, and the request stays an ordinary message. */
    static void timeout(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer patient = context.producer();
        // It would send again what is stored already when an answer takes longer than the reply may.
        patient.setRetryTimesWhenSendAsyncFailed(0);
        long start = System.currentTimeMillis();
        Throwable failure = askInVain(patient, Sample.message(topic, "ask", 0), IN_VAIN_MS);
        long took = System.currentTimeMillis() - start;
        Context.check(failure instanceof RequestTimeoutException, "nobody replied, and the failure is " + failure);
        Context.check(took >= IN_VAIN_MS && took < TTL_MS, "the time-out came after " + took + " ms");
        context.awaitStored(topic, 1);
        Sample.verify(context.readTopic(topic).get(0), topic, "ask", 0);

        // A reply to somebody who is gone is told to be in vain, but no more than that.
        DefaultMQProducer gone = context.newProducer("gone");
        gone.setRetryTimesWhenSendAsyncFailed(0);
        gone.start();
        askInVain(gone, Sample.message(topic, "ask", 1), IN_VAIN_MS);
        gone.shutdown();
        context.awaitStored(topic, 2);
        MessageExt late = context.readTopic(topic).get(1);
        String asker = late.getProperty("REPLY_TO_CLIENT");
        Context.check(asker != null && late.getProperty("CORRELATION_ID") != null, "a request's properties: " + late);
        // Closing the last client of a process ends its connection, which the broker may learn a moment later.
        Context.await("a refusal of the reply to " + asker, () -> {
            try {
                context.producer().send(MessageUtil.createReplyMessage(late, "too late".getBytes(StandardCharsets.UTF_8)));
                return false;
            } catch (MQClientException refused) {
                MQBrokerException cause = (MQBrokerException) refused.getCause();
                Context.equal(1, cause.getResponseCode(), "code for a reply to nobody");
                Context.check(cause.getErrorMessage().contains(asker), "the reason does not name " + asker + ": " + cause);
                return true;
            }
        });
        context.producer().send(Sample.message(topic, "ask", 2));
    }

    /** What the callback is told in the end. */
    private static Throwable askInVain(DefaultMQProducer asker, Message request, long ttlMs) throws Exception {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        asker.request(request, new RequestCallback() {
            @Override
            public void onSuccess(Message reply) {
                if (reply != null) {
                    failure.set(new AssertionError("nobody replied, and yet there is " + reply));
                }
            }

            @Override
            public void onException(Throwable e) {
                failure.set(e);
            }
        }, ttlMs);
        Context.await("the end of a request", () -> failure.get() != null);
        return failure.get();
    }

    private static byte[] reply(int i) {
        return Sample.body("reply", i);
    }

    private static void answerer(Context context, String topic, String group, Recorder recorder) throws Exception {
        DefaultMQProducer replier = context.newProducer("replier_" + Context.instance());
        replier.start();
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, unused) -> {
            recorder.record(messages);
            for (MessageExt message : messages) {
                try {
                    Message reply = MessageUtil.createReplyMessage(message, reply(Sample.number(message)));
                    reply.putUserProperty("number", Integer.toString(Sample.number(message)));
                    SendResult answer = replier.send(reply);
                    Context.equal(SendStatus.SEND_OK, answer.getSendStatus(), "status of a reply");
                } catch (Exception e) {
                    System.out.println("a reply to " + message.getKeys() + " failed: " + e);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Context.await("a queue", () -> !Context.owned(consumer, topic).isEmpty());
    }

    private static void verifyReply(Message reply, int i) {
        Context.check(java.util.Arrays.equals(reply(i), reply.getBody()), "the body of the reply to " + i);
        Context.equal(Integer.toString(i), reply.getProperty("number"), "property number of the reply to " + i);
        Context.equal("reply", reply.getProperty("MSG_TYPE"), "property MSG_TYPE of the reply to " + i);
    }

    private Requests() {}
}
