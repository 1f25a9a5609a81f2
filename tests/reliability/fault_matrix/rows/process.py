"""Workers are killed, stand still, starve and fork."""

from tests.reliability.fault_matrix.rows.row import Row

PROCESS = (
    Row(
        fault="kill -9 after read, in the handler, before the commit, after sending it, after it",
        criterion="E1, R(5), clean",
        tests=("tests/reliability/fault_matrix/test_process.py::test_a_worker_that_is_killed",),
        mutants={"early-ack": "loses inputs", "plain": "killed after sending it, repeats one"},
    ),
    Row(
        fault="all workers killed at once",
        criterion="E1, R(10) from the kill, with the start of new ones; clean",
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_all_workers_are_killed_at_once",
        ),
        mutants={"early-ack": "loses inputs"},
    ),
    Row(
        fault="SIGSTOP for three leases, then SIGCONT",
        criterion="E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_a_worker_that_stands_still_for_three_leases",
        ),
        mutants={"no-fence": "commits a second time when it wakes"},
    ),
    Row(
        fault="event loop blocked for three leases",
        criterion="E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_an_event_loop_that_is_blocked_for_three_leases",
        ),
        mutants={"no-fence": "commits a second time when it goes on"},
    ),
    Row(
        fault="three workers that count in one key of the state, one of them killed",
        criterion="E1, an exact count, no dead letter, and hardly a handler runs twice",
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_workers_that_count_in_one_place_while_one_is_killed",
            "tests/messaging/state/test_contention.py::test_each_of_a_hundred_handlings_of_one_counter_runs_once",
            "tests/messaging/state/test_contention.py::test_processes_take_turns_at_a_key_after_the_first_conflict",
        ),
        mutants={"no-turns": "runs handlers again and again"},
        own_mutants="in the tests of the state, nothing waits",
    ),
    Row(
        fault="out of memory (RLIMIT_AS in the child)",
        criterion="E1, R(5), clean; the worker goes on when there is some",
        tests=("tests/reliability/fault_matrix/test_process.py::test_a_worker_out_of_memory",),
        mutants={"no-retry": "loses the input whose handler failed"},
    ),
    Row(
        fault="out of descriptors (RLIMIT_NOFILE in the child) and cut off",
        criterion="E1, R(5), clean; it goes on",
        tests=("tests/reliability/fault_matrix/test_process.py::test_a_worker_out_of_descriptors",),
        mutants={"no-fence": "commits what others took over"},
    ),
    Row(
        fault="kill -9 again and again after a takeover, before a handler begins",
        criterion="no dead letter, E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_process.py::test_many_workers_die_with_inputs_that_they_never_began",
            "tests/messaging/handling/test_starts.py::test_a_message_lent_to_many_that_died_before_it_was_begun_is_handled",
            "tests/messaging/handling/test_starts.py::test_a_message_of_a_partition_lent_to_many_that_died_is_handled",
        ),
        mutants={"count-lendings": "condemns what was only lent"},
        own_mutants="in the tests of starts, the same",
    ),
    Row(
        fault="a forked child of a connected process",
        criterion=(
            "refused with the remedy; its parent and the parent's server go on, whatever the "
            "child does to its copies"
        ),
        tests=(
            "tests/messaging/process/test_forks.py::test_a_forked_child_is_refused_with_the_remedy_and_its_parent_goes_on",
            "tests/messaging/process/test_forks.py::test_a_child_that_closes_its_copy_of_a_connection_leaves_its_parents_alone",
            "tests/messaging/process/test_forks.py::test_a_server_ends_with_its_parent_although_a_child_lives",
        ),
        seen_failing=(
            "tests/messaging/process/test_forks.py::test_a_child_that_is_not_told_waits_for_the_wrong_loop_or_talks_to_itself",
        ),
    ),
    # Out of disk: the server writes, so it is among the rows of Redis, "writes that are refused".
    Row(
        fault="kill -9 while an approval is asked for, decided or lapses, and while it is followed",
        criterion="decided once, told once, done once; nothing stays behind",
        tests=(
            "tests/approvals/test_killed.py::test_what_a_person_approved_is_done_once",
            "tests/approvals/test_killed.py::test_what_nobody_decided_is_rejected_once",
        ),
        seen_failing=(
            "tests/approvals/test_mutants.py::test_if_an_approval_stayed_open_it_would_be_decided_twice",
            "tests/approvals/test_mutants.py::test_if_what_waits_were_not_taken_out_a_decision_handled_twice_would_be_done_twice",
        ),
    ),
)
