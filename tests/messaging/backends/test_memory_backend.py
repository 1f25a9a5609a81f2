"""What is particular to the memory backend: references, sharing, bounds."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from messaging.backend import Backend, Incident, Settlement
from messaging.backends.memory import MemoryBackend
from messaging.backends.urls import open_backend
from messaging.errors import (
    BackendSetupError,
    BusClosedError,
    InvalidMessageError,
    NobodyListensError,
    WireError,
)
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, decode
from tests.messaging.notes import (
    everything_in,
    given_up,
    joined,
    note,
    notes,
    settled,
    take,
    take_one,
    texts,
)

Open = Callable[..., Awaitable[MemoryBackend]]


class Frozen(Message):
    words: tuple[str, ...] = ()


class Mutable(BaseModel):
    words: list[str] = []


def carrying(message: BaseModel, topic: str = "notes") -> Envelope:
    return Envelope(new_id(), type(message).__name__, 1, topic, b"", message=message)


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens memory backends of one guild and closes them in the end."""
    backends: list[MemoryBackend] = []

    async def open_one(**options: Any) -> MemoryBackend:
        backend = MemoryBackend("guild", **options)
        await backend.open()
        backends.append(backend)
        return backend

    yield open_one
    for backend in backends:
        await backend.close()


# -- references ----------------------------------------------------------------------------------


async def test_a_frozen_message_reaches_every_group_by_reference(opened: Open) -> None:
    backend = await opened()
    reader, auditor = await joined(backend, "readers"), await joined(backend, "auditors")
    message = Frozen(words=("a",))

    await backend.append([carrying(message)])

    assert backend.by_reference
    for consumer in (reader, auditor):
        envelope = (await take_one(consumer)).envelope
        assert envelope.message is message
        assert envelope.payload == b""


async def test_a_message_that_its_sender_can_change_travels_as_it_was_when_sent(
    opened: Open,
) -> None:
    backend = await opened()
    reader = await joined(backend, "readers")
    message = Mutable(words=["as sent"])

    await backend.append([carrying(message)])
    message.words.append("changed later")

    envelope = (await take_one(reader)).envelope
    assert envelope.message is None
    assert decode(Mutable, envelope.payload) == Mutable(words=["as sent"])


async def test_a_changing_message_in_an_outbox_is_stored_as_it_was_too(opened: Open) -> None:
    backend = await opened()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    message = Mutable(words=["as sent"])

    await worker.commit([Settlement(await take_one(worker), (carrying(message, "results"),))])
    message.words.append("changed later")

    assert texts(await everything_in(backend, "results")) == ['{"words":["as sent"]}']


async def test_the_strict_mode_sends_everything_through_json(opened: Open) -> None:
    backend = await opened(strict=True)
    reader = await joined(backend, "readers")

    await backend.append([carrying(Frozen(words=("a",)))])

    envelope = (await take_one(reader)).envelope
    assert not backend.by_reference
    assert envelope.message is None
    assert decode(Frozen, envelope.payload) == Frozen(words=("a",))


async def test_the_strict_mode_refuses_what_would_not_survive_a_server(opened: Open) -> None:
    backend = await opened(strict=True)
    reader = await joined(backend, "readers")

    with pytest.raises(WireError, match="NUL"):
        await backend.append([note("fine"), note("x", reply_to="a\0b")])

    assert await reader.read(10, wait_s=0) == []


async def test_a_message_that_json_cannot_hold_is_refused_before_anything_is_stored(
    opened: Open,
) -> None:
    backend = await opened()
    reader = await joined(backend, "readers")

    with pytest.raises(InvalidMessageError, match="Mutable"):
        await backend.append([note("fine"), carrying(Mutable(words=["\ud800"]))])

    assert await reader.read(10, wait_s=0) == []


# -- sharing -------------------------------------------------------------------------------------


async def test_backends_of_one_name_share_and_others_do_not(opened: Open) -> None:
    here, there = await opened(name="shop"), await opened(name="shop")
    strangers = [await opened(name="other"), await opened(), await opened()]

    await here.append([note("hello")])

    assert texts(await everything_in(there, "notes")) == ["hello"]
    for stranger in strangers:
        assert await everything_in(stranger, "notes") == []


async def test_the_name_of_a_url_is_the_name_that_backends_share() -> None:
    named = [open_backend("memory://shop", "guild"), open_backend("memory://shop", "guild")]
    unnamed = open_backend("memory://", "guild")
    for backend in (*named, unnamed):
        await backend.open()

    await named[0].append([note("hello")])

    assert texts(await everything_in(named[1], "notes")) == ["hello"]
    assert await everything_in(unnamed, "notes") == []
    for backend in (*named, unnamed):
        await backend.close()


async def test_guilds_do_not_see_each_other_under_one_name(opened: Open) -> None:
    here = await opened(name="shop")
    other_guild = MemoryBackend("another guild", name="shop")
    await other_guild.open()

    await here.append([note("hello")])

    assert await everything_in(other_guild, "notes") == []
    await other_guild.close()


async def test_a_shared_store_lives_until_the_last_backend_closes(opened: Open) -> None:
    first, second = await opened(name="shop"), await opened(name="shop")
    await first.append([note("hello")])

    await first.close()
    await first.close()
    third = await opened(name="shop")
    assert texts(await everything_in(third, "notes")) == ["hello"]

    await second.close()
    await third.close()
    assert await everything_in(await opened(name="shop"), "notes") == []


