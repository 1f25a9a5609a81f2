"""Tailing any topic, and ephemeral topics: asked of every backend."""

import asyncio

import pytest

from messaging.backend import FROM_NOW, FROM_START, Backend
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    PATIENCE_S,
    everything_in,
    joined,
    note,
    notes,
    numbered,
    settled,
    take,
    texts,
)

REPLIES = "_reply.client"


@pytest.fixture
async def opened(backend: Backend) -> Backend:
    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=100)
    return backend


async def until_empty(backend: Backend, topic: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await everything_in(backend, topic):
            await backend.tail({topic: FROM_NOW}, max_count=1, wait_s=0.02)


async def test_a_tail_sees_entries_from_the_start_in_order(backend: Backend) -> None:
    await backend.append(notes(5))

    assert texts(await everything_in(backend, "notes")) == numbered(5)


async def test_a_tail_goes_on_behind_a_position(backend: Backend) -> None:
    await backend.append(notes(5))
    first = await backend.tail({"notes": FROM_START}, max_count=2, wait_s=0)

    rest = await backend.tail({"notes": first[-1].position}, max_count=100, wait_s=0)

    assert texts(first) == numbered(2)
    assert texts(rest) == numbered(5, start=2)
    assert await backend.tail({"notes": rest[-1].position}, max_count=100, wait_s=0) == []


async def test_a_tail_from_now_sees_only_what_comes_later(site: Site) -> None:
    backend, elsewhere = await site.open(), await site.open()
    await backend.append([note("before")])
    # The tail must have begun before the note is published, and only its end shows that it did:
    # so notes are published until one is seen.
    tailing = asyncio.create_task(backend.tail({"notes": FROM_NOW}, max_count=100, wait_s=30))
    async with asyncio.timeout(PATIENCE_S):
        while not tailing.done():
            await elsewhere.append([note("after")])
            await asyncio.sleep(0)

    assert set(texts(await tailing)) == {"after"}


async def test_a_tail_follows_several_topics_each_in_order(backend: Backend) -> None:
    await backend.append([*notes(2, "a"), *notes(2, "b"), note("a 2", "a")])

    entries = await backend.tail({"a": FROM_START, "b": FROM_START}, max_count=100, wait_s=0)

    assert [text for text in texts(entries) if text.startswith("a")] == numbered(3, "a")
    assert [text for text in texts(entries) if text.startswith("b")] == numbered(2, "b")
    assert {entry.envelope.topic for entry in entries} == {"a", "b"}


async def test_a_tail_of_many_topics_in_small_steps_misses_nothing(backend: Backend) -> None:
    topics = [f"t{number}" for number in range(5)]
    for topic in topics:
        await backend.append(notes(4, topic))
    positions = dict.fromkeys(topics, FROM_START)
    seen = []
    while entries := await backend.tail(positions, max_count=3, wait_s=0):
        seen += texts(entries)
        positions |= {entry.envelope.topic: entry.position for entry in entries}

    assert sorted(seen) == sorted(text for topic in topics for text in numbered(4, topic))


async def test_a_tail_takes_nothing_from_those_who_are_owed(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(2))

    await everything_in(backend, "notes")

    assert texts(await take(reader, 2)) == numbered(2)


async def test_a_tail_sees_what_is_settled_until_it_is_trimmed(backend: Backend) -> None:
    reader = await joined(backend, "readers")
    await backend.append(notes(2))
    await reader.commit(settled(await take(reader, 2)))

    assert texts(await everything_in(backend, "notes")) == numbered(2)


async def test_a_waiting_tail_is_woken_by_what_arrives(site: Site) -> None:
    client, elsewhere = await site.open(), await site.open()
    await client.open_ephemeral(REPLIES, ttl_s=60, max_entries=10)
    tailing = asyncio.create_task(
        client.tail({"other": FROM_START, REPLIES: FROM_START}, max_count=10, wait_s=60)
    )
    await asyncio.sleep(0)

    await elsewhere.append([note("answer", REPLIES)])

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await tailing) == ["answer"]


