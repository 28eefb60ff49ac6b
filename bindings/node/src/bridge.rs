//! Waiting: what is done for one JavaScript thread, and how the thread hears of it.
//!
//! ```text
//! task ends ──▶ Completions ── the first since the last drain? one wake-up ──▶ drain ──▶ take: the next chunk
//!                                                                               └ more left? another wake-up
//! ```
//! A chunk is a list of `id, kind, length, payload`; JavaScript settles a promise for each. Chunks are bounded, so that a
//! drain holds its event loop only for a moment. How much waits in all is bounded by how much was asked for: producers and
//! consumers have limits for that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ferromq_bindings::Fault;
use napi::bindgen_prelude::{BufferSlice, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::errors::{thrown, told};
use crate::message::write_receipts;
use crate::packed::Writer;
use crate::runtime::runtime;

/// Completions that JavaScript takes at once.
const CHUNK: u32 = 512;
/// Bytes of payload after which a chunk takes no more.
const CHUNK_BYTES: usize = 256 * 1024;
/// What an idle queue keeps of its memory.
const KEPT_BYTES: usize = 64 * 1024;

/// What calls complete with.
pub(crate) trait Answer {
    /// Writes it; messages that came are put into `batches`.
    fn write(self, to: &mut Writer, batches: &mut Vec<Batch>);
}

/// How a call ended, as JavaScript reads it.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Done = 0,
    Failed = 1,
    Aborted = 2,
}

/// Completions for one JavaScript thread.
#[napi]
pub struct Bridge {
    completions: Arc<Completions>,
    runtime: Handle,
}

/// A function without arguments, called once for many completions. It keeps no event loop alive: JavaScript does that, as
/// long as it waits for something.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

struct Completions {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    /// A wake-up is on its way.
    woken: bool,
    /// Batches of the chunk that was taken last.
    taken: Vec<Batch>,
    /// Calls that JavaScript may still end.
    abortable: HashMap<u32, oneshot::Sender<()>>,
    spare: Vec<u8>,
}

#[derive(Default)]
struct Chunk {
    count: u32,
    packed: Writer,
    batches: Vec<Batch>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.count >= CHUNK || self.packed.len() >= CHUNK_BYTES
    }
}

impl Completions {
    fn complete(&self, id: u32, kind: Kind, write: impl FnOnce(&mut Writer, &mut Vec<Batch>)) {
        let wake = {
            let mut state = self.state.lock();
            if state.chunks.back().is_none_or(Chunk::is_full) {
                let packed = Writer(std::mem::take(&mut state.spare));
                state.chunks.push_back(Chunk { packed, ..Chunk::default() });
            }
            let chunk = state.chunks.back_mut().expect("there is one now");
            chunk.packed.u32(id);
            chunk.packed.u8(kind as u8);
            let at = chunk.packed.reserve_u32();
            let start = chunk.packed.len();
            write(&mut chunk.packed, &mut chunk.batches);
            let len = chunk.packed.len() - start;
            chunk.packed.set_u32(at, len as u32);
            chunk.count += 1;
            !std::mem::replace(&mut state.woken, true)
        };
        if wake {
            self.wake();
        }
    }

    /// Has JavaScript drain. If its thread is gone, nobody will ever read: what is there is dropped.
    fn wake(&self) {
        if self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking) != Status::Ok {
            let mut state = self.state.lock();
            state.woken = false;
            let unread = std::mem::take(&mut state.chunks);
            drop(state);
            drop(unread);
        }
    }

    fn ended<T: Answer>(&self, id: u32, ended: Result<T, Fault>) {
        match ended {
            Ok(answer) => self.complete(id, Kind::Done, |to, batches| answer.write(to, batches)),
            Err(fault) => self.complete(id, Kind::Failed, |to, _| {
                to.text(&told(&fault));
                write_receipts(to, fault.receipts.as_deref().unwrap_or_default());
            }),
        }
    }
}

/// Completes a call, also if its task panics: somebody waits for it.
struct Completion {
    completions: Arc<Completions>,
    id: Option<u32>,
}

impl Completion {
    fn end<T: Answer>(mut self, ended: Result<T, Fault>) {
        if let Some(id) = self.id.take() {
            self.completions.ended(id, ended);
        }
    }

