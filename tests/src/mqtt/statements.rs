//! What MQTT says a server must do, statement by statement, and the tests that show it.
//!
//! The identifiers are those of the specifications: `3:x` is [MQTT-x] of 3.1.1, `5:x` is [MQTT-x] of 5.0; the words are ours.
//! ENG is what neither says and a server that is not to fall over does. That every test is here, and every test here exists,
//! is checked by the tests themselves.

/// Statements about one thing.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The thing.
    pub title: &'static str,
    /// What is said about it.
    pub statements: &'static [Statement],
}

/// One thing that a server must do.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its identifiers, with blanks between them.
    pub ids: &'static str,
    /// What it says.
    pub says: &'static str,
    /// The tests that show it: `part::name`.
    pub tests: &'static [&'static str],
}

/// Statements without a test, and why.
pub const NOT_SHOWN: &[(&str, &str)] =
    &[("5:3.1.3-8", "How an empty client identifier is refused in 5.0: both servers assign one.")];

/// Statements about what mosquitto's settings here have none of: the tests of `tests/tests/mqtt_access` show them with our
/// server alone, `module::name`.
pub const WITH_OURS_ALONE: &[Statement] = &[
    Statement {
        ids: "3:3.3.5-2",
        says: "A client that may not publish a message is told so, or in 3.1.1 closed.",
        tests: &["acl::only_what_is_granted_is_published"],
    },
    Statement {
        ids: "5:4.3.3-9",
        says: "A PUBREC with an error frees the identifier.",
        tests: &["acl::only_what_is_granted_is_published"],
    },
    Statement {
        ids: "5:4.12.0-2 5:4.12.0-3 5:4.12.0-5",
        says: "AUTH goes to and fro until CONNACK, under the method of CONNECT, which CONNACK names as well.",
        tests: &[
            "scram::a_client_shows_that_it_knows_the_password_and_shows_it_again",
            "scram::another_packet_or_method_in_between_is_against_the_protocol",
        ],
    },
    Statement {
        ids: "5:4.12.0-4",
        says: "Whoever does not show who they are is refused by CONNACK.",
        tests: &["scram::a_client_that_does_not_know_it_is_refused_and_its_password_does_as_well"],
    },
    Statement {
        ids: "5:4.12.1-1 5:4.12.1-2",
        says: "A client may show again who it is, by the same method; if it fails to, it is told and closed.",
        tests: &[
            "scram::a_client_shows_that_it_knows_the_password_and_shows_it_again",
            "scram::another_packet_or_method_in_between_is_against_the_protocol",
        ],
    },
];

macro_rules! sections {
    ($($title:literal: { $($ids:literal $says:literal => $($part:ident::$test:ident),+;)* })*) => {
        /// All of it.
        pub const SECTIONS: &[Section] = &[$(Section {
            title: $title,
            statements: &[$(Statement {
                ids: $ids,
                says: $says,
                tests: &[$(concat!(stringify!($part), "::", stringify!($test))),+],
            }),*],
        }),*];
    };
}

