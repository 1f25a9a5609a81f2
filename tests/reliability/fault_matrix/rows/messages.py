"""Messages are poison, unreadable, too big, repeated, too late or go round and round."""

from tests.reliability.fault_matrix.rows.row import Row

MESSAGES = (
    Row(
        fault="poison that raises",
        criterion="a dead letter after exactly N attempts; others do not wait for them",
        tests=(
            "tests/reliability/fault_matrix/test_messages.py::test_poison_dies_after_exactly_n_attempts_and_delays_nobody",
            "tests/messaging/handling/test_retry.py::test_a_slow_retry_holds_nobody_up",
        ),
        own_mutants=(
            "one forgets the attempt, and poison never dies; one waits in place, and others wait"
        ),
    ),
    Row(
        fault="poison that kills its process",
        criterion=(
            "a dead letter after exactly N + 1 starts, of which the first leaves no record; "
            "others go on"
        ),
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_an_input_that_kills_its_worker",
            "tests/messaging/consuming/test_lost_replicas.py::test_a_message_that_kills_its_process_dies_after_exactly_so_many_starts",
        ),
        mutants={"forget-starts": "its workers die on and on"},
        seen_failing=(
            "tests/messaging/consuming/test_lost_replicas.py::test_acknowledging_before_handling_would_lose_the_message_of_a_crash",
        ),
    ),
    Row(
        fault=(
            "a handler that cancels its own task, raises what is no Exception, or will not be "
            "cancelled"
        ),
        criterion=(
            "a failed attempt, the next message is handled in its place, and the worker ends when "
            "it is told to"
        ),
        tests=(
            "tests/messaging/handling/test_unruly_handlers.py::test_whatever_a_handler_does_its_message_fails_and_the_next_is_handled",
            "tests/messaging/handling/test_unruly_handlers.py::test_what_a_handler_leaves_in_context_variables_no_other_message_sees",
            "tests/messaging/handling/test_unruly_handlers.py::test_a_handler_that_will_not_be_cancelled_holds_up_no_end",
        ),
        seen_failing=(
            "tests/messaging/handling/test_unruly_handlers.py::test_a_place_that_nobody_takes_again_would_be_lost",
        ),
    ),
    Row(
        fault="workers of two versions side by side",
        criterion=(
            "what the older ones cannot read the newer ones handle; E1, R(5), clean, no dead letter"
        ),
        tests=(
            "tests/reliability/fault_matrix/test_messages.py::test_workers_of_two_versions_side_by_side",
            "tests/messaging/handling/test_upgrades.py::test_what_an_older_replica_cannot_read_a_newer_one_beside_it_handles",
        ),
        mutants={"impatient": "gives up at once what it does not know"},
        own_mutants="in the test of upgrades, the same",
    ),
    Row(
        fault="unknown type, too new version",
        criterion=(
            "after two leases a dead letter that names both versions and says what to do, handled "
            "once it is known"
        ),
        tests=(
            "tests/messaging/handling/test_upgrades.py::test_what_nobody_can_read_is_given_up_after_two_leases_and_names_both",
            "tests/messaging/wire/test_hostile_messages.py::test_an_unknown_type_is_ignored_unless_all_types_are_known",
            "tests/messaging/wire/test_hostile_messages.py::test_a_version_that_is_too_new_is_kept_until_its_reader_is_updated",
        ),
        seen_failing=(
            "tests/messaging/handling/test_handling_mutants.py::test_if_everything_strange_were_for_others_it_would_vanish",
            "tests/messaging/handling/test_handling_mutants.py::test_if_a_newer_version_passed_for_ours_it_would_be_misread",
        ),
    ),
    Row(
        fault="too big, too deep, NaN, lone surrogates, NUL, huge integers, any bytes",
        criterion="the error names the field",
        tests=(
            "tests/messaging/wire/test_hostile_messages.py::test_a_hostile_payload_is_dead_lettered_at_once_and_the_next_is_handled",
            "tests/messaging/wire/test_hostile_messages.py::test_an_entry_past_the_cap_is_dead_lettered_unread_and_told_to_its_requester",
            "tests/messaging/wire/test_json_limits.py::test_a_nul_in_a_text_is_json_like_any_other",
            "tests/reliability/fuzz/test_decoders.py::test_whatever_comes_in_is_a_value_or_an_error_of_its_own",
        ),
        seen_failing=(
            "tests/reliability/fuzz/test_decoders.py::test_a_decoder_that_lets_another_error_out_is_found",
        ),
    ),
    Row(
        fault="100 concurrent identical publishes",
        criterion="stored once",
        tests=("tests/messaging/test_bus.py::test_what_many_publish_under_one_id_is_stored_once",),
        seen_failing=(
            "tests/messaging/backends/redis/test_script_mutants.py::test_without_its_sequence_an_append_would_be_stored_twice",
        ),
    ),
    Row(
        fault=(
            "one request asked by many, at once, after one another, or after the process that "
            "asked has died"
        ),
        criterion=(
            "handled once, and all get its answer; the answer of any request reaches whoever "
            "follows it"
        ),
        tests=(
            "tests/messaging/client/test_following.py::test_a_request_that_is_asked_by_many_at_once_is_handled_once",
            "tests/messaging/client/test_following.py::test_a_request_is_answered_to_who_asks_again_after_the_first_process_has_died",
            "tests/messaging/client/test_following.py::test_any_request_can_be_followed_from_now_on",
        ),
        seen_failing=(
            "tests/messaging/client/test_following.py::test_if_it_were_published_anew_it_would_be_handled_again",
            "tests/messaging/client/test_following.py::test_if_nobody_sent_copies_whoever_follows_would_see_no_answer",
        ),
    ),
    Row(
        fault="256 outputs, their sender cut off and dead in between",
        criterion="all or none, and all in the end",
        tests=(
            "tests/reliability/fault_matrix/test_messages.py::test_256_outputs_are_all_there_or_none_wherever_their_sender_is_cut_off",
        ),
        own_mutants="sends them one by one, and leaves a part",
    ),
    Row(
        fault="what is no message, or not the one that its handler declares",
        criterion=(
            "an error that says what was given and what is wanted, one attempt, a dead letter; "
            "also an error that says it cannot be cured"
        ),
        tests=(
            "tests/messaging/wire/test_wrong_messages.py::test_a_handler_that_gives_no_message_is_told_so_and_not_tried_again",
            "tests/messaging/wire/test_wrong_messages.py::test_an_answer_that_was_not_declared_is_a_failure_of_the_handling",
            "tests/messaging/handling/test_retry.py::test_an_error_that_says_it_cannot_be_cured_is_not_tried_again",
        ),
        seen_failing=(
            "tests/messaging/wire/test_wrong_messages.py::test_if_nobody_looked_at_it_an_undeclared_answer_would_go_out",
        ),
    ),
    Row(
        fault="loops",
        criterion="a dead letter after so many hops",
        tests=(
            "tests/messaging/consuming/test_replica.py::test_agents_that_answer_each_other_in_a_loop_are_stopped",
        ),
        seen_failing=(
            "tests/messaging/handling/test_handling_mutants.py::test_if_nobody_counted_hops_a_loop_would_not_end",
        ),
    ),
    Row(
        fault="an agent in the middle of a conversation gives up",
        criterion=(
            "the caller who waits at its start hears, with what failed and what was asked; an "
            "agent that handles failures is told instead"
        ),
        tests=(
            "tests/messaging/handling/test_giving_up.py::test_a_caller_hears_that_a_message_which_followed_was_given_up",
            "tests/messaging/handling/test_giving_up.py::test_a_caller_hears_of_it_through_retries_partitions_and_three_agents",
            "tests/messaging/handling/test_giving_up.py::test_an_agent_that_handles_failures_has_taken_over_what_is_to_be_done",
        ),
        seen_failing=(
            "tests/messaging/handling/test_giving_up.py::test_if_only_the_direct_asker_were_told_the_caller_would_wait_in_vain",
        ),
    ),
    Row(
        fault="expired deadline",
        criterion="not handled, a dead letter, and the requester hears",
        tests=(
            "tests/messaging/consuming/test_replica.py::test_a_message_past_its_deadline_is_not_handled_but_its_requester_hears",
        ),
        seen_failing=(
            "tests/messaging/handling/test_handling_mutants.py::test_if_nobody_looked_at_the_deadline_it_would_be_handled_late",
        ),
    ),
)
