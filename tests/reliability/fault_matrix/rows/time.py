"""Clocks are set while a real Valkey and real workers run: libfaketime does it."""

from tests.reliability.fault_matrix.rows.row import Row

TIME = (
    Row(
        fault="server's clock set an hour ahead or back, one worker silent",
        criterion="E1, recovered in two leases, clean",
        tests=("tests/reliability/fault_matrix/test_time.py::test_the_servers_clock_is_set",),
        mutants={"plain": "claims what is idle by that clock: from the living, or never"},
    ),
    Row(
        fault="server's clock set an hour ahead, so that topics for answers expire",
        criterion="they are back within 4 s",
        tests=(
            "tests/reliability/fault_matrix/test_time.py::test_who_asked_before_the_servers_clock_was_set_ahead_is_answered",
        ),
        own_mutants="opens them again three times in their life, by a clock that was not set",
    ),
    Row(
        fault="server's clock set an hour back while failed inputs rest for 3 s",
        criterion="E1, R(7), clean",
        tests=(
            "tests/reliability/fault_matrix/test_time.py::test_what_waits_while_the_servers_clock_is_set_back",
        ),
        mutants={"waits-by-clock": "waits for the hour"},
    ),
    Row(
        fault="a worker's clock set an hour ahead or back",
        criterion="E1, R(4), clean, nobody is taken for dead",
        tests=("tests/reliability/fault_matrix/test_time.py::test_a_workers_clock_is_set",),
        mutants={"wall-clock": "takes over from the living"},
    ),
    Row(
        fault="suspend, the server too, for three leases",
        criterion="E1, R(4), clean, nobody is taken for dead",
        tests=("tests/reliability/fault_matrix/test_time.py::test_the_whole_machine_sleeps",),
        mutants={"counts-sleep": "takes over from those who slept as long"},
    ),
)
