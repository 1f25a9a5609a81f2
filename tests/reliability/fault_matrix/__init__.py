"""The faults that must not matter, each with its test, its pass criterion and a mutant.

Real worker processes (tests/reliability/workers) answer numbered inputs on a real server while
something happens to them, and an account of the outputs is drawn. The criteria:

E1      each accepted input has exactly one committed effect
R(x)    everything is settled at most x s after the fault has ended, with a lease of 2 s
clean   nothing is left pending, every worker that was asked to end did so with status 0, and no
        process outlives its crew

Each row also runs with a mutant (tests/reliability/workers/mutants.py) in which the account has to
find the damage; or a test sees the check of the row fail, which the row names. Tests are named by
their files below tests/reliability/fault_matrix, or below tests/ where they are at home elsewhere.

python -m tests.reliability.fault_matrix --rounds 20 repeats it all; -k repeats some of it.

process
-------
* kill -9 after read, in the handler, before the commit, after sending it, after it: E1, R(5), clean
    test_process.py::test_a_worker_that_is_killed
    mutants: early-ack loses inputs; after sending it, plain repeats one
* all workers killed at once: E1, R(10) from the kill, with the start of new ones; clean
    test_process.py::test_all_workers_are_killed_at_once
    mutant: early-ack loses inputs
* SIGSTOP for three leases, then SIGCONT: E1, R(5), clean
    test_process.py::test_a_worker_that_stands_still_for_three_leases
    mutant: no-fence commits a second time when it wakes
* event loop blocked for three leases: E1, R(5), clean
    test_process.py::test_an_event_loop_that_is_blocked_for_three_leases
    mutant: no-fence, as above
* three workers that count in one key of the state, one of them killed: E1, an exact count, no dead
  letter, and hardly a handler runs twice
    test_process.py::test_workers_that_count_in_one_place_while_one_is_killed
    messaging/state/test_contention.py::test_each_of_a_hundred_handlings_of_one_counter_runs_once
    messaging/state/test_contention.py::test_processes_take_turns_at_a_key_after_the_first_conflict
    mutants: no-turns runs handlers again and again; in the others, nothing waits
* out of memory (RLIMIT_AS in the child): E1, R(5), clean; the worker goes on when there is some
    test_process.py::test_a_worker_out_of_memory
    mutant: no-retry loses the input whose handler failed
* out of descriptors (RLIMIT_NOFILE in the child) and cut off: E1, R(5), clean; it goes on
    test_process.py::test_a_worker_out_of_descriptors
    mutant: no-fence commits what others took over

* kill -9 again and again after a takeover, before a handler begins: no dead letter, E1, R(5), clean
    test_process.py::test_many_workers_die_with_inputs_that_they_never_began
    messaging/handling/test_starts.py::test_a_message_lent_to_many_that_died_before_it_was_begun_is_handled
    messaging/handling/test_starts.py::test_a_message_of_a_partition_lent_to_many_that_died_is_handled
    mutant: count-lendings condemns what was only lent; in the others too
* a forked child of a connected process: refused with the remedy; its parent and the parent's server
  go on, whatever the child does to its copies
    messaging/process/test_forks.py::test_a_forked_child_is_refused_with_the_remedy_and_its_parent_goes_on
    messaging/process/test_forks.py::test_a_child_that_closes_its_copy_of_a_connection_leaves_its_parents_alone
    messaging/process/test_forks.py::test_a_server_ends_with_its_parent_although_a_child_lives
    mutant: messaging/process/test_forks.py::test_a_child_that_is_not_told_waits_for_the_wrong_loop_or_talks_to_itself
* out of disk: see below, "writes that are refused": it is the server that writes

Redis
-----
* kill -9 and restart, everysec, always, and with a long LOADING: E1, R(5), clean
    test_redis.py::test_a_server_that_is_killed_and_comes_back
    mutant: plain, whose client sends an XADD again that had been executed
* restart without persistence: announced within 2 s to everybody; what comes after it: E1, R(5)
    test_redis.py::test_a_server_without_persistence_that_restarts
    mutant: no-memory does not notice, and tells nobody
* emptied, or restarted without persistence, while the only worker is away for 3 s: announced within
  2 s; what comes after it is handed to the groups that any process remembers: E1, R(5), clean
    test_redis.py::test_a_server_that_forgets_everything_while_the_only_worker_is_away
    messaging/backends/redis/test_lost_subscriptions.py::test_a_publisher_subscribes_all_that_it_remembers_before_it_stores_anything
    messaging/backends/redis/test_lost_subscriptions.py::test_several_processes_at_once_come_to_the_same
    messaging/backends/redis/test_lost_subscriptions.py::test_what_is_asked_after_a_loss_gets_its_answer
    messaging/backends/redis/test_lost_subscriptions.py::test_the_last_word_on_each_group_counts_whichever_process_notices_a_loss_first
    messaging/backends/redis/test_lost_subscriptions.py::test_a_group_that_was_unsubscribed_does_not_come_back
    mutant: no-memory does not notice, and what was accepted then reaches no worker
* not up yet when a guild or its client starts: both work once it is, and the log said once what was
  waited for; nobody waits who was not told to, and what no waiting cures is an error at once
    guild/test_patience.py::test_a_server_that_comes_up_in_time_is_used_and_its_absence_was_told_once
    guild/test_patience.py::test_a_guild_and_its_client_may_be_started_before_their_server
    guild/test_patience.py::test_what_no_waiting_cures_is_raised_at_once
    can fail: guild/test_patience.py::test_nobody_waits_unless_asked_to
* truncated AOF: announced within 2 s, and sent again by who published it; E1, R(5), clean
    test_redis.py::test_a_file_that_was_cut_short
    messaging/backends/redis/test_forgetful_servers.py::test_it_is_sent_again_once_in_order_without_being_asked
    messaging/backends/redis/test_forgetful_servers.py::test_what_nobody_has_any_more_is_announced
    messaging/backends/redis/test_embedded.py::test_a_cut_off_write_is_announced_and_the_rest_is_there
    mutant: no-fence commits what the server forgot to have lent and lent again
* an older copy of the data: what its publisher has no more is announced within 2 s, by topic; what
  comes after it: E1, R(5), clean
    test_redis.py::test_an_older_copy_of_the_data
    messaging/backends/redis/test_forgetful_servers.py::test_a_producer_that_is_younger_than_the_copy_says_what_is_missing
    messaging/backends/redis/test_forgetful_servers.py::test_what_was_published_by_its_id_is_missed_too
    messaging/backends/redis/test_forgotten_consumers.py::test_a_consumer_that_is_younger_than_the_copy_says_that_its_commits_are_gone
    messaging/backends/redis/test_forgotten_consumers.py::test_a_consumer_that_is_older_than_the_copy_knows_it_by_its_beats
    messaging/backends/redis/test_lost_subscriptions.py::test_an_older_copy_is_told_who_was_subscribed_since_and_who_was_not
    mutant: believes a server that does not know it, and what it lost is missing, unannounced
* away for longer than a moment: gone, silent or refusing; told once within 3 s and once when it is
  back, to an operator and to whoever waited for an answer, and not by each agent
    messaging/backends/redis/test_outages.py::test_a_server_that_is_gone_is_told_long_before_anything_gives_up
    messaging/backends/redis/test_outages.py::test_a_server_that_says_nothing_is_told_before_its_connection_is_given_up
    messaging/backends/redis/test_outages.py::test_a_server_that_refuses_for_now_is_told_with_what_it_says
    messaging/backends/redis/test_outages.py::test_whoever_waits_for_an_answer_is_told_that_the_server_was_away
    messaging/backends/redis/test_outages.py::test_an_outage_is_told_of_one_agent_and_not_of_each
    messaging/backends/redis/test_outages.py::test_a_loss_of_data_is_told_once_and_not_by_each_agent
    mutants: in the first and the last two of them, the process takes no note of it
* SCRIPT FLUSH every 100 ms: E1, R(5), clean
    test_redis.py::test_scripts_that_are_flushed_again_and_again
    mutant: no-reload
* OOM: publishers get a named error; E1, R(5), clean
    test_redis.py::test_a_server_out_of_memory
    messaging/backends/redis/test_server_faults.py::test_a_server_without_memory_refuses_whole_and_lets_consumers_catch_up
    mutant: drop-when-full acknowledges what it has no room to answer
* wrong eviction policy: refused with the remedy
    messaging/backends/redis/test_server_checks.py::test_a_server_that_evicts_is_refused
    test_redis.py::test_a_server_that_would_evict_what_it_has_accepted
    mutant: in the latter, nobody looks at the policy, and accepted topics are gone
* failover to a replica that lags: announced, and sent again by who published it; E1, R(15)
    test_redis.py::test_a_failover_to_a_replica_that_lags
    messaging/backends/redis/test_sentinel.py::test_publishers_and_consumers_go_on_after_a_failover
    messaging/backends/redis/test_sentinel.py::test_what_only_the_lost_primary_had_lent_is_lent_again_and_committed_once
    mutant: in the last of them, a commit whose lending is taken as verified
* writes that are refused: READONLY, BUSY, MISCONF (disk full): named when it lasts; E1, R(5), clean
    test_redis.py::test_a_server_that_takes_no_writes_for_a_while
    mutant: plain, whose XACK is refused after its XADD
* BUSY, NOPERM or any other error in place of what the wake-up connection expects: borne, told if it
  will not pass, and asked again
    messaging/backends/redis/test_notifications.py::test_a_busy_server_is_asked_again_to_listen_for_us
    messaging/backends/redis/test_notifications.py::test_a_user_who_may_not_listen_any_more_is_announced_and_heard_again
    messaging/backends/redis/test_notifications.py::test_any_error_in_place_of_anything_is_borne
    mutant: in the first, what was refused is not asked for again, and stays unheard
* TRYAGAIN, MOVED, ASK while slots move: nothing missing, nothing twice, in order
    messaging/backends/redis/test_cluster.py::test_a_slot_moves_under_load_and_nothing_is_lost_or_doubled
    messaging/backends/redis/test_cluster.py::test_what_is_sent_while_a_slot_is_on_its_way_waits_for_it_in_order
    mutant: in the second, TRYAGAIN is final, and what was sent meanwhile is missing
* stream deleted: announced within 2 s; what comes after it E1, R(5), clean
    test_redis.py::test_a_stream_that_is_deleted
    mutant: no-repair, beside a publisher that creates what it does not find: all lost, unannounced
* DELCONSUMER of everybody at work: E1, R(5), clean
    test_redis.py::test_a_consumer_that_is_deleted
    mutant: doubting refuses to commit what the server does not say is lent
* DELCONSUMER of a worker that dies soon after: announced within 2 s, and E1, R(5), clean then
    test_redis.py::test_a_consumer_that_is_deleted_before_its_worker_dies
    messaging/backends/redis/test_strangers.py::test_what_was_taken_from_a_worker_outlives_it_once_it_has_beaten
    mutant: no-count does not compare what the server lends with what it holds, and loses it

network
-------
* reply dropped after each command, every script and command once: E1, stored once, steps, state,
  timers, dead letters and answers too
    test_each_reply_lost.py::test_a_guild_that_loses_an_answer_of_every_kind
    messaging/backends/redis/test_lost_replies.py::test_an_append_whose_answer_was_lost_is_stored_once
    mutant: test_each_reply_lost.py::test_a_client_that_repeats_what_went_unanswered_stores_copies
* RST storm; CLIENT KILL every second; blackhole of 10 s, after which what was sent arrives late:
  E1, R(5), stored once, clean, descriptors as before
    test_network.py::test_a_network_that_fails_for_a_while
    mutants: plain repeats inputs; client-retries (redis-py as it comes) stores copies
* 200 ms latency; slices of one byte: E1, R(5), clean, descriptors as before
    test_network.py::test_a_network_that_fails_for_a_while
    mutants, which store copies: client-retries, with less patience than a round trip takes;
    whole-reads takes what arrives at once for all of an answer
* half of the workers cut off for three leases, with commits on their way: E1, R(5), clean
    test_network.py::test_half_of_the_workers_cut_off
    mutant: no-fence commits late what others have done
* 64 kB/s with 1 MiB messages: accepted, handled once, nobody taken over meanwhile
    test_network.py::test_long_messages_on_a_narrow_link
    mutant: a connection that knows only silence never gets the message out
* 64 kB/s with answers of 512 KiB, for eight leases: handled once, nobody taken over meanwhile
    test_network.py::test_long_answers_on_a_narrow_link
    mutant: beats that wait behind the answer are too late

messages
--------
* poison that raises: a dead letter after exactly N attempts; others do not wait for them
    test_messages.py::test_poison_dies_after_exactly_n_attempts_and_delays_nobody
    messaging/handling/test_retry.py::test_a_slow_retry_holds_nobody_up
    mutants: one forgets the attempt, and poison never dies; one waits in place, and others wait
* poison that kills its process: a dead letter after exactly N + 1 starts, of which the first leaves
  no record; others go on
    test_process.py::test_an_input_that_kills_its_worker
    mutant: forget-starts, whose workers die on and on
    messaging/consuming/test_lost_replicas.py::test_a_message_that_kills_its_process_dies_after_exactly_so_many_starts
    mutant: messaging/consuming/test_lost_replicas.py::test_acknowledging_before_handling_would_lose_the_message_of_a_crash
* a handler that cancels its own task, raises what is no Exception, or will not be cancelled: a
  failed attempt, the next message is handled in its place, and the worker ends when it is told to
    messaging/handling/test_unruly_handlers.py::test_whatever_a_handler_does_its_message_fails_and_the_next_is_handled
    messaging/handling/test_unruly_handlers.py::test_what_a_handler_leaves_in_context_variables_no_other_message_sees
    messaging/handling/test_unruly_handlers.py::test_a_handler_that_will_not_be_cancelled_holds_up_no_end
    mutant: messaging/handling/test_unruly_handlers.py::test_a_place_that_nobody_takes_again_would_be_lost
* workers of two versions side by side: what the older ones cannot read the newer ones handle; E1,
  R(5), clean, no dead letter
    test_messages.py::test_workers_of_two_versions_side_by_side
    messaging/handling/test_upgrades.py::test_what_an_older_replica_cannot_read_a_newer_one_beside_it_handles
    mutant: impatient gives up at once what it does not know; in the latter too
* unknown type, too new version: after two leases a dead letter that names both versions and says
  what to do, handled once it is known
    messaging/handling/test_upgrades.py::test_what_nobody_can_read_is_given_up_after_two_leases_and_names_both
    messaging/wire/test_hostile_messages.py::test_an_unknown_type_is_ignored_unless_all_types_are_known
    messaging/wire/test_hostile_messages.py::test_a_version_that_is_too_new_is_kept_until_its_reader_is_updated
    mutant: messaging/handling/test_handling_mutants.py::test_if_everything_strange_were_for_others_it_would_vanish
    mutant: messaging/handling/test_handling_mutants.py::test_if_a_newer_version_passed_for_ours_it_would_be_misread
* too big, too deep, NaN, lone surrogates, NUL, huge integers, any bytes: the error names the field
    messaging/wire/test_hostile_messages.py::test_a_hostile_payload_is_dead_lettered_at_once_and_the_next_is_handled
    messaging/wire/test_hostile_messages.py::test_an_entry_past_the_cap_is_dead_lettered_unread_and_told_to_its_requester
    messaging/wire/test_json_limits.py::test_a_nul_in_a_text_is_json_like_any_other
    reliability/fuzz/test_decoders.py::test_whatever_comes_in_is_a_value_or_an_error_of_its_own
    can fail: reliability/fuzz/test_decoders.py::test_a_decoder_that_lets_another_error_out_is_found
* 100 concurrent identical publishes: stored once
    messaging/test_bus.py::test_what_many_publish_under_one_id_is_stored_once
    mutant: messaging/backends/redis/test_script_mutants.py::test_without_its_sequence_an_append_would_be_stored_twice
* one request asked by many, at once, after one another, or after the process that asked has died:
  handled once, and all get its answer; the answer of any request reaches whoever follows it
    messaging/client/test_following.py::test_a_request_that_is_asked_by_many_at_once_is_handled_once
    messaging/client/test_following.py::test_a_request_is_answered_to_who_asks_again_after_the_first_process_has_died
    messaging/client/test_following.py::test_any_request_can_be_followed_from_now_on
    mutant: messaging/client/test_following.py::test_if_it_were_published_anew_it_would_be_handled_again
    mutant: messaging/client/test_following.py::test_if_nobody_sent_copies_whoever_follows_would_see_no_answer
* 256 outputs, their sender cut off and dead in between: all or none, and all in the end
    test_messages.py::test_256_outputs_are_all_there_or_none_wherever_their_sender_is_cut_off
    mutant: sends them one by one, and leaves a part
* what is no message, or not the one that its handler declares: an error that says what was given
  and what is wanted, one attempt, a dead letter; also an error that says it cannot be cured
    messaging/wire/test_wrong_messages.py::test_a_handler_that_gives_no_message_is_told_so_and_not_tried_again
    messaging/wire/test_wrong_messages.py::test_an_answer_that_was_not_declared_is_a_failure_of_the_handling
    messaging/handling/test_retry.py::test_an_error_that_says_it_cannot_be_cured_is_not_tried_again
    mutant: messaging/wire/test_wrong_messages.py::test_if_nobody_looked_at_it_an_undeclared_answer_would_go_out
* loops: a dead letter after so many hops
    messaging/consuming/test_replica.py::test_agents_that_answer_each_other_in_a_loop_are_stopped
    mutant: messaging/handling/test_handling_mutants.py::test_if_nobody_counted_hops_a_loop_would_not_end
* an agent in the middle of a conversation gives up: the caller who waits at its start hears, with
  what failed and what was asked; an agent that handles failures is told instead
    messaging/handling/test_giving_up.py::test_a_caller_hears_that_a_message_which_followed_was_given_up
    messaging/handling/test_giving_up.py::test_a_caller_hears_of_it_through_retries_partitions_and_three_agents
    messaging/handling/test_giving_up.py::test_an_agent_that_handles_failures_has_taken_over_what_is_to_be_done
    mutant: messaging/handling/test_giving_up.py::test_if_only_the_direct_asker_were_told_the_caller_would_wait_in_vain
* expired deadline: not handled, a dead letter, and the requester hears
    messaging/consuming/test_replica.py::test_a_message_past_its_deadline_is_not_handled_but_its_requester_hears
    mutant: messaging/handling/test_handling_mutants.py::test_if_nobody_looked_at_the_deadline_it_would_be_handled_late

load
----
The full sizes are those of `python -m tests.reliability.fault_matrix.full_load`.

* 10x overload: the topic stays within its limit and the server's memory flat, publishers wait or
  get BusFullError, nothing lost
    test_load.py::test_an_overload_is_bounded_and_loses_nothing
    messaging/backends/test_backend_conformance_limits.py::test_past_the_soft_limit_a_publisher_waits_until_the_group_that_lags_catches_up
    mutant: without limits the topic grows past them, and the server's memory grows on
* one slow agent of ten; a hot agent, 5,000 messages a second: the others' p99 +20 % at most
    test_load.py::test_one_agent_of_ten_holds_up_none_of_the_others
    mutant: a handler that blocks the loop
* 100,000 waiting at the start: the first output is stored within 2 s
    test_load.py::test_the_first_result_comes_soon_however_much_has_waited
    mutant: reads everything before it handles, and handles everything before it commits
* an agent that was taken out of the spec, and that nobody runs: seen before its backlog refuses
  publishers, and forgotten when told to; then they go on
    guild/running/test_strays.py::test_an_agent_that_is_not_in_the_spec_any_more_is_seen_with_what_waits_for_it
    guild/running/test_strays.py::test_an_agent_that_runs_somewhere_is_not_forgotten
    can fail: guild/running/test_strays.py::test_publishers_are_refused_for_an_agent_that_nobody_runs_until_it_is_forgotten
* 1,000 topics: at most 5 connections per process
    test_load.py::test_a_thousand_topics_take_a_process_no_more_connections_than_one
    messaging/backends/redis/test_connections.py::test_two_connections_serve_a_thousand_topics_consumers_and_observers
    mutant: waits for each topic on a connection of its own
* soak: memory, descriptors, keys and tasks flat
    reliability/soak/test_soak.py::test_consumers_that_come_and_go_leave_nothing_behind
    can fail: reliability/soak/test_soak.py::test_growth_shows_as_a_slope

shutdown
--------
* SIGTERM under load: status 0 within 10 s, own pending empty; the rest is worked off
    test_shutdown.py::test_a_sigterm_under_load
    mutant: no-drain leaves what it was lent pending
* SIGTERM twice, handlers that never end: status 0 within 1 s of the second, all given back
    test_shutdown.py::test_a_second_sigterm_waits_for_no_handler
    cli/test_process.py::test_a_second_signal_ends_the_guild_at_once_and_loses_nothing
    mutant: unhurried waits for handlers after the second as after the first
* SIGTERM while Redis is away: status 0 within 10 s; E1 once it is back
    test_shutdown.py::test_a_sigterm_while_the_server_is_away
    test_shutdown.py::test_a_guild_is_asked_to_end_while_its_server_is_away
    mutant: patient waits for the server and is late
* embedded in a host service: its signal handlers, tasks, descriptors and threads as they were
    test_shutdown.py::test_a_bus_in_somebody_elses_service_leaves_it_as_it_was
    guild/test_guild.py::test_handlers_of_signals_and_logging_stay_as_they_were
    guild/test_guild.py::test_nothing_is_left_running_behind_a_closed_guild
    mutants: one takes a signal, one leaves a task, one leaves a connection

time
----
A real Valkey and real workers whose clocks are set by libfaketime while they run.

* server's clock set an hour ahead or back, one worker silent: E1, recovered in two leases, clean
    test_time.py::test_the_servers_clock_is_set
    mutant: plain, which claims what is idle by that clock: from the living, or never
* server's clock set an hour ahead, so that topics for answers expire: they are back within 4 s
    test_time.py::test_who_asked_before_the_servers_clock_was_set_ahead_is_answered
    mutant: opens them again three times in their life, by a clock that was not set
* server's clock set an hour back while failed inputs rest for 3 s: E1, R(7), clean
    test_time.py::test_what_waits_while_the_servers_clock_is_set_back
    mutant: waits-by-clock waits for the hour
* a worker's clock set an hour ahead or back: E1, R(4), clean, nobody is taken for dead
    test_time.py::test_a_workers_clock_is_set
    mutant: wall-clock takes over from the living
* suspend, the server too, for three leases: E1, R(4), clean, nobody is taken for dead
    test_time.py::test_the_whole_machine_sleeps
    mutant: counts-sleep takes over from those who slept as long
"""  # noqa: E501 - names of tests stay whole
