//! Tests that are run once for each MQTT server, and what each of them is handed.
//!
//! Tests that run at the same time share a server, as users do: names of topics and clients are the [`Scene`]'s own. One that
//! needs other settings, or stops its server, starts its own ([`Scene::own_server`]).

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::connection::{Connection, PATIENCE};
use super::differences;
use super::packet::{ConnAck, Connect, Version};
use super::peer::{MqttServer, Peer, Setting, Setup};
use crate::suite::message;

/// Tests of these functions (`fn(&Scene)`), one for each server, and their names as `TESTS`.
#[macro_export]
macro_rules! mqtt_tests {
    ($($test:ident),* $(,)?) => {
        /// The tests here.
        pub(crate) const TESTS: &[&str] = &[$(stringify!($test)),*];

        $(mod $test {
            $crate::on_mqtt_peers!($test);
        })*
    };
}

/// One test for each server.
#[macro_export]
macro_rules! on_mqtt_peers {
    ($test:ident) => { $crate::on_mqtt_peers!($test on [mosquitto, ferromq]); };
    ($test:ident on [$($peer:ident),*]) => {
        $(#[test]
        fn $peer() {
            let peer = $crate::mqtt::Peer::named(stringify!($peer));
            $crate::mqtt::scene::run(peer, module_path!(), super::$test);
        })*
    };
}

/// What a test is handed.
#[derive(Debug)]
pub struct Scene {
    server: Arc<Shared>,
    number: u32,
    patience: Duration,
}

#[derive(Debug)]
struct Shared {
    server: MqttServer,
    /// Removed after the server was killed.
    _dir: TempDir,
}

/// The servers that tests share now: each lives as long as one of its tests runs.
static SHARED: [Mutex<Weak<Shared>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
/// For what is known not to come.
const SHORT_PATIENCE: Duration = Duration::from_secs(4);
static SCENES: AtomicU32 = AtomicU32::new(0);

/// Runs a test against a server: it passes, or fails just as the table of differences says.
///
/// # Panics
/// When it does neither.
pub fn run(peer: Peer, path: &str, test: fn(&Scene)) {
    // As the tables name it: without the crate.
    let name = path.split_once("::").map_or(path, |(_, rest)| rest);
    let mut scene =
        Scene { server: shared(peer), number: SCENES.fetch_add(1, Ordering::Relaxed), patience: PATIENCE };
    let known = differences::of(peer, name);
    if known.is_some_and(|difference| difference.fails_with == differences::NOTHING) {
        scene.patience = SHORT_PATIENCE;
    }
    let result = panic::catch_unwind(AssertUnwindSafe(|| test(&scene)));
    let Some(difference) = known else {
        return result.unwrap_or_else(|payload| {
            println!("{}", scene.server().log_tail());
            panic::resume_unwind(payload)
        });
    };
    match result.map_err(|payload| message(payload.as_ref())) {
        Err(said) if said.contains(difference.fails_with) => {}
        Err(said) => panic!("{name} should fail with {:?}, but: {said}", difference.fails_with),
        Ok(()) if differences::is_exact(peer) => panic!("{name} passes: {peer:?} differs no longer"),
        Ok(()) => {}
    }
}

fn shared(peer: Peer) -> Arc<Shared> {
    // A server that did not start has failed one test; the next tries again.
    let mut shared = SHARED[peer as usize].lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let dir = directory();
    let server = Setup::new(peer, dir.path(), &[]).start();
    let started = Arc::new(Shared { server, _dir: dir });
    *shared = Arc::downgrade(&started);
    started
}

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ferromq-mqtt-").tempdir().expect("a temporary directory")
}

impl Scene {
    /// The server, which other tests use too.
    pub fn server(&self) -> &MqttServer {
        &self.server.server
    }

    /// A server of this test alone, and the directory of its files, which must outlive it.
    pub fn own_server(&self, settings: &[Setting]) -> (TempDir, MqttServer) {
        let dir = directory();
        let server = Setup::new(self.server().peer(), dir.path(), settings).start();
        (dir, server)
    }

    /// A topic or filter below a first level that is this test's own.
    pub fn topic(&self, below: &str) -> String {
        format!("t{}/{below}", self.number)
    }

    /// A client identifier of this test alone, of at most 23 letters and digits if `name` has no more than 12.
    pub fn id(&self, name: &str) -> String {
        format!("c{}x{name}", self.number)
    }

    /// A connection that has said nothing.
    pub fn open(&self, version: Version) -> Connection {
        let mut connection = Connection::open(self.server().address(), version);
        connection.wait_for_at_most(self.patience);
        connection
    }

    /// A connection with a CONNECT that was accepted.
    pub fn connect(&self, connect: &Connect) -> Connection {
        self.connect_with(connect).0
    }

    /// A connection with a CONNECT that was accepted, and its CONNACK.
    pub fn connect_with(&self, connect: &Connect) -> (Connection, ConnAck) {
        let mut connection = self.open(connect.version);
        let ack = connection.connect(connect);
        (connection, ack)
    }

    /// A client whose session begins and ends with its connection.
    pub fn client(&self, version: Version, name: &str) -> Connection {
        self.connect(&Connect::clean(version, &self.id(name)))
    }

    /// A CONNECT that resumes a session: one for each version.
    pub fn persistent(&self, version: Version, name: &str) -> Connect {
        Connect::persistent(version, &self.id(&format!("{name}{}", version.level())))
    }

    /// A client that resumes its session.
    pub fn resume(&self, version: Version, name: &str) -> Connection {
        self.connect(&self.persistent(version, name))
    }
}

/// Lets time pass, where a statement is about time itself: what has to be over is over after it, however slow all else is.
pub fn let_pass(time: Duration) {
    thread::sleep(time);
}
