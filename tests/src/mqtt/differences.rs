//! Where a server does something else than a test of a statement expects, and why.
//!
//! A test that is named here must fail on that server, with these words: so that what it does instead is shown too, and an
//! entry that is no longer true is found. Of mosquitto that holds for the version that its table was made with; on others it
//! may pass.

use std::process::Command;
use std::sync::OnceLock;

use super::peer::Peer;
use crate::toolchain;

/// The version of mosquitto that the table is exact for: Debian 12's.
pub const EXACT: &str = "2.0.11";

/// Something that a server does in its own way.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The test that shows it: `part::name`.
    pub test: &'static str,
    /// Some words of the test's failure.
    pub fails_with: &'static str,
    /// What it does instead; of mosquitto also why ours does not do the same.
    pub why: &'static str,
}

const fn differs(test: &'static str, fails_with: &'static str, why: &'static str) -> Difference {
    Difference { test, fails_with, why }
}

/// It closes, and does not say why, which a server of 5.0 should.
const SILENT: &str = "expected DISCONNECT, but came the end";
/// What is expected does not come: it is not waited for long.
pub const NOTHING: &str = "nothing came";
/// It finds nothing wrong.
const GOES_ON: &str = "expected the end, but came PingResp";
/// As [`GOES_ON`], in 5.0.
const GOES_ON_5: &str = "expected DISCONNECT, but came PingResp";

