import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

/** What only the clients from 5.x on can do; {@link Interop} finds it where it was compiled. */
public final class Later {
    public static void addTo(Map<String, Interop.Scenario> scenarios, Map<String, Interop.Scenario> onRequest) {
        // The codes of pops do not fit the 16 bits that a binary header has for them.
        if (RemotingCommand.getSerializeTypeConfigInThisServer() == SerializeType.JSON) {
            scenarios.put("pop_unacknowledged", Popping::unacknowledged);
            scenarios.put("pop_retry", Popping::retry);
            scenarios.put("pop_members", Popping::members);
            scenarios.put("pop", Popping::all);
        }
        onRequest.put("unfinished_write", Unfinished::write);
        onRequest.put("unfinished_read", Unfinished::read);
        onRequest.put("unfinished_reread", Unfinished::reread);
        scenarios.put("recall", Later::recall);
        scenarios.put("compression_kinds", Later::compressionKinds);
    }

    /** A timed message that is recalled before its time never comes; its neighbour of the same moment does. */
    private static void recall(Context context) throws Exception {
        String topic = context.topic("t", 1);
        DefaultMQProducer producer = context.producer();
        // Time enough to recall, on a busy machine.
        long due = System.currentTimeMillis() + 12_000;
        String[] handles = new String[4];
        for (int i = 0; i < handles.length; i++) {
            Message message = Sample.message(topic, "recall", i);
            message.setDeliverTimeMs(due);
            SendResult answer = producer.send(message);
            handles[i] = answer.getRecallHandle();
            Context.check(handles[i] != null && !handles[i].isEmpty(), "no handle in " + answer);
            if (i % 2 == 1) {
                Context.equal(answer.getMsgId(), producer.recallMessage(topic, handles[i]), "id of what was recalled");
            }
        }
        context.awaitStored(topic, 2);
        long at = System.currentTimeMillis();
        Timed.verifyTime(due, at, "the first of the others");
        // One of a later moment: when it is there, all of that earlier moment have been delivered.
        Message last = Sample.message(topic, "recall", 4);
        last.setDelayTimeSec(3);
        producer.send(last);
        context.awaitStored(topic, 3);
        for (MessageExt got : context.readTopic(topic)) {
            Sample.verify(got, topic, "recall", Sample.number(got));
            Context.equal(0, Sample.number(got) % 2, "the parity of a number that was not recalled");
        }
        for (String bad : new String[] {"nonsense", handles[0]}) {
            try {
                String id = producer.recallMessage(topic, bad);
                throw new AssertionError(id + " was recalled after its time");
            } catch (Exception expected) {
                Context.check(String.valueOf(expected.getMessage()).length() > 0, "a refusal without a reason");
            }
        }
    }

    /** Whichever way a body is compressed, the reader learns it from the flags that the server kept. */
    private static void compressionKinds(Context context) throws Exception {
        String topic = context.topic("t", 1);
        int from = 0;
        for (CompressionType type : CompressionType.values()) {
            DefaultMQProducer producer = context.newProducer("by_" + type);
            producer.setCompressMsgBodyOverHowmuch(4096);
            producer.setCompressType(type);
            producer.start();
            Passing.compressed(context, topic, producer, from);
            from += 4;
        }
    }

    private Later() {}
}
