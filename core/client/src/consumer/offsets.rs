//! How far a group is: on the brokers, where all members see it, or in a file, where each has its own.
//!
//! Always true: what is stored is a position that was reached here. Brokers are told what has changed since they confirmed
//! what they were told last.
//!
//! Official brokers handle requests side by side, so what is told before may be noted behind what is told after, and the
//! group would do that part again. Therefore:
//! * a queue's position is told by one at a time, and never by a pull on the way; only a caller that is dropped leaves the
//!   next one to begin before its request is answered;
//! * the first position of a topic on a broker is told alone: the broker makes a table for the group then, and of two that
//!   come at once each may make one, of which one is lost (`ConsumerOffsetManager.commitOffset`, 4.x and 5.x).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromq_model::{QueueId, QueueOffset, Timestamp, TopicName};
use ferromq_protocol::body::{self, ByQueue, ObjectKeyed};
use ferromq_protocol::code::{RequestCode, ResponseCode};
use ferromq_protocol::frame::HeaderScratch;
use ferromq_protocol::header::{
    GetMaxOffset, GetMinOffset, Header, OffsetResponse, QueryConsumerOffset, SearchOffset,
    UpdateConsumerOffset,
};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::interval;

use super::fetch::FetchError;
use super::push::ConsumeFrom;
use crate::client::Inner;
use crate::error::CallError;
use crate::queue::MessageQueue;

/// Where positions are kept.
pub(super) struct Offsets {
    inner: Arc<Inner>,
    group: Arc<str>,
    /// None: on brokers. Locked by whoever writes it, until it is written.
    file: Option<Arc<tokio::sync::Mutex<PathBuf>>>,
    /// What was reached, and what was stored of it.
    table: Mutex<HashMap<MessageQueue, Position>>,
    /// Whether a topic's broker has confirmed a position. Locked by whoever tells the first, until it has.
    begun: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<bool>>>>,
}

/// A topic, and one of its brokers by name.
type Place = (TopicName, Arc<str>);

/// What a broker is to be told.
struct Told {
    queue: MessageQueue,
    /// The position, if it is to be told also where the queue is given up by then.
    insisted: Option<QueueOffset>,
}

/// Why a position is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    NotTold(#[from] FetchError),
    #[error("positions cannot be written: {0}")]
    NotWritten(#[from] io::Error),
}

struct Position {
    /// None: the queue is another member's now.
    reached: Option<QueueOffset>,
    stored: Option<QueueOffset>,
    /// Locked by whoever tells the broker, until it has answered.
    telling: Arc<tokio::sync::Mutex<()>>,
}

impl Position {
    fn new(reached: QueueOffset, stored: Option<QueueOffset>) -> Self {
        Self { reached: Some(reached), stored, telling: Arc::default() }
    }

    /// What is reached and not stored.
    fn unstored(&self) -> Option<QueueOffset> {
        self.reached.filter(|_| self.reached != self.stored)
    }
}

/// The file's content, as official clients write it.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileContent {
    #[serde(default)]
    offset_table: ByQueue<u64>,
}

impl Offsets {
    /// Positions on brokers.
    pub(super) fn on_brokers(inner: Arc<Inner>, group: &str) -> Self {
        Self { inner, group: group.into(), file: None, table: Mutex::default(), begun: Mutex::default() }
    }

