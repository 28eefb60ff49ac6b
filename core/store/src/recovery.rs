//! Recovery: finds the true end of the log, and makes the consume queues agree with it.
//!
//! The log is the only truth. Recovery starts at a place below which everything is known to be sound (the newest
//! record that a queue knows after a clean stop; the checkpoint's time after a crash), walks records by magic,
//! length and checksum, and ends at the first bytes that are none. Queues are trusted below the start and written anew
//! above it; a queue that lacks entries below the start makes recovery begin again at the log's first record, with all
//! queues empty.
//!
//! What is broken is dropped, and nothing else: behind a damaged record the walk looks for the next whole one that
//! says that it lies where it lies. Only when there is none does the log end there.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferromq_model::delay::DelayLevels;
use ferromq_model::message::{TagsCode, find_property, property};
use ferromq_model::name::SCHEDULE_TOPIC;
use ferromq_model::record::{Entry, MAGIC_V1, MAGIC_V2, Record, RecordError};
use ferromq_model::{PhysicalOffset, QueueOffset, Timestamp};

use crate::error::OpenError;
use crate::log_file::LogFile;
use crate::queue::Queue;
use crate::queue_file::QueueEntry;
use crate::queues::Queues;

/// Entries kept in memory while queues are rebuilt, over all queues.
const ENTRIES_IN_MEMORY: usize = 1 << 20;
/// Queue ids above this are damage, not data.
const MAX_QUEUE_ID: u32 = 1 << 20;
/// Messages of one queue that may be missing between two records; a larger gap is a damaged number.
const MAX_GAP: u64 = 1 << 20;
/// How far behind a damaged record the next whole one is looked for: twice the largest message.
const SEARCH: u64 = 16 << 20;

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
    /// Damaged stretches that were dropped, in order; the last may be the torn tail.
    pub dropped: Vec<Dropped>,
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
    /// No record can have been stored later; one that says so must not push all later ones into the future.
    pub(crate) now: Timestamp,
}

/// A queue lacks entries that it should have.
struct Gap {
    queue: Arc<Queue>,
    at: QueueOffset,
    found: QueueOffset,
}

