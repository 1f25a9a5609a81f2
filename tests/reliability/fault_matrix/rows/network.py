"""Answers are lost, and connections are cut, slow and narrow."""

from tests.reliability.fault_matrix.rows.row import Row

NETWORK = (
    Row(
        fault="reply dropped after each command, every script and command once",
        criterion="E1, stored once, steps, state, timers, dead letters and answers too",
        tests=(
            "tests/reliability/fault_matrix/test_each_reply_lost.py::test_a_guild_that_loses_an_answer_of_every_kind",
            "tests/messaging/backends/redis/test_lost_replies.py::test_an_append_whose_answer_was_lost_is_stored_once",
        ),
        seen_failing=(
            "tests/reliability/fault_matrix/test_each_reply_lost.py::test_a_client_that_repeats_what_went_unanswered_stores_copies",
        ),
    ),
    Row(
        fault=(
            "RST storm; CLIENT KILL every second; blackhole of 10 s, after which what was sent "
            "arrives late"
        ),
        criterion="E1, R(5), stored once, clean, descriptors as before",
        tests=(
            "tests/reliability/fault_matrix/test_network.py::test_a_network_that_fails_for_a_while",
        ),
        mutants={"plain": "repeats inputs"},
        own_mutants="client-retries (redis-py as it comes) stores copies",
    ),
    Row(
        fault="200 ms latency; slices of one byte",
        criterion="E1, R(5), clean, descriptors as before",
        tests=(
            "tests/reliability/fault_matrix/test_network.py::test_a_network_that_fails_for_a_while",
        ),
        own_mutants=(
            "client-retries, with less patience than a round trip takes, and whole-reads, which "
            "takes what arrives at once for all of an answer, store copies"
        ),
    ),
    Row(
        fault="half of the workers cut off for three leases, with commits on their way",
        criterion="E1, R(5), clean",
        tests=("tests/reliability/fault_matrix/test_network.py::test_half_of_the_workers_cut_off",),
        mutants={"no-fence": "commits late what others have done"},
    ),
    Row(
        fault="64 kB/s with 1 MiB messages",
        criterion="accepted, handled once, nobody taken over meanwhile",
        tests=(
            "tests/reliability/fault_matrix/test_network.py::test_long_messages_on_a_narrow_link",
        ),
        own_mutants="a connection that knows only silence never gets the message out",
    ),
    Row(
        fault="64 kB/s with answers of 512 KiB, for eight leases",
        criterion="handled once, nobody taken over meanwhile",
        tests=(
            "tests/reliability/fault_matrix/test_network.py::test_long_answers_on_a_narrow_link",
        ),
        own_mutants="beats that wait behind the answer are too late",
    ),
)
