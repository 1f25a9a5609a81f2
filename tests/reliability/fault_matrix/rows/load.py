"""More is asked than can be done.

The full sizes are those of `python -m tests.reliability.fault_matrix.full_load`.
"""

from tests.reliability.fault_matrix.rows.row import Row

LOAD = (
    Row(
        fault="10x overload",
        criterion=(
            "the topic stays within its limit and the server's memory flat, publishers wait or "
            "get BusFullError, nothing lost"
        ),
        tests=(
            "tests/reliability/fault_matrix/test_load.py::test_an_overload_is_bounded_and_loses_nothing",
            "tests/messaging/backends/test_backend_conformance_limits.py::test_past_the_soft_limit_a_publisher_waits_until_the_group_that_lags_catches_up",
        ),
        own_mutants="without limits the topic grows past them, and the server's memory grows on",
    ),
    Row(
        fault="one slow agent of ten; a hot agent, 5,000 messages a second",
        criterion="the others' p99 +20 % at most",
        tests=(
            "tests/reliability/fault_matrix/test_load.py::test_one_agent_of_ten_holds_up_none_of_the_others",
        ),
        own_mutants="a handler that blocks the loop",
    ),
    Row(
        fault="100,000 waiting at the start",
        criterion="the first output is stored within 2 s",
        tests=(
            "tests/reliability/fault_matrix/test_load.py::test_the_first_result_comes_soon_however_much_has_waited",
        ),
        own_mutants="reads everything before it handles, and handles everything before it commits",
    ),
    Row(
        fault="an agent that was taken out of the spec, and that nobody runs",
        criterion=(
            "seen before its backlog refuses publishers, and forgotten when told to; then they go "
            "on"
        ),
        tests=(
            "tests/guild/running/test_strays.py::test_an_agent_that_is_not_in_the_spec_any_more_is_seen_with_what_waits_for_it",
            "tests/guild/running/test_strays.py::test_an_agent_that_runs_somewhere_is_not_forgotten",
        ),
        seen_failing=(
            "tests/guild/running/test_strays.py::test_publishers_are_refused_for_an_agent_that_nobody_runs_until_it_is_forgotten",
        ),
    ),
    Row(
        fault="1,000 topics",
        criterion="at most 5 connections per process",
        tests=(
            "tests/reliability/fault_matrix/test_load.py::test_a_thousand_topics_take_a_process_no_more_connections_than_one",
            "tests/messaging/backends/redis/test_connections.py::test_two_connections_serve_a_thousand_topics_consumers_and_observers",
        ),
        own_mutants="waits for each topic on a connection of its own",
    ),
    Row(
        fault="soak",
        criterion="memory, descriptors, keys and tasks flat",
        tests=(
            "tests/reliability/soak/test_soak.py::test_consumers_that_come_and_go_leave_nothing_behind",
        ),
        seen_failing=("tests/reliability/soak/test_soak.py::test_growth_shows_as_a_slope",),
    ),
)