impl Recovery<'_> {
    /// Brings log and queues into agreement.
    pub(crate) fn run(mut self) -> Result<Recovered, OpenError> {
        let began = Instant::now();
        let io = |what| move |source| OpenError::Io { what, path: "consumequeue".into(), source };
        self.queues.load_from_disk()?;
        let log_start = self.files.front().map_or(PhysicalOffset::ZERO, |file| file.base());
        let start = if self.clean { self.clean_start(log_start)? } else { None };
        let from = match start {
            Some(start) => start,
            None => self.crash_start(log_start),
        };
        let limit = if start.is_some() { PhysicalOffset(u64::MAX) } else { from };
        self.queues.restore_below(limit).map_err(io("cannot read queue files in"))?;
        let mut rebuilt = limit == PhysicalOffset::ZERO || from == log_start;
        let outcome = match self.walk(from, rebuilt) {
            Ok(walked) => walked,
            Err(WalkError::Gap(gap)) => {
                tracing::warn!(
                    queue = ?gap.queue, stored = %gap.at, known = %gap.found,
                    "a consume queue lacks messages: all queues are rebuilt from the log"
                );
                rebuilt = true;
                self.queues.restore_below(PhysicalOffset::ZERO).map_err(io("cannot reset queue files in"))?;
                match self.walk(log_start, true) {
                    Ok(walked) => walked,
                    Err(WalkError::Gap(_)) => unreachable!("a full walk fills gaps"),
                    Err(WalkError::Io(source)) => return Err(io("cannot write queue files in")(source)),
                }
            }
            Err(WalkError::Io(source)) => return Err(io("cannot write queue files in")(source)),
        };
        self.cut(outcome.end)?;
        self.queues.trim_below(log_start).map_err(io("cannot read queue files in"))?;
        let report = RecoveryReport {
            clean: self.clean,
            from: if rebuilt { log_start } else { from },
            end: outcome.end,
            records: outcome.records,
            rebuilt_queues: rebuilt && outcome.records > 0,
            dropped: outcome.dropped,
            took: began.elapsed(),
        };
        Ok(Recovered { report, last_stored: outcome.last_stored, last_record: outcome.last_record })
    }

    /// After a clean stop: the end of the newest record that a queue knows, if it stands where the queue says.
    fn clean_start(&self, log_start: PhysicalOffset) -> Result<Option<PhysicalOffset>, OpenError> {
        self.queues.restore_below(PhysicalOffset(u64::MAX)).map_err(|source| OpenError::Io {
            what: "cannot read queue files in",
            path: "consumequeue".into(),
            source,
        })?;
        let newest = self.queues.newest_entry().filter(|entry| entry.physical >= log_start);
        let Some(entry) = newest else { return Ok(None) };
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
                let sound = record.verify().is_ok()
                    && record.stored > Timestamp::ZERO
                    && record.stored <= self.trusted;
                if sound {
                    return file.base();
                }
            }
        }
        log_start
    }

    fn bytes_at(&self, at: PhysicalOffset) -> Option<&[u8]> {
        let file = self.files.iter().rev().find(|file| file.base() <= at)?;
        file.raw().get(at.since(file.base()) as usize..)
    }

    /// Reads records from `from` to the end of the log and gives each to its queue.
    fn walk(&self, from: PhysicalOffset, fill_gaps: bool) -> Result<Walked, WalkError> {
        let mut walked = Walked {
            end: from,
            records: 0,
            dropped: Vec::new(),
            last_stored: Timestamp::ZERO,
            last_record: PhysicalOffset::ZERO,
        };
        let mut dispatch =
            Dispatch { queues: self.queues, schedule: self.schedule, fill_gaps, last: None, in_memory: 0 };
        let mut at = from;
        'files: for file in self.files.iter().filter(|file| file.end() > from) {
            if at < file.base() {
                // The end was found in an earlier file only if nothing follows it; files that are missing are passed.
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
                        if let Some(why) = dispatch.give(&record, at)? {
                            walked.dropped.push(Dropped { at, bytes: record.len as u64, why });
                        }
                        walked.records += 1;
                        walked.last_stored = walked.last_stored.max(record.stored.min(self.now));
                        walked.last_record = at;
                        at = at.plus(record.len as u64);
                        walked.end = at;
                        continue;
                    }
                    Err(error) => error,
                };
                match self.resume_behind(file, inside, &error) {
                    Some(next) => {
                        walked.dropped.push(Dropped { at, bytes: (next - inside) as u64, why: error });
                        at = file.base().plus(next as u64);
                    }
                    None => {
                        let bytes = used_behind(&bytes[inside..]);
                        if bytes > 0 {
                            walked.dropped.push(Dropped { at, bytes, why: error });
                        }
                        break 'files;
                    }
                }
            }
        }
        dispatch.write_out()?;
        Ok(walked)
    }

    fn check<'b>(&self, bytes: &'b [u8], at: PhysicalOffset) -> Result<Entry<'b>, RecordError> {
        let entry = Entry::decode(bytes)?;
        if let Entry::Message(record) = &entry {
            if record.physical_offset != at {
                return Err(RecordError::Malformed("physical offset"));
            }
            if self.check_crc {
                record.verify()?;
            }
        }
        Ok(entry)
    }

    /// Where the next whole record of the file starts behind damaged bytes at `inside`. It must say that it lies
    /// where it lies, so that bytes that merely look like a record do not count.
    fn resume_behind(&self, file: &LogFile, inside: usize, error: &RecordError) -> Option<usize> {
        if *error == RecordError::Empty {
            return None;
        }
        let bytes = file.raw();
        let sound = |next: usize| {
            let lies_there =
                |r: &Record<'_>| r.physical_offset == file.base().plus(next as u64) && r.verify().is_ok();
            bytes.get(next..).is_some_and(|rest| Record::decode(rest).is_ok_and(|r| lies_there(&r)))
        };
        let end = bytes.len().min(inside + SEARCH as usize);
        let window = &bytes[inside + 1..end];
        // Magics are searched by their first byte: a search for whole records at each byte would take hours.
        let mut from = 0;
        while let Some(step) = window[from..].iter().position(|&b| b == (MAGIC_V1 >> 24) as u8) {
            let magic_at = inside + 1 + from + step;
            let magic = bytes
                .get(magic_at..magic_at + 4)
                .map(|m| u32::from_be_bytes(m.try_into().expect("four bytes")));
            if magic.is_some_and(|m| m == MAGIC_V1 || m == MAGIC_V2)
                && magic_at >= inside + 5
                && sound(magic_at - 4)
            {
                return Some(magic_at - 4);
            }
            from += step + 1;
        }
        None
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

/// How many bytes at the front reach up to the last that is not zero. Looks no further than a stretch of zeros longer
/// than any message.
fn used_behind(bytes: &[u8]) -> u64 {
    let mut used = 0;
    for (i, chunk) in bytes.chunks(4096).enumerate() {
        if let Some(last) = chunk.iter().rposition(|&b| b != 0) {
            used = i * 4096 + last + 1;
        } else if i * 4096 > used + SEARCH as usize {
            break;
        }
    }
    used as u64
}

struct Walked {
    end: PhysicalOffset,
    records: u64,
    dropped: Vec<Dropped>,
    last_stored: Timestamp,
    last_record: PhysicalOffset,
}

enum WalkError {
    Gap(Gap),
    Io(std::io::Error),
}

impl From<std::io::Error> for WalkError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Gives walked records to their queues.
struct Dispatch<'a> {
    queues: &'a Queues,
    schedule: &'a DelayLevels,
    fill_gaps: bool,
    /// Records of one queue often follow each other.
    last: Option<Arc<Queue>>,
    in_memory: usize,
}

