//! Recovery: finds the true end of the log, and makes the consume queues agree with it.
//!
//! The log is the only truth. Recovery starts at a place below which everything is known to be sound (the newest
//! record that a queue knows after a clean stop; the checkpoint's time after a crash), walks records by magic,
//! length and checksum, and ends at the first bytes that are none. Queues are trusted below the start and written anew
//! above it; when one lacks entries below the start, by its files, the manifest or its next message, recovery begins
//! again at the log's first record and rebuilds them all.
//!
//! What is broken is dropped, and nothing else: behind a damaged record the walk looks for the next whole one that
//! says that it lies where it lies, in the rest of its file and in the files behind. Only when there is none does the
//! log end there.
//!
//! A record's head has no checksum. Its place in its queue is checked against the queue: one that does not fit is
//! believed where messages are known to be missing before it, or when the queue's next message agrees with it. So
//! neither damage to one number nor a queue that was begun anew takes the messages behind it along.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferromq_model::delay::DelayLevels;
use ferromq_model::light::{self, LIGHT_QUEUE, is_dispatched};
use ferromq_model::message::{NAME_END, PROPERTY_END, TagsCode, find_property, property};
use ferromq_model::name::SCHEDULE_TOPIC;
use ferromq_model::record::MIN_RECORD_LEN;
use ferromq_model::record::{Entry, MAGIC_V1, MAGIC_V2, Record, RecordError};
use ferromq_model::{Millis, PhysicalOffset, QueueOffset, Timestamp, TopicName};

use crate::error::OpenError;
use crate::log_file::LogFile;
use crate::manifest::Manifest;
use crate::queue::Queue;
use crate::queue_file::QueueEntry;
use crate::queues::Queues;

/// Entries kept in memory while queues are rebuilt, over all queues.
const ENTRIES_IN_MEMORY: usize = 1 << 20;
/// Queue ids above this are damage, not data.
const MAX_QUEUE_ID: u32 = 1 << 20;
/// Messages of one queue that may be missing between two records; a larger gap is a damaged number.
const MAX_GAP: u64 = 1 << 20;
/// Numbers of messages above this are damage, not data.
const MAX_QUEUE_OFFSET: u64 = 1 << 50;
/// Bytes searched at once for a whole record, twice the largest message: behind that only what was ever written is.
const SEARCH: usize = 16 << 20;
/// A store time that is later than now by more than this is damage; a smaller step is the clock's.
const CLOCK_STEP: Millis = Millis::hours(24);
/// Damaged stretches that a report lists.
const MOST_REPORTED: usize = 1000;

/// What recovery found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Whether the last stop was a clean one.
    pub clean: bool,
    /// Where the walk began.
    pub from: PhysicalOffset,
    /// Where the log ends now.
    pub end: PhysicalOffset,
    /// Records walked over.
    pub records: u64,
    /// Whether the queues were rebuilt from the log's first record on.
    pub rebuilt_queues: bool,
    /// Damaged stretches that were dropped, in order; the last may be the torn tail. The first thousand at most.
    pub dropped: Vec<Dropped>,
    /// Bytes in all that were dropped.
    pub dropped_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// Bytes of the log that are no whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where they start.
    pub at: PhysicalOffset,
    /// How many there are.
    pub bytes: u64,
    /// Why they are no record.
    pub why: RecordError,
}

/// The state that recovery hands to the store.
pub(crate) struct Recovered {
    pub(crate) report: RecoveryReport,
    pub(crate) last_stored: Timestamp,
    pub(crate) last_record: PhysicalOffset,
}