async def test_a_waiting_tail_is_woken_by_a_topic_born_meanwhile(site: Site) -> None:
    watcher, elsewhere = await site.open(), await site.open()
    tailing = asyncio.create_task(watcher.tail({"unborn": FROM_START}, max_count=10, wait_s=60))
    await asyncio.sleep(0)

    await elsewhere.append([note("first cry", "unborn")])

    async with asyncio.timeout(PATIENCE_S):
        assert texts(await tailing) == ["first cry"]


@pytest.mark.parametrize("wait_s", [0.0, 0.05])
async def test_a_tail_of_nothing_ends_with_an_empty_list(backend: Backend, wait_s: float) -> None:
    async with asyncio.timeout(PATIENCE_S):
        assert await backend.tail({"silence": FROM_START}, max_count=10, wait_s=wait_s) == []
        assert await backend.tail({}, max_count=10, wait_s=wait_s) == []


async def test_what_is_emitted_to_an_open_topic_can_be_tailed_again_and_again(
    opened: Backend,
) -> None:
    await opened.emit(notes(3, REPLIES))

    assert texts(await everything_in(opened, REPLIES)) == numbered(3, REPLIES)
    assert texts(await everything_in(opened, REPLIES)) == numbered(3, REPLIES)


async def test_what_is_emitted_to_a_topic_nobody_opened_is_dropped(backend: Backend) -> None:
    await backend.emit([note("into the void", REPLIES)])
    await backend.append([note("into the void", REPLIES)])

    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=10)

    assert await everything_in(backend, REPLIES) == []


async def test_emitting_to_several_topics_reaches_those_that_are_open(opened: Backend) -> None:
    await opened.emit([note("lost", "_emit.gone"), note("seen", REPLIES)])

    assert texts(await everything_in(opened, REPLIES)) == ["seen"]


async def test_a_closed_ephemeral_topic_is_forgotten(opened: Backend) -> None:
    await opened.emit([note("old", REPLIES)])

    await opened.close_ephemeral(REPLIES)
    await opened.emit([note("lost", REPLIES)])
    await opened.open_ephemeral(REPLIES, ttl_s=60, max_entries=10)

    assert await everything_in(opened, REPLIES) == []


async def test_closing_an_ephemeral_topic_that_is_not_open_does_nothing(backend: Backend) -> None:
    await backend.close_ephemeral(REPLIES)


async def test_opening_again_keeps_what_is_there(opened: Backend) -> None:
    await opened.emit([note("kept", REPLIES)])

    await opened.open_ephemeral(REPLIES, ttl_s=60, max_entries=100)

    assert texts(await everything_in(opened, REPLIES)) == ["kept"]


async def test_an_ephemeral_topic_keeps_its_last_entries_up_to_its_bound(
    backend: Backend,
) -> None:
    # A server may trim in whole nodes, so the bound is asked for with some room.
    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=10)

    for entry in notes(1_000, REPLIES):
        await backend.emit([entry])
    left = texts(await everything_in(backend, REPLIES))

    assert 10 <= len(left) <= 250
    assert left == numbered(1_000, REPLIES)[-len(left) :]


async def test_an_ephemeral_topic_is_gone_when_its_time_is_over(backend: Backend) -> None:
    await backend.open_ephemeral(REPLIES, ttl_s=0.1, max_entries=10)
    await backend.emit([note("old", REPLIES)])

    await until_empty(backend, REPLIES)
    await backend.emit([note("lost", REPLIES)])

    assert await everything_in(backend, REPLIES) == []


async def test_opening_again_makes_an_ephemeral_topic_live_longer(backend: Backend) -> None:
    await backend.open_ephemeral(REPLIES, ttl_s=0.1, max_entries=10)
    await backend.open_ephemeral("_reply.witness", ttl_s=0.1, max_entries=10)
    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=10)
    await backend.emit([note("kept", REPLIES), note("old", "_reply.witness")])

    await until_empty(backend, "_reply.witness")

    assert texts(await everything_in(backend, REPLIES)) == ["kept"]


async def test_observers_see_who_is_registered_and_whether_it_beats(backend: Backend) -> None:
    assert await backend.consumers("readers") == {}
    reader = await joined(backend, "readers", "notes")
    before = await backend.consumers("readers")

    await reader.beat()

    after = await backend.consumers("readers")
    assert list(before) == list(after) == [reader.incarnation]
    assert after[reader.incarnation] > before[reader.incarnation]
    await reader.leave([])
    assert await backend.consumers("readers") == {}
