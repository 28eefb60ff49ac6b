//! What keeping MQTT sessions costs: `cargo bench -p ferromq-gateway --bench mqtt_state`.
//!
//! | question | how it is answered |
//! |---|---|
//! | how many commits a second | 1 and 64 tasks that each commit a message on its way with its position, and wait, in both flush modes |
//! | what a change costs that may wait | as many positions as one thread says in a second |
//! | how long a start takes | after a process died that held 100,000 sessions of 3 subscriptions |
//! | what a session without a connection takes | the growth of this process by that start |
//!
//! The result is a Markdown table on stdout.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferromq_gateway::mqtt::state::{
    Change, Connect, Expiry, Log, Options, Outbound, Phase, RetainLimits, SessionNumber, Source, State,
    Subscription,
};
use ferromq_model::record::Record;
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};
use ferromq_store::FlushMode;

const SESSIONS: u32 = 100_000;
const FILTERS: [&str; 3] = ["devices/+/commands", "alerts/#", "config/site-17/building-4/update"];
const SPAN: Duration = Duration::from_secs(5);

/// A log with nothing in it.
struct Empty;

impl Log for Empty {
    fn end(&self) -> PhysicalOffset {
        PhysicalOffset::ZERO
    }

    fn each_record(&self, _: PhysicalOffset, _: &mut dyn FnMut(&Record<'_>) -> bool) {}
}

fn open(dir: &Path, flush: FlushMode) -> State {
    let retain = RetainLimits { messages: 1000, bytes: 1 << 20 };
    let options = Options { dir: dir.to_owned(), flush, sessions: usize::MAX, retain };
    State::open(&options, Arc::new(Empty), Timestamp::now(), |_, _, _| None).expect("opens")
}

fn subscription(session: SessionNumber, filter: &Arc<str>, next: u64) -> Change {
    let subscription = Subscription {
        qos: 2,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
        identifier: None,
        next: QueueOffset(next),
        since: QueueOffset::ZERO,
    };
    Change::Subscription { session, filter: Arc::clone(filter), subscription }
}

fn on_its_way(session: SessionNumber, filter: &Arc<str>, n: u64) -> [Change; 2] {
    let source = Source::Queue { filter: Arc::clone(filter), offset: QueueOffset(n) };
    let outbound = Outbound { order: n, qos: 2, phase: Phase::Sent, source };
    [
        subscription(session, filter, n + 1),
        Change::Outbound { session, packet_id: (n % 32) as u16 + 1, outbound },
    ]
}

async fn session(state: &State, client: u32) -> SessionNumber {
    let connect = Connect {
        client_id: format!("device-{client:08}").into(),
        version: 5,
        clean_start: false,
        expiry: Expiry::Never,
        will: None,
    };
    let connected = state.connect(connect, Timestamp::now()).await.expect("connects");
    connected.durable.leave();
    connected.number
}

/// Commits a second, and the longest that one of a hundred took.
async fn commits(flush: FlushMode, tasks: u32) -> (f64, Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    let state = open(dir.path(), flush);
    let begun = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|client| {
            let state = state.clone();
            tokio::spawn(async move {
                let session = session(&state, client).await;
                let filter: Arc<str> = FILTERS[0].into();
                let mut times = Vec::new();
                while begun.elapsed() < SPAN {
                    let from = Instant::now();
                    let changes = on_its_way(session, &filter, times.len() as u64);
                    state.commit(changes).wait().await.expect("safe");
                    times.push(from.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in running {
        times.extend(task.await.expect("runs"));
    }
    times.sort_unstable();
    (times.len() as f64 / SPAN.as_secs_f64(), times[times.len() * 99 / 100])
}

/// Nanoseconds that a position takes which is written later.
async fn later() -> u128 {
    let dir = tempfile::tempdir().expect("a directory");
    let state = open(dir.path(), FlushMode::Async);
    let session = session(&state, 0).await;
    let filter: Arc<str> = FILTERS[0].into();
    let begun = Instant::now();
    let mut said = 0_u64;
    while begun.elapsed() < SPAN {
        state.later([subscription(session, &filter, said)]);
        said += 1;
    }
    begun.elapsed().as_nanos() / u128::from(said)
}

/// Makes the sessions, and dies.
async fn fill(dir: &Path) {
    let state = open(dir, FlushMode::Async);
    let filters = FILTERS.map(Arc::from);
    for client in 0..SESSIONS {
        let session = session(&state, client).await;
        let all = state.commit(filters.each_ref().map(|filter| subscription(session, filter, 1)));
        if client % 64 == 63 {
            all.wait().await.expect("safe");
        } else {
            all.leave();
        }
    }
    state.flush().wait().await.expect("safe");
    std::process::abort();
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut args = std::env::args().skip_while(|arg| arg != "--fill");
    if let (Some(_), Some(dir)) = (args.next(), args.next()) {
        return runtime.block_on(fill(Path::new(&dir)));
    }
    println!("| what | figure |\n|---|---:|");
    let dir = tempfile::tempdir().expect("a directory");
    let before = resident();
    let begun = Instant::now();
    let state = open(dir.path(), FlushMode::Async);
    let taken = begun.elapsed().as_millis();
    println!("| the first start ever | {taken} ms |");
    println!("| memory without any session | {} KiB |", (resident() - before) >> 10);
    drop(state);

    let me = std::env::current_exe().expect("a path");
    let died = Command::new(me).arg("--fill").arg(dir.path()).status().expect("runs");
    assert!(!died.success(), "it dies");
    for state_of in ["the death of its process", "that start, which made all of them lose their connections"]
    {
        let before = resident();
        let begun = Instant::now();
        let state = open(dir.path(), FlushMode::Async);
        println!("| start with {SESSIONS} sessions after {state_of} | {} ms |", begun.elapsed().as_millis());
        println!("| memory of each | {} bytes |", (resident().saturating_sub(before)) / u64::from(SESSIONS));
        assert_eq!(state.session_count(), SESSIONS as usize);
        let begun = Instant::now();
        runtime.block_on(async {
            for client in 0..1000 {
                session(&state, client * 97).await;
            }
        });
        println!("| to resume one of them | {} µs |", begun.elapsed().as_micros() / 1000);
    }
    for flush in [FlushMode::Async, FlushMode::Sync] {
        for tasks in [1, 64] {
            let (rate, slow) = runtime.block_on(commits(flush, tasks));
            println!("| {flush:?} flush, {tasks} at a time: commits a second | {rate:.0} |");
            println!("| … 99 of 100 within | {:.2} ms |", slow.as_secs_f64() * 1000.0);
        }
    }
    println!("| a position that is written later | {} ns |", runtime.block_on(later()));
}
