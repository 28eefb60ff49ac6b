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
    /// The file system has no room for the next file.
    no_space: Option<Arc<str>>,
    /// The file system is fuller than the operator allows.
    too_full: Option<Arc<str>>,
    closed: bool,
}

/// The two things that fill a disk, cleared independently of each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Full {
    /// A file could not be made or written.
    NoSpace,
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
        match why.no_space.as_ref().or(why.too_full.as_ref()) {
            Some(text) => Err(AppendError::DiskFull(Arc::clone(text))),
            None => Ok(()),
        }
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
            Full::NoSpace => &mut why.no_space,
            Full::AboveLimit => &mut why.too_full,
        };
        match (&slot, &text) {
            (None, Some(text)) => tracing::error!("{text}"),
            (Some(_), None) => tracing::info!("disk has room again: messages are taken"),
            _ => {}
        }
        *slot = text.map(Arc::from);
        self.note(&why);
    }

    fn note(&self, why: &Why) {
        let sound = why.poisoned.is_none() && why.no_space.is_none() && why.too_full.is_none() && !why.closed;
        self.state.store(u8::from(!sound), Ordering::Release);
    }
}
