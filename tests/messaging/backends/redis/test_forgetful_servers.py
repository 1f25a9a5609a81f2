"""A server comes back without what it had accepted last: whoever published it sends it again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.backends.redis import RedisBackend
from messaging.backends.redis.producer import batch as batches
from messaging.backends.redis.producer.batch import REMEMBERED_S, ResendBuffer
from messaging.errors import BusFullError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.backends.redis.forgetting import forget, log_bytes
from tests.messaging.notes import everything_in, note, notes, numbered, texts
from tests.reliability.workers.mutants import mutate
from tests.reliability.workers.patience import stretched
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
    monkeypatch.setattr(batches, "KEPT_BYTES", 0)
    await backend.append(notes(20)[10:])
    await forget(redis_server, kept_bytes)

    await backend.append([note("notes 20")])

    assert await lying_in(backend, "notes", 11) == [*numbered(10), "notes 20"]
    assert "bus.publishes_lost" in guild.events()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted is kept no longer, as after some seconds."""
    monkeypatch.setattr(batches, "KEPT_BYTES", -1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("delay_s", [0.0, 3600.0], ids=["at once", "delayed"])
@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_producer_that_is_younger_than_the_copy_says_what_is_missing(
    redis_server: RedisServer,
    guild: Guild,
    delay_s: float,
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = await guild.open()
    await backend.subscribe("workers", ("notes",))
    await (await guild.open()).append(notes(1))
    kept_bytes = log_bytes(redis_server)
    await backend.append([note(f"lost {number}", delay_s=delay_s) for number in range(300)])
    await backend.append([note(f"lost {number}", "others") for number in range(12)])
    if is_mutant:
        await mutate(server_of(backend), "append", _take_gaps_of_the_unknown)
        monkeypatch.setattr(ResendBuffer, "take_missing", lambda *_: {})

    await forget(redis_server, kept_bytes)

    if is_mutant:
        await backend.append([note("after")])
        assert "bus.publishes_lost" not in guild.events()
        return
    await eventually(lambda: "bus.publishes_lost" in guild.events(), timeout_s=stretched(2.0))
    (told,) = [told for told in guild.incidents if told.event == "bus.publishes_lost"]
    assert "(300 on notes, 12 on others)" in told.text
    await backend.append([note("after")])
    assert await lying_in(backend, "notes", 2) == ["notes 0", "after"]
    assert guild.events().count("bus.publishes_lost") == 1


async def test_the_latest_is_sent_again_and_the_rest_is_announced(
    redis_server: RedisServer, guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await guild.open()
    await (await guild.open()).append(notes(1))
    kept_bytes = log_bytes(redis_server)
    with monkeypatch.context() as hasty:
        hasty.setattr(batches, "KEPT_BYTES", -1)
        await backend.append([note(f"lost {number}") for number in range(300)])
    await backend.append([note("notes 1")])

    await forget(redis_server, kept_bytes)

    assert await lying_in(backend, "notes", 2) == numbered(2)
    (told,) = [told for told in guild.incidents if told.event == "bus.publishes_lost"]
    assert "(300 on notes)" in told.text
    await forget(redis_server, kept_bytes)
    assert await lying_in(backend, "notes", 2) == numbered(2)
    assert guild.events().count("bus.publishes_lost") == 1


@pytest.mark.usefixtures("hasty")
async def test_what_a_producer_had_sent_before_it_was_refused_is_missed_too(
    redis_server: RedisServer, guild: Guild
) -> None:
    backend = await guild.open(max_backlog=20)
    await backend.subscribe("workers", ("notes",))
    kept_bytes = log_bytes(redis_server)
    await backend.append(notes(20))
    with pytest.raises(BusFullError):
        await backend.append([note("one too many")])
    await backend.append([note("elsewhere", "others")])

    await forget(redis_server, kept_bytes)

    await eventually(lambda: "bus.publishes_lost" in guild.events(), timeout_s=stretched(2.0))
    (told,) = [told for told in guild.incidents if told.event == "bus.publishes_lost"]
    assert "(20 on notes, 1 on others)" in told.text


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("is_older", [False, True], ids=["younger", "older"])
async def test_what_was_published_by_its_id_is_missed_too(
    redis_server: RedisServer, guild: Guild, is_older: bool
) -> None:
    backend = await guild.open()
    await backend.append_once(note("older"))
    kept_bytes = log_bytes(redis_server)
    if not is_older:
        await backend.append_once(note("younger"))

    await forget(redis_server, kept_bytes)

    await eventually(lambda: "bus.reconnected" in guild.events())
    assert ("bus.publishes_lost" in guild.events()) is not is_older
    await backend.append_once(note("after"))
    assert await lying_in(backend, "notes", 2) == ["older", "after"]


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_older_copy_that_is_put_in_place_under_a_live_connection_is_noticed(
    guild: Guild, is_mutant: bool
) -> None:
    backend = await guild.open()
    await backend.append(notes(1))
    producer = backend._parts.producer._producer  # type: ignore[union-attr] # it is open
    if is_mutant:
        await mutate(server_of(backend), "append", _take_gaps_of_the_unknown)

    await command(backend, "DEL", server_of(backend).keys.producer(producer))
    await backend.append([note("notes 1")])

    assert guild.events() == ([] if is_mutant else ["bus.publishes_lost"])
    assert texts(await everything_in(backend, "notes")) == numbered(2)


async def test_a_producer_that_was_silent_for_a_day_is_forgotten_and_misses_nothing(
    guild: Guild,
) -> None:
    backend = await guild.open()
    await backend.append(notes(1))
    publisher = backend._parts.producer  # type: ignore[union-attr] # it is open

    publisher._resend_buffer.accepted_at_s -= REMEMBERED_S
    await command(backend, "DEL", server_of(backend).keys.producer(publisher._producer))
    await backend.append([note("notes 1")])

    assert guild.events() == []
    assert texts(await everything_in(backend, "notes")) == numbered(2)


async def test_what_a_server_has_lost_whole_is_neither_told_again_nor_sent_again_later(
    redis_server: RedisServer, guild: Guild
) -> None:
    backend = await guild.open()
    await backend.append(notes(3))
    await command(backend, "FLUSHALL")
    await backend.append([note("after")])
    assert guild.events() == ["bus.data_lost"]

    redis_server.kill()
    await asyncio.to_thread(redis_server.start)
    await eventually(lambda: "bus.reconnected" in guild.events())

    assert await lying_in(backend, "notes", 1) == ["after"]
    assert guild.events() == ["bus.data_lost", "bus.reconnected"]


def _take_gaps_of_the_unknown(append: str) -> str:
    """Believe whatever number a producer begins with that the server does not know."""
    return append.replace("stream) or 0)", "stream) or first - 1)")