    fn abort(mut self) {
        if let Some(id) = self.id.take() {
            self.completions.complete(id, Kind::Aborted, |_, _| ());
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.completions.ended::<()>(id, Err(Fault::closed("the call ended without an answer")));
        }
    }
}

#[napi]
impl Bridge {
    /// `drain` is called when there is something to take.
    #[napi(constructor)]
    pub fn new(drain: Function<'_, (), ()>) -> napi::Result<Self> {
        let builder = drain.build_threadsafe_function::<()>().weak::<true>().callee_handled::<false>();
        let wake = builder.build_callback(|_| Ok(()))?;
        let completions = Completions { state: Mutex::default(), wake };
        let runtime = runtime().map_err(thrown)?.handle().clone();
        Ok(Self { completions: Arc::new(completions), runtime })
    }

    /// The next chunk of what is done.
    #[napi]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Option<BufferSlice<'env>>> {
        let (chunk, more) = {
            let mut state = self.completions.state.lock();
            let chunk = state.chunks.pop_front();
            let more = !state.chunks.is_empty();
            state.woken = more;
            (chunk, more)
        };
        if more {
            self.completions.wake();
        }
        let Some(chunk) = chunk else { return Ok(None) };
        let mut packed = chunk.packed.0;
        let buffer = BufferSlice::copy_from(env, &packed)?;
        packed.clear();
        packed.shrink_to(KEPT_BYTES);
        let mut state = self.completions.state.lock();
        state.spare = packed;
        state.taken = chunk.batches;
        Ok(Some(buffer))
    }

    /// The messages that came with that chunk, in the order in which it mentions them.
    #[napi]
    pub fn batches(&self) -> Vec<Batch> {
        std::mem::take(&mut self.completions.state.lock().taken)
    }

    /// Ends a call that may be ended. It is completed all the same.
    #[napi]
    pub fn abort(&self, id: u32) {
        self.completions.state.lock().abortable.remove(&id);
    }
}

/// Its thread has ended. Tasks that wait without limit end with it: each holds what it waits for, and the completions,
/// which hold what ends it.
impl Drop for Bridge {
    fn drop(&mut self) {
        let ended = std::mem::take(&mut self.completions.state.lock().abortable);
        drop(ended);
    }
}

impl Bridge {
    /// The runtime, to be entered where the client starts tasks of its own.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What completes a call.
    fn completion(&self, id: u32) -> Completion {
        Completion { completions: Arc::clone(&self.completions), id: Some(id) }
    }

    /// Runs `task`, which completes the call.
    pub(crate) fn run<T: Answer>(
        &self,
        id: u32,
        task: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) {
        let completion = self.completion(id);
        self.runtime.spawn(async move { completion.end(task.await) });
    }

    /// As [`Bridge::run`]; if JavaScript aborts the call, the task is dropped, which has to be fine with that.
    pub(crate) fn run_until_aborted<T: Answer>(
        &self,
        id: u32,
        task: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) {
        let completion = self.completion(id);
        let (abort, mut aborted) = oneshot::channel::<()>();
        self.completions.state.lock().abortable.insert(id, abort);
        self.runtime.spawn(async move {
            let ended = tokio::select! {
                biased;
                ended = task => Some(ended),
                _ = &mut aborted => None,
            };
            completion.completions.state.lock().abortable.remove(&id);
            match ended {
                Some(ended) => completion.end(ended),
                None => completion.abort(),
            }
        });
    }

    /// A call that is completed already.
    pub(crate) fn failed(&self, id: u32, fault: Fault) {
        self.completion(id).end::<()>(Err(fault));
    }
}

impl Answer for () {
    fn write(self, _: &mut Writer, _: &mut Vec<Batch>) {}
}

/// One of a few answers.
impl Answer for u8 {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.u8(self);
    }
}

impl Answer for String {
    fn write(self, to: &mut Writer, _: &mut Vec<Batch>) {
        to.text(&self);
    }
}

impl Answer for Batch {
    fn write(self, _: &mut Writer, batches: &mut Vec<Batch>) {
        batches.push(self);
    }
}