/// Opens the log's files, oldest first.
pub(crate) fn open_files(dir: &Path, file_len: u64) -> Result<VecDeque<Arc<LogFile>>, OpenError> {
    std::fs::create_dir_all(dir).map_err(OpenError::io("cannot create", dir))?;
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).map_err(OpenError::io("cannot list", dir))? {
        let item = item.map_err(OpenError::io("cannot list", dir))?;
        let path = item.path();
        let meta = item.metadata().map_err(OpenError::io("cannot examine", &path))?;
        if meta.is_dir() {
            continue;
        }
        let name = item.file_name();
        let base = name.to_str().filter(|n| n.len() == 20).and_then(|n| n.parse::<u64>().ok());
        let Some(base) = base.filter(|base| base % file_len == 0) else {
            let why = "its name is not a multiple of that; move it away, or set mappedFileSizeCommitLog to what the store was made with";
            return Err(OpenError::ForeignFile { path, expected: file_len, why: why.to_owned() });
        };
        found.push((PhysicalOffset(base), path, meta.len()));
    }
    found.sort();
    let mut files: VecDeque<Arc<LogFile>> = VecDeque::new();
    let count = found.len();
    for (i, (base, path, len)) in found.into_iter().enumerate() {
        if len != file_len {
            if len == 0 && i + 1 == count {
                std::fs::remove_file(&path).map_err(OpenError::io("cannot delete the empty", path))?;
                continue;
            }
            let why =
                format!("it has {len} bytes; set mappedFileSizeCommitLog to what the store was made with");
            return Err(OpenError::ForeignFile { path, expected: file_len, why });
        }
        if let Some(last) = files.back().filter(|last| last.end() != base) {
            tracing::error!(
                missing_from = %last.end(), missing_to = %base,
                "files of the commit log are missing: their messages cannot be read"
            );
        }
        let file = LogFile::open(path.clone(), base, file_len).map_err(OpenError::io("cannot open", path))?;
        files.push_back(Arc::new(file));
    }
    Ok(files)
}

/// What recovery works on.
pub(crate) struct Recovery<'a> {
    pub(crate) files: &'a mut VecDeque<Arc<LogFile>>,
    pub(crate) queues: &'a Queues,
    pub(crate) schedule: &'a DelayLevels,
    pub(crate) check_crc: bool,
    /// Whether the last stop was a clean one.
    pub(crate) clean: bool,
    /// Up to which time a crash left everything in place.
    pub(crate) trusted: Timestamp,
    pub(crate) manifest: &'a Manifest,
    /// What the clock says.
    pub(crate) now: Timestamp,
}

/// Why queues cannot be trusted, or the system's refusal.
enum WalkError {
    /// A queue lacks entries that it should have.
    Gap(Arc<Queue>),
    Io(std::io::Error),
}

