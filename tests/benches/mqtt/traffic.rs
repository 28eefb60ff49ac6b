//! Messages from publishers to subscribers, as fast as they are acknowledged or at a rate.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::Args;
use crate::client::{Clients, Frame, PUBACK, PUBLISH, message};
use crate::server::Running;

/// Before anything counts.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// How many windows of messages may be acknowledged to a publisher and not have come to its subscriber.
const AHEAD: usize = 4;
/// Messages that are on their way to all of a thousand subscribers.
const FAN_OUT_AHEAD: usize = 8;

/// What was seen.
pub(crate) struct Seen {
    messages: u64,
    took: Duration,
    server: f64,
    own: f64,
    latency: Histogram<u64>,
}

impl Seen {
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn server_cpu(&self) -> f64 {
        self.server / self.messages as f64
    }

    pub(crate) fn own_cpu(&self) -> f64 {
        self.own / self.messages as f64
    }

    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Counts once the warm-up is over.
struct Count<'a> {
    server: &'a Running,
    began: Instant,
    /// When it counts from: time, and CPU of both.
    from: Option<(Instant, f64, f64)>,
    span: Duration,
    messages: u64,
    latency: Histogram<u64>,
}

impl<'a> Count<'a> {
    fn new(server: &'a Running, span: Duration) -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("a histogram");
        Self { server, began: Instant::now(), from: None, span, messages: 0, latency }
    }

    /// Nanoseconds since the begin.
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// A message came, now.
    fn came(&mut self, payload: &[u8], now: u64) {
        if self.from.is_some() {
            self.messages += 1;
            let due = u64::from_be_bytes(payload[..8].try_into().expect("8 bytes"));
            self.latency.saturating_record(now.saturating_sub(due) / 1_000);
        }
    }

    /// Whether it is not over yet.
    fn goes_on(&mut self) -> bool {
        match self.from {
            None => {
                if self.began.elapsed() > WARM_UP {
                    self.from = Some((Instant::now(), self.server.cpu(), own_cpu()));
                }
                true
            }
            Some((from, ..)) => from.elapsed() < self.span,
        }
    }

    fn end(self) -> Seen {
        let (from, server, own) = self.from.expect("it lasted longer than the warm-up");
        assert!(self.messages > 0, "nothing came");
        Seen {
            messages: self.messages,
            took: from.elapsed(),
            server: self.server.cpu() - server,
            own: own_cpu() - own,
            latency: self.latency,
        }
    }
}

/// CPU time of this thread, in microseconds.
fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// A publisher and its subscriber.
struct Pair {
    frame: Frame,
    sent: usize,
    acknowledged: usize,
    received: usize,
}

impl Pair {
    fn room(&self, window: usize) -> usize {
        let unanswered = window.saturating_sub(self.sent - self.acknowledged);
        unanswered.min((AHEAD * window).saturating_sub(self.sent - self.received))
    }
}

/// Publishers with a subscriber each: without a rate, each as fast as both are acknowledged.
pub(crate) fn pairs(args: &Args, server: &Running, rate: Option<u64>, span: Duration) -> Seen {
    let count = args.pairs;
    // Subscribers first, publishers behind them.
    let mut clients = Clients::open(server.address(), 2 * count, "pair");
    clients.subscribe(|number| (number < count).then(|| format!("bench/{number}")));
    let mut pairs: Vec<_> = (0..count)
        .map(|number| Pair {
            frame: Frame::new(&format!("bench/{number}"), args.size as usize),
            sent: 0,
            acknowledged: 0,
            received: 0,
        })
        .collect();
    let mut seen = Count::new(server, span);
    let gap = rate.map(|rate| 1_000_000_000 / rate);
    let mut next_due = 0;
    let mut turn = 0;
    let mut ready: Vec<usize> = Vec::new();
    let mut touched: Vec<usize> = (0..count).collect();
    while seen.goes_on() {
        let now = seen.now();
        match gap {
            None => {
                for &number in &touched {
                    let (pair, client) = (&mut pairs[number], &mut clients.all[count + number]);
                    let client = client.as_mut().expect("a publisher");
                    for _ in 0..pair.room(args.window) {
                        pair.frame.put(now, &mut client.out);
                        pair.sent += 1;
                    }
                    client.flush();
                }
            }
            Some(gap) => {
                while next_due <= now {
                    let client = clients.all[count + turn].as_mut().expect("a publisher");
                    pairs[turn].frame.put(next_due, &mut client.out);
                    client.flush();
                    turn = (turn + 1) % count;
                    next_due += gap;
                }
            }
        }
        let within = match gap {
            None => 1_000_000_000,
            Some(_) => next_due.saturating_sub(seen.now()),
        };
        clients.wait(Duration::from_nanos(within), &mut ready);
        let now = seen.now();
        touched.clear();
        for &at in &ready {
            let client = clients.all[at].as_mut().expect("it is there");
            let pair = &mut pairs[at % count];
            client.read(&mut clients.scratch, |(kind, body), out| match kind {
                PUBACK => pair.acknowledged += 1,
                PUBLISH => {
                    let (id, payload) = message(body);
                    seen.came(payload, now);
                    pair.received += 1;
                    out.extend([PUBACK, 2, id[0], id[1]]);
                }
                _ => panic!("{kind:x} was not asked for"),
            });
            client.flush();
            touched.push(at % count);
        }
    }
    seen.end()
}

/// One publisher, and many subscribers of its topic.
pub(crate) fn fan_out(args: &Args, server: &Running, span: Duration) -> Seen {
    let count = args.subscribers;
    let mut clients = Clients::open(server.address(), count + 1, "fan");
    clients.subscribe(|number| (number < count).then(|| "bench/all".to_owned()));
    let mut frame = Frame::new("bench/all", args.size as usize);
    let (mut sent, mut received) = (0, 0);
    let mut seen = Count::new(server, span);
    let mut ready: Vec<usize> = Vec::new();
    while seen.goes_on() {
        let now = seen.now();
        let publisher = clients.all[count].as_mut().expect("the publisher");
        while sent * count < received + FAN_OUT_AHEAD * count {
            frame.put(now, &mut publisher.out);
            sent += 1;
        }
        publisher.flush();
        clients.wait(Duration::from_secs(1), &mut ready);
        let now = seen.now();
        for &at in &ready {
            let client = clients.all[at].as_mut().expect("it is there");
            client.read(&mut clients.scratch, |(kind, body), out| {
                if kind == PUBLISH {
                    let (id, payload) = message(body);
                    seen.came(payload, now);
                    received += 1;
                    out.extend([PUBACK, 2, id[0], id[1]]);
                }
            });
            client.flush();
        }
    }
    seen.end()
}
