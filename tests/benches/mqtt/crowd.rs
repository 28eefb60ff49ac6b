//! Connections: how fast they come and go, and what those cost that stay and do nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Clients};
use crate::server::Running;

/// Connections on their way at a time.
const AT_ONCE: usize = 64;
/// What is freed late is freed by then.
const SETTLED: Duration = Duration::from_secs(3);

/// Connections a second that are accepted by CONNACK and closed, and the server's CPU for each in microseconds.
pub(crate) fn connects(server: &Running, span: Duration) -> (f64, f64) {
    let mut clients = Clients::new();
    let mut number = 0;
    let mut open = |clients: &mut Clients, at: usize| {
        clients.put(at, Client::open(server.address(), number, &format!("comes{number}")));
        number += 1;
    };
    (0..AT_ONCE).for_each(|at| open(&mut clients, at));
    let (began, before) = (Instant::now(), server.cpu());
    let mut accepted = 0_u64;
    let mut ready = Vec::new();
    while began.elapsed() < span {
        clients.wait(Duration::from_secs(1), &mut ready);
        for &at in &ready {
            let mut answered = false;
            let client = clients.all[at].as_mut().expect("it is there");
            client.read(&mut clients.scratch, |(_, body), _| answered = body[1] == 0);
            if answered {
                accepted += 1;
                clients.all[at].take().expect("it is there").close();
                open(&mut clients, at);
            }
        }
    }
    (accepted as f64 / began.elapsed().as_secs_f64(), (server.cpu() - before) / accepted as f64)
}

/// Bytes of the server's own memory for each connection that does nothing: connected, and with a subscription.
pub(crate) fn idle(server: &Running, count: usize) -> (f64, f64) {
    // What the first ones allocate is not theirs alone.
    drop(Clients::open(server.address(), 100, "first"));
    thread::sleep(SETTLED);
    let before = server.memory();
    let each = |memory: u64| memory.saturating_sub(before) as f64 / count as f64;
    let mut clients = Clients::open(server.address(), count, "idle");
    thread::sleep(SETTLED);
    let connected = each(server.memory());
    clients.subscribe(|number| Some(format!("idle/{number}")));
    thread::sleep(SETTLED);
    (connected, each(server.memory()))
}