impl From<std::io::Error> for WalkError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Recovery<'_> {
    /// Brings log and queues into agreement.
    pub(crate) fn run(mut self) -> Result<Recovered, OpenError> {
        let began = Instant::now();
        let root = self.queues.root().to_owned();
        self.queues.load_from_disk()?;
        let log_start = self.files.front().map_or(PhysicalOffset::ZERO, |file| file.base());
        let (from, walked) =
            self.agree(log_start).map_err(OpenError::io("cannot read or write the queues in", &root))?;
        self.cut(walked.end)?;
        if log_start > PhysicalOffset::ZERO {
            self.queues.trim_below(log_start).map_err(OpenError::io("cannot trim the queues in", &root))?;
        }
        let report = RecoveryReport {
            clean: self.clean,
            from: from.unwrap_or(log_start),
            end: walked.end,
            records: walked.records,
            rebuilt_queues: from.is_none() && walked.records > 0,
            dropped: walked.dropped,
            dropped_bytes: walked.dropped_bytes,
            took: began.elapsed(),
        };
        Ok(Recovered { report, last_stored: walked.last_stored, last_record: walked.last_record })
    }

    /// Walks the log; `None` for where it began says that all queues were rebuilt.
    fn agree(&self, log_start: PhysicalOffset) -> std::io::Result<(Option<PhysicalOffset>, Walked)> {
        for (topic, &end) in &self.manifest.deleted {
            for queue in self.queues.of_topic(topic.as_str()) {
                queue.clear_if_begun_below(end)?;
            }
        }
        let start = if self.clean {
            self.clean_start(log_start)?
        } else {
            // At the log's start there is nothing to trust.
            let from = Some(self.crash_start(log_start)).filter(|&from| from > log_start);
            from.map(|from| self.queues.restore_below(from).map(|whole| whole.then_some(from)))
                .transpose()?
                .flatten()
        };
        if let Some(from) = start {
            match self.walk(from, false) {
                Ok(walked) => match self.lacking() {
                    None => {
                        if !self.clean {
                            self.queues.clear_behind()?;
                        }
                        return Ok((start, walked));
                    }
                    Some(queue) => warn_rebuild(&queue),
                },
                Err(WalkError::Gap(queue)) => warn_rebuild(&queue),
                Err(WalkError::Io(error)) => return Err(error),
            }
        }
        // What lies below the log's start stays: it says where a queue stands whose messages are all gone. The rest is
        // written over with what is mostly the same, so files are not cleared first.
        self.queues.restore_below(log_start)?;
        match self.walk(log_start, true) {
            Ok(walked) => {
                // The log says nothing of queues whose messages are all deleted.
                for end in &self.manifest.queues {
                    let queue = self.queues.find_or_make(&end.topic, end.id);
                    if queue.next() == QueueOffset::ZERO {
                        queue.begin_at(end.next)?;
                    }
                }
                self.queues.clear_behind()?;
                Ok((None, walked))
            }
            Err(WalkError::Gap(_)) => unreachable!("a rebuild does not ask for entries"),
            Err(WalkError::Io(error)) => Err(error),
        }
    }

    /// After a clean stop: the newest record that a queue knows, if all queues are whole and it stands where its
    /// queue says.
    fn clean_start(&self, log_start: PhysicalOffset) -> std::io::Result<Option<PhysicalOffset>> {
        let mut newest: Option<QueueEntry> = None;
        let mut listed = std::collections::HashSet::new();
        for end in &self.manifest.queues {
            let queue = self.queues.find_or_make(&end.topic, end.id);
            let Some(last) = queue.restore_whole(end.min, end.next)? else {
                warn_rebuild(&queue);
                return Ok(None);
            };
            newest = newest.into_iter().chain([last]).max_by_key(|entry| entry.physical);
            listed.insert(Arc::as_ptr(&queue));
        }
        for queue in self.queues.all() {
            if listed.contains(&Arc::as_ptr(&queue)) {
                continue;
            }
            if !queue.restore_below(PhysicalOffset(u64::MAX))?.whole {
                warn_rebuild(&queue);
                return Ok(None);
            }
            let last = queue.next().0.checked_sub(1).map(QueueOffset);
            let last = last.map(|last| queue.entry(last)).transpose()?.flatten();
            newest = newest
                .into_iter()
                .chain(last.filter(|entry| !entry.is_filler()))
                .max_by_key(|entry| entry.physical);
        }
        let Some(entry) = newest.filter(|entry| entry.physical >= log_start) else { return Ok(None) };
        let sound = self.bytes_at(entry.physical).is_some_and(|bytes| {
            Record::decode(bytes)
                .is_ok_and(|r| r.len as u32 == entry.len && r.physical_offset == entry.physical)
        });
        Ok(sound.then_some(entry.physical))
    }

    /// After a crash: the start of the newest file whose first record was stored at a time that is trusted.
    fn crash_start(&self, log_start: PhysicalOffset) -> PhysicalOffset {
        for file in self.files.iter().rev() {
            if let Ok(record) = Record::decode(file.raw()) {
                let sound = record.physical_offset == file.base()
                    && record.verify().is_ok()
                    && record.stored > Timestamp::ZERO
                    && record.stored <= self.trusted;
                if sound {
                    return file.base();
                }
            }
        }
        log_start
    }

    /// A queue that does not reach as far as the manifest says, after the walk.
    fn lacking(&self) -> Option<Arc<Queue>> {
        let queues = self.manifest.queues.iter();
        queues
            .map(|end| (self.queues.find_or_make(&end.topic, end.id), end.next))
            .find(|(queue, next)| queue.next() < *next)
            .map(|(queue, _)| queue)
    }

    fn bytes_at(&self, at: PhysicalOffset) -> Option<&[u8]> {
        let file = self.files.iter().rev().find(|file| file.base() <= at)?;
        file.raw().get(at.since(file.base()) as usize..)
    }

    /// Reads records from `from` to the end of the log and gives each to its queue.
    fn walk(&self, from: PhysicalOffset, rebuild: bool) -> Result<Walked, WalkError> {
        let mut walked = Walked {
            end: from,
            records: 0,
            dropped: Vec::new(),
            dropped_bytes: 0,
            last_stored: Timestamp::ZERO,
            last_record: PhysicalOffset::ZERO,
        };
        let latest = self.now.plus(CLOCK_STEP);
        let mut dispatch = Dispatch::new(self, rebuild);
        let mut at = from;
        'files: for (i, file) in self.files.iter().enumerate().filter(|(_, file)| file.end() > from) {
            if at < file.base() {
                // Files are missing, or the rest of the one before is damaged.
                if i > 0 && self.files[i - 1].end() < file.base() {
                    dispatch.missing += MAX_GAP;
                }
                at = file.base();
            }
            let bytes = file.raw();
            loop {
                let inside = at.since(file.base()) as usize;
                if inside >= bytes.len() {
                    break;
                }
                let error = match self.check(&bytes[inside..], at) {
                    Ok(Entry::Blank) => {
                        at = file.end();
                        walked.end = at;
                        break;
                    }
                    Ok(Entry::Message(record)) => {
                        walked.records += 1;
                        match dispatch.give(&record, at)? {
                            Given::Taken => {
                                walked.end = at.plus(record.len as u64);
                                walked.last_record = at;
                                if record.stored <= latest {
                                    walked.last_stored = walked.last_stored.max(record.stored);
                                }
                            }
                            Given::Held => {}
                            Given::Refused(why) => {
                                dispatch.drop_bytes(Dropped { at, bytes: record.len as u64, why });
                            }
                        }
                        at = at.plus(record.len as u64);
                        continue;
                    }
                    Err(error) => error,
                };
                // After a clean stop the log ends here, and there is no need to search.
                if self.clean && !rebuild && error == RecordError::Empty && i + 1 == self.files.len() {
                    break 'files;
                }
                let next = match next_sound(file.raw(), file.base(), inside) {
                    Some(next) => file.base().plus(next as u64),
                    None if self.goes_on_behind(i) => file.end(),
                    None => {
                        let bytes = used_behind(&bytes[inside..]);
                        if bytes > 0 {
                            dispatch.drop_bytes(Dropped { at, bytes, why: error });
                        }
                        break 'files;
                    }
                };
                dispatch.drop_bytes(Dropped { at, bytes: next.since(at), why: error });
                at = next;
            }
        }
        (walked.dropped, walked.dropped_bytes) = dispatch.finish();
        Ok(walked)
    }

    fn check<'b>(&self, bytes: &'b [u8], at: PhysicalOffset) -> Result<Entry<'b>, RecordError> {
        let entry = Entry::decode(bytes)?;
        match &entry {
            Entry::Message(record) => {
                if record.physical_offset != at {
                    return Err(RecordError::Malformed("physical offset"));
                }
                // Properties end with a separator; what a power cut left unwritten reads as zeros, and no checksum
                // covers it.
                if record.properties.ends_with('\0') {
                    return Err(RecordError::Malformed("properties"));
                }
                if self.check_crc {
                    record.verify()?;
                }
            }
            Entry::Blank => {
                let stated = bytes.first_chunk::<4>().map_or(0, |len| u32::from_be_bytes(*len));
                if stated as usize != bytes.len() {
                    return Err(RecordError::Malformed("blank length"));
                }
            }
        }
        Ok(entry)
    }

    /// Whether a file behind file `i` has a whole record.
    fn goes_on_behind(&self, i: usize) -> bool {
        self.files.iter().skip(i + 1).any(|file| {
            self.check(file.raw(), file.base()).is_ok() || next_sound(file.raw(), file.base(), 0).is_some()
        })
    }

    /// Ends the log at `end`: nothing but zeros follows, and files behind are deleted. The file that starts there is
    /// the next one to write to and stays.
    fn cut(&mut self, end: PhysicalOffset) -> Result<(), OpenError> {
        while let Some(last) = self.files.back().filter(|last| last.base() > end) {
            let path = last.path().to_owned();
            std::fs::remove_file(&path).map_err(OpenError::io("cannot delete the unused", path))?;
            self.files.pop_back();
        }
        if let Some(last) = self.files.back() {
            let written = end.since(last.base());
            last.truncate(written).map_err(OpenError::io("cannot cut", last.path()))?;
        }
        Ok(())
    }
}

