"""A consumer that waits in the process that sends reads in the write that sends."""

import asyncio

import pytest

from messaging import Bus, Context, Message, Subscription
from messaging.backend import Delivery, Settlement, Take
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.redis.consumer.interest import Interest
from messaging.errors import BackendError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import joined, note, numbered, take, texts

ROUNDS = 20


class Note(Message, frozen=True, wire_name="reading_along.note"):
    text: str


async def _reader(backend: RedisBackend, group: str, topic: str) -> RedisConsumer:
    consumer = await joined(backend, group, topic)
    assert isinstance(consumer, RedisConsumer)
    return consumer


async def _is_waiting(reader: RedisConsumer) -> None:
    interest = reader._interest
    await eventually(lambda: interest._nap is not None and not interest._nap.done())


async def _practised_reader(backend: RedisBackend) -> RedisConsumer:
    """One that has nothing to do but to read."""
    reader = await _reader(backend, "readers", "notes")
    await backend.append([note("practice")])
    assert texts(await reader.read(10, 60)) == ["practice"]
    return reader


async def _waiting_reader(
    backend: RedisBackend,
) -> tuple[RedisConsumer, list[Delivery], asyncio.Task[list[Delivery]]]:
    """One whose read waits, what was handed to that read, and the read."""
    reader, taken = await _practised_reader(backend), list[Delivery]()
    reading = asyncio.create_task(reader.read(10, 60, taken.extend))
    await _is_waiting(reader)
    return reader, taken, reading


async def _has_sent_for_more(reader: RedisConsumer) -> None:
    """Return in that turn of the loop: the answer can't be there yet."""
    while not reader._fetcher._is_reading:  # noqa: ASYNC110 - each turn is looked at
        await asyncio.sleep(0)


async def _reads(backend: RedisBackend) -> int:
    stats = (await command(backend, "INFO", "commandstats")).decode()
    line = next((line for line in stats.splitlines() if line.startswith("cmdstat_xreadgroup:")), "")
    return int(line.partition("calls=")[2].partition(",")[0] or 0)


