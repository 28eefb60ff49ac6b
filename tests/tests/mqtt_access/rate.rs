//! How many connections are accepted in a second.

use std::time::Instant;

use ferromq_tests::mqtt::{Connect, Connection, Version};
use ferromq_tests::{Kind, Launch};
use tempfile::TempDir;

#[test]
fn connections_beyond_the_rate_wait_for_their_turn_and_are_counted() {
    let dir = TempDir::new().expect("a directory");
    let launch = Launch::new(Kind::Ferro, dir.path()).small_files().set("mqttConnectRate", "5");
    let _server = launch.start();
    let began = Instant::now();
    // None waits for the answer to the one before: on a slow machine that would be no more than five in a second.
    let open = |client: usize| {
        let mut connection = Connection::open(launch.mqtt(), Version::V5);
        connection.send(Connect::clean(Version::V5, &format!("c{client}")).bytes());
        connection
    };
    let mut waiting: Vec<Connection> = (0..15).map(open).collect();
    for connection in &mut waiting {
        connection.expect_connack(0);
    }
    // A second's worth comes at once, the others five in a second.
    assert!(began.elapsed().as_millis() >= 1_500, "{:?}", began.elapsed());
    let mut client = waiting.pop().expect("some");
    client.subscribe("$SYS/broker/clients/delayed", 0);
    let delayed: u32 = client.receive().text().parse().expect("a number");
    assert!(delayed > 0);
}