fn warn_rebuild(queue: &Queue) {
    tracing::warn!(?queue, "a consume queue lacks messages: all queues are rebuilt from the log");
}

/// Where the next whole record starts behind damaged bytes at `inside` of a log file that begins at `base`. It must
/// say that it lies where it lies, so that bytes that merely look like a record do not count. A stretch of zeros longer
/// than any message ends the search: nothing was written there, and a file may have a gigabyte of it.
pub(crate) fn next_sound(bytes: &[u8], base: PhysicalOffset, inside: usize) -> Option<usize> {
    let sound = |next: usize| {
        let lies_there = |r: &Record<'_>| r.physical_offset == base.plus(next as u64) && r.verify().is_ok();
        bytes.get(next..).is_some_and(|rest| Record::decode(rest).is_ok_and(|r| lies_there(&r)))
    };
    let mut from = inside + 1;
    while from < bytes.len() {
        let end = bytes.len().min(from + SEARCH);
        let window = &bytes[from..end];
        if used_behind(window) == 0 {
            return None;
        }
        // Magics are searched by their first byte: a search for whole records at each byte would take hours.
        let mut done = 0;
        while let Some(step) = window[done..].iter().position(|&b| b == (MAGIC_V1 >> 24) as u8) {
            let magic_at = from + done + step;
            let magic = bytes
                .get(magic_at..magic_at + 4)
                .map(|m| u32::from_be_bytes(m.try_into().expect("four bytes")));
            if magic.is_some_and(|m| m == MAGIC_V1 || m == MAGIC_V2)
                && magic_at >= inside + 5
                && sound(magic_at - 4)
            {
                return Some(magic_at - 4);
            }
            done += step + 1;
        }
        from = end;
    }
    None
}