/// Mosquitto's, in the order of the tests.
pub const OF_MOSQUITTO: &[Difference] = &[
    differs("auth::auth_with_wrong_flags_ends_the_connection", SILENT, "It closes without saying why."),
    differs(
        "auth::auth_without_a_method_in_connect_ends_the_connection",
        SILENT,
        "It closes without saying why.",
    ),
    differs("connect::a_second_connect_ends_the_connection", SILENT, "It closes without saying why."),
    differs("connect::authentication_data_needs_a_method", "but came ConnAck", "It accepts the CONNECT."),
    differs(
        "connect::the_client_taken_over_is_told_why_in_5_0",
        SILENT,
        "It closes the older connection without 0x8E.",
    ),
    differs(
        "flow::a_client_beyond_the_receive_maximum_is_disconnected",
        "but came Some(PingResp)",
        "It announces 20 and takes more.",
    ),
    differs(
        "flow::a_resumed_session_keeps_within_the_new_receive_maximum",
        "expected 2 under way",
        "It sends everything again at once, whatever the Receive Maximum is now.",
    ),
    differs(
        "flow::no_packet_is_larger_than_the_client_takes",
        "expected one, but came",
        "It does not count a packet's first byte, and sends one byte more than the client takes.",
    ),
    differs(
        "format::a_disconnect_with_wrong_flags_ends_the_connection",
        SILENT,
        "It closes without saying why.",
    ),
    differs(
        "format::a_ping_with_a_body_ends_the_connection",
        GOES_ON,
        "It answers a PINGREQ that has a body.",
    ),
    differs("format::a_pubrel_with_wrong_flags_ends_the_connection", SILENT, "It closes without saying why."),
    differs(
        "format::acks_of_the_wrong_length_end_a_3_1_1_connection",
        GOES_ON,
        "It ignores what is behind the identifier.",
    ),
    differs(
        "format::packets_of_servers_end_the_connection",
        GOES_ON,
        "It takes a server's SUBACK from any client.",
    ),
    differs(
        "format::reserved_header_flags_end_the_connection",
        GOES_ON,
        "It does not look at the flags of acknowledgements and of PINGREQ.",
    ),
    differs("format::text_in_user_properties_obeys_the_same_rules", SILENT, "It closes without saying why."),
    differs("keep_alive::a_silent_client_is_told_why_in_5_0", SILENT, "It closes without 0x8D."),
    differs(
        "properties::a_property_of_another_packet_ends_the_connection",
        SILENT,
        "It closes without saying why.",
    ),
    differs("properties::a_property_twice_ends_the_connection", SILENT, "It closes without saying why."),
    differs(
        "properties::a_reason_code_of_another_packet_ends_the_connection",
        GOES_ON_5,
        "It does not look at the codes of acknowledgements.",
    ),
    differs(
        "properties::a_topic_alias_of_0_or_too_large_ends_the_connection",
        "expected DISCONNECT of [94], but came 0x81",
        "It calls an alias of 0 malformed, 0x81.",
    ),
    differs("properties::an_unknown_property_ends_the_connection", SILENT, "It closes without saying why."),
    differs("publish::a_payload_format_above_1_ends_the_connection", GOES_ON_5, "It passes on any value."),
    differs(
        "publish::a_pubrec_of_nothing_is_answered",
        "right: 146",
        "It answers PUBREL without the reason 0x92.",
    ),
    differs(
        "publish::a_pubrel_of_nothing_is_answered",
        "right: 146",
        "It answers PUBCOMP without the reason 0x92.",
    ),
    differs(
        "publish::a_repeated_qos_2_message_is_acknowledged_again_and_delivered_once",
        "but the server closed",
        "It acknowledges the first repetition and ends the connection at the second.",
    ),
    differs(
        "publish::a_response_topic_with_wildcards_ends_the_connection",
        GOES_ON_5,
        "It passes on any text.",
    ),
    differs(
        "publish::a_subscription_identifier_from_a_client_ends_the_connection",
        GOES_ON_5,
        "It ignores the identifier.",
    ),
    differs("publish::qos_0_with_dup_ends_the_connection", GOES_ON, "It ignores DUP with QoS 0."),
    differs(
        "retained::shared_subscriptions_get_no_retained_messages",
        "[\"kept\"]",
        "It sends retained messages with shared subscriptions too.",
    ),
    differs(
        "sessions::the_expiry_is_counted_over_a_restart",
        "left: true",
        "It begins to count anew when it starts.",
    ),
    differs(
        "shared::shared_filters_of_the_wrong_form_are_refused",
        "left: [1]",
        "It grants `$share/g`, which has no filter.",
    ),
    differs(
        "subscribe::a_refused_filter_does_not_end_a_5_0_connection",
        "but came DISCONNECT 0x81",
        "It ends the connection for one bad filter.",
    ),
    differs(
        "subscribe::a_shared_filter_is_another_one",
        NOTHING,
        "A client that holds both gets its own message once.",
    ),
    differs(
        "subscribe::no_local_with_a_shared_subscription_ends_the_connection",
        "but came SubAck",
        "It grants it.",
    ),
    differs(
        "subscribe::overlapping_subscriptions_deliver_at_the_highest_qos",
        NOTHING,
        "It delivers one copy, at the QoS of whichever subscription it finds first.",
    ),
    differs(
        "subscribe::two_subscription_identifiers_end_the_connection",
        SILENT,
        "It closes without saying why.",
    ),
    differs(
        "websocket::a_text_frame_ends_the_connection",
        "but came an answer in",
        "It takes text frames as it takes binary ones.",
    ),
    differs(
        "wills::a_clean_start_publishes_a_delayed_will",
        "left: \"marker\"",
        "It drops the will with the session that the clean start ends.",
    ),
    differs(
        "wills::a_delayed_will_of_a_session_without_expiry_goes_out_at_once",
        NOTHING,
        "It waits for the delay though the session has ended.",
    ),
    differs(
        "wills::a_disconnect_with_a_reason_publishes_the_will_in_5_0",
        "left: \"marker\"",
        "It publishes the will after 0x04, but not after the codes of errors.",
    ),
];

/// Ours, in the order of the tests.
pub const OF_OURS: &[Difference] = &[];

/// What a test's server does in its own way, if anything.
pub fn of(peer: Peer, test: &str) -> Option<Difference> {
    let all = match peer {
        Peer::Mosquitto => OF_MOSQUITTO,
        Peer::Ferromq => OF_OURS,
    };
    all.iter().find(|difference| difference.test == test).copied()
}

/// Whether every difference of this server must show.
pub fn is_exact(peer: Peer) -> bool {
    static EXACTLY: OnceLock<bool> = OnceLock::new();
    peer == Peer::Ferromq
        || *EXACTLY.get_or_init(|| {
            let output = Command::new(toolchain::mosquitto()).arg("-h").output().expect("mosquitto runs");
            String::from_utf8_lossy(&output.stdout).contains(&format!("version {EXACT}\n"))
        })
}
