//! No 201 is lost: the server is killed under HTTP load, with sync flush, again and again, and read back.
//!
//! Every message has an `Idempotency-Key`. What was not answered when the server was killed is sent again after its start
//! with the same key, as a client would. After each start:
//! * every message that was answered with 201 is at the queue and offset that the answer told, with its bytes;
//! * no message is there twice, whether its first request was stored before the kill or not.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use ferromq_model::QueueId;
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::header::GetMaxOffset;
use ferromq_tests::http::Http;
use ferromq_tests::random::seed;
use ferromq_tests::remoting::{Connection, PATIENCE, pull_header};
use ferromq_tests::{Kind, Launch, Random};

const ROUNDS: u64 = 12;
const CONNECTIONS: u64 = 8;
const QUEUES: u32 = 8;
const TOPIC: &str = "HttpCrash";
/// Acknowledgements that wait to be counted: behind them, connections wait.
const UNREAD_ACKS: usize = 1 << 10;

/// Where a message lies, as its 201 told.
type Place = (u32, u64);

/// One sender, over all rounds.
struct Sender {
    number: u64,
    sent: u64,
    acknowledged: Vec<(String, Place)>,
    /// Answered as stored by an earlier request.
    again: u64,
}

impl Sender {
    /// Sends until the connection breaks. The message under way is sent again in the next round.
    fn run(&mut self, address: SocketAddr, acks: &SyncSender<()>) {
        let Ok(mut http) = Http::open(address) else { return };
        let path = format!("/v1/topics/{TOPIC}/messages");
        loop {
            let id = format!("{}.{}", self.number, self.sent);
            let filler = "x".repeat(self.sent as usize % 700);
            let body = format!("{id} {filler}");
            let asked = match self.sent % 3 {
                0 => http.ask("POST", &path, &[("Idempotency-Key", &id)], body.as_bytes()),
                _ => {
                    let headers = [("Idempotency-Key", &*id), ("Content-Type", "application/json")];
                    let body = serde_json::json!({"text": body}).to_string();
                    http.ask("POST", &path, &headers, body.as_bytes())
                }
            };
            let Ok(answer) = asked else { return };
            match answer.status {
                201 => {}
                // Stored, but the disk was too slow to promise anything; or the start is not over.
                503 => continue,
                _ => panic!("a send was refused: {answer:?}"),
            }
            let told = answer.json();
            let place = (told["queueId"].as_u64().unwrap() as u32, told["queueOffset"].as_u64().unwrap());
            self.again += u64::from(answer.header("idempotency-replayed").is_some());
            self.acknowledged.push((id, place));
            self.sent += 1;
            // Nobody listens any more once the server is being killed.
            let _ = acks.send(());
        }
    }
}

/// Every message by its place, without one that is there twice.
fn read_all(broker: SocketAddr) -> BTreeMap<Place, String> {
    let mut connection = Connection::open(broker).expect("the broker accepts");
    let mut all = BTreeMap::new();
    let mut seen = HashSet::new();
    for queue in 0..QUEUES {
        let header = GetMaxOffset { topic: TOPIC, queue: QueueId(queue), committed: true };
        let answer = connection.ask(RequestCode::GetMaxOffset, &header, &[]).expect("an answer");
        let max: u64 = answer.field("offset");
        let mut next = 0;
        while next < max {
            let answer = connection.ask(RequestCode::PullMessage, &pull_header(TOPIC, queue, next), &[]);
            let answer = answer.expect("an answer");
            assert_eq!(answer.code, ResponseCode::Success.code(), "queue {queue} at {next} of {max}");
            for record in answer.records() {
                record.verify().expect("a whole message");
                let text = String::from_utf8(record.body.to_vec()).expect("text");
                let id = text.split(' ').next().expect("an id").to_owned();
                assert!(seen.insert(id.clone()), "{id} is there twice");
                all.insert((queue, next), id);
                next += 1;
            }
        }
    }
    all
}

#[test]
fn no_201_is_lost_and_no_repeated_request_is_stored_twice_over_kills() {
    let mut random = Random::new(seed("http"));
    let dir =
        tempfile::Builder::new().prefix("ferromq-http-crash-").tempdir().expect("a temporary directory");
    let launch = Launch::new(Kind::Ferro, dir.path())
        .small_files()
        .set("mappedFileSizeCommitLog", "1m")
        .set("flushDiskType", "SYNC_FLUSH")
        // However full the disk of the machine is that tests run on.
        .set("cleanFileForciblyEnable", "false")
        .set("diskSpaceWarningLevelRatio", "100");
    let mut senders: Vec<_> = (0..CONNECTIONS)
        .map(|number| Sender { number, sent: 0, acknowledged: Vec::new(), again: 0 })
        .collect();
    let mut server = launch.start();
    for round in 0..ROUNDS {
        let wanted = if random.one_in(3) { random.within(1..32) } else { random.within(1..1500) };
        let address = server.http();
        let (told, acknowledged) = sync_channel(UNREAD_ACKS);
        thread::scope(|scope| {
            for sender in &mut senders {
                let told = told.clone();
                scope.spawn(move || sender.run(address, &told));
            }
            drop(told);
            for seen in 0..wanted {
                if let Err(error) = acknowledged.recv_timeout(PATIENCE) {
                    panic!("after {seen} of {wanted} acknowledgements: {error}\n{}", server.log_tail());
                }
            }
            server.kill();
            drop(acknowledged);
        });
        server = launch.start();
        let all = read_all(server.broker());
        for (id, place) in senders.iter().flat_map(|sender| &sender.acknowledged) {
            assert_eq!(all.get(place), Some(id), "round {round}: {id} is not where its 201 says, {place:?}");
        }
    }
    let acknowledged: usize = senders.iter().map(|sender| sender.acknowledged.len()).sum();
    let again: u64 = senders.iter().map(|sender| sender.again).sum();
    println!("{acknowledged} messages were answered with 201, {again} of them as stored before a kill");
    server.stop();
}
