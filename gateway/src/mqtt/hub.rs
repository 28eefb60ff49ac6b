//! Which clients have a connection, how one connection ends another, and how a connection is asked what it is doing.
//!
//! Always true: a client has one connection at most. Who comes with the identifier of one that is there tells it to go
//! and waits until it is gone; so a session has one owner at any time.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use ferromq_model::Timestamp;
use ferromq_mqtt::{ReasonCode, Text};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::inspect::Report;

/// Questions of one connection that wait for its answer; of more than that, the oldest is not answered.
const MAX_QUESTIONS: usize = 16;

/// What a connection is called for.
#[derive(Debug)]
pub(super) enum Call {
    /// It is to go.
    Go(ReasonCode),
    /// It is to tell how it stands.
    Report(oneshot::Sender<Report>),
}

/// Who a connection is from.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) address: SocketAddr,
    /// Who it is, or says that it is if nobody asks.
    pub(super) user: Option<Arc<str>>,
    pub(super) since: Timestamp,
}

/// The clients that have a connection.
#[derive(Debug, Default)]
pub(super) struct Hub {
    present: Mutex<HashMap<Text, Arc<Seat>, RandomState>>,
}

#[derive(Debug)]
pub(super) struct Seat {
    visitor: Visitor,
    calls: Mutex<Calls>,
    /// Told of calls.
    called: Notify,
    /// Told when the place is free.
    free: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    /// Stays: the first one counts.
    go: Option<ReasonCode>,
    questions: VecDeque<oneshot::Sender<Report>>,
}

/// A client's place; free again once this is dropped.
#[derive(Debug)]
pub(super) struct Present {
    hub: Arc<Hub>,
    client: Text,
    seat: Arc<Seat>,
}

impl Hub {
    /// Takes the client's place, once whoever has it is gone, who is told `why`. Cancel safe.
    pub(super) async fn enter(
        self: &Arc<Self>,
        client: &Text,
        visitor: &Visitor,
        why: ReasonCode,
    ) -> Present {
        loop {
            let seat = {
                let mut present = self.present.lock();
                match present.get(client) {
                    Some(seat) => Arc::clone(seat),
                    None => {
                        let seat = Arc::new(Seat {
                            visitor: visitor.clone(),
                            calls: Mutex::default(),
                            called: Notify::new(),
                            free: Notify::new(),
                        });
                        present.insert(client.clone(), Arc::clone(&seat));
                        return Present { hub: Arc::clone(self), client: client.clone(), seat };
                    }
                }
            };
            let free = seat.free.notified();
            if self.has(client, &seat) {
                seat.tell(why);
                free.await;
            }
        }
    }

    /// Whether the client still has this place: asked once being told is sure.
    fn has(&self, client: &Text, seat: &Arc<Seat>) -> bool {
        self.present.lock().get(client).is_some_and(|now| Arc::ptr_eq(now, seat))
    }

    /// The connection of a client.
    pub(super) fn find(&self, client: &str) -> Option<Arc<Seat>> {
        let client = Text::try_from(client).ok()?;
        self.present.lock().get(&client).cloned()
    }

    /// Ends the connection of a client, if it has one, and waits until it is gone.
    pub(super) async fn dismiss(&self, client: &str, why: ReasonCode) -> bool {
        let Some(seat) = self.find(client) else { return false };
        let free = seat.free.notified();
        if Text::try_from(client).is_ok_and(|client| self.has(&client, &seat)) {
            seat.tell(why);
            free.await;
        }
        true
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.present.lock().len()
    }

    /// Tells all connections that the server stops.
    pub(super) fn stop(&self) {
        for seat in self.present.lock().values() {
            seat.tell(ReasonCode::ServerShuttingDown);
        }
    }
}

impl Seat {
    /// Tells its connection to go. The first reason counts.
    pub(super) fn tell(&self, why: ReasonCode) {
        self.calls.lock().go.get_or_insert(why);
        self.called.notify_one();
    }

    /// Asks its connection how it stands; `None` when it ends before it says so.
    pub(super) async fn ask(&self) -> Option<Report> {
        let (answer, asked) = oneshot::channel();
        {
            let mut calls = self.calls.lock();
            if calls.questions.len() >= MAX_QUESTIONS {
                calls.questions.pop_front();
            }
            calls.questions.push_back(answer);
        }
        self.called.notify_one();
        asked.await.ok()
    }

    /// Who has it.
    pub(super) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// What its connection is called for next. Cancel safe; one task at a time.
    pub(super) async fn call(&self) -> Call {
        loop {
            {
                let mut calls = self.calls.lock();
                if let Some(why) = calls.go {
                    return Call::Go(why);
                }
                if let Some(question) = calls.questions.pop_front() {
                    return Call::Report(question);
                }
            }
            self.called.notified().await;
        }
    }
}

impl Present {
    /// Where the connection is called.
    pub(super) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.hub.present.lock().remove(&self.client);
        self.seat.free.notify_waiters();
        // Whoever still asks is not answered.
        self.seat.calls.lock().questions.clear();
    }
}
