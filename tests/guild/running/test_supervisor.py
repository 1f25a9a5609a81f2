"""Restarts: as the policy says, and not for ever. Time is the test's own."""

from collections.abc import Callable
from typing import Any

import pytest

from guild.running.supervisor import Supervisor, Verdict
from guild.spec.spec import RestartSpec


class World:
    """A clock, a sleep that moves it, and lives that end as they are told."""

    def __init__(self, *ends: Exception | None, life_s: float = 0.0) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.crashes: list[str] = []
        self.lives = 0
        self.is_stopping = False
        self._ends = list(ends)
        self._life_s = life_s

    async def live(self) -> None:
        self.lives += 1
        self.now += self._life_s
        end = self._ends.pop(0)
        if not self._ends:
            self.is_stopping = end is None
        if end is not None:
            raise end

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.now += wait_s

    async def keep(self, **restart: Any) -> Verdict:
        supervisor = Supervisor(
            RestartSpec(**restart),
            on_crash=lambda error, wait_s: self.crashes.append(str(error)),
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        return await supervisor.keep(self.live, is_stopping=self._stops())

    def _stops(self) -> Callable[[], bool]:
        return lambda: self.is_stopping


async def test_a_permanent_agent_is_started_again_after_a_crash() -> None:
    world = World(ValueError("one"), ValueError("two"), None)

    verdict = await world.keep(policy="permanent")

    assert world.lives == 3
    assert world.crashes == ["one", "two"]
    assert verdict == (None, False)


async def test_a_transient_agent_may_end_but_not_crash() -> None:
    world = World(ValueError("one"), None, None)

    verdict = await world.keep(policy="transient")

    assert world.lives == 2
    assert verdict == (None, False)


async def test_a_temporary_agent_is_never_started_again() -> None:
    world = World(ValueError("one"), None)

    verdict = await world.keep(policy="temporary")

    assert world.lives == 1
    assert (str(verdict.error), verdict.is_crash_loop) == ("one", False)


async def test_more_crashes_than_the_intensity_are_a_crash_loop() -> None:
    world = World(*[ValueError(str(n)) for n in range(10)])

    verdict = await world.keep(intensity=3, within_s=1e6, backoff_s=1.0)

    assert world.lives == 4
    assert (str(verdict.error), verdict.is_crash_loop) == ("3", True)


async def test_old_crashes_are_forgiven() -> None:
    world = World(*[ValueError(str(n)) for n in range(50)], None, life_s=30.0)

    verdict = await world.keep(intensity=3, within_s=60.0)

    assert world.lives == 51
    assert not verdict.is_crash_loop


async def test_an_intensity_of_none_bears_no_crash() -> None:
    assert (await World(ValueError("x"), None).keep(intensity=0)).is_crash_loop


async def test_waits_double_up_to_a_bound() -> None:
    world = World(*[ValueError(str(n)) for n in range(6)], None)

    await world.keep(intensity=100, within_s=1e6, backoff_s=1.0, max_backoff_s=10.0)

    assert world.waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


async def test_what_ends_while_stopping_is_not_started_again() -> None:
    world = World(ValueError("one"), ValueError("two"))
    world.is_stopping = True

    await world.keep()

    assert world.lives == 1


async def test_what_is_no_error_is_not_caught() -> None:
    class Alarm(BaseException):
        pass

    async def live() -> None:
        raise Alarm

    supervisor = Supervisor(RestartSpec(), on_crash=lambda error, wait_s: None)
    with pytest.raises(Alarm):
        await supervisor.keep(live, is_stopping=lambda: False)
