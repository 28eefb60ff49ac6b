import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;

/** Several consumers of one group. */
final class Groups {
    /** Two members split the queues, each gets exactly its queues' messages; when one leaves, the other has them all. */
    static void sharedGroup(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Recorder[] recorders = {new Recorder(), new Recorder()};
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        AtomicInteger told = new AtomicInteger();
        for (Recorder recorder : recorders) {
            DefaultMQPushConsumer member =
                    members.isEmpty() ? context.consumer(group, told) : context.consumer(group);
            member.subscribe(topic, "*");
            member.registerMessageListener(recorder.concurrently());
            member.start();
            members.add(member);
        }
        for (DefaultMQPushConsumer member : members) {
            Context.awaitOwned(member, topic, 2);
        }
        Set<Integer> ofFirst = Context.owned(members.get(0), topic);
        Set<Integer> ofSecond = Context.owned(members.get(1), topic);
        Set<Integer> union = new TreeSet<>(ofFirst);
        union.addAll(ofSecond);
        Context.equal(4, union.size(), "queues owned by " + ofFirst + " and " + ofSecond);
        Consuming.sendByQueue(context, topic, "shared", 0, 80);
        Context.await("80 deliveries", () -> recorders[0].count() + recorders[1].count() >= 80);
        Context.equal(ofFirst, recorders[0].queues(), "queues that the first member got messages of");
        Context.equal(ofSecond, recorders[1].queues(), "queues that the second member got messages of");
        Context.equal(40, recorders[0].numbers().size(), "messages of the first member");
        Context.equal(40, recorders[1].numbers().size(), "messages of the second member");

        Consuming.awaitCommittedBy(context, topic, members.get(1), members.get(0));
        int before = told.get();
        members.get(1).shutdown();
        // It would look by itself every 20 s, too.
        Context.await("the server to tell the first member", () -> told.get() > before);
        Context.awaitOwned(members.get(0), topic, 4);
        Consuming.sendByQueue(context, topic, "shared", 80, 120);
        Context.await("40 more deliveries", () -> recorders[0].numbers().size() >= 80);
        Set<Integer> all = recorders[0].numbers();
        for (int i = 80; i < 120; i++) {
            Context.check(all.contains(i), "message " + i + " did not reach the member that stayed");
            Context.equal(1, recorders[0].of(Sample.key("shared", i)).size(), "deliveries of " + i);
        }
        Context.equal(40, recorders[1].count(), "deliveries to the member that left");
    }

    /** A member in another process is killed: the other takes over its queues, and no message is missing. */
    static void takeover(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Set<Integer> itsNumbers = new ConcurrentSkipListSet<>();
        Set<Integer> itsQueues = new ConcurrentSkipListSet<>();
        AtomicInteger itOwns = new AtomicInteger();
        OtherProcess other = new OtherProcess(context, "member:" + topic + "," + group, words -> {
            if (words[0].equals("owns")) {
                itOwns.set(words.length > 1 ? words[1].split(",").length : 0);
            } else if (words[0].equals("got")) {
                itsNumbers.add(Integer.parseInt(words[1]));
                itsQueues.add(Integer.parseInt(words[2]));
            }
        });

        Recorder recorder = new Recorder();
        AtomicInteger told = new AtomicInteger();
        DefaultMQPushConsumer mine = context.consumer(group, told);
        mine.subscribe(topic, "*");
        mine.registerMessageListener(recorder.concurrently());
        mine.start();
        Context.await("two queues for each member", () -> {
            other.checkRuns();
            return itOwns.get() == 2 && Context.owned(mine, topic).size() == 2;
        });
        Consuming.sendByQueue(context, topic, "share", 0, 80);
        Context.await("80 messages between the two", () -> recorder.numbers().size() + itsNumbers.size() >= 80);
        Context.equal(Context.owned(mine, topic), recorder.queues(), "queues that this member got messages of");
        Context.equal(40, recorder.numbers().size(), "messages of this member");
        Set<Integer> both = new TreeSet<>(recorder.queues());
        both.addAll(itsQueues);
        Context.equal(4, both.size(), "queues of both members together");

        int before = told.get();
        other.kill();
        Consuming.sendByQueue(context, topic, "share", 80, 160);
        // It would look by itself every 20 s, too: the closed connection alone has to make the server tell it, which
        // ends a member that it hears nothing of only after 120 s.
        Context.await("the server to tell the member that is left", 60_000, () -> told.get() > before);
        Context.awaitOwned(mine, topic, 4);
        Context.await("the messages after the kill", () -> {
            Set<Integer> got = recorder.numbers();
            for (int i = 80; i < 160; i++) {
                if (!got.contains(i)) {
                    return false;
                }
            }
            return true;
        });
        // What the killed one had not committed may come again, but nothing of this member's own.
        for (Recorder.Delivery delivery : recorder.deliveries()) {
            int number = Sample.number(delivery.message);
            Sample.verify(delivery.message, topic, "share", number);
            Context.check(recorder.of(delivery.message.getKeys()).size() == 1, "message " + number + " came twice");
        }
    }

