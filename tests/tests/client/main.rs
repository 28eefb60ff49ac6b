//! Our client against our server and the official ones of both lines: the same list of scenarios on all of them.
//!
//! | file | scenarios |
//! |---|---|
//! | `consuming` | a consumer that is handed messages |

mod consuming;

use consuming::*;

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
}
