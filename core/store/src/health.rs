//! Whether the store takes messages, and if not, the one reason to tell everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::error::AppendError;

/// The store's state, cheap to look at.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// 0 while messages are taken.
    state: AtomicU8,
    why: Mutex<Why>,
}

#[derive(Debug, Default)]
struct Why {
    poisoned: Option<AppendError>,
    /// The file system has no room for the next log file.
    no_log_space: Option<Arc<str>>,
    /// The file system has no room for queue entries.
    no_queue_space: Option<Arc<str>>,
    /// The file system is fuller than the operator allows.
    too_full: Option<Arc<str>>,
    closed: bool,
}

impl Why {
    fn full(&self) -> Option<&Arc<str>> {
        self.no_log_space.as_ref().or(self.no_queue_space.as_ref()).or(self.too_full.as_ref())
    }
}

/// What finds a disk full; each is cleared by whoever noted it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Full {
    /// The next log file could not be made.
    NoLogSpace,
    /// Queue entries could not be written.
    NoQueueSpace,
    /// Above `diskSpaceWarningLevelRatio`.
    AboveLimit,
}

impl Health {
    /// `Ok` while messages are taken.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.state.load(Ordering::Acquire) == 0 { Ok(()) } else { self.reason() }
    }

    #[cold]
    fn reason(&self) -> Result<(), AppendError> {
        let why = self.why.lock();
        if let Some(poisoned) = &why.poisoned {
            return Err(poisoned.clone());
        }
        if why.closed {
            return Err(AppendError::Closed);
        }
        match why.full() {
            Some(text) => Err(AppendError::DiskFull(Arc::clone(text))),
            None => Ok(()),
        }
    }

    /// Whether messages are refused because no log file could be made.
    pub(crate) fn lacks_log_space(&self) -> bool {
        self.why.lock().no_log_space.is_some()
    }

    /// The failure that ended writing for good, if one did.
    pub(crate) fn poison(&self) -> Option<AppendError> {
        self.why.lock().poisoned.clone()
    }

    /// Ends writing for good. Only the first failure counts: what follows is its consequence.
    pub(crate) fn set_poisoned(&self, error: AppendError) {
        let mut why = self.why.lock();
        if why.poisoned.is_none() {
            tracing::error!(%error, "store is read-only from now on");
            why.poisoned = Some(error);
        }
        self.note(&why);
    }

    pub(crate) fn set_closed(&self) {
        let mut why = self.why.lock();
        why.closed = true;
        self.note(&why);
    }

    /// Notes or clears one of the reasons of a full disk; says so in the log when it changes.
    pub(crate) fn set_full(&self, which: Full, text: Option<String>) {
        let mut why = self.why.lock();
        let slot = match which {
            Full::NoLogSpace => &mut why.no_log_space,
            Full::NoQueueSpace => &mut why.no_queue_space,
            Full::AboveLimit => &mut why.too_full,
        };
        if let (None, Some(text)) = (&slot, &text) {
            tracing::error!("{text}");
        }
        let cleared = slot.is_some() && text.is_none();
        *slot = text.map(Arc::from);
        if cleared && why.full().is_none() {
            tracing::info!("disk has room again: messages are taken");
        }
        self.note(&why);
    }

    fn note(&self, why: &Why) {
        let sound = why.poisoned.is_none() && why.full().is_none() && !why.closed;
        self.state.store(u8::from(!sound), Ordering::Release);
    }
}
