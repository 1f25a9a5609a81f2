"""Many time limits and one timer."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from messaging import Context, Message, MessageRegistry, Subscription, connect
from messaging.process.time_limits import SLACK_S, TimeLimits
from tests.reliability.simulation.loop import SimulatedLoop, simulate

SECRET: ContextVar[str] = ContextVar("secret", default="")


class Asked(Message, wire_name="test.asked"):
    """Answered by itself."""


async def echo(asked: Asked, ctx: Context) -> Asked:
    return asked


def ended(limits_s: list[float], over_at_s: dict[float, float]) -> dict[float, float]:
    """By limit, when each was ended; those of `over_at_s` are over before."""

    async def main() -> dict[float, float]:
        loop = asyncio.get_running_loop()
        limits, ended_at = TimeLimits[float](), dict[float, float]()
        for limit_s in limits_s:
            limits.add(limit_s, limit_s, lambda limit_s: ended_at.update({limit_s: loop.time()}))
        for limit_s, at_s in over_at_s.items():
            loop.call_at(at_s, limits.remove, limit_s)
        await asyncio.sleep(1000)
        return ended_at

    return simulate(main, seed=1)[0]


@pytest.mark.parametrize("limits_s", [[1.0], [1.0, 2.0, 300.0], [300.0, 2.0, 1.0]])
def test_a_wait_is_ended_at_its_limit(limits_s: list[float]) -> None:
    assert ended(limits_s, {}) == pytest.approx({limit_s: limit_s for limit_s in limits_s})


def test_a_wait_that_is_over_is_not_ended_and_does_not_keep_others_from_it() -> None:
    assert ended([1.0, 2.0, 3.0], {1.0: 0.5, 2.0: 0.5}) == pytest.approx({3.0: 3.0})


def test_many_limits_cost_few_looks_and_end_hardly_later() -> None:
    limits_s = [1 + number / 10_000 for number in range(10_000)]

    ended_at = ended(limits_s, {})

    assert ended_at.keys() == set(limits_s)
    assert all(-1e-9 < ended_at[limit_s] - limit_s < SLACK_S + 1e-9 for limit_s in limits_s)
    assert len(set(ended_at.values())) <= 1 / SLACK_S + 2


def test_waits_that_end_before_their_limit_share_one_timer() -> None:
    async def main() -> int:
        limits = TimeLimits[int]()
        for number in range(1000):
            limits.add(number, 5 + number, print)
            limits.remove(number)
        return len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]

    assert simulate(main, seed=1)[0] == 1


def test_what_ends_a_wait_may_begin_another() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        limits, ended_at = TimeLimits[int](), list[float]()

        def end(count: int) -> None:
            ended_at.append(loop.time())
            if count:
                limits.add(count - 1, 1.0, end)

        limits.add(3, 1.0, end)
        await asyncio.sleep(10)
        return ended_at

    assert simulate(main, seed=1)[0] == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_the_timer_keeps_nothing_of_whoever_set_it() -> None:
    async def main() -> list[str]:
        limits, seen = TimeLimits[str](), list[str]()
        SECRET.set("kept")
        limits.add("", 1.0, lambda _: seen.append(SECRET.get()))
        await asyncio.sleep(2)
        return seen

    assert simulate(main, seed=1)[0] == [""]


def test_limits_hold_in_a_loop_that_begins_after_another_was_lost() -> None:
    limits, ended_here = TimeLimits[str](), list[str]()

    async def wait(name: str, wait_s: float, until_s: float) -> None:
        limits.add(name, wait_s, ended_here.append)
        await asyncio.sleep(until_s)

    for name, wait_s, until_s in (("lost", 1.0, 0.5), ("next", 2.0, 3.0)):
        loop = SimulatedLoop(1)
        loop.run_until_complete(wait(name, wait_s, until_s))
        loop.close()

    assert ended_here[-1] == "next"


async def test_requests_in_memory_set_hardly_any_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *args, **options)

    async with connect("memory://", "test", registry=MessageRegistry(Asked)) as bus:
        await bus.subscribe(Subscription("answerers", ["asks"], {Asked: echo}))
        await bus.request("asks", Asked())
        monkeypatch.setattr(loop, "call_at", counted)
        for _ in range(50):
            await bus.request("asks", Asked())

    assert len(timers) < 10