async def test_another_event_loop_cannot_share_a_store(opened: Open) -> None:
    await opened(name="shop")
    refusals: list[BaseException] = []

    def open_elsewhere() -> None:
        try:
            asyncio.run(MemoryBackend("guild", name="shop").open())
        except BackendSetupError as error:
            refusals.append(error)

    thread = threading.Thread(target=open_elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert "another event loop" in str(refusals[0])


async def test_a_store_left_open_by_a_finished_loop_is_not_inherited(opened: Open) -> None:
    async def leave_open() -> None:
        backend = MemoryBackend("guild", name="left")
        await backend.open()
        await backend.append([note("old")])

    await asyncio.to_thread(asyncio.run, leave_open())

    assert await everything_in(await opened(name="left"), "notes") == []


@pytest.mark.parametrize("was_open", [False, True])
async def test_a_backend_that_is_not_open_says_so(was_open: bool) -> None:
    backend = MemoryBackend("guild")
    if was_open:
        await backend.open()
        await backend.close()

    with pytest.raises(BusClosedError, match="not open"):
        await backend.append([note("x")])


async def test_a_consumer_cannot_join_a_group_that_is_not_subscribed(opened: Open) -> None:
    backend = await opened()

    with pytest.raises(ValueError, match="readers is not subscribed"):
        await backend.join("readers")


def test_memory_keeps_nothing_and_says_so() -> None:
    backend: Backend = MemoryBackend("guild")

    assert backend.profile == "ephemeral"


# -- bounds --------------------------------------------------------------------------------------


async def test_settled_entries_do_not_pile_up_without_trimming(opened: Open) -> None:
    backend = await opened(keep_unclaimed=100)
    reader = await joined(backend, "readers")

    for _ in range(50):
        await backend.append(notes(10))
        await reader.commit(settled(await take(reader, 10)))

    (info,) = await backend.topics()
    assert info.entries == 100


async def test_a_full_topic_makes_room_by_itself_when_its_groups_are_done(opened: Open) -> None:
    backend = await opened(max_backlog=5, soft_backlog=5)
    reader = await joined(backend, "readers")

    for _ in range(3):
        await backend.append(notes(5))
        await reader.commit(settled(await take(reader, 5)))

    (info,) = await backend.topics()
    assert info.entries == 5


async def test_nothing_of_a_settled_and_trimmed_message_stays_in_memory(opened: Open) -> None:
    backend = await opened()
    reader = await joined(backend, "readers")
    message = Frozen(words=("big",))
    seen = weakref.ref(message)
    await backend.append([carrying(message)])
    await reader.commit(settled(await take(reader, 1)))
    del message

    await backend.trim()
    gc.collect()

    assert seen() is None


async def test_ephemeral_topics_that_expired_do_not_pile_up(opened: Open) -> None:
    backend = await opened()
    for number in range(1_000):
        await backend.open_ephemeral(f"_emit.{number}", ttl_s=0.0, max_entries=10)

    assert len(backend._store._ephemeral._logs) < 100


async def test_the_oldest_dead_letter_goes_when_there_are_too_many_and_the_operator_hears(
    opened: Open,
) -> None:
    backend = await opened(max_backlog=3)
    heard: list[Incident] = []
    backend.listen(heard.append)
    worker = await joined(backend, "workers")
    for _ in range(2):
        await backend.append(notes(2))
        await worker.commit([given_up(d, "workers") for d in await take(worker, 2)])

    assert texts(await backend.dead_letters()) == ["notes 1", "notes 0", "notes 1"]
    assert [incident.event for incident in heard] == ["dead_letters.full"]
    assert "of workers with message" in heard[0].text


async def test_a_letter_of_a_group_that_is_gone_stays_a_letter(opened: Open) -> None:
    backend = await opened()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    await worker.commit([given_up(await take_one(worker), "workers")])
    (letter,) = await backend.dead_letters()
    await backend.unsubscribe("workers")

    with pytest.raises(NobodyListensError, match="workers, which is not subscribed"):
        await backend.requeue(letter.id, letter.envelope)

    assert await backend.dead_letters() == [letter]


async def test_a_cancelled_read_takes_nothing_and_leaves_nothing_behind(opened: Open) -> None:
    backend = await opened()
    reader = await joined(backend, "readers")
    reading = asyncio.create_task(reader.read(10, wait_s=60))
    await asyncio.sleep(0)

    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await backend.append([note("still there")])

    assert texts(await take(reader, 1)) == ["still there"]
    assert backend._store.work.waiting == {}


async def test_closing_lets_nobody_go_who_waits_elsewhere(opened: Open) -> None:
    one, other = [await opened(name="shared", soft_backlog=1, soft_wait_s=60.0) for _ in range(2)]
    await joined(one, "away")
    going, staying = [asyncio.ensure_future(each.append(notes(2))) for each in (one, other)]
    assert len(await other.tail({"notes": ""}, max_count=9, wait_s=1)) == 4

    await one.close()
    await going
    await other.topics()

    assert not staying.done()
    await other.unsubscribe("away")
    await staying
