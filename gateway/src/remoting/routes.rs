//! What a broker knows of queues on other brokers: asked of its NameServers, and kept for a while.
//!
//! Always true:
//! * however many ask for a topic at once, it is asked for once;
//! * an answer is used for [`FRESH`] at most, as members of a group use their own;
//! * no NameServer is asked for longer than [`PATIENCE`]: the next one is, and then nobody.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferromq_broker::assignment::{self, Readable};
use ferromq_broker::clients::ClientQueue;
use ferromq_model::QueueId;
use ferromq_model::config::Servers;
use ferromq_protocol::body::{self, TopicRouteData};
use ferromq_protocol::code::RequestCode;
use ferromq_protocol::header::GetRoute;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::namesrv_link::{Failure, Link};

/// How long an answer is used (clients: `pollNameServerInterval`).
pub const FRESH: Duration = Duration::from_secs(30);
/// How long one NameServer may take.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Topics that are kept at most. Beyond that the stale ones go, and then all.
pub const MAX_KEPT: usize = 10_000;
/// Queues that a topic may have on all brokers together: a route that claims more is not believed.
pub const MAX_QUEUES: u64 = 1 << 20;

/// Resolves once the NameServers were asked; `None` if no one knows the topic.
type Answer = Arc<OnceCell<Readable>>;

/// The routes that NameServers tell.
#[derive(Debug)]
pub struct Routes {
    servers: Vec<String>,
    kept: Mutex<HashMap<String, (Instant, Answer)>>,
}

impl Routes {
    /// What `servers` tell: the first that answers is believed.
    #[must_use]
    pub fn new(servers: &Servers) -> Self {
        Self { servers: servers.addresses().to_vec(), kept: Mutex::default() }
    }

    /// Where the answer for the topic is, or will be.
    fn answer(&self, topic: &str) -> Answer {
        let now = Instant::now();
        let is_fresh = |(asked, _): &(Instant, Answer)| now.duration_since(*asked) < FRESH;
        let mut kept = self.kept.lock();
        if let Some(entry) = kept.get(topic).filter(|entry| is_fresh(entry)) {
            return entry.1.clone();
        }
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, entry| is_fresh(entry));
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
        }
        let answer = Answer::default();
        kept.insert(topic.to_owned(), (now, answer.clone()));
        answer
    }

    fn forget(&self, topic: &str, answer: &Answer) {
        let mut kept = self.kept.lock();
        if kept.get(topic).is_some_and(|(_, known)| Arc::ptr_eq(known, answer)) {
            kept.remove(topic);
        }
    }

    async fn ask_all(&self, topic: &str) -> Readable {
        for server in &self.servers {
            let failure = match timeout(PATIENCE, ask(server, topic)).await {
                Ok(Ok(queues)) => return Some(queues),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Timeout(PATIENCE),
            };
            tracing::debug!(namesrv = server, topic, reason = %failure, "no route");
        }
        None
    }
}

impl assignment::Routes for Routes {
    fn readable<'a>(&'a self, topic: &'a str) -> Pin<Box<dyn Future<Output = Readable> + Send + 'a>> {
        Box::pin(async move {
            let answer = self.answer(topic);
            let queues = answer.get_or_init(|| self.ask_all(topic)).await.clone();
            if queues.is_none() {
                // A topic that is created now should not have to wait until this is no longer fresh.
                self.forget(topic, &answer);
            }
            queues
        })
    }
}

async fn ask(server: &str, topic: &str) -> Result<Arc<[ClientQueue]>, Failure> {
    let mut link = Link::connect(server).await?;
    let header = GetRoute { topic, standard_json: true, zone: None, zone_only: false };
    let answer = link.call(RequestCode::GetRouteInfoByTopic, &header, &[]).await?;
    let route: TopicRouteData =
        body::decode(&answer).map_err(|error| Failure::Nonsense(error.to_string()))?;
    let readable = || route.queue_datas.iter().filter(|queues| queues.perm.readable());
    let count: u64 = readable().map(|queues| u64::from(queues.read_queue_nums)).sum();
    if count > MAX_QUEUES {
        return Err(Failure::Nonsense(format!("a route of {count} queues")));
    }
    let queues_of = |queues: &body::QueueData| {
        let broker = queues.broker_name.clone();
        let topic = topic.to_owned();
        (0..queues.read_queue_nums).map(move |queue| ClientQueue {
            broker: broker.clone(),
            topic: topic.clone(),
            queue: QueueId(queue),
        })
    };
    Ok(readable().flat_map(queues_of).collect())
}
