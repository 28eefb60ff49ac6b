//! The official Java client as one member of a group whose others are not: `tests/interop/java/src/MixedMember.java`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::client::Client;
use crate::process::{tail, wait};

/// A consumer that leaves commits its offsets and tells the broker.
const LEAVE_LIMIT: Duration = Duration::from_secs(120);

/// A message that the member was handed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Got {
    /// The queue.
    pub queue: u32,
    /// Its offset there.
    pub offset: u64,
    /// The body, which has to be one line of text.
    pub body: String,
}

/// A push consumer with a concurrent listener in a process of its own, which starts at a topic's first message.
///
/// Dropping it kills it, as a crash would.
#[derive(Debug)]
pub struct JavaMember {
    child: Child,
    told: Arc<Mutex<Told>>,
    reader: Option<JoinHandle<()>>,
    errors: PathBuf,
}

#[derive(Clone, Debug, Default)]
struct Told {
    owned: BTreeSet<u32>,
    got: Vec<Got>,
    left: bool,
}

impl JavaMember {
    /// Starts it, with its own files in `dir`, which no other member has. It is a member once it
    /// [`owns`](JavaMember::owned) something.
    ///
    /// # Panics
    /// When it cannot be compiled or started.
    pub fn join(client: Client, namesrv: &str, topic: &str, group: &str, dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("the member's directory can be made");
        let errors = dir.join("errors.log");
        let mut command = client.program("MixedMember", dir);
        command.args([namesrv, topic, group]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&errors).expect("the log file can be made"));
        let mut child = command.spawn().expect("java starts");
        let output = child.stdout.take().expect("its output is piped");
        let told = Arc::new(Mutex::new(Told::default()));
        let reader = thread::spawn({
            let told = Arc::clone(&told);
            move || {
                for line in BufReader::new(output).lines() {
                    let line = line.expect("its output is text");
                    told.lock().expect("nobody panics with it").hear(&line);
                }
            }
        });
        Self { child, told, reader: Some(reader), errors }
    }

    /// The queues that it has now.
    pub fn owned(&self) -> BTreeSet<u32> {
        self.told().owned
    }

    /// What it was handed so far, in the order in which its listener was called.
    pub fn got(&self) -> Vec<Got> {
        self.told().got
    }

    /// Lets it leave in an orderly way, and says all that it was handed.
    ///
    /// # Panics
    /// When it has ended by itself, or takes longer than two minutes.
    pub fn leave(mut self) -> Vec<Got> {
        drop(self.child.stdin.take());
        let in_time =
            wait(LEAVE_LIMIT, || self.child.try_wait().expect("a child can be waited for").is_some());
        assert!(in_time, "the Java member stays\n{}", self.errors());
        self.reader.take().expect("it reads until now").join().expect("the reader does not panic");
        let told = self.told();
        assert!(told.left, "the Java member broke\n{}", self.errors());
        told.got
    }

    /// What it wrote to its error output.
    pub fn errors(&self) -> String {
        tail(&self.errors, 40)
    }

    fn told(&self) -> Told {
        self.told.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for JavaMember {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted; the reader ends with the output.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Told {
    /// Lines that say something else are the client's own.
    fn hear(&mut self, line: &str) {
        if let Some(queues) = line.strip_prefix("owns ") {
            self.owned = queues.split(',').filter_map(|queue| queue.parse().ok()).collect();
        } else if let Some(message) = line.strip_prefix("got ") {
            let mut words = message.splitn(3, ' ');
            let mut word = || words.next().expect("three words");
            let (queue, offset) = (word().parse(), word().parse());
            self.got.push(Got {
                queue: queue.expect("a queue's number"),
                offset: offset.expect("an offset"),
                body: word().to_owned(),
            });
        } else if line == "left" {
            self.left = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_share_and_every_message_are_what_a_member_told() {
        let mut told = Told::default();
        for line in ["owns 0,1,2,3", "a line of the client", "got 2 17 a body of words", "owns 1,3"] {
            told.hear(line);
        }
        assert_eq!(told.owned, BTreeSet::from([1, 3]));
        assert_eq!(told.got, [Got { queue: 2, offset: 17, body: "a body of words".into() }]);
        told.hear("owns ");
        assert_eq!(told.owned, BTreeSet::new());
        assert!(!told.left);
    }
}
