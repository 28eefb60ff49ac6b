//! A consumer before and after it joins its group, which it does once.

use std::sync::{Arc, OnceLock};

use ferromq_bindings::{Configure, Fault, Subscribe};
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::options::{self, configured};

/// What is built with `B`, and is a `J` once it has joined.
pub(crate) struct Joining<B, J> {
    builder: Mutex<Option<B>>,
    joined: Arc<OnceLock<J>>,
}

impl<B: Send + 'static, J: Send + Sync + 'static> Joining<B, J> {
    /// With topics and options, both as JSON.
    pub(crate) fn new(builder: Result<B, Fault>, topics: &str, options: &str) -> Result<Self, Fault>
    where
        B: Configure + Subscribe,
    {
        let builder = configured(options, builder?)?.subscribed(options::topics(topics)?);
        Ok(Self { builder: Mutex::new(Some(builder)), joined: Arc::default() })
    }

    /// Joins, as `join` does it.
    pub(crate) fn start<F>(&self, bridge: &Bridge, id: u32, join: impl FnOnce(B) -> F + Send + 'static)
    where
        F: Future<Output = Result<J, Fault>> + Send + 'static,
    {
        let builder = self.builder.lock().take();
        let joined = Arc::clone(&self.joined);
        bridge.run(id, async move {
            let builder = builder.ok_or_else(|| Fault::closed("the consumer was started before"))?;
            let consumer = join(builder).await?;
            // Only whoever took the builder comes here.
            let _ = joined.set(consumer);
            Ok(())
        });
    }

    /// What has joined, for tasks.
    pub(crate) fn shared(&self) -> Arc<OnceLock<J>> {
        Arc::clone(&self.joined)
    }

    /// What has joined.
    pub(crate) fn joined(&self) -> Result<&J, Fault> {
        self.joined.get().ok_or_else(not_started)
    }

    /// What is to be closed, if it has joined. If not, it never will.
    pub(crate) fn end(&self) -> Option<&J> {
        drop(self.builder.lock().take());
        self.joined.get()
    }
}

pub(crate) fn not_started() -> Fault {
    Fault::closed("the consumer is not started")
}
