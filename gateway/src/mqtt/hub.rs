//! Which clients have a connection, and how one connection ends another.
//!
//! Always true: a client has one connection at most. Who comes with the identifier of one that is there tells it to go
//! and waits until it is gone; so a session has one owner at any time.

use std::collections::HashMap;
use std::sync::Arc;

use ferromq_mqtt::{ReasonCode, Text};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Why a connection is told to go.
pub(super) type Order = Option<ReasonCode>;

/// The clients that have a connection.
#[derive(Debug, Default)]
pub(super) struct Hub {
    present: Mutex<HashMap<Text, Arc<Seat>, RandomState>>,
}

#[derive(Debug)]
struct Seat {
    /// Tells its connection to go.
    order: watch::Sender<Order>,
    /// Told when the place is free.
    free: Notify,
}

/// A client's place; free again once this is dropped.
#[derive(Debug)]
pub(super) struct Present {
    hub: Arc<Hub>,
    client: Text,
    seat: Arc<Seat>,
}

impl Hub {
    /// Takes the client's place, once whoever has it is gone. Cancel safe.
    pub(super) async fn enter(self: &Arc<Self>, client: &Text) -> Present {
        loop {
            let seat = {
                let mut present = self.present.lock();
                match present.get(client) {
                    Some(seat) => Arc::clone(seat),
                    None => {
                        let seat = Arc::new(Seat { order: watch::Sender::new(None), free: Notify::new() });
                        present.insert(client.clone(), Arc::clone(&seat));
                        return Present { hub: Arc::clone(self), client: client.clone(), seat };
                    }
                }
            };
            let free = seat.free.notified();
            if self.has(client, &seat) {
                seat.tell(ReasonCode::SessionTakenOver);
                free.await;
            }
        }
    }

    /// Whether the client still has this place: asked once being told is sure.
    fn has(&self, client: &Text, seat: &Arc<Seat>) -> bool {
        self.present.lock().get(client).is_some_and(|now| Arc::ptr_eq(now, seat))
    }

    /// Tells all connections that the server stops.
    pub(super) fn stop(&self) {
        for seat in self.present.lock().values() {
            seat.tell(ReasonCode::ServerShuttingDown);
        }
    }
}

impl Seat {
    /// The first order counts.
    fn tell(&self, why: ReasonCode) {
        self.order.send_if_modified(|order| order.is_none() && order.replace(why).is_none());
    }
}

impl Present {
    /// What tells the connection to go.
    pub(super) fn orders(&self) -> watch::Receiver<Order> {
        self.seat.order.subscribe()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.hub.present.lock().remove(&self.client);
        self.seat.free.notify_waiters();
    }
}
