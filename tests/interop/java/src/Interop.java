import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs scenarios of the official Java client against the server behind a NameServer address.
 *
 * <pre>
 * java Interop NAMESRV list                   prints the names that `all` stands for
 * java Interop NAMESRV all                    runs them, a few at a time
 * java Interop NAMESRV NAME[:ARGUMENT] ...    runs these, one after the other
 * </pre>
 *
 * Prints one line per scenario, {@code ok NAME 0.8s} or {@code FAILED NAME 3.2s: REASON} (then the stack trace),
 * and exits with 1 when one failed. The sources compile unchanged against every client version under test.
 */
public final class Interop {
    /** How many scenarios run at once: most of their time is spent waiting for a delay or a retry. */
    private static final int AT_ONCE = 6;
    /** Longer than any scenario needs on a busy machine; one that takes longer hangs. */
    private static final long SCENARIO_TIMEOUT_MS = 400_000;
    /** How often a scenario is begun that fails while the server or this process stands still. */
    private static final int TRIES = 3;

    /** One scenario: returns when everything it expects has happened, throws what did not. */
    interface Scenario {
        void run(Context context) throws Exception;
    }

    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();
    /** Not part of `all`: they need an argument, or prepare a store for the others. */
    private static final Map<String, Scenario> ON_REQUEST = new LinkedHashMap<>();

    static {
        // The slow ones first: a lock that nobody renews is held for a minute, and a client that is told to start elsewhere (from_first) waits 20 s before it does.
        SCENARIOS.put("orderly_lock_expiry", Locking::takeover);
        addLater();
        SCENARIOS.put("from_first", Positions::fromFirst);
        SCENARIOS.put("takeover", Groups::takeover);
        SCENARIOS.put("delay_level", Retrying::delayLevel);
        SCENARIOS.put("retry", Retrying::retry);
        SCENARIOS.put("dlq", Retrying::dlq);
        SCENARIOS.put("transaction_check_limit", Transactions::checkLimit);
        SCENARIOS.put("transaction_check_commits", Transactions::checkCommits);
        SCENARIOS.put("transaction_check_rolls_back", Transactions::checkRollsBack);
        SCENARIOS.put("transaction_check_other_producer", Transactions::checkOther);
        SCENARIOS.put("transaction_rollback", Transactions::rollback);
        SCENARIOS.put("transaction_commit", Transactions::commit);
        SCENARIOS.put("timed", Timed::delivered);
        SCENARIOS.put("timed_past", Timed::past);
        SCENARIOS.put("timed_refused", Timed::refused);
        SCENARIOS.put("sql_push", Filtering::push);
        SCENARIOS.put("sql_expressions", Filtering::expressions);
        SCENARIOS.put("sql_refused", Filtering::refused);
        if (Requests.canWait()) {
            SCENARIOS.put("request_sync", Requests::sync);
        }
        SCENARIOS.put("request_async", Requests::async);
        SCENARIOS.put("request_timeout", Requests::timeout);
        SCENARIOS.put("expired_offset", Resetting::expired);
        SCENARIOS.put("reset_online", Resetting::online);
        SCENARIOS.put("reset_offline", Resetting::offline);
        SCENARIOS.put("replay", Resetting::replay);
        SCENARIOS.put("clone_offsets", Resetting::cloned);
        SCENARIOS.put("deleted_topic", Resetting::deleted);
        SCENARIOS.put("query_by_key", Lookup::byKey);
        SCENARIOS.put("query_by_id", Lookup::byId);
        SCENARIOS.put("trace", Lookup::trace);
        SCENARIOS.put("compressed", Passing::compressed);
        SCENARIOS.put("light_queues", Passing::lightQueues);
        SCENARIOS.put("from_timestamp", Positions::fromTimestamp);
        SCENARIOS.put("long_poll", Consuming::longPoll);
        SCENARIOS.put("orderly_handover", Groups::orderlyHandover);
        SCENARIOS.put("orderly_dlq", Retrying::orderlyDlq);
        SCENARIOS.put("send_sync", Sending::sync);
        SCENARIOS.put("send_async", Sending::async);
        SCENARIOS.put("send_oneway", Sending::oneway);
        SCENARIOS.put("send_batch", Sending::batch);
        SCENARIOS.put("send_refused", Sending::refused);
        SCENARIOS.put("auto_create", Sending::autoCreate);
        SCENARIOS.put("fast_port", Sending::fastPort);
        SCENARIOS.put("tags", Consuming::tags);
        SCENARIOS.put("concurrent", Consuming::concurrent);
        SCENARIOS.put("orderly", Consuming::orderly);
        SCENARIOS.put("lite_pull", Consuming::litePull);
        SCENARIOS.put("shared_group", Groups::sharedGroup);
        SCENARIOS.put("broadcasting", Groups::broadcasting);
        SCENARIOS.put("from_last", Positions::fromLast);
        SCENARIOS.put("young_topic", Positions::youngTopic);
        SCENARIOS.put("queue_bounds", Positions::queueBounds);
        ON_REQUEST.put("age", Positions::age);
        ON_REQUEST.put("exchange_write", Exchange::write);
        ON_REQUEST.put("exchange_read", Exchange::read);
        ON_REQUEST.put("exchange_reread", Exchange::reread);
        ON_REQUEST.put("member", Groups::member);
        ON_REQUEST.put("orderly_member", Locking::member);
    }

