"""Watching goes on when the server was away, has lost its data, or tells another time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio

from guild.client import GuildClient
from guild.live import watching as watching_module
from guild.live.watching import _Watcher
from guild.runtime import Guild
from guild.testing import guild_of
from messaging.control import watchers as watchers_module
from messaging.control.watchers import RENEW_EVERY_S
from messaging.testing import PATIENCE_S, eventually
from messaging.wire.topic import LIVE_TOPIC
from tests.clocks import Clock
from tests.guild.live.watching import Told, watching
from tests.guild.processes import running_module
from tests.guild.samples import Echo, Ping
from tests.guild.worker import Worker, shared_spec
from tests.servers import RedisServer, valkey_binary

SPEC = guild_of(Echo)
POLL_S = 0.02


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """Of the server."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[RedisServer]:
    server = RedisServer(valkey_binary(), tmp_path, environment=clock.environment)
    server.start()
    yield server
    server.stop()


@contextlib.asynccontextmanager
async def watched(server: RedisServer) -> AsyncIterator[tuple[GuildClient, Told]]:
    """A watcher that was told something already, in the process of the guild."""
    async with (
        Guild.launch(SPEC, bus=server.url) as guild,
        watching(guild.client, guild.client.bus) as told,
    ):
        await tell(guild.client, told)
        yield guild.client, told


async def tell(client: GuildClient, told: Told, topic: str = "inbox.echo") -> None:
    """Return when something that is handled from now on is told; once."""
    seen = len(told.rows)
    while len(told.rows) == seen:
        await client.publish(topic, Ping(text="x"))
        await asyncio.sleep(POLL_S)
    ids = [row.id for row in told.rows]
    assert len(set(ids)) == len(ids)


async def test_it_goes_on_when_the_server_is_back(server: RedisServer) -> None:
    async with watched(server) as (client, told):
        server.kill()
        await asyncio.to_thread(server.start)
        await tell(client, told)


@pytest.mark.parametrize(
    ("ahead_s", "is_mutant"), [(-3_600, False), (-3_600, True), (0, False), (3_600, False)]
)
async def test_it_goes_on_when_the_server_has_lost_its_data_and_tells_another_time(
    server: RedisServer,
    clock: Clock,
    ahead_s: int,
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then it may count from below what was read last."""
    monkeypatch.setattr(watching_module, "RENEW_EVERY_S", 0.5)
    if is_mutant:

        async def believed(self: _Watcher) -> bool:
            return True

        monkeypatch.setattr(_Watcher, "_is_there", believed)
    async with watched(server) as (client, told):
        clock.set(ahead_s)
        async with redis.asyncio.Redis.from_url(server.url) as operator:
            await operator.flushall()
        with pytest.raises(TimeoutError) if is_mutant else contextlib.nullcontext():
            async with asyncio.timeout(4 if is_mutant else PATIENCE_S):
                await tell(client, told)


@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
async def test_it_goes_on_when_the_clock_of_the_server_is_set(
    server: RedisServer, clock: Clock, ahead_s: int
) -> None:
    async with watched(server) as (client, told):
        clock.set(ahead_s)
        await tell(client, told)


@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
async def test_a_process_with_another_time_is_watched_all_the_same(
    server: RedisServer, tmp_path: Path, ahead_s: int
) -> None:
    other = Clock(tmp_path / "other")
    other.set(ahead_s)
    spec = shared_spec()
    async with (
        running_module(Worker.__module__, server.url, **other.environment) as process,
        GuildClient.connect(spec, bus=server.url) as client,
        watching(client) as told,
    ):
        await tell(client, told, "default_topic")
        assert process.returncode is None
        assert {row.agent for row in told.rows} == {"worker"}


async def test_a_watcher_whose_process_was_killed_is_not_told_for_long(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers_module, "LEASE_S", 1.2 * RENEW_EVERY_S)
    async with Guild.launch(SPEC, bus=server.url) as guild:
        watchers = guild.client.bus.watchers
        async with running_module("tests.guild.live.watcher", server.url) as watcher:
            await eventually(lambda: watchers.is_watched(LIVE_TOPIC))
            watcher.kill()
        await eventually(lambda: not watchers.is_watched(LIVE_TOPIC), timeout_s=10 * RENEW_EVERY_S)
