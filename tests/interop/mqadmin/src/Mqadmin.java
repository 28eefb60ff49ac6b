import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.apache.rocketmq.tools.command.SubCommand;

/**
 * Runs a script of steps against one server, in one JVM: the official tool's own entry point, called as its launcher
 * calls it, with what it prints kept apart for each step.
 *
 * <p>{@code java Mqadmin SCRIPT RESULTS NAMESRV BROKER}: a line of SCRIPT is a step, its fields parted by tabs:
 * <ul>
 * <li>{@code mqadmin LINES COMMAND ARGUMENT...}: a subcommand; with LINES above 0 it is one that would go on for ever
 * and is interrupted once it has printed that many;
 * <li>{@code admin METHOD ARGUMENT...}: a call of the admin API, see {@link Api};
 * <li>{@code world ACT ARGUMENT...}: something that clients do, see {@link World}.
 * </ul>
 * Step N leaves N.out, N.err and N.state in RESULTS: {@code done}, {@code cut} after its lines, {@code stuck} after its
 * time, or {@code failed} for a call or an act that threw. {@code subcommands} lists what the tool registers, and
 * {@code names} what stands for what in this run ({@link Names}).
 */
public final class Mqadmin {
    private static final long PATIENCE_MS = 150_000;
    private static final PrintStream OUT = System.out;
    private static final PrintStream ERR = System.err;

    public static void main(String[] args) {
        int status = 0;
        try {
            run(args);
        } catch (Throwable thrown) {
            thrown.printStackTrace(ERR);
            status = 1;
        }
        // Clients that are still online are not waited for.
        Runtime.getRuntime().halt(status);
    }

    private static void run(String[] args) throws Exception {
        List<String> script = Files.readAllLines(Path.of(args[0]));
        Path results = Path.of(args[1]);
        Names names = new Names();
        names.put("namesrv", args[2]);
        names.put("broker", args[3]);
        names.put("dir", results.toAbsolutePath().toString());
        System.setProperty("rocketmq.namesrv.addr", args[2]);

        Files.write(results.resolve("subcommands"), Tool.subcommands());

        World world = new World(names);
        Api api = new Api(names);
        for (int i = 0; i < script.size(); i++) {
            String[] fields = script.get(i).split("\t");
            for (int j = 0; j < fields.length; j++) {
                fields[j] = names.fill(fields[j]);
            }
            long begun = System.currentTimeMillis();
            String state = run(fields, world, api, results.resolve(Integer.toString(i)));
            OUT.printf("%d %d ms %s %s%n", i, System.currentTimeMillis() - begun, state, script.get(i));
            Files.writeString(results.resolve(i + ".state"), state);
        }
        Files.write(results.resolve("names"), names.lines());
    }

    private static String run(String[] fields, World world, Api api, Path result) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        int lines = fields[0].equals("mqadmin") ? Integer.parseInt(fields[1]) : 0;
        boolean[] failed = {false};
        Thread step = new Thread(() -> {
            try {
                switch (fields[0]) {
                    case "mqadmin":
                        Tool.run(rest(fields, 2));
                        break;
                    case "admin":
                        System.out.print(api.call(fields[1], rest(fields, 2)));
                        break;
                    default:
                        world.act(fields[1], rest(fields, 2));
                }
            } catch (Throwable thrown) {
                failed[0] = true;
                thrown.printStackTrace();
            }
        });
        step.start();
        long limit = System.currentTimeMillis() + PATIENCE_MS;
        boolean cut = false;
        while (step.isAlive() && System.currentTimeMillis() < limit) {
            step.join(5);
            hasten(step);
            if (lines > 0 && !cut && out.toString(StandardCharsets.UTF_8).lines().count() >= lines) {
                cut = true;
                Files.writeString(Path.of(result + ".out"), out.toString(StandardCharsets.UTF_8));
                step.interrupt();
            }
        }
        boolean stuck = step.isAlive();
        System.setOut(OUT);
        System.setErr(ERR);
        if (cut) {
            // How it takes the interruption is nobody's concern.
            Files.writeString(Path.of(result + ".err"), "");
            return "cut";
        }
        Files.write(Path.of(result + ".out"), out.toByteArray());
        Files.write(Path.of(result + ".err"), err.toByteArray());
        if (stuck) {
            step.interrupt();
            return "stuck";
        }
        return failed[0] ? "failed" : "done";
    }

    /**
     * A client that shuts down waits for its threads, and one of them, which reports connections, looks up every three
     * seconds only. Woken early, it sees that it is to end; in other clients it just goes on.
     */
    private static void hasten(Thread step) {
        for (StackTraceElement frame : step.getStackTrace()) {
            if (frame.getMethodName().equals("shutdown") && frame.getClassName().endsWith(".ServiceThread")) {
                for (Thread thread : Thread.getAllStackTraces().keySet()) {
                    if (thread.getName().startsWith("NettyEventExecutor")) {
                        thread.interrupt();
                    }
                }
                return;
            }
        }
    }

    private static String[] rest(String[] fields, int from) {
        String[] rest = new String[fields.length - from];
        System.arraycopy(fields, from, rest, 0, rest.length);
        return rest;
    }

    /** The tool, with a new list of subcommands for each run: some of them keep a client that is closed by then. */
    private static final class Tool extends MQAdminStartup {
        static void run(String[] args) {
            SUB_COMMANDS.clear();
            main0(args, null);
        }

        static List<String> subcommands() {
            SUB_COMMANDS.clear();
            initCommand();
            List<String> names = new ArrayList<>();
            for (SubCommand command : SUB_COMMANDS) {
                names.add(command.commandName());
            }
            return names;
        }
    }
}