sections! {
"Bytes": {
    "5:1.5.5-1" "A variable byte integer is in as few bytes as hold it, at most four." => format::an_over_long_variable_byte_integer_ends_the_connection, format::a_length_of_more_than_four_bytes_ends_the_connection;
    "3:2.2.2-1 3:2.2.2-2 5:2.1.3-1" "Reserved header flags have their value; with another the connection ends." => format::reserved_header_flags_end_the_connection;
    "3:1.5.3-1 5:1.5.4-1" "Text that is no UTF-8, or has surrogates, ends the connection." => format::ill_formed_utf_8_ends_the_connection, format::surrogates_in_text_end_the_connection;
    "3:1.5.3-2 5:1.5.4-2" "U+0000 in text ends the connection." => format::a_nul_in_text_ends_the_connection;
    "3:1.5.3-3 5:1.5.4-3" "A byte order mark is part of the text." => format::a_byte_order_mark_is_part_of_the_text;
    "5:1.5.7-1" "Both strings of a pair obey the rules of text." => format::text_in_user_properties_obeys_the_same_rules;
    "3:2.3.1-1 5:2.2.1-3" "Packets that have an identifier have one that is not 0." => format::a_packet_identifier_of_0_ends_the_connection;
    "3:2.3.1-5 5:2.2.1-2" "A PUBLISH of QoS 0 has no identifier." => format::a_qos_0_message_has_no_identifier;
    "3:2.3.1-2 3:2.3.1-4 5:2.2.1-4" "Who sends takes an identifier that is not in use; each direction has its own." => format::the_server_numbers_its_messages_with_free_identifiers, format::identifiers_of_the_two_directions_are_independent;
    "3:2.3.1-6 3:2.3.1-7 5:2.2.1-5 5:2.2.1-6" "An acknowledgement has the identifier of what it acknowledges." => format::acknowledgements_carry_the_identifier_of_what_they_acknowledge;
    "5:2.2.2-1" "Packets of 5.0 have a property section, but for the short forms of acknowledgements and DISCONNECT." => format::packets_of_the_server_have_their_property_sections, format::short_forms_of_acknowledgements_are_read, format::a_disconnect_of_a_reason_alone_is_read;
    "3:4.8.0-1 5:4.13.1-1" "What is malformed or breaks the protocol ends the connection; in 5.0 the server says why." => format::types_that_do_not_exist_end_the_connection, format::packets_of_servers_end_the_connection, format::acks_of_the_wrong_length_end_a_3_1_1_connection, format::a_ping_with_a_body_ends_the_connection, format::a_disconnect_with_a_body_ends_a_3_1_1_connection_as_an_error, format::bytes_behind_the_last_field_end_the_connection;
    "ENG" "A body that ends early is malformed, and not waited for." => format::a_body_that_ends_early_ends_the_connection_at_once;
    "ENG" "Packets may come in any pieces." => format::packets_may_come_in_any_pieces;
    "ENG" "One bad connection touches no other." => format::one_bad_connection_touches_no_other;
}
"CONNECT": {
    "3:3.1.0-1 5:3.1.0-1" "The first packet is CONNECT; after another the server closes." => connect::the_first_packet_is_connect;
    "3:3.1.0-2 5:3.1.0-2" "A second CONNECT ends the connection." => connect::a_second_connect_ends_the_connection;
    "3:3.1.2-1 5:3.1.2-1" "Another protocol name is refused." => connect::another_protocol_name_is_refused;
    "3:3.1.2-2 5:3.1.2-2" "An unknown level is refused: 0x01 in 3.1.1, 0x84 in 5.0." => connect::an_unknown_level_is_refused_by_a_3_1_1_connack, connect::an_unknown_level_above_5_is_refused;
    "3:3.1.2-3 5:3.1.2-3" "The reserved flag is 0." => connect::the_reserved_connect_flag_is_0;
    "3:3.1.3-1 5:3.1.3-1" "The fields of the payload come in their order." => connect::fields_of_the_payload_come_in_their_order;
    "3:3.1.2-18 3:3.1.2-19 3:3.1.2-20 3:3.1.2-21 5:3.1.2-16 5:3.1.2-17 5:3.1.2-18 5:3.1.2-19" "User name and password are there when their flags say so, and only then." => connect::user_name_and_password_are_there_when_their_flags_say_so, connect::an_empty_user_name_is_a_user_name;
    "3:3.1.2-22" "In 3.1.1 there is no password without a user name; 5.0 allows it." => connect::a_password_without_user_name_is_refused_in_3_1_1, connect::a_password_without_user_name_is_accepted_in_5_0;
    "3:3.1.3-11 5:3.1.3-12" "A user name is UTF-8; a password is any bytes." => format::ill_formed_utf_8_ends_the_connection, connect::a_password_is_any_bytes;
    "3:3.1.3-3 3:3.1.3-4 5:3.1.3-3 5:3.1.3-4" "The client identifier is always there, and UTF-8." => connect::a_client_identifier_is_always_there, format::ill_formed_utf_8_ends_the_connection;
    "3:3.1.3-5 5:3.1.3-5" "Identifiers of 1 to 23 letters and digits are accepted; so are longer ones of any text." => connect::client_identifiers_of_1_to_23_letters_and_digits_are_accepted, connect::long_client_identifiers_of_any_text_are_accepted;
    "3:3.1.3-6 3:3.1.3-7" "An empty identifier with a clean session gets a unique one." => connect::an_empty_client_identifier_with_clean_session_gets_a_unique_one;
    "3:3.1.3-8 3:3.1.3-9" "An empty identifier without a clean session is refused by 0x02." => connect::an_empty_client_identifier_without_clean_session_is_refused;
    "5:3.1.3-6 5:3.1.3-7 5:3.2.2-16" "In 5.0 an empty identifier gets a unique one, which CONNACK tells." => connect::an_empty_client_identifier_is_assigned_and_told_in_5_0, connect::an_assigned_client_identifier_can_be_resumed;
    "3:3.1.4-1 5:3.1.4-1" "A CONNECT of the wrong form ends the connection, in 3.1.1 without a word." => connect::a_malformed_connect_is_not_answered_in_3_1_1, connect::values_of_connect_properties_have_limits, connect::authentication_data_needs_a_method;
    "5:3.1.4-2" "Whoever may not enter is told so, and the connection ends." => connect::wrong_credentials_are_refused;
    "3:3.1.4-2 5:3.1.4-3" "A client identifier that connects again ends its older connection, in 5.0 with 0x8E; its session goes on." => connect::the_same_client_identifier_takes_over, connect::the_client_taken_over_is_told_why_in_5_0, connect::a_session_moves_with_its_client_identifier;
    "3:3.1.4-5 5:3.1.4-6" "After a refusal nothing more of the client is processed." => connect::nothing_is_processed_after_a_refusal;
    "ENG" "Packets sent right behind CONNECT are processed, in order, after CONNACK." => connect::packets_behind_connect_are_processed_in_order;
    "5:3.1.2-28" "Without the wish for it there is no Response Information." => connect::no_response_information_unless_asked_for;
    "5:3.1.2-29" "Without the wish for it reasons are explained in PUBLISH, CONNACK and DISCONNECT only." => connect::no_reason_strings_unless_wanted;
}
"CONNACK": {
    "3:3.2.0-1 5:3.2.0-1 5:3.2.0-2" "The first packet to a client is CONNACK, and there is one." => connect::the_first_packet_back_is_connack;
    "3:3.1.4-4 5:3.1.4-5" "An accepted CONNECT is answered with 0." => connect::an_accepted_connect_is_answered_with_0;
    "5:3.2.2-1 5:3.2.2-8" "Reserved flags are 0 and the code is one of CONNACK's (checked in whatever CONNACK comes)." => connect::an_accepted_connect_is_answered_with_0, connect::wrong_credentials_are_refused;
    "3:3.2.2-1 5:3.2.2-2" "After a clean start no session is present." => connect::a_clean_start_has_no_session_present;
    "3:3.2.2-2 3:3.2.2-3 5:3.2.2-3" "Otherwise Session Present says whether there was state." => connect::session_present_says_whether_state_was_there;
    "3:3.2.2-4 3:3.2.2-5 3:3.2.2-6 5:3.2.2-6 5:3.2.2-7" "A refusal has no session present, and ends the connection." => connect::a_refusal_has_no_session_present_and_ends_the_connection;
    "5:3.2.2-9 5:3.2.2-10 5:3.2.2-12" "A server without QoS 2 says so, refuses such wills, and grants such subscriptions what it has." => connect::qos_2_works_unless_a_maximum_is_announced;
    "5:3.2.2-13" "A server without retained messages says so and refuses such wills." => connect::retained_wills_work_unless_announced_otherwise;
    "5:3.2.2-19 5:3.2.2-20" "Explanations are left out of a CONNACK that would be too large for the client." => connect::a_connack_fits_the_clients_maximum_packet_size;
    "5:3.2.2-21" "Server Keep Alive takes the place of the client's." => keep_alive::the_server_may_set_the_keep_alive_and_uses_it;
    "5:3.2.2-22" "Without Server Keep Alive the server uses the client's." => keep_alive::without_server_keep_alive_the_clients_value_counts;
}
"Sessions": {
    "3:3.1.2-4 3:3.1.2-5 5:3.1.2-5 5:3.1.2-6" "Without a clean start stored state is resumed: subscriptions, what waits, what was not completed." => sessions::subscriptions_are_resumed, sessions::options_and_identifiers_of_subscriptions_are_resumed, sessions::messages_wait_for_a_session, sessions::a_qos_2_identifier_is_remembered_until_its_release;
    "3:3.1.2-6 5:3.1.2-4" "A clean start discards what was stored; in 3.1.1 the session also ends with the connection." => sessions::a_clean_start_discards_the_old_state, sessions::a_clean_session_ends_with_its_connection, sessions::a_clean_start_says_nothing_about_the_end_in_5_0;
    "3:3.1.2-7" "Retained messages are no part of a session." => sessions::retained_messages_are_no_part_of_a_session;
    "5:3.1.2-23 5:4.1.0-2" "State is kept for the Session Expiry Interval, and then discarded." => sessions::a_session_without_expiry_ends_with_its_connection, sessions::a_session_is_discarded_when_its_expiry_has_passed, sessions::the_expiry_begins_anew_with_each_end_of_a_connection, sessions::disconnect_may_change_the_expiry, sessions::disconnect_may_not_make_a_session_that_had_no_expiry_outlive;
    "5:3.14.2-2" "A server sends no Session Expiry Interval in DISCONNECT." => sessions::a_server_sends_no_expiry_in_disconnect;
    "3:4.1.0-1 3:4.1.0-2 5:4.1.0-1" "State lasts while the connection is open." => sessions::state_lasts_while_the_connection_is_open;
    "3:4.5.0-1 5:4.5.0-1" "Every session with a matching subscription gets a message, connected or not." => sessions::every_matching_session_gets_a_message_connected_or_not;
    "3:4.4.0-1 3:3.3.1-1 5:4.4.0-1 5:3.3.1-1" "On resume what was not acknowledged is sent again with DUP, its identifier and in its order; at no other time." => sessions::an_unacknowledged_message_is_sent_again_on_resume, sessions::unacknowledged_messages_come_again_in_their_order, sessions::nothing_is_sent_again_on_a_live_connection, sessions::a_released_message_is_not_sent_again_but_released_again;
    "ENG" "Sessions, and where they are in their exchanges, survive a restart; their expiry is counted over it." => sessions::sessions_survive_a_restart, sessions::a_qos_2_identifier_survives_a_restart, sessions::the_expiry_is_counted_over_a_restart;
}
"Wills": {
    "3:3.1.2-8 5:3.1.2-8" "A will is published when the connection ends in any way but a DISCONNECT that deletes it." => wills::a_will_goes_out_when_the_connection_breaks, wills::a_will_goes_out_after_a_protocol_error, wills::a_will_goes_out_when_keep_alive_ends_the_connection, wills::a_will_goes_out_on_takeover;
    "3:3.1.2-10 3:3.14.4-3 5:3.1.2-10 5:3.14.4-3" "DISCONNECT deletes it, in 5.0 with the reason 0 only; it is published once." => wills::a_disconnect_deletes_the_will, wills::a_disconnect_with_a_reason_publishes_the_will_in_5_0, wills::a_will_is_published_once;
    "3:3.1.2-9 5:3.1.2-9" "With the will flag there are topic and payload, which may be empty." => wills::a_will_flag_without_its_fields_is_refused, wills::an_empty_will_is_a_will;
    "3:3.1.2-11 3:3.1.2-13 3:3.1.2-15 5:3.1.2-11 5:3.1.2-13" "Without the will flag, will QoS and will retain are 0." => wills::without_will_flag_will_qos_and_will_retain_are_0;
    "3:3.1.2-14 5:3.1.2-12" "There is no will of QoS 3." => wills::a_will_of_qos_3_is_refused, wills::a_will_is_published_with_its_qos;
    "3:3.1.2-16 5:3.1.2-14" "Without will retain the will is not retained." => wills::a_will_that_is_not_retained_is_not_kept;
    "3:3.1.2-17 5:3.1.2-15" "With will retain it is." => wills::a_retained_will_is_kept;
    "5:3.1.3-9" "A will waits for its delay or the session's end, whichever is first; a connection before that cancels it." => wills::a_will_waits_for_its_delay, wills::a_delayed_will_goes_out_when_the_session_ends_before, wills::a_delayed_will_of_a_session_without_expiry_goes_out_at_once, wills::a_new_connection_cancels_a_delayed_will, wills::a_clean_start_publishes_a_delayed_will;
    "5:3.1.3-10" "Properties of a will are published with it, user properties in their order." => wills::properties_of_a_will_are_published_with_it;
    "ENG" "A will topic is a topic name." => wills::a_will_topic_with_wildcards_is_refused;
    "ENG" "A restart of the server is a loss of the connection." => wills::a_will_goes_out_when_the_server_is_restarted;
}
"Keep alive": {
    "3:3.1.2-24 5:3.1.2-22" "A client that is silent for one and a half of its keep alive is disconnected (5.0: 0x8D); any packet breaks the silence." => keep_alive::a_silent_client_is_disconnected, keep_alive::a_silent_client_is_told_why_in_5_0, keep_alive::any_packet_breaks_the_silence, keep_alive::without_keep_alive_a_client_may_be_silent;
    "3:3.12.4-1 5:3.12.4-1" "Every PINGREQ is answered, also while messages are held back." => keep_alive::every_ping_is_answered, keep_alive::a_ping_is_answered_while_flow_control_holds_messages_back;
}
"PUBLISH": {
    "3:3.3.1-4 5:3.3.1-4" "QoS 3 ends the connection." => publish::qos_3_ends_the_connection;
    "3:3.3.1-2 5:3.3.1-2" "DUP is 0 with QoS 0." => publish::qos_0_with_dup_ends_the_connection;
    "3:3.3.1-3 5:3.3.1-3" "DUP is not passed on." => publish::dup_is_not_passed_on;
    "3:3.3.2-1 3:3.3.2-2 5:3.3.2-1 5:3.3.2-2" "A topic name is UTF-8 and has no wildcards." => publish::a_topic_with_wildcards_ends_the_connection, format::ill_formed_utf_8_ends_the_connection;
    "3:3.3.2-3 5:3.3.2-3" "The topic passed on is the topic that came." => publish::the_topic_is_passed_on_as_it_came;
    "5:3.3.2-4 5:3.3.2-15 5:3.3.2-16 5:3.3.2-17 5:3.3.2-18 5:3.3.2-20" "Payload format, response topic, correlation data, user properties and content type are passed on unaltered." => publish::properties_are_passed_on_as_they_came, publish::payloads_of_any_bytes_are_passed_on, publish::a_request_is_answered_by_its_response_topic_and_correlation, publish::a_payload_format_above_1_ends_the_connection;
    "5:3.3.2-13 5:3.3.2-14" "A response topic has no wildcards." => publish::a_response_topic_with_wildcards_ends_the_connection;
    "5:3.3.4-6" "A client's PUBLISH has no subscription identifier." => publish::a_subscription_identifier_from_a_client_ends_the_connection;
    "5:3.3.2-5" "An expired message is not delivered." => publish::an_expired_message_is_not_delivered;
    "5:3.3.2-6" "The expiry passed on is what is left of it." => publish::the_expiry_passed_on_is_what_is_left;
    "3:3.8.4-6 5:3.8.4-8" "A message goes out with the lesser of its QoS and the granted one." => publish::the_qos_out_is_the_lesser_of_both;
    "3:4.6.0-5 3:4.6.0-6 5:4.6.0-5 5:4.6.0-6" "Messages of a client to a topic keep their order." => publish::messages_of_a_client_keep_their_order;
    "3:4.3.1-1 5:4.3.1-1" "QoS 0: no identifier, no DUP, no answer." => publish::a_message_is_acknowledged_with_its_qos, format::a_qos_0_message_has_no_identifier;
    "3:4.3.2-2 5:4.3.2-4" "QoS 1: PUBACK once the server has the message, whoever listens." => publish::a_message_is_acknowledged_with_its_qos, publish::nobody_listening_is_no_error;
    "5:4.3.2-5" "After PUBACK the identifier stands for a new message." => publish::an_identifier_is_free_again_after_puback;
    "3:4.3.2-1 5:4.3.2-1 5:4.3.2-2 5:4.3.2-3" "Outward QoS 1: a free identifier, DUP 0 first, under way until PUBACK." => format::the_server_numbers_its_messages_with_free_identifiers, sessions::an_unacknowledged_message_is_sent_again_on_resume, publish::acknowledgements_may_come_out_of_order, publish::an_unknown_puback_does_no_harm;
    "3:4.3.3-2 5:4.3.3-8 5:4.3.3-10" "QoS 2: PUBREC once the server has the message; until PUBREL the same identifier is the same message." => publish::a_repeated_qos_2_message_is_acknowledged_again_and_delivered_once, sessions::a_qos_2_identifier_is_remembered_until_its_release;
    "5:4.3.3-11 5:4.3.3-12" "PUBREL is answered by PUBCOMP, and the identifier is free." => publish::an_identifier_is_free_again_after_pubcomp, publish::a_pubrel_of_nothing_is_answered;
    "3:3.6.1-1 5:3.6.1-1" "PUBREL has the flags 0010." => format::a_pubrel_with_wrong_flags_ends_the_connection;
    "5:4.3.3-1 5:4.3.3-2 5:4.3.3-3 5:4.3.3-4 5:4.3.3-5 5:4.3.3-6" "Outward QoS 2: PUBLISH until PUBREC, PUBREL until PUBCOMP, never PUBLISH after PUBREL." => publish::the_server_releases_after_pubrec_and_ends_after_pubcomp, sessions::a_released_message_is_not_sent_again_but_released_again, publish::a_pubrec_of_nothing_is_answered;
    "5:4.4.0-2" "A PUBREC with an error ends the exchange." => publish::a_pubrec_with_an_error_ends_the_exchange;
    "5:4.3.3-7 5:4.3.3-13" "An exchange that began is finished though the message has expired." => publish::an_exchange_that_began_is_finished_though_it_expired;
}
"Retained messages": {
    "3:3.3.1-5 5:3.3.1-5" "The last retained message of a topic is kept, with its QoS and properties." => retained::the_last_retained_message_comes_with_a_subscription, retained::a_retained_message_keeps_its_qos_and_properties;
    "3:3.3.1-10 3:3.3.1-11 5:3.3.1-6 5:3.3.1-7" "An empty one is delivered, removes the old one and is not kept." => retained::an_empty_retained_message_removes_and_is_delivered;
    "3:3.3.1-12 5:3.3.1-8" "A message without RETAIN leaves it alone." => retained::a_message_that_is_not_retained_leaves_the_retained_one;
    "3:3.3.1-6 3:3.3.1-8" "In 3.1.1 retained messages come with every subscription, with RETAIN 1." => retained::retained_messages_come_with_every_subscription_in_3_1_1, retained::wildcards_get_every_matching_retained_message;
    "3:3.3.1-9" "In 3.1.1 who was subscribed before gets RETAIN 0." => retained::established_subscriptions_get_messages_without_retain;
    "5:3.3.1-9" "Retain Handling 0: they come with every SUBSCRIBE." => retained::retain_handling_0_sends_with_every_subscription, retained::retained_messages_have_the_flag_whatever_is_asked;
    "5:3.3.1-10" "Retain Handling 1: with new subscriptions only." => retained::retain_handling_1_sends_with_new_subscriptions_only;
    "5:3.3.1-11" "Retain Handling 2: never." => retained::retain_handling_2_sends_none;
    "5:3.3.1-12" "Without Retain As Published the flag is 0." => retained::without_retain_as_published_the_flag_is_0;
    "5:3.3.1-13" "With it the flag is as it came." => retained::retain_as_published_keeps_the_flag;
    "3:3.3.1-7" "Retained messages of QoS 0 may be dropped, and are not." => retained::retained_qos_0_messages_are_kept;
    "ENG" "Shared subscriptions get no retained messages." => retained::shared_subscriptions_get_no_retained_messages;
    "ENG" "Retained messages expire, tell what is left of their expiry, and survive a restart." => retained::a_retained_message_expires, retained::a_retained_message_tells_what_is_left_of_its_expiry, retained::retained_messages_survive_a_restart;
}
"SUBSCRIBE and UNSUBSCRIBE": {
    "3:3.8.1-1 5:3.8.1-1" "SUBSCRIBE has the flags 0010." => format::a_subscribe_with_wrong_flags_ends_the_connection;
    "3:3.10.1-1 5:3.10.1-1" "UNSUBSCRIBE has the flags 0010." => format::an_unsubscribe_with_wrong_flags_ends_the_connection;
    "3:3.8.3-3 5:3.8.3-2" "SUBSCRIBE has a filter." => subscribe::a_subscribe_without_filters_ends_the_connection;
    "3:3.10.3-2 5:3.10.3-2" "UNSUBSCRIBE has a filter." => subscribe::an_unsubscribe_without_filters_ends_the_connection;
    "3:3-8.3-4 5:3.8.3-5" "Reserved bits of what is asked for are 0, and its values exist." => subscribe::reserved_bits_of_the_requested_qos_end_a_3_1_1_connection, subscribe::reserved_bits_of_subscription_options_end_the_connection, subscribe::qos_3_and_retain_handling_3_end_the_connection;
    "5:3.8.3-3" "No Local: a client's own messages do not come back." => subscribe::no_local_keeps_a_clients_own_messages_from_it;
    "5:3.8.3-4" "No Local with a shared subscription is an error." => subscribe::no_local_with_a_shared_subscription_ends_the_connection;
    "ENG" "A subscription identifier is not 0, and there is one at most." => subscribe::a_subscription_identifier_of_0_ends_the_connection, subscribe::two_subscription_identifiers_end_the_connection;
    "3:3.8.4-1 3:3.8.4-2 3:3.8.4-4 3:3.8.4-5 5:3.8.4-1 5:3.8.4-2 5:3.8.4-5 5:3.8.4-6 3:3.9.3-1 5:3.9.3-1" "One SUBACK with the identifier, and one code for each filter in their order." => subscribe::a_subscribe_is_answered_with_a_code_for_each_filter_in_order, subscribe::a_subscription_of_each_qos_is_granted;
    "3:3.9.3-2 5:3.9.3-2" "Codes of SUBACK are those of its list; a refused filter does not end a connection of 5.0." => subscribe::a_refused_filter_does_not_end_a_5_0_connection, subscribe::filters_of_the_wrong_form_are_refused;
    "3:3.8.4-3 5:3.8.4-3" "The same filter again replaces the subscription; with a share it is another filter." => subscribe::the_same_filter_again_replaces_the_subscription, subscribe::a_shared_filter_is_another_one;
    "5:3.8.4-4" "No message is lost while it is replaced." => subscribe::no_message_is_lost_while_a_subscription_is_replaced;
    "3:3.8.3-2" "Filters with wildcards are served." => subscribe::wildcard_subscriptions_are_served;
    "3:3.3.5-1 5:3.3.4-2" "Overlapping subscriptions deliver at the highest QoS among them." => subscribe::overlapping_subscriptions_deliver_at_the_highest_qos;
    "5:3.3.4-3 5:3.3.4-4 5:3.3.4-5" "A message carries the identifiers of the subscriptions that it matched." => subscribe::a_message_carries_the_identifiers_of_all_matching_subscriptions, subscribe::messages_of_subscriptions_without_identifier_carry_none;
    "3:3.10.4-1 5:3.10.4-1" "UNSUBSCRIBE compares filters byte by byte." => subscribe::unsubscribe_compares_byte_by_byte;
    "3:3.10.4-2 5:3.10.4-2" "After it nothing new comes." => subscribe::after_unsubscribe_nothing_new_comes;
    "3:3.10.4-3 5:3.10.4-3" "Exchanges that began are finished." => subscribe::exchanges_that_began_are_finished_after_unsubscribe;
    "3:3.10.4-4 3:3.10.4-5 3:3.10.4-6 5:3.10.4-4 5:3.10.4-5 5:3.10.4-6" "There is always one UNSUBACK, with the identifier." => subscribe::an_unsubscribe_is_always_answered;
    "5:3.11.3-1 5:3.11.3-2" "UNSUBACK has a code for each filter, in order." => subscribe::unsuback_has_a_code_for_each_filter_in_order;
}
"Topics": {
    "3:4.7.1-1 5:4.7.0-1" "Wildcards are in filters only." => publish::a_topic_with_wildcards_ends_the_connection;
    "3:4.7.1-2 5:4.7.1-1" "'#' is a last level of its own; it matches its parent and all below." => topics::a_number_sign_matches_the_parent_and_everything_below, topics::wildcards_are_whole_levels;
    "3:4.7.1-3 5:4.7.1-2" "'+' is a level of its own and matches one level, which may be empty." => topics::a_plus_matches_one_level, topics::wildcards_at_the_root_match_all_topics;
    "3:4.7.2-1 5:4.7.2-1" "A filter that begins with a wildcard matches no topic that begins with '$'." => topics::wildcards_at_the_root_do_not_match_topics_with_a_dollar, topics::a_filter_with_its_dollar_matches;
    "3:4.7.3-1 5:4.7.3-1" "Topics have at least one character." => publish::an_empty_topic_ends_the_connection;
    "3:4.7.3-2 5:4.7.3-2" "Topics have no U+0000." => topics::nul_is_in_no_topic;
    "3:4.7.3-3 5:4.7.3-3" "Topics have at most 65,535 bytes." => topics::the_longest_topic_is_served;
    "3:4.7.3-4 5:4.7.3-4" "Topics are compared as they are: case, empty levels, blanks, accents." => topics::topics_are_case_sensitive, topics::empty_levels_are_levels, topics::topics_are_not_normalised, topics::topics_may_have_spaces_and_any_letters;
}
"Shared subscriptions": {
    "5:4.8.2-1 5:4.8.2-2" "A share has a name without wildcards, and a filter." => shared::shared_filters_of_the_wrong_form_are_refused;
    "ENG" "Each message goes to one member of each group, of either version; a plain subscription is apart from them." => shared::each_message_goes_to_one_member, shared::groups_are_independent, shared::a_member_with_a_plain_subscription_gets_both, shared::members_of_both_versions_share, shared::wildcards_may_be_shared;
    "5:4.8.2-3" "The QoS, the options and the identifier are the member's own." => shared::the_qos_is_the_one_granted_to_the_member, shared::identifiers_and_options_are_each_members_own;
    "5:4.8.2-4" "An exchange of QoS 2 is completed with its member." => shared::a_qos_2_exchange_is_completed_with_its_member;
    "5:4.8.2-5" "If the member's session ends first, the message goes to no other." => shared::a_qos_2_message_of_an_ended_session_is_not_sent_to_another;
    "5:4.8.2-6" "A message that a member refuses goes to no other." => shared::a_refused_message_is_not_sent_to_another;
    "ENG" "Messages wait for a group as long as it has a session; who leaves gets nothing more." => shared::messages_wait_for_a_group_whose_members_are_away, shared::a_member_that_leaves_gets_nothing_more;
}
"Flow control and sizes": {
    "5:4.9.0-1 5:4.9.0-2 5:3.3.4-9" "No more messages are under way than the client's Receive Maximum; each end of an exchange gives a place back." => flow::no_more_than_the_receive_maximum_is_under_way, flow::each_end_of_an_exchange_gives_one_place_back, flow::a_resumed_session_keeps_within_the_new_receive_maximum;
    "5:4.9.0-3 5:3.3.4-10" "QoS 0 and other packets are not held back." => flow::qos_0_is_not_held_back;
    "ENG" "Clients may use the server's Receive Maximum, and not more (0x93); 3.1.1 has a limit by configuration." => flow::a_client_may_use_the_whole_receive_maximum_of_the_server, flow::a_client_beyond_the_receive_maximum_is_disconnected, flow::messages_under_way_are_limited_in_3_1_1;
    "5:3.1.2-24 5:3.1.2-25" "No packet is larger than the client takes; what would be is as if it had been sent." => flow::no_packet_is_larger_than_the_client_takes, flow::a_message_too_large_for_one_client_reaches_others;
    "5:3.4.2-2 5:3.4.2-3" "Explanations are left out of what would be too large." => flow::reasons_are_left_out_of_what_would_be_too_large;
    "ENG" "A packet larger than the server takes ends the connection (0x95) before its body has come." => flow::a_packet_larger_than_the_server_takes_ends_the_connection, flow::the_largest_packet_that_the_server_takes_is_taken, flow::an_announced_large_packet_is_not_waited_for;
}
"Properties, reason codes, topic aliases": {
    "ENG" "A property that is unknown, of another packet, there twice or cut off ends the connection." => properties::an_unknown_property_ends_the_connection, properties::a_property_of_another_packet_ends_the_connection, properties::a_property_twice_ends_the_connection, properties::a_property_section_that_is_too_long_ends_the_connection, properties::a_property_cut_by_the_end_of_its_section_ends_the_connection, properties::properties_of_a_will_are_checked;
    "5:3.4.2-1 5:3.5.2-1 5:3.6.2-1 5:3.7.2-1 5:3.14.2-1 5:3.15.2-1" "Only the codes of a packet's list are in it." => properties::a_reason_code_of_another_packet_ends_the_connection, properties::a_client_may_send_every_reason_code_of_its_acknowledgements;
    "5:3.3.2-8 5:3.3.2-9" "A topic alias is neither 0 nor above the server's maximum." => properties::a_topic_alias_of_0_or_too_large_ends_the_connection;
    "5:3.3.2-12" "The server takes every alias up to its maximum." => properties::a_topic_alias_stands_for_its_topic, properties::a_topic_alias_can_be_set_anew, properties::an_unknown_topic_alias_ends_the_connection;
    "5:3.1.2-26 5:3.1.2-27 5:3.3.2-11" "The server uses no alias above the client's maximum, and none if that is 0." => properties::a_server_uses_aliases_only_as_far_as_the_client_takes_them;
    "5:3.3.2-7" "Aliases end with the connection, and are not passed on." => properties::topic_aliases_end_with_the_connection, properties::topic_alias_and_subscription_identifier_are_not_passed_on, properties::stored_messages_have_their_topic_not_an_alias;
}
"DISCONNECT": {
    "3:3.14.1-1 5:3.14.1-1" "DISCONNECT has the flags 0." => format::a_disconnect_with_wrong_flags_ends_the_connection;
    "5:3.14.0-1" "There is no DISCONNECT before CONNACK." => connect::the_first_packet_is_connect, connect::another_protocol_name_is_refused;
    "5:4.13.2-1 5:3.14.4-1 5:3.14.4-2" "After a code of an error the server sends nothing more and closes." => connect::wrong_credentials_are_refused, publish::qos_3_ends_the_connection;
}
"Enhanced authentication": {
    "5:4.12.0-1" "A method that is not supported is refused." => auth::an_unsupported_method_is_refused;
    "5:3.15.1-1" "AUTH has the flags 0." => auth::auth_with_wrong_flags_ends_the_connection;
    "5:4.12.0-6" "Without a method in CONNECT the server sends no AUTH." => auth::no_auth_comes_to_a_client_without_a_method;
    "5:4.12.0-7 5:3.1.2-30" "Nor may the client; before CONNACK nobody may without one." => auth::auth_without_a_method_in_connect_ends_the_connection, auth::auth_before_connect_ends_the_connection;
}
"WebSocket": {
    "3:6.0.0-1 5:6.0.0-1" "Packets are in binary frames; a text frame ends the connection." => websocket::packets_go_in_binary_frames, websocket::a_text_frame_ends_the_connection;
    "3:6.0.0-2 5:6.0.0-2" "Frames and packets are unrelated." => websocket::frames_and_packets_are_unrelated, websocket::fragments_are_put_together;
    "3:6.0.0-3 3:6.0.0-4 5:6.0.0-3 5:6.0.0-4" "The subprotocol is `mqtt`." => websocket::the_subprotocol_mqtt_is_selected;
    "ENG" "Pings are answered; a close frame ends the connection, which is no DISCONNECT." => websocket::pings_of_websocket_are_answered, websocket::a_close_frame_ends_the_connection_and_the_will_goes_out;
}
}