/// How many bytes at the front reach up to the last that is not zero. Looks no further than a stretch of zeros longer
/// than any message.
fn used_behind(bytes: &[u8]) -> u64 {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut used = 0;
    for (i, chunk) in bytes.chunks(ZEROS.len()).enumerate() {
        // Comparing is many times faster than looking for the last.
        if *chunk == ZEROS[..chunk.len()] {
            if i * ZEROS.len() > used + SEARCH {
                break;
            }
        } else if let Some(last) = chunk.iter().rposition(|&b| b != 0) {
            used = i * ZEROS.len() + last + 1;
        }
    }
    used as u64
}

struct Walked {
    end: PhysicalOffset,
    records: u64,
    dropped: Vec<Dropped>,
    dropped_bytes: u64,
    last_stored: Timestamp,
    last_record: PhysicalOffset,
}

/// What became of a record.
enum Given {
    /// It is in its queue, or belongs into none.
    Taken,
    /// It does not fit its queue, and the queue's next message decides.
    Held,
    /// Something in it cannot be true.
    Refused(RecordError),
}

/// A record that does not fit its queue.
struct Suspect {
    at: PhysicalOffset,
    queue_offset: QueueOffset,
    entry: QueueEntry,
}

/// Gives walked records to their queues.
struct Dispatch<'a> {
    recovery: &'a Recovery<'a>,
    log_start: PhysicalOffset,
    /// Whether queues are made from what is walked over; otherwise they must have what comes before.
    rebuild: bool,
    /// The queues of the topic seen last that were asked for: records of one topic often follow each other.
    topic: Vec<Arc<Queue>>,
    /// By the address of their queue; one each.
    suspects: HashMap<*const Queue, Suspect>,
    /// Messages that may be missing, by the bytes that were dropped so far.
    missing: u64,
    dropped: Vec<Dropped>,
    dropped_bytes: u64,
    in_memory: usize,
}

