"""Clocks are set, and everybody sleeps."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from messaging import connect
from messaging.backends.redis import RedisBackend
from messaging.bus import Bus
from messaging.control import tail
from messaging.control.tail import REOPEN_EVERY_S, TTL_S
from messaging.testing import eventually
from tests.clocks import Clock
from tests.messaging.backends.redis.conftest import command, server_of
from tests.messaging.buses import REGISTRY, Ask, Gate, Told, listening
from tests.reliability.fault_matrix.conftest import PATIENCE_S, SHORT_LEASE_S, patience_s
from tests.reliability.workers.orders import BEFORE_COMMIT, BUS, LEASE_S, PLAIN
from tests.reliability.workers.scenario import Scenario, scenario_on
from tests.servers import RedisServer, valkey_binary

COUNT = 600
HOUR_S = 3600
BACKOFF_S = 3.0
MOST_SLEEPS = 8
ASLEEP_S = 3 * SHORT_LEASE_S


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[RedisServer]:
    """A Valkey that goes by `clock`; jemalloc, which Redis often comes with, does not bear one."""
    server = RedisServer(valkey_binary(), tmp_path, environment=clock.environment)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
@pytest.mark.parametrize("kind", [BUS, PLAIN])
async def test_the_servers_clock_is_set(
    server: RedisServer, clock: Clock, ahead_s: int, kind: str
) -> None:
    async with scenario_on(server.url, workers=1, kind=kind) as scenario:
        silent = await scenario.workers.start_one(hold_at=BEFORE_COMMIT)
        await scenario.publish(COUNT)
        await scenario.held(silent)

        clock.set(ahead_s)
        await _goes_by_it(scenario, ahead_s)
        set_at = time.monotonic()
        await scenario.publish(COUNT)
        with suppress(TimeoutError):
            await scenario.told(2 * COUNT, timeout_s=patience_s(kind))
        recovered_s = time.monotonic() - set_at
        if ahead_s > 0:
            silent.go_on()  # what if it was taken for dead too early
        else:
            await silent.kill()  # what if it was not taken for dead at all
        await scenario.publish(COUNT)

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=2 * LEASE_S, is_mutant=kind != BUS)
    assert kind != BUS or recovered_s < 2 * LEASE_S


@pytest.mark.parametrize("reopen_every_s", [REOPEN_EVERY_S, TTL_S / 3], ids=["bus", "mutant"])
async def test_who_asked_before_the_servers_clock_was_set_ahead_is_answered(
    server: RedisServer, clock: Clock, reopen_every_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "REOPEN_EVERY_S", reopen_every_s)
    gate = Gate(Told(text="answer"))
    async with connect(server.url, registry=REGISTRY) as bus:
        await bus.subscribe(listening("slow", gate))
        asking = asyncio.create_task(bus.request("asks", Ask(text="early"), timeout_s=PATIENCE_S))
        await eventually(lambda: len(gate.started) == 1)

        clock.set(HOUR_S)
        await _until_open(bus, is_open=False)
        reopening = asyncio.timeout(2 * REOPEN_EVERY_S)
        if reopen_every_s > REOPEN_EVERY_S:
            with pytest.raises(TimeoutError):
                async with reopening:
                    await _until_open(bus, is_open=True)
            asking.cancel()
            gate.opened.set()
            return
        async with reopening:
            await _until_open(bus, is_open=True)
        gate.opened.set()

        assert await asking == Told(text="answer")


async def _until_open(bus: Bus, *, is_open: bool) -> None:
    """Return once there is, or is not, a topic for the answers to what `bus` asks."""
    assert isinstance(bus.backend, RedisBackend)
    stream = server_of(bus.backend).keys.stream(bus._tail.reply_topic)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await command(bus.backend, "EXISTS", stream) == is_open:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", [BUS, "waits-by-clock"])
async def test_what_waits_while_the_servers_clock_is_set_back(
    server: RedisServer, clock: Clock, kind: str
) -> None:
    async with scenario_on(server.url, kind=kind, fails_every=10, backoff_s=BACKOFF_S) as scenario:
        await scenario.workers.start()
        await scenario.publish(COUNT)
        await scenario.told(COUNT * 9 // 10)  # the others have failed, and rest

        clock.set(-HOUR_S)
        await _goes_by_it(scenario, -HOUR_S)

        outcome = await scenario.outcome(patience_s=PATIENCE_S if kind == BUS else 2 * BACKOFF_S)
    outcome.check(within_s=BACKOFF_S + 2 * LEASE_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
@pytest.mark.parametrize("kind", [BUS, "wall-clock"])
async def test_a_workers_clock_is_set(
    server_url: str, clock: Clock, ahead_s: int, kind: str
) -> None:
    async with scenario_on(server_url, workers=2, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        await scenario.workers.start(environment=clock.environment)
        async with scenario.publishing():
            await scenario.told(COUNT)
            clock.set(ahead_s)
            await asyncio.sleep(2 * SHORT_LEASE_S)

        outcome = await scenario.outcome(patience_s=PATIENCE_S)
        incidents = [event for worker in scenario.workers.all for event in worker.incidents]
    outcome.check(within_s=2 * LEASE_S)
    assert ("fenced" in incidents) is (kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "counts-sleep"])
async def test_the_whole_machine_sleeps(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=3, kind=kind, lease_s=SHORT_LEASE_S) as scenario:
        await scenario.publish(COUNT, handler_fault="dally")
        await scenario.told(COUNT // 4)
        assert server._process is not None
        asleep = [*(worker.pid for worker in scenario.workers.all), server._process.pid]

        await _sleep(asleep)
        for _ in range(MOST_SLEEPS * (kind != BUS)):  # whoever looks late sees that all have beaten
            if await _is_anybody_fenced(scenario):
                break
            await _sleep(asleep)

        outcome = await scenario.outcome(patience_s=PATIENCE_S)
        was_fenced = await _is_anybody_fenced(scenario)
    outcome.check(within_s=2 * LEASE_S)
    assert was_fenced is (kind != BUS)


async def _sleep(pids: Sequence[int]) -> None:
    """The last one wakes first."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(ASLEEP_S)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


async def _is_anybody_fenced(scenario: Scenario) -> bool:
    """Whether somebody was taken for dead, or is within a lease."""
    with suppress(TimeoutError):
        await eventually(
            lambda: any("fenced" in worker.incidents for worker in scenario.workers.all),
            timeout_s=SHORT_LEASE_S,
        )
        return True
    return False


async def _goes_by_it(scenario: Scenario, ahead_s: int) -> None:
    """Return once the server's clock is so far ahead."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seconds, _ = await scenario.command("TIME")
            if abs(int(seconds) - time.time() - ahead_s) < HOUR_S / 2:
                return
            await asyncio.sleep(0.02)
