//! Our client against our server and the official ones of both lines: the same list of scenarios on all of them.
//!
//! | file | scenarios |
//! |---|---|
//! | `administering` | what operators see and do |
//! | `consuming` | a consumer that is handed messages |
//! | `encrypted` | connections that are encrypted |
//! | `popping` | a consumer that leases messages |
//! | `pulling` | a consumer that asks for messages |
//! | `sending` | a producer: every way of sending there is |
//! | `tracing` | what a client tells of messages on their way |

mod administering;
mod consuming;
mod encrypted;
mod popping;
mod pulling;
mod sending;
mod tracing;

use administering::*;
use consuming::*;
use encrypted::*;
use popping::*;
use pulling::*;
use sending::*;
use tracing::*;

ferromq_tests::suite! {
    a_group_gets_each_message_once_and_whole,
    a_dead_letter_is_what_failed_too_often,
    a_filter_by_expression_lets_through_what_it_admits,
    a_filter_by_tags_lets_through_what_has_them,
    a_group_begins_at_the_time_it_is_told,
    a_group_goes_on_where_it_was_closed,
    a_member_that_leaves_hands_its_queues_over,
    a_message_that_failed_comes_again,
    a_stream_gives_messages_and_settles_them,
    every_member_of_a_broadcast_gets_all,
    in_order_nothing_passes_a_message_that_failed,
    large_bodies_arrive_whole_however_they_are_compressed,
    messages_of_a_sharding_key_lie_in_one_queue_in_order,
    a_message_goes_to_the_queue_it_is_sent_to,
    each_message_of_a_batch_is_a_message_of_its_own,
    messages_that_linger_have_receipts_of_their_own,
    what_is_sent_one_way_arrives,
    what_a_broker_refuses_is_told_with_its_reason,
    a_delayed_message_comes_when_it_is_due,
    a_timed_message_that_is_taken_back_does_not_come,
    a_transaction_delivers_what_is_committed_and_nothing_else,
    a_question_gets_its_reply,
    the_example_runs,
    assigned_queues_are_read_in_order_and_go_on_where_they_were_committed,
    the_application_goes_where_it_likes_in_a_queue,
    a_filter_goes_with_each_request_for_an_assigned_queue,
    members_that_ask_share_the_queues_and_hand_them_over,
    a_leased_message_is_nobody_elses_and_an_acknowledged_one_does_not_come_again,
    a_lease_that_is_prolonged_lasts,
    a_filter_goes_with_each_lease,
    leased_in_order_nothing_passes_a_message_that_is_out,
    the_example_that_leases_runs,
    the_trace_of_a_message_tells_its_way,
    messages_travel_encrypted,
    the_examples_that_consume_run,
    an_operator_makes_changes_and_deletes_a_topic,
    an_operator_moves_a_group_that_nobody_is_in,
    an_operator_sees_who_consumes_and_sends_them_back,
    an_operator_finds_messages_and_reads_all,
    an_operator_sees_how_brokers_are,
}
