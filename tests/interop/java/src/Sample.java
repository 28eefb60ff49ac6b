import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Messages whose every part follows from a label and a number, so that a reader, in another process or after a restart
 * on another server, knows what it must get.
 */
final class Sample {
    /** That a message is not as it was sent: neither server nor client changes it by standing still. */
    static final class Wrong extends AssertionError {
        private static final long serialVersionUID = 1;

        Wrong(AssertionError reason) {
            super(reason.getMessage(), reason);
        }
    }

    private static final String[] TAGS = {"TagA", "TagB", "TagC"};

    /** Message number {@code i}: key, tag, flag, two user properties (one beyond ASCII) and a body of up to 3 KB. */
    static Message message(String topic, String label, int i) {
        return message(topic, label, i, body(label, i));
    }

    static Message message(String topic, String label, int i, byte[] body) {
        Message message = new Message(topic, tag(i), key(label, i), body);
        message.setFlag(i + 7);
        message.putUserProperty("number", Integer.toString(i));
        message.putUserProperty("words", "größe 数 " + label);
        return message;
    }

    static String key(String label, int i) {
        return label + "-" + i;
    }

    static String tag(int i) {
        return TAGS[i % TAGS.length];
    }

    /** Every 16th body is 40 KB of text, which the client compresses; the others are bytes of any value. */
    static byte[] body(String label, int i) {
        if (i % 16 == 15) {
            StringBuilder text = new StringBuilder();
            while (text.length() < 40_000) {
                text.append(label).append(" line ").append(i).append(" of a long text; ");
            }
            return text.toString().getBytes(StandardCharsets.UTF_8);
        }
        byte[] bytes = new byte[1 + (i * 37) % 3000];
        new Random(label.hashCode() * 31L + i).nextBytes(bytes);
        return bytes;
    }

    /** The number of a message, out of its key. */
    static int number(MessageExt message) {
        return Integer.parseInt(message.getKeys().substring(message.getKeys().lastIndexOf('-') + 1));
    }

    static boolean isOf(MessageExt message, String label) {
        String keys = message.getKeys();
        return keys != null && keys.lastIndexOf('-') > 0 && keys.substring(0, keys.lastIndexOf('-')).equals(label);
    }

    /** That this is message number {@code i} as it was sent, apart from where and when it was stored. */
    static void verify(MessageExt got, String topic, String label, int i) {
        verify(got, message(topic, label, i));
    }

    static void verify(MessageExt got, Message sent) {
        try {
            compare(got, sent);
        } catch (AssertionError e) {
            throw new Wrong(e);
        }
    }

    private static void compare(MessageExt got, Message sent) {
        String which = "message " + sent.getKeys() + " in " + sent.getTopic() + ", ";
        Context.equal(sent.getTopic(), got.getTopic(), which + "topic");
        Context.equal(sent.getKeys(), got.getKeys(), which + "keys");
        Context.equal(sent.getTags(), got.getTags(), which + "tag");
        Context.equal(sent.getFlag(), got.getFlag(), which + "flag");
        Context.check(Arrays.equals(sent.getBody(), got.getBody()), which + "body: expected "
                + sent.getBody().length + " bytes, got " + (got.getBody() == null ? "none" : got.getBody().length));
        for (Map.Entry<String, String> property : sent.getProperties().entrySet()) {
            // A client sets these two while it sends, and the server may drop them from what it stores.
            if (!property.getKey().equals("WAIT") && !property.getKey().equals("DELAY")) {
                Context.equal(property.getValue(), got.getProperty(property.getKey()),
                        which + "property " + property.getKey());
            }
        }
        Context.check(got.getStoreTimestamp() > 0 && got.getBornTimestamp() > 0, which + "timestamps: " + got);
        Context.check(got.getStoreTimestamp() - got.getBornTimestamp() > -2000, which + "stored before it was born: " + got);
        Context.check(got.getBornHost() != null && got.getStoreHost() != null, which + "hosts: " + got);
    }

    /** That the message is where the send's answer said it would be. */
    static void verifyPlace(MessageExt got, SendResult result) {
        String which = "message " + got.getKeys() + ", ";
        Context.equal(SendStatus.SEND_OK, result.getSendStatus(), which + "send status");
        Context.equal(result.getMessageQueue().getQueueId(), got.getQueueId(), which + "queue");
        Context.equal(result.getQueueOffset(), got.getQueueOffset(), which + "queue offset");
        Context.equal(result.getMsgId(), got.getMsgId(), which + "message id");
        Context.equal(result.getMessageQueue().getBrokerName(), got.getBrokerName() == null
                ? result.getMessageQueue().getBrokerName() : got.getBrokerName(), which + "broker name");
        // The offset message id spells the store host and the physical offset: 4 + 4 + 8 bytes in hex.
        Context.equal(String.format("%016X", got.getCommitLogOffset()),
                result.getOffsetMsgId().substring(16), which + "physical offset in the offset message id");
        Context.equal(0, got.getReconsumeTimes(), which + "reconsume times");
    }

    private Sample() {}
}