impl<'a> Dispatch<'a> {
    fn new(recovery: &'a Recovery<'a>, rebuild: bool) -> Self {
        Self {
            recovery,
            log_start: recovery.files.front().map_or(PhysicalOffset::ZERO, |file| file.base()),
            rebuild,
            topic: Vec::new(),
            suspects: HashMap::new(),
            missing: 0,
            dropped: Vec::new(),
            dropped_bytes: 0,
            in_memory: 0,
        }
    }

    /// Adds the record to its queue, and to the light queues that it is in.
    fn give(&mut self, record: &Record<'_>, at: PhysicalOffset) -> Result<Given, WalkError> {
        if !record.sys_flag.is_queued() {
            // What belongs into no queue has no place there either.
            let numbered = record.queue_offset > QueueOffset::ZERO;
            let why = RecordError::Malformed("system flag");
            return Ok(if numbered { Given::Refused(why) } else { Given::Taken });
        }
        let marks = Marks::of(record.properties);
        let entry = QueueEntry { physical: at, len: record.len as u32, tags: self.tags_of(record, &marks) };
        let given = if self.is_deleted(record.topic, at) {
            Given::Taken
        } else if record.queue_id.0 > MAX_QUEUE_ID {
            return Ok(Given::Refused(RecordError::Malformed("queue id")));
        } else if let Some(queue) = self.queue_of(record) {
            self.give_to(&queue, record.queue_offset, entry)?
        } else {
            // A topic name that no broker accepts.
            return Ok(Given::Refused(RecordError::Malformed("topic")));
        };
        if marks.light_offsets.is_some() && is_dispatched(record.topic) {
            self.give_further(&marks, entry)?;
        }
        if self.in_memory >= ENTRIES_IN_MEMORY {
            self.write_out()?;
        }
        Ok(given)
    }

    /// Whether the topic was deleted when the log ended behind `at`.
    fn is_deleted(&self, topic: &str, at: PhysicalOffset) -> bool {
        let deleted = &self.recovery.manifest.deleted;
        !deleted.is_empty() && deleted.get(topic).is_some_and(|&end| at < end)
    }

    fn give_to(
        &mut self,
        queue: &Arc<Queue>,
        queue_offset: QueueOffset,
        entry: QueueEntry,
    ) -> Result<Given, WalkError> {
        match queue.push_next(queue_offset, entry) {
            Ok(()) => {
                if !self.suspects.is_empty() {
                    self.drop_suspect(queue);
                }
                self.in_memory += 1;
                Ok(Given::Taken)
            }
            Err(next) => self.give_elsewhere(queue, queue_offset, entry, next),
        }
    }

