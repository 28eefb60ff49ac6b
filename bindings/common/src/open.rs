//! What is used until it is closed, and what is settled once.
//!
//! A language's objects live as long as its collector likes; what they hold has to end when their user says so.

use ferromq_client::{Transaction, TransactionState};
use parking_lot::Mutex;

use crate::fault::Fault;

/// Something that is used until it is closed. Whoever was given it keeps it until then.
#[derive(Debug)]
pub struct Open<T> {
    /// What it is called in a fault: `producer`.
    name: &'static str,
    value: Mutex<Option<T>>,
}

impl<T> Open<T> {
    /// It is open; `name` is what faults call it.
    pub fn new(name: &'static str, value: T) -> Self {
        Self { name, value: Mutex::new(Some(value)) }
    }

    /// Takes it from here, to be closed; none if somebody has.
    pub fn take(&self) -> Option<T> {
        self.value.lock().take()
    }

    /// What `look`, which is not to wait, sees of it; none once it is closed.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.value.lock().as_ref().map(look)
    }
}

impl<T: Clone> Open<T> {
    /// A handle of it.
    ///
    /// # Errors
    /// [`FaultKind::Closed`](crate::FaultKind::Closed).
    pub fn handle(&self) -> Result<T, Fault> {
        self.value.lock().clone().ok_or_else(|| Fault::closed(format_args!("the {} is closed", self.name)))
    }
}

/// Something that one call settles: a message that is delivered, a transaction that is open. Dropped, it is left as it is.
#[derive(Debug)]
pub struct Unsettled<T>(Mutex<Option<T>>);

impl<T> Unsettled<T> {
    /// It is to be settled.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Takes it, to settle it.
    ///
    /// # Errors
    /// [`FaultKind::Settled`](crate::FaultKind::Settled).
    pub fn settle(&self) -> Result<T, Fault> {
        self.0.lock().take().ok_or_else(Fault::settled)
    }

    /// Whether nobody has settled it.
    pub fn is_open(&self) -> bool {
        self.0.lock().is_some()
    }
}

impl Unsettled<Transaction> {
    /// Ends a transaction that was taken from here. If the broker was told nothing it is open again, so that the same call
    /// may succeed later.
    ///
    /// # Errors
    /// [`FaultKind::Transaction`](crate::FaultKind::Transaction).
    pub async fn end(&self, transaction: Transaction, state: TransactionState) -> Result<(), Fault> {
        transaction.end(state).await.map_err(|error| {
            *self.0.lock() = Some(*error.transaction);
            error.source.into()
        })
    }
}
