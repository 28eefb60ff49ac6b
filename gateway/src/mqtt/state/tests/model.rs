//! Random changes and kills beside a model that knows what each row may be.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        client: usize,
        clean: bool,
    },
    Disconnect {
        client: usize,
    },
    End {
        client: usize,
    },
    /// A row gets a value or goes, now or later.
    Change {
        client: usize,
        row: Row,
        there: bool,
        value: u64,
        later: bool,
    },
    Flush,
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Row {
    Subscription(u8),
    Outbound(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let row = prop_oneof![(0_u8..3).prop_map(Row::Subscription), (1_u16..4).prop_map(Row::Outbound)];
    let change = (0_usize..3, row, any::<bool>(), 0_u64..1000, any::<bool>())
        .prop_map(|(client, row, there, value, later)| Step::Change { client, row, there, value, later });
    prop_oneof![
        2 => (0_usize..3, any::<bool>()).prop_map(|(client, clean)| Step::Connect { client, clean }),
        1 => (0_usize..3).prop_map(|client| Step::Disconnect { client }),
        1 => (0_usize..3).prop_map(|client| Step::End { client }),
        12 => change,
        1 => Just(Step::Flush),
        1 => Just(Step::Kill),
    ]
}

/// A session, and for each row the values that it may have: the last is what this process knows.
struct Modelled {
    number: SessionNumber,
    rows: BTreeMap<Row, Vec<Option<u64>>>,
}

fn change(session: SessionNumber, row: Row, value: Option<u64>) -> Change {
    let filter = |n| -> Arc<str> { format!("filter/{n}").into() };
    match (row, value) {
        (Row::Subscription(n), Some(next)) => subscribe(session, &filter(n), next),
        (Row::Subscription(n), None) => Change::Unsubscribed { session, filter: filter(n) },
        (Row::Outbound(packet_id), Some(n)) => Change::Outbound { session, packet_id, outbound: sent(n, n) },
        (Row::Outbound(packet_id), None) => Change::Complete { session, packet_id },
    }
}

async fn rows(state: &State, session: SessionNumber) -> BTreeMap<Row, u64> {
    let loaded = state.load(session).await.unwrap();
    let filters = loaded.subscriptions.into_iter().map(|(filter, subscription)| {
        let n = filter.strip_prefix("filter/").unwrap().parse().unwrap();
        (Row::Subscription(n), subscription.next.0)
    });
    filters
        .chain(loaded.outbound.into_iter().map(|(id, outbound)| (Row::Outbound(id), outbound.order)))
        .collect()
}

struct Run {
    state: State,
    dir: TempDir,
    clients: [Option<Modelled>; 3],
}

impl Run {
    async fn step(&mut self, step: Step) {
        const NAMES: [&str; 3] = ["one", "two", "three"];
        match step {
            Step::Connect { client, clean } => {
                let connect = Connect { clean_start: clean, ..hello(NAMES[client], Expiry::Never) };
                let connected = self.state.connect(connect, NOON).await.unwrap();
                connected.durable.wait().await.unwrap();
                let before = self.clients[client].take().filter(|_| !clean);
                assert_eq!(connected.resumed.is_some(), before.is_some());
                let begun = Modelled { number: connected.number, rows: BTreeMap::new() };
                self.clients[client] = Some(before.unwrap_or(begun));
            }
            Step::Disconnect { client } => {
                if let Some(session) = &self.clients[client] {
                    assert!(!self.state.disconnected(session.number, None, true, NOON));
                }
            }
            Step::End { client } => {
                if let Some(session) = self.clients[client].take() {
                    assert!(self.state.end(session.number, NOON).await.unwrap().is_some());
                    // The end is written with what is committed next.
                    self.state.flush().wait().await.unwrap();
                }
            }
            Step::Change { client, row, there, value, later } => {
                let Some(session) = &mut self.clients[client] else { return };
                let value = there.then_some(value);
                let values = session.rows.entry(row).or_insert_with(|| vec![None]);
                if later {
                    self.state.later([change(session.number, row, value)]);
                    values.push(value);
                } else {
                    self.state.commit([change(session.number, row, value)]).wait().await.unwrap();
                    *values = vec![value];
                }
            }
            Step::Flush => self.state.flush().wait().await.unwrap(),
            Step::Kill => {
                let image = killed(self.dir.path());
                self.state = open(image.path());
                self.dir = image;
                let sessions = self.clients.iter().flatten().count();
                assert_eq!(self.state.session_count(), sessions);
            }
        }
        if matches!(step, Step::Change { .. }) {
            // Looking would have it written.
            return;
        }
        for session in self.clients.iter_mut().flatten() {
            let found = rows(&self.state, session.number).await;
            assert!(found.keys().all(|row| session.rows.contains_key(row)), "{found:?}");
            for (row, values) in &mut session.rows {
                let value = found.get(row).copied();
                if matches!(step, Step::Kill) {
                    assert!(values.contains(&value), "{row:?} is {value:?}, none of {values:?}");
                } else {
                    assert_eq!(Some(&value), values.last(), "{row:?}");
                }
                *values = vec![value];
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_and_kills_leave_what_they_may(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut run = Run { state: open(dir.path()), dir, clients: [const { None }; 3] };
        runtime.block_on(async {
            for step in steps {
                run.step(step).await;
            }
        });
    }
}