    /// Positions in `dir/<group>/offsets.json`, which is read now. The group's name is a valid one.
    pub(super) async fn in_file(inner: Arc<Inner>, group: &str, dir: &Path) -> io::Result<Self> {
        let file = dir.join(group).join("offsets.json");
        let reading = file.clone();
        let bytes = match blocking(move || std::fs::read(reading)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let content: FileContent = match bytes {
            None => FileContent::default(),
            Some(bytes) => body::decode(&bytes).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
            })?,
        };
        let table = content.offset_table.0.into_iter().filter_map(|(queue, offset)| {
            let topic = TopicName::new(&queue.topic).ok()?;
            let queue = MessageQueue { topic, broker: queue.broker_name.into(), id: queue.queue_id };
            let offset = QueueOffset(offset);
            Some((queue, Position::new(offset, Some(offset))))
        });
        let file = Some(Arc::new(tokio::sync::Mutex::new(file)));
        let (table, begun) = (Mutex::new(table.collect()), Mutex::default());
        Ok(Self { inner, group: group.into(), file, table, begun })
    }

    /// Notes how far a queue is.
    pub(super) fn reach(&self, queue: &MessageQueue, offset: QueueOffset) {
        let mut table = self.table.lock();
        match table.get_mut(queue) {
            Some(position) => position.reached = Some(offset),
            None => {
                table.insert(queue.clone(), Position::new(offset, None));
            }
        }
    }

    /// Forgets a queue that is another member's now.
    pub(super) fn forget(&self, queue: &MessageQueue) {
        if self.file.is_none()
            && let Some(position) = self.table.lock().get_mut(queue)
        {
            // Whoever is telling it has its turn until the broker has answered.
            (position.reached, position.stored) = (None, None);
        }
    }

    /// What is stored for a queue; `None` if nothing is.
    pub(super) async fn stored(&self, queue: &MessageQueue) -> Result<Option<QueueOffset>, FetchError> {
        if self.file.is_some() {
            return Ok(self.table.lock().get(queue).and_then(|position| position.reached));
        }
        let addr = self.inner.address(&queue.topic, &queue.broker, 0).await?;
        let link = self.inner.link(&addr);
        let header = QueryConsumerOffset {
            group: &self.group,
            topic: queue.topic.as_str(),
            queue: queue.id,
            zero_if_unknown: false,
        };
        let answer = self.inner.call(&link, RequestCode::QueryConsumerOffset, &header, &Bytes::new()).await;
        match answer {
            Ok(frame) => {
                let mut scratch = HeaderScratch::new();
                let read =
                    frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
                let header = OffsetResponse::decode(&read.fields);
                Ok(Some(header.map_err(|error| link.unreadable(&error.to_string()))?.offset))
            }
            Err(refused) if refused.code() == Some(ResponseCode::QueryNotFound) => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Where this member starts in a queue: at what is stored; without that, where `from` says.
    pub(super) async fn start_of(
        &self,
        queue: &MessageQueue,
        from: ConsumeFrom,
    ) -> Result<QueueOffset, FetchError> {
        if let Some(stored) = self.stored(queue).await? {
            return Ok(stored);
        }
        let retried = queue.topic.retry_group().is_some();
        let point = match from {
            // What was sent back came after the group did.
            ConsumeFrom::Last | ConsumeFrom::First if retried => Point::First,
            ConsumeFrom::Time(_) if retried => Point::End,
            ConsumeFrom::Last => Point::End,
            ConsumeFrom::First => Point::First,
            ConsumeFrom::Time(time) => Point::Time(time),
        };
        self.inner.offset_of(queue, point).await
    }

    /// Stores what `note` notes every so often, until `stopped` turns true; failures are told the next time.
    pub(super) async fn store_every(
        &self,
        every: Duration,
        mut stopped: watch::Receiver<bool>,
        note: impl Fn(),
    ) {
        let mut ticks = interval(every);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            note();
            match self.store().await {
                Ok(()) => {}
                // Brokers come and go. A file that cannot be written needs somebody.
                Err(error @ StoreError::NotTold(_)) => {
                    tracing::debug!(group = %self.group, %error, "not every position could be stored");
                }
                Err(error @ StoreError::NotWritten(_)) => tracing::warn!(group = %self.group, "{error}"),
            }
        }
    }

    /// Tells brokers what has changed, all at once, and waits until they have confirmed it; or writes the file.
    ///
    /// # Errors
    /// The first failure; what could not be stored is told the next time.
    pub(super) async fn store(&self) -> Result<(), StoreError> {
        if self.file.is_some() {
            return Ok(self.store_file().await?);
        }
        let mut places: HashMap<Place, Vec<Told>> = HashMap::new();
        for (queue, _) in self.changed() {
            let place = (queue.topic.clone(), queue.broker.clone());
            places.entry(place).or_default().push(Told { queue, insisted: None });
        }
        let telling = places.into_iter().map(|(place, queues)| self.tell_all(place, queues));
        Ok(join_all(telling).await.into_iter().collect::<Result<(), _>>()?)
    }

    /// Stores one queue's position, and waits until the broker has confirmed it.
    pub(super) async fn store_one(
        &self,
        queue: &MessageQueue,
        offset: QueueOffset,
    ) -> Result<(), StoreError> {
        self.reach(queue, offset);
        if self.file.is_some() {
            return Ok(self.store_file().await?);
        }
        if let Some(position) = self.table.lock().get_mut(queue) {
            // Whoever asks for it may know that it is not what the broker has.
            position.stored = None;
        }
        let place = (queue.topic.clone(), queue.broker.clone());
        let told = Told { queue: queue.clone(), insisted: Some(offset) };
        Ok(self.tell_all(place, vec![told]).await?)
    }

    fn changed(&self) -> Vec<(MessageQueue, QueueOffset)> {
        let table = self.table.lock();
        let changed =
            table.iter().filter_map(|(queue, position)| Some((queue.clone(), position.unstored()?)));
        changed.collect()
    }

    /// Tells positions of queues of one topic on one broker. Nothing more is told when nothing is heard of the first.
    ///
    /// # Errors
    /// The first failure.
    async fn tell_all(&self, place: Place, all: Vec<Told>) -> Result<(), FetchError> {
        let mut all = all.into_iter();
        let begun = Arc::clone(self.begun.lock().entry(place).or_default());
        let mut begun = begun.lock().await;
        let mut refused = Ok(());
        while !*begun && let Some(first) = all.next() {
            match self.tell(&first).await {
                Ok(told) => *begun = told,
                // Of a queue that the topic does not have, for one: the others are no worse for it.
                Err(error @ FetchError::Call(CallError::Refused { .. })) => refused = refused.and(Err(error)),
                Err(silent) => return Err(silent),
            }
        }
        drop(begun);
        let rest = all.map(|told| async move { self.tell(&told).await });
        join_all(rest).await.into_iter().fold(refused, |all, told| all.and(told.map(drop)))
    }

    /// Tells the position that a queue has reached by the time it is its turn. False if there is nothing to tell any more:
    /// another has told it, or the queue was given up, which is told by whoever does that.
    async fn tell(&self, Told { queue, insisted }: &Told) -> Result<bool, FetchError> {
        let telling = self.table.lock().get(queue).map(|position| Arc::clone(&position.telling));
        let Some(telling) = telling else { return Ok(false) };
        let _turn = telling.lock().await;
        let unstored = match self.table.lock().get(queue) {
            Some(Position { reached: None, .. }) => *insisted,
            Some(position) => position.unstored(),
            None => None,
        };
        let Some(offset) = unstored else { return Ok(false) };
        let told = self.tell_now(queue, offset).await;
        told.map(|()| true)
            .inspect_err(|error| tracing::debug!(%queue, %offset, %error, "a position could not be stored"))
    }

    async fn tell_now(&self, queue: &MessageQueue, offset: QueueOffset) -> Result<(), FetchError> {
        let addr = self.inner.address(&queue.topic, &queue.broker, 0).await?;
        let link = self.inner.link(&addr);
        let header = UpdateConsumerOffset {
            group: &self.group,
            topic: queue.topic.as_str(),
            queue: queue.id,
            offset: Some(offset),
        };
        self.inner.call(&link, RequestCode::UpdateConsumerOffset, &header, &Bytes::new()).await?;
        if let Some(position) = self.table.lock().get_mut(queue) {
            position.stored = Some(offset);
        }
        Ok(())
    }

    async fn store_file(&self) -> io::Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let file = file.lock_owned().await;
        let changed = self.changed();
        if changed.is_empty() {
            return Ok(());
        }
        let entries: BTreeMap<_, _> = {
            let table = self.table.lock();
            table
                .iter()
                .filter_map(|(queue, position)| Some((queue.to_body(), position.reached?.0)))
                .collect()
        };
        let bytes = body::encode(&FileContent { offset_table: ObjectKeyed(entries) });
        // The lock goes along: writing goes on also when nobody waits for it any more.
        blocking(move || replace(&file, &bytes)).await?;
        let mut table = self.table.lock();
        for (queue, offset) in changed {
            if let Some(position) = table.get_mut(&queue) {
                position.stored = Some(offset);
            }
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Writes beside the file and puts it in its place, so that a crash leaves the old one or the new one.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let beside = file.with_extension("json.tmp");
    let mut writing = std::fs::File::create(&beside)?;
    writing.write_all(bytes)?;
    writing.sync_all()?;
    std::fs::rename(beside, file)
}

/// A point of a queue that its broker has to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The oldest message.
    First,
    /// Behind the newest.
    End,
    /// The first that was stored at this time or later.
    Time(Timestamp),
}

