"""A second of handlings is summed up in bounded room."""

import random

import pytest

from guild.live import Spread
from guild.live.tally import MOST_ACTIVITIES, MOST_NAMES, MOST_SAMPLES, Tally, _Seconds
from messaging.observing import Ending, Handling
from messaging.wire.envelope import Envelope


def handling(type_: str = "t", sender: str = "s", agent: str = "a") -> Handling:
    return Handling(Envelope("0" * 32, type_, 1, "topic", b"", sender=sender), agent, 1, 2.0)


def test_it_counts_outcomes_errors_and_senders_by_agent_and_type() -> None:
    tally = Tally()
    tally.add(handling(), Ending("handled", None, 0.5))
    tally.add(handling(sender="other"), Ending("retried", ValueError(), 1.5))
    tally.add(handling(type_="u"), Ending("ignored"))

    handled, ignored = tally.activities()
    assert (handled.agent, handled.type) == ("a", "t")
    assert handled.outcomes == {"handled": 1, "retried": 1}
    assert (handled.errors, handled.senders) == ({"ValueError": 1}, {"s": 1, "other": 1})
    assert handled.handled_s == Spread(count=2, sum_s=2.0, max_s=1.5, p50_s=0.5, p95_s=1.5)
    assert handled.waited_s == Spread(count=2, sum_s=4.0, max_s=2.0, p50_s=2.0, p95_s=2.0)
    assert (ignored.type, ignored.outcomes, ignored.handled_s) == ("u", {"ignored": 1}, None)


def test_types_senders_and_errors_beyond_the_most_are_counted_together() -> None:
    tally, many = Tally(), 3 * MOST_ACTIVITIES
    for number in range(many):
        error = type(f"Error{number}", (Exception,), {})()
        tally.add(handling(type_=f"t{number}"), Ending("ignored"))
        tally.add(handling("t0", f"s{number}"), Ending("retried", error, 0.1))

    activities = {each.type: each for each in tally.activities()}
    assert len(activities) == MOST_ACTIVITIES + 1
    assert sum(sum(each.outcomes.values()) for each in activities.values()) == 2 * many
    for names in (activities["t0"].senders, activities["t0"].errors):
        assert len(names) == MOST_NAMES + 1
        assert names[""] > 0


@pytest.mark.parametrize("count", [1, 2, 20, 100, MOST_SAMPLES])
def test_percentiles_of_all_are_exact(count: int) -> None:
    seconds = _Seconds()
    numbers = list(range(1, count + 1))
    random.Random(count).shuffle(numbers)
    for number in numbers:
        seconds.add(float(number))

    spread = seconds.spread()
    assert spread is not None
    assert spread.p50_s == max(1, -(-count * 50 // 100))
    assert spread.p95_s == max(1, -(-count * 95 // 100))
    assert (spread.count, spread.sum_s, spread.max_s) == (count, count * (count + 1) / 2, count)


def test_of_very_many_a_sample_is_kept_that_is_like_them() -> None:
    seconds = _Seconds()
    numbers = [number / 100_000 for number in range(100_000)]
    random.Random(7).shuffle(numbers)
    for number in numbers:
        seconds.add(number)

    spread = seconds.spread()
    assert spread is not None
    assert MOST_SAMPLES / 2 <= len(seconds._sample) <= MOST_SAMPLES
    assert 0.35 < spread.p50_s < 0.65
    assert 0.85 < spread.p95_s < 1.0
