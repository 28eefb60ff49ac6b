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
    let mut last = None;
    for client in 0..15 {
        let mut connection = Connection::open(launch.mqtt(), Version::V5);
        connection.connect(&Connect::clean(Version::V5, &format!("c{client}")));
        last = Some(connection);
    }
    // A second's worth comes at once, the others five in a second.
    assert!(began.elapsed().as_millis() >= 1_500, "{:?}", began.elapsed());
    let mut client = last.expect("some");
    client.subscribe("$SYS/broker/clients/delayed", 0);
    let delayed: u32 = client.receive().text().parse().expect("a number");
    assert!(delayed > 0);
}
