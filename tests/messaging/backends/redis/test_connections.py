"""How the bus uses its connections."""

import asyncio
import contextlib
from typing import Any

import pytest

from messaging.backends.redis import RedisBackend
from messaging.backends.redis.connection.connection import Connection
from messaging.backends.redis.connection.endpoint import FixedAddress
from messaging.backends.redis.connection.pipeline import Pipeline
from messaging.backends.redis.consumer.commits import CommitCall, CommitQueue
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.redis.registry.membership import Membership
from messaging.errors import BackendUnavailableError, NotHeldError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import PATIENCE_S, Guild, command, server_of
from tests.messaging.notes import (
    everything_in,
    is_owed_nothing,
    joined,
    note,
    notes,
    settled,
    take,
    texts,
)
from tests.reliability.proxy import FaultyProxy
from tests.servers import RedisServer


async def _connections(guild: Guild, url: str = "") -> int:
    observer = await guild.open(url)
    listed = await command(observer, "CLIENT", "LIST")
    return len(listed.splitlines()) - 2


async def test_two_connections_serve_a_thousand_topics_consumers_and_observers(
    guild: Guild,
) -> None:
    backend = await guild.open()
    consumers = [await joined(backend, f"agent{n}", f"topic{n}.>", "shared") for n in range(20)]
    reading = [asyncio.create_task(consumer.read(10, wait_s=60)) for consumer in consumers]
    tails = [
        asyncio.create_task(backend.tail({f"topic{n}.a": ""}, max_count=10, wait_s=60))
        for n in range(20)
    ]
    leaves = ["a", *map(str, range(49))]
    await backend.append([note("x", f"topic{n}.{leaf}") for n in range(20) for leaf in leaves])

    first = await asyncio.gather(*reading)
    seen = await asyncio.gather(*tails)

    assert await _connections(guild) == 2
    assert len([info for info in await backend.topics() if info.entries]) == 1_000
    assert all(first)
    assert all(seen)


async def test_closing_releases_every_connection(guild: Guild) -> None:
    for _ in range(3):
        backend = await guild.open()
        await joined(backend, "workers")
        await backend.close()
        await backend.close()

    assert await _connections(guild) == 0


async def test_what_is_sent_in_one_tick_is_one_write(guild: Guild) -> None:
    backend = await guild.open()
    pipeline = server_of(backend).connection.current()
    assert isinstance(pipeline, Pipeline)
    transport = pipeline._transport
    assert transport is not None
    writes: list[bytes] = []
    pipeline._transport = _Recording(transport, writes)  # type: ignore[assignment] # stands in

    await asyncio.gather(*[command(backend, "PING") for _ in range(100)])

    assert [data.count(b"PING") for data in writes if b"PING" in data] == [100]


async def test_publishers_of_one_tick_share_a_batch(guild: Guild) -> None:
    backend = await guild.open()
    await backend.append([note("before")])
    before = await _calls(backend, "evalsha")

    await asyncio.gather(*[backend.append([note("x")]) for _ in range(200)])

    assert await _calls(backend, "evalsha") - before <= 3