    /** The other process of {@link #takeover}: consumes until it is killed, or until its parent is gone. */
    static void member(Context context) throws Exception {
        String topic = context.argument.split(",")[0];
        String group = context.argument.split(",")[1];
        DefaultMQPushConsumer consumer = context.consumer(group);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, unused) -> {
            messages.forEach(OtherProcess::sayGot);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        OtherProcess.serve(consumer, topic);
    }

    /** Orderly members hand queues over with their locks: order holds across the change of owner. */
    static void orderlyHandover(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        Recorder recorder = new Recorder();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer member = context.consumer(group);
            member.subscribe(topic, "*");
            member.registerMessageListener(recorder.orderly());
            member.start();
            members.add(member);
        }
        Context.await("two queues for each member", () -> {
            members.forEach(Groups::settle);
            return Context.owned(members.get(0), topic).size() == 2 && Context.owned(members.get(1), topic).size() == 2;
        });
        Consuming.sendByQueue(context, topic, "handover", 0, 40);
        Context.await("40 deliveries", () -> {
            members.forEach(Groups::settle);
            return recorder.count() >= 40;
        });
        Consuming.awaitCommittedBy(context, topic, members.get(0), members.get(1));
        members.get(0).shutdown();
        Consuming.sendByQueue(context, topic, "handover", 40, 80);
        Context.await("80 deliveries", () -> {
            settle(members.get(1));
            return recorder.count() >= 80;
        });
        Consuming.verifyOrderly(recorder, topic, "handover", -1, 1, 1);
        Context.equal(80, recorder.count(), "deliveries");
    }

    /** Does at once what an orderly consumer does every 20 s: divide the queues again, and ask for its locks. */
    private static void settle(DefaultMQPushConsumer member) {
        member.getDefaultMQPushConsumerImpl().doRebalance();
        member.getDefaultMQPushConsumerImpl().getRebalanceImpl().lockAll();
    }

    /** Every member gets everything, keeps its position itself, and goes on there when it is started again. */
    static void broadcasting(Context context) throws Exception {
        String topic = context.topic("t", 4);
        String group = context.name("g");
        String instance = Context.instance();
        Recorder[] recorders = {new Recorder(), new Recorder()};
        DefaultMQPushConsumer[] members = new DefaultMQPushConsumer[2];
        for (int i = 0; i < 2; i++) {
            members[i] = context.consumer(group);
            members[i].setInstanceName(instance + "b" + i);
            Context.broadcast(members[i]);
            members[i].subscribe(topic, "*");
            members[i].registerMessageListener(recorders[i].concurrently());
            members[i].start();
        }
        Context.awaitOwned(members[0], topic, 4);
        Context.awaitOwned(members[1], topic, 4);
        Consuming.sendRange(context, topic, "broadcast", 0, 60);
        for (Recorder recorder : recorders) {
            Context.await("60 deliveries", () -> recorder.count() >= 60);
            recorder.verifyOnce(topic, "broadcast", 0, 60);
        }
        Consuming.awaitConsumedBy(context, topic, members[0]);
        members[0].shutdown();
        Consuming.sendRange(context, topic, "broadcast", 60, 80);
        Recorder after = new Recorder();
        DefaultMQPushConsumer again = context.consumer(group);
        again.setInstanceName(instance + "b0");
        Context.broadcast(again);
        again.subscribe(topic, "*");
        again.registerMessageListener(after.concurrently());
        again.start();
        Context.await("20 deliveries after the restart", () -> after.count() >= 20);
        after.verifyOnce(topic, "broadcast", 60, 80);
        Context.await("80 deliveries to the member that stayed", () -> recorders[1].count() >= 80);
        recorders[1].verifyOnce(topic, "broadcast", 0, 80);
    }

    private Groups() {}
}
