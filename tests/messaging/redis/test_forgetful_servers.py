"""A server comes back without what it had accepted last: whoever published it sends it again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.backends.redis import RedisBackend, recent
from messaging.testing import eventually
from tests.messaging.notes import everything_in, note, notes, numbered, texts
from tests.messaging.redis.conftest import Guild
from tests.messaging.redis.forgetting import forget, log_bytes
from tests.servers import RedisServer, running_redis


async def lying_in(backend: RedisBackend, topic: str, count: int) -> list[str]:
    """Texts of everything there, once there is so much of it."""
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found = texts(await everything_in(backend, topic))
    return found


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that has in its file what it has answered; what it is to forget is cut off."""
    with running_redis(tmp_path, "--appendfsync", "always") as server:
        yield server


@pytest.fixture
async def written(redis_server: RedisServer, guild: Guild) -> tuple[RedisBackend, int]:
    """A backend whose first notes are in the file, with the length of that."""
    backend = await guild.open()
    await backend.subscribe("workers", ("notes",))
    await backend.append(notes(10))
    return backend, log_bytes(redis_server)


async def test_it_is_sent_again_once_in_order_without_being_asked(
    written: tuple[RedisBackend, int], redis_server: RedisServer, guild: Guild
) -> None:
    backend, kept_bytes = written
    for number in range(10, 20):
        await backend.append([note(f"notes {number}")])
    await backend.append([note("others 0", "others")])

    await forget(redis_server, kept_bytes)

    assert await lying_in(backend, "notes", 20) == numbered(20)
    assert await lying_in(backend, "others", 1) == ["others 0"]
    assert "bus.sent_again" in guild.events()
    assert "bus.publishes_lost" not in guild.events()


async def test_what_was_on_its_way_comes_behind_it(
    written: tuple[RedisBackend, int], redis_server: RedisServer
) -> None:
    backend, kept_bytes = written
    await backend.append(notes(20)[10:])
    forgetting = asyncio.create_task(forget(redis_server, kept_bytes))
    late = []
    for number in range(20, 40):
        late.append(asyncio.ensure_future(backend.append([note(f"notes {number}")])))
        await asyncio.sleep(0)
    await forgetting
    await asyncio.gather(*late)

    assert await lying_in(backend, "notes", 40) == numbered(40)


async def test_a_server_that_forgets_twice_is_sent_it_twice(
    written: tuple[RedisBackend, int], redis_server: RedisServer
) -> None:
    backend, kept_bytes = written
    await backend.append(notes(20)[10:])
    await forget(redis_server, kept_bytes)
    await lying_in(backend, "notes", 20)

    await forget(redis_server, kept_bytes)

    assert await lying_in(backend, "notes", 20) == numbered(20)


async def test_an_append_once_is_sent_again_too(
    written: tuple[RedisBackend, int], redis_server: RedisServer
) -> None:
    backend, kept_bytes = written
    await backend.append_once(note("notes 10"))

    await forget(redis_server, kept_bytes)

    assert await lying_in(backend, "notes", 11) == numbered(11)


async def test_a_server_that_remembers_is_sent_nothing(
    written: tuple[RedisBackend, int], redis_server: RedisServer, guild: Guild
) -> None:
    backend, _ = written

    redis_server.kill()
    await asyncio.to_thread(redis_server.start)
    await eventually(lambda: "bus.reconnected" in guild.events())

    assert await lying_in(backend, "notes", 10) == numbered(10)
    assert "bus.sent_again" not in guild.events()


async def test_what_nobody_has_any_more_is_announced(
    written: tuple[RedisBackend, int],
    redis_server: RedisServer,
    guild: Guild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, kept_bytes = written
    monkeypatch.setattr(recent, "KEPT_BYTES", 0)
    await backend.append(notes(20)[10:])
    await forget(redis_server, kept_bytes)

    await backend.append([note("notes 20")])

    assert await lying_in(backend, "notes", 11) == [*numbered(10), "notes 20"]
    assert "bus.publishes_lost" in guild.events()