impl Inner {
    /// The offset of a point of a queue.
    pub(super) async fn offset_of(
        self: &Arc<Self>,
        queue: &MessageQueue,
        point: Point,
    ) -> Result<QueueOffset, FetchError> {
        let addr = self.address(&queue.topic, &queue.broker, 0).await?;
        let link = self.link(&addr);
        let (topic, id, body): (_, QueueId, _) = (queue.topic.as_str(), queue.id, Bytes::new());
        let frame = match point {
            Point::First => {
                self.call(&link, RequestCode::GetMinOffset, &GetMinOffset { topic, queue: id }, &body).await?
            }
            Point::End => {
                let header = GetMaxOffset { topic, queue: id, committed: true };
                self.call(&link, RequestCode::GetMaxOffset, &header, &body).await?
            }
            Point::Time(time) => {
                let boundary = ferromq_protocol::header::Boundary::Lower;
                let header = SearchOffset { topic, queue: id, time, boundary };
                self.call(&link, RequestCode::SearchOffsetByTimestamp, &header, &body).await?
            }
        };
        let mut scratch = HeaderScratch::new();
        let answer = frame.command(&mut scratch).map_err(|error| link.unreadable(&error.to_string()))?;
        let header = OffsetResponse::decode(&answer.fields);
        Ok(header.map_err(|error| link.unreadable(&error.to_string()))?.offset)
    }
}
