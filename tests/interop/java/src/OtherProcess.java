import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A second process of the same client, which can be killed. It runs one of the scenarios that are not part of `all`,
 * and tells in lines of its output which queues it owns ({@code owns 0,1}) and what it got ({@code got NUMBER QUEUE}).
 */
final class OtherProcess {
    private final Process process;
    private final Thread reader;
    private final List<String> unexpected = Collections.synchronizedList(new ArrayList<>());

    /** Starts it; {@code heard} is called with the words of each line, from one thread. */
    OtherProcess(Context context, String scenario, Consumer<String[]> heard) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java");
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.add("-cp");
        command.add(System.getProperty("java.class.path"));
        command.add("Interop");
        command.add(context.namesrv);
        command.add(scenario);
        process = new ProcessBuilder(command).redirectErrorStream(true).start();
        context.onClose(process::destroyForcibly);
        reader = new Thread(() -> {
            try (BufferedReader lines = new BufferedReader(
                    new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.startsWith("owns") || line.startsWith("got")) {
                        heard.accept(line.split(" "));
                    } else {
                        unexpected.add(line);
                    }
                }
            } catch (Exception ended) {
                unexpected.add(ended.toString());
            }
        });
        reader.setDaemon(true);
        reader.start();
    }

    void checkRuns() {
        Context.check(process.isAlive(), "the other process ended: " + unexpected);
    }

    /** Ends it without a word to anybody; all that it had told is heard then. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
        reader.join();
    }

    /** In the other process: tells what the consumer owns, until this process is killed or its parent is gone. */
    static void serve(DefaultMQPushConsumer consumer, String topic) throws Exception {
        Set<Integer> told = null;
        while (System.in.available() == 0) {
            Set<Integer> owned = Context.owned(consumer, topic);
            if (!owned.equals(told)) {
                told = owned;
                say("owns " + owned.toString().replaceAll("[\\[\\] ]", ""));
            }
            Thread.sleep(20);
        }
    }

    static void sayGot(MessageExt message) {
        say("got " + Sample.number(message) + " " + message.getQueueId());
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