async def test_a_read_over_more_topics_than_fit_one_command_finds_all(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers", ">")
    await backend.append([note(f"{n}", f"topic{n}") for n in range(150)])

    assert sorted(map(int, texts(await take(reader, 150)))) == list(range(150))
    assert await is_owed_nothing(backend, reader, "topic7")


async def test_a_busy_topic_does_not_starve_a_quiet_one(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers", ">")
    await backend.append([note("busy", "busy") for _ in range(500)])
    await backend.append([note("quiet", "quiet")])

    firsts = await take(reader, 20)

    assert "quiet" in texts(firsts)


async def test_what_fills_a_batch_leaves_before_more_is_made_ready(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers", "notes", "letters")
    pipeline = server_of(backend).connection.current()
    assert pipeline is not None
    mixed = [note(f"{n}", topic) for n in range(400) for topic in ("notes", "letters")]
    before = pipeline.written_bytes

    stored = [backend.append(mixed)]
    assert pipeline.written_bytes == before  # there may be more to come in this turn
    stored += [backend.append(mixed), backend.append([note("last")])]
    assert pipeline.written_bytes > before

    await asyncio.gather(*stored)
    read = await take(reader, 1_601)
    by_topic = {
        topic: texts(d for d in read if d.envelope.topic == topic) for topic in ("notes", "letters")
    }
    numbers = [f"{n}" for n in range(400)] * 2
    assert by_topic == {"notes": [*numbers, "last"], "letters": numbers}


async def test_a_cancelled_read_loses_nothing(guild: Guild) -> None:
    backend = await guild.open()
    reader = await joined(backend, "readers")
    for number in range(20):
        reading = asyncio.create_task(reader.read(10, wait_s=5))
        publishing = asyncio.ensure_future(backend.append([note(f"{number}")]))
        for _ in range(number):
            await asyncio.sleep(0)
        reading.cancel()
        got = (await asyncio.gather(reading, return_exceptions=True))[0]
        await publishing
        deliveries = got if isinstance(got, list) else await take(reader, 1)
        assert texts(deliveries) == [f"{number}"]
        await reader.commit(settled(deliveries))

    assert len(await everything_in(backend, "notes")) == 20


async def test_a_loop_that_cancels_every_task_in_the_middle_of_a_read_keeps_its_connection(
    guild: Guild,
) -> None:
    backend = await guild.open()
    connection = server_of(backend).connection.generation
    for turns in range(20):
        reader = await joined(backend, f"readers{turns}")
        await backend.append([note(f"{turns}")])
        others = asyncio.all_tasks()
        reading = asyncio.create_task(reader.read(10, wait_s=5))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - others:
            task.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await server_of(backend).connection.call("PING")  # behind what was still to be answered

    assert server_of(backend).connection.generation == connection


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_a_commit_whose_caller_was_cancelled_counts_and_the_next_one_comes_after_it(
    guild: Guild, monkeypatch: pytest.MonkeyPatch, is_mutant: bool
) -> None:
    if is_mutant:  # it forgets what nobody waits for any more
        monkeypatch.setattr(CommitQueue, "_landed", _landed_where_awaited)
    backend = await guild.open()
    reader = await joined(backend, "readers")
    with pytest.raises((NotHeldError, TimeoutError)) if is_mutant else contextlib.nullcontext():
        for turns in range(8):
            await backend.append(notes(2))
            held = await take(reader, 2)
            committing = asyncio.ensure_future(reader.commit(settled(held[:1])))
            for _ in range(turns):
                await asyncio.sleep(0)
            committing.cancel()

            async with asyncio.timeout(1):
                assert await reader.commit(settled(held[1:])) == []

        assert await is_owed_nothing(backend, reader)


def _landed_where_awaited(
    self: CommitQueue, commit: CommitCall, outcome: asyncio.Future[list[int]], answers: list[Any]
) -> None:
    if not outcome.done():
        _LANDED(self, commit, outcome, answers)


_LANDED = CommitQueue._landed


async def test_a_read_that_says_nothing_is_there_has_looked_everywhere(guild: Guild) -> None:
    backend, other = await guild.open(), await guild.open()
    reader = await joined(backend, "readers", ">")
    await backend.append([note("x", f"topic{n}") for n in range(150)])
    await reader.commit(settled(await take(reader, 150)))
    for number in (3, 77, 149):
        await other.append([note("late", f"topic{number}")])

        assert texts(await reader.read(1, wait_s=0)) == ["late"]


async def test_wake_ups_that_get_lost_delay_a_reader_and_no_more(guild: Guild) -> None:
    backend, other = await guild.open(), await guild.open()
    reader = await joined(backend, "readers")
    await backend.append([note("first")])
    await take(reader, 1)
    reading = asyncio.create_task(reader.read(1, wait_s=10))
    await asyncio.sleep(0.05)

    await command(other, "CLIENT", "KILL", "TYPE", "pubsub")
    await other.append([note("second")])

    assert texts(await reading) == ["second"]


async def test_a_read_waits_as_long_as_it_is_told_however_long_the_one_before_would_have(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader, loop = await joined(backend, "readers"), asyncio.get_running_loop()
    await reader.read(1, wait_s=0)
    reading = asyncio.create_task(reader.read(1, wait_s=60))
    await asyncio.sleep(0)
    reader.rouse()
    assert await reading == []

    async with asyncio.timeout(10):
        assert await reader.read(1, wait_s=0.01) == []  # the end of the long one is far

    reading = asyncio.create_task(reader.read(1, wait_s=0.2))
    await backend.append([note("x")])
    assert texts(await reading) == ["x"]
    started_at = loop.time()
    assert await reader.read(1, wait_s=0.3) == []  # the end of the short one comes meanwhile
    assert loop.time() - started_at >= 0.3


async def test_a_cancelled_takeover_loses_nothing(guild: Guild) -> None:
    backend = await guild.open()
    for ticks in range(12):
        victim, heir = await joined(backend, "workers"), await joined(backend, "workers")
        await backend.append([note(f"{ticks}")])
        await take(victim, 1)

        taking = asyncio.create_task(heir.take_over(victim.incarnation, 10))
        for _ in range(ticks):
            await asyncio.sleep(0)
        taking.cancel()
        got = (await asyncio.gather(taking, return_exceptions=True))[0]
        deliveries = got if isinstance(got, list) else await heir.take_over(victim.incarnation, 10)

        assert texts(deliveries or await take(heir, 1)) == [f"{ticks}"]
        await heir.leave([])


async def test_a_topic_that_the_group_left_is_not_mistaken_for_a_deleted_one(
    guild: Guild,
) -> None:
    here, there = await guild.open(), await guild.open()
    reader = await joined(here, "readers", "notes", "letters")
    await here.append([note("a"), note("b", "letters")])
    await reader.commit(settled(await take(reader, 2)))

    await there.subscribe("readers", ["letters"])
    await there.append([note("unwanted"), note("wanted", "letters")])

    assert texts(await take(reader, 1)) == ["wanted"]
    assert await reader.read(10, wait_s=0) == []
    assert guild.events() == []


async def _calls(backend: RedisBackend, name: str) -> int:
    stats = (await command(backend, "INFO", "commandstats")).decode()
    line = next(line for line in stats.splitlines() if line.startswith(f"cmdstat_{name}:"))
    return int(line.split("calls=")[1].split(",")[0])


class _Recording:
    """A transport that remembers what is written."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()


@pytest.mark.timeout(20)
async def test_a_reader_that_is_woken_while_its_connection_is_away_lets_the_loop_turn(
    guild: Guild, proxy: FaultyProxy
) -> None:
    backend, publisher = await guild.open(proxy.url), await guild.open()
    worker = await joined(backend, "workers", "notes")
    assert isinstance(worker, RedisConsumer)
    reading = asyncio.create_task(worker.read(1, wait_s=60))
    await eventually(lambda: worker._interest._nap is not None)
    connection, proxy.refuses = server_of(backend).connection, True
    proxy.reset_all()
    await eventually(lambda: connection.current() is None)

    worker._interest.wake(("notes",))  # as the other connection may at this moment
    for _ in range(10):
        await asyncio.sleep(0)
    proxy.refuses = False
    await publisher.append([note("later")])

    assert texts(await reading) == ["later"]


async def test_a_close_that_is_cancelled_releases_every_connection(guild: Guild) -> None:
    backend = await guild.open()
    await joined(backend, "workers")

    closing = asyncio.create_task(backend.close())
    await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing

    assert await _connections(guild) == 0


async def test_a_server_that_hangs_up_on_everybody_is_not_dialled_without_a_pause() -> None:
    dials = 0

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dials
        dials += 1
        await reader.read(100)
        writer.write(b"+PONG\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        address = FixedAddress(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        connection = Connection(address, give_up_after_s=1.0, reply_timeout_s=5.0)
        await connection.open()
        with pytest.raises(BackendUnavailableError):
            await connection.call("PING")
        await connection.close()

    assert 3 < dials < 50


async def test_a_consumer_that_cannot_join_is_watched_by_nothing(
    guild: Guild, redis_server: RedisServer
) -> None:
    backend = await guild.open(give_up_after_s=0.1)
    await backend.subscribe("workers", ["notes"])
    redis_server.kill()

    for _ in range(3):
        with pytest.raises(BackendUnavailableError):
            await backend.join("workers")

    assert backend._parts is not None
    assert not backend._parts.registry.fit_of(Membership("workers")).watchers


async def test_a_topic_may_be_closed_while_its_first_reader_begins(guild: Guild) -> None:
    backend = await guild.open()
    for name in ("_emit.a", "_emit.b"):
        await backend.open_ephemeral(name, ttl_s=60, max_entries=10)
    tail = backend.tail({"_emit.a": "", "_emit.b": ""}, max_count=10, wait_s=PATIENCE_S)
    reading = asyncio.create_task(tail)
    await asyncio.sleep(0)  # it waits until the server listens for it

    await backend.close_ephemeral("_emit.a")
    await backend.emit([note("still there", "_emit.b")])

    assert texts(await reading) == ["still there"]
