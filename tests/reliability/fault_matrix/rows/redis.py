"""The server is killed, forgets, fills up, refuses and is tampered with."""

from tests.reliability.fault_matrix.rows.row import Row

REDIS = (
    Row(
        fault="kill -9 and restart, everysec, always, and with a long LOADING",
        criterion="E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_that_is_killed_and_comes_back",
        ),
        mutants={"plain": "its client sends an XADD again that had been executed"},
    ),
    Row(
        fault="restart without persistence",
        criterion="announced within 2 s to everybody; what comes after it: E1, R(5)",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_without_persistence_that_restarts",
        ),
        mutants={"no-memory": "does not notice, and tells nobody"},
    ),
    Row(
        fault="emptied, or restarted without persistence, while the only worker is away for 3 s",
        criterion=(
            "announced within 2 s; what comes after it is handed to the groups that any process "
            "remembers: E1, R(5), clean"
        ),
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_that_forgets_everything_while_the_only_worker_is_away",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_a_publisher_subscribes_all_that_it_remembers_before_it_stores_anything",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_several_processes_at_once_come_to_the_same",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_what_is_asked_after_a_loss_gets_its_answer",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_the_last_word_on_each_group_counts_whichever_process_notices_a_loss_first",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_a_group_that_was_unsubscribed_does_not_come_back",
        ),
        mutants={"no-memory": "does not notice, and what was accepted then reaches no worker"},
    ),
    Row(
        fault="not up yet when a guild or its client starts",
        criterion=(
            "both work once it is, and the log said once what was waited for; a process "
            "waits only if it was told to, and what no waiting cures is an error at once"
        ),
        tests=(
            "tests/guild/test_patience.py::test_a_server_that_comes_up_in_time_is_used_and_its_absence_was_told_once",
            "tests/guild/test_patience.py::test_a_guild_and_its_client_may_be_started_before_their_server",
            "tests/guild/test_patience.py::test_what_no_waiting_cures_is_raised_at_once",
        ),
        seen_failing=("tests/guild/test_patience.py::test_nobody_waits_unless_asked_to",),
    ),
    Row(
        fault="truncated AOF",
        criterion="announced within 2 s, and sent again by its publisher; E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_file_that_was_cut_short",
            "tests/messaging/backends/redis/test_forgetful_servers.py::test_it_is_sent_again_once_in_order_without_being_asked",
            "tests/messaging/backends/redis/test_forgetful_servers.py::test_what_nobody_has_any_more_is_announced",
            "tests/messaging/backends/redis/test_embedded.py::test_a_cut_off_write_is_announced_and_the_rest_is_there",
        ),
        mutants={"no-fence": "commits what the server forgot to have lent and lent again"},
    ),
    Row(
        fault="an older copy of the data",
        criterion=(
            "what its publisher has no more is announced within 2 s, by topic; what comes after "
            "it: E1, R(5), clean"
        ),
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_an_older_copy_of_the_data",
            "tests/messaging/backends/redis/test_forgetful_servers.py::test_a_producer_that_is_younger_than_the_copy_says_what_is_missing",
            "tests/messaging/backends/redis/test_forgetful_servers.py::test_what_was_published_by_its_id_is_missed_too",
            "tests/messaging/backends/redis/test_forgotten_consumers.py::test_a_consumer_that_is_younger_than_the_copy_says_that_its_commits_are_gone",
            "tests/messaging/backends/redis/test_forgotten_consumers.py::test_a_consumer_that_is_older_than_the_copy_knows_it_by_its_beats",
            "tests/messaging/backends/redis/test_lost_subscriptions.py::test_an_older_copy_is_told_who_was_subscribed_since_and_who_was_not",
        ),
        own_mutants=(
            "believes a server that does not know it, and what it lost is missing, unannounced"
        ),
    ),
    Row(
        fault="away for longer than a moment: gone, silent or refusing",
        criterion=(
            "told once within 3 s and once when it is back, to an operator and to callers that "
            "wait for an answer, and not by each agent"
        ),
        tests=(
            "tests/messaging/backends/redis/test_outages.py::test_a_server_that_is_gone_is_told_long_before_anything_gives_up",
            "tests/messaging/backends/redis/test_outages.py::test_a_server_that_says_nothing_is_told_before_its_connection_is_given_up",
            "tests/messaging/backends/redis/test_outages.py::test_a_server_that_refuses_for_now_is_told_with_what_it_says",
            "tests/messaging/backends/redis/test_outages.py::test_whoever_waits_for_an_answer_is_told_that_the_server_was_away",
            "tests/messaging/backends/redis/test_outages.py::test_an_outage_is_told_of_one_agent_and_not_of_each",
            "tests/messaging/backends/redis/test_outages.py::test_a_loss_of_data_is_told_once_and_not_by_each_agent",
        ),
        own_mutants=(
            "in the tests of a server that is gone, of one agent and of a loss, the process takes "
            "no note of it"
        ),
    ),
    Row(
        fault="SCRIPT FLUSH every 100 ms",
        criterion="E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_scripts_that_are_flushed_again_and_again",
        ),
        mutants={
            "no-reload": "takes a script that the server has forgotten for an error like any other"
        },
    ),
    Row(
        fault="OOM",
        criterion="publishers get a named error; E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_out_of_memory",
            "tests/messaging/backends/redis/test_server_faults.py::test_a_server_without_memory_refuses_whole_and_lets_consumers_catch_up",
        ),
        mutants={"drop-when-full": "acknowledges what it has no room to answer"},
    ),
    Row(
        fault="wrong eviction policy",
        criterion="refused with the remedy",
        tests=(
            "tests/messaging/backends/redis/test_server_checks.py::test_a_server_that_evicts_is_refused",
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_that_would_evict_what_it_has_accepted",
        ),
        own_mutants=(
            "in the test of the matrix, nothing looks at the policy, and accepted topics are gone"
        ),
    ),
    Row(
        fault="failover to a replica that lags",
        criterion="announced, and sent again by its publisher; E1, R(15)",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_failover_to_a_replica_that_lags",
            "tests/messaging/backends/redis/test_sentinel.py::test_publishers_and_consumers_go_on_after_a_failover",
            "tests/messaging/backends/redis/test_sentinel.py::test_what_only_the_lost_primary_had_lent_is_lent_again_and_committed_once",
        ),
        own_mutants="in the last test, a commit whose lending is taken as verified",
    ),
    Row(
        fault="writes that are refused: READONLY, BUSY, MISCONF (disk full)",
        criterion="named when it lasts; E1, R(5), clean",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_server_that_takes_no_writes_for_a_while",
        ),
        mutants={"plain": "its XACK is refused after its XADD"},
    ),
    Row(
        fault="BUSY, NOPERM or any other error in place of what the wake-up connection expects",
        criterion="borne, told if it will not pass, and asked again",
        tests=(
            "tests/messaging/backends/redis/test_notifications.py::test_a_busy_server_is_asked_again_to_listen_for_us",
            "tests/messaging/backends/redis/test_notifications.py::test_a_user_who_may_not_listen_any_more_is_announced_and_heard_again",
            "tests/messaging/backends/redis/test_notifications.py::test_any_error_in_place_of_anything_is_borne",
        ),
        own_mutants="in the first test, what was refused is not asked for again, and stays unheard",
    ),
    Row(
        fault="TRYAGAIN, MOVED, ASK while slots move",
        criterion="nothing missing, nothing twice, in order",
        tests=(
            "tests/messaging/backends/redis/test_cluster.py::test_a_slot_moves_under_load_and_nothing_is_lost_or_doubled",
            "tests/messaging/backends/redis/test_cluster.py::test_what_is_sent_while_a_slot_is_on_its_way_waits_for_it_in_order",
        ),
        own_mutants="in the second test, TRYAGAIN is final, and what was sent meanwhile is missing",
    ),
    Row(
        fault="stream deleted",
        criterion="announced within 2 s; what comes after it: E1, R(5), clean",
        tests=("tests/reliability/fault_matrix/test_redis.py::test_a_stream_that_is_deleted",),
        mutants={
            "no-repair": (
                "beside a publisher that creates what it does not find, all is lost, unannounced"
            )
        },
    ),
    Row(
        fault="DELCONSUMER of everybody at work",
        criterion="E1, R(5), clean",
        tests=("tests/reliability/fault_matrix/test_redis.py::test_a_consumer_that_is_deleted",),
        mutants={"doubting": "refuses to commit what the server does not say is lent"},
    ),
    Row(
        fault="DELCONSUMER of a worker that dies soon after",
        criterion="announced within 2 s, and E1, R(5), clean then",
        tests=(
            "tests/reliability/fault_matrix/test_redis.py::test_a_consumer_that_is_deleted_before_its_worker_dies",
            "tests/messaging/backends/redis/test_strangers.py::test_what_was_taken_from_a_worker_outlives_it_once_it_has_beaten",
        ),
        mutants={
            "no-count": "does not compare what the server lends with what it holds, and loses it"
        },
    ),
)