async def test_what_is_sent_is_read_once_and_not_again_when_the_reader_is_told_of_it(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader = await _reader(backend, "readers", "notes")
    witness = await guild.open()  # told by the same channel, later
    last = await _reader(witness, "witnesses", "notes")
    told = asyncio.create_task(last.read(10, wait_s=60))
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await _is_waiting(reader)
    await _is_waiting(last)
    before = await _reads(backend)

    for number in range(ROUNDS):
        await backend.append([note(f"notes {number}")])
        assert texts(await reading) == [f"notes {number}"]
        reading = asyncio.create_task(reader.read(10, wait_s=60))
        await _is_waiting(reader)
        assert texts(await told) == [f"notes {number}"]
        told = asyncio.create_task(last.read(10, wait_s=60))
        await _is_waiting(last)

    seen = await _reads(backend) - before
    assert 2 * ROUNDS <= seen < 2.5 * ROUNDS  # one of each reader; and both look now and then


async def test_what_a_commit_sends_is_read_in_the_same_write(guild: Guild) -> None:
    backend = await guild.open()
    first, second = await _reader(backend, "first", "notes"), await _reader(backend, "next", "done")
    await backend.append([note("question")])
    held = await take(first, 1)
    reading = asyncio.create_task(second.read(10, wait_s=60))
    await _is_waiting(second)
    pipeline = server_of(backend).connection.current()
    assert pipeline is not None
    written = pipeline.written_bytes

    committing = asyncio.ensure_future(
        first.commit([Settlement(each, (note("answer", "done"),)) for each in held])
    )
    await eventually(lambda: second._fetcher._is_reading or reading.done())
    assert pipeline.written_bytes > written
    assert await committing == []

    assert texts(await reading) == ["answer"]


async def test_what_comes_alone_while_a_read_waits_is_taken_at_once_and_returned_by_none(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader, taken, reading = await _waiting_reader(backend)

    await backend.append([note("alone")])
    assert await reading == []
    assert texts(taken) == ["alone"]

    assert await reader.commit([Settlement(each) for each in taken]) == []
    assert await reader.read(10, 0, taken.extend) == []
    assert texts(taken) == ["alone"]


async def test_what_comes_with_others_is_returned_so_that_their_senders_go_first(
    guild: Guild,
) -> None:
    backend = await guild.open()
    _, taken, reading = await _waiting_reader(backend)

    await backend.append([note(text) for text in numbered(3)])

    assert texts(await reading) == numbered(3)
    assert taken == []


async def test_who_has_left_a_read_is_handed_nothing_by_it_and_the_next_one_gets_it(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader, taken, reading = await _waiting_reader(backend)

    storing = asyncio.ensure_future(backend.append([note("late")]))
    await _has_sent_for_more(reader)
    reading.cancel()
    await storing

    assert texts(await reader.read(10, 60)) == ["late"]
    assert taken == []


async def test_a_reader_that_is_wanted_back_while_its_read_is_on_its_way_returns_what_comes(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader, taken, reading = await _waiting_reader(backend)

    storing = asyncio.ensure_future(backend.append([note("late")]))
    await _has_sent_for_more(reader)
    reader.rouse()
    await storing

    assert texts(await reading) == ["late"]
    assert taken == []


async def test_a_reader_that_is_wanted_back_when_all_is_taken_waits_the_next_time(
    guild: Guild,
) -> None:
    backend = await guild.open()
    reader = await _practised_reader(backend)
    taken: list[Delivery] = []

    def take_and_rouse(deliveries: list[Delivery]) -> None:
        taken.extend(deliveries)
        reader.rouse()

    reading = asyncio.create_task(reader.read(10, 60, take_and_rouse))
    await _is_waiting(reader)
    await backend.append([note("first")])
    assert await reading == []

    reading = asyncio.create_task(reader.read(10, 60))
    await _is_waiting(reader)
    await backend.append([note("second")])
    assert texts(await reading) == ["second"]
    assert texts(taken) == ["first"]


async def test_a_batch_that_is_refused_is_read_by_nobody_and_harms_nothing(guild: Guild) -> None:
    backend = await guild.open(max_backlog=3)
    reader = await _reader(backend, "readers", "notes")
    await _reader(backend, "slow", "notes")
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await _is_waiting(reader)

    with pytest.raises(Exception, match="limit of 3"):
        await backend.append([note("too many")] * 4)
    await backend.append([note(text) for text in numbered(3)])

    assert texts(await reading) == numbered(3)


async def test_a_consumer_that_ended_by_an_error_is_woken_no_more(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consumers that come and go while the server refuses them would pile up."""
    backend, read, failures = await guild.open(), RedisConsumer.read, 3

    async def failing(
        self: RedisConsumer, max_count: int, wait_s: float, take: Take | None = None
    ) -> list[Delivery]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise BackendError("refused")
        return await read(self, max_count, wait_s, take)

    monkeypatch.setattr(RedisConsumer, "read", failing)
    seen: list[str] = []

    async def take_note(message: Note, ctx: Context) -> None:
        seen.append(message.text)

    async with Bus(backend, owns_backend=False) as bus:
        await bus.subscribe(Subscription("readers", ["notes"], {Note: take_note}))
        await eventually(lambda: failures < 0)
        await bus.publish("notes", Note(text="at last"))
        await eventually(lambda: seen == ["at last"])

        readers = server_of(backend).connection.readers
        assert {topic: len(wakes) for topic, wakes in readers.items()} == {
            "notes": 1,
            "_retry.readers": 1,
        }
    assert server_of(backend).connection.readers == {}


@pytest.fixture
async def interest(guild: Guild) -> Interest:
    reader = await _reader(await guild.open(), "readers", "notes")
    await take(reader, 0)
    interest = reader._interest
    interest.take_ready(10)
    return interest


def _ready(interest: Interest) -> bool:
    return bool(interest.take_ready(10))


async def test_a_reader_that_has_read_up_to_a_position_ignores_that_it_is_told_of_it(
    interest: Interest,
) -> None:
    interest.has_seen("notes", b"10-0")
    interest.hear("notes", b"10-0")
    interest.hear("notes", b"9-1")
    assert not _ready(interest)


async def test_a_position_told_while_it_is_read_is_not_read_once_more(interest: Interest) -> None:
    interest.hear("notes", b"5-0")
    interest.has_seen("notes", b"5-0")
    assert not _ready(interest)


@pytest.mark.parametrize("told", [b"", b"5-1", b"10-0"])
async def test_whatever_else_it_is_told_it_looks(interest: Interest, told: bytes) -> None:
    interest.has_seen("notes", b"5-0")
    interest.hear("notes", told)
    interest.has_seen("notes", b"5-0")
    assert _ready(interest)