impl Dispatch<'_> {
    /// Adds the record to its queue. `Some` says what in it cannot be true; it is left out then.
    fn give(&mut self, record: &Record<'_>, at: PhysicalOffset) -> Result<Option<RecordError>, WalkError> {
        if !record.sys_flag.is_queued() {
            return Ok(None);
        }
        if record.queue_id.0 > MAX_QUEUE_ID {
            return Ok(Some(RecordError::Malformed("queue id")));
        }
        let same =
            |queue: &Arc<Queue>| queue.topic().as_str() == record.topic && queue.id() == record.queue_id;
        let queue = match self.last.take().filter(same) {
            Some(queue) => queue,
            None => match self.queues.of_record(record) {
                Some(queue) => queue,
                // A topic name that no broker accepts: its messages stay in the log, unqueued.
                None => return Ok(Some(RecordError::Malformed("topic"))),
            },
        };
        let next = queue.next();
        if record.queue_offset > next {
            if !self.fill_gaps {
                return Err(WalkError::Gap(Gap { queue, at: record.queue_offset, found: next }));
            }
            if next == QueueOffset::ZERO && queue.max() == next {
                // The log was trimmed: the queue begins with what is left of it. Its first file is filled up, because
                // the reference broker takes zeros at its start for an empty queue.
                queue.begin_at(record.queue_offset)?;
            } else if record.queue_offset.since(next) > MAX_GAP {
                self.last = Some(queue);
                return Ok(Some(RecordError::Malformed("queue offset")));
            } else {
                for _ in 0..record.queue_offset.since(next) {
                    queue.push(QueueEntry::FILLER);
                    self.in_memory += 1;
                }
            }
        }
        if record.queue_offset >= next {
            let tags = self.tags_of(record);
            queue.push(QueueEntry { physical: at, len: record.len as u32, tags });
            queue.publish(record.queue_offset.plus(1));
            self.in_memory += 1;
            if self.in_memory >= ENTRIES_IN_MEMORY {
                self.write_out()?;
            }
        }
        self.last = Some(queue);
        Ok(None)
    }

    fn tags_of(&self, record: &Record<'_>) -> TagsCode {
        if record.topic == SCHEDULE_TOPIC {
            let asked = find_property(record.properties, property::DELAY).and_then(|d| d.parse::<i64>().ok());
            if let Some(level) = asked.and_then(|asked| self.schedule.resolve(asked)) {
                return TagsCode(record.stored.plus(self.schedule.span(level)).0);
            }
        }
        TagsCode::of(find_property(record.properties, property::TAGS))
    }

    fn write_out(&mut self) -> std::io::Result<()> {
        self.in_memory = 0;
        self.queues.write_all_out()
    }
}
