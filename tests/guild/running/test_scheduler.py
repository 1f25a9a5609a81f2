"""Schedules of a guild: each time fires once, however many run it, and restarts do not matter."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from guild.builder import GuildBuilder
from guild.running import scheduler
from guild.running.scheduler import GROUP, Armed
from guild.runtime import Guild
from guild.spec.spec import GuildSpec, ScheduleSpec
from guild.testing import guild_of
from messaging.bus import Bus
from messaging.process.clock import SystemClock
from tests.guild.samples import Echo, Ping
from tests.messaging.buses import lying_in, settled_all
from tests.messaging.conftest import Site, site, url_of

__all__ = ["site", "url_of"]  # fixtures


class Clock(SystemClock):
    """Time as the scheduler sees it; delays are real."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    make = scheduler.Scheduler
    monkeypatch.setattr(scheduler, "Scheduler", lambda messages, _: make(messages, clock))
    return clock


def guild_with(*schedules: dict[str, Any]) -> GuildSpec:
    builder = GuildBuilder.from_spec(guild_of(Echo)).add_topic("pings")
    for schedule in schedules:
        builder.add_schedule(**{"topic": "pings", "message": Ping(text="now"), **schedule})
    return builder.build_spec()


EVERY_HOUR = {"schedule_id": "hourly", "every_s": 3600.0}


async def due_times(bus: Bus, schedules: Sequence[ScheduleSpec]) -> dict[str, float]:
    """When each schedule that is armed fires next, in unix seconds."""
    keys = {schedule.id: f"schedule.{schedule.id}" for schedule in schedules}
    stored = {name: await bus.backend.load_state(GROUP, key) for name, key in keys.items()}
    return {name: Armed.model_validate_json(v.value).due for name, v in stored.items() if v}


@asynccontextmanager
async def running(site: Site, spec: GuildSpec) -> AsyncIterator[Guild]:
    bus = Bus(await site.open(), owns_backend=False)
    async with bus, Guild.launch(spec, bus=bus) as guild:
        await settled_all(bus, GROUP)
        yield guild


async def armed(guild: Guild, schedule: str = "hourly") -> Armed:
    stored = await guild.client.bus.backend.load_state(GROUP, f"schedule.{schedule}")
    assert stored is not None
    return Armed.model_validate_json(stored.value)


async def ring(guild: Guild, tick: str) -> None:
    """Let the tick of this id come now, as if its time had come."""
    bus = guild.client.bus
    message = scheduler.Tick(schedule="hourly")
    inbox = f"inbox.{GROUP}"
    envelope = bus.publisher.seal(inbox, message, id=tick)
    await bus.backend.append([envelope])
    await settled_all(bus, GROUP)


async def pings(guild: Guild) -> int:
    return len(await guild.client.bus.backend.tail({"pings": ""}, max_count=99, wait_s=0))


async def test_a_schedule_fires_and_is_armed_anew_on_the_same_grid(
    site: Site, clock: Clock
) -> None:
    async with running(site, guild_with(EVERY_HOUR)) as guild:
        first = await armed(guild)
        assert first.due == clock.now + 3600
        clock.now = first.due + 1.5
        await ring(guild, first.tick)

        (entry,) = await lying_in(guild.client.bus, "pings")
        assert entry.envelope.sender == GROUP
        assert (entry.envelope.cause, entry.envelope.hops, entry.envelope.reply_to) == ("", 0, "")
        assert (await armed(guild)).due == first.due + 3600
        assert await due_times(guild.client.bus, guild.spec.schedules) == {
            "hourly": first.due + 3600
        }


async def test_many_processes_fire_each_time_once(site: Site, clock: Clock) -> None:
    spec = guild_with(EVERY_HOUR)
    async with running(site, spec) as one, running(site, spec) as other, running(site, spec):
        first = await armed(one)
        assert await armed(other) == first
        clock.now = first.due
        await ring(one, first.tick)
        await ring(other, first.tick)  # stale by now

        assert await pings(one) == 1


async def test_a_tick_comes_by_itself(site: Site) -> None:
    async with running(site, guild_with({"schedule_id": "often", "every_s": 1.0})) as guild:
        entries = await lying_in(guild.client.bus, "pings", 2)

    assert [entry.envelope.type for entry in entries] == ["tests.ping", "tests.ping"]


@pytest.mark.parametrize(
    ("missed", "late_s", "expected"),
    [
        ("once", 30.0, 1),
        ("once", 90.0, 1),
        ("once", 10 * 3600.0, 1),
        ("skip", 30.0, 1),
        ("skip", 90.0, 0),
        ("skip", 10 * 3600.0, 0),
    ],
)
async def test_times_that_were_missed_come_once_or_not_at_all(
    site: Site, clock: Clock, missed: str, late_s: float, expected: int
) -> None:
    spec = guild_with({**EVERY_HOUR, "missed": missed})
    async with running(site, spec) as guild:
        first = await armed(guild)
    clock.now = first.due + late_s
    async with running(site, spec) as guild:
        late = await armed(guild)
        if late.tick == first.tick:
            await ring(guild, first.tick)
        else:  # it was long overdue: a new tick was sent at once
            await settled_all(guild.client.bus, GROUP)
            late = await armed(guild)

        assert await pings(guild) == expected
        assert clock.now < (await armed(guild)).due <= clock.now + 3600
        await ring(guild, first.tick)
        assert await pings(guild) == expected


async def test_a_restart_changes_nothing(site: Site, clock: Clock) -> None:
    spec = guild_with(EVERY_HOUR)
    async with running(site, spec) as guild:
        before = await armed(guild)
    clock.now += 1000
    async with running(site, spec) as guild:
        assert await armed(guild) == before


async def test_a_changed_schedule_begins_anew_and_its_old_tick_does_nothing(
    site: Site, clock: Clock
) -> None:
    async with running(site, guild_with(EVERY_HOUR)) as guild:
        before = await armed(guild)
    async with running(site, guild_with({**EVERY_HOUR, "every_s": 60.0})) as guild:
        assert (await armed(guild)).due == clock.now + 60
        clock.now = before.due
        await ring(guild, before.tick)

        assert await pings(guild) == 0


async def test_a_schedule_that_is_gone_does_nothing_any_more(site: Site, clock: Clock) -> None:
    async with running(site, guild_with(EVERY_HOUR)) as guild:
        before = await armed(guild)
    async with running(site, guild_with()) as guild:
        await ring(guild, before.tick)

        assert await pings(guild) == 0
        assert await due_times(guild.client.bus, [ScheduleSpec.model_validate(HOURLY)]) == {}


HOURLY = {"id": "hourly", "every_s": 3600.0, "message": "tests.ping"}


async def test_a_guild_without_schedules_has_no_scheduler(site: Site) -> None:
    async with running(site, guild_with()) as guild:
        assert GROUP not in await guild.client.bus.groups()


async def test_agents_drain_while_the_schedules_do(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they would wait twice as long for a server that is away."""
    async with running(site, guild_with(EVERY_HOUR)) as guild:
        agents_are_done = asyncio.Event()
        schedules, engine = guild._scheduler, guild._engine
        assert schedules is not None
        assert engine is not None
        drain, drain_agents = schedules.drain, engine.drain

        async def drain_last() -> None:
            await agents_are_done.wait()
            await drain()

        async def tell_when_done() -> None:
            await drain_agents()
            agents_are_done.set()

        monkeypatch.setattr(schedules, "drain", drain_last)
        monkeypatch.setattr(engine, "drain", tell_when_done)

        async with asyncio.timeout(10):
            await guild.drain()
