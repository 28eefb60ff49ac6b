//! Stopping: the first signal asks for a graceful stop, the second insists.

use std::future::Future;
use std::io;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::info;

/// How serving ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// By itself, or gracefully after a signal.
    Served(T),
    /// A second signal came before the graceful stop was done.
    Forced,
}

/// SIGTERM, SIGINT and, if wanted, the end of standard input, which mean the same here.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    stdin: Option<oneshot::Receiver<()>>,
}

impl Signals {
    /// From now on, the signals no longer end the process by themselves.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stdin: None,
        })
    }

    /// From now on, the end of standard input counts too.
    pub(crate) fn with_stdin_end(self) -> io::Result<Self> {
        Ok(Self { stdin: Some(stdin_end()?), ..self })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        let stdin = async {
            match &mut self.stdin {
                // The sender says nothing: it is dropped.
                Some(end) => drop(end.await),
                None => std::future::pending().await,
            }
        };
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM received",
            _ = self.interrupt.recv() => "SIGINT received",
            () = stdin => "standard input ended",
        };
        info!("{name}");
        // Whoever sent a signal may end by it, too: Ctrl-C reaches both. That is no second one.
        self.stdin = None;
    }
}

/// Resolves when standard input ends, whatever came before.
///
/// It is read by a thread that nobody awaits: nothing interrupts a read that blocks, so it may last as long as the process.
fn stdin_end() -> io::Result<oneshot::Receiver<()>> {
    let (reading, end) = oneshot::channel();
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        // A standard input that cannot be read has nobody behind it either.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(reading);
    })?;
    Ok(end)
}

/// Runs what `serve` makes of a future that resolves at the first `signal`. At the second, it is dropped.
pub(crate) async fn stoppable<F: Future>(
    serve: impl FnOnce(StopAsked) -> F,
    mut signal: impl AsyncFnMut(),
) -> Ended<F::Output> {
    let (stop, asked) = oneshot::channel::<()>();
    let mut serving = pin!(serve(StopAsked(asked)));
    tokio::select! {
        output = &mut serving => return Ended::Served(output),
        () = signal() => drop(stop),
    }
    tokio::select! {
        output = serving => Ended::Served(output),
        () = signal() => Ended::Forced,
    }
}

/// Resolves when a stop is asked for.
pub(crate) struct StopAsked(oneshot::Receiver<()>);

impl StopAsked {
    /// Waits for it.
    pub(crate) async fn wait(self) {
        // The sender says nothing: it is dropped.
        let _ = self.0.await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_asks_and_waits_for_the_rest() {
        let mut signals = 1;
        let ended = stoppable(
            async |stop| {
                stop.wait().await;
                "flushed"
            },
            async || match signals {
                0 => std::future::pending().await,
                _ => signals -= 1,
            },
        );
        assert_eq!(ended.await, Ended::Served("flushed"));
    }

    #[tokio::test]
    async fn the_second_signal_does_not_wait() {
        let ended = stoppable(
            async |stop| {
                stop.wait().await;
                std::future::pending::<()>().await;
            },
            async || {},
        );
        assert_eq!(ended.await, Ended::Forced);
    }

    #[tokio::test]
    async fn what_ends_by_itself_needs_no_signal() {
        let ended = stoppable(async |_| 7, async || std::future::pending().await);
        assert_eq!(ended.await, Ended::Served(7));
    }

    #[tokio::test]
    async fn the_end_of_input_that_follows_a_signal_is_no_second_one() {
        let (reading, end) = oneshot::channel();
        let mut signals = Signals { stdin: Some(end), ..Signals::catch().unwrap() };
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        signals.next().await;
        drop(reading);
        tokio::time::timeout(Duration::from_millis(50), signals.next()).await.expect_err("one, not two");
    }
}
