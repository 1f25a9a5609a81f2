"""Workers are asked to end."""

from tests.reliability.fault_matrix.rows.row import Row

SHUTDOWN = (
    Row(
        fault="SIGTERM under load",
        criterion="status 0 within 10 s, own pending empty; the rest is worked off",
        tests=("tests/reliability/fault_matrix/test_shutdown.py::test_a_sigterm_under_load",),
        mutants={"no-drain": "leaves what it was lent pending"},
    ),
    Row(
        fault="SIGTERM twice, handlers that never end",
        criterion="status 0 within 1 s of the second, all given back",
        tests=(
            "tests/reliability/fault_matrix/test_shutdown.py::test_a_second_sigterm_waits_for_no_handler",
            "tests/cli/calling/test_process.py::test_a_second_signal_ends_the_guild_at_once_and_loses_nothing",
        ),
        mutants={"unhurried": "waits for handlers after the second as after the first"},
    ),
    Row(
        fault="SIGTERM while Redis is away",
        criterion="status 0 within 10 s; E1 once it is back",
        tests=(
            "tests/reliability/fault_matrix/test_shutdown.py::test_a_sigterm_while_the_server_is_away",
            "tests/reliability/fault_matrix/test_shutdown.py::test_a_guild_is_asked_to_end_while_its_server_is_away",
        ),
        mutants={"patient": "waits for the server and is late"},
    ),
    Row(
        fault="embedded in a host service",
        criterion="its signal handlers, tasks, descriptors and threads as they were",
        tests=(
            "tests/reliability/fault_matrix/test_shutdown.py::test_a_bus_in_somebody_elses_service_leaves_it_as_it_was",
            "tests/guild/test_guild.py::test_handlers_of_signals_and_logging_stay_as_they_were",
            "tests/guild/test_guild.py::test_nothing_is_left_running_behind_a_closed_guild",
        ),
        own_mutants="one takes a signal, one leaves a task, one leaves a connection",
    ),
)
