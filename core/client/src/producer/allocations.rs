//! Counts what the producer allocates: nothing for a plain message, beyond the message.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;

use super::tests::cluster::{Cluster, PATIENCE, stored};
use crate::fake::patient;
use crate::message::Message;

/// Counts for each thread, so that tests which run at the same time do not count.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    // A thread that ends allocates too.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_plain_message_allocates_nothing_on_its_way() {
    // Brokers run on a thread of their own.
    let (address, servers) = std::sync::mpsc::sync_channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let brokers = std::thread::spawn(move || {
        runtime().block_on(async {
            let cluster = Cluster::start(2, |_, send, _| stored(send)).await;
            address.send(cluster.name_server()).expect("the test waits for it");
            let _ = stopped.await;
        });
    });
    let names = servers.recv().expect("the brokers start");
    runtime().block_on(async {
        let client = patient(&names).build().expect("a valid address");
        let producer = client.producer("G").send_timeout(PATIENCE).build().expect("valid settings");
        let body = Bytes::from_static(b"hello");
        let message = || {
            let keyed = Message::builder("T").body(body.clone()).tag("t").key("k");
            keyed.build().expect("a valid message")
        };
        let send = async |messages: Vec<Message>| {
            let before = CALLS.get();
            for message in messages {
                producer.send(message).await.expect("it is stored");
            }
            CALLS.get() - before
        };
        // Buffers grow to their size, the route is learnt.
        send((0..100).map(|_| message()).collect()).await;
        let allocated = send((0..1000).map(|_| message()).collect()).await;
        assert!(allocated < 100, "{allocated} allocations for 1000 messages");
        producer.close().await;
        client.close().await;
    });
    drop(stop);
    brokers.join().expect("the brokers end");
}
