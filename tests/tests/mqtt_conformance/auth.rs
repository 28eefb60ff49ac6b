//! Enhanced authentication: that a server without any method says so.

use ferromq_tests::mqtt::packet::{self, frame};
use ferromq_tests::mqtt::properties::{AUTH_DATA, AUTH_METHOD};
use ferromq_tests::mqtt::{Connect, Properties, Scene, Version};
use ferromq_tests::mqtt_tests;

mqtt_tests! {
    an_unsupported_method_is_refused,
    auth_without_a_method_in_connect_ends_the_connection,
    auth_with_wrong_flags_ends_the_connection,
    auth_before_connect_ends_the_connection,
    no_auth_comes_to_a_client_without_a_method,
}

fn an_unsupported_method_is_refused(scene: &Scene) {
    for data in [None, Some("data")] {
        let mut connect = Connect::clean(Version::V5, &scene.id("c")).with(AUTH_METHOD, "no such method");
        if let Some(data) = data {
            connect = connect.with(AUTH_DATA, data);
        }
        let mut client = scene.open(Version::V5);
        client.send(connect.bytes());
        client.expect_refused(&[0x8C, 0x87]);
    }
}

fn reauthenticate(first: u8) -> Vec<u8> {
    let section = Properties::none().with(AUTH_METHOD, "m").section();
    frame(first, [vec![0x19], section].concat())
}

fn auth_without_a_method_in_connect_ends_the_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.send(reauthenticate(packet::AUTH));
    client.expect_error(&[0x82]);
}

fn auth_with_wrong_flags_ends_the_connection(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.send(reauthenticate(packet::AUTH | 0x01));
    client.expect_error(&[0x81, 0x82]);
}

fn auth_before_connect_ends_the_connection(scene: &Scene) {
    let mut client = scene.open(Version::V5);
    client.send(reauthenticate(packet::AUTH));
    client.expect_closed();
}

/// The first packet back is CONNACK, and nothing but answers comes after it.
fn no_auth_comes_to_a_client_without_a_method(scene: &Scene) {
    let mut client = scene.client(Version::V5, "c");
    client.publish(&scene.topic("a"), "x", 2);
    client.ping();
    assert_eq!(client.next_if_any(), None);
}
