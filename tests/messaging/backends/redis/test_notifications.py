"""The connection that listens for wake-ups gets errors where it expects something else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import hiredis
import pytest
import redis.asyncio

from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.connection.notifications import Notifications
from messaging.errors import BackendError, BackendSetupError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import joined, note, take
from tests.servers import RedisServer

CHANNEL = b"somewhere"


def wakes_of(backend: RedisBackend) -> Notifications:
    assert backend._parts is not None
    return backend._parts.notifications


@asynccontextmanager
async def busy(backend: RedisBackend, hog: RedisBackend) -> AsyncIterator[None]:
    """The server of both answers BUSY to everybody during the block."""
    await command(backend, "CONFIG", "SET", "busy-reply-threshold", 10)
    hogging = asyncio.create_task(command(hog, "EVAL", "while true do end", 0))
    pipeline = server_of(backend).connection.current()
    assert pipeline is not None
    with suppress(hiredis.ReplyError):
        while True:
            await pipeline.send(b"PING\r\n")
    yield
    await command(backend, "SCRIPT", "KILL")
    with pytest.raises(BackendError, match="killed"):
        await hogging


def not_again(self: Notifications) -> None:
    """The mutant: what was refused is not asked for again."""


@pytest.mark.parametrize("ask_again", [Notifications._ask_again, not_again], ids=["bus", "mutant"])
async def test_a_busy_server_is_asked_again_to_listen_for_us(
    guild: Guild, ask_again: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notifications, "_ask_again", ask_again)
    backend, hog = await guild.open(), await guild.open()
    notifications, heard = wakes_of(backend), asyncio.Event()
    generation = notifications._connection.generation

    async with busy(backend, hog):
        await notifications.watch({CHANNEL: lambda _: heard.set()})
        assert CHANNEL in notifications._unheard
        assert not heard.is_set()

    if ask_again is not_again:
        await command(backend, "PUBLISH", CHANNEL, "x")
        assert not heard.is_set()
        assert CHANNEL in notifications._unheard
        return
    await eventually(heard.is_set)  # whatever came before was not heard, so look
    heard.clear()
    await command(backend, "PUBLISH", CHANNEL, "x")
    await eventually(heard.is_set)
    assert notifications._connection.generation == generation
    assert guild.events() == []


async def test_a_server_that_answers_pings_with_busy_is_not_left(guild: Guild) -> None:
    backend, hog = await guild.open(reply_timeout_s=0.1), await guild.open()
    notifications = wakes_of(backend)
    generation, refused = notifications._connection.generation, asyncio.Event()
    pushed, pipeline = notifications._pushed, notifications._connection.current()
    assert pipeline is not None

    def watched(message: Any) -> None:
        if isinstance(message, hiredis.ReplyError):
            refused.set()
        pushed(message)

    pipeline.subscribe_to_pushes(watched, notifications._watchers)
    async with busy(backend, hog):
        await refused.wait()

    worker = await joined(backend, "workers")
    await backend.append([note("heard")])
    assert len(await take(worker, 1)) == 1
    assert notifications._connection.generation == generation


@asynccontextmanager
async def without_channels(server: RedisServer) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.Redis(port=server.port) as admin:
        await admin.execute_command(  # type: ignore[no-untyped-call]
            *("ACL", "SETUSER", "deaf", "on", ">secret", "~*", "+@all", "resetchannels")
        )
        yield admin


async def test_a_user_who_may_not_listen_is_told_so_at_once(
    guild: Guild, redis_server: RedisServer
) -> None:
    async with without_channels(redis_server):
        deaf = guild.new(f"redis://deaf:secret@127.0.0.1:{redis_server.port}")

        with pytest.raises(BackendSetupError, match=r"NOPERM.*guildbus acl"):
            await deaf.open()
        await deaf.close()


async def test_a_user_who_may_not_listen_any_more_is_announced_and_heard_again(
    guild: Guild, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "messaging.backends.redis.connection.notifications.ASK_REFUSED_AGAIN_S", 0.05
    )
    async with without_channels(redis_server) as admin:
        await admin.execute_command("ACL", "SETUSER", "deaf", "allchannels")  # type: ignore[no-untyped-call]
        backend = await guild.open(f"redis://deaf:secret@127.0.0.1:{redis_server.port}")
        heard = asyncio.Event()
        await wakes_of(backend).watch({CHANNEL: lambda _: heard.set()})

        await admin.execute_command("ACL", "SETUSER", "deaf", "resetchannels")  # type: ignore[no-untyped-call]
        await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        await eventually(lambda: "bus.deaf" in guild.events())
        await asyncio.sleep(0)
        assert guild.events().count("bus.deaf") == 1
        heard.clear()
        await admin.execute_command("ACL", "SETUSER", "deaf", "allchannels")  # type: ignore[no-untyped-call]

        await eventually(heard.is_set)
        wakes_of(backend).check()


@pytest.mark.parametrize(
    "text",
    [
        "BUSY Redis is busy running a script",
        "LOADING Redis is loading the dataset in memory",
        "NOPERM No permissions to access a channel",
        "OOM command not allowed when used memory > 'maxmemory'",
        "MASTERDOWN Link with MASTER is down",
        "NOAUTH Authentication required.",
        "ERR unknown command",
        "",
    ],
)
async def test_any_error_in_place_of_anything_is_borne(guild: Guild, text: str) -> None:
    backend = await guild.open()
    notifications, heard = wakes_of(backend), asyncio.Event()
    await notifications.watch({CHANNEL: lambda _: heard.set()})
    generation = notifications._connection.generation

    for message in (hiredis.ReplyError(text), b"PONG", [b"pong", b""]):
        notifications._pushed(message)

    heard.clear()
    await command(backend, "PUBLISH", CHANNEL, "x")
    await eventually(heard.is_set)
    assert notifications._connection.generation == generation


async def test_a_server_that_hangs_up_with_a_word_is_quoted() -> None:
    """As one in protected mode does, before it was asked anything."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-DENIED Redis is running in protected mode\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        with pytest.raises(BackendError, match="DENIED"):
            await Guild(f"redis://127.0.0.1:{port}").open(give_up_after_s=0.5)