    /** The scenarios in src5, if they were compiled along. */
    private static void addLater() {
        try {
            Class.forName("Later").getMethod("addTo", Map.class, Map.class).invoke(null, SCENARIOS, ON_REQUEST);
        } catch (ClassNotFoundException olderClient) {
            return;
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length < 2) {
            System.err.println("usage: Interop NAMESRV list|all|NAME[:ARGUMENT]...");
            System.exit(2);
        }
        String namesrv = args[0];
        if (args[1].equals("list")) {
            SCENARIOS.keySet().forEach(System.out::println);
            return;
        }
        List<String> chosen = new ArrayList<>();
        boolean all = args[1].equals("all");
        if (all) {
            chosen.addAll(SCENARIOS.keySet());
        } else {
            for (int i = 1; i < args.length; i++) {
                chosen.add(args[i]);
            }
        }
        // Scenarios that are named on the command line use fixed names, so they cannot be begun anew.
        Stalls stalls = all ? Stalls.watch(namesrv) : null;
        ExecutorService pool = Executors.newFixedThreadPool(all ? AT_ONCE : 1);
        List<Future<Boolean>> outcomes = new ArrayList<>();
        for (String one : chosen) {
            outcomes.add(pool.submit(() -> runOne(namesrv, one, stalls)));
        }
        boolean ok = true;
        for (Future<Boolean> outcome : outcomes) {
            ok &= outcome.get();
        }
        // Client threads that linger must not keep the process alive once every scenario has its verdict.
        System.out.flush();
        System.err.flush();
        Runtime.getRuntime().halt(ok ? 0 : 1);
    }

    private static boolean runOne(String namesrv, String one, Stalls stalls) {
        String name = one.contains(":") ? one.substring(0, one.indexOf(':')) : one;
        String argument = one.contains(":") ? one.substring(one.indexOf(':') + 1) : "";
        Scenario scenario = SCENARIOS.containsKey(name) ? SCENARIOS.get(name) : ON_REQUEST.get(name);
        if (scenario == null) {
            report("FAILED " + one + " 0.0s: there is no such scenario", null);
            return false;
        }
        for (int tries = 1;; tries++) {
            long start = System.nanoTime();
            Throwable failure = runOnce(new Context(namesrv, name, argument), name, scenario);
            long stall = stalls == null ? 0 : stalls.longestSince(start);
            String took = String.format("%.1fs", (System.nanoTime() - start) / 1e9);
            if (failure == null) {
                report("ok " + one + " " + took, null);
                return true;
            }
            String reason = one + " " + took + ": " + String.valueOf(failure).replace('\n', ' ');
            if (stall == 0 || tries == TRIES || failure instanceof Sample.Wrong) {
                report("FAILED " + reason, failure);
                return false;
            }
            report("begun anew, as nothing went on for " + stall + " ms: " + reason, failure);
        }
    }

    /** What it failed by, if it did. */
    private static Throwable runOnce(Context context, String name, Scenario scenario) {
        Throwable failure = null;
        ExecutorService own = Executors.newSingleThreadExecutor(work -> {
            Thread thread = new Thread(work, "scenario-" + name);
            thread.setDaemon(true);
            return thread;
        });
        Future<?> running = own.submit(() -> {
            scenario.run(context);
            return null;
        });
        try {
            running.get(SCENARIO_TIMEOUT_MS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            failure = e.getCause();
        } catch (TimeoutException e) {
            failure = new AssertionError("no end after " + SCENARIO_TIMEOUT_MS / 1000 + " s");
            for (Map.Entry<Thread, StackTraceElement[]> entry : Thread.getAllStackTraces().entrySet()) {
                if (entry.getKey().getName().equals("scenario-" + name)) {
                    failure.setStackTrace(entry.getValue());
                }
            }
        } catch (InterruptedException e) {
            failure = e;
        }
        try {
            context.close();
        } catch (Throwable e) {
            failure = failure == null ? e : failure;
        }
        own.shutdownNow();
        return failure;
    }

    private static synchronized void report(String line, Throwable failure) {
        System.out.println(line);
        if (failure != null) {
            failure.printStackTrace(System.out);
        }
        System.out.flush();
    }

    private Interop() {}
}
