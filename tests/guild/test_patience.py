"""A server that is not up yet is waited for as long as was asked, and no longer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from guild.client import GuildClient
from guild.runtime import Guild
from guild.testing import guild_of
from messaging.bus import connect
from messaging.errors import BackendSetupError, BackendUnavailableError
from messaging.testing import eventually
from tests.guild.samples import Echo, Ping, Pong
from tests.servers import RedisServer, redis_binary

LONG_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that nobody has started."""
    server = RedisServer(redis_binary(), tmp_path)
    yield server
    server.stop()


async def test_a_server_that_comes_up_in_time_is_used_and_its_absence_was_told_once(
    server: RedisServer,
) -> None:
    async def use() -> str:
        async with connect(server.url, wait_s=LONG_S) as bus:
            return bus.backend.profile

    with structlog.testing.capture_logs() as logs:
        using = asyncio.create_task(use())
        await eventually(lambda: "bus.awaited" in [line["event"] for line in logs])
        await asyncio.to_thread(server.start)
        assert await using == "standard"

    (told,) = [line for line in logs if line["event"] == "bus.awaited"]
    assert told["log_level"] == "warning"
    assert "no server answers at" in told["error"]


async def test_a_server_that_does_not_come_up_is_an_error_that_says_how_long_it_took(
    server: RedisServer,
) -> None:
    with pytest.raises(BackendUnavailableError, match=r"after 0\.3 s still: no server answers"):
        async with connect(server.url, wait_s=0.3):
            pass


async def test_nobody_waits_unless_asked_to(server: RedisServer) -> None:
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(BackendUnavailableError, match=r"^no server answers"),
    ):
        async with connect(server.url):
            pass

    assert logs == []


async def test_what_no_waiting_cures_is_raised_at_once(server: RedisServer) -> None:
    await asyncio.to_thread(server.start)
    wrong = connect(server.url.replace("//", "//nobody:wrong@"), wait_s=LONG_S)
    async with asyncio.timeout(LONG_S / 2):
        with pytest.raises(BackendSetupError, match="check user, password"):
            await wrong.__aenter__()


async def test_a_guild_and_its_client_may_be_started_before_their_server(
    server: RedisServer,
) -> None:
    spec = guild_of(Echo)

    async def ask() -> Pong:
        async with (
            Guild.launch(spec, bus=server.url, wait_s=LONG_S),
            GuildClient.connect(spec, bus=server.url, wait_s=LONG_S) as client,
        ):
            return await client.request("default_topic", Ping(text="late"), Pong)

    with structlog.testing.capture_logs() as logs:
        asking = asyncio.create_task(ask())
        await eventually(lambda: "bus.awaited" in [line["event"] for line in logs])
        await asyncio.to_thread(server.start)
        assert (await asking).text == "late"