    /// Adds a record to the light queues that it is in beside its own. One of those that it does not fit says nothing
    /// about the record.
    fn give_further(&mut self, marks: &Marks<'_>, entry: QueueEntry) -> Result<(), WalkError> {
        let (names, offsets) =
            (marks.light_queues.unwrap_or_default(), marks.light_offsets.unwrap_or_default());
        for (name, queue_offset) in light::stored_queues(names, offsets) {
            if self.is_deleted(name, entry.physical) {
                continue;
            }
            let Ok(topic) = TopicName::new(name) else { continue };
            let queue = self.recovery.queues.find_or_make(&topic, LIGHT_QUEUE);
            if let Given::Refused(why) = self.give_to(&queue, queue_offset, entry)? {
                tracing::warn!(?queue, at = %entry.physical, %queue_offset, %why, "a message has no place in a light queue");
            }
        }
        Ok(())
    }

    fn queue_of(&mut self, record: &Record<'_>) -> Option<Arc<Queue>> {
        /// Looked through one by one.
        const MOST: usize = 16;
        if self.topic.first().is_none_or(|queue| queue.topic().as_str() != record.topic) {
            self.topic.clear();
        }
        if let Some(queue) = self.topic.iter().find(|queue| queue.id() == record.queue_id) {
            return Some(Arc::clone(queue));
        }
        let queue = self.recovery.queues.of_record(record)?;
        if self.topic.len() < MOST {
            self.topic.push(Arc::clone(&queue));
        }
        Some(queue)
    }

    /// Decides on a record that is not its queue's next.
    fn give_elsewhere(
        &mut self,
        queue: &Arc<Queue>,
        queue_offset: QueueOffset,
        entry: QueueEntry,
        next: QueueOffset,
    ) -> Result<Given, WalkError> {
        if !self.rebuild {
            let known = queue_offset < next
                && queue.entry(queue_offset)?.is_some_and(|known| known.physical == entry.physical);
            return if known { Ok(Given::Taken) } else { Err(WalkError::Gap(Arc::clone(queue))) };
        }
        if queue_offset.0 > MAX_QUEUE_OFFSET {
            return Ok(Given::Refused(RecordError::Malformed("queue offset")));
        }
        let newest = next.0.checked_sub(1).map(|last| queue.entry(QueueOffset(last))).transpose()?.flatten();
        let live = newest.is_some_and(|newest| !newest.is_filler() && newest.physical >= self.log_start);
        let gap = queue_offset.since(next);
        let agrees = |suspect: &Suspect| suspect.queue_offset.plus(1) == queue_offset;
        if self.suspects.get(&Arc::as_ptr(queue)).is_some_and(agrees) {
            // Two that agree are right, and the queue is not: messages are missing, or it was begun anew.
            if live && gap > 1 && gap <= MAX_GAP {
                queue.fill_upto(QueueOffset(queue_offset.0 - 1));
                self.in_memory += gap as usize;
            } else if live && gap > 1 {
                self.drop_suspect(queue);
                return Ok(Given::Refused(RecordError::Malformed("queue offset")));
            } else {
                queue.begin_at(QueueOffset(queue_offset.0 - 1))?;
            }
            if let Some(suspect) = self.suspects.remove(&Arc::as_ptr(queue)) {
                let _ = queue.push_next(suspect.queue_offset, suspect.entry);
            }
            let _ = queue.push_next(queue_offset, entry);
            self.in_memory += 2;
            return Ok(Given::Taken);
        }
        self.drop_suspect(queue);
        let begins = next == QueueOffset::ZERO && (self.log_start > PhysicalOffset::ZERO || self.missing > 0);
        if gap > 0 && (begins || gap <= self.missing.min(MAX_GAP)) {
            if live {
                queue.fill_upto(queue_offset);
                self.in_memory += gap as usize;
            } else {
                // The log was trimmed: the queue begins with what is left of it. Its first file is filled up, because
                // the reference broker takes zeros at its start for an empty queue.
                queue.begin_at(queue_offset)?;
            }
            let _ = queue.push_next(queue_offset, entry);
            self.in_memory += 1;
            return Ok(Given::Taken);
        }
        let suspect = Suspect { at: entry.physical, queue_offset, entry };
        self.suspects.insert(Arc::as_ptr(queue), suspect);
        Ok(Given::Held)
    }

