"""Who is taken for dead, and when."""

from messaging.consuming.liveness import Watch
from messaging.consuming.ready_queue import Prefetch


def test_whoever_stops_beating_is_silent_after_one_lease() -> None:
    watch = Watch("me", lease_s=4)

    looks = [watch.look({"me": now, "dead": 7, "alive": now}, float(now)) for now in range(6)]

    assert looks == [[], [], [], [], ["dead"], ["dead"]]


def test_one_who_beats_again_in_time_starts_afresh() -> None:
    watch = Watch("me", lease_s=4)
    counts = [7, 7, 7, 7, 8, 8, 8, 8, 8]

    looks = [watch.look({"slow": count}, float(now)) for now, count in enumerate(counts)]

    assert looks == [[]] * 8 + [["slow"]]


def test_whoever_holds_work_without_being_registered_is_taken_over_at_once() -> None:
    assert Watch("me", lease_s=4).look({"gone": -1, "new": 1}, 0.0) == ["gone"]


def test_nobody_takes_itself_over() -> None:
    watch = Watch("me", lease_s=4)

    assert [watch.look({"me": 1}, float(now)) for now in range(10)] == [[]] * 10


def test_time_in_which_we_were_stopped_ourselves_does_not_count() -> None:
    """Replicas that were suspended together must not declare each other dead on waking up."""
    watch = Watch("me", lease_s=4)
    watch.look({"other": 7}, 0.0)
    watch.look({"other": 7}, 1.0)

    assert watch.look({"other": 7}, 3600.0) == []
    assert watch.look({"other": 8}, 3601.0) == []


def test_quick_handlers_are_lent_more_and_more() -> None:
    prefetch = Prefetch(least=8, most=100)

    limits = []
    for now in range(6):
        limits.append(prefetch.limit)
        prefetch.filled(now * 0.01)

    assert limits == [8, 8, 16, 32, 64, 100]


def test_slow_handlers_are_lent_less_again() -> None:
    prefetch = Prefetch(least=8, most=100)
    for now in range(4):
        prefetch.filled(now * 0.01)

    limits = []
    for now in range(1, 6):
        prefetch.filled(now * 10.0)
        limits.append(prefetch.limit)

    assert limits == [32, 16, 8, 8, 8]


def test_a_read_is_made_when_half_of_the_room_is_free() -> None:
    prefetch = Prefetch(least=8, most=100)

    assert [prefetch.room(held) for held in (0, 4, 5, 8, 20)] == [8, 4, 0, 0, 0]


def test_an_agent_that_handles_one_at_a_time_may_hold_one() -> None:
    assert [Prefetch(least=2, most=1).room(held) for held in (0, 1)] == [1, 0]


def test_what_waits_for_a_predecessor_keeps_nothing_else_from_being_read() -> None:
    prefetch = Prefetch(least=8, most=20)

    assert prefetch.room(8) == 0
    assert prefetch.room(8, blocked=5) == 5
    assert prefetch.room(19, blocked=19) == 1, "past the limit, and never past the most"
    assert prefetch.room(25, blocked=25) == 0