    fn drop_suspect(&mut self, queue: &Arc<Queue>) {
        if let Some(suspect) = self.suspects.remove(&Arc::as_ptr(queue)) {
            self.drop_bytes(suspect.into());
        }
    }

    fn drop_bytes(&mut self, dropped: Dropped) {
        self.missing += dropped.bytes.div_ceil(MIN_RECORD_LEN as u64);
        self.dropped_bytes += dropped.bytes;
        if self.dropped.len() < MOST_REPORTED {
            self.dropped.push(dropped);
        }
    }

    fn tags_of(&self, record: &Record<'_>, marks: &Marks<'_>) -> TagsCode {
        if record.topic == SCHEDULE_TOPIC {
            let asked = find_property(record.properties, property::DELAY).and_then(|d| d.parse::<i64>().ok());
            let schedule = self.recovery.schedule;
            if let Some(level) = asked.and_then(|asked| schedule.resolve(asked)) {
                return TagsCode(record.stored.plus(schedule.span(level)).0);
            }
        }
        TagsCode::of(marks.tags)
    }

    fn write_out(&mut self) -> std::io::Result<()> {
        self.in_memory = 0;
        self.recovery.queues.write_all_out()
    }

    /// What was dropped, in order, and its bytes. Entries that are left in memory are the queue writer's.
    fn finish(mut self) -> (Vec<Dropped>, u64) {
        for suspect in std::mem::take(&mut self.suspects).into_values() {
            self.drop_bytes(suspect.into());
        }
        self.dropped.sort_by_key(|dropped| dropped.at);
        (self.dropped, self.dropped_bytes)
    }
}

/// The properties that decide which queues a record is in, and how, as [`find_property`] finds them. Millions of records
/// are asked for theirs, so properties that cannot be one are not taken apart.
#[derive(Default)]
struct Marks<'a> {
    tags: Option<&'a str>,
    light_queues: Option<&'a str>,
    light_offsets: Option<&'a str>,
}

impl<'a> Marks<'a> {
    fn of(properties: &'a str) -> Self {
        let mut found = Self::default();
        let mut rest = properties;
        while !rest.is_empty() {
            let end = rest.bytes().position(|b| b == PROPERTY_END).unwrap_or(rest.len());
            let one = &rest[..end];
            let value = |name| {
                let value = one.strip_prefix(name)?.strip_prefix(NAME_END as char)?;
                Some(value).filter(|value| !value.is_empty())
            };
            match one.as_bytes().first() {
                Some(b'T') => found.tags = value(property::TAGS).or(found.tags),
                Some(b'I') => {
                    found.light_queues = value(property::INNER_MULTI_DISPATCH).or(found.light_queues);
                    found.light_offsets = value(property::INNER_MULTI_QUEUE_OFFSET).or(found.light_offsets);
                }
                _ => {}
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        found
    }
}

impl From<Suspect> for Dropped {
    fn from(suspect: Suspect) -> Self {
        Self {
            at: suspect.at,
            bytes: u64::from(suspect.entry.len),
            why: RecordError::Malformed("queue offset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_as_everywhere_else() {
        for properties in [
            "",
            "TAGS\x01a\x02",
            "KEYS\x01k\x02TAGS\x01a\x02",
            "TAGS\x01a\x02TAGS\x01b",
            "TAGS\x01a\x02TAGS\x01\x02",
            "\x02\x02TAGS\x01a=\x01b\x02",
            "TAGSX\x01a\x02 TAGS\x01b\x02TAGS",
            "中\x01文\x02TAGS\x01中文\x02",
        ] {
            let expected = TagsCode::of(find_property(properties, property::TAGS));
            assert_eq!(TagsCode::of(Marks::of(properties).tags), expected, "{properties:?}");
        }
    }
}
